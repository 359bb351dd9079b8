//! The past of a few streams: rows as of a position, folded in memory from the events of the streams concerned and nothing else.

use crate::{Db, DbError, Fold, params};
use circolo_domain::{Decider, StreamName};
use circolo_events::{EventStore, LoadError, Position, Recorded, Stored};
use std::collections::BTreeMap;

/// Events read at once: Postgres walks all of a prefix for each page of it, so a busy group is better one page than ten.
const PAGE: usize = 10_000;

/// A log, up to a position.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// The log.
    pub store: &'a dyn EventStore,
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
    /// The events of a stream.
    pub async fn stream(&self, name: &StreamName) -> Result<Vec<Recorded>, PastError> {
        let mut found = Vec::new();
        loop {
            let wanted = self.page(found.len());
            let page = self.store.read(name, found.len() as u64, wanted).await.map_err(LoadError::from)?;
            let full = page.len() == wanted;
            let before = found.len();
            let read = page.len();
            decode(page.into_iter().take_while(|stored| stored.position <= self.until), &mut found)?;
            self.bounded(found.len())?;
            if !full || found.len() - before < read {
                return Ok(found);
            }
        }
    }

    /// The events of all streams whose name begins with `prefix`.
    pub async fn prefix(&self, prefix: &str) -> Result<Vec<Recorded>, PastError> {
        let (mut found, mut after) = (Vec::new(), Position::START);
        loop {
            let wanted = self.page(found.len());
            let page = self.store.read_prefix(prefix, after, self.until, wanted).await.map_err(LoadError::from)?;
            let full = page.events.len() == wanted;
            after = page.scanned;
            decode(page.events, &mut found)?;
            self.bounded(found.len())?;
            if !full {
                return Ok(found);
            }
        }
    }
}

impl Past<'_> {
    /// How many events to read next: one more than may be is enough to know that it is too much.
    fn page(&self, found: usize) -> usize {
        PAGE.min(self.most.saturating_sub(found).saturating_add(1))
    }

    fn bounded(&self, found: usize) -> Result<(), PastError> {
        if found > self.most { Err(PastError::TooMuch(self.most)) } else { Ok(()) }
    }
}

fn decode(events: impl IntoIterator<Item = Stored>, into: &mut Vec<Recorded>) -> Result<(), LoadError> {
    for stored in events {
        into.push(stored.decode()?);
    }
    Ok(())
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
