//! The file: its tables, its settings, its version.

use super::{
    LEFTOVER, Options, id_index,
    library::{ConnectError, connect},
    still::Reading,
};
use crate::{
    private,
    store::{LogId, StoreError},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Version of the tables below. A newer one is refused: this binary cannot know what it means.
const VERSION: u32 = 1;

/// The mark of a log that holds a part only of what is brought into it.
const PARTIAL: &str = "partial";

/// The writer's page cache: 16 MiB, and 128 MiB for bulk writes (SQLite counts kibibytes below zero).
pub const CACHE: i32 = -16_384;
/// See [`CACHE`].
pub const BULK_CACHE: i32 = -131_072;

/// `UNIQUE (stream, revision)` is what makes an append safe; everything before it is speed. The index over ids is made apart.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        stream TEXT NOT NULL,
        revision INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        metadata TEXT NOT NULL,
        recorded_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS events_by_stream ON events (stream, revision);
";

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer program made it.
    #[error("the log {} has schema version {found}, and this program knows only up to {VERSION}: use a newer circolo", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is not a log, or not a whole one.
    #[error("{} is not a log of circolo: {what}", .path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The file, or the library.
    #[error("the log cannot be opened: {}{}", .0, advice(.0.code()))]
    Connect(#[from] ConnectError),
    /// SQLite refused.
    #[error("the log cannot be opened: {}{}", .0, advice(.0.sqlite_error_code()))]
    Sqlite(#[from] rusqlite::Error),
    /// It can be opened, and not be read.
    #[error(transparent)]
    Read(#[from] Box<StoreError>),
    /// There is no room, or no right, to write.
    #[error("nothing can be written beside the log: {0}")]
    Room(#[source] std::io::Error),
    /// It was not closed, and cannot be put in order where it is.
    #[error(
        "nobody has the log {} open, it was not closed, and nothing can be written beside it: copy it, with what is called like it, to \
         where that is possible",
        .0.display()
    )]
    NotClosed(PathBuf),
    /// The lock of its folder.
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    /// A thread could not be started.
    #[error("a thread for the log cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What to do about a file that is none of SQLite's any more.
const fn advice(code: Option<ErrorCode>) -> &'static str {
    match code {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            ": it is damaged, and nothing makes it anew; docs/faults.md says how to go on from a backup or a copy"
        }
        _ => "",
    }
}

/// Opens or creates the file with the writer's settings.
pub fn open_for_writing(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::default())?;
    connection.busy_timeout(options.patience)?;
    // FULL: a commit is on the disk before it is acknowledged; group commit makes that affordable. The WAL is copied into the file
    // beside the commits (see WriteBack); what one huge transaction leaves of it is cut. The cache is small because SQLite walks over all of it
    // at every commit: measured with 128 MiB, a commit of one row takes 90 us of processor time instead of 30, one of 64 rows
    // 2.0 ms instead of 0.9.
    connection.execute_batch(&format!(
        "PRAGMA page_size = 4096;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = {LEFTOVER};
         PRAGMA cache_size = {CACHE};",
    ))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Opens the file with the readers' settings.
pub fn open_for_reading(path: &Path, reading: Reading, options: &Options) -> Result<Connection, OpenError> {
    let connection = reading.open(path)?;
    connection.busy_timeout(options.patience)?;
    // The file is not mapped into memory: whoever reads all of it would seem to hold all of it.
    connection.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA cache_size = -4096;",
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Commits a transaction that changes nothing, where there is room for one that does: a small one may fit into what a failed
/// one left of the write-ahead log.
pub fn try_to_write(path: &Path) -> Result<(), OpenError> {
    const ROOM: usize = 1 << 20;
    let mut beside = path.as_os_str().to_owned();
    beside.push("-room");
    let written = private::create(beside.as_ref()).and_then(|mut file| file.write_all(&vec![0; ROOM]));
    // Another may have removed it, or it was never made.
    let _ = std::fs::remove_file(&beside);
    written.map_err(OpenError::Room)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(1))?;
    connection.execute_batch("PRAGMA synchronous = FULL; UPDATE meta SET value = value")?;
    Ok(())
}

/// Whether the log is marked as holding a part only of what is brought into it.
pub fn is_partial(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(meta(connection, PARTIAL)?.is_some())
}

/// Marks it so, or takes the mark off. The writer thread has nothing to do meanwhile, and would be waited for.
pub fn set_partial(path: &Path, partial: bool) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let sql = if partial { "INSERT OR REPLACE INTO meta VALUES (?1, 'true')" } else { "DELETE FROM meta WHERE name = ?1" };
    connection.execute(sql, [PARTIAL]).map(drop)
}

/// Makes tables and indexes if they are not there; the log's identity.
pub fn prepare(connection: &Connection, new_log_id: LogId) -> Result<LogId, OpenError> {
    if !is_log(connection)? {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {TABLES}
             INSERT OR IGNORE INTO meta VALUES ('schema_version', '{VERSION}'), ('log_id', '{new_log_id}');
             COMMIT;"
        ))?;
    }
    connection.execute_batch(id_index::MAKE)?;
    log_id(connection)
}

/// The identity of an existing log of a known version.
pub fn log_id(connection: &Connection) -> Result<LogId, OpenError> {
    let not_a_log = |what| OpenError::NotALog { path: path(connection), what };
    if !is_log(connection)? {
        return Err(not_a_log("it has no events table"));
    }
    let found: u32 = meta(connection, "schema_version")?.and_then(|v| v.parse().ok()).ok_or_else(|| not_a_log("it has no version"))?;
    if found > VERSION {
        return Err(OpenError::TooNew { path: path(connection), found });
    }
    meta(connection, "log_id")?.and_then(|id| id.parse().ok()).ok_or_else(|| not_a_log("it has no identity"))
}

fn is_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.table_exists(None, "meta")
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn path(connection: &Connection) -> PathBuf {
    connection.path().map(PathBuf::from).unwrap_or_default()
}
