//! The one place where files of SQLite are opened: by a library that can be trusted with them, with rights for their owner alone.

use crate::private;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::path::Path;

/// The first version whose write-ahead log cannot lose commits, as SQLite counts versions: 3.51.3.
const NEEDED: i32 = 3_051_003;

/// Why a file of SQLite could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A library was linked that loses commits.
    #[error(
        "SQLite {} is linked, and {} is needed: before it, a write-ahead log that is copied back and reset at the same moment can lose \
         commits or the file (sqlite.org/wal.html); use a circolo that was built with the SQLite it brings along",
        version(*.0),
        version(NEEDED)
    )]
    Unsound(i32),
    /// The file cannot be made.
    #[error("the file cannot be made: {0}")]
    Made(#[source] std::io::Error),
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl ConnectError {
    /// What SQLite says of it.
    pub fn code(&self) -> Option<rusqlite::ErrorCode> {
        if let Self::Sqlite(error) = self { error.sqlite_error_code() } else { None }
    }
}

/// Opens the file at `path`, and makes it if `flags` allow that. Statements are compiled once.
pub fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, ConnectError> {
    sound(rusqlite::version_number())?;
    if flags.contains(OpenFlags::SQLITE_OPEN_CREATE) && !path.exists() {
        // SQLite gives what it makes beside the file the file's own rights.
        private::reserve(path).map_err(ConnectError::Made)?;
    }
    let connection = Connection::open_with_flags(path, flags)?;
    keep_plans(&connection)?;
    Ok(connection)
}

/// Refuses a library that may lose what was committed.
const fn sound(found: i32) -> Result<(), ConnectError> {
    if found < NEEDED { Err(ConnectError::Unsound(found)) } else { Ok(()) }
}

/// `3.51.3`.
fn version(number: i32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
}

/// Compiles each statement of `connection` once. SQLite would else do it again for every other value that is bound to a `LIMIT`,
/// to plan for that value: for a lookup of one row this takes longer than the lookup.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_may_lose_commits_is_refused_by_name() {
        for unsound in [3_007_000, 3_050_002, 3_051_000, 3_051_002] {
            let error = sound(unsound).unwrap_err().to_string();
            assert!(error.contains(&format!("SQLite {} is linked, and 3.51.3 is needed", version(unsound))), "{error}");
        }
        for sound_one in [3_051_003, 3_052_000, 4_000_000] {
            sound(sound_one).unwrap();
        }
    }

    #[test]
    fn the_library_that_is_linked_is_sound_and_is_the_one_that_was_built_with_it() {
        sound(rusqlite::version_number()).unwrap();
        assert_eq!(version(rusqlite::version_number()), rusqlite::version());
        assert_eq!(rusqlite::version_number(), rusqlite::ffi::SQLITE_VERSION_NUMBER);
    }
}
