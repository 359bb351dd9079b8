//! The log in one SQLite file: one writer thread with group commit, two reader threads.
//!
//! One process writes at a time; who opens the log for writing holds the folder's [`crate::DataLock`]. Others may read
//! beside it ([`Sqlite::open_read_only`]).

mod id_index;
mod library;
mod reader;
mod schema;
mod still;
mod write_back;
mod writer;

use crate::{
    DataLock,
    rules::beyond,
    store::{Append, Appended, EventStore, Examination, LogId, Page, Position, Revision, StoreError, Stored},
};
use async_trait::async_trait;
use circolo_domain::StreamName;
use reader::Readers;
use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};
use still::Reading;
use tokio::time::Instant;
use uuid::Uuid;
use writer::Writer;

pub use library::{ConnectError, connect};
pub use schema::OpenError;
pub use write_back::{LEFTOVER, WriteBack};

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Appends that may wait for the writer; beyond it the answer is [`StoreError::Busy`].
    pub queue: usize,
    /// Reads that may wait for a reader; beyond it the answer is [`StoreError::Busy`].
    pub read_queue: usize,
    /// Streams whose last revision the writer remembers.
    pub heads: usize,
    /// How long a statement waits for another process that blocks the file.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: 4_096, read_queue: 1_024, heads: 100_000, patience: Duration::from_secs(5) }
    }
}

/// The log in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    log_id: LogId,
    path: PathBuf,
    /// Closed before the writer, which tidies the file up as the last to leave.
    readers: Readers,
    /// Absent in a log that is opened for reading only.
    writer: Option<Writer>,
    /// Keeps others from writing where the file is read as it is.
    _still: Option<DataLock>,
}

impl Sqlite {
    /// Opens the log at `path` for reading and writing and creates it as `new_log_id` if it is not there.
    pub fn open(path: &Path, options: &Options, new_log_id: LogId) -> Result<Self, OpenError> {
        let connection = schema::open_for_writing(path, options)?;
        let log_id = schema::prepare(&connection, new_log_id)?;
        let readers = Readers::start(path, Reading::Beside, options)?;
        Ok(Self { log_id, path: path.to_owned(), writer: Some(Writer::start(connection, path, options)?), readers, _still: None })
    }

    /// Opens the log at `path` for reading; another process may be writing to it, and nothing need be writable.
    pub fn open_read_only(path: &Path, options: &Options) -> Result<Self, OpenError> {
        match Self::reading(path, Reading::Beside, options, None) {
            Err(error) if still::cannot_open(&error) && path.exists() => {
                let lock = still::hold(path)?;
                Self::reading(path, Reading::Still, options, lock)
            }
            outcome => outcome,
        }
    }

    fn reading(path: &Path, reading: Reading, options: &Options, still: Option<DataLock>) -> Result<Self, OpenError> {
        let log_id = schema::log_id(&schema::open_for_reading(path, reading, options)?)?;
        Ok(Self { log_id, path: path.to_owned(), writer: None, readers: Readers::start(path, reading, options)?, _still: still })
    }

    /// Another process writes: its appends are seen by asking again and again.
    async fn poll(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        const PAUSE: Duration = Duration::from_millis(20);
        let end = Instant::now() + wait;
        loop {
            let head = self.readers.run(reader::head).await?;
            if head > after || Instant::now() >= end {
                return Ok(head);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Threads that are waited for when this is dropped: their connections are closed then.
#[derive(Debug)]
struct Joined(Vec<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn read_only() -> StoreError {
    StoreError::Unavailable("the log is opened for reading only".into())
}

#[async_trait]
impl EventStore for Sqlite {
    fn log_id(&self) -> LogId {
        self.log_id
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        match &self.writer {
            Some(writer) => writer.queue.append(append).await,
            None => Err(read_only()),
        }
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        match &self.writer {
            Some(writer) => writer.queue.append_many(appends).await,
            None => appends.iter().map(|_| Err(read_only())).collect(),
        }
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let stream = stream.clone();
        self.readers.run(move |db| reader::stream(db, &stream, from, limit)).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        let prefix = prefix.to_owned();
        self.readers.run(move |db| reader::prefix(db, &prefix, after, until, limit)).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.readers.run(move |db| reader::all(db, after, Position(i64::MAX), limit)).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        match &self.writer {
            Some(writer) => Ok(*writer.head().borrow()),
            None => self.readers.run(reader::head).await,
        }
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        let stream = stream.clone();
        self.readers.run(move |db| reader::find(db, &stream, command_id)).await
    }

    async fn is_partial(&self) -> Result<bool, StoreError> {
        self.readers.run(|db| Ok(schema::is_partial(db)?)).await
    }

    async fn examine(&self) -> Result<Examination, StoreError> {
        self.readers.run(reader::examine).await
    }

    async fn set_partial(&self, partial: bool) -> Result<(), StoreError> {
        if self.writer.is_none() {
            return Err(read_only());
        }
        let path = self.path.clone();
        let said = tokio::task::spawn_blocking(move || schema::set_partial(&path, partial)).await;
        said.map_err(|panic| StoreError::Unavailable(panic.into()))?.map_err(|error| StoreError::Unavailable(error.into()))
    }

    async fn reach(&self) -> Result<(), StoreError> {
        self.readers.run(reader::head).await?;
        if !self.writer.as_ref().is_some_and(Writer::is_failing) {
            return Ok(());
        }
        // Whoever asks may be who decides whether anybody appends here again: so it is tried out.
        let path = self.path.clone();
        let tried = tokio::task::spawn_blocking(move || schema::try_to_write(&path)).await;
        tried.map_err(|panic| StoreError::Unavailable(panic.into()))?.map_err(|error| StoreError::Unavailable(error.into()))
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        match &self.writer {
            Some(writer) => Ok(beyond(writer.head(), after, wait).await),
            None => self.poll(after, wait).await,
        }
    }
}
