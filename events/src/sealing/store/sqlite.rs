//! Keys in a SQLite file. What is destroyed is overwritten in it, and taken out of its write-ahead log.

use super::{Columns, Count, KeyStore, KeyStoreError, Make, Note, Row, SAMPLES, VERSION, count};
use crate::sealing::Owner;
use crate::{
    private,
    sqlite::{ConnectError, connect},
};
use async_trait::async_trait;
use circolo_domain::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, TransactionBehavior, params};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long a statement waits for another process, such as `circolo keys` beside a server.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS key_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS keys (
        owner TEXT NOT NULL,
        version INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        wrapped BLOB,
        made_at INTEGER NOT NULL,
        destroyed_at INTEGER,
        PRIMARY KEY (owner, version)
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX IF NOT EXISTS keys_by_generation ON keys (generation) WHERE destroyed_at IS NULL;
";

const COLUMNS: &str = "owner, version, generation, wrapped, made_at, destroyed_at";

/// The keys in a SQLite file.
#[derive(Debug, Clone)]
pub struct Sqlite(Arc<Mutex<Connection>>);

impl From<rusqlite::Error> for KeyStoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<ConnectError> for KeyStoreError {
    fn from(error: ConnectError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl Sqlite {
    /// Opens the file at `path`.
    pub fn open(path: &Path, make: Make) -> Result<Self, KeyStoreError> {
        if !path.exists() {
            if make == Make::Never {
                return Err(KeyStoreError::Missing(path.to_owned()));
            }
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                private::folder(folder).map_err(|error| KeyStoreError::Unavailable(error.into()))?;
            }
        }
        Self::of(connect(path, OpenFlags::default())?, path, make)
    }

    /// A store that is gone with this process, for a log that is gone, too.
    pub fn in_memory() -> Result<Self, KeyStoreError> {
        Self::of(Connection::open_in_memory()?, Path::new(":memory:"), Make::IfMissing)
    }

    fn of(connection: Connection, path: &Path, make: Make) -> Result<Self, KeyStoreError> {
        connection.busy_timeout(PATIENCE)?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
        let is_store = connection.table_exists(None, "key_meta")?;
        if tables > 0 && !is_store {
            return Err(KeyStoreError::NotAlone);
        }
        if !is_store && make == Make::Never {
            return Err(KeyStoreError::Missing(path.to_owned()));
        }
        // FULL: a key is on the disk before anything is sealed under it.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
        if !is_store {
            let meta = format!("INSERT OR IGNORE INTO key_meta VALUES ('schema_version', '{VERSION}');");
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} {meta} COMMIT;"))?;
        }
        match meta(&connection, "schema_version")?.and_then(|version| version.parse::<i64>().ok()) {
            Some(found) if found > VERSION => Err(KeyStoreError::TooNew(found)),
            Some(_) => Ok(Self(Arc::new(Mutex::new(connection)))),
            None => Err(KeyStoreError::Broken("no version".to_owned())),
        }
    }

    /// Does `work` where waiting for the disk holds nobody up.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, KeyStoreError> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        let connection = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)));
        done.await.map_err(|panic| KeyStoreError::Unavailable(panic.into()))?
    }

    async fn rows(&self, sql: String, params: impl Params + Send + 'static) -> Result<Vec<Row>, KeyStoreError> {
        self.run(move |connection| rows(connection, &sql, params)).await
    }
}

fn rows(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<Row>, KeyStoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(params, |row| Columns::try_from(row))?;
    found.map(|row| Row::try_from(row?)).collect()
}

/// Inserts rows by a statement that says which of them.
fn insert(connection: &mut Connection, sql: &str, rows: &[Row]) -> Result<(), KeyStoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(sql)?;
        for row in rows {
            let destroyed_at = row.destroyed_at.map(Timestamp::micros);
            statement.execute(params![row.owner.as_str(), row.version, row.generation, row.wrapped, row.made_at.micros(), destroyed_at])?;
        }
    }
    Ok(transaction.commit()?)
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM key_meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

#[async_trait]
impl KeyStore for Sqlite {
    async fn newest(&self, owners: Vec<Owner>) -> Result<Vec<Row>, KeyStoreError> {
        // Beside max() the other columns are those of its row: SQLite promises that.
        const SQL: &str = "SELECT owner, max(version), generation, wrapped, made_at, destroyed_at FROM keys
             WHERE owner IN (SELECT value FROM json_each(?1)) GROUP BY owner";
        self.rows(SQL.to_owned(), [serde_json::json!(owners).to_string()]).await
    }

    async fn versions(&self, wanted: Vec<(Owner, u32)>) -> Result<Vec<Row>, KeyStoreError> {
        const SQL: &str = "SELECT k.owner, k.version, k.generation, k.wrapped, k.made_at, k.destroyed_at FROM json_each(?1) j
             CROSS JOIN keys k ON k.owner = j.value ->> 0 AND k.version = j.value ->> 1";
        self.rows(SQL.to_owned(), [serde_json::json!(wanted).to_string()]).await
    }

    async fn put(&self, rows: Vec<Row>) -> Result<(), KeyStoreError> {
        const SQL: &str = "INSERT INTO keys SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE ?6 IS NOT NULL OR NOT EXISTS (SELECT 1 FROM keys WHERE owner = ?1 AND destroyed_at IS NOT NULL)
             ON CONFLICT DO NOTHING";
        self.run(move |connection| insert(connection, SQL, &rows)).await
    }

    async fn renew(&self, rows: Vec<Row>) -> Result<(), KeyStoreError> {
        const SQL: &str = "INSERT INTO keys SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE EXISTS (SELECT 1 FROM keys WHERE owner = ?1 AND version = ?2 - 1 AND destroyed_at IS NULL)
             ON CONFLICT DO NOTHING";
        self.run(move |connection| insert(connection, SQL, &rows)).await
    }

    async fn destroy(&self, owner: Owner, at: Timestamp) -> Result<bool, KeyStoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let end = "UPDATE keys SET wrapped = NULL, destroyed_at = ?2 WHERE owner = ?1 AND destroyed_at IS NULL";
            let ended = transaction.execute(end, params![owner.as_str(), at.micros()])?;
            let none = "INSERT INTO keys VALUES (?1, 1, 0, NULL, ?2, ?2) ON CONFLICT DO NOTHING";
            transaction.execute(none, params![owner.as_str(), at.micros()])?;
            transaction.commit()?;
            // The page as it was stands in the write-ahead log until this. A reader may be in the way: the next one takes it away.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(ended > 0)
        })
        .await
    }

    async fn page(&self, after: Option<(Owner, u32)>, limit: usize) -> Result<Vec<Row>, KeyStoreError> {
        let (owner, version) = after.map_or((String::new(), 0), |(owner, version)| (owner.into(), version));
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE (owner, version) > (?1, ?2) ORDER BY owner, version LIMIT ?3");
        self.rows(sql, (owner, version, i64::try_from(limit).unwrap_or(i64::MAX))).await
    }

    async fn older(&self, generation: u32, limit: usize) -> Result<(Vec<Row>, u64), KeyStoreError> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE generation < ?1 AND destroyed_at IS NULL LIMIT ?2");
        let all = "SELECT count(*) FROM keys WHERE generation < ?1 AND destroyed_at IS NULL";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run(move |connection| {
            let found = rows(connection, &sql, (generation, limit))?;
            Ok((found, connection.query_row(all, [generation], |row| row.get::<_, i64>(0))?.unsigned_abs()))
        })
        .await
    }

    async fn rewrap(&self, rows: Vec<(u32, Row)>) -> Result<(), KeyStoreError> {
        const SQL: &str = "UPDATE keys SET wrapped = ?4, generation = ?5
             WHERE owner = ?1 AND version = ?2 AND generation = ?3 AND destroyed_at IS NULL";
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut statement = transaction.prepare_cached(SQL)?;
                for (from, row) in &rows {
                    statement.execute(params![row.owner.as_str(), row.version, from, row.wrapped, row.generation])?;
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn samples(&self, after: u32) -> Result<Vec<Row>, KeyStoreError> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE destroyed_at IS NULL AND generation > ?1 ORDER BY generation LIMIT {SAMPLES}");
        self.rows(sql, [after]).await
    }

    async fn counts(&self) -> Result<Vec<Count>, KeyStoreError> {
        const SQL: &str =
            "SELECT substr(owner, 1, instr(owner || '-', '-') - 1) AS purpose, version, generation, destroyed_at IS NOT NULL, count(*)
             FROM keys GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
        self.run(|connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let found = statement.query_map([], |row| row.try_into())?.map(|row| row.map(count)).collect::<Result<_, _>>()?;
            Ok(found)
        })
        .await
    }

    async fn note(&self, note: Note) -> Result<Option<String>, KeyStoreError> {
        self.run(move |connection| Ok(meta(connection, note.name())?)).await
    }

    async fn set_note(&self, note: Note, text: String) -> Result<(), KeyStoreError> {
        self.run(move |connection| {
            connection.execute("INSERT OR REPLACE INTO key_meta VALUES (?1, ?2)", [note.name(), &text])?;
            Ok(())
        })
        .await
    }
}
