//! Circolo's read models: rows are folds over the log.
//!
//! A slice declares row types ([`row!`]), their folds ([`Fold`]) and a [`Projection`], and holds its queries ([`Db`]).
//! It holds no write SQL: the engine owns the rest.
//!
//! - [`mod@row`], [`value`], [`mod@projection`]: declarations
//! - [`db`], [`search`], [`audience`]: queries on SQLite and Postgres; [`figures`]: counts by what a reader may read
//! - `veil`: words that not all readers of a thing may read
//! - [`as_of`]: read models as of a moment, as a file; [`past`]: rows as of a position, of a few streams
//! - `engine`: feeds, builds, switches and verifies every read model ([`Projector`])
//! - one module per slice: [`comments`], [`conversations`] with [`response_rates`], [`deadlines`], [`feeds`], [`groups`],
//!   [`listings`] with [`catalogue`], [`memberships`], [`page_comments`], [`pages`], [`people`], [`posts`], [`questions`],
//!   [`reactions`], [`staff_offers`]

pub mod as_of;
pub mod audience;
pub mod catalogue;
pub mod comments;
pub mod conversations;
pub mod db;
pub mod deadlines;
mod engine;
pub mod feeds;
pub mod figures;
pub mod groups;
pub mod listings;
pub mod memberships;
pub mod page_comments;
pub mod pages;
pub mod past;
pub mod people;
pub mod posts;
pub mod projection;
pub mod questions;
pub mod reactions;
pub mod response_rates;
pub mod row;
pub mod search;
pub mod sellers;
pub mod staff_offers;
pub mod terms;
pub mod value;
pub mod veil;

pub use db::{
    Db, DbError, Dialect, Sql,
    file::{FileError, NewFile, damage_of},
};
/// For tests that fill tables themselves.
#[doc(hidden)]
pub use engine::tables::ddl::Physical;
pub use engine::{
    context::{
        error::EngineError,
        options::{Clock, Mismatch, Node, Options},
    },
    leadership::lease::Holder,
    operations::{
        left_out::ParkedStream,
        operator::Disposable,
        report::{Difference, Report, Verification},
        status::Status,
    },
    prepare::{missing, prepare},
    projector::{Behind, Projector},
    tables::{
        build::{BuildId, Limits, State, Switch},
        checkpoints::Checkpoints,
        parked::Parked,
        sample::{Sampling, Size as SampleSize},
    },
};
pub use projection::{OnPoison, Projection, projection};
pub use row::{Fold, Keys, Row, Table};
pub use value::{ColumnError, FromValues, Value};

/// All read models of the product: one line per slice, sorted.
pub fn all() -> Vec<Projection> {
    vec![
        comments::comments(),
        conversations::conversations(),
        deadlines::deadlines(),
        feeds::feeds(),
        groups::groups(),
        listings::listings(),
        memberships::memberships(),
        page_comments::page_comments(),
        pages::pages(),
        people::people(),
        posts::posts(),
        questions::questions(),
        reactions::reactions(),
        sellers::sellers(),
        staff_offers::staff_offers(),
    ]
}
