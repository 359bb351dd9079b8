//! A file of read models that is damaged, and a new one that takes its place: whatever is damaged, nothing of it is built upon.

use super::{Db, DbError, Urgency, Write, sqlite};
use crate::value::Value;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// What SQLite keeps beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// What is not made from the log: how far those have come who act on it.
const KEPT: [(&str, &[&str]); 3] = [
    ("consumer_checkpoints", &["name", "log_id", "position", "event_id"]),
    ("consumer_failures", &["name", "log_id", "error", "since", "last", "times", "lasting"]),
    ("consumer_pauses", &["name", "log_id", "since"]),
];

/// Why a new file could not take the place of the old one.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file could not be moved or removed.
    #[error("{} cannot be moved or removed: {}", .0.display(), .1)]
    Moved(PathBuf, #[source] io::Error),
    /// The new file.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The work could not be done.
    #[error("the work on a file broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// What SQLite finds wrong with the file at `path`, wherever in it; `None` if it is whole or not there.
pub async fn damage_of(path: &Path) -> Result<Option<String>, FileError> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || if path.exists() { sqlite::first_fault(&path) } else { Ok(None) }).await? {
        Err(DbError::Damaged(error)) => Ok(Some(error.to_string())),
        found => Ok(found?),
    }
}

/// A new file beside the one whose place it takes.
#[derive(Debug)]
pub struct NewFile {
    place: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Beside `place`. What an earlier attempt left is removed.
    pub fn beside(place: &Path) -> Result<Self, FileError> {
        let path = with(place, ".new");
        for old in family(&path) {
            match fs::remove_file(&old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::Moved(old, error)),
                _ => {}
            }
        }
        Ok(Self { place: place.to_owned(), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over what can still be read of how far consumers have come; what cannot, they find again from the beginning.
    pub async fn carry_over(&self, new: &Db) -> Result<(), FileError> {
        let Ok(old) = Db::sqlite(&self.place).await else { return Ok(()) };
        for (table, names) in KEPT {
            let (list, places) = (names.join(", "), (1..=names.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", "));
            let Ok(rows) = old.long_query(format!("SELECT {list} FROM {table}"), vec![]).await else { continue };
            let insert =
                |row: Vec<Value>| Write::run(format!("INSERT INTO {table} ({list}) VALUES ({places}) ON CONFLICT DO NOTHING"), row);
            new.write(rows.into_iter().map(insert).collect(), Urgency::Live).await?;
        }
        Ok(())
    }

    /// Takes the place, once nobody has either file open; where the old one is now.
    pub async fn take_over(self) -> Result<PathBuf, FileError> {
        let Self { place, path } = self;
        let aside = with(&place, ".damaged");
        let moving = {
            let aside = aside.clone();
            move || {
                sqlite::settle(&path)?;
                // The log beside the old file first: it must never stand beside the new one.
                for ending in ["-wal", "-shm", ""] {
                    let from = with(&place, ending);
                    match fs::rename(&from, with(&aside, ending)) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::Moved(from, error)),
                        _ => {}
                    }
                }
                fs::rename(&path, &place).map_err(|error| FileError::Moved(path, error))
            }
        };
        tokio::task::spawn_blocking(moving).await??;
        Ok(aside)
    }
}

fn family(path: &Path) -> impl Iterator<Item = PathBuf> {
    std::iter::once("").chain(BESIDE).map(|ending| with(path, ending))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
