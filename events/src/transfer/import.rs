//! The way back: an unmasked export in NDJSON becomes the history of an empty log.
//!
//! The whole file is checked before anything is written: what is refused leaves the log as empty as it was.

use super::Line;
use crate::{Append, EventStore, Expected, Position, Revision, StoreError, Stored};
use circolo_domain::DecodeError;
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

/// Events per call of [`EventStore::append_many`].
const BATCH: usize = 64_000;

/// Why a history is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is history already.
    #[error("the log holds events already; a history is imported into an empty log only")]
    NotEmpty,
    /// The file.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// A line of it.
    #[error("line {line}: {fault}; nothing was imported")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The log, while it was written to.
    #[error("line {line} could not be written, those before it were: {source}; begin again with an empty log")]
    Store {
        /// Counted from 1.
        line: u64,
        /// Why.
        source: StoreError,
    },
    /// The log, before anything was written to it.
    #[error(transparent)]
    Log(StoreError),
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not an event as `circolo events export` writes it.
    #[error("not an exported event: {0}")]
    Shape(serde_json::Error),
    /// Its personal texts are gone.
    #[error("the event is masked; only an export made with --unmask can be imported")]
    Masked,
    /// The domain does not know it.
    #[error(transparent)]
    Decode(DecodeError),
    /// It stands in a stream of another category.
    #[error("{event_type} does not belong in the stream {stream}")]
    Stream {
        /// What it is.
        event_type: String,
        /// Where it stands.
        stream: String,
    },
    /// Something before it is missing, or it is there twice.
    #[error("{stream} goes on with revision {expected}, not {found}: a history is whole, so export it without filters")]
    Revision {
        /// The stream.
        stream: String,
        /// What comes next.
        expected: Revision,
        /// What the line says.
        found: Revision,
    },
    /// Positions do not rise.
    #[error("position {0} does not come after the one before")]
    Order(Position),
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// How many events.
    pub events: u64,
    /// Of how many streams.
    pub streams: u64,
    /// Where the log ends now.
    pub head: Position,
}

/// Imports `path` into `store`. `progress` is told the bytes that were read since the last call; the file is read twice.
pub async fn import(store: &dyn EventStore, path: &Path, mut progress: impl FnMut(u64)) -> Result<Imported, ImportError> {
    if store.head().await.map_err(ImportError::Log)? != Position::START {
        return Err(ImportError::NotEmpty);
    }
    let mut check = Check::default();
    let mut lines = Lines::open(path)?;
    while let Some((number, line)) = lines.next(&mut progress)? {
        check.line(line).map_err(|fault| ImportError::Line { line: number, fault })?;
    }
    let streams = check.next.len() as u64;
    drop(check);
    let mut batch = Batch::default();
    let mut lines = Lines::open(path)?;
    while let Some((number, line)) = lines.next(&mut progress)? {
        batch.add(number, line.into());
        if batch.events >= BATCH {
            std::mem::take(&mut batch).write(store).await?;
        }
    }
    batch.write(store).await?;
    Ok(Imported { events: lines.number, streams, head: store.head().await.map_err(ImportError::Log)? })
}

/// The lines of a file, counted.
struct Lines {
    file: BufReader<File>,
    number: u64,
    text: String,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 20, File::open(path)?), number: 0, text: String::new() })
    }

    fn next(&mut self, progress: &mut impl FnMut(u64)) -> Result<Option<(u64, Line)>, ImportError> {
        self.text.clear();
        let bytes = self.file.read_line(&mut self.text)?;
        if bytes == 0 {
            return Ok(None);
        }
        progress(bytes as u64);
        self.number += 1;
        let line = serde_json::from_str(&self.text);
        Ok(Some((self.number, line.map_err(|error| ImportError::Line { line: self.number, fault: Fault::Shape(error) })?)))
    }
}

/// What is known of the lines so far.
#[derive(Default)]
struct Check {
    /// The revision that comes next, by stream.
    next: HashMap<String, Revision>,
    position: Position,
}

impl Check {
    fn line(&mut self, line: Line) -> Result<(), Fault> {
        if line.masked || line.data.is_none() {
            return Err(Fault::Masked);
        }
        let stored = Stored::from(line);
        let recorded = stored.decode().map_err(Fault::Decode)?;
        let stream = stored.stream.to_string();
        if stored.stream.category() != recorded.event.category() {
            return Err(Fault::Stream { event_type: stored.event.event_type, stream });
        }
        if stored.position <= self.position {
            return Err(Fault::Order(stored.position));
        }
        self.position = stored.position;
        let expected = self.next.get(&stream).copied().unwrap_or(0);
        if stored.revision != expected {
            return Err(Fault::Revision { stream, expected, found: stored.revision });
        }
        self.next.insert(stream, expected + 1);
        Ok(())
    }
}

/// Appends that are written together.
#[derive(Default)]
struct Batch {
    appends: Vec<Append>,
    /// The line that each of them begins with.
    lines: Vec<u64>,
    events: usize,
}

impl Batch {
    fn add(&mut self, line: u64, stored: Stored) {
        self.events += 1;
        let Stored { stream, revision, event, .. } = stored;
        // Events of one stream that follow one another were mostly appended together.
        match self.appends.last_mut() {
            Some(last) if last.stream == stream => last.events.push(event),
            _ => {
                self.appends.push(Append { stream, expected: Expected::of(revision.checked_sub(1)), events: vec![event] });
                self.lines.push(line);
            }
        }
    }

    async fn write(self, store: &dyn EventStore) -> Result<(), ImportError> {
        if self.appends.is_empty() {
            return Ok(());
        }
        for (outcome, line) in store.append_many(self.appends).await.into_iter().zip(self.lines) {
            outcome.map_err(|source| ImportError::Store { line, source })?;
        }
        Ok(())
    }
}
