//! Lists of what a reader may read: audiences of things intersected with the reader's keys.

use crate::{Sql, Value};
use circolo_domain::access::Key;
use serde_json::json;

/// A table whose rows have an audience, a moment of writing and a position.
///
/// Its index `(audience, position)` makes each key one range scan of at most a page, so a reader who may read little of
/// much waits no longer than one who may read all.
pub struct Readable<'a> {
    /// The table.
    pub table: &'static str,
    /// The column that holds when the thing was written.
    pub written: &'static str,
    /// Further conditions on `t`, beginning with ` AND`.
    pub filter: &'a str,
}

/// In what order a list stands, and where in it a page begins.
pub struct Order {
    /// Columns of `t` that are compared together, the last one unique.
    pub columns: &'static [&'static str],
    /// Whether the greatest come first.
    pub descending: bool,
    /// The columns of the row before the page; empty for the first page.
    pub after: Vec<i64>,
}

impl Order {
    /// The condition for what stands behind `after`, if any.
    pub fn behind(&self, params: &mut Vec<Value>) -> String {
        let bounds: Vec<String> = self.after.iter().map(|bound| param(params, *bound)).collect();
        if bounds.is_empty() {
            return String::new();
        }
        let comparison = if self.descending { "<" } else { ">" };
        format!(" AND ({}) {comparison} ({})", self.of("t"), bounds.join(", "))
    }

    /// `ORDER BY` over the columns of `alias`.
    pub fn by(&self, alias: &str) -> String {
        let direction = if self.descending { " DESC" } else { "" };
        let columns: Vec<_> = self.columns.iter().map(|column| format!("{alias}.{column}{direction}")).collect();
        format!("ORDER BY {}", columns.join(", "))
    }

    fn of(&self, alias: &str) -> String {
        self.columns.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ")
    }
}

/// Adds a parameter; its name in the text.
pub fn param(params: &mut Vec<Value>, value: impl Into<Value>) -> String {
    params.push(value.into());
    format!("${}", params.len())
}

/// A part of a statement, where both databases need not say it alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    sqlite: String,
    /// The same, if absent.
    postgres: Option<String>,
}

impl Part {
    const fn alike(text: String) -> Self {
        Self { sqlite: text, postgres: None }
    }

    /// The statement around two of them.
    pub fn beside(&self, other: &Self, statement: impl Fn(&str, &str) -> String) -> Sql {
        let postgres = |part: &Self| part.postgres.clone().unwrap_or_else(|| part.sqlite.clone());
        match (&self.postgres, &other.postgres) {
            (None, None) => Sql::from(statement(&self.sqlite, &other.sqlite)),
            _ => Sql::per_dialect(statement(&self.sqlite, &other.sqlite), statement(&postgres(self), &postgres(other))),
        }
    }

    /// The statement around it.
    pub fn within(&self, statement: impl Fn(&str) -> String) -> Sql {
        match &self.postgres {
            None => Sql::from(statement(&self.sqlite)),
            Some(postgres) => Sql::per_dialect(statement(&self.sqlite), statement(postgres)),
        }
    }
}

/// Up to so many keys, each to one era, are written into the statement: there are few such texts, and nearly every reader of
/// one group has no more. Those of all others travel as a parameter, and the text is the same for everybody.
const FEW: usize = 4;

fn are_few(keys: &[Key]) -> bool {
    keys.len() <= FEW && keys.iter().all(|key| key.first == key.last)
}

impl Readable<'_> {
    /// Text and parameters for the ids of a page in `order`; `None` for a reader without keys. `params` are those of the
    /// filter. An index has to begin with the audience and what the filter holds equal, and end with the order's columns.
    pub fn page(&self, keys: &[Key], order: &Order, mut params: Vec<Value>, limit: i64) -> Option<(Part, Vec<Value>)> {
        if keys.is_empty() {
            return None;
        }
        let (behind, limit) = (order.behind(&mut params), param(&mut params, limit));
        let part = if are_few(keys) {
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

    /// As [`Readable::newest_of_many`], in whatever order.
    fn page_of_many(&self, keys: &[Key], order: &Order, behind: &str, limit: &str, params: &mut Vec<Value>) -> Part {
        let Self { table, written, filter } = self;
        let keys = param(params, keys_json(keys));
        let within = |columns: &str, key: &str, limit: &str| {
            format!(
                "SELECT {columns} FROM {table} t WHERE t.audience = {key}.audience AND t.{written} >= {key}.since \
                 AND t.{written} < {key}.until{filter}{behind} {} LIMIT {limit}",
                order.by("t")
            )
        };
        let best = |given: &str, first: &str| {
            format!(
                "WITH tops AS MATERIALIZED (SELECT k.audience, k.since, k.until, {} FROM {given} k CROSS JOIN {first}), \
                 best AS MATERIALIZED (SELECT b.* FROM tops b {} LIMIT {limit})",
                order.of("o"),
                order.by("b")
            )
        };
        let end = format!("{} LIMIT {limit}", order.by("f"));
        let first = format!("{table} o WHERE o.id = ({})", within("t.id", "k", "1"));
        let sqlite = format!(
            "{} SELECT f.id FROM best b CROSS JOIN {table} f WHERE f.id IN ({}) {end}",
            best(&SQLITE_KEYS.replace("$2", &keys), &first),
            within("t.id", "b", limit)
        );
        let columns = order.of("t");
        let first = format!("LATERAL ({}) o", within(&columns, "k", "1"));
        let postgres = format!(
            "{} SELECT f.id FROM best b CROSS JOIN LATERAL ({}) f {end}",
            best(&POSTGRES_KEYS.replace("$2", &keys), &first),
            within(&format!("t.id, {columns}"), "b", limit)
        );
        Part { sqlite, postgres: Some(postgres) }
    }

    /// The condition that a row of `t` may be read, for queries that something narrower than the audience bounds.
    pub fn allowed(&self, keys: &[Key], params: &mut Vec<Value>) -> Part {
        let (always, rest): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.is_always());
        let any = format!("t.audience = ANY({})", param(params, audiences(&always)));
        if rest.len() <= FEW && rest.iter().all(|key| key.first == key.last) {
            let any = rest.into_iter().fold(any, |any, key| format!("{any} OR ({})", self.window(key, params)));
            return Part::alike(format!("({any})"));
        }
        let Self { written, .. } = self;
        let keys = param(params, keys_json(rest));
        let opens = |given: &str| {
            let given = given.replace("$2", &keys);
            format!(
                "({any} OR EXISTS (WITH k AS MATERIALIZED (SELECT g.audience, g.since, g.until FROM {given} g) \
                 SELECT 1 FROM k WHERE k.audience = t.audience AND t.{written} >= k.since AND t.{written} < k.until))"
            )
        };
        Part { sqlite: opens(SQLITE_KEYS), postgres: Some(opens(POSTGRES_KEYS)) }
    }

    fn window(&self, key: &Key, params: &mut Vec<Value>) -> String {
        let mut allowed = format!("t.audience = {}", param(params, format!("{}:{}", key.place, key.first)));
        for (bound, comparison) in [(key.since, ">="), (key.until, "<")] {
            if bound != i64::MIN && bound != i64::MAX {
                allowed = format!("{allowed} AND t.{} {comparison} {}", self.written, param(params, bound));
            }
        }
        allowed
    }

    /// Text and parameters for id and position of the newest rows before `before`; `None` for a reader without keys.
    ///
    /// Besides `(audience, position)` it needs an index `(audience, written)`: see `Readable::near`.
    pub fn newest(&self, keys: &[Key], before: Option<i64>, limit: i64) -> Option<(Part, Vec<Value>)> {
        if keys.is_empty() {
            return None;
        }
        if !are_few(keys) {
            return Some(self.newest_of_many(keys, "f.id, f.position", before, limit));
        }
        let mut params = vec![Value::Int(before.unwrap_or(i64::MAX)), Value::Int(limit)];
        let branches: Vec<String> = keys.iter().enumerate().map(|(n, key)| self.branch(n, key, &mut params)).collect();
        let union = branches.join(" UNION ALL ");
        Some((Part::alike(format!("SELECT u.id, u.position FROM ({union}) u ORDER BY u.position DESC LIMIT $2")), params))
    }

    /// Text and parameters for `columns` of the newest rows `f` before `before`, for a reader with hundreds of keys.
    ///
    /// A page of `limit` rows can only come from the `limit` keys whose newest rows are the newest of all. One step in the
    /// index for each key finds those; only of them is a page each read and merged. Keys travel as two parameters, those to
    /// all of an audience and those with a window, so the text is the same for everybody; a step for the former is a third of
    /// one for the latter. Besides an index for the page it needs `(audience, written)`: with it a window becomes a range of
    /// positions, so that what lies far outside is not even looked at.
    pub fn newest_of_many(&self, keys: &[Key], columns: &str, before: Option<i64>, limit: i64) -> (Part, Vec<Value>) {
        let Self { table, filter, .. } = self;
        let best = |audiences: &str, given: &str, least: &str| {
            let step = format!(
                "SELECT t.position FROM {table} t WHERE t.audience = o.audience{filter} AND t.position < $3 ORDER BY t.position DESC LIMIT 1"
            );
            format!(
                "WITH windows AS MATERIALIZED ({}), tops AS MATERIALIZED (\
                 SELECT o.audience, CAST('{}' AS BIGINT) AS since, {} AS until, 0 AS low, $3 AS high, ({step}) AS top FROM {audiences} o \
                 UNION ALL SELECT k.*, ({}) FROM windows k), \
                 best AS MATERIALIZED (SELECT b.* FROM tops b WHERE b.top IS NOT NULL ORDER BY b.top DESC LIMIT $4)",
                self.windows(given, least),
                i64::MIN,
                i64::MAX,
                self.within("t.position", "k", "1"),
            )
        };
        let sqlite = format!(
            "{} SELECT {columns} FROM best b CROSS JOIN {table} f WHERE f.id IN ({}) ORDER BY f.position DESC LIMIT $4",
            best(SQLITE_AUDIENCES, SQLITE_KEYS, "MIN"),
            self.within("t.id", "b", "$4")
        );
        let postgres = format!(
            "{} SELECT {columns} FROM best b CROSS JOIN LATERAL ({}) f ORDER BY f.position DESC LIMIT $4",
            best(POSTGRES_AUDIENCES, POSTGRES_KEYS, "LEAST"),
            self.within(&columns.replace("f.", "t."), "b", "$4")
        );
        let (all, windows): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.is_always());
        let params = vec![audiences(&all).into(), keys_json(windows), before.unwrap_or(i64::MAX).into(), limit.into()];
        (Part { sqlite, postgres: Some(postgres) }, params)
    }

    /// The newest rows of one of `windows`.
    fn within(&self, columns: &str, key: &str, limit: &str) -> String {
        let Self { table, written, filter } = self;
        format!(
            "SELECT {columns} FROM {table} t WHERE t.audience = {key}.audience{filter} AND t.position > {key}.low \
             AND t.position < {key}.high AND t.{written} >= {key}.since AND t.{written} < {key}.until \
             ORDER BY t.position DESC LIMIT {limit}"
        )
    }

    /// Keys with windows, each with the positions between which lies what it is a key to.
    fn windows(&self, given: &str, least: &str) -> String {
        let Self { table, written, .. } = self;
        let place = |outside: &str, order: &str| {
            format!(
                "(SELECT w.position FROM {table} w WHERE w.audience = g.audience AND w.{written} {outside} ORDER BY w.{written}{order} LIMIT 1)"
            )
        };
        let (low, high) = (place("< g.early", " DESC"), place(">= g.late", ""));
        format!(
            "SELECT g.audience, g.since, g.until, COALESCE({low}, 0) AS low, {least}($3, COALESCE({high}, {})) AS high FROM {given} g",
            i64::MAX
        )
    }

    fn branch(&self, n: usize, key: &Key, params: &mut Vec<Value>) -> String {
        let Self { table, filter, .. } = self;
        let (allowed, near) = (self.window(key, params), self.near(key, params));
        format!(
            "SELECT k{n}.id, k{n}.position FROM (SELECT t.id, t.position FROM {table} t WHERE {allowed} \
             AND {near}{filter} ORDER BY t.position DESC LIMIT $2) k{n}"
        )
    }

    /// Bounds of the position, so that what lies far outside the key's window is not even looked at: else whoever may read
    /// little of much would wait for a walk over all of it.
    fn near(&self, key: &Key, params: &mut Vec<Value>) -> String {
        let Self { table, written, .. } = self;
        let mut place = |bound: i64, comparison: &str, direction: &str| {
            let (audience, bound) = (param(params, format!("{}:{}", key.place, key.first)), param(params, bound));
            format!(
                "SELECT b.position FROM (SELECT w.position FROM {table} w WHERE w.audience = {audience} AND w.{written} {comparison} {bound} \
                 ORDER BY w.{written}{direction} LIMIT 1) b"
            )
        };
        let mut near = "t.position < $1".to_owned();
        if key.until != i64::MAX {
            let end = place(key.until.saturating_add(SKEW), ">=", "");
            near = format!("t.position < (SELECT MIN(e.position) FROM (SELECT CAST($1 AS BIGINT) AS position UNION ALL {end}) e)");
        }
        if key.since != i64::MIN {
            let start = place(key.since.saturating_sub(SKEW), "<", " DESC");
            near = format!("{near} AND t.position > COALESCE(({start}), 0)");
        }
        near
    }
}

/// The audiences in parameter 1, for SQLite.
const SQLITE_AUDIENCES: &str = "(SELECT j.value AS audience FROM json_each($1) j)";
/// The same for Postgres.
const POSTGRES_AUDIENCES: &str = "(SELECT a.audience FROM unnest($1::text[]) AS a (audience))";
/// The keys in parameter 2, as [`keys_json`] makes them, for SQLite.
const SQLITE_KEYS: &str = "(SELECT j.value ->> 'a' AS audience, j.value ->> 's' AS since, j.value ->> 'u' AS until, j.value ->> 'e' AS early, \
                           j.value ->> 'l' AS late FROM json_each($2) j)";
/// The same for Postgres.
const POSTGRES_KEYS: &str = "(SELECT j.a AS audience, j.s AS since, j.u AS until, j.e AS early, j.l AS late \
                             FROM json_to_recordset($2::text::json) AS j(a text, s bigint, u bigint, e bigint, l bigint))";

/// All audiences that these keys open.
fn audiences(keys: &[&Key]) -> Vec<String> {
    keys.iter().flat_map(|key| key.audiences()).collect()
}

/// Keys as one parameter, one for each era; `e` and `l` are moments so early and so late that what was written then is outside
/// wherever it stands.
fn keys_json<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Value {
    let of = |key: &'a Key| {
        let early = (key.since != i64::MIN).then(|| key.since.saturating_sub(SKEW));
        let late = (key.until != i64::MAX).then(|| key.until.saturating_add(SKEW));
        key.audiences().map(move |audience| json!({ "a": audience, "s": key.since, "u": key.until, "e": early, "l": late }))
    };
    json!(keys.into_iter().flat_map(of).collect::<Vec<_>>()).to_string().into()
}

/// How far the order of moments may differ from the order of the log: clocks of several nodes, a clock that was set back.
const SKEW: i64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Readable<'static> = Readable { table: "things_v1", written: "at", filter: "" };

    fn key(place: &str, since: i64, until: i64) -> Key {
        Key { since, until, ..Key::always(place.into(), 0, 0) }
    }

    #[test]
    fn nobody_without_keys_reads_anything() {
        assert_eq!(TABLE.newest(&[], None, 10), None);
    }

    #[test]
    fn every_key_is_a_range_of_its_own() {
        let (part, params) = TABLE.newest(&[key("a", i64::MIN, i64::MAX), key("b", 5, 9)], Some(7), 10).unwrap();
        let sql = part.sqlite;
        assert_eq!(sql.matches("UNION ALL SELECT k").count(), 1);
        assert!(sql.contains("t.audience = $4 AND t.at >= $5 AND t.at < $6 AND t.position < ("), "{sql}");
        let (end, start) = (9 + SKEW, 5 - SKEW);
        let b = || Value::from("b:0");
        let expected = [7.into(), 10.into(), "a:0".into(), b(), 5.into(), 9.into(), b(), end.into(), b(), start.into()];
        assert_eq!(params, expected.map(|value: Value| value));
    }

    #[test]
    fn a_page_goes_on_behind_a_row_in_any_order() {
        let key = |place: &str, since| key(place, since, i64::MAX);
        let order = Order { columns: &["price", "position"], descending: false, after: vec![7, 70] };
        let table = Readable { filter: " AND t.kind = $1", ..TABLE };
        let (part, params) = table.page(&[key("a", i64::MIN), key("b", 5)], &order, vec!["bike".into()], 10).unwrap();
        let sql = part.sqlite;
        assert!(
            sql.contains(
                "t.audience = $6 AND t.at >= $7 AND t.kind = $1 AND (t.price, t.position) > ($2, $3) ORDER BY t.price, t.position LIMIT $4"
            ),
            "{sql}"
        );
        assert!(sql.ends_with("u ORDER BY u.price, u.position LIMIT $4"), "{sql}");
        assert_eq!(params, ["bike".into(), Value::Int(7), 70.into(), 10.into(), "a:0".into(), "b:0".into(), 5.into()]);
        let newest = Order { columns: &["position"], descending: true, after: vec![] };
        let (Part { sqlite: sql, .. }, _) = table.page(&[key("a", i64::MIN)], &newest, vec!["bike".into()], 10).unwrap();
        assert!(sql.contains("t.audience = $3 AND t.kind = $1 ORDER BY t.position DESC LIMIT $2"), "{sql}");
    }

    #[test]
    fn what_may_always_be_read_is_one_list_and_windows_stand_beside_it() {
        let mut params = vec![Value::Int(1)];
        let keys = [("a", i64::MIN), ("b", 5), ("c", i64::MIN)].map(|(place, since)| key(place, since, i64::MAX));
        let part = Part::alike("(t.audience = ANY($2) OR (t.audience = $3 AND t.at >= $4))".into());
        assert_eq!(TABLE.allowed(&keys, &mut params), part);
        assert_eq!(params[1], Value::List(vec!["a:0".into(), "c:0".into()]));
    }

    #[test]
    fn however_many_keys_there_are_the_text_is_the_same_and_the_parameters_are_few() {
        let order = || Order { columns: &["position"], descending: true, after: vec![] };
        let texts = |count: u32| {
            let keys: Vec<Key> = (0..count).map(|n| Key { first: n * 10, last: n * 10 + 9, ..key("a", n.into(), i64::MAX) }).collect();
            let mut params = vec![];
            let allowed = TABLE.allowed(&keys, &mut params);
            let (newest, of_newest) = TABLE.newest(&keys, None, 10).unwrap();
            let (page, of_page) = TABLE.page(&keys, &order(), vec![], 10).unwrap();
            ((allowed, newest, page), (params.len(), of_newest.len(), of_page.len()))
        };
        assert_eq!(texts(1), texts(1_000));
        assert_eq!(texts(1).1, (2, 4, 2));
    }
}
