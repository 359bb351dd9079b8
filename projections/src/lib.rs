//! Circolo's read models: rows are folds over the log.
//!
//! A slice declares row types ([`row!`]), their folds ([`Fold`]) and a [`Projection`], and holds its queries ([`Db`]).
//! It holds no write SQL: the engine owns the rest.
//!
//! - [`row`], [`value`], [`projection`]: declarations
//! - [`db`], [`search`]: queries on SQLite and Postgres

pub mod db;
mod ddl;
pub mod projection;
pub mod row;
mod rows;
pub mod search;
pub mod value;

pub use db::{Db, DbError, Dialect, Sql};
pub use projection::{Projection, projection};
pub use row::{Fold, Keys, Row, Table};
pub use value::{ColumnError, FromValues, Value};

/// All read models of the product: one line per slice, sorted.
pub fn all() -> Vec<Projection> {
    vec![]
}
