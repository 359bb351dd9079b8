//! A log where nothing can be written, such as on a read-only mount or in a backup.
//!
//! While somebody has it open, their write-ahead log and its index stand beside it, and SQLite reads with them. When nobody has,
//! SQLite would make them, and cannot. Then the file alone is the whole log, as long as nobody begins to write: so the folder's lock
//! is held meanwhile.

use super::library::{ConnectError, connect};
use super::schema::OpenError;
use crate::DataLock;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{fs, path::Path};

/// How the file is opened by all who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Beside whoever writes.
    Beside,
    /// As it is: nobody writes.
    Still,
}

impl Reading {
    /// A connection.
    pub fn open(self, path: &Path) -> Result<Connection, ConnectError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            Self::Beside => connect(path, flags),
            Self::Still => connect(Path::new(&still(path)), flags | OpenFlags::SQLITE_OPEN_URI),
        }
    }
}

/// The address of a file that does not change.
fn still(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

/// Whether `error` is what SQLite says of a file that it cannot open with what belongs to it.
pub fn cannot_open(error: &OpenError) -> bool {
    let (OpenError::Sqlite(error) | OpenError::Connect(ConnectError::Sqlite(error))) = error else { return false };
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Makes sure that nobody writes to the file while the result is held; there may be nothing to hold. An error says that somebody may,
/// or that there is more to the log than the file.
pub fn hold(path: &Path) -> Result<Option<DataLock>, OpenError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-wal");
    if fs::metadata(&beside).is_ok_and(|left| left.len() > 0) {
        return Err(OpenError::NotClosed(path.to_owned()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(DataLock::keep_still(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_whole_log_only_if_nothing_is_left_beside_it_and_nobody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (log, left) = (folder.path().join("log.sqlite"), folder.path().join("log.sqlite-wal"));
        assert!(hold(&log).unwrap().is_none(), "nobody ever locked it");
        let writer = DataLock::acquire(folder.path()).unwrap();
        assert!(matches!(hold(&log), Err(OpenError::Lock(_))), "somebody may write");
        drop(writer);
        let held = hold(&log).unwrap();
        assert!(held.is_some() && DataLock::acquire(folder.path()).is_err(), "nobody begins to write meanwhile");
        drop(held);
        fs::write(&left, "frames").unwrap();
        assert!(matches!(hold(&log), Err(OpenError::NotClosed(_))));
        assert_eq!(still(Path::new("/data/a b?c#d%e.sqlite")), "file:/data/a b%3fc%23d%25e.sqlite?immutable=1");
    }
}
