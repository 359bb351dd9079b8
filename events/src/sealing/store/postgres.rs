//! Keys in a Postgres schema, shared by several nodes. Every batch is one statement.

use super::{Columns, Count, KeyStore, KeyStoreError, Make, Note, Row, SAMPLES, VERSION, count};
use crate::{
    postgres::session::{self, Lent, SessionError},
    sealing::Owner,
};
use async_trait::async_trait;
use circolo_domain::Timestamp;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;
use tokio::time::timeout;

/// How long a connection, a lock and a statement may each take.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_MILLIS: &str = "10000";
/// Connections: keys are loaded by the batch.
const CONNECTIONS: u32 = 4;

/// What is destroyed or wrapped anew leaves its old row behind until it is vacuumed, so that is done as soon as may be.
const TABLES: &str = "
    CREATE TABLE key_meta (name text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE keys (
        owner text COLLATE \"C\" NOT NULL,
        version bigint NOT NULL,
        generation bigint NOT NULL,
        wrapped bytea,
        made_at bigint NOT NULL,
        destroyed_at bigint,
        PRIMARY KEY (owner, version)
    ) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);
    CREATE INDEX keys_by_generation ON keys (generation) WHERE destroyed_at IS NULL;
";

/// The keys in a Postgres schema.
#[derive(Debug, Clone)]
pub struct Postgres(PgPool);

impl From<sqlx::Error> for KeyStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<SessionError> for KeyStoreError {
    fn from(error: SessionError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl Postgres {
    /// Opens the store in the current schema of `url`.
    pub async fn connect(url: &str, make: Make) -> Result<Self, KeyStoreError> {
        let settings = [
            ("lock_timeout", PATIENCE_MILLIS),
            ("statement_timeout", PATIENCE_MILLIS),
            ("idle_in_transaction_session_timeout", PATIENCE_MILLIS),
            // Plans for a table that was empty a moment ago.
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ];
        let pool = session::pool(CONNECTIONS, PATIENCE).after_connect(|connection, _| {
            Box::pin(async move {
                // A key is on the disk before anything is sealed under it, whatever else the database is used for.
                let durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
                sqlx::raw_sql(durable).execute(connection).await.map(drop)
            })
        });
        let pool = pool.connect_lazy_with(session::options(url, "circolo keys", &settings)?);
        session::check(&pool).await?;
        let mut connection = pool.acquire().await?;
        if !exists(&mut connection).await? {
            if make == Make::Never {
                return Err(KeyStoreError::NoStore);
            }
            create(&mut connection).await?;
        }
        let version: Option<String> =
            sqlx::query_scalar("SELECT value FROM key_meta WHERE name = 'schema_version'").fetch_optional(&mut *connection).await?;
        drop(connection);
        match version.and_then(|version| version.parse::<i64>().ok()) {
            Some(found) if found > VERSION => Err(KeyStoreError::TooNew(found)),
            Some(_) => Ok(Self(pool)),
            None => Err(KeyStoreError::Broken("no version".to_owned())),
        }
    }
}

/// Makes the tables, unless somebody else does.
async fn create(connection: &mut PgConnection) -> Result<(), KeyStoreError> {
    let mut transaction = connection.begin().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('circolo keys in ' || current_schema(), 0))";
    sqlx::query(lock).execute(&mut *transaction).await?;
    if !exists(&mut transaction).await? {
        let with = "SELECT EXISTS (SELECT FROM pg_class WHERE relname IN ('log_meta', 'projection_builds', 'keys') AND relnamespace = \
                    (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))";
        if sqlx::query_scalar(with).fetch_one(&mut *transaction).await? {
            return Err(KeyStoreError::NotAlone);
        }
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
        let meta = "INSERT INTO key_meta VALUES ('schema_version', $1)";
        sqlx::query(meta).bind(VERSION.to_string()).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

async fn exists(connection: &mut PgConnection) -> sqlx::Result<bool> {
    // Not `to_regclass`, which believes what the session saw before it waited for the lock.
    const SQL: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'key_meta' AND relnamespace = \
                       (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))";
    sqlx::query_scalar(SQL).fetch_one(connection).await
}

/// Asks with a connection of its own, within bounds.
macro_rules! ask {
    ($store:expr, $ask:path $(, $argument:expr)*) => {{
        let mut session = Lent::take(&$store.0).await?;
        let answer = timeout(PATIENCE * 2, $ask(&mut session $(, $argument)*)).await;
        session.end(answer)?
    }};
}

/// Rows, column by column.
#[derive(Default)]
struct Table {
    owners: Vec<String>,
    versions: Vec<i64>,
    generations: Vec<i64>,
    wrapped: Vec<Option<Vec<u8>>>,
    made_at: Vec<i64>,
    destroyed_at: Vec<Option<i64>>,
}

impl Table {
    fn of(rows: Vec<Row>) -> Self {
        let mut table = Self::default();
        for row in rows {
            table.owners.push(row.owner.into());
            table.versions.push(row.version.into());
            table.generations.push(row.generation.into());
            table.wrapped.push(row.wrapped);
            table.made_at.push(row.made_at.micros());
            table.destroyed_at.push(row.destroyed_at.map(Timestamp::micros));
        }
        table
    }

    /// Inserts them by a statement that says which.
    async fn insert(&self, connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
        let insert = sqlx::query(sql).bind(&self.owners).bind(&self.versions).bind(&self.generations).bind(&self.wrapped);
        insert.bind(&self.made_at).bind(&self.destroyed_at).execute(connection).await.map(drop)
    }
}

async fn newest(connection: &mut PgConnection, owners: &[String]) -> sqlx::Result<Vec<Columns>> {
    const SQL: &str = "SELECT DISTINCT ON (owner) owner, version, generation, wrapped, made_at, destroyed_at FROM keys
         WHERE owner = ANY($1) ORDER BY owner, version DESC";
    sqlx::query_as(SQL).bind(owners).fetch_all(connection).await
}

async fn versions(connection: &mut PgConnection, owners: &[String], versions: &[i64]) -> sqlx::Result<Vec<Columns>> {
    const SQL: &str = "SELECT owner, version, generation, wrapped, made_at, destroyed_at
         FROM unnest($1::text[], $2::bigint[]) AS wanted (owner, version) JOIN keys USING (owner, version)";
    sqlx::query_as(SQL).bind(owners).bind(versions).fetch_all(connection).await
}

async fn put(connection: &mut PgConnection, table: &Table) -> sqlx::Result<()> {
    const SQL: &str = "INSERT INTO keys
         SELECT n.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[])
             AS n (owner, version, generation, wrapped, made_at, destroyed_at)
         WHERE n.destroyed_at IS NOT NULL
             OR NOT EXISTS (SELECT FROM keys k WHERE k.owner = n.owner COLLATE \"C\" AND k.destroyed_at IS NOT NULL)
         ON CONFLICT DO NOTHING";
    table.insert(connection, SQL).await
}

async fn renew(connection: &mut PgConnection, table: &Table) -> sqlx::Result<()> {
    // First the rows before are held: whoever destroys them waits, and then sees those that came.
    const HOLD: &str = "SELECT count(*) FROM (SELECT FROM keys WHERE owner = ANY($1) ORDER BY owner, version FOR UPDATE) AS held";
    const SQL: &str = "INSERT INTO keys
         SELECT n.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[])
             AS n (owner, version, generation, wrapped, made_at, destroyed_at)
         WHERE EXISTS (SELECT FROM keys k WHERE k.owner = n.owner COLLATE \"C\" AND k.version = n.version - 1 AND k.destroyed_at IS NULL)
         ON CONFLICT DO NOTHING";
    let mut transaction = connection.begin().await?;
    sqlx::query(HOLD).bind(&table.owners).execute(&mut *transaction).await?;
    table.insert(&mut transaction, SQL).await?;
    transaction.commit().await
}

async fn destroy(connection: &mut PgConnection, owner: &str, at: i64) -> sqlx::Result<bool> {
    let mut transaction = connection.begin().await?;
    // A first version that is on its way is waited for by this, and a next one by holding what is there.
    let none = "INSERT INTO keys VALUES ($1, 1, 0, NULL, $2, $2) ON CONFLICT DO NOTHING";
    sqlx::query(none).bind(owner).bind(at).execute(&mut *transaction).await?;
    let hold = "SELECT count(*) FROM (SELECT FROM keys WHERE owner = $1 ORDER BY version FOR UPDATE) AS held";
    sqlx::query(hold).bind(owner).execute(&mut *transaction).await?;
    let end = "UPDATE keys SET wrapped = NULL, destroyed_at = $2 WHERE owner = $1 AND destroyed_at IS NULL";
    let ended = sqlx::query(end).bind(owner).bind(at).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(ended.rows_affected() > 0)
}

async fn page(connection: &mut PgConnection, after: (&str, i64), limit: i64) -> sqlx::Result<Vec<Columns>> {
    const SQL: &str = "SELECT owner, version, generation, wrapped, made_at, destroyed_at FROM keys
         WHERE (owner, version) > ($1, $2) ORDER BY owner, version LIMIT $3";
    sqlx::query_as(SQL).bind(after.0).bind(after.1).bind(limit).fetch_all(connection).await
}

async fn older(connection: &mut PgConnection, generation: i64, limit: i64) -> sqlx::Result<(Vec<Columns>, i64)> {
    const SQL: &str = "SELECT owner, version, generation, wrapped, made_at, destroyed_at FROM keys
         WHERE generation < $1 AND destroyed_at IS NULL LIMIT $2";
    const ALL: &str = "SELECT count(*) FROM keys WHERE generation < $1 AND destroyed_at IS NULL";
    let rows = sqlx::query_as(SQL).bind(generation).bind(limit).fetch_all(&mut *connection).await?;
    Ok((rows, sqlx::query_scalar(ALL).bind(generation).fetch_one(connection).await?))
}

async fn rewrap(connection: &mut PgConnection, from: &[i64], table: &Table) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE keys SET wrapped = n.wrapped, generation = n.generation
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) AS n (owner, version, generation, wrapped, before)
         WHERE keys.owner = n.owner COLLATE \"C\" AND keys.version = n.version AND keys.generation = n.before AND keys.destroyed_at IS NULL";
    let update = sqlx::query(SQL).bind(&table.owners).bind(&table.versions).bind(&table.generations).bind(&table.wrapped);
    update.bind(from).execute(connection).await.map(drop)
}

async fn samples(connection: &mut PgConnection, after: i64) -> sqlx::Result<Vec<Columns>> {
    const NEXT: &str = "SELECT owner, version, generation, wrapped, made_at, destroyed_at FROM keys
         WHERE destroyed_at IS NULL AND generation > $1 ORDER BY generation LIMIT $2";
    sqlx::query_as(NEXT).bind(after).bind(limited(SAMPLES)).fetch_all(connection).await
}

async fn counts(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, i64, i64, bool, i64)>> {
    const SQL: &str = "SELECT split_part(owner, '-', 1) COLLATE \"C\", version, generation, destroyed_at IS NOT NULL, count(*) FROM keys
         GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
    sqlx::query_as(SQL).fetch_all(connection).await
}

async fn noted(connection: &mut PgConnection, name: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT value FROM key_meta WHERE name = $1").bind(name).fetch_optional(connection).await
}

async fn set_note(connection: &mut PgConnection, name: &str, text: &str) -> sqlx::Result<()> {
    const SQL: &str = "INSERT INTO key_meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(SQL).bind(name).bind(text).execute(connection).await.map(drop)
}

fn stored(rows: Vec<Columns>) -> Result<Vec<Row>, KeyStoreError> {
    rows.into_iter().map(Row::try_from).collect()
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl KeyStore for Postgres {
    async fn newest(&self, owners: Vec<Owner>) -> Result<Vec<Row>, KeyStoreError> {
        let owners: Vec<String> = owners.into_iter().map(String::from).collect();
        stored(ask!(self, newest, &owners))
    }

    async fn versions(&self, wanted: Vec<(Owner, u32)>) -> Result<Vec<Row>, KeyStoreError> {
        let (owners, numbers): (Vec<String>, Vec<i64>) =
            wanted.into_iter().map(|(owner, version)| (String::from(owner), i64::from(version))).unzip();
        stored(ask!(self, versions, &owners, &numbers))
    }

    async fn put(&self, rows: Vec<Row>) -> Result<(), KeyStoreError> {
        let table = Table::of(rows);
        ask!(self, put, &table);
        Ok(())
    }

    async fn renew(&self, rows: Vec<Row>) -> Result<(), KeyStoreError> {
        let table = Table::of(rows);
        ask!(self, renew, &table);
        Ok(())
    }

    async fn destroy(&self, owner: Owner, at: Timestamp) -> Result<bool, KeyStoreError> {
        Ok(ask!(self, destroy, owner.as_str(), at.micros()))
    }

    async fn page(&self, after: Option<(Owner, u32)>, limit: usize) -> Result<Vec<Row>, KeyStoreError> {
        let after = after.as_ref().map_or(("", 0), |(owner, version)| (owner.as_str(), i64::from(*version)));
        stored(ask!(self, page, after, limited(limit)))
    }

    async fn older(&self, generation: u32, limit: usize) -> Result<(Vec<Row>, u64), KeyStoreError> {
        let (rows, all) = ask!(self, older, generation.into(), limited(limit));
        Ok((stored(rows)?, all.unsigned_abs()))
    }

    async fn rewrap(&self, rows: Vec<(u32, Row)>) -> Result<(), KeyStoreError> {
        let (from, rows): (Vec<i64>, Vec<Row>) = rows.into_iter().map(|(from, row)| (i64::from(from), row)).unzip();
        let table = Table::of(rows);
        ask!(self, rewrap, &from, &table);
        Ok(())
    }

    async fn samples(&self, after: u32) -> Result<Vec<Row>, KeyStoreError> {
        stored(ask!(self, samples, after.into()))
    }

    async fn counts(&self) -> Result<Vec<Count>, KeyStoreError> {
        Ok(ask!(self, counts).into_iter().map(count).collect())
    }

    async fn note(&self, note: Note) -> Result<Option<String>, KeyStoreError> {
        Ok(ask!(self, noted, note.name()))
    }

    async fn set_note(&self, note: Note, text: String) -> Result<(), KeyStoreError> {
        ask!(self, set_note, note.name(), &text);
        Ok(())
    }
}
