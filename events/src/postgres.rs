//! The log in a Postgres schema: group commit as one function call per batch.
//!
//! Every writer takes one advisory lock for its transaction, so the order of positions is the order of commits and a reader
//! that goes on from the last position it saw misses nothing. The tables live in the connection's current schema.

mod append;
mod claim;
mod read;
mod schema;
mod writer;

use crate::{
    batch::Queue,
    store::{Append, Appended, EventStore, LogId, Page, Position, Revision, StoreError, Stored},
    tail::Tail,
};
use async_trait::async_trait;
use circolo_domain::StreamName;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;
use tokio::sync::watch;
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
    pool: PgPool,
    queue: Queue,
    tail: Tail,
}

impl Postgres {
    /// Opens the log in the current schema of `url` and creates it as `new_log_id` if it is not there.
    pub async fn connect(url: &str, options: &Options, new_log_id: LogId) -> Result<Self, ConnectError> {
        let pool = pool(url, options)?;
        let log_id = schema::prepare(&pool, new_log_id).await?;
        let head = watch::Sender::new(read::head(&pool).await?);
        let (queue, requests) = Queue::new(options.queue, BULK);
        tokio::spawn(writer::run(pool.clone(), requests, head.clone(), options.clone()));
        let asked = pool.clone();
        let tail = Tail::start(head, move || {
            let pool = asked.clone();
            async move { read::head(&pool).await }
        });
        Ok(Self { log_id, url: url.to_owned(), tail, pool, queue })
    }

    /// Claims this log for this process, until several nodes are supported: a second claim is refused.
    pub async fn claim_single_writer(&self) -> Result<Claim, ClaimError> {
        Claim::take(&self.url, "log").await
    }
}

/// Connections with the settings that every session of ours has.
fn pool(url: &str, options: &Options) -> Result<PgPool, ConnectError> {
    // A connection that was used a moment ago is taken to be alive; a ping would cost every batch a round trip.
    const FRESH: Duration = Duration::from_secs(5);
    let pool = PgPoolOptions::new().max_connections(options.connections).acquire_timeout(options.patience).test_before_acquire(false);
    let pool = pool.before_acquire(|connection, meta| {
        Box::pin(async move { Ok(meta.idle_for < FRESH || sqlx::Connection::ping(connection).await.is_ok()) })
    });
    Ok(pool.connect_lazy_with(session(url, options.patience)?))
}

/// Timeouts, so that neither a lost peer nor a blocked table holds a connection for ever; and plans that never scan the log,
/// whatever the planner believes of a table that was empty a moment ago.
fn session(url: &str, patience: Duration) -> Result<PgConnectOptions, ConnectError> {
    let millis = patience.as_millis().to_string();
    Ok(url.parse::<PgConnectOptions>()?.application_name("circolo").options([
        ("lock_timeout", millis.as_str()),
        ("statement_timeout", millis.as_str()),
        ("idle_in_transaction_session_timeout", millis.as_str()),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
        // The plan of a batch does not depend on what is in it, and planning costs as much as appending a single event.
        ("plan_cache_mode", "force_generic_plan"),
    ]))
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
        read::stream(&self.pool, stream, from, limit).await.map_err(unavailable)
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        read::prefix(&self.pool, prefix, after, until, limit).await.map_err(unavailable)
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        read::all(&self.pool, after, limit).await.map_err(unavailable)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        read::head(&self.pool).await.map_err(unavailable)
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        read::find(&self.pool, stream, command_id).await.map_err(unavailable)
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        Ok(self.tail.changed(after, wait).await)
    }
}

fn unavailable(source: sqlx::Error) -> StoreError {
    StoreError::Unavailable(source.into())
}
