//! The keys in use: loaded by the batch, made where they are missing, bounded in memory and wiped when they leave it.
//!
//! What is remembered is believed for a while only: another node may have destroyed a key or made a newer version.

use super::{
    Current, Found, Key, Owner, Random, Secret, Source, Versions,
    installation::InstallationError,
    secret::NoRandomness,
    store::{KeyStore, KeyStoreError, Row},
    wrapping::{UnwrapError, Wrapping},
};
use crate::Clock;
use circolo_domain::Timestamp;
use quick_cache::sync::Cache;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::Instant;

/// Owners under whose keys so much is sealed that they get a new version each year: 2^32 boxes are the most that random nonces allow
/// of one key.
const YEARLY: [&str; 2] = ["audit", "page"];

/// How keys are held.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keys in memory.
    pub keys: usize,
    /// How long a key is believed to be alive, and the newest, after the store said so.
    pub believed: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { keys: 16_384, believed: Duration::from_mins(1) }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The key store.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    /// The installation key.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// It does not open the store.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A row that was put there is gone.
    #[error("the key store lost the key of {0} that was just made")]
    Lost(Owner),
}

/// What the store said of a version, and when.
#[derive(Clone)]
struct Seen {
    version: u32,
    found: Found,
    made_at: Timestamp,
    at: Instant,
}

/// The keys of an installation.
pub struct Keyring {
    store: Arc<dyn KeyStore>,
    source: Source,
    wrapping: RwLock<Arc<Wrapping>>,
    clock: Clock,
    random: Random,
    believed: Duration,
    newest: Cache<Owner, Seen>,
    versions: Cache<(Owner, u32), Seen>,
    /// Owners whose keys somebody waits for: whoever has the turn makes them all in one.
    waiting: Mutex<BTreeSet<Owner>>,
    turn: tokio::sync::Mutex<()>,
}

impl Keyring {
    /// Opens the keys in `store` with the installation key of `source`, which is made where it may be and nothing hangs on it yet. Says
    /// so if it is not the one that belongs to the store.
    pub async fn open(
        store: Arc<dyn KeyStore>,
        source: Source,
        clock: Clock,
        random: Random,
        options: &Options,
    ) -> Result<Self, KeyringError> {
        let wrapping = open_store(&*store, &source, true, &random).await?;
        Ok(Self {
            store,
            source,
            wrapping: RwLock::new(Arc::new(wrapping)),
            clock,
            random,
            believed: options.believed,
            newest: Cache::new(options.keys),
            versions: Cache::new(options.keys),
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn KeyStore> {
        &self.store
    }

    /// Where the installation key comes from.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The keys of these owners to seal under now: made where there is none, durable before they are given out.
    pub async fn current(&self, owners: impl IntoIterator<Item = Owner>) -> Result<Current, KeyringError> {
        let year = year((self.clock)());
        let (mut current, mut asked, mut missing) = (Current::new(), BTreeSet::new(), BTreeSet::new());
        for owner in owners {
            match self.believed(self.newest.get(&owner)).filter(|seen| !is_due(&owner, seen, &year)) {
                Some(seen) => drop(current.insert(owner, seen.found)),
                None => drop(asked.insert(owner)),
            }
        }
        if asked.is_empty() {
            return Ok(current);
        }
        missing.clone_from(&asked);
        for (owner, seen) in self.learn_newest(asked).await? {
            if !is_due(&owner, &seen, &year) {
                missing.remove(&owner);
                current.insert(owner, seen.found);
            }
        }
        if !missing.is_empty() {
            current.extend(self.make(missing, &year).await?);
        }
        Ok(current)
    }

    /// The keys that boxes name, to open them.
    pub async fn versions(&self, wanted: impl IntoIterator<Item = (Owner, u32)>) -> Result<Versions, KeyringError> {
        let (mut versions, mut asked) = (Versions::new(), BTreeSet::new());
        for wanted in wanted {
            match self.believed(self.versions.get(&wanted)) {
                Some(seen) => drop(versions.insert(wanted, seen.found)),
                None => drop(asked.insert(wanted)),
            }
        }
        if asked.is_empty() {
            return Ok(versions);
        }
        for row in self.store.versions(asked.iter().cloned().collect()).await? {
            let name = (row.owner.clone(), row.version);
            let seen = self.learn(&row).await?;
            asked.remove(&name);
            self.versions.insert(name.clone(), seen.clone());
            versions.insert(name, seen.found);
        }
        // What never was is not remembered: it is a fault, and somebody may mend it.
        versions.extend(asked.into_iter().map(|name| (name, Found::Unknown)));
        Ok(versions)
    }

    /// Reads the installation key again: keys are made under its newest generation from now on.
    pub async fn read_again(&self) -> Result<(), KeyringError> {
        let wrapping = Arc::new(Wrapping::new(&read(&self.source, false, &self.random).await?));
        *self.wrapping.write().unwrap_or_else(PoisonError::into_inner) = wrapping;
        Ok(())
    }

    /// Destroys an owner's key for ever. Other nodes believe in it for a while yet.
    pub async fn destroy(&self, owner: Owner) -> Result<bool, KeyringError> {
        let destroyed = self.store.destroy(owner.clone(), (self.clock)()).await?;
        self.forget(&owner);
        Ok(destroyed)
    }

    /// Remembers nothing of an owner's keys: what is needed next is asked of the store.
    pub fn forget(&self, owner: &Owner) {
        self.newest.remove(owner);
        self.versions.retain(|(of, _), _| of != owner);
    }

    /// Keys that are remembered.
    pub fn remembered(&self) -> usize {
        self.newest.len() + self.versions.len()
    }

    fn believed(&self, seen: Option<Seen>) -> Option<Seen> {
        seen.filter(|seen| seen.at.elapsed() < self.believed)
    }

    /// Makes the keys of `missing`, first or next versions, and of those who wait beside.
    async fn make(&self, missing: BTreeSet<Owner>, year: &str) -> Result<Current, KeyringError> {
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting().extend(missing.iter().cloned());
        let _turn = self.turn.lock().await;
        let mut asked = std::mem::take(&mut *waiting());
        // If whoever took ours along failed, or it was dropped from memory since, it is our turn once more.
        asked.extend(missing.iter().cloned());
        let mut current = Current::new();
        asked.retain(|owner| match self.believed(self.newest.get(owner)).filter(|seen| !is_due(owner, seen, year)) {
            Some(seen) => {
                if missing.contains(owner) {
                    current.insert(owner.clone(), seen.found);
                }
                false
            }
            None => true,
        });
        if !asked.is_empty() {
            let known = self.learn_newest(asked.clone()).await?;
            self.put(asked.iter().filter(|owner| !known.iter().any(|(known, _)| known == *owner)).map(|owner| (owner.clone(), 1))).await?;
            let due = known.iter().filter(|(owner, seen)| is_due(owner, seen, year));
            self.renew(due.map(|(owner, seen)| (owner.clone(), seen.version + 1))).await?;
            // What stands there now is ours, or that of another node, which was faster.
            let made = self.learn_newest(asked).await?;
            current.extend(made.into_iter().filter(|(owner, _)| missing.contains(owner)).map(|(owner, seen)| (owner, seen.found)));
        }
        match missing.into_iter().find(|owner| !current.contains_key(owner)) {
            Some(lost) => Err(KeyringError::Lost(lost)),
            None => Ok(current),
        }
    }

    async fn put(&self, owners: impl Iterator<Item = (Owner, u32)>) -> Result<(), KeyringError> {
        let rows = self.fresh(owners)?;
        if rows.is_empty() { Ok(()) } else { Ok(self.store.put(rows).await?) }
    }

    async fn renew(&self, owners: impl Iterator<Item = (Owner, u32)>) -> Result<(), KeyringError> {
        let rows = self.fresh(owners)?;
        if rows.is_empty() { Ok(()) } else { Ok(self.store.renew(rows).await?) }
    }

    /// Rows of new keys.
    fn fresh(&self, owners: impl Iterator<Item = (Owner, u32)>) -> Result<Vec<Row>, NoRandomness> {
        let (wrapping, now) = (self.wrapping(), (self.clock)());
        owners.map(|(owner, version)| wrapping.wrap(owner, version, &Secret::drawn(&self.random)?, now, &self.random)).collect()
    }

    /// What the store says of the newest versions of these.
    async fn learn_newest(&self, owners: BTreeSet<Owner>) -> Result<Vec<(Owner, Seen)>, KeyringError> {
        let mut known = vec![];
        for row in self.store.newest(owners.into_iter().collect()).await? {
            let seen = self.learn(&row).await?;
            self.versions.insert((row.owner.clone(), row.version), seen.clone());
            self.newest.insert(row.owner.clone(), seen.clone());
            known.push((row.owner, seen));
        }
        known.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(known)
    }

    async fn learn(&self, row: &Row) -> Result<Seen, KeyringError> {
        let found = match self.wrapping().unwrap(row) {
            Ok(secret) => alive(row, secret),
            Err(UnwrapError::Destroyed(..)) => Found::Destroyed,
            // Somebody has made a new generation since this process read the installation key.
            Err(UnwrapError::Generation { .. }) => {
                self.read_again().await?;
                alive(row, self.wrapping().unwrap(row)?)
            }
            // It costs what was sealed under it, and not the batch that it is in.
            Err(shut @ UnwrapError::Shut(..)) => {
                tracing::error!("{shut}");
                Found::Shut
            }
        };
        Ok(Seen { version: row.version, found, made_at: row.made_at, at: Instant::now() })
    }

    fn wrapping(&self) -> Arc<Wrapping> {
        Arc::clone(&self.wrapping.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What wraps the keys in `store`: proven on a few keys of each generation, of which one must open, for one may be broken. `make` says
/// whether the installation key may be made.
pub(super) async fn open_store(store: &dyn KeyStore, source: &Source, make: bool, random: &Random) -> Result<Wrapping, KeyringError> {
    let mut samples = store.samples(0).await?;
    let wrapping = Wrapping::new(&read(source, make && samples.is_empty(), random).await?);
    while let Some(generation) = samples.first().map(|row| row.generation) {
        let tried: Vec<_> = samples.iter().filter(|row| row.generation == generation).map(|row| wrapping.unwrap(row)).collect();
        if tried.iter().all(Result::is_err) {
            tried.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        samples = store.samples(generation).await?;
    }
    Ok(wrapping)
}

/// Reads the installation key where waiting for a command holds nobody up.
async fn read(source: &Source, make: bool, random: &Random) -> Result<super::InstallationKey, InstallationError> {
    let (source, random) = (source.clone(), random.clone());
    let read = tokio::task::spawn_blocking(move || source.read(make, &random)).await;
    read.unwrap_or_else(|panic| Err(InstallationError::Run(std::io::Error::other(panic))))
}

fn alive(row: &Row, secret: Secret) -> Found {
    Found::Key(Arc::new(Key { version: row.version, secret }))
}

/// Whether an owner's key is of an earlier year and should not be.
fn is_due(owner: &Owner, seen: &Seen, year: &str) -> bool {
    matches!(seen.found, Found::Key(_)) && YEARLY.contains(&owner.purpose()) && *self::year(seen.made_at) < *year
}

fn year(at: Timestamp) -> String {
    let mut text = at.to_string();
    text.truncate(4);
    text
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring of {} keys", self.remembered())
    }
}
