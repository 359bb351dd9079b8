//! Reading: threads with read-only connections, and the queries.

use super::{Joined, Options, schema, still::Reading};
use crate::{
    rules::{count, prefix_end, signed, unsigned},
    store::{Appended, Damage, Examination, NewEvent, Page, Position, Revision, StoreError, Stored, event_id},
};
use circolo_domain::{StreamName, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row};
use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};
use tokio::sync::oneshot;
use uuid::Uuid;

const THREADS: usize = 2;
const COLUMNS: &str = "position, stream, revision, event_id, type, data, metadata, recorded_at";

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The reader threads; dropping it waits for the queries that run.
#[derive(Debug)]
pub struct Readers {
    /// Dropped before the threads, which end when nothing can come any more.
    jobs: SyncSender<Job>,
    _threads: Joined,
}

impl Readers {
    pub fn start(path: &Path, reading: Reading, options: &Options) -> Result<Self, schema::OpenError> {
        let (jobs, queue) = sync_channel::<Job>(options.read_queue);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Joined(Vec::new());
        for number in 0..THREADS {
            let connection = schema::open_for_reading(path, reading, options)?;
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name(format!("log-reader-{number}"));
            threads.0.push(thread.spawn(move || {
                while let Some(job) = next(&queue) {
                    job(&connection);
                }
            })?);
        }
        Ok(Self { jobs, _threads: threads })
    }

    /// Runs `query` on the next free connection.
    pub async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more if the caller was cancelled.
            let _ = reply.send(query(connection));
        });
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => stopped(),
        })?;
        match result.await {
            Ok(result) => result.map_err(StoreError::from),
            Err(_) => Err(stopped()),
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the log's readers have stopped".into())
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    // The lock is held while waiting: the other thread then waits for the lock instead of the queue.
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

pub fn head(db: &Connection) -> Result<Position, Fault> {
    let last = db.prepare_cached("SELECT coalesce(max(position), 0) FROM events")?.query_row([], |row| row.get(0).map(Position));
    match last.map_err(Fault::from) {
        // What was given last is kept apart.
        Err(fault) if fault.is_damage() => {
            Ok(db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'events'", [], |row| row.get(0).map(Position))?)
        }
        head => head,
    }
}

pub fn stream(db: &Connection, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE stream = ?1 AND revision >= ?2 ORDER BY revision LIMIT ?3");
    let (found, fault) = select(db, &sql, (stream.as_str(), signed(from), count(limit)));
    // None is passed over: whoever folds a stream with a gap would decide on what never was.
    let whole = found.iter().zip(from..).take_while(|(stored, revision)| stored.revision == *revision).count();
    let next = from + whole as Revision;
    let gap = (whole < found.len()).then(|| Fault::from("this revision is missing"));
    match fault.or(gap) {
        None => Ok(found),
        Some(fault) => Err(fault.at(Damage { position: None, stream: Some(stream.clone()), revision: Some(next) })),
    }
}

pub fn all(db: &Connection, after: Position, until: Position, limit: usize) -> Result<Page, Fault> {
    let covered = until.min(head(db)?);
    let sql = format!("SELECT {COLUMNS} FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3");
    page(db, select(db, &sql, (after.0, until.0, count(limit))), limit, after, covered)
}

/// What was read before a fault is a page of its own; the fault is told to who reads on from there.
fn page(
    db: &Connection,
    (events, fault): (Vec<Stored>, Option<Fault>),
    limit: usize,
    after: Position,
    covered: Position,
) -> Result<Page, Fault> {
    match (fault, events.last().map(|event| event.position)) {
        (None, _) => Ok(Page::new(events, limit, after, covered)),
        (Some(fault), Some(scanned)) if fault.is_damage() => Ok(Page { events, scanned }),
        (Some(fault), _) => Err(fault.at(standing(db, Position(after.0 + 1)))),
    }
}

/// What should stand at `position` or next behind it, by the index of streams, which may be whole where the rows are not.
fn standing(db: &Connection, position: Position) -> Damage {
    const SQL: &str =
        "SELECT position, stream, revision FROM events INDEXED BY events_by_stream WHERE position >= ?1 ORDER BY position LIMIT 1";
    let found = db.query_row(SQL, [position.0], |row| {
        let (position, stream, revision) = (Position(row.get(0)?), StreamName::stored(row.get::<_, String>(1)?), unsigned(row.get(2)?));
        Ok(Damage { position: Some(position), stream: Some(stream), revision: Some(revision) })
    });
    found.unwrap_or(Damage { position: Some(position), ..Damage::default() })
}

/// What SQLite itself finds, in its words.
pub fn examine(db: &Connection) -> Result<Examination, Fault> {
    let mut statement = db.prepare("PRAGMA integrity_check(100)")?;
    let mut found: Vec<String> = Vec::new();
    for line in statement.query_map([], |row| row.get(0))? {
        match line.map_err(Fault::from) {
            Ok(line) => found.push(line),
            // What it cannot go past ends what it says.
            Err(fault) if fault.is_damage() => {
                found.push(fault.source.to_string());
                break;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(Examination { faults: found.into_iter().filter(|line| line != "ok").collect(), left_out: None })
}

pub fn prefix(db: &Connection, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, Fault> {
    let Some(end) = prefix_end(prefix) else { return all(db, after, until, limit) };
    let covered = until.min(head(db)?);
    // The inner query needs the index alone; a prefix is meant to be small, such as all memberships of one group.
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE position IN (
             SELECT position FROM events INDEXED BY events_by_stream
             WHERE stream >= ?1 AND stream < ?2 AND position > ?3 AND position <= ?4 ORDER BY position LIMIT ?5
         ) ORDER BY position"
    );
    match select(db, &sql, (prefix, &end, after.0, until.0, count(limit))) {
        (events, None) => Ok(Page::new(events, limit, after, covered)),
        (events, Some(fault)) => Err(fault.at(match events.last() {
            Some(last) => Damage { position: None, stream: Some(last.stream.clone()), revision: None },
            None => Damage::default(),
        })),
    }
}

pub fn find(db: &Connection, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE event_id = ?1 AND stream = ?2");
    let id = event_id(command_id, 0);
    let first = db.prepare_cached(&sql)?.query_row((id.as_bytes().as_slice(), stream.as_str()), stored).optional()?;
    let Some(first) = first else { return Ok(None) };
    let mut last = Appended { revision: first.revision, position: first.position };
    let mut statement =
        db.prepare_cached("SELECT position, revision, event_id FROM events WHERE stream = ?1 AND revision > ?2 ORDER BY revision")?;
    let mut rows = statement.query((stream.as_str(), signed(first.revision)))?;
    let mut index = 1;
    while let Some(row) = rows.next()? {
        if uuid(row, 2)? != event_id(command_id, index) {
            break;
        }
        last = Appended { revision: unsigned(row.get(1)?), position: Position(row.get(0)?) };
        index += 1;
    }
    Ok(Some((first, last)))
}

/// What could be read, and why no more could.
fn select(db: &Connection, sql: &str, params: impl Params) -> (Vec<Stored>, Option<Fault>) {
    let mut found = Vec::new();
    let read = || {
        for row in db.prepare_cached(sql)?.query_map(params, stored)? {
            found.push(row?);
        }
        Ok::<_, rusqlite::Error>(())
    };
    let fault = read().err().map(Fault::from);
    (found, fault)
}

/// Why something could not be read.
#[derive(Debug)]
pub struct Fault {
    source: Box<dyn std::error::Error + Send + Sync>,
    /// Where, if what stands there is not what was written.
    damage: Option<Damage>,
}

impl Fault {
    fn is_damage(&self) -> bool {
        self.damage.is_some()
    }

    fn at(self, place: Damage) -> Self {
        Self { damage: self.damage.map(|_| place), ..self }
    }
}

impl From<&'static str> for Fault {
    /// For what cannot be in a log that is whole.
    fn from(what: &'static str) -> Self {
        Self { source: what.into(), damage: Some(Damage::default()) }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(source: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        let code = source.sqlite_error_code();
        // A table whose values have the types that it declares gives no others.
        let damaged = matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            || matches!(source, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..));
        Self { source: source.into(), damage: damaged.then(Damage::default) }
    }
}

impl From<Fault> for StoreError {
    fn from(Fault { source, damage }: Fault) -> Self {
        match damage {
            Some(place) => Self::Damaged { place, source },
            None => Self::Unavailable(source),
        }
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        position: Position(row.get(0)?),
        stream: StreamName::stored(row.get::<_, String>(1)?),
        revision: unsigned(row.get(2)?),
        event: NewEvent {
            id: uuid(row, 3)?,
            event_type: row.get(4)?,
            data: row.get(5)?,
            metadata: row.get(6)?,
            recorded_at: Timestamp::from_micros(row.get(7)?),
            texts: vec![],
        },
        shut: None,
    })
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}
