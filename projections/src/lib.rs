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
//! - one module per slice, in folders by pillar: [`community`], [`market`], [`care`]; beside them [`deadlines`],
//!   [`feeds`], [`media`], [`notifications`] and [`people`]
//!
//! Modules of the folders are known at the crate's root, too: `circolo_projections::questions`.

pub mod as_of;
pub mod audience;
pub mod care;
pub mod community;
pub mod db;
pub mod deadlines;
mod engine;
pub mod feeds;
pub mod figures;
pub mod market;
pub mod media;
pub mod notifications;
pub mod past;
pub mod people;
pub mod projection;
pub mod row;
pub mod search;
pub mod terms;
pub mod value;
pub mod veil;

pub use care::*;
pub use community::*;
pub use market::*;

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

/// All read models of the product, sorted by name: one line per pillar, and one per slice of none.
pub fn all() -> Vec<Projection> {
    let mut all = [
        care::all(),
        community::all(),
        market::all(),
        vec![deadlines::deadlines(), feeds::feeds(), media::media(), notifications::notifications(), people::people()],
    ]
    .concat();
    all.sort_by_key(|projection| projection.name);
    all
}
