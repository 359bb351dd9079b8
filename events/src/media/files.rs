//! Where files lie: a folder for their owner alone, or a bucket that speaks S3. They are written whole or not at all.

use super::chunks::{HEAD, Head, Name, Opener, Part, STORED_CHUNK, Sealer, offset};
use crate::{
    private,
    sealing::{Found, Keyring, KeyringError, NoRandomness, Owner, Random, secret::hex},
};
use circolo_domain::{MediaId, PersonId, TextOwner, Timestamp};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, buffered::BufWriter, local::LocalFileSystem, path::Path as Location,
};
use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// What is gathered of a file before it is sent on; the least that a part may have in S3.
const GATHERED: usize = 5 << 20;
/// Parts of a file that are on their way at a time.
const ON_THEIR_WAY: usize = 2;

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The store.
    #[error("the store of files: {0}")]
    Store(#[from] object_store::Error),
    /// The folder.
    #[error("the folder of files {0}: {1}")]
    Folder(String, #[source] std::io::Error),
    /// It is not one that is known.
    #[error("{0} is no place for files: a folder, or s3://BUCKET/PREFIX with a program that was built with the feature s3, is expected")]
    Place(String),
    /// Keys cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// Whoever it belongs to was forgotten.
    #[error("the key of {0} was destroyed")]
    Destroyed(Owner),
    /// There is no key for it.
    #[error("there is no key of {0} that opens this file")]
    NoKey(Owner),
    /// It is not there.
    #[error("the file {0} is missing")]
    Missing(Name),
    /// It is not as it was written.
    #[error("the file {0} is damaged")]
    Damaged(Name),
}

/// Files, as far as they are stored.
pub struct Files {
    store: Arc<dyn ObjectStore>,
    prefix: Location,
    /// Where they lie, if it is a folder.
    folder: Option<PathBuf>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({}/{})", self.store, self.prefix)
    }
}

/// A file as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lying {
    /// Its name.
    pub name: Name,
    /// How long it is as it is stored.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub written: Timestamp,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// How many bytes, in clear.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Files {
    /// Those in a folder, which is made.
    pub fn in_folder(folder: &Path) -> Result<Self, FilesError> {
        private::folder(folder).map_err(|error| FilesError::Folder(folder.display().to_string(), error))?;
        // What an event tells of must be there after a crash.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Location::default(), folder: Some(folder.to_owned()) })
    }

    /// Those at `place`: `file:PATH`, or `s3://BUCKET/PREFIX`, for which the usual variables (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`) say the rest.
    pub fn at(place: &str) -> Result<Self, FilesError> {
        match place.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Self::in_folder(Path::new(path.strip_prefix("//").unwrap_or(path))),
            #[cfg(feature = "s3")]
            Some(("s3", rest)) => {
                let rest = rest.trim_start_matches('/');
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let store = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build()?;
                Ok(Self { store: Arc::new(store), prefix: Location::from(prefix), folder: None })
            }
            _ => Err(FilesError::Place(place.to_owned())),
        }
    }

    /// Where they are, for people.
    pub fn place(&self) -> String {
        self.folder.as_ref().map_or_else(|| format!("{}/{}", self.store, self.prefix), |folder| folder.display().to_string())
    }

    fn location(&self, name: Name) -> Location {
        self.prefix.clone().join(name.folder()).join(name.to_string())
    }

    /// Begins a file of `owner`'s.
    pub async fn write(&self, name: Name, owner: PersonId, keys: &Keyring, random: Random) -> Result<Writer, FilesError> {
        let owner = Owner::from(TextOwner::Person(owner));
        let current = keys.current([owner.clone()]).await?;
        let key = match current.get(&owner) {
            Some(Found::Key(key)) => Arc::clone(key),
            Some(Found::Destroyed) => return Err(FilesError::Destroyed(owner)),
            Some(Found::Unknown | Found::Shut) | None => return Err(FilesError::NoKey(owner)),
        };
        if let Some(folder) = &self.folder {
            let folder = folder.join(name.folder());
            private::folder(&folder).map_err(|error| FilesError::Folder(folder.display().to_string(), error))?;
        }
        let mut to = BufWriter::with_capacity(Arc::clone(&self.store), self.location(name), GATHERED).with_max_concurrency(ON_THEIR_WAY);
        to.put(Head { version: key.version }.bytes().to_vec().into()).await?;
        let own = self.folder.as_ref().map(|folder| folder.join(name.folder()).join(name.to_string()));
        let sealer = Sealer::new(name, &key.secret, random);
        Ok(Writer { to, sealer, own, digest: ring::digest::Context::new(&ring::digest::SHA256), bytes: 0 })
    }

    /// Bytes of a file of `owner`'s that is `length` long. That it is there and opens is known before the first of them.
    pub async fn read(
        &self,
        name: Name,
        owner: PersonId,
        keys: &Keyring,
        length: u64,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, FilesError>> + Send + use<>, FilesError> {
        let owner = Owner::from(TextOwner::Person(owner));
        let location = self.location(name);
        let missing = |error| match error {
            object_store::Error::NotFound { .. } => FilesError::Missing(name),
            error => error.into(),
        };
        let head = self.store.get_range(&location, 0..HEAD as u64).await.map_err(missing)?;
        let head = Head::read(&head).ok_or(FilesError::Damaged(name))?;
        let wanted = (owner.clone(), head.version);
        let found = keys.versions([wanted.clone()]).await?;
        let opener = match found.get(&wanted) {
            Some(Found::Key(key)) => Opener::new(name, &key.secret, length),
            Some(Found::Destroyed) => return Err(FilesError::Destroyed(owner)),
            Some(Found::Unknown | Found::Shut) | None => return Err(FilesError::NoKey(owner)),
        };
        let first = range.start / super::CHUNK as u64;
        let end = range.end.div_ceil(super::CHUNK as u64).max(first + 1);
        let stored = offset(first, length)..offset(end, length);
        let options = GetOptions { range: Some(GetRange::Bounded(stored)), ..GetOptions::default() };
        let coming = self.store.get_opts(&location, options).await.map_err(missing)?.into_stream().map_err(FilesError::from).boxed();
        Ok(opened(Reading { coming, waiting: vec![], index: first, end, opener, name, range }))
    }

    /// Takes files away; what is not there is gone already.
    pub async fn remove(&self, names: impl IntoIterator<Item = Name>) -> Result<(), FilesError> {
        for name in names {
            match self.store.delete(&self.location(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes all files of one try away.
    pub async fn remove_all(&self, media: MediaId, file: Uuid) -> Result<(), FilesError> {
        self.remove(Part::ALL.map(|part| Name { media, file, part })).await
    }

    /// All that is there. What has a name that none of ours has is passed over.
    pub fn list(&self) -> impl Stream<Item = Result<Lying, FilesError>> + Send + use<> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        self.store.list(prefix).map_err(FilesError::from).try_filter_map(async |found| {
            let name = found.location.filename().and_then(Name::read);
            let written = Timestamp::from_micros(found.last_modified.timestamp_micros());
            Ok(name.map(|name| Lying { name, bytes: found.size, written }))
        })
    }
}

/// A file that is being written. Dropped before its end, it is not there.
pub struct Writer {
    to: BufWriter,
    sealer: Sealer,
    /// Its own path, in a folder.
    own: Option<PathBuf>,
    digest: ring::digest::Context,
    bytes: u64,
}

impl Writer {
    /// Writes on.
    pub async fn put(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        for piece in self.sealer.write(bytes)? {
            self.to.put(piece.into()).await?;
        }
        Ok(())
    }

    /// What was written so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the file: from now on it is there.
    pub async fn end(self) -> Result<Stored, FilesError> {
        let Self { mut to, sealer, own, digest, bytes } = self;
        to.put(sealer.end()?.into()).await?;
        let ended = to.shutdown().await;
        ended.map_err(|error| FilesError::Folder(own.as_deref().unwrap_or(Path::new("")).display().to_string(), error))?;
        if let Some(own) = own {
            private::only_owner(&own).map_err(|error| FilesError::Folder(own.display().to_string(), error))?;
        }
        let sha256 = hex(digest.finish().as_ref());
        Ok(Stored { bytes, sha256 })
    }

    /// Gives it up.
    pub async fn abort(mut self) {
        if let Err(error) = self.to.abort().await {
            tracing::warn!(%error, "a part of a file that is not wanted stays in the store");
        }
    }
}

/// A file on its way out.
struct Reading {
    coming: futures::stream::BoxStream<'static, Result<bytes::Bytes, FilesError>>,
    waiting: Vec<u8>,
    /// The next piece.
    index: u64,
    /// Behind the last piece that is wanted.
    end: u64,
    opener: Opener,
    name: Name,
    range: Range<u64>,
}

fn opened(reading: Reading) -> impl Stream<Item = Result<Vec<u8>, FilesError>> + Send {
    stream::try_unfold(reading, async |mut reading: Reading| {
        if reading.index == reading.end {
            return Ok(None);
        }
        let piece = reading.piece().await?;
        let mut plain = reading.opener.open(reading.index, piece).ok_or(FilesError::Damaged(reading.name))?;
        let begins = reading.index * super::CHUNK as u64;
        let within = |at: u64| usize::try_from(at.saturating_sub(begins)).unwrap_or(usize::MAX).min(plain.len());
        let (from, to) = (within(reading.range.start), within(reading.range.end));
        plain.truncate(to);
        plain.drain(..from.min(to));
        reading.index += 1;
        Ok(Some((plain, reading)))
    })
}

impl Reading {
    /// The next piece as it is stored: full, or what is left.
    async fn piece(&mut self) -> Result<Vec<u8>, FilesError> {
        while self.waiting.len() < STORED_CHUNK {
            match self.coming.try_next().await? {
                Some(more) => self.waiting.extend_from_slice(&more),
                None => return Ok(std::mem::take(&mut self.waiting)),
            }
        }
        let rest = self.waiting.split_off(STORED_CHUNK);
        Ok(std::mem::replace(&mut self.waiting, rest))
    }
}
