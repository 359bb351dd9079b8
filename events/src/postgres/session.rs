//! What every connection of ours asks of Postgres, and how to tell that something in between does not pass it on.

use sqlx::{
    Connection, PgConnection, PgPool, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    io,
    ops::{Deref, DerefMut},
    time::Duration,
};
use tokio::time::{error::Elapsed, timeout};

/// Why a database cannot be used as it is reached.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Settings are lost, or several connections share one session of the server.
    #[error(
        "a pooler such as PgBouncer stands before this Postgres: it drops the settings of connections or shares them out. Circolo keeps a \
         few connections of its own and needs no pooler: name the server itself, on its own port"
    )]
    Pooler,
    /// The database cannot be reached or refused.
    #[error(transparent)]
    Postgres(sqlx::Error),
}

impl From<sqlx::Error> for SessionError {
    fn from(error: sqlx::Error) -> Self {
        // PgBouncer refuses parameters of the start that it does not know; a server knows all that we send.
        let refused = |error: &dyn sqlx::error::DatabaseError| {
            error.code().as_deref() == Some("08P01") && error.message().contains("startup parameter")
        };
        match &error {
            sqlx::Error::Database(database) if refused(&**database) => Self::Pooler,
            _ => Self::Postgres(error),
        }
    }
}

/// What shows that settings arrive.
const MARK: (&str, &str) = ("circolo.direct", "yes");

/// Connections to `url` with these settings, which the server shows as those of `name` (unless the URL says otherwise). Peers
/// that are gone without a word are noticed within half a minute: what they had locked is free then.
pub fn options(url: &str, name: &str, settings: &[(&str, &str)]) -> sqlx::Result<PgConnectOptions> {
    let options: PgConnectOptions = url.parse()?;
    let name = options.get_application_name().unwrap_or(name).to_owned();
    let options = options.application_name(&name);
    let ours = [MARK, ("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];
    Ok(options.options(ours).options(settings.iter().copied()))
}

/// Makes sure that each connection made with [`options`] is a session of the server, and has its settings.
pub async fn check(pool: &PgPool) -> Result<(), SessionError> {
    let mut one = pool.acquire().await?;
    check_settings(&mut one).await?;
    let mut other = pool.acquire().await?;
    // A transaction keeps its session to itself, wherever it runs: the other connection must not be moved by it.
    let before = session(&mut one).await?;
    let mut transaction = other.begin().await?;
    let held = session(&mut transaction).await?;
    // Where it was moved already, asking once more might wait for ever.
    let mut moved = held == before || session(&mut one).await? != before;
    transaction.rollback().await?;
    // Sessions that are shared out go to whoever asks next, the one that was used last or the one that was not used for longest.
    for _ in 0..2 {
        moved = moved || session(&mut one).await? != before;
    }
    if moved { Err(SessionError::Pooler) } else { Ok(()) }
}

/// Makes sure that a connection made with [`options`] has its settings.
pub async fn check_settings(connection: &mut PgConnection) -> Result<(), SessionError> {
    // No prepared statements here: poolers break them, and that would be another error.
    let row = sqlx::raw_sql("SELECT current_setting('circolo.direct', true)").fetch_one(connection).await?;
    if row.try_get::<Option<String>, _>(0)?.as_deref() == Some(MARK.1) { Ok(()) } else { Err(SessionError::Pooler) }
}

async fn session(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// A pool of `connections`, each asked for no longer than `patience`.
pub fn pool(connections: u32, patience: Duration) -> PgPoolOptions {
    // A connection that was used a moment ago is taken to be alive; a ping would cost every piece of work a round trip.
    const FRESH: Duration = Duration::from_secs(5);
    const PING: Duration = Duration::from_secs(2);
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(patience).test_before_acquire(false);
    pool.before_acquire(|connection, meta| {
        Box::pin(async move {
            if meta.idle_for >= FRESH {
                timeout(PING, connection.ping()).await.map_err(silence)??;
            }
            Ok(true)
        })
    })
}

/// A connection for one piece of work. Unless that comes to its end the connection is closed: nobody knows what it is at, and a
/// peer that is gone would keep it for ever.
#[derive(Debug)]
pub struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    /// One of the pool's.
    pub async fn take(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// The answer; the connection goes back, unless it did not answer in time.
    pub fn end<T>(mut self, answer: Result<sqlx::Result<T>, Elapsed>) -> sqlx::Result<T> {
        let answer = answer.map_err(silence)?;
        drop(self.0.take());
        answer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "it is taken by what consumes it")]
    fn deref(&self) -> &PgConnection {
        self.0.as_deref().expect("it is there until the end")
    }
}

impl DerefMut for Lent {
    #[expect(clippy::expect_used, reason = "it is taken by what consumes it")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_deref_mut().expect("it is there until the end")
    }
}

fn silence(_: Elapsed) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"))
}
