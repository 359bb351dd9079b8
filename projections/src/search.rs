//! Full-text search in the words of a user: quoted, so that no input is ever a syntax error.

use crate::{
    db::{Db, DbError, Dialect},
    record,
};

/// From so many hits on, a list is walked and each row checked.
const FEW: i64 = 2_000;

record! {
    /// How many rows have the words.
    struct Hits {
        /// At most [`FEW`].
        count: i64,
    }
}

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

    /// The condition that a row of the searchable `table` has these words, with the terms as parameter `n`, for a list along
    /// an index. Few hits are looked up alone, many are met on the way along the list: the wrong choice of the two is a
    /// walk over all rows, or over all hits, and neither database knows in advance which is which.
    pub async fn search_condition(&self, table: &str, key: &str, terms: &str, n: usize) -> Result<String, DbError> {
        let column = key.rsplit('.').next().unwrap_or(key);
        let has = |n: usize| match self.dialect() {
            Dialect::Sqlite => format!("s.terms MATCH ${n}"),
            Dialect::Postgres => format!("s.terms @@ to_tsquery('simple', ${n})"),
        };
        let hits = format!("SELECT COUNT(*) FROM (SELECT s.{column} FROM {table}_search s WHERE {} LIMIT {FEW}) hits", has(1));
        let hits = self.one::<Hits>(hits, vec![terms.to_owned().into()]).await?.map_or(0, |Hits { count }| count);
        let has = has(n);
        Ok(match self.dialect() {
            _ if hits >= FEW => format!("EXISTS (SELECT 1 FROM {table}_search s WHERE s.{column} = {key} AND {has})"),
            Dialect::Sqlite => format!("{key} IN (SELECT s.{column} FROM {table}_search s WHERE {has})"),
            Dialect::Postgres => format!("{key} = ANY(ARRAY(SELECT s.{column} FROM {table}_search s WHERE {has}))"),
        })
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
