//! How many events of a log are sealed, and in how many texts stand plain: written before texts were sealed, or brought in so.
//!
//! What a server writes is sealed, so a part of the log that was counted need not be counted again. The tally is noted beside the keys.

use super::store::{KeyStore, KeyStoreError, Note};
use crate::{EventStore, LogId, Position, StoreError, Stored};
use circolo_domain::{Event, part};
use serde::{Deserialize, Serialize};

/// Events read at once.
const PAGE: usize = 1_000;
/// After so many pages the tally is noted.
const NOTED: u64 = 100;

/// What was counted of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The log.
    pub log: LogId,
    /// Up to and including here.
    pub position: Position,
    /// Events whose texts are sealed.
    pub sealed: u64,
    /// Events in which texts stand plain.
    pub plain: u64,
}

/// Why nothing is counted.
#[derive(Debug, thiserror::Error)]
pub enum TallyError {
    /// The log.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The key store.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
}

/// Counts `log`, as it is kept, from where it was counted before to where it ends now. `told` hears how far that is.
pub async fn count(log: &dyn EventStore, keys: &dyn KeyStore, mut told: impl FnMut(&Tally)) -> Result<Tally, TallyError> {
    let (id, head) = (log.log_id(), log.head().await?);
    let fresh = Tally { log: id, position: Position::START, sealed: 0, plain: 0 };
    let noted: Option<Tally> = keys.note(Note::Tally).await?.and_then(|text| serde_json::from_str(&text).ok());
    // A log that was restored from an older copy ends before what was counted.
    let mut tally = noted.filter(|tally| tally.log == id && tally.position <= head).unwrap_or(fresh);
    let mut pages = 0_u64;
    while tally.position < head {
        let page = log.read_all(tally.position, PAGE).await?;
        if page.scanned <= tally.position {
            break;
        }
        page.events.iter().for_each(|stored| tally.add(stored));
        tally.position = page.scanned;
        told(&tally);
        pages += 1;
        if pages.is_multiple_of(NOTED) {
            note(keys, &tally).await?;
        }
    }
    if pages > 0 {
        note(keys, &tally).await?;
    }
    Ok(tally)
}

async fn note(keys: &dyn KeyStore, tally: &Tally) -> Result<(), KeyStoreError> {
    keys.set_note(Note::Tally, serde_json::to_string(tally).unwrap_or_default()).await
}

impl Tally {
    fn add(&mut self, stored: &Stored) {
        let event = &stored.event;
        if event.metadata.contains("\"sealed\":[") {
            self.sealed += 1;
        } else if has_texts(stored) {
            self.plain += 1;
        }
    }
}

/// Whether texts stand in an event. Of a type that this program does not know nothing is known.
fn has_texts(stored: &Stored) -> bool {
    let Ok(event) = Event::decode(&stored.event.event_type, &stored.event.data) else { return false };
    let scope = stored.metadata().ok().and_then(|metadata| metadata.scope);
    !part(&event, event.mask(scope)).texts.is_empty()
}
