//! From URLs to adapters: the one place that knows which there are.

use crate::{
    clock::Ids,
    config::{Storage, redacted},
    held::Held,
};
use circolo_events::{
    DataLock, EventStore, LockError, LogId, Memory, Position, Postgres, Sqlite, StoreError,
    postgres::{self, ClaimError, ConnectError},
    private,
    sealing::{KeyStoreError, KeyringError},
    sqlite,
};
#[cfg(feature = "kurrentdb")]
use circolo_events::{KurrentDb, kurrentdb};
use circolo_projections::{Db, DbError, Projection};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a log or read models are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere for long; for trying things out.
    Memory,
    /// A file.
    Sqlite(PathBuf),
    /// A database, as a URL.
    Postgres(String),
    /// A KurrentDB server or cluster, as a connection string; for logs.
    Kurrent(String),
}

/// Why data could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none of those known.
    #[error("{0} is not a place for data: sqlite:PATH, postgres://... or, for the log, kurrentdb://... is expected")]
    Url(String),
    /// Read models cannot be there.
    #[error("read models cannot be kept in memory: sqlite:PATH or postgres://... is expected")]
    ViewsInMemory,
    /// Read models cannot be there.
    #[error("read models cannot be kept in KurrentDB: --views takes sqlite:PATH or postgres://...")]
    ViewsInKurrent,
    /// A copy cannot be there.
    #[error("a log in memory is gone when its process ends: a log is copied between sqlite:PATH, postgres://... and kurrentdb://...")]
    CopyInMemory,
    /// This binary was built without it.
    #[cfg(not(feature = "kurrentdb"))]
    #[error("this circolo was built without KurrentDB: use one that was built with the feature kurrentdb")]
    NoKurrent,
    /// A folder cannot be made.
    #[error("the folder {0} cannot be made: {1}")]
    Folder(String, #[source] io::Error),
    /// Somebody else uses the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Somebody else uses the database.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Somebody else uses the log in KurrentDB.
    #[cfg(feature = "kurrentdb")]
    #[error(transparent)]
    KurrentClaim(#[from] kurrentdb::ClaimError),
    /// The log in SQLite.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// The log in Postgres.
    #[error(transparent)]
    Postgres(#[from] ConnectError),
    /// The log in KurrentDB.
    #[cfg(feature = "kurrentdb")]
    #[error(transparent)]
    Kurrent(#[from] kurrentdb::ConnectError),
    /// The log holds a part only.
    #[error(
        "the log holds a part only of what was being brought into it when an import or a copy was interrupted: run the same \
         `circolo events import` or `circolo events copy` again, which goes on where it was, or begin with an empty log"
    )]
    Partial,
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The read models.
    #[error(transparent)]
    Views(#[from] DbError),
    /// Keys cannot be there.
    #[error("{0} is no place for keys: sqlite:PATH or postgres://... is expected")]
    KeysElsewhere(Place),
    /// The key store.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// Keys cannot be had.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The key store is another one.
    #[error(
        "with the keys in {0} nothing opens of what is sealed in the log, from position {1} on: the key store is not the one that belongs to \
         this log, or an old backup of it. Name the right one with --keys"
    )]
    OtherKeys(Place, Position),
}

impl OpenError {
    /// Whether another process uses the data.
    pub fn is_held(&self) -> bool {
        match self {
            Self::Lock(LockError::Held(_)) | Self::Claim(ClaimError::Held(_) | ClaimError::Alone(_)) => true,
            #[cfg(feature = "kurrentdb")]
            Self::KurrentClaim(kurrentdb::ClaimError::Held(_)) => true,
            _ => false,
        }
    }
}

/// An opened log with its read models.
pub struct Opened {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// The read models.
    pub db: Db,
    /// Keeps others out while it lives.
    pub held: Held,
}

impl Storage {
    /// Where the log is.
    pub fn log_place(&self) -> Result<Place, OpenError> {
        place(self.log.as_deref(), &self.folder.data, "log.sqlite")
    }

    /// Where the read models are.
    pub fn views_place(&self) -> Result<Place, OpenError> {
        place(self.views.as_deref(), &self.folder.data, "views.sqlite")
    }

    /// Whether the read models are in a database, so that processes agree by leases who moves them.
    pub fn has_leases(&self) -> Result<bool, OpenError> {
        Ok(matches!(self.views_place()?, Place::Postgres(_)))
    }

    /// Whether log, read models and keys are such that several processes can share them.
    pub fn is_shared(&self) -> Result<bool, OpenError> {
        let log = matches!(self.log_place()?, Place::Postgres(_) | Place::Kurrent(_));
        let keys = matches!(self.keys.place(&self.folder.data)?, Place::Postgres(_));
        Ok(log && keys && self.has_leases()?)
    }

    /// Opens everything for writing, and keeps others out who could not share it. A log that is not there is made, with the first
    /// of `ids`.
    pub async fn open(&self, ids: &Ids) -> Result<Opened, OpenError> {
        if !self.is_shared()? {
            return self.open_alone(ids).await;
        }
        make_folder(&self.folder.data)?;
        self.open_holding(Held::of(vec![DataLock::share(&self.folder.data)?]), false, ids).await
    }

    /// Opens everything for writing and keeps all others out. A log that is not there is made, with the first of `ids`.
    pub async fn open_alone(&self, ids: &Ids) -> Result<Opened, OpenError> {
        let mut locks = self.locks(&self.log_place()?, &self.views_place()?)?;
        locks.extend(self.lock_read_models(&circolo_projections::all())?);
        let held = Held::of(locks);
        self.open_holding(held, true, ids).await
    }

    async fn open_holding(&self, mut held: Held, alone: bool, ids: &Ids) -> Result<Opened, OpenError> {
        let (new_log_id, log, views) = (ids(), self.log_place()?, self.views_place()?);
        held.claim_log(&log, alone, ids).await?;
        held.claim(&views, "views", alone).await?;
        let store = self.sealed(whole(open_log(&log, new_log_id).await?).await?).await?;
        Ok(Opened { store, db: open_views(&views).await?, held })
    }

    /// Tells whoever reads the server's log that others of this machine can read what people wrote: their rights are not taken away,
    /// somebody may have given them.
    pub fn warn_of_wide_rights(&self) {
        let mut folders = BTreeSet::from([self.folder.data.clone()]);
        for place in [self.log_place(), self.views_place()] {
            if let Ok(Place::Sqlite(path)) = place {
                folders.extend(path.parent().map(Path::to_owned));
            }
        }
        for folder in folders {
            let open = private::open_to_others(&folder).len();
            if open > 0 {
                tracing::warn!(folder = %folder.display(), files = open - 1, "others than the owner may look into this folder and so many of its files: take their rights away (chmod -R go=)");
            }
        }
    }

    /// Opens the log alone for writing and keeps others out.
    pub async fn open_log(&self, ids: &Ids) -> Result<(Arc<dyn EventStore>, Held), OpenError> {
        let (store, held) = self.open_log_to_import(ids).await?;
        Ok((whole(store).await?, held))
    }

    /// The same for who brings a history into it: it may hold a part of that.
    pub async fn open_log_to_import(&self, ids: &Ids) -> Result<(Arc<dyn EventStore>, Held), OpenError> {
        let (new_log_id, log) = (ids(), self.log_place()?);
        let mut held = Held::of(self.locks(&log, &log)?);
        held.claim_log(&log, true, ids).await?;
        Ok((self.sealed(open_log(&log, new_log_id).await?).await?, held))
    }

    /// Opens the log for reading only, beside whoever writes to it, as it is kept: what is sealed in it stays so.
    pub async fn open_log_beside(&self) -> Result<Arc<dyn EventStore>, OpenError> {
        open_to_read(&self.log_place()?).await
    }

    /// Opens the log for reading only, and the read models.
    pub async fn open_beside(&self) -> Result<Opened, OpenError> {
        let store = self.read_log().await?;
        let views = self.views_place()?;
        if let Place::Sqlite(path) = &views {
            make_folder_of(path)?;
        }
        Ok(Opened { store, db: open_views(&views).await?, held: Held::default() })
    }

    /// Takes these read models, where they are in a file. In a database, nodes agree by leases.
    pub fn lock_read_models(&self, projections: &[Projection]) -> Result<Vec<DataLock>, OpenError> {
        let Place::Sqlite(path) = self.views_place()? else { return Ok(vec![]) };
        let folder = make_folder_of(&path)?;
        projections.iter().map(|projection| Ok(DataLock::read_model(folder, &projection.key())?)).collect()
    }

    /// Locks the data folder and the folders of the files.
    fn locks(&self, log: &Place, views: &Place) -> Result<Vec<DataLock>, OpenError> {
        make_folder(&self.folder.data)?;
        let mut folders = BTreeSet::from([canonical(&self.folder.data)?]);
        for place in [log, views] {
            if let Place::Sqlite(path) = place {
                folders.insert(canonical(make_folder_of(path)?)?);
            }
        }
        folders.iter().map(|folder| DataLock::acquire(folder).map_err(OpenError::from)).collect()
    }
}

/// Opens the log at `url` for reading only, beside whoever writes to it.
pub async fn source(url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    match given(url)? {
        Place::Memory => Err(OpenError::CopyInMemory),
        place => open_to_read(&place).await,
    }
}

/// Opens the log at `url` for writing, and makes it if it is not there. Keeps others out without a data folder.
pub async fn target(url: &str, ids: &Ids) -> Result<(Arc<dyn EventStore>, Held), OpenError> {
    let (new_log_id, place) = (ids(), given(url)?);
    let mut held = match &place {
        Place::Memory => return Err(OpenError::CopyInMemory),
        Place::Sqlite(path) => Held::of(vec![DataLock::acquire(make_folder_of(path)?)?]),
        Place::Postgres(_) | Place::Kurrent(_) => Held::default(),
    };
    held.claim_log(&place, true, ids).await?;
    Ok((open_log(&place, new_log_id).await?, held))
}

pub(crate) fn given(url: &str) -> Result<Place, OpenError> {
    place(Some(url), Path::new(""), "")
}

/// The log, unless it holds a part only of what was to come into it.
async fn whole(store: Arc<dyn EventStore>) -> Result<Arc<dyn EventStore>, OpenError> {
    if store.is_partial().await? { Err(OpenError::Partial) } else { Ok(store) }
}

async fn open_to_read(place: &Place) -> Result<Arc<dyn EventStore>, OpenError> {
    let store: Arc<dyn EventStore> = match place {
        Place::Memory => Arc::new(Memory::default()),
        Place::Sqlite(path) => Arc::new(Sqlite::open_read_only(path, &sqlite::Options::default())?),
        Place::Postgres(url) => Arc::new(Postgres::connect_to_read(url, &postgres::Options::default()).await?),
        #[cfg(feature = "kurrentdb")]
        Place::Kurrent(url) => Arc::new(KurrentDb::connect_to_read(url, &kurrentdb::Options::default()).await?),
        #[cfg(not(feature = "kurrentdb"))]
        Place::Kurrent(_) => return Err(OpenError::NoKurrent),
    };
    whole(store).await
}

async fn open_log(place: &Place, new_log_id: LogId) -> Result<Arc<dyn EventStore>, OpenError> {
    Ok(match place {
        Place::Memory => Arc::new(Memory::new(new_log_id)),
        Place::Sqlite(path) => Arc::new(Sqlite::open(path, &sqlite::Options::default(), new_log_id)?),
        Place::Postgres(url) => Arc::new(Postgres::connect(url, &postgres::Options::default(), new_log_id).await?),
        #[cfg(feature = "kurrentdb")]
        Place::Kurrent(url) => Arc::new(KurrentDb::connect(url, &kurrentdb::Options::default(), new_log_id).await?),
        #[cfg(not(feature = "kurrentdb"))]
        Place::Kurrent(_) => return Err(OpenError::NoKurrent),
    })
}

async fn open_views(place: &Place) -> Result<Db, OpenError> {
    match place {
        Place::Memory => Err(OpenError::ViewsInMemory),
        Place::Kurrent(_) => Err(OpenError::ViewsInKurrent),
        Place::Sqlite(path) => Ok(Db::sqlite(path).await?),
        Place::Postgres(url) => Ok(Db::postgres(url).await?),
    }
}

pub(crate) fn place(url: Option<&str>, data: &Path, file: &str) -> Result<Place, OpenError> {
    let Some(url) = url else { return Ok(Place::Sqlite(data.join(file))) };
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Place::Memory),
        Some(("sqlite", path)) if !path.is_empty() => Ok(Place::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))),
        Some(("postgres" | "postgresql", _)) => Ok(Place::Postgres(url.to_owned())),
        Some(("kurrentdb" | "esdb" | "kurrentdb+discover" | "esdb+discover", _)) => Ok(Place::Kurrent(url.to_owned())),
        _ => Err(OpenError::Url(redacted(url))),
    }
}

fn make_folder_of(file: &Path) -> Result<&Path, OpenError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(folder)?;
    Ok(folder)
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    private::folder(folder).map_err(|error| OpenError::Folder(folder.display().to_string(), error))
}

fn canonical(folder: &Path) -> Result<PathBuf, OpenError> {
    folder.canonicalize().map_err(|error| OpenError::Folder(folder.display().to_string(), error))
}

impl std::fmt::Display for Place {
    /// Without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory, gone when this ends"),
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) | Self::Kurrent(url) => f.write_str(&redacted(url)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyStorage;

    #[test]
    fn a_url_names_an_adapter() {
        let of = |url: &str| place(Some(url), Path::new("data"), "log.sqlite").unwrap();
        assert_eq!(of("sqlite:x/log.db"), Place::Sqlite("x/log.db".into()));
        assert_eq!(of("sqlite:///var/log.db"), Place::Sqlite("/var/log.db".into()));
        assert_eq!(of("postgres://u:p@h/d"), Place::Postgres("postgres://u:p@h/d".into()));
        assert_eq!(of("postgres://u:p@h/d").to_string(), "postgres://u@h/d");
        for url in ["kurrentdb://u:p@h?tls=false", "esdb://u:p@h", "kurrentdb+discover://u:p@a,b", "esdb+discover://u:p@h:2113"] {
            assert_eq!(of(url), Place::Kurrent(url.to_owned()));
            assert_eq!(of(url).to_string(), redacted(url));
            assert!(!redacted(url).contains(":p"), "{url}");
        }
        assert_eq!(place(None, Path::new("data"), "log.sqlite").unwrap(), Place::Sqlite("data/log.sqlite".into()));
        for bad in ["", "x", "mysql://u:secret@h/d", "sqlite:", "memory:x", "kurrent://u:secret@h"] {
            let error = place(Some(bad), Path::new("data"), "log.sqlite").unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = crate::config::DataFolder { data: dir.path().join("data") };
        let storage = Storage { folder, log: Some("memory:".into()), views: None, keys: KeyStorage::default() };
        let ids = crate::clock::fresh_ids();
        let opened = storage.open(&ids).await.unwrap();
        assert!(storage.open(&ids).await.err().unwrap().is_held());
        drop(opened);
        storage.open(&ids).await.unwrap();
    }
}
