//! The past of a few streams: rows as of a position, folded in memory from the events of the streams concerned and nothing else.

use crate::{Db, DbError, Fold, params};
use circolo_domain::{Decider, StreamName};
use circolo_events::{EventStore, LoadError, Position, Recorded, Skips, Stored, Unreadable};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Events read at once: Postgres walks all of a prefix for each page of it, so a busy group is better one page than ten.
const PAGE: usize = 10_000;

/// A log, up to a position.
#[derive(Clone)]
pub struct Past<'a> {
    /// The log.
    pub store: &'a dyn EventStore,
    /// What of it is passed over.
    pub skips: &'a Skips,
    /// Set once something was left out that cannot be read: what is folded then is not to be remembered.
    pub in_part: Arc<AtomicBool>,
    /// The last position that counts.
    pub until: Position,
    /// Events that one look may read; beyond it is [`PastError::TooMuch`].
    pub most: usize,
}

/// What can go wrong with a look at the past.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The log.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is more than a request may fold.
    #[error("until then there are more than {0} events")]
    TooMuch(usize),
    /// The read models, where they complete the answer with what never changes.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Past<'_> {
    /// The events of a stream; [`LoadError::Unreadable`] if one of them cannot be read.
    pub async fn stream(&self, name: &StreamName) -> Result<Vec<Recorded>, PastError> {
        let (mut found, mut read) = (Vec::new(), 0);
        loop {
            let wanted = self.page(found.len());
            let page = self.store.read(name, read as u64, wanted).await.map_err(LoadError::from)?;
            let full = page.len() == wanted;
            let mut behind = false;
            for stored in &page {
                behind |= stored.position > self.until;
                if !behind {
                    match self.decode(stored).await? {
                        Ok(event) => found.extend(event),
                        Err(unread) => return Err(LoadError::from(Arc::new(unread)).into()),
                    }
                }
            }
            read += page.len();
            self.bounded(found.len())?;
            if !full || behind {
                return Ok(found);
            }
        }
    }

    /// The events of all streams whose name begins with `prefix`. A stream is left out from an event on that cannot be read, as read
    /// models leave it out.
    pub async fn prefix(&self, prefix: &str) -> Result<Vec<Recorded>, PastError> {
        let (mut found, mut after, mut left_out) = (Vec::new(), Position::START, HashSet::new());
        loop {
            let wanted = self.page(found.len());
            let page = self.store.read_prefix(prefix, after, self.until, wanted).await.map_err(LoadError::from)?;
            let full = page.events.len() == wanted;
            after = page.scanned;
            for stored in &page.events {
                if left_out.contains(&stored.stream) {
                    continue;
                }
                match self.decode(stored).await? {
                    Ok(event) => found.extend(event),
                    Err(_) => drop(left_out.insert(stored.stream.clone())),
                }
            }
            self.bounded(found.len())?;
            if !full {
                self.in_part.fetch_or(!left_out.is_empty(), Ordering::Relaxed);
                return Ok(found);
            }
        }
    }

    /// The event, unless it is passed over.
    async fn decode(&self, stored: &Stored) -> Result<Result<Option<Recorded>, Unreadable>, LoadError> {
        match stored.decode() {
            Ok(recorded) => Ok(Ok(Some(recorded))),
            Err(_) if self.skips.pass_over(self.store, stored.event.id).await? => Ok(Ok(None)),
            Err(error) => Ok(Err(Unreadable::new(stored, &error))),
        }
    }

    /// How many events to read next: one more than may be is enough to know that it is too much.
    fn page(&self, found: usize) -> usize {
        PAGE.min(self.most.saturating_sub(found).saturating_add(1))
    }

    fn bounded(&self, found: usize) -> Result<(), PastError> {
        if found > self.most { Err(PastError::TooMuch(self.most)) } else { Ok(()) }
    }
}

/// The rows that `events` make, by key. Events of several streams are folded in the order of the log.
pub fn rows<R: Fold>(mut events: Vec<&Recorded>) -> BTreeMap<String, R> {
    events.sort_by_key(|event| event.position);
    let mut rows = BTreeMap::new();
    for event in events {
        for key in R::keys(event).as_slice() {
            if let Some(row) = R::fold(rows.remove(key), key, event) {
                rows.insert(key.clone(), row);
            }
        }
    }
    rows
}

/// How others see these people. A name is given once, before anything else is done, so the read model of today has it.
pub(crate) async fn names(db: &Db, people: Vec<String>) -> Result<BTreeMap<String, String>, DbError> {
    if people.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT p.id, p.display_name FROM people_v1 p WHERE p.id = ANY($1)";
    let named: Vec<(String, Option<String>)> = db.query(sql, params![people]).await?;
    Ok(named.into_iter().filter_map(|(id, name)| Some((id, name?))).collect())
}

/// What an aggregate was after `events`.
pub fn state<D: Decider>(events: &[Recorded]) -> D {
    let own = |state: D, event: &Recorded| match D::own(&event.event) {
        Some(own) => state.evolve(own, event.recorded_at),
        None => state,
    };
    events.iter().fold(D::default(), own)
}
