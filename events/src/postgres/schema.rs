//! The tables: made once, by whoever comes first, and never by two at once.

use crate::store::LogId;
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
    /// The database cannot be reached or refused.
    #[error("the log cannot be opened: {0}")]
    Postgres(#[from] sqlx::Error),
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
            sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
            let meta = "INSERT INTO log_meta VALUES ('schema_version', $1), ('log_id', $2)";
            sqlx::query(meta).bind(VERSION.to_string()).bind(new_log_id.to_string()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        connection = pool.acquire().await?;
    }
    identity(&mut connection).await
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
    sqlx::query_scalar("SELECT to_regclass(quote_ident(current_schema()) || '.log_meta') IS NOT NULL").fetch_one(connection).await
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
