//! Full-text search: the terms of [`crate::terms`], told apart by who may find the thing they are of.
//!
//! Each term that is stored begins with a code of its row's audience. So a question reaches what its reader's audiences hold and
//! nothing else: whatever others hide, it takes the same time and the same way.

use crate::{
    db::{Db, DbError, Dialect},
    record,
    terms::{self, Asked},
    value::Value,
};
use uuid::Uuid;

/// From so many hits on, a list is walked and each row checked.
const FEW: i64 = 2_000;
/// Characters of an audience's code.
const CODE: usize = 10;

record! {
    /// How many rows have the words.
    struct Hits {
        /// At most [`FEW`].
        count: i64,
    }
}

/// What somebody looks for: all words must occur, the last one as a beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<Asked>);

impl Words {
    /// Reads what a user wrote; no input is ever an error. `None` if there is nothing in it to look for.
    pub fn parse(input: &str) -> Option<Self> {
        let asked = terms::asked(input);
        (!asked.is_empty()).then_some(Self(asked))
    }

    /// The question to the index: rows of these audiences.
    fn among(&self, audiences: &[&str], dialect: Dialect) -> String {
        let (quote, and, beginning, or) = match dialect {
            Dialect::Sqlite => ('"', " AND ", "*", " OR "),
            Dialect::Postgres => ('\'', " & ", ":*", " | "),
        };
        let of = |audience: &&str| {
            let code = code(audience);
            let term =
                |Asked { term, beginning: open }: &Asked| format!("{quote}{code}{term}{quote}{}", if *open { beginning } else { "" });
            format!("({})", self.0.iter().map(term).collect::<Vec<_>>().join(and))
        };
        audiences.iter().map(of).collect::<Vec<_>>().join(or)
    }

    /// The condition that the row `alias` of a searchable table has these words, for a query that something else bounds. It looks
    /// at the row alone. Who may see the row is for the query to say.
    pub fn in_row(&self, alias: &str, dialect: Dialect, params: &mut Vec<Value>) -> String {
        let place = match dialect {
            Dialect::Sqlite => "instr",
            Dialect::Postgres => "strpos",
        };
        let mut conditions = Vec::new();
        for Asked { term, beginning } in &self.0 {
            params.push(if *beginning { term.clone() } else { format!("{term} ") }.into());
            let n = params.len();
            conditions.push(format!("{place}({alias}.terms, ' ' || substr({alias}.terms, 2, {CODE}) || ${n}) > 0"));
        }
        conditions.join(" AND ")
    }
}

impl Db {
    /// The condition that the row `alias` of a searchable `table` has these words, for a list along an index of rows that
    /// `audiences` may see, all of which the reader belongs to. Few hits are looked up alone, many are met on the way along the
    /// list: the wrong choice of the two is a walk over all rows, or over all hits, and neither database knows in advance which
    /// is which. Only hits that the reader may see are counted, so the choice tells of no others.
    pub async fn search_condition(
        &self,
        (table, key): (&str, &str),
        alias: &str,
        words: &Words,
        audiences: &[&str],
        params: &mut Vec<Value>,
    ) -> Result<String, DbError> {
        let question = words.among(audiences, self.dialect());
        let hits = format!("SELECT COUNT(*) FROM (SELECT s.{key} FROM {table}_search s WHERE {} LIMIT {FEW}) hits", self.has(1));
        let hits = self.one::<Hits>(hits, vec![question.clone().into()]).await?.map_or(0, |Hits { count }| count);
        if hits >= FEW {
            return Ok(words.in_row(alias, self.dialect(), params));
        }
        params.push(question.into());
        Ok(self.among_hits((table, key), alias, params.len()))
    }

    /// The condition that the row `alias` is one of those that the index finds for these words and audiences.
    pub fn search_hits(
        &self,
        (table, key): (&str, &str),
        alias: &str,
        words: &Words,
        audiences: &[&str],
        params: &mut Vec<Value>,
    ) -> String {
        params.push(words.among(audiences, self.dialect()).into());
        self.among_hits((table, key), alias, params.len())
    }

    fn among_hits(&self, (table, key): (&str, &str), alias: &str, n: usize) -> String {
        let found = format!("SELECT s.{key} FROM {table}_search s WHERE {}", self.has(n));
        match self.dialect() {
            Dialect::Sqlite => format!("{alias}.{key} IN ({found})"),
            Dialect::Postgres => format!("{alias}.{key} = ANY(ARRAY({found}))"),
        }
    }

    fn has(&self, n: usize) -> String {
        match self.dialect() {
            Dialect::Sqlite => format!("s.terms MATCH ${n}"),
            Dialect::Postgres => format!("s.terms @@ CAST(CAST(${n} AS TEXT) AS tsquery)"),
        }
    }
}

/// All terms of a row as they are stored: a space before and behind each.
pub fn stored<'a>(audience: &str, texts: impl IntoIterator<Item = &'a str>) -> String {
    let (code, mut stored) = (code(audience), String::new());
    for term in terms::indexed(texts) {
        stored.push(' ');
        stored.push_str(&code);
        stored.push_str(&term);
    }
    if !stored.is_empty() {
        stored.push(' ');
    }
    stored
}

/// What the terms of an audience begin with, in characters that no database changes.
pub fn code(audience: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Uuid::new_v5(&AUDIENCES, audience.as_bytes()).as_u128();
    let letter = |place: usize| usize::try_from(hash >> (123 - 5 * place) & 31).unwrap_or_default();
    (0..CODE).map(|place| char::from(LETTERS[letter(place)])).collect()
}

/// Namespace of codes.
const AUDIENCES: Uuid = Uuid::from_u128(0x6c1f_77a4_31f2_5d0e_8b1c_4a39_0d52_9e14);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_each_audience_in_each_term() {
        let words = Words::parse("Rye bread").unwrap();
        let (a, b) = (code("a"), code("b"));
        assert_eq!(words.among(&["a", "b"], Dialect::Sqlite), format!("(\"{a}rye\" AND \"{a}bread\"*) OR (\"{b}rye\" AND \"{b}bread\"*)"));
        assert_eq!(words.among(&["a"], Dialect::Postgres), format!("('{a}rye' & '{a}bread':*)"));
        assert_eq!(stored("a", ["Bread,", "rye bread"]), format!(" {a}bread {a}rye "));
        assert_eq!((stored("a", [""]), a.len()), (String::new(), CODE));
        assert_ne!(a, b);
    }

    #[test]
    fn syntax_of_either_database_is_no_word() {
        for input in ["a* \"b' OR NEAR(c)&!:d", "'; --", "\\'\" :* | !(", "a:b*"] {
            let words = Words::parse(input).unwrap();
            let safe = |Asked { term, .. }: &Asked| !term.contains(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric());
            assert!(words.0.iter().all(safe), "{words:?}");
        }
        for nothing in ["", " \n", "\u{200b} \u{3164}", "\u{0}"] {
            assert_eq!(Words::parse(nothing), None, "{nothing:?}");
        }
    }
}
