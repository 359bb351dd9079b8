//! Keys move to another store, wrapped as they are. Nothing is overwritten, and what died on either side is dead on both.

use super::{
    Owner, Random, Source,
    keyring::{KeyringError, open_store},
    store::{KeyStore, KeyStoreError, Note, Row},
    wrapping::Wrapping,
};
use std::collections::HashMap;

/// Keys that are copied by one statement.
const BATCH: usize = 1_000;

/// Told how many keys are compared or copied.
pub type Progress<'a> = &'a mut (dyn FnMut(u64) + Send);

/// Why keys could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store or the installation key.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The target is another installation's, or one that went its own way.
    #[error("the target holds another version {1} of the key of {0}: it is not a copy of this store, and nothing in it is overwritten")]
    Other(Owner, u32),
    /// There is nothing.
    #[error("there are no keys in the store that is to be copied")]
    Nothing,
    /// The target does not hold what was put there.
    #[error("the target does not hold version {1} of the key of {0}, which was just put there")]
    Lost(Owner, u32),
}

impl From<KeyStoreError> for CopyError {
    fn from(error: KeyStoreError) -> Self {
        Self::Keys(error.into())
    }
}

/// What was copied.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Keys that came.
    pub copied: u64,
    /// Keys that were there.
    pub found: u64,
    /// Keys that were alive at the target and are destroyed as they are at the source.
    pub destroyed: u64,
    /// Keys that are alive at the source and stay destroyed at the target.
    pub dead: u64,
}

/// Copies all keys of `source` into `target`, and the last signed checkpoint if `target` has none. All is compared before anything is
/// written, and again behind it.
pub async fn copy(
    source: &dyn KeyStore,
    target: &dyn KeyStore,
    installation: &Source,
    random: &Random,
    progress: Progress<'_>,
) -> Result<Copied, CopyError> {
    let wrapping = open_store(source, installation, false, random).await?;
    if source.page(None, 1).await?.is_empty() {
        return Err(CopyError::Nothing);
    }
    let mut after = None;
    while let Some(page) = next(source, &mut after).await? {
        let theirs = rows(target, &page).await?;
        for row in &page {
            compare(&wrapping, row, theirs.get(&(row.owner.clone(), row.version)))?;
        }
    }
    let (mut copied, mut after) = (Copied::default(), None);
    while let Some(page) = next(source, &mut after).await? {
        bring(target, &wrapping, page, &mut copied).await?;
        progress(copied.copied + copied.found + copied.dead);
    }
    if let (Some(checkpoint), None) = (source.note(Note::Checkpoint).await?, target.note(Note::Checkpoint).await?) {
        target.set_note(Note::Checkpoint, checkpoint).await?;
    }
    Ok(copied)
}

async fn next(source: &dyn KeyStore, after: &mut Option<(Owner, u32)>) -> Result<Option<Vec<Row>>, KeyStoreError> {
    let page = source.page(after.take(), BATCH).await?;
    *after = page.last().map(|row| (row.owner.clone(), row.version));
    Ok((!page.is_empty()).then_some(page))
}

async fn rows(target: &dyn KeyStore, page: &[Row]) -> Result<HashMap<(Owner, u32), Row>, KeyStoreError> {
    let found = target.versions(page.iter().map(|row| (row.owner.clone(), row.version)).collect()).await?;
    Ok(found.into_iter().map(|row| ((row.owner.clone(), row.version), row)).collect())
}

/// Fails if both live and are not the same key.
fn compare(wrapping: &Wrapping, ours: &Row, theirs: Option<&Row>) -> Result<(), CopyError> {
    let Some(theirs) = theirs else { return Ok(()) };
    if ours.wrapped.is_none() || theirs.wrapped.is_none() || ours.wrapped == theirs.wrapped {
        return Ok(());
    }
    // One of them may have been wrapped anew since.
    match (wrapping.unwrap(ours), wrapping.unwrap(theirs)) {
        (Ok(one), Ok(other)) if one == other => Ok(()),
        _ => Err(CopyError::Other(ours.owner.clone(), ours.version)),
    }
}

async fn bring(target: &dyn KeyStore, wrapping: &Wrapping, page: Vec<Row>, copied: &mut Copied) -> Result<(), CopyError> {
    let before = rows(target, &page).await?;
    let new = page.iter().filter(|row| !before.contains_key(&(row.owner.clone(), row.version))).cloned().collect();
    target.put(new).await?;
    for (name, theirs) in &before {
        let ours = page.iter().find(|row| row.owner == name.0 && row.version == name.1);
        if let Some(at) = ours.and_then(|ours| ours.destroyed_at).filter(|_| theirs.wrapped.is_some()) {
            target.destroy(name.0.clone(), at).await?;
            copied.destroyed += 1;
        }
    }
    let behind = rows(target, &page).await?;
    let owners = page.iter().map(|row| row.owner.clone()).collect();
    let newest: HashMap<Owner, Row> = target.newest(owners).await?.into_iter().map(|row| (row.owner.clone(), row)).collect();
    for row in page {
        let name = (row.owner.clone(), row.version);
        let theirs = behind.get(&name);
        compare(wrapping, &row, theirs)?;
        let is_dead = newest.get(&row.owner).is_some_and(|newest| newest.wrapped.is_none());
        match theirs {
            _ if row.wrapped.is_some() && is_dead => copied.dead += 1,
            None => return Err(CopyError::Lost(name.0, name.1)),
            Some(_) if before.contains_key(&name) => copied.found += 1,
            Some(_) => copied.copied += 1,
        }
    }
    Ok(())
}
