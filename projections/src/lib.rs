//! Circolo's read models: rows are folds over the log.
//!
//! A slice declares row types ([`row!`]), their folds ([`Fold`]) and a [`Projection`], and holds its queries ([`Db`]).
//! It holds no write SQL: the engine owns the rest.
//!
//! - [`row`], [`value`], [`projection`]: declarations
//! - [`db`], [`search`], [`audience`]: queries on SQLite and Postgres
//! - one module per slice: [`groups`], [`memberships`], [`people`], [`questions`]

pub mod audience;
pub mod db;
mod ddl;
pub mod groups;
pub mod memberships;
pub mod people;
pub mod projection;
pub mod questions;
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
    vec![groups::groups(), memberships::memberships(), people::people(), questions::questions()]
}
