//! What an operator does with keys: new versions, and a new generation of what they hang on. Both go on beside servers, and what was
//! interrupted goes on where it was.

use super::{
    Owner, Random, Secret, Source,
    installation::InstallationError,
    keyring::{KeyringError, open_store},
    secret::NoRandomness,
    store::{KeyStore, Row},
    wrapping::{RenewError, Wrapping},
};
use circolo_domain::Timestamp;

/// Keys that are changed by one statement.
const BATCH: usize = 1_000;

/// Told how many keys are done, and of how many where that is known.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, Option<u64>) + Send);

/// Why keys could not be tended.
#[derive(Debug, thiserror::Error)]
pub enum TendError {
    /// Store or installation key.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// There is nothing to rotate.
    #[error("{0} has no key")]
    NoKey(Owner),
    /// There never will be.
    #[error("the key of {0} was destroyed and gets no new version")]
    Destroyed(Owner),
}

impl From<super::KeyStoreError> for TendError {
    fn from(error: super::KeyStoreError) -> Self {
        Self::Keys(error.into())
    }
}

impl From<InstallationError> for TendError {
    fn from(error: InstallationError) -> Self {
        Self::Keys(error.into())
    }
}

impl From<NoRandomness> for TendError {
    fn from(error: NoRandomness) -> Self {
        Self::Keys(error.into())
    }
}

impl From<RenewError> for TendError {
    fn from(error: RenewError) -> Self {
        Self::Keys(match error {
            RenewError::Unwrap(error) => error.into(),
            RenewError::Random(error) => error.into(),
        })
    }
}

/// Makes a new version of the key of `owner`, for what is sealed from now on; the version.
pub async fn rotate(store: &dyn KeyStore, source: &Source, owner: Owner, now: Timestamp, random: &Random) -> Result<u32, TendError> {
    let wrapping = open_store(store, source, false, random).await?;
    let mut found = store.newest(vec![owner.clone()]).await?;
    let newest = found.pop().ok_or_else(|| TendError::NoKey(owner.clone()))?;
    if newest.wrapped.is_none() {
        return Err(TendError::Destroyed(owner));
    }
    store.renew(vec![next(&wrapping, &newest, now, random)?]).await?;
    match store.newest(vec![owner.clone()]).await?.pop() {
        Some(row) if row.wrapped.is_some() => Ok(row.version),
        _ => Err(TendError::Destroyed(owner)),
    }
}

/// The same for all owners whose newest version is of before `now`: so what was interrupted goes on when the same moment is given
/// again. How many got one.
pub async fn rotate_all(
    store: &dyn KeyStore,
    source: &Source,
    now: Timestamp,
    random: &Random,
    progress: Progress<'_>,
) -> Result<u64, TendError> {
    let wrapping = open_store(store, source, false, random).await?;
    let (mut after, mut done) = (None, 0);
    loop {
        let page = store.page(after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some((last.owner.clone(), last.version));
        let mut owners: Vec<Owner> = page.into_iter().map(|row| row.owner).collect();
        owners.dedup();
        let mut newest = store.newest(owners).await?;
        newest.retain(|row| row.wrapped.is_some() && row.made_at < now);
        newest.sort_by(|one, other| one.owner.cmp(&other.owner));
        let rows = newest.iter().map(|row| next(&wrapping, row, now, random)).collect::<Result<Vec<_>, _>>()?;
        done += rows.len() as u64;
        store.renew(rows).await?;
        progress(done, None);
    }
}

fn next(wrapping: &Wrapping, row: &Row, now: Timestamp, random: &Random) -> Result<Row, NoRandomness> {
    wrapping.wrap(row.owner.clone(), row.version + 1, &Secret::drawn(random)?, now, random)
}

/// What a rewrap came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrapped {
    /// The generation that all keys are wrapped under now.
    pub generation: u32,
    /// Whether it was made for this, and is not one that an interrupted run had made or somebody put there.
    pub made: bool,
    /// Keys that were wrapped anew.
    pub keys: u64,
}

/// Wraps all keys under a new generation of the installation key. If there are keys of older generations than the newest, an earlier
/// run was interrupted or somebody has put a generation there: then no other one is made.
pub async fn rewrap(store: &dyn KeyStore, source: &Source, random: &Random, progress: Progress<'_>) -> Result<Rewrapped, TendError> {
    let mut wrapping = open_store(store, source, false, random).await?;
    let (_, old) = store.older(wrapping.newest(), 0).await?;
    let made = old == 0;
    if made {
        let (source, random) = (source.clone(), random.clone());
        let added = tokio::task::spawn_blocking(move || source.add_generation(&random)).await;
        let added = added.map_err(|panic| InstallationError::Run(std::io::Error::other(panic)))??;
        wrapping = Wrapping::new(&added);
    }
    let (generation, mut keys) = (wrapping.newest(), 0);
    loop {
        let (rows, left) = store.older(generation, BATCH).await?;
        progress(keys, Some(keys + left));
        if rows.is_empty() {
            return Ok(Rewrapped { generation, made, keys });
        }
        keys += rows.len() as u64;
        let renewed = rows.iter().map(|row| Ok((row.generation, wrapping.renewed(row, random)?)));
        store.rewrap(renewed.collect::<Result<Vec<_>, RenewError>>()?).await?;
    }
}

/// The newest generation of the installation key, proven to belong to the store; for whoever only looks.
pub async fn prove(store: &dyn KeyStore, source: &Source, random: &Random) -> Result<u32, TendError> {
    Ok(open_store(store, source, false, random).await?.newest())
}
