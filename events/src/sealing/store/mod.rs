//! Where keys are kept: a store of its own, never with the log or the read models, so that a key can be destroyed while these and
//! their copies last. Its contract is the suite in `tests/tests/it/keys/stores.rs`, which both adapters pass.

mod postgres;
mod sqlite;

pub use postgres::Postgres;
pub use sqlite::Sqlite;

use super::Owner;
use async_trait::async_trait;
use circolo_domain::Timestamp;
use std::path::PathBuf;

/// A version of an owner's key, as it is kept. It stays for ever: who was forgotten gets no second life.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub owner: Owner,
    /// Its version, from 1.
    pub version: u32,
    /// The generation of the installation key that it is wrapped under.
    pub generation: u32,
    /// Nonce, ciphertext and tag; `None` once it is destroyed.
    pub wrapped: Option<Vec<u8>>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was destroyed.
    pub destroyed_at: Option<Timestamp>,
}

/// How many keys are alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// What their owners are for.
    pub purpose: String,
    /// Their version.
    pub version: u32,
    /// The generation of the installation key that they are wrapped under.
    pub generation: u32,
    /// Whether they are destroyed.
    pub destroyed: bool,
    /// So many.
    pub keys: u64,
}

/// Whether a store that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// It is.
    IfMissing,
    /// It must be there.
    Never,
}

/// What can go wrong with a key store.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// It is not there.
    #[error(
        "the key store {0} is missing: without it nothing opens that was sealed. Bring it back from where it is kept, or name it with --keys"
    )]
    Missing(PathBuf),
    /// There is none in the database.
    #[error(
        "there is no key store in this schema: without it nothing opens that was sealed. Name the one that belongs to the log with --keys"
    )]
    NoStore,
    /// It would not be alone.
    #[error(
        "keys are never kept with a log or read models, for these are copied and kept while keys must be destroyed: name a file, or a \
         schema in a database of its own, with --keys"
    )]
    NotAlone,
    /// A newer program made it.
    #[error("the key store has schema version {0}, and this program knows only up to {VERSION}: use a newer circolo")]
    TooNew(i64),
    /// What stands in it is nothing that was put there.
    #[error("the key store holds {0}, which is nothing that circolo writes")]
    Broken(String),
    /// It cannot be reached or refuses.
    #[error("the key store cannot be reached: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Version of the tables. A newer one is refused: this binary cannot know what it means.
const VERSION: i64 = 1;
/// How many rows [`KeyStore::samples`] gives.
const SAMPLES: usize = 8;
/// What stands beside the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The last signed checkpoint of the log.
    Checkpoint,
    /// How many events of the log are sealed, and how many stand plain: [`super::tally`].
    Tally,
}

impl Note {
    /// Under this name it is kept.
    const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Tally => "tally",
        }
    }
}

/// The keys. What a call changed is durable when it returns; what it returns is in no order unless it says so.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The newest version of each owner's key, of those that have one. One statement.
    async fn newest(&self, owners: Vec<Owner>) -> Result<Vec<Row>, KeyStoreError>;

    /// These versions, of those that there are. One statement.
    async fn versions(&self, wanted: Vec<(Owner, u32)>) -> Result<Vec<Row>, KeyStoreError>;

    /// Puts rows there. A version that is there stays as it is, and who was destroyed gets no other one. Rows come in order of
    /// owner and version, so that those who put the same at once do not wait for each other in a circle.
    async fn put(&self, rows: Vec<Row>) -> Result<(), KeyStoreError>;

    /// Puts the next versions there, of those owners whose version before is there and not destroyed; one that is there stays as it
    /// is. Rows come in order of owner.
    async fn renew(&self, rows: Vec<Row>) -> Result<(), KeyStoreError>;

    /// Destroys all versions of an owner's key, and those that would come: an owner who had none gets none. Whether one was alive.
    async fn destroy(&self, owner: Owner, at: Timestamp) -> Result<bool, KeyStoreError>;

    /// Rows behind `after`, at most `limit`, in order of owner (by bytes) and version.
    async fn page(&self, after: Option<(Owner, u32)>, limit: usize) -> Result<Vec<Row>, KeyStoreError>;

    /// At most `limit` rows that live and are wrapped under an older generation than this; and how many there are in all.
    async fn older(&self, generation: u32, limit: usize) -> Result<(Vec<Row>, u64), KeyStoreError>;

    /// Gives rows another wrapping and generation, as far as they live and have the generation that comes with each.
    async fn rewrap(&self, rows: Vec<(u32, Row)>) -> Result<(), KeyStoreError>;

    /// A few rows that live, of the generations behind `after`, in their order.
    async fn samples(&self, after: u32) -> Result<Vec<Row>, KeyStoreError>;

    /// How many keys there are of each sort, in order.
    async fn counts(&self) -> Result<Vec<Count>, KeyStoreError>;

    /// What is noted beside the keys.
    async fn note(&self, note: Note) -> Result<Option<String>, KeyStoreError>;

    /// Notes it, in place of what was there.
    async fn set_note(&self, note: Note, text: String) -> Result<(), KeyStoreError>;
}

/// A row as both databases give it.
type Columns = (String, i64, i64, Option<Vec<u8>>, i64, Option<i64>);

impl TryFrom<Columns> for Row {
    type Error = KeyStoreError;

    fn try_from((owner, version, generation, wrapped, made_at, destroyed_at): Columns) -> Result<Self, KeyStoreError> {
        let owner = Owner::new(&owner).map_err(|error| KeyStoreError::Broken(error.to_string()))?;
        let number = |number: i64| u32::try_from(number).map_err(|_| KeyStoreError::Broken(format!("a number {number} of {owner}")));
        let (version, generation) = (number(version)?, number(generation)?);
        if wrapped.is_none() != destroyed_at.is_some() {
            return Err(KeyStoreError::Broken(format!("a key of {owner} that is neither alive nor destroyed")));
        }
        let (made_at, destroyed_at) = (Timestamp::from_micros(made_at), destroyed_at.map(Timestamp::from_micros));
        Ok(Self { owner, version, generation, wrapped, made_at, destroyed_at })
    }
}

/// A count as both databases give it.
fn count((purpose, version, generation, destroyed, keys): (String, i64, i64, bool, i64)) -> Count {
    let number = |number: i64| u32::try_from(number).unwrap_or_default();
    Count { purpose, version: number(version), generation: number(generation), destroyed, keys: keys.unsigned_abs() }
}

impl std::fmt::Debug for Row {
    /// Without what is wrapped.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is = if self.wrapped.is_some() { "alive" } else { "destroyed" };
        write!(f, "{} version {} under generation {}, {is}", self.owner, self.version, self.generation)
    }
}
