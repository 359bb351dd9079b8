//! Connections to the log, each for one piece of work; and the proof that a new one leads to the log that this process knows.

use super::{
    Options,
    session::{self, Lent},
};
use crate::store::{Position, StoreError};
use sqlx::{PgConnection, PgPool, Row, postgres::PgConnectOptions};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// The connections of one log; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    pool: PgPool,
    known: Arc<Known>,
    patience: Duration,
}

/// What this process saw at the end of the log.
///
/// A server that takes over after a failover may lack the last commits, and so does a restored backup. Positions would then be
/// given twice, and whoever reads on from a checkpoint would miss events. So each new connection is asked for the event that
/// was seen last; once it is gone, nothing is read or written any more.
#[derive(Debug, Default)]
struct Known {
    last: Mutex<Option<(Position, Uuid)>>,
    lost: AtomicBool,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoSession {
    /// The log lost events.
    Lost,
    /// It cannot be reached.
    Unreachable(sqlx::Error),
}

impl From<NoSession> for StoreError {
    fn from(error: NoSession) -> Self {
        match error {
            NoSession::Lost => Self::Lost,
            NoSession::Unreachable(error) => super::unavailable(error),
        }
    }
}

impl Sessions {
    /// Connections to `url`, made when they are needed.
    pub fn new(url: &str, options: &Options, writes: bool) -> sqlx::Result<Self> {
        let known = Arc::<Known>::default();
        let shared = Arc::clone(&known);
        // Two are the least: it takes a second one to notice a pooler.
        let pool = session::pool(options.connections.max(2), options.patience);
        let pool = pool.after_connect(move |connection, _| {
            let known = Arc::clone(&shared);
            Box::pin(async move { known.check(connection, writes).await })
        });
        Ok(Self { pool: pool.connect_lazy_with(settings(url, options.patience, writes)?), known, patience: options.patience })
    }

    /// The connections as they are.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How long one piece of work may take. The statement's own timeout comes first, unless the connection is dead.
    pub fn patience(&self) -> Duration {
        self.patience * 2
    }

    /// A connection.
    pub async fn take(&self) -> Result<Lent, NoSession> {
        let connection = Lent::take(&self.pool).await.map_err(NoSession::Unreachable)?;
        if self.known.lost.load(Ordering::Acquire) { Err(NoSession::Lost) } else { Ok(connection) }
    }

    /// Remembers an event that stands in the log.
    pub fn saw(&self, position: Position, event: Uuid) {
        let mut last = self.known.last();
        if last.is_none_or(|(known, _)| known < position) {
            *last = Some((position, event));
        }
    }
}

impl Known {
    fn last(&self) -> MutexGuard<'_, Option<(Position, Uuid)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a new connection over.
    async fn check(&self, connection: &mut PgConnection, writes: bool) -> sqlx::Result<()> {
        // Not prepared: through a pooler, which is found out later, that fails now and then.
        let standby: bool = sqlx::raw_sql("SELECT pg_is_in_recovery()").fetch_one(&mut *connection).await?.try_get(0)?;
        if standby {
            // It may lag behind what was seen, which proves nothing.
            return if writes { Err(sqlx::Error::Configuration("this server is a standby, which takes no writes".into())) } else { Ok(()) };
        }
        let last = *self.last();
        let Some((position, event)) = last else { return Ok(()) };
        let found: Option<Uuid> =
            sqlx::query_scalar("SELECT event_id FROM log_events WHERE position = $1").bind(position.0).fetch_optional(connection).await?;
        if found != Some(event) && !self.lost.swap(true, Ordering::AcqRel) {
            tracing::error!(%position, %event, "{}", StoreError::Lost);
        }
        Ok(())
    }
}

/// Timeouts, so that neither a lost peer nor a blocked table holds a connection for ever; and plans that never scan the log,
/// whatever the planner believes of a table that was empty a moment ago.
fn settings(url: &str, patience: Duration, writes: bool) -> sqlx::Result<PgConnectOptions> {
    let millis = patience.as_millis().to_string();
    let settings = [
        ("lock_timeout", millis.as_str()),
        ("statement_timeout", millis.as_str()),
        ("idle_in_transaction_session_timeout", millis.as_str()),
        ("default_transaction_read_only", if writes { "off" } else { "on" }),
        ("enable_seqscan", "off"),
        ("jit", "off"),
        // The plan of a batch does not depend on what is in it, and planning costs as much as appending a single event.
        ("plan_cache_mode", "force_generic_plan"),
    ];
    session::options(url, if writes { "circolo log" } else { "circolo log, to read" }, &settings)
}
