//! Writing: one thread that commits what waits as one transaction.

use super::{
    Options,
    reader::{self, signed, unsigned},
};
use crate::{
    rules::{check, size},
    store::{Append, Appended, Expected, NewEvent, Position, Revision, StoreError},
};
use circolo_domain::StreamName;
use quick_cache::unsync::Cache;
use rusqlite::{CachedStatement, Connection, ErrorCode};
use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::{
    mpsc::{Receiver, Sender, channel, error::TrySendError},
    oneshot, watch,
};

/// A transaction takes no further request beyond so many events or bytes.
const BATCH_EVENTS: usize = 8_192;
const BATCH_BYTES: usize = 8 << 20;

type Outcome = Result<Appended, StoreError>;

enum Request {
    One(Append, oneshot::Sender<Outcome>),
    Many(Vec<Append>, oneshot::Sender<Vec<Outcome>>),
}

/// The writer thread; dropping it writes what waits and closes the file.
#[derive(Debug)]
pub struct Writer {
    requests: Option<Sender<Request>>,
    head: watch::Sender<Position>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(connection: Connection, options: &Options) -> Result<Self, super::OpenError> {
        let (requests, queue) = channel(options.queue);
        let head = watch::Sender::new(reader::head(&connection)?);
        let mut log = Log { connection, heads: Heads(Cache::new(options.heads)), head: head.clone() };
        let thread = thread::Builder::new().name("log-writer".to_owned()).spawn(move || log.run(queue))?;
        Ok(Self { requests: Some(requests), head, thread: Some(thread) })
    }

    pub fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    pub async fn append(&self, append: Append) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.try_send(Request::One(append, reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Closed(_) => stopped(),
        })?;
        outcome.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Waits for a place in the queue: an import is slowed down, not refused.
    pub async fn append_many(&self, appends: Vec<Append>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(appends.len());
        let mut rest = appends.into_iter();
        loop {
            let part = portion(&mut rest);
            if part.is_empty() {
                return outcomes;
            }
            let entries = part.len();
            let (reply, part_outcomes) = oneshot::channel();
            let sent = match &self.requests {
                Some(requests) => requests.send(Request::Many(part, reply)).await.is_ok(),
                None => false,
            };
            match part_outcomes.await {
                Ok(part_outcomes) => outcomes.extend(part_outcomes),
                Err(_) => outcomes.extend((0..entries).map(|_| Err(if sent { lost() } else { stopped() }))),
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// As many entries as one transaction should take.
fn portion(rest: &mut std::vec::IntoIter<Append>) -> Vec<Append> {
    let (mut events, mut bytes) = (0, 0);
    let mut part = Vec::new();
    while events < BATCH_EVENTS
        && bytes < BATCH_BYTES
        && let Some(append) = rest.next()
    {
        events += append.events.len();
        bytes += size(&append);
        part.push(append);
    }
    part
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the log's writer has stopped".into())
}

fn lost() -> StoreError {
    StoreError::Unknown("the log's writer stopped before it answered".into())
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
    connection: Connection,
    heads: Heads,
    head: watch::Sender<Position>,
}

/// Why a whole transaction came to nothing.
struct Failure {
    source: Arc<rusqlite::Error>,
    /// Whether it is certain that nothing was written.
    certain: bool,
}

impl Failure {
    fn error(&self) -> StoreError {
        let source = Box::new(Arc::clone(&self.source));
        if self.certain { StoreError::Unavailable(source) } else { StoreError::Unknown(source) }
    }
}

impl From<rusqlite::Error> for Failure {
    /// An error before the commit: the transaction is rolled back.
    fn from(source: rusqlite::Error) -> Self {
        Self { source: Arc::new(source), certain: true }
    }
}

impl Log {
    fn run(&mut self, mut queue: Receiver<Request>) {
        let mut batch = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            drain(first, &mut queue, &mut batch);
            match self.write(&batch) {
                Ok((outcomes, head)) => {
                    if head > *self.head.borrow() {
                        self.head.send_replace(head);
                    }
                    answer(&mut batch, outcomes.into_iter());
                }
                Err(failure) => {
                    tracing::error!(error = %failure.source, certain = failure.certain, "a transaction of the log failed");
                    self.heads.0.clear();
                    answer(&mut batch, std::iter::repeat_with(|| Err(failure.error())));
                }
            }
        }
    }

    /// Writes a batch as one transaction; the outcomes of its entries in order, and the log's head.
    fn write(&mut self, batch: &[Request]) -> Result<(Vec<Outcome>, Position), Failure> {
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

    fn insert(&mut self, batch: &[Request]) -> rusqlite::Result<(Vec<Outcome>, Position)> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO events (stream, revision, event_id, type, data, metadata, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut head = Position::START;
        for append in batch.iter().flat_map(Request::appends) {
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

impl Request {
    fn appends(&self) -> &[Append] {
        match self {
            Self::One(append, _) => std::slice::from_ref(append),
            Self::Many(appends, _) => appends,
        }
    }
}

fn drain(first: Request, queue: &mut Receiver<Request>, batch: &mut Vec<Request>) {
    let (mut events, mut bytes) = (0, 0);
    let mut next = Some(first);
    while let Some(request) = next {
        for append in request.appends() {
            events += append.events.len();
            bytes += size(append);
        }
        batch.push(request);
        next = if events < BATCH_EVENTS && bytes < BATCH_BYTES { queue.try_recv().ok() } else { None };
    }
}

/// Gives every caller its outcomes. One that no longer waits was cancelled; its append stands.
fn answer(batch: &mut Vec<Request>, mut outcomes: impl Iterator<Item = Outcome>) {
    for request in batch.drain(..) {
        match request {
            Request::One(_, reply) => {
                if let Some(outcome) = outcomes.next() {
                    let _ = reply.send(outcome);
                }
            }
            Request::Many(appends, reply) => {
                let _ = reply.send(outcomes.by_ref().take(appends.len()).collect());
            }
        }
    }
}
