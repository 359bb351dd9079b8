//! Tables as Rust types: [`row!`](crate::row!) declares struct and table in one, [`Fold`] says how events make its rows.

use crate::value::{FromValues, Kind, Meaning, Value};
use circolo_events::Recorded;

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// How it is stored.
    pub kind: Kind,
    /// What its numbers stand for.
    pub meaning: Meaning,
    /// May it be null?
    pub nullable: bool,
}

/// An index over some columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name within the table.
    pub name: &'static str,
    /// What it covers, in order.
    pub columns: &'static [&'static str],
}

/// How rows of a table are found by words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// The columns whose words count.
    pub columns: &'static [&'static str],
    /// The column that says who may find the row: only who asks for this audience does.
    pub audience: &'static str,
}

/// Texts that are not for everyone in every row: for analysts they are null unless `column` holds `word`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discretion {
    /// The texts; an empty one is masked already.
    pub columns: &'static [&'static str],
    /// What tells how open the row is.
    pub column: &'static str,
    /// What it holds where the row is open to everyone.
    pub word: &'static str,
}

/// A table as it is declared. The engine makes the DDL; the first column is the key and a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The declared name with the projection's version: `questions_v1`. Queries use it; it is a view of the live build.
    pub name: &'static str,
    /// Key first.
    pub columns: &'static [Column],
    /// Secondary indexes.
    pub indexes: &'static [Index],
    /// Full-text search, if there is any.
    pub search: Option<Search>,
    /// What analysts read of some rows only.
    pub discretion: Option<Discretion>,
}

impl Table {
    /// The column that identifies a row.
    pub const fn key(&self) -> &'static str {
        self.columns[0].name
    }

    /// `q.id, q.title, ..`: all columns, for queries that join (`SELECT *` is banned).
    pub fn columns_of(&self, alias: &str) -> String {
        self.columns.iter().map(|column| format!("{alias}.{}", column.name)).collect::<Vec<_>>().join(", ")
    }
}

/// A type that stands for the rows of a table. Implemented by [`row!`](crate::row!).
pub trait Row: FromValues + Send + Sync + 'static {
    /// The table.
    const TABLE: Table;
    /// All columns, for `SELECT`.
    const COLUMNS: &'static str;

    /// The values in the order of the columns.
    fn into_values(self) -> Vec<Value>;

    /// Bytes it takes in memory, roughly.
    fn size(&self) -> usize;
}

/// How events become rows. Both functions are pure, and folding cannot fail.
pub trait Fold: Row {
    /// Which rows this event touches: usually one, often none. Depends on the event alone.
    fn keys(event: &Recorded) -> Keys;

    /// The row after the event; `None` is "no row", before and after. Must look at nothing but its arguments.
    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self>;
}

/// Keys of the rows that an event touches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keys {
    /// No row.
    #[default]
    None,
    /// One row.
    One(String),
    /// Several rows.
    Many(Vec<String>),
}

impl Keys {
    /// No row.
    pub const NONE: Self = Self::None;

    /// One row.
    #[expect(clippy::needless_pass_by_value, reason = "ids are copied anyway, and `&id` everywhere reads worse")]
    pub fn one(key: impl ToString) -> Self {
        Self::One(key.to_string())
    }

    /// Leaves out the keys that are not wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        match self {
            Self::One(key) if !wanted(key) => *self = Self::None,
            Self::Many(keys) => keys.retain(|key| wanted(key)),
            _ => {}
        }
    }

    /// The keys.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

impl From<String> for Keys {
    fn from(key: String) -> Self {
        Self::One(key)
    }
}

impl From<&str> for Keys {
    fn from(key: &str) -> Self {
        Self::One(key.to_owned())
    }
}

impl From<Option<String>> for Keys {
    fn from(key: Option<String>) -> Self {
        key.map_or(Self::None, Self::One)
    }
}

/// A key given twice counts once.
impl From<Vec<String>> for Keys {
    fn from(mut keys: Vec<String>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self::Many(keys)
    }
}

/// Declares a row type and its table in one.
///
/// Columns are `String`, `i64`, `f64`, `bool`, `Timestamp` or `End` (stored as BIGINT microseconds) or an `Option` of these; what
/// is not an `Option` is NOT NULL. The first column is the key and a `String`.
///
/// ```
/// use circolo_projections::Row;
///
/// circolo_projections::row! {
///     /// One row per poll.
///     pub struct PollRow in "polls_v1" {
///         /// The poll's id.
///         pub id: String,
///         /// Where it is asked.
///         pub group_id: String,
///         /// Who may find it.
///         pub audience: String,
///         /// The question.
///         pub question: String,
///         /// Place in the log of its opening; lists are ordered by it.
///         pub position: i64,
///     }
///     index "by_group" (group_id, position);
///     search (question) for audience;
/// }
/// assert_eq!(PollRow::COLUMNS, "id, group_id, audience, question, position");
/// ```
#[macro_export]
macro_rules! row {
    (@search) => {
        None
    };
    (@search ($($searched:ident),+) for $audience:ident) => {
        Some($crate::row::Search { columns: &[$(stringify!($searched)),+], audience: stringify!($audience) })
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $table:literal {
            $(#[$key_meta:meta])* $key_vis:vis $key:ident: String
            $(, $(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty)* $(,)?
        }
        $(index $index:literal ($($indexed:ident),+ $(,)?);)*
        $(search ($($searched:ident),+ $(,)?) for $audience:ident;)?
        $(masked ($($masked:ident),+ $(,)?) unless $column:ident = $word:literal;)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $(#[$key_meta])* $key_vis $key: String,
            $($(#[$field_meta])* $field_vis $field: $type,)*
        }

        impl $crate::FromValues for $name {
            fn from_values(values: Vec<$crate::Value>) -> Result<Self, $crate::ColumnError> {
                let mut columns = $crate::value::Columns::new(values);
                Ok(Self { $key: columns.take()?, $($field: columns.take()?,)* })
            }
        }

        impl $crate::Row for $name {
            const COLUMNS: &'static str = concat!(stringify!($key) $(, ", ", stringify!($field))*);
            const TABLE: $crate::Table = $crate::Table {
                name: $table,
                columns: &[
                    $crate::row::Column { name: stringify!($key), kind: $crate::value::Kind::Text, meaning: $crate::value::Meaning::Plain, nullable: false },
                    $($crate::row::Column {
                        name: stringify!($field),
                        kind: <$type as $crate::value::ColumnType>::KIND,
                        meaning: <$type as $crate::value::ColumnType>::MEANING,
                        nullable: <$type as $crate::value::ColumnType>::NULLABLE,
                    },)*
                ],
                indexes: &[$($crate::row::Index { name: $index, columns: &[$(stringify!($indexed)),+] }),*],
                search: $crate::row!(@search $(($($searched),+) for $audience)?),
                discretion: [
                    $(Some($crate::row::Discretion {
                        columns: &[$(stringify!($masked)),+],
                        column: stringify!($column),
                        word: $word,
                    }),)?
                    None,
                ][0],
            };

            fn into_values(self) -> Vec<$crate::Value> {
                vec![
                    $crate::value::ColumnType::into_value(self.$key),
                    $($crate::value::ColumnType::into_value(self.$field),)*
                ]
            }

            fn size(&self) -> usize {
                std::mem::size_of::<Self>() + $crate::value::ColumnType::heap(&self.$key) $(+ $crate::value::ColumnType::heap(&self.$field))*
            }
        }
    };
}

/// Declares what a query returns per row, column by column, where tuples would be unreadable.
///
/// ```
/// circolo_projections::record! {
///     /// A question in a list, with the name of its group.
///     pub struct Listed { pub id: String, pub group_name: Option<String> }
/// }
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),+ }

        impl $crate::FromValues for $name {
            fn from_values(values: Vec<$crate::Value>) -> Result<Self, $crate::ColumnError> {
                let mut columns = $crate::value::Columns::new(values);
                Ok(Self { $($field: columns.take()?),+ })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ColumnError;
    use circolo_domain::Timestamp;

    row! {
        /// All column types there are.
        struct Every in "every_v1" {
            id: String,
            count: i64,
            share: f64,
            open: bool,
            at: Timestamp,
            note: Option<String>,
        }
        index "by_count" (count, id);
        search (note) for id;
    }

    fn every() -> Every {
        Every { id: "a".into(), count: 3, share: 0.5, open: true, at: Timestamp::from_micros(7), note: None }
    }

    #[test]
    fn a_row_knows_its_table() {
        let table = Every::TABLE;
        assert_eq!((table.name, table.key(), Every::COLUMNS), ("every_v1", "id", "id, count, share, open, at, note"));
        assert_eq!(table.columns_of("e"), "e.id, e.count, e.share, e.open, e.at, e.note");
        assert_eq!(table.columns.iter().filter(|c| c.nullable).map(|c| c.name).collect::<Vec<_>>(), ["note"]);
        assert_eq!(table.indexes, [Index { name: "by_count", columns: &["count", "id"] }]);
        assert_eq!(table.search, Some(Search { columns: &["note"], audience: "id" }));
        let meanings: Vec<Meaning> = table.columns.iter().map(|column| column.meaning).collect();
        let plain = Meaning::Plain;
        assert_eq!(meanings, [plain, plain, plain, Meaning::Truth, Meaning::Time, plain]);
    }

    #[test]
    fn values_go_out_and_come_back() {
        let values = every().into_values();
        assert_eq!(values[3], Value::Int(1));
        assert_eq!(Every::from_values(values), Ok(every()));
    }

    #[test]
    fn a_wrong_column_is_named() {
        let error = Every::from_values(vec![Value::from("a"), Value::Null]).unwrap_err();
        assert_eq!(error, ColumnError { column: 1, expected: "i64", found: "Null".into() });
    }

    #[test]
    fn keys_given_twice_count_once() {
        assert_eq!(Keys::from(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]).as_slice(), ["a", "b"]);
        assert_eq!(Keys::from(None).as_slice(), [""; 0]);
    }
}
