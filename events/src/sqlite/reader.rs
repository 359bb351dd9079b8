//! Reading: threads with read-only connections, and the queries.

use super::{Joined, Options, schema, still::Reading};
use crate::{
    rules::{count, prefix_end, signed, unsigned},
    store::{Appended, NewEvent, Page, Position, Revision, StoreError, Stored, event_id},
};
use circolo_domain::{StreamName, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row};
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
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
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
            Ok(result) => result.map_err(|source| StoreError::Unavailable(source.into())),
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

pub fn head(db: &Connection) -> rusqlite::Result<Position> {
    db.prepare_cached("SELECT coalesce(max(position), 0) FROM events")?.query_row([], |row| row.get(0).map(Position))
}

pub fn stream(db: &Connection, stream: &StreamName, from: Revision, limit: usize) -> rusqlite::Result<Vec<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE stream = ?1 AND revision >= ?2 ORDER BY revision LIMIT ?3");
    select(db, &sql, (stream.as_str(), signed(from), count(limit)))
}

pub fn all(db: &Connection, after: Position, until: Position, limit: usize) -> rusqlite::Result<Page> {
    let covered = until.min(head(db)?);
    let sql = format!("SELECT {COLUMNS} FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3");
    Ok(Page::new(select(db, &sql, (after.0, until.0, count(limit)))?, limit, after, covered))
}

pub fn prefix(db: &Connection, prefix: &str, after: Position, until: Position, limit: usize) -> rusqlite::Result<Page> {
    let Some(end) = prefix_end(prefix) else { return all(db, after, until, limit) };
    let covered = until.min(head(db)?);
    // The inner query needs the index alone; a prefix is meant to be small, such as all memberships of one group.
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE position IN (
             SELECT position FROM events INDEXED BY events_by_stream
             WHERE stream >= ?1 AND stream < ?2 AND position > ?3 AND position <= ?4 ORDER BY position LIMIT ?5
         ) ORDER BY position"
    );
    Ok(Page::new(select(db, &sql, (prefix, &end, after.0, until.0, count(limit)))?, limit, after, covered))
}

pub fn find(db: &Connection, stream: &StreamName, command_id: Uuid) -> rusqlite::Result<Option<(Stored, Appended)>> {
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

fn select(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Stored>> {
    db.prepare_cached(sql)?.query_map(params, stored)?.collect()
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
        },
    })
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}
