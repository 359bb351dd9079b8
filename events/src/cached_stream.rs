//! A stream in memory: its folded state, its recent commands, and the queue of those who want to write.

use crate::execute::Options;
use crate::{Appended, Metadata, Position, Revision, Unreadable};
use circolo_domain::access::Origin;
use circolo_domain::{Decider, StreamName, Timestamp};
use std::any::Any;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Commands remembered per stream, so that quick repeats cost no read.
const RECENT: usize = 16;

/// Bytes that a place takes beside its state, roughly: itself, its name, what the cache keeps of it.
const PLACE: u64 = size_of::<CachedStream>() as u64 + 256;
/// Weights are told in steps of so many bytes, so that not every event is a change of weight.
const STEP: u64 = 256;
/// Parts of the cache that are locked one by one. Each has its part of the budget, so that none may be too small for a large
/// state.
const SHARDS: usize = 16;

/// All streams in memory; the least used leave when they weigh too much together. Those in use stay.
pub(crate) struct CachedStreams {
    streams: quick_cache::sync::Cache<StreamName, Weighed, ByWeight, quick_cache::DefaultHashBuilder, InUse>,
    /// See [`Options::queue_per_stream`].
    pub queue_per_stream: usize,
}

/// A place with the weight that the cache was told of. A place that has grown is told of anew.
#[derive(Clone)]
struct Weighed {
    place: Arc<CachedStream>,
    bytes: u64,
}

#[derive(Clone)]
struct ByWeight;

impl quick_cache::Weighter<StreamName, Weighed> for ByWeight {
    fn weight(&self, _: &StreamName, weighed: &Weighed) -> u64 {
        weighed.bytes
    }
}

/// What somebody holds does not leave the cache: else there would be two places of one stream, each with a state of its own.
#[derive(Clone)]
struct InUse;

impl quick_cache::Lifecycle<StreamName, Weighed> for InUse {
    /// What leaves, to be dropped outside the locks.
    type RequestState = Vec<Weighed>;

    fn is_pinned(&self, _: &StreamName, weighed: &Weighed) -> bool {
        Arc::strong_count(&weighed.place) > 1
    }

    fn begin_request(&self) -> Vec<Weighed> {
        vec![]
    }

    fn on_evict(&self, leaving: &mut Vec<Weighed>, _: StreamName, weighed: Weighed) {
        leaving.push(weighed);
    }
}

impl CachedStreams {
    pub fn new(options: Options) -> Self {
        let Options { cache_bytes, queue_per_stream } = options;
        let estimate = usize::try_from(cache_bytes / (2 * PLACE)).unwrap_or(usize::MAX);
        let (mut sizes, state) = (quick_cache::OptionsBuilder::new(), quick_cache::DefaultHashBuilder::default());
        let sizes = sizes.shards(SHARDS).estimated_items_capacity(estimate).weight_capacity(cache_bytes).build();
        // Both capacities are given, which is all that can be missing.
        let streams = match sizes {
            Ok(sizes) => quick_cache::sync::Cache::with_options(sizes, ByWeight, state, InUse),
            Err(_) => quick_cache::sync::Cache::with(estimate, cache_bytes, ByWeight, state, InUse),
        };
        Self { streams, queue_per_stream }
    }

    /// The memory of `stream`.
    pub fn of<'a>(&'a self, stream: &'a StreamName) -> Held<'a> {
        let made = || Ok::<_, std::convert::Infallible>(Weighed { place: Arc::default(), bytes: PLACE });
        let place = match self.streams.get_or_insert_with(stream, made) {
            Ok(weighed) => weighed.place,
            Err(never) => match never {},
        };
        Held { streams: self, stream, place }
    }

    /// Somebody, perhaps another node, wrote `revision` to `stream`.
    pub fn wrote(&self, stream: &StreamName, revision: Revision) {
        if let Some(Weighed { place, .. }) = self.streams.peek(stream) {
            let mut content = place.content();
            content.written = content.written.max(Some(revision));
        }
    }

    /// What all places weigh together, as far as the cache was told.
    #[cfg(test)]
    pub fn weight(&self) -> u64 {
        self.streams.weight()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.streams.len()
    }
}

/// A place in somebody's hands. When they let go of it the cache learns what it weighs now.
pub(crate) struct Held<'a> {
    streams: &'a CachedStreams,
    stream: &'a StreamName,
    place: Arc<CachedStream>,
}

impl Deref for Held<'_> {
    type Target = CachedStream;

    fn deref(&self) -> &CachedStream {
        &self.place
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let bytes = self.place.bytes.load(Ordering::Relaxed);
        if self.place.told.swap(bytes, Ordering::Relaxed) != bytes {
            let weighed = Weighed { place: Arc::clone(&self.place), bytes: PLACE + bytes };
            // It is there: what is held does not leave.
            let _ = self.streams.streams.replace(self.stream.clone(), weighed, true);
        }
    }
}

/// An aggregate's state with what is known of its stream.
#[derive(Debug)]
pub(crate) struct Cached<D> {
    pub state: Arc<D>,
    pub revision: Option<Revision>,
    pub position: Position,
    pub origin: Option<Origin>,
    /// What comes next and cannot be read.
    pub unread: Option<Arc<Unreadable>>,
}

impl<D: Default> Default for Cached<D> {
    fn default() -> Self {
        Self { state: Arc::default(), revision: None, position: Position::START, origin: None, unread: None }
    }
}

impl<D> Cached<D> {
    /// Is this all, and nothing stands behind it?
    pub fn ends_at(&self, revision: Option<Revision>) -> bool {
        self.revision == revision && self.unread.is_none()
    }
}

impl<D> Clone for Cached<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), unread: self.unread.clone(), ..*self }
    }
}

/// One stream in memory.
#[derive(Default)]
pub(crate) struct CachedStream {
    turns: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    content: Mutex<Content>,
    /// What the content weighs, in whole [`STEP`]s.
    bytes: AtomicU64,
    /// What the cache was told of it.
    told: AtomicU64,
}

#[derive(Default)]
struct Content {
    /// Grows when the state is forgotten: what was read before must not come back.
    generation: u64,
    /// The last revision that is known to be in the log; the state may be older.
    written: Option<Revision>,
    entry: Option<Entry>,
    recent: VecDeque<(Uuid, Recent)>,
}

/// How much of its stream a state covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// All, as far as anybody told.
    ToTheEnd,
    /// Somebody wrote more, or what comes next cannot be read, or could not.
    InPart,
}

/// A command that was executed on the stream.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    pub fingerprint: Option<String>,
    /// Revision of its first event.
    pub first: Revision,
    pub appended: Appended,
}

/// A [`Cached`] whose type is known to its category alone.
struct Entry {
    state: Arc<dyn Any + Send + Sync>,
    /// What the state weighs.
    bytes: usize,
    revision: Option<Revision>,
    position: Position,
    origin: Option<Origin>,
    unread: Option<Arc<Unreadable>>,
}

/// The right to write to the stream, as far as this process is concerned.
pub(crate) struct Turn<'a> {
    _guard: tokio::sync::MutexGuard<'a, ()>,
    _waiting: Waiting<'a>,
}

/// Counts somebody who waits or writes, for as long as they do, even if their request is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CachedStream {
    /// Waits for the turn, first come first served; `None` if `limit` others are there.
    pub async fn turn(&self, limit: usize) -> Option<Turn<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if before >= limit {
            return None;
        }
        Some(Turn { _guard: self.turns.lock().await, _waiting: waiting })
    }

    /// The state, if it is here.
    pub fn get<D: Decider>(&self) -> Option<(Cached<D>, Known)> {
        let content = self.content();
        let entry = content.entry.as_ref()?;
        let state = Arc::clone(&entry.state).downcast::<D>().ok()?;
        let known = if content.written > entry.revision || entry.unread.is_some() { Known::InPart } else { Known::ToTheEnd };
        let (revision, position, origin) = (entry.revision, entry.position, entry.origin);
        Some((Cached { state, revision, position, origin, unread: entry.unread.clone() }, known))
    }

    /// A token for [`CachedStream::put`]: to be taken before the reading begins.
    pub fn generation(&self) -> u64 {
        self.content().generation
    }

    /// Remembers a state that was read, unless it is older than what is known or was read before a [`CachedStream::forget`].
    pub fn put<D: Decider>(&self, generation: u64, cached: &Cached<D>) {
        let mut content = self.content();
        let newer = content.entry.as_ref().is_none_or(|entry| entry.revision <= cached.revision);
        if content.generation == generation && newer {
            content.entry = Some(Entry::from(cached.clone()));
            self.weigh(&content);
        }
    }

    /// Remembers what was just appended by whose turn it is.
    pub fn appended<D: Decider>(&self, cached: Cached<D>, events: &[D::Event], appended: Appended, metadata: &Metadata, now: Timestamp) {
        let mut content = self.content();
        // The state is evolved in place where nobody else holds it: not even this.
        content.entry = None;
        let origin = cached.origin.or(metadata.scope.map(|scope| Origin { scope, at: now }));
        let state = events.iter().fold(Arc::unwrap_or_clone(cached.state), |state, event| state.evolve(event, now));
        let (state, revision) = (Arc::new(state), Some(appended.revision));
        let after = Cached { state, revision, position: appended.position, origin, unread: None };
        content.entry = Some(Entry::from(after));
        if content.recent.len() == RECENT {
            content.recent.pop_front();
        }
        let first = appended.revision + 1 - events.len() as u64;
        content.recent.push_back((metadata.command_id, Recent { fingerprint: metadata.fingerprint.clone(), first, appended }));
        self.weigh(&content);
    }

    /// Notes what the content weighs.
    fn weigh(&self, content: &Content) {
        let fingerprints = content.recent.iter().filter_map(|(_, recent)| Some(recent.fingerprint.as_ref()?.len()));
        let recent = content.recent.capacity() * size_of::<(Uuid, Recent)>() + fingerprints.sum::<usize>();
        let bytes = (recent + content.entry.as_ref().map_or(0, |entry| entry.bytes)) as u64;
        self.bytes.store(bytes.next_multiple_of(STEP), Ordering::Relaxed);
    }

    /// Forgets the state: what the log holds is no longer certain.
    pub fn forget(&self) {
        let mut content = self.content();
        content.generation += 1;
        content.entry = None;
        self.weigh(&content);
    }

    /// A recent command.
    pub fn recent(&self, command_id: Uuid) -> Option<Recent> {
        let content = self.content();
        content.recent.iter().find(|(id, _)| *id == command_id).map(|(_, recent)| recent.clone())
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Decider> From<Cached<D>> for Entry {
    fn from(cached: Cached<D>) -> Self {
        let bytes = size_of::<D>() + cached.state.heap();
        let Cached { state, revision, position, origin, unread } = cached;
        Self { state, bytes, revision, position, origin, unread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use circolo_domain::listing::{self, Condition, Details, Listing};
    use circolo_domain::testing::personal;
    use circolo_domain::{ListingId, Money, PersonId};

    const BUDGET: u64 = 16 << 20;
    const TEXT: usize = 5_000;

    fn cache() -> CachedStreams {
        CachedStreams::new(Options { cache_bytes: BUDGET, queue_per_stream: 8 })
    }

    fn stream(number: u32) -> StreamName {
        listing::stream(ListingId(Uuid::from_u128(number.into())))
    }

    fn cached(text: usize) -> Cached<Listing> {
        let text = |letter: &str| personal(&letter.repeat(text));
        let details = Details {
            title: text("t"),
            description: text("d"),
            category: "bikes".to_owned(),
            condition: Condition::Used,
            pickup: Some(text("p")),
            delivery: None,
        };
        let price = Money { amount_minor: 1, currency: serde_json::from_str("\"EUR\"").unwrap() };
        let posted = listing::Event::Posted { seller: PersonId(Uuid::nil()), details, price };
        Cached { state: Arc::new(Listing::default().evolve(&posted, Timestamp::from_micros(0))), revision: Some(0), ..Cached::default() }
    }

    #[test]
    fn fifty_thousand_large_listings_stay_within_the_budget() {
        let cache = cache();
        let large = cached(TEXT);
        assert!(size_of::<Listing>() + large.state.heap() > 3 * TEXT, "a state tells what it keeps");
        for number in 0..50_000 {
            let stream = stream(number);
            cache.of(&stream).put(0, &large);
        }
        // Counted one by one, not as the cache counts.
        let held = cache.streams.iter().map(|(_, Weighed { place, .. })| PLACE + place.bytes.load(Ordering::Relaxed)).sum::<u64>();
        assert_eq!(held, cache.weight());
        assert!(held <= BUDGET, "{held} bytes in {} places", cache.len());
        assert!(held > BUDGET / 2, "the budget is used: {held} bytes in {} places", cache.len());
    }

    #[test]
    fn what_grows_while_it_is_there_makes_others_leave() {
        let cache = cache();
        let (small, large) = (cached(1), cached(TEXT));
        let streams: Vec<StreamName> = (0..2_000).map(stream).collect();
        for stream in &streams {
            cache.of(stream).put(0, &small);
        }
        assert_eq!(cache.len(), streams.len(), "small ones have room");
        for stream in &streams {
            cache.of(stream).put(0, &large);
        }
        assert!(cache.weight() <= BUDGET && cache.len() < streams.len(), "{} bytes in {} places", cache.weight(), cache.len());
    }

    #[test]
    fn what_somebody_holds_stays_the_one_place_of_its_stream() {
        let cache = cache();
        let (first, large) = (stream(0), cached(TEXT));
        let held = cache.of(&first);
        held.put(0, &large);
        for number in 1..5_000 {
            cache.of(&stream(number)).put(0, &large);
        }
        assert!(Arc::ptr_eq(&held.place, &cache.of(&first).place));
        drop(held);
        for number in 1..50_000 {
            cache.of(&stream(number)).put(0, &large);
        }
        assert!(cache.streams.peek(&first).is_none(), "when nobody holds it, it leaves like any other");
    }
}
