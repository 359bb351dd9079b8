//! Full-text search in the words of a user: quoted, so that no input is ever a syntax error.

use crate::db::{Db, Dialect};

impl Db {
    /// A user's words as the parameter for [`Db::search_clause`]: all of them must occur, the last one as a beginning.
    /// `None` if there is no word in it; then there is nothing to search for.
    pub fn search_terms(&self, input: &str) -> Option<String> {
        let mut quoted: Vec<String> = words(input)
            .map(|word| match self.dialect() {
                Dialect::Sqlite => format!("\"{word}\""),
                Dialect::Postgres => format!("'{word}'"),
            })
            .collect();
        let (and, beginning) = match self.dialect() {
            Dialect::Sqlite => (" ", "*"),
            Dialect::Postgres => (" & ", ":*"),
        };
        quoted.last_mut()?.push_str(beginning);
        Some(quoted.join(and))
    }

    /// The condition that a row of the searchable `table` has these words: `q.id IN (..)`, with the terms as parameter `n`.
    pub fn search_clause(&self, table: &str, key: &str, n: usize) -> String {
        let column = key.rsplit('.').next().unwrap_or(key);
        match self.dialect() {
            Dialect::Sqlite => format!("{key} IN (SELECT {column} FROM {table}_search WHERE terms MATCH ${n})"),
            Dialect::Postgres => format!("{key} IN (SELECT {column} FROM {table}_search WHERE terms @@ to_tsquery('simple', ${n}))"),
        }
    }
}

/// Letters and digits; everything else separates. At most 16 words, so that a query stays cheap.
fn words(input: &str) -> impl Iterator<Item = String> {
    input.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(16).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_of_either_database_is_no_word() {
        assert_eq!(words("a* \"b' OR NEAR(c)&!:d").collect::<Vec<_>>(), ["a", "b", "or", "near", "c", "d"]);
        assert_eq!(words(" '\" ").count(), 0);
    }
}
