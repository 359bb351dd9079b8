//! History on its way out of a log and into another one.
//!
//! - [`mod@line`]: an event as others read it, one JSON object a line, masked or not
//! - [`filter`]: which events; [`Pages`] reads them page by page
//! - [`text`]: NDJSON and CSV, resumable; [`ranges`]: Parquet, a file per closed range of positions, with a manifest
//! - [`parquet_file`]: one of them, column by column
//! - [`import`]: the way back, into an empty log; `owning`: whose the texts of what comes in are
//! - [`mod@copy`]: a whole log, into another one on whichever engine, compared event by event
//! - [`time_index`]: the position that a time stands for; [`masked_view`]: a log up to an end, masked or not

pub mod copy;
pub mod filter;
pub mod import;
pub mod line;
pub mod masked_view;
mod owning;
#[cfg(feature = "parquet")]
pub mod parquet_file;
#[cfg(feature = "parquet")]
pub mod ranges;
pub mod text;
pub mod time_index;

pub use filter::{Batch, Filter, Pages};
pub use line::Line;
pub use masked_view::MaskedView;
pub use time_index::TimeIndex;

use crate::{EventStore, LogId, Position, StoreError, Stored, private};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// What is exported. A run that goes on with the work of another must have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The log.
    pub log: LogId,
    /// Which of its events.
    pub filter: Filter,
    /// Whether personal texts are null.
    pub masked: bool,
}

/// An export.
pub struct Job<'a> {
    /// The log.
    pub store: &'a dyn EventStore,
    /// What of it.
    pub subject: Subject,
    /// Up to and including this position: the log's head when the export was asked for, or what the filter says.
    pub end: Position,
    /// Told the position that was reached and how many events were written since the last call.
    pub progress: &'a mut (dyn FnMut(Position, u64) + Send),
}

impl<'a> Job<'a> {
    /// Where the events come from: what is masked needs no key.
    fn log(&self) -> &'a dyn EventStore {
        match self.store.sealing() {
            Some(log) if self.subject.masked => &**log.kept(),
            _ => self.store,
        }
    }
}

/// What came of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Events written, in this run and those it went on with.
    pub events: u64,
    /// All events that were wanted up to here are written.
    pub end: Position,
}

/// An event that an export has seen. A log that was restored from an older copy and has gone on holds others at its places: an
/// export that goes on with what is there asks for it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    position: Position,
    id: Uuid,
}

impl Seen {
    fn last(events: &[Stored]) -> Option<Self> {
        events.last().map(|stored| Self { position: stored.position, id: stored.event.id })
    }

    /// Whether the log still holds it where it was, and all up to `through`.
    async fn stands(seen: Option<Self>, through: Position, store: &dyn EventStore) -> Result<bool, StoreError> {
        let Some(Self { position, id }) = seen else { return Ok(true) };
        Ok(store.head().await? >= through && store.at(position).await?.is_some_and(|stored| stored.event.id == id))
    }
}

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// What is there was begun with other events in mind.
    #[error("{0} belongs to another export: of another log or with another filter, format or masking; choose another path, or remove it")]
    Other(PathBuf),
    /// What is there holds events that the log does not, or no longer, hold at their places.
    #[error(
        "{0} was begun before the log was restored from an older copy, and other events stand in it now; choose another path, or remove it"
    )]
    OtherHistory(PathBuf),
    /// A file of this kind cannot be written.
    #[cfg(feature = "parquet")]
    #[error("{0}: {1}")]
    Parquet(PathBuf, #[source] ::parquet::errors::ParquetError),
}

impl ExportError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File(path, error)
    }
}

/// Where an export ends: the log's head now, unless the filter ends earlier.
pub async fn end(store: &dyn EventStore, filter: &Filter) -> Result<Position, StoreError> {
    let head = store.head().await?;
    Ok(filter.to.map_or(head, |to| to.min(head)))
}

/// Reads a JSON file; `None` if there is none.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ExportError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(|error| ExportError::File(path.to_owned(), error.into()))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ExportError::file(path)(error)),
    }
}

/// Replaces a file as a whole: who reads it sees the old or the new content, even after a crash.
fn write_json(path: &Path, content: &impl Serialize) -> Result<(), ExportError> {
    let temporary = beside(path, "new");
    let write = || {
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        let mut file = private::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(ExportError::file(path))
}

/// `path` with another suffix behind its name: `events.ndjson.partial`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
