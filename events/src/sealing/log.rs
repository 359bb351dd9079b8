//! A log that seals what is appended to it and opens what is read of it. Whoever stands before it sees texts, or none; what is behind
//! it, of whichever engine, sees no word.

use super::{
    Current, Entry, KeyStoreError, Keyring, KeyringError, Owner, Random, SealError, UnsealError, Versions,
    metadata::without_boxes,
    sealed::{entries, seal, unseal},
};
use crate::{Append, Appended, EventStore, Examination, LogId, NewEvent, Page, Position, Revision, StoreError, Stored};
use async_trait::async_trait;
use circolo_domain::StreamName;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use uuid::Uuid;

/// More texts or boxes than this are sealed or opened where nobody waits for the thread.
const MANY: usize = 256;

/// A log behind its keys.
pub struct SealedLog {
    kept: Arc<dyn EventStore>,
    keys: Arc<Keyring>,
    random: Random,
}

impl SealedLog {
    /// `kept`, with texts under `keys`.
    pub fn new(kept: Arc<dyn EventStore>, keys: Arc<Keyring>, random: Random) -> Self {
        Self { kept, keys, random }
    }

    /// The log as it is kept.
    pub const fn kept(&self) -> &Arc<dyn EventStore> {
        &self.kept
    }

    /// The keys.
    pub const fn keys(&self) -> &Arc<Keyring> {
        &self.keys
    }

    /// The appends with their texts sealed, each that can be.
    async fn sealed(&self, appends: Vec<Append>) -> Result<Vec<Result<Append, SealError>>, KeyringError> {
        let texts = || appends.iter().flat_map(|append| &append.events).flat_map(|event| &event.texts);
        let owners: BTreeSet<Owner> = texts().map(|text| text.of.clone()).collect();
        if owners.is_empty() {
            return Ok(appends.into_iter().map(Ok).collect());
        }
        let (many, random) = (texts().nth(MANY).is_some(), self.random.clone());
        let keys = self.keys.current(owners).await?;
        if !many {
            return Ok(seal_all(appends, &keys, &random));
        }
        let sealed = tokio::task::spawn_blocking(move || seal_all(appends, &keys, &random)).await;
        sealed.map_err(|panic| KeyStoreError::Unavailable(panic.into()).into())
    }

    /// The events with their texts in place. Of one that does not open it says why.
    pub async fn opened(&self, mut events: Vec<Stored>) -> Result<Vec<Stored>, StoreError> {
        let mut boxes: Vec<(usize, Vec<Entry>)> = vec![];
        for (place, stored) in events.iter_mut().enumerate() {
            match boxes_of(&stored.event) {
                Ok(entries) if entries.is_empty() => {}
                Ok(entries) => boxes.push((place, entries)),
                Err(shut) => stored.shut = Some(shut),
            }
        }
        if boxes.is_empty() {
            return Ok(events);
        }
        let wanted: BTreeSet<_> = boxes.iter().flat_map(|(_, entries)| entries.iter().map(|entry| (entry.of.clone(), entry.key))).collect();
        let keys = self.keys.versions(wanted).await.map_err(unavailable)?;
        if boxes.len() <= MANY {
            return Ok(open_all(events, &boxes, &keys));
        }
        let opened = tokio::task::spawn_blocking(move || open_all(events, &boxes, &keys)).await;
        opened.map_err(|panic| StoreError::Unavailable(panic.into()))
    }

    async fn opened_one(&self, stored: Stored) -> Result<Stored, StoreError> {
        let mut opened = self.opened(vec![stored]).await?;
        Ok(opened.remove(0))
    }

    async fn opened_page(&self, page: Page) -> Result<Page, StoreError> {
        Ok(Page { events: self.opened(page.events).await?, ..page })
    }
}

fn seal_all(appends: Vec<Append>, keys: &Current, random: &Random) -> Vec<Result<Append, SealError>> {
    let event = |mut event: NewEvent| {
        let texts = std::mem::take(&mut event.texts);
        if texts.is_empty() { Ok(event) } else { seal(event, &texts, keys, random) }
    };
    let sealed = |append: Append| {
        let events = append.events.into_iter().map(event).collect::<Result<_, _>>()?;
        Ok(Append { events, ..append })
    };
    appends.into_iter().map(sealed).collect()
}

/// The boxes of an event. Most that has none is told by one look.
fn boxes_of(event: &NewEvent) -> Result<Vec<Entry>, UnsealError> {
    if event.metadata.contains("\"sealed\"") { entries(&event.metadata) } else { Ok(vec![]) }
}

fn open_all(mut events: Vec<Stored>, boxes: &[(usize, Vec<Entry>)], keys: &Versions) -> Vec<Stored> {
    for (place, entries) in boxes {
        let stored = &mut events[*place];
        match open(&stored.event, entries, keys) {
            Ok(event) => stored.event = event,
            Err(shut) => stored.shut = Some(shut),
        }
    }
    events
}

fn open(event: &NewEvent, entries: &[Entry], keys: &Versions) -> Result<NewEvent, UnsealError> {
    let opened = unseal(event, entries, keys)?;
    let metadata = without_boxes(&event.metadata)?;
    Ok(NewEvent { data: opened.data, metadata, texts: opened.texts, event_type: event.event_type.clone(), ..*event })
}

/// Without the key store nothing is written, and nothing that is sealed is read.
pub(crate) fn unavailable(error: KeyringError) -> StoreError {
    StoreError::Unavailable(error.into())
}

#[async_trait]
impl EventStore for SealedLog {
    fn log_id(&self) -> LogId {
        self.kept.log_id()
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let mut sealed = self.sealed(vec![append]).await.map_err(unavailable)?;
        self.kept.append(sealed.remove(0)?).await
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        let count = appends.len();
        let sealed = match self.sealed(appends).await {
            Ok(sealed) => sealed,
            Err(error) => {
                let error = error.to_string();
                return (0..count).map(|_| Err(StoreError::Unavailable(error.clone().into()))).collect();
            }
        };
        let mut outcomes: Vec<Option<SealError>> = vec![];
        let mut appends = vec![];
        for sealed in sealed {
            outcomes.push(sealed.map(|append| appends.push(append)).err());
        }
        let mut appended = self.kept.append_many(appends).await.into_iter();
        let outcome = |refused: Option<SealError>| match refused {
            Some(refused) => Err(refused.into()),
            None => appended.next().unwrap_or(Err(StoreError::Invalid("the log gave no outcome"))),
        };
        outcomes.into_iter().map(outcome).collect()
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.opened(self.kept.read(stream, from, limit).await?).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.opened_page(self.kept.read_prefix(prefix, after, until, limit).await?).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.opened_page(self.kept.read_all(after, limit).await?).await
    }

    async fn read_skips(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.opened_page(self.kept.read_skips(after, limit).await?).await
    }

    async fn at(&self, position: Position) -> Result<Option<Stored>, StoreError> {
        match self.kept.at(position).await? {
            Some(stored) => self.opened_one(stored).await.map(Some),
            None => Ok(None),
        }
    }

    async fn before(&self, position: Position) -> Result<Position, StoreError> {
        self.kept.before(position).await
    }

    async fn back(&self, count: usize) -> Result<Position, StoreError> {
        self.kept.back(count).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.kept.head().await
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        match self.kept.find(stream, command_id).await? {
            Some((stored, appended)) => Ok(Some((self.opened_one(stored).await?, appended))),
            None => Ok(None),
        }
    }

    async fn is_partial(&self) -> Result<bool, StoreError> {
        self.kept.is_partial().await
    }

    async fn set_partial(&self, partial: bool) -> Result<(), StoreError> {
        self.kept.set_partial(partial).await
    }

    async fn examine(&self) -> Result<Examination, StoreError> {
        self.kept.examine().await
    }

    async fn reach(&self) -> Result<(), StoreError> {
        self.kept.reach().await
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.kept.changed(after, wait).await
    }

    fn sealing(&self) -> Option<&SealedLog> {
        Some(self)
    }
}
