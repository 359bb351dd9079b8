//! The log in a Postgres schema: group commit as one function call per batch.
//!
//! Every writer takes one advisory lock for its transaction, so the order of positions is the order of commits and a reader
//! that goes on from the last position it saw misses nothing. The tables live in the connection's current schema.

mod append;
mod claim;
pub mod examine;
mod read;
mod schema;
pub mod session;
mod sessions;
mod writer;

use crate::{
    batch::Queue,
    store::{Append, Appended, Damage, EventStore, Examination, LogId, Page, Position, Revision, StoreError, Stored},
    tail::Tail,
};
use async_trait::async_trait;
use circolo_domain::StreamName;
use sessions::Sessions;
use std::time::Duration;
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

pub use claim::{Claim, ClaimError};
pub use schema::ConnectError;

/// Events in a transaction that is written in bulk: it holds the lock, others wait.
const BULK: usize = 16_384;

/// How a log is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Appends that may wait for the writer; beyond it the answer is [`StoreError::Busy`].
    pub queue: usize,
    /// Connections for reads and writes together.
    pub connections: u32,
    /// Batches of this process on their way at once. One is best where it was measured: a second makes both smaller, and
    /// they wait for one lock anyway.
    pub batches: usize,
    /// How long a connection, a lock and a statement may each take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: 4_096, connections: 10, batches: 1, patience: Duration::from_secs(10) }
    }
}

/// The log in a Postgres schema.
#[derive(Debug)]
pub struct Postgres {
    log_id: LogId,
    url: String,
    sessions: Sessions,
    queue: Queue,
    tail: Tail,
}

impl Postgres {
    /// Opens the log in the current schema of `url` and creates it as `new_log_id` if it is not there.
    pub async fn connect(url: &str, options: &Options, new_log_id: LogId) -> Result<Self, ConnectError> {
        let sessions = Sessions::new(url, options, true)?;
        session::check(sessions.pool()).await?;
        let log_id = schema::prepare(sessions.pool(), new_log_id).await?;
        Self::start(url, options, sessions, log_id).await
    }

    /// Opens the log in the current schema of `url` to read it, beside whoever writes; on a standby, too.
    pub async fn connect_to_read(url: &str, options: &Options) -> Result<Self, ConnectError> {
        let sessions = Sessions::new(url, options, false)?;
        session::check(sessions.pool()).await?;
        let log_id = schema::find(sessions.pool()).await?;
        Self::start(url, options, sessions, log_id).await
    }

    async fn start(url: &str, options: &Options, sessions: Sessions, log_id: LogId) -> Result<Self, ConnectError> {
        let head = watch::Sender::new(head(&sessions).await?);
        let (queue, requests) = Queue::new(options.queue, BULK);
        tokio::spawn(writer::run(sessions.clone(), requests, head.clone(), options.batches));
        let asked = sessions.clone();
        let tail = Tail::start(head, move || {
            let sessions = asked.clone();
            async move { self::head(&sessions).await }
        });
        Ok(Self { log_id, url: url.to_owned(), tail, sessions, queue })
    }

    /// Claims this log for this process, until several nodes are supported: a second claim is refused.
    pub async fn claim_single_writer(&self) -> Result<Claim, ClaimError> {
        Claim::take(&self.url, "log").await
    }
}

/// Reads with a connection of its own, within bounds.
macro_rules! ask {
    ($sessions:expr, $read:path $(, $argument:expr)*) => {{
        let mut session = $sessions.take().await?;
        let answer = timeout($sessions.patience(), $read(&mut session $(, $argument)*)).await;
        session.end(answer).map_err(unavailable)
    }};
}

/// Where the log ends.
async fn head(sessions: &Sessions) -> Result<Position, StoreError> {
    let Some((position, event)) = ask!(sessions, read::last)? else { return Ok(Position::START) };
    sessions.saw(position, event);
    Ok(position)
}

#[async_trait]
impl EventStore for Postgres {
    fn log_id(&self) -> LogId {
        self.log_id
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.queue.append(append).await
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        self.queue.append_many(appends).await
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let found = ask!(self.sessions, read::stream, stream, from, limit).map_err(|error| match error {
            StoreError::Damaged { source, .. } => {
                StoreError::Damaged { place: Damage { stream: Some(stream.clone()), ..Damage::default() }, source }
            }
            error => error,
        })?;
        // None is passed over: whoever folds a stream with a gap would decide on what never was.
        match found.iter().zip(from..).find(|(stored, revision)| stored.revision != *revision) {
            None => Ok(found),
            Some((_, missing)) => {
                let place = Damage { position: None, stream: Some(stream.clone()), revision: Some(missing) };
                Err(StoreError::Damaged { place, source: "this revision is missing".into() })
            }
        }
    }

    async fn examine(&self) -> Result<Examination, StoreError> {
        examine::examine(&self.url, &["log_events".to_owned()]).await.map_err(unavailable)
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        ask!(self.sessions, read::prefix, prefix, after, until, limit)
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        let page = self.up_to_damage(after, limit).await?;
        if let Some(last) = page.events.last() {
            self.sessions.saw(last.position, last.event.id);
        }
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        head(&self.sessions).await
    }

    async fn is_partial(&self) -> Result<bool, StoreError> {
        ask!(self.sessions, schema::is_partial)
    }

    async fn set_partial(&self, partial: bool) -> Result<(), StoreError> {
        ask!(self.sessions, schema::set_partial, partial)
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        ask!(self.sessions, read::find, stream, command_id)
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        Ok(self.tail.changed(after, wait).await)
    }
}

impl Postgres {
    /// What can be read before a damage is a page of its own; the damage is told to who reads on from there.
    async fn up_to_damage(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        let mut limit = limit;
        loop {
            match ask!(self.sessions, read::all, after, limit) {
                Err(StoreError::Damaged { .. }) if limit > 1 => limit /= 2,
                Err(StoreError::Damaged { source, .. }) => {
                    // Positions are dense here, so it is the next one.
                    let place = Damage { position: Some(Position(after.0 + 1)), ..Damage::default() };
                    return Err(StoreError::Damaged { place, source });
                }
                page => return page,
            }
        }
    }
}

fn unavailable(source: sqlx::Error) -> StoreError {
    let code = source.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    match code.as_deref() {
        // A page, an index, a file that is not what was written.
        Some("XX001" | "XX002" | "58P01") => StoreError::Damaged { place: Damage::default(), source: source.into() },
        _ => StoreError::Unavailable(source.into()),
    }
}
