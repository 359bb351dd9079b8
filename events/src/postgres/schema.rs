//! The tables: made once, by whoever comes first, and never by two at once.

use super::session::SessionError;
use crate::store::{LogId, StoreError};
use sqlx::{PgConnection, PgPool};

/// Version of `schema.sql`. A newer one is refused: this binary cannot know what it means.
const VERSION: i64 = 1;
const TABLES: &str = include_str!("schema.sql");

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A newer program made it.
    #[error("the log has schema version {0}, and this program knows only up to {VERSION}: use a newer circolo")]
    TooNew(i64),
    /// The database cannot hold a log.
    #[error("the database cannot hold a log: {0}")]
    Unsuitable(&'static str),
    /// There is nothing to read.
    #[error("there is no log in this schema")]
    NoLog,
    /// There is none, and this role may not create tables.
    #[error(
        "there is no log in this schema, and this role may not make one: let the schema's owner do it with `circolo events create` \
         (see docs/postgres.md)"
    )]
    MayNotCreate,
    /// It is not reached as it must be.
    #[error(transparent)]
    Pooler(SessionError),
    /// The database cannot be reached or refused.
    #[error("the log cannot be opened: {0}")]
    Postgres(#[from] sqlx::Error),
    /// It cannot be read.
    #[error("the log cannot be opened: {0}")]
    Store(#[from] StoreError),
}

impl From<SessionError> for ConnectError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Postgres(error) => Self::Postgres(error),
            pooler @ SessionError::Pooler => Self::Pooler(pooler),
        }
    }
}

/// Makes the tables if they are not there; the log's identity.
pub async fn prepare(pool: &PgPool, new_log_id: LogId) -> Result<LogId, ConnectError> {
    let mut connection = pool.acquire().await?;
    check(&mut connection).await?;
    // A log that is there needs no rights to create anything.
    if !exists(&mut connection).await? {
        drop(connection);
        let mut transaction = pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('circolo log in ' || current_schema(), 0))")
            .execute(&mut *transaction)
            .await?;
        if !exists(&mut transaction).await? {
            sqlx::raw_sql(TABLES).execute(&mut *transaction).await.map_err(denied)?;
            let meta = "INSERT INTO log_meta VALUES ('schema_version', $1), ('log_id', $2)";
            sqlx::query(meta).bind(VERSION.to_string()).bind(new_log_id.to_string()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        connection = pool.acquire().await?;
    }
    identity(&mut connection).await
}

/// The identity of a log that must be there.
pub async fn find(pool: &PgPool) -> Result<LogId, ConnectError> {
    let mut connection = pool.acquire().await?;
    check(&mut connection).await?;
    if exists(&mut connection).await? { identity(&mut connection).await } else { Err(ConnectError::NoLog) }
}

/// Whether the log is marked as holding a part only of what is brought into it.
pub async fn is_partial(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM log_meta WHERE name = 'partial')").fetch_one(connection).await
}

/// Marks it so, or takes the mark off.
pub async fn set_partial(connection: &mut PgConnection, partial: bool) -> sqlx::Result<()> {
    let sql = if partial {
        "INSERT INTO log_meta VALUES ('partial', 'true') ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM log_meta WHERE name = 'partial'"
    };
    sqlx::query(sql).execute(connection).await.map(drop)
}

fn denied(error: sqlx::Error) -> ConnectError {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some(INSUFFICIENT_PRIVILEGE) { ConnectError::MayNotCreate } else { error.into() }
}

async fn check(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let (encoding, schema): (String, Option<String>) =
        sqlx::query_as("SELECT current_setting('server_encoding'), current_schema()::text").fetch_one(connection).await?;
    if encoding != "UTF8" {
        return Err(ConnectError::Unsuitable("its encoding must be UTF8"));
    }
    if schema.is_none() {
        return Err(ConnectError::Unsuitable("the schema in the connection's search_path does not exist"));
    }
    Ok(())
}

async fn exists(connection: &mut PgConnection) -> sqlx::Result<bool> {
    // Not `to_regclass`, which believes what the session saw before it waited for the lock.
    const SQL: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'log_meta' AND relnamespace = \
                       (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))";
    sqlx::query_scalar(SQL).fetch_one(connection).await
}

async fn identity(connection: &mut PgConnection) -> Result<LogId, ConnectError> {
    let incomplete = ConnectError::Unsuitable("its table log_meta is not that of a log");
    let version: Option<i64> =
        sqlx::query_scalar("SELECT value::bigint FROM log_meta WHERE name = 'schema_version'").fetch_optional(&mut *connection).await?;
    let id: Option<String> =
        sqlx::query_scalar("SELECT value FROM log_meta WHERE name = 'log_id'").fetch_optional(&mut *connection).await?;
    match (version, id.and_then(|id| id.parse().ok())) {
        (Some(found), _) if found > VERSION => Err(ConnectError::TooNew(found)),
        (Some(_), Some(id)) => Ok(id),
        _ => Err(incomplete),
    }
}
