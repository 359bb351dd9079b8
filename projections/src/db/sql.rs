//! SQL text: written once in Postgres' manner, rewritten for SQLite, with a text per dialect where plans demand it.

use std::borrow::Cow;

/// Which SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// Postgres.
    Postgres,
}

/// The text of a statement for both databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// As SQLite reads it.
    pub sqlite: Cow<'static, str>,
    /// As Postgres reads it.
    pub postgres: Cow<'static, str>,
}

impl Sql {
    /// A text for each database; both use `$1`.
    pub fn per_dialect(sqlite: impl Into<Cow<'static, str>>, postgres: impl Into<Cow<'static, str>>) -> Self {
        Self { sqlite: rewrite(&sqlite.into()).into(), postgres: postgres.into() }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { sqlite: rewrite(text).into(), postgres: text.into() }
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self { sqlite: rewrite(&text).into(), postgres: text.into() }
    }
}

/// From Postgres' parameters to SQLite's: `$1` becomes `?1`, `= ANY($1)` takes a JSON list. Quoted text stays as it is.
fn rewrite(text: &str) -> String {
    const ANY: &str = "= ANY(";
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '"', '$', '=']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.as_bytes() {
            [quote @ (b'\'' | b'"'), ..] => {
                let end = rest[1..].find(char::from(*quote)).map_or(rest.len(), |end| end + 2);
                out.push_str(&rest[..end]);
                end
            }
            [b'$', digit, ..] if digit.is_ascii_digit() => {
                out.push('?');
                1
            }
            _ => match rest.strip_prefix(ANY).and_then(|list| list.split_once(')')) {
                Some((list, _)) if list.starts_with('$') => {
                    out.push_str("IN (SELECT value FROM json_each(?");
                    out.push_str(&list[1..]);
                    out.push_str("))");
                    ANY.len() + list.len() + 1
                }
                _ => {
                    out.push_str(&rest[..1]);
                    1
                }
            },
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_rewritten_and_quoted_text_is_not() {
        assert_eq!(
            rewrite("SELECT 'it''s $1', \"$2\" FROM t WHERE a = $1 AND b>=$12"),
            "SELECT 'it''s $1', \"$2\" FROM t WHERE a = ?1 AND b>=?12"
        );
        assert_eq!(rewrite("SELECT '$"), "SELECT '$");
    }

    #[test]
    fn a_list_becomes_json() {
        assert_eq!(rewrite("WHERE audience = ANY($2) AND x = $1"), "WHERE audience IN (SELECT value FROM json_each(?2)) AND x = ?1");
        assert_eq!(rewrite("x = ANY(SELECT 1)"), "x = ANY(SELECT 1)");
    }
}
