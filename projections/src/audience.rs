//! Lists of what a reader may read: audiences of things intersected with the reader's keys.

mod newest;
mod page;

use crate::{Sql, Value};
use circolo_domain::access::Key;
use serde_json::json;

/// A table whose rows have an audience, a moment of writing and a position.
///
/// Its index `(audience, position, written)` makes each key one range scan of at most a page, so a reader who may read little of
/// much waits no longer than one who may read all. What is outside of a window is passed over within the index.
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
    /// Besides `(audience, position, written)` it needs an index `(audience, written, position)`: see `Readable::near`.
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
#[path = "audience_tests.rs"]
mod tests;
