//! Looks at the past fold streams in memory: for registered callers, a few at a time, over so many events at most, and once for
//! all who ask for the same moment.

use crate::{App, Problem, caller::MaybeCaller};
use axum::http::StatusCode;
use circolo_domain::{PersonId, StreamName, Timestamp};
use circolo_events::{Position, transfer::TimeIndex};
use circolo_projections::past::Past;
use quick_cache::{Weighter, sync::Cache};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// Looks at a time.
const AT_ONCE: usize = 4;
/// Looks of one person at a time: others come through.
const PER_PERSON: usize = 2;
/// How long somebody waits until it is their turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of what was folded that are kept, roughly.
const KEPT: u64 = 32 << 20;
/// How many pieces that may be.
const PIECES: usize = 4_096;

/// What is needed to look back.
pub(crate) struct Pasts {
    /// Which position a time stands for.
    times: TimeIndex,
    places: Semaphore,
    /// Who is looking, and how often.
    looking: Mutex<HashMap<PersonId, usize>>,
    kept: Cache<Key, Kept, ByWeight>,
}

/// What was folded: of what kind, from which stream on, up to where and for which moment.
type Key = (TypeId, StreamName, Position, Timestamp);

#[derive(Clone)]
struct Kept {
    what: Arc<dyn Any + Send + Sync>,
    bytes: u64,
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Kept> for ByWeight {
    fn weight(&self, (_, stream, ..): &Key, kept: &Kept) -> u64 {
        kept.bytes + stream.as_str().len() as u64 + size_of::<(Key, Kept)>() as u64
    }
}

impl Default for Pasts {
    fn default() -> Self {
        Self {
            times: TimeIndex::default(),
            places: Semaphore::new(AT_ONCE),
            looking: Mutex::default(),
            kept: Cache::with_weighter(PIECES, KEPT, ByWeight),
        }
    }
}

impl Pasts {
    fn looking(&self) -> MutexGuard<'_, HashMap<PersonId, usize>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a look of `person` for as long as it lasts.
    fn counted(&self, person: PersonId) -> Result<Counted<'_>, Problem> {
        let mut looking = self.looking();
        let looks = looking.entry(person).or_default();
        if *looks >= PER_PERSON {
            let told = format!("you are looking at the past {PER_PERSON} times already; wait for an answer");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_as_of", told).with_retry_after(1));
        }
        *looks += 1;
        Ok(Counted { pasts: self, person })
    }
}

struct Counted<'a> {
    pasts: &'a Pasts,
    person: PersonId,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut looking = self.pasts.looking();
        match looking.get_mut(&self.person) {
            Some(looks) if *looks > 1 => *looks -= 1,
            _ => drop(looking.remove(&self.person)),
        }
    }
}

/// Somebody's turn to look at the log as of a time.
pub(crate) struct Look<'a> {
    past: Past<'a>,
    time: Timestamp,
    pasts: &'a Pasts,
    _place: SemaphorePermit<'a>,
    _counted: Counted<'a>,
}

impl App {
    /// A look at the log as of `time`, for a caller who may see what it is about: 401 or 403 for who is nobody known, 400 for
    /// times to come, 429 for more than a few at a time.
    pub(crate) async fn look_back(&self, caller: &MaybeCaller, time: Timestamp) -> Result<Look<'_>, Problem> {
        let person = caller.needed()?;
        if time > self.now() {
            return Err(Problem::bad_request("as_of_in_future", "what happens until then is not known yet"));
        }
        let pasts = self.pasts();
        let counted = pasts.counted(person)?;
        let busy = || Problem::try_later("busy", "too many are looking at the past");
        let place = timeout(PATIENCE, pasts.places.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let until = pasts.times.position(self.store(), time).await?;
        let (skips, in_part) = (self.executor().skips(), Arc::default());
        let past = Past { store: self.store(), skips, in_part, until, most: self.config().as_of_events };
        Ok(Look { past, time, pasts, _place: place, _counted: counted })
    }
}

impl<'a> Look<'a> {
    /// The log, up to the moment.
    pub fn past(&self) -> Past<'a> {
        self.past.clone()
    }

    /// What was folded from `stream` and what belongs to it before, if it is still known.
    pub fn known<T: Send + Sync + 'static>(&self, stream: &StreamName) -> Option<Arc<T>> {
        self.pasts.kept.get(&self.key::<T>(stream))?.what.downcast().ok()
    }

    /// Remembers what was folded, which takes `bytes`, unless something had to be left out. It must depend on nothing but the log: others
    /// will be given it.
    pub fn keep<T: Send + Sync + 'static>(&self, stream: &StreamName, what: T, bytes: usize) -> Arc<T> {
        let what = Arc::new(what);
        if self.past.in_part.load(Ordering::Relaxed) {
            return what;
        }
        self.pasts.kept.insert(self.key::<T>(stream), Kept { what: what.clone(), bytes: bytes as u64 });
        what
    }

    fn key<T: 'static>(&self, stream: &StreamName) -> Key {
        (TypeId::of::<T>(), stream.clone(), self.past.until, self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_person_looks_twice_at_a_time_and_what_is_done_counts_no_more() {
        let pasts = Pasts::default();
        let (ann, bea) = (PersonId(Uuid::from_u128(1)), PersonId(Uuid::from_u128(2)));
        let first = pasts.counted(ann).ok().unwrap();
        let second = pasts.counted(ann).ok().unwrap();
        let refused = pasts.counted(ann).err().unwrap();
        assert_eq!((refused.status().as_u16(), refused.code()), (429, "too_many_as_of"));
        drop(pasts.counted(bea).ok().unwrap());
        drop(first);
        drop(pasts.counted(ann).ok().unwrap());
        drop(second);
        assert!(pasts.looking().is_empty(), "who does not look takes no memory");
    }
}
