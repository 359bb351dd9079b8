//! Lists of what a reader may read: audiences of things intersected with the reader's keys.

use crate::Value;
use circolo_domain::access::Key;

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

impl Readable<'_> {
    /// SQL and parameters for id and position of the newest rows before `before`; `None` for a reader without keys.
    pub fn newest(&self, keys: &[Key], before: Option<i64>, limit: i64) -> Option<(String, Vec<Value>)> {
        let mut params = vec![Value::Int(before.unwrap_or(i64::MAX)), Value::Int(limit)];
        let branches: Vec<String> = keys.iter().enumerate().map(|(n, key)| self.branch(n, key, &mut params)).collect();
        if branches.is_empty() {
            return None;
        }
        let union = branches.join(" UNION ALL ");
        Some((format!("SELECT u.id, u.position FROM ({union}) u ORDER BY u.position DESC LIMIT $2"), params))
    }

    fn branch(&self, n: usize, key: &Key, params: &mut Vec<Value>) -> String {
        let Self { table, written, filter } = self;
        params.push(key.audience.clone().into());
        let audience = params.len();
        let mut window = String::new();
        for (bound, comparison) in [(key.since, ">="), (key.until, "<")] {
            if bound != i64::MIN && bound != i64::MAX {
                params.push(bound.into());
                window = format!("{window} AND t.{written} {comparison} ${}", params.len());
            }
        }
        format!(
            "SELECT k{n}.id, k{n}.position FROM (SELECT t.id, t.position FROM {table} t WHERE t.audience = ${audience}{window} \
             AND t.position < $1{filter} ORDER BY t.position DESC LIMIT $2) k{n}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Readable<'static> = Readable { table: "things_v1", written: "at", filter: "" };

    #[test]
    fn nobody_without_keys_reads_anything() {
        assert_eq!(TABLE.newest(&[], None, 10), None);
    }

    #[test]
    fn every_key_is_a_range_of_its_own() {
        let key = |audience: &str, since, until| Key { audience: audience.into(), since, until };
        let (sql, params) = TABLE.newest(&[key("a", i64::MIN, i64::MAX), key("b", 5, 9)], Some(7), 10).unwrap();
        assert_eq!(sql.matches("UNION ALL").count(), 1);
        assert!(sql.contains("t.audience = $4 AND t.at >= $5 AND t.at < $6 AND t.position < $1"), "{sql}");
        assert_eq!(params, [Value::Int(7), 10.into(), "a".into(), "b".into(), 5.into(), 9.into()]);
    }
}
