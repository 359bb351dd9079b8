//! What crosses the border to a database: integers, floats, text, lists of text and null.

use circolo_domain::{AnswerId, CommentId, GroupId, PageId, PersonId, PostId, QuestionId, Timestamp};
use uuid::Uuid;

/// One value of a row or one parameter of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// `BIGINT`.
    Int(i64),
    /// `DOUBLE PRECISION`.
    Float(f64),
    /// `TEXT`.
    Text(String),
    /// A list of texts; only as a parameter, for `column = ANY($1)`.
    List(Vec<String>),
}

/// A column holds something else than the code expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}, found {found}")]
pub struct ColumnError {
    /// Place of the column in the row, from 0.
    pub column: usize,
    /// What the code asked for.
    pub expected: &'static str,
    /// What was there.
    pub found: String,
}

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `TEXT`.
    Text,
    /// `BIGINT`.
    Int,
    /// `DOUBLE PRECISION`.
    Float,
}

/// What the numbers of a column stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Meaning {
    /// Themselves.
    #[default]
    Plain,
    /// 0 for no, 1 for yes.
    Truth,
    /// Microseconds since 1970; the greatest number for never.
    Time,
}

/// A Rust type that a column can have.
pub trait ColumnType: Sized {
    /// How it is stored.
    const KIND: Kind;
    /// What its numbers stand for.
    const MEANING: Meaning = Meaning::Plain;
    /// May the column be null?
    const NULLABLE: bool = false;

    /// To the database.
    fn into_value(self) -> Value;

    /// From the database; `Err` gives the value back.
    fn from_value(value: Value) -> Result<Self, Value>;

    /// Bytes on the heap, for the memory budget of a rebuild.
    fn heap(&self) -> usize {
        0
    }
}

macro_rules! column_types {
    ($($type:ty: $meaning:ident, $take:expr, $give:expr;)*) => {$(
        impl ColumnType for $type {
            const KIND: Kind = Kind::Int;
            const MEANING: Meaning = Meaning::$meaning;
            fn into_value(self) -> Value {
                let give: fn($type) -> Value = $give;
                give(self)
            }
            fn from_value(value: Value) -> Result<Self, Value> {
                let take: fn(Value) -> Result<$type, Value> = $take;
                take(value)
            }
        }
    )*};
}

column_types! {
    i64: Plain, |v| if let Value::Int(n) = v { Ok(n) } else { Err(v) }, Value::Int;
    bool: Truth, |v| if let Value::Int(n) = v { Ok(n != 0) } else { Err(v) }, |b| Value::Int(i64::from(b));
    Timestamp: Time, |v| if let Value::Int(n) = v { Ok(Timestamp::from_micros(n)) } else { Err(v) }, |t| Value::Int(t.micros());
}

/// The moment at which something ends, or none: never. Stored so that never comes after every moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct End(i64);

impl End {
    /// At `until`, or never.
    pub fn at(until: Option<Timestamp>) -> Self {
        Self(until.map_or(i64::MAX, Timestamp::micros))
    }

    /// Microseconds since 1970; the greatest number for never.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl ColumnType for End {
    const KIND: Kind = Kind::Int;
    const MEANING: Meaning = Meaning::Time;
    fn into_value(self) -> Value {
        Value::Int(self.0)
    }
    fn from_value(value: Value) -> Result<Self, Value> {
        if let Value::Int(micros) = value { Ok(Self(micros)) } else { Err(value) }
    }
}

impl ColumnType for f64 {
    const KIND: Kind = Kind::Float;
    fn into_value(self) -> Value {
        Value::Float(self)
    }
    #[expect(clippy::cast_precision_loss, reason = "SQLite stores whole floats as integers where that loses nothing")]
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Float(number) => Ok(number),
            Value::Int(number) => Ok(number as Self),
            other => Err(other),
        }
    }
}

impl ColumnType for String {
    const KIND: Kind = Kind::Text;
    fn into_value(self) -> Value {
        Value::Text(self)
    }
    fn from_value(value: Value) -> Result<Self, Value> {
        if let Value::Text(text) = value { Ok(text) } else { Err(value) }
    }
    fn heap(&self) -> usize {
        // What the allocator adds, roughly.
        const ADDED: usize = 16;
        if self.capacity() == 0 { 0 } else { self.capacity() + ADDED }
    }
}

impl<T: ColumnType> ColumnType for Option<T> {
    const KIND: Kind = T::KIND;
    const MEANING: Meaning = T::MEANING;
    const NULLABLE: bool = true;
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, T::heap)
    }
}

/// What a query returns per row: a [`crate::row!`] type, one column type, or a tuple of them.
pub trait FromValues: Sized {
    /// Reads the row's values, in the order of the query's columns.
    fn from_values(values: Vec<Value>) -> Result<Self, ColumnError>;
}

/// Takes the columns of a row one after the other.
pub struct Columns(std::iter::Enumerate<std::vec::IntoIter<Value>>);

impl Columns {
    /// Of this row.
    pub fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter().enumerate())
    }

    /// The next column.
    pub fn take<T: ColumnType>(&mut self) -> Result<T, ColumnError> {
        let expected = std::any::type_name::<T>();
        let (column, value) = self.0.next().ok_or_else(|| ColumnError { column: usize::MAX, expected, found: "no column".to_owned() })?;
        T::from_value(value).map_err(|found| ColumnError { column, expected, found: format!("{found:?}") })
    }
}

impl<T: ColumnType> FromValues for T {
    fn from_values(values: Vec<Value>) -> Result<Self, ColumnError> {
        Columns::new(values).take()
    }
}

macro_rules! tuples {
    ($(($($name:ident),+))*) => {$(
        impl<$($name: ColumnType),+> FromValues for ($($name,)+) {
            fn from_values(values: Vec<Value>) -> Result<Self, ColumnError> {
                let mut columns = Columns::new(values);
                Ok(($(columns.take::<$name>()?,)+))
            }
        }
    )*};
}

tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H) }

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Vec<String>> for Value {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

impl From<&[String]> for Value {
    fn from(list: &[String]) -> Self {
        Self::List(list.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! parameters {
    (columns: $($column:ty),*; texts: $($text:ty),*) => {
        $(impl From<$column> for Value {
            fn from(value: $column) -> Self {
                value.into_value()
            }
        })*
        $(impl From<$text> for Value {
            fn from(value: $text) -> Self {
                Self::Text(value.to_string())
            }
        })*
    };
}

parameters! { columns: i64, f64, bool, String, Timestamp; texts: Uuid, PersonId, GroupId, PageId, PostId, CommentId, QuestionId, AnswerId }

/// The parameters of a query: `params![id, after, limit]` for `$1`, `$2`, `$3`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::Value::from($value)),*] };
}
