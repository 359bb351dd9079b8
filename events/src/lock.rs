//! The lock of a data folder: one server or log writer at a time.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

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
    _file: File,
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

    fn lock(dir: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Self, LockError> {
        let path = dir.join("circolo.lock");
        let broken = |source| LockError::Io { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(broken)?;
        match lock(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(broken(source)),
        }
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
}
