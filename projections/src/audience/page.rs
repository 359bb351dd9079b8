//! A page in whatever order, such as by price.
//!
//! In such an order the rows of a window in time stand anywhere: a walk along the order finds a page of them soon if they are many,
//! and passes all rows of the audience if they are few. So those of a window with few rows are picked by time, and sorted.

use super::{Order, POSTGRES_KEYS, Part, Readable, SQLITE_KEYS, are_few, keys_json, param};
use crate::{Dialect, Value};
use circolo_domain::access::Key;

/// A window with fewer rows than this is picked. To pick one costs as much as to walk over some ten or twenty, and who walks for
/// one of a few windows in a large catalogue walks far.
const PICKED: usize = 1_000;

impl Readable<'_> {
    /// Text and parameters for the ids of a page in `order`; `None` for a reader without keys. `params` are those of the
    /// filter. An index has to begin with the audience and what the filter holds equal, go on with the order's columns, and end with
    /// the moment of writing, so that rows outside of windows are not read; another is `(audience, written)`.
    pub fn page(&self, keys: &[Key], order: &Order, mut params: Vec<Value>, limit: i64) -> Option<(Part, Vec<Value>)> {
        if keys.is_empty() {
            return None;
        }
        let (behind, limit) = (order.behind(&mut params), param(&mut params, limit));
        let part = if are_few(keys) && keys.iter().all(Key::is_always) {
            self.page_of_few(keys, order, &behind, &limit, &mut params)
        } else {
            self.page_of_many(keys, order, &behind, &limit, &mut params)
        };
        Some((part, params))
    }

    fn page_of_few(&self, keys: &[Key], order: &Order, behind: &str, limit: &str, params: &mut Vec<Value>) -> Part {
        let Self { table, filter, .. } = self;
        let branch = |(n, key): (usize, &Key)| {
            let allowed = self.window(key, params);
            format!(
                "SELECT k{n}.* FROM (SELECT t.id, {} FROM {table} t WHERE {allowed}{filter}{behind} {} LIMIT {limit}) k{n}",
                order.of("t"),
                order.by("t")
            )
        };
        let branches: Vec<String> = keys.iter().enumerate().map(branch).collect();
        Part::alike(format!("SELECT u.id FROM ({}) u {} LIMIT {limit}", branches.join(" UNION ALL "), order.by("u")))
    }

    /// A page can only come from as many keys as it has rows, those whose first rows are the first of all.
    fn page_of_many(&self, keys: &[Key], order: &Order, behind: &str, limit: &str, params: &mut Vec<Value>) -> Part {
        let table = self.table;
        let keys = param(params, keys_json(keys));
        let columns = order.of("t");
        let best = |dialect: Dialect, first: &str| {
            let tops = format!("SELECT k.walked, k.picked, k.since, k.until, {} FROM keys k CROSS JOIN {first}", order.of("o"));
            let best = format!("SELECT b.* FROM tops b {} LIMIT {limit}", order.by("b"));
            format!("WITH {}, tops AS MATERIALIZED ({tops}), best AS MATERIALIZED ({best})", self.ways(dialect, &keys))
        };
        let end = format!("{} LIMIT {limit}", order.by("f"));
        let rows = |columns: &str, key: &str, limit: &str| self.rows(columns, key, &format!("{behind} {} LIMIT {limit}", order.by("t")));
        let first = format!("{table} o WHERE o.id = ({})", rows("t.id", "k", "1"));
        let sqlite = format!(
            "{} SELECT f.id FROM best b CROSS JOIN {table} f WHERE f.id IN ({}) {end}",
            best(Dialect::Sqlite, &first),
            rows("t.id", "b", limit)
        );
        let first = format!("LATERAL ({}) o", rows(&columns, "k", "1"));
        let postgres = format!(
            "{} SELECT f.id FROM best b CROSS JOIN LATERAL ({}) f {end}",
            best(Dialect::Postgres, &first),
            rows(&format!("t.id, {columns}"), "b", limit)
        );
        Part { sqlite, postgres: Some(postgres) }
    }

    /// All keys, each with its audience as the one to walk along or the one to pick from. The other is null: that is a step into
    /// the index, where a condition on the key would be asked of each row. What nothing was written in is neither.
    fn ways(&self, dialect: Dialect, keys: &str) -> String {
        let Self { table, written, .. } = self;
        let given = if dialect == Dialect::Sqlite { SQLITE_KEYS } else { POSTGRES_KEYS }.replace("$2", keys);
        let within = format!("w.audience = g.audience AND w.{written} >= g.since AND w.{written} < g.until");
        let rows = format!("SELECT COUNT(*) FROM (SELECT w.{written} FROM {table} w WHERE {within} LIMIT {PICKED}) n");
        let held = format!("CASE WHEN g.early IS NULL AND g.late IS NULL THEN {PICKED} ELSE ({rows}) END");
        format!(
            "held AS MATERIALIZED (SELECT g.audience, g.since, g.until, {held} AS held FROM {given} g), \
             keys AS MATERIALIZED (SELECT h.since, h.until, CASE WHEN h.held = {PICKED} THEN h.audience END AS walked, \
             CASE WHEN h.held < {PICKED} THEN h.audience END AS picked FROM held h WHERE h.held > 0)"
        )
    }

    /// What `key` opens, walked or picked; `page` says where it begins, in what order it stands and how much of it is wanted.
    fn rows(&self, columns: &str, key: &str, page: &str) -> String {
        let Self { table, written, filter } = self;
        let within = |moment: &str| format!("{moment}.{written} >= {key}.since AND {moment}.{written} < {key}.until");
        // With the sign, the moment is no column that an index by time could be asked for: a walk is one along the order.
        let walked = format!("t.audience = {key}.walked AND {}{filter}{page}", within("+t"));
        let picked = format!("SELECT w.id FROM {table} w WHERE w.audience = {key}.picked AND {} LIMIT {PICKED}", within("w"));
        format!(
            "SELECT x.* FROM (SELECT {columns} FROM {table} t WHERE {walked}) x \
             UNION ALL SELECT y.* FROM (SELECT {columns} FROM {table} t WHERE t.id IN ({picked}){filter}{page}) y"
        )
    }
}
