//! The lock of a data folder: one server or log writer at a time.

use crate::private;
use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Why a data folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "another circolo server or log writer is using {}: stop it first, or choose another folder with --data. Servers that share \
         their data need a log in Postgres or KurrentDB and read models in Postgres (--log, --views)",
        .0.display()
    )]
    Held(PathBuf),
    /// Another process is at it.
    #[error(
        "another circolo program is at the read model {name} in {}: a server builds what it lacks by itself, and `circolo projections \
         build` must have ended before a server of its version starts",
        .dir.display()
    )]
    ReadModel {
        /// Name and version.
        name: String,
        /// The folder of the read models.
        dir: PathBuf,
    },
    /// The lock file could not be made or locked.
    #[error("the lock file {} cannot be used: {source}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Holds a data folder until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    // The operating system lets go of the lock when the file is closed. The file stays: deleting it would let two processes
    // lock two files of the same name.
    file: File,
    path: PathBuf,
}

impl DataLock {
    /// Takes the folder `dir`, which must exist, or says who has to let go of it.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        Self::lock(dir, File::try_lock)
    }

    /// Takes the folder together with others who do so, against those who want it to themselves.
    pub fn share(dir: &Path) -> Result<Self, LockError> {
        Self::lock(dir, File::try_lock_shared)
    }

    /// Keeps others from writing in the folder, also where this process may not write itself; `None` if nobody ever locked it.
    pub(crate) fn keep_still(dir: &Path) -> Result<Option<Self>, LockError> {
        let path = dir.join("circolo.lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { path, source }),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { file, path })),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    /// Takes the read model `name` in the folder `dir`: a server holds those that it moves, and whoever prepares others
    /// beside it holds these.
    pub fn read_model(dir: &Path, name: &str) -> Result<Self, LockError> {
        let folder = dir.join("circolo.turns");
        private::folder(&folder).map_err(|source| LockError::Io { path: folder.clone(), source })?;
        Self::lock_file(folder.join(name), File::try_lock)?
            .ok_or_else(|| LockError::ReadModel { name: name.to_owned(), dir: dir.to_owned() })
    }

    fn lock(dir: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Self, LockError> {
        Self::lock_file(dir.join("circolo.lock"), lock)?.ok_or_else(|| LockError::Held(dir.to_owned()))
    }

    /// `None` if somebody else has locked it.
    fn lock_file(path: PathBuf, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Option<Self>, LockError> {
        let broken = |source| LockError::Io { path: path.clone(), source };
        let file = private::options().truncate(false).read(true).open(&path).map_err(broken)?;
        match lock(&file) {
            Ok(()) => Ok(Some(Self { file, path })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(broken(source)),
        }
    }

    /// What tells this folder from all others: kept in the lock file, and `fresh` if there is nothing yet.
    pub fn id(&self, fresh: Uuid) -> Result<Uuid, LockError> {
        self.read_id(fresh).map_err(|source| LockError::Io { path: self.path.clone(), source })
    }

    fn read_id(&self, fresh: Uuid) -> io::Result<Uuid> {
        let (mut file, mut text) = (&self.file, String::new());
        file.rewind()?;
        file.read_to_string(&mut text)?;
        if let Ok(id) = text.trim().parse() {
            return Ok(id);
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{fresh}")?;
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataLock::acquire(dir.path()).unwrap();
        let refused = DataLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(refused, LockError::Held(_)), "{refused}");
        assert!(DataLock::share(dir.path()).is_err());
        drop(lock);
        let shared = [DataLock::share(dir.path()).unwrap(), DataLock::share(dir.path()).unwrap()];
        assert!(DataLock::acquire(dir.path()).is_err());
        drop(shared);
        DataLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_read_model_is_moved_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataLock::read_model(dir.path(), "feeds@1").unwrap();
        let refused = DataLock::read_model(dir.path(), "feeds@1").unwrap_err();
        assert!(matches!(&refused, LockError::ReadModel { name, .. } if name == "feeds@1"), "{refused}");
        DataLock::read_model(dir.path(), "feeds@2").unwrap();
        drop(lock);
        DataLock::read_model(dir.path(), "feeds@1").unwrap();
    }

    #[test]
    fn a_folder_keeps_its_id() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = |dir: &Path, fresh| DataLock::acquire(dir).unwrap().id(Uuid::from_u128(fresh)).unwrap();
        assert_eq!([id(dir.path(), 1), id(dir.path(), 2), id(other.path(), 3)].map(|id| id.as_u128()), [1, 1, 3]);
        // What is none is replaced.
        std::fs::write(dir.path().join("circolo.lock"), "something else that is longer than an id").unwrap();
        assert_eq!([id(dir.path(), 4), id(dir.path(), 5)].map(|id| id.as_u128()), [4, 4]);
    }
}
