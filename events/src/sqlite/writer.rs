//! Writing: one thread that commits what waits as one transaction.

use super::{Joined, Options, WriteBack, id_index::IdIndex, reader, schema};
use crate::{
    batch::{Batch, Outcome, Queue, Request},
    rules::{check, signed, unsigned},
    store::{Append, Appended, Damage, Expected, NewEvent, Position, Revision, StoreError},
};
use circolo_domain::StreamName;
use quick_cache::unsync::Cache;
use rusqlite::{CachedStatement, Connection, ErrorCode};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::sync::{mpsc::Receiver, watch};

/// The writer thread; dropping it writes what waits and closes the file.
#[derive(Debug)]
pub struct Writer {
    /// Dropped before the thread, which ends when nothing can come any more.
    pub queue: Queue,
    head: watch::Sender<Position>,
    failing: Arc<AtomicBool>,
    _thread: Joined,
}

impl Writer {
    pub fn start(connection: Connection, path: &Path, options: &Options) -> Result<Self, super::OpenError> {
        let (queue, requests) = Queue::new(options.queue, LARGEST);
        let head = watch::Sender::new(reader::head(&connection).map_err(|fault| Box::new(StoreError::from(fault)))?);
        let write_back = WriteBack::start(&connection, path)?;
        let failing = Arc::<AtomicBool>::default();
        let heads = Heads(Cache::new(options.heads));
        let (ids, seen, failed) = (IdIndex::Made, head.clone(), Arc::clone(&failing));
        let mut log = Log { write_back, connection, heads, ids, head: seen, failing: failed, bulk: false };
        let thread = thread::Builder::new().name("log-writer".to_owned()).spawn(move || log.run(requests))?;
        Ok(Self { queue, head, failing, _thread: Joined(vec![thread]) })
    }

    pub fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Did the last transaction come to nothing? Turns false with the next one that does not.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

/// Last revisions of streams, as this thread wrote or read them. A hint: the unique index is the proof.
struct Heads(Cache<StreamName, Revision>);

impl Heads {
    fn current(&mut self, connection: &Connection, stream: &StreamName) -> rusqlite::Result<Option<Revision>> {
        if let Some(revision) = self.0.get(stream) {
            return Ok(Some(*revision));
        }
        let current = head_of(connection, stream)?;
        if let Some(revision) = current {
            self.0.insert(stream.clone(), revision);
        }
        Ok(current)
    }

    fn set(&mut self, stream: &StreamName, revision: Revision) {
        if let Some(mut known) = self.0.get_mut(stream) {
            *known = revision;
            return;
        }
        self.0.insert(stream.clone(), revision);
    }
}

fn head_of(connection: &Connection, stream: &StreamName) -> rusqlite::Result<Option<Revision>> {
    let mut statement = connection.prepare_cached("SELECT max(revision) FROM events WHERE stream = ?1")?;
    statement.query_row([stream.as_str()], |row| row.get::<_, Option<i64>>(0)).map(|revision| revision.map(unsigned))
}

/// What the writer thread owns.
struct Log {
    /// Ended before the connection is closed, which is the last one and tidies up.
    write_back: WriteBack,
    connection: Connection,
    heads: Heads,
    ids: IdIndex,
    head: watch::Sender<Position>,
    /// Whether the last transaction came to nothing.
    failing: Arc<AtomicBool>,
    /// Whether the page cache is that of bulk writes.
    bulk: bool,
}

/// From so many events on, a transaction is a bulk write.
const BULK: usize = 2_048;
/// A bulk write of a million random ids in transactions of 16,384 events writes each page of two indexes 40 times over.
const LARGEST: usize = 65_536;

/// Why a whole transaction came to nothing.
struct Failure {
    source: Arc<rusqlite::Error>,
    /// Whether it is certain that nothing was written.
    certain: bool,
}

impl Failure {
    fn error(&self) -> StoreError {
        let source = Box::new(Arc::clone(&self.source));
        let code = self.source.sqlite_error_code();
        match self.certain {
            true if matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                StoreError::Damaged { place: Damage::default(), source }
            }
            true => StoreError::Unavailable(source),
            false => StoreError::Unknown(source),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    /// An error before the commit: the transaction is rolled back.
    fn from(source: rusqlite::Error) -> Self {
        Self { source: Arc::new(source), certain: true }
    }
}

impl Log {
    fn run(&mut self, mut requests: Receiver<Request>) {
        let mut batch = Batch::default();
        while let Some(first) = requests.blocking_recv() {
            batch.fill(first, &mut requests);
            let written = self.write(&batch);
            self.failing.store(written.is_err(), Ordering::Relaxed);
            match written {
                Ok((outcomes, head)) => {
                    if head > *self.head.borrow() {
                        self.head.send_replace(head);
                    }
                    batch.answer(outcomes.into_iter());
                    self.write_back.committed(&self.connection);
                }
                Err(failure) => {
                    tracing::error!(error = %failure.source, certain = failure.certain, "a transaction of the log failed");
                    self.heads.0.clear();
                    batch.answer(std::iter::repeat_with(|| Err(failure.error())));
                }
            }
        }
        if let Err(error) = self.ids.make(&self.connection) {
            tracing::error!(%error, "the index of the log's ids was not made; whoever opens the log next makes it");
        }
    }

    /// A bulk write enters ids all over two indexes: with their pages in memory it takes half the time. Otherwise a small cache
    /// is the fast one (see [`schema::open_for_writing`]).
    fn fit_cache(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let bulk = batch.appends().map(|append| append.events.len()).sum::<usize>() >= BULK;
        if bulk != self.bulk {
            self.connection.pragma_update(None, "cache_size", if bulk { schema::BULK_CACHE } else { schema::CACHE })?;
            self.bulk = bulk;
        }
        Ok(())
    }

    /// Writes a batch as one transaction; the outcomes of its entries in order, and the log's head.
    fn write(&mut self, batch: &Batch) -> Result<(Vec<Outcome>, Position), Failure> {
        self.fit_cache(batch)?;
        let empty = *self.head.borrow() == Position::START;
        self.ids.before(&self.connection, batch, self.bulk, empty)?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let written = self.insert(batch);
        let failure = match written {
            Ok(written) => match self.commit() {
                Ok(()) => return Ok(written),
                Err(failure) => failure,
            },
            Err(source) => source.into(),
        };
        if !self.connection.is_autocommit() {
            // If this fails too, the next BEGIN fails and says so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        Err(failure)
    }

    fn commit(&self) -> Result<(), Failure> {
        let result = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        match result {
            Ok(_) => Ok(()),
            // Busy: SQLite did not begin to commit. Anything else may have left the commit in the WAL, where a crash
            // before the next commit would bring it back.
            Err(source) => Err(Failure { certain: source.sqlite_error_code() == Some(ErrorCode::DatabaseBusy), source: Arc::new(source) }),
        }
    }

    fn insert(&mut self, batch: &Batch) -> rusqlite::Result<(Vec<Outcome>, Position)> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO events (stream, revision, event_id, type, data, metadata, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut outcomes = Vec::new();
        let mut head = Position::START;
        for append in batch.appends() {
            let outcome = append_one(&self.connection, &mut insert, &mut self.heads, append)?;
            if let Ok(appended) = &outcome {
                head = appended.position;
            }
            outcomes.push(outcome);
        }
        Ok((outcomes, head))
    }
}

/// Appends one entry within the transaction. An outer error ends the transaction, an inner one concerns this entry alone.
fn append_one(connection: &Connection, insert: &mut CachedStatement<'_>, heads: &mut Heads, append: &Append) -> rusqlite::Result<Outcome> {
    if let Err(invalid) = check(append) {
        return Ok(Err(invalid));
    }
    let current = heads.current(connection, &append.stream)?;
    if Expected::of(current) != append.expected {
        return Ok(Err(StoreError::Conflict { stream: append.stream.clone(), current }));
    }
    let first = append.expected.next();
    let mut last = Appended { revision: first, position: Position::START };
    for (revision, event) in (first..).zip(&append.events) {
        match insert_one(insert, &append.stream, revision, event) {
            Ok(()) => last = Appended { revision, position: Position(connection.last_insert_rowid()) },
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                // The id or the revision is taken: what this entry wrote so far is taken back.
                heads.0.remove(&append.stream);
                take_back(connection, last.position, revision - first)?;
                let current = head_of(connection, &append.stream)?;
                return Ok(Err(StoreError::Conflict { stream: append.stream.clone(), current }));
            }
            Err(error) => return Err(error),
        }
    }
    heads.set(&append.stream, last.revision);
    Ok(Ok(last))
}

fn insert_one(insert: &mut CachedStatement<'_>, stream: &StreamName, revision: Revision, event: &NewEvent) -> rusqlite::Result<()> {
    insert.execute((
        stream.as_str(),
        signed(revision),
        event.id.as_bytes().as_slice(),
        &event.event_type,
        &event.data,
        &event.metadata,
        event.recorded_at.micros(),
    ))?;
    Ok(())
}

/// Deletes the last `count` events of this transaction, which end at `last`.
fn take_back(connection: &Connection, last: Position, count: u64) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM events WHERE position > ?1 AND position <= ?2")?;
    delete.execute((last.0 - signed(count), last.0))?;
    Ok(())
}
