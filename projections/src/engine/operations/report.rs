//! What verifications find.

use crate::{
    Value,
    engine::tables::{build::BuildId, sample::Sampling},
};
use circolo_domain::Timestamp;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// The projection.
    pub name: String,
    /// The build that is live.
    pub build: i64,
    /// How many rows it has.
    pub rows: i64,
    /// How many rows were compared: those of the sample, or all.
    pub compared: i64,
    /// How many of them differ, are missing or are too many.
    pub different: i64,
    /// The first differences of each table.
    pub differences: Vec<Difference>,
    /// What the database itself finds wrong with the live build, in its words.
    pub damage: Vec<String>,
    /// What of it could not be looked at, and why.
    pub left_out: Option<String>,
}

/// One value, or one whole row, that is not what the log says.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The declared table.
    pub table: &'static str,
    /// The row.
    pub key: String,
    /// The column; `None` where the whole row is missing or too many.
    pub column: Option<&'static str>,
    /// What is live: `Null` for a missing row.
    pub live: Value,
    /// What the log says: `Null` for a row that should not be.
    pub folded: Value,
}

/// A verification: under way, or the last one.
#[derive(Debug, Clone)]
pub struct Report {
    /// The projection.
    pub name: String,
    /// The build that is live.
    pub build: i64,
    /// The second fold.
    pub check: BuildId,
    /// The sample that was asked for; `None` for all rows.
    pub sampling: Option<Sampling>,
    /// When it was begun.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// What it came to; an error is told in words.
    pub outcome: Option<Result<Verification, String>>,
}
