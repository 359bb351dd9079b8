//! The newest rows for a reader with many keys.
//!
//! Clocks of nodes differ, so where in the log a window ends is known to an hour: `low` and `high` are positions outside which
//! nothing of it stands. In a busy group that hour is thousands of rows. They are walked only in windows that may hold a row of
//! the page. To know which, a page's worth of rows is taken first that surely may be read; the last of them is the *floor*:
//! what stands below it is not in the page, and neither is any window whose `high` is no higher.

use super::{POSTGRES_AUDIENCES, POSTGRES_KEYS, Part, Readable, SQLITE_AUDIENCES, SQLITE_KEYS, audiences, keys_json};
use crate::{Dialect, Value};
use circolo_domain::access::Key;

impl Readable<'_> {
    /// Text and parameters for `columns` of the newest rows `f` before `before`, for a reader with hundreds of keys.
    ///
    /// Keys travel as two parameters, those to all of an audience and those with a window, so there is one text for who has
    /// windows and one for who has none. One step in the index for a key of the former kind, and four at most for one of the
    /// latter, tell what its newest row is, or is likely to be; the floor is the last of a page of those keys whose newest rows
    /// are the newest of all.
    pub fn newest_of_many(&self, keys: &[Key], columns: &str, before: Option<i64>, limit: i64) -> (Part, Vec<Value>) {
        let (all, windows): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.is_always());
        let [sqlite, postgres] = [Dialect::Sqlite, Dialect::Postgres].map(|dialect| {
            let ctes = [
                ("held", self.held(dialect)),
                ("windows", self.windows(dialect)),
                ("tops", self.tops(dialect)),
                ("best", BEST.to_owned()),
                ("ground", if windows.is_empty() { FLOOR_OF_TOPS.to_owned() } else { self.floor(dialect) }),
            ];
            let ctes = ctes.map(|(name, query)| format!("{name} AS MATERIALIZED ({query})"));
            format!("WITH {} {}", ctes.join(", "), self.above_floor(columns, dialect))
        });
        let params = vec![audiences(&all).into(), keys_json(windows), before.unwrap_or(i64::MAX).into(), limit.into()];
        (Part { sqlite, postgres: Some(postgres) }, params)
    }

    /// Windows in which something was written, each with the position of the last of that.
    fn held(&self, dialect: Dialect) -> String {
        let newest = self.place("g.audience", &format!("w.{0} >= g.since AND w.{0} < g.until", self.written), " DESC");
        let given = if dialect == Dialect::Sqlite { SQLITE_KEYS } else { POSTGRES_KEYS };
        format!("SELECT g.audience, g.since, g.until, g.early, g.late, {newest} AS newest FROM {given} g")
    }

    /// The same with the positions between which all of a window lies.
    fn windows(&self, dialect: Dialect) -> String {
        let low = self.place("h.audience", &format!("w.{} < h.early", self.written), " DESC");
        let high = self.place("h.audience", &format!("w.{} >= h.late", self.written), "");
        let lesser = if dialect == Dialect::Sqlite { "MIN" } else { "LEAST" };
        format!(
            "SELECT h.audience, h.since, h.until, COALESCE({low}, 0) AS low, {lesser}($3, COALESCE({high}, {})) AS high, h.newest \
             FROM held h WHERE h.newest IS NOT NULL",
            i64::MAX
        )
    }

    /// The position of the first or last row of an audience by time.
    fn place(&self, audience: &str, within: &str, order: &str) -> String {
        let Self { table, written, .. } = self;
        format!("(SELECT w.position FROM {table} w WHERE w.audience = {audience} AND {within} ORDER BY w.{written}{order} LIMIT 1)")
    }

    /// All keys with the position of their newest row. Where a window ended long before the page begins that is what was written
    /// last in it, which is true but for clocks, and no row need be walked; else it is looked for from where the page begins.
    fn tops(&self, dialect: Dialect) -> String {
        let Self { table, filter, .. } = self;
        let audiences = if dialect == Dialect::Sqlite { SQLITE_AUDIENCES } else { POSTGRES_AUDIENCES };
        format!(
            "SELECT o.audience, CAST('{}' AS BIGINT) AS since, {} AS until, 0 AS low, $3 AS high, \
             (SELECT t.position FROM {table} t WHERE t.audience = o.audience{filter} AND t.position < $3 ORDER BY t.position DESC LIMIT 1) AS top \
             FROM {audiences} o \
             UNION ALL SELECT k.audience, k.since, k.until, k.low, k.high, CASE WHEN k.high < $3 THEN k.newest ELSE ({}) END \
             FROM windows k WHERE k.low < k.high",
            i64::MIN,
            i64::MAX,
            self.range("t.position", "k", &format!("t.position > k.low AND {}", self.written_in("k")), "1"),
        )
    }

    /// The position below which nothing of the page stands: that of the last of a page's worth of rows, or 0 if there are fewer. Of
    /// each of the best keys no more than a page is looked at, by time or by position, and what fits is taken.
    fn floor(&self, dialect: Dialect) -> String {
        let Self { table, written, filter } = self;
        let by_time = format!(
            "SELECT t.id FROM {table} t WHERE t.audience = b.audience AND {} ORDER BY t.{written} DESC LIMIT $4",
            self.written_in("b")
        );
        let by_place = self.range("t.id", "b", "t.position > b.low", "$4");
        let fits = format!("t.position > b.low AND t.position < b.high AND {}{filter}", self.written_in("b"));
        let taken = |ended: &str, ids: &str| match dialect {
            Dialect::Sqlite => format!("SELECT t.position FROM best b CROSS JOIN {table} t WHERE {ended} AND t.id IN ({ids}) AND {fits}"),
            Dialect::Postgres => {
                format!("SELECT t.position FROM best b CROSS JOIN LATERAL ({ids}) i JOIN {table} t ON t.id = i.id WHERE {ended} AND {fits}")
            }
        };
        format!(
            "SELECT COALESCE((SELECT c.position FROM ({} UNION {}) c ORDER BY c.position DESC LIMIT 1 OFFSET $4 - 1), 0) AS floor",
            taken("b.high < $3", &by_time),
            taken("b.high = $3", &by_place)
        )
    }

    /// The page: of each key that may hold a row of it what stands from the floor on.
    fn above_floor(&self, columns: &str, dialect: Dialect) -> String {
        let Self { table, .. } = self;
        let greater = if dialect == Dialect::Sqlite { "MAX" } else { "GREATEST" };
        let low = format!("t.position > {greater}(k.low, l.floor - 1) AND {}", self.written_in("k"));
        let keys = "FROM ground l CROSS JOIN tops k CROSS JOIN";
        let may = "k.top IS NOT NULL AND CASE WHEN k.high < $3 THEN k.high > l.floor ELSE k.top >= l.floor END";
        let end = "ORDER BY f.position DESC LIMIT $4";
        match dialect {
            Dialect::Sqlite => {
                format!("SELECT {columns} {keys} {table} f WHERE {may} AND f.id IN ({}) {end}", self.range("t.id", "k", &low, "$4"))
            }
            Dialect::Postgres => {
                let rows = self.range(&columns.replace("f.", "t."), "k", &low, "$4");
                format!("SELECT {columns} {keys} LATERAL ({rows}) f WHERE {may} {end}")
            }
        }
    }

    /// The newest rows of `key` below its `high` that fit.
    fn range(&self, columns: &str, key: &str, fits: &str, limit: &str) -> String {
        let Self { table, filter, .. } = self;
        format!(
            "SELECT {columns} FROM {table} t WHERE t.audience = {key}.audience{filter} AND {fits} AND t.position < {key}.high \
             ORDER BY t.position DESC LIMIT {limit}"
        )
    }

    fn written_in(&self, key: &str) -> String {
        let Self { written, .. } = self;
        format!("t.{written} >= {key}.since AND t.{written} < {key}.until")
    }
}

/// As many keys as a page has rows, those with the newest.
const BEST: &str = "SELECT b.* FROM tops b WHERE b.top IS NOT NULL ORDER BY b.top DESC LIMIT $4";

/// [`Readable::floor`] where no key has a window, and each top is one for certain.
const FLOOR_OF_TOPS: &str = "SELECT CASE WHEN COUNT(*) = $4 THEN MIN(b.top) ELSE 0 END AS floor FROM best b";
