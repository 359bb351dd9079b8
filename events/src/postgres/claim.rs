//! One server at a time: a lock in the database that a connection of its own holds.

use super::session::{self, SessionError};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

/// How long a claim waits for one that a process which just ended has left behind.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long after a lost connection the claim is taken again; the database may still count it as held by ourselves.
const GRACE: Duration = Duration::from_secs(30);
/// How often the connection is looked after, and how soon it must answer.
const WATCH: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(5);

/// Why a claim was not given.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process holds it.
    #[error("another circolo program is using the {0} in this database: stop it first")]
    Held(String),
    /// Another process has it to itself.
    #[error(
        "another circolo program has the {0} in this database to itself: stop it first. It may be writing in bulk, or be a server          with its read models in SQLite: servers that share a log need --views postgres://..."
    )]
    Alone(String),
    /// The database cannot be reached.
    #[error("the claim on the database failed: {0}")]
    Postgres(#[from] sqlx::Error),
    /// It is not reached as it must be.
    #[error(transparent)]
    Pooler(SessionError),
}

impl From<SessionError> for ClaimError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Postgres(error) => Self::Postgres(error),
            pooler @ SessionError::Pooler => Self::Pooler(pooler),
        }
    }
}

/// Who else may hold the same key.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Alone,
    Shared,
}

/// Holds a key in a database schema until it is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    lost: watch::Receiver<bool>,
    watcher: AbortHandle,
}

impl Claim {
    /// Claims `key` (such as `log` or `views`) in the current schema of `url`.
    pub async fn take(url: &str, key: &str) -> Result<Self, ClaimError> {
        Self::acquire(url, key, Mode::Alone).await
    }

    /// Claims `key` together with others who do so, against those who want it to themselves.
    pub async fn share(url: &str, key: &str) -> Result<Self, ClaimError> {
        Self::acquire(url, key, Mode::Shared).await
    }

    async fn acquire(url: &str, key: &str, mode: Mode) -> Result<Self, ClaimError> {
        let end = Instant::now() + PATIENCE;
        let mut connection = connect(url).await?;
        while !lock(&mut connection, key, mode).await? {
            if Instant::now() >= end {
                return Err(match mode {
                    Mode::Alone => ClaimError::Held(key.to_owned()),
                    Mode::Shared => ClaimError::Alone(key.to_owned()),
                });
            }
            sleep(Duration::from_millis(100)).await;
        }
        let (sender, lost) = watch::channel(false);
        let watcher = tokio::spawn(watch_over(connection, url.to_owned(), key.to_owned(), mode, sender)).abort_handle();
        Ok(Self { lost, watcher })
    }

    /// Returns when another process holds the key, or may hold it: then this one must stop.
    pub async fn lost(&self) {
        // A watcher that is gone watches over nothing: that counts as lost.
        let _ = self.lost.clone().wait_for(|lost| *lost).await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

async fn connect(url: &str) -> Result<PgConnection, SessionError> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(&session::options(url, "circolo claim", &[])?).await?;
        session::check_settings(&mut connection).await?;
        Ok(connection)
    };
    timeout(ANSWER, connecting).await.unwrap_or(Err(SessionError::Postgres(sqlx::Error::PoolTimedOut)))
}

async fn lock(connection: &mut PgConnection, key: &str, mode: Mode) -> sqlx::Result<bool> {
    let sql = match mode {
        Mode::Alone => "SELECT pg_try_advisory_lock(hashtextextended('circolo claim on ' || $1 || ' in ' || current_schema(), 0))",
        Mode::Shared => "SELECT pg_try_advisory_lock_shared(hashtextextended('circolo claim on ' || $1 || ' in ' || current_schema(), 0))",
    };
    let locked: Option<bool> = sqlx::query_scalar(sql).bind(key).fetch_one(connection).await?;
    locked.ok_or_else(|| {
        sqlx::Error::Configuration("the schema in its search_path does not exist, or this role has no right to use it".into())
    })
}

/// Looks after the connection that holds the lock and takes the lock again after the connection was lost.
async fn watch_over(mut connection: PgConnection, url: String, key: String, mode: Mode, lost: watch::Sender<bool>) {
    loop {
        while let Ok(Ok(())) = timeout(ANSWER, connection.ping()).await {
            sleep(WATCH).await;
        }
        tracing::warn!(key, "the connection that holds the claim on the database was lost");
        match take_again(&url, &key, mode).await {
            Some(again) => connection = again,
            None => break,
        }
    }
    tracing::error!(key, "another server holds the claim on the database");
    lost.send_replace(true);
}

/// A new connection that holds the lock; `None` if somebody else has held it all the time.
async fn take_again(url: &str, key: &str, mode: Mode) -> Option<PgConnection> {
    let mut refused_since = None;
    loop {
        if let Ok(mut connection) = connect(url).await
            && let Ok(Ok(held)) = timeout(ANSWER, lock(&mut connection, key, mode)).await
        {
            if held {
                return Some(connection);
            }
            // A database that cannot be reached serves nobody else either: only refusals count.
            if refused_since.get_or_insert_with(Instant::now).elapsed() > GRACE {
                return None;
            }
        }
        sleep(WATCH).await;
    }
}
