//! The place of one stream in memory: its folded state, its recent commands, and the queue of those who want to write.

use crate::execute::Options;
use crate::{Appended, Metadata, Position, Revision};
use circolo_domain::access::Origin;
use circolo_domain::{Decider, StreamName, Timestamp};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Commands remembered per stream, so that quick repeats cost no read.
const RECENT: usize = 16;

/// All streams in memory; the least used leave.
pub(crate) struct Slots {
    slots: quick_cache::sync::Cache<StreamName, Arc<Slot>>,
    /// See [`Options::queue_per_stream`].
    pub queue_per_stream: usize,
}

impl Slots {
    pub fn new(options: Options) -> Self {
        Self { slots: quick_cache::sync::Cache::new(options.cached_streams), queue_per_stream: options.queue_per_stream }
    }

    /// The place of `stream`. Two callers may hold different places of one stream after an eviction in between: the
    /// append's expected revision tells them apart.
    pub fn of(&self, stream: &StreamName) -> Arc<Slot> {
        let made = self.slots.get_or_insert_with(stream, || Ok::<_, std::convert::Infallible>(Arc::default()));
        match made {
            Ok(slot) => slot,
            Err(never) => match never {},
        }
    }

    /// Somebody, perhaps another node, wrote `revision` to `stream`.
    pub fn wrote(&self, stream: &StreamName, revision: Revision) {
        if let Some(slot) = self.slots.peek(stream) {
            let mut content = slot.content();
            content.written = content.written.max(Some(revision));
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
}

impl<D: Default> Default for Cached<D> {
    fn default() -> Self {
        Self { state: Arc::default(), revision: None, position: Position::START, origin: None }
    }
}

impl<D> Clone for Cached<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), ..*self }
    }
}

/// One stream's place.
#[derive(Default)]
pub(crate) struct Slot {
    turns: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    content: Mutex<Content>,
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
    /// Somebody wrote more.
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
    revision: Option<Revision>,
    position: Position,
    origin: Option<Origin>,
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

impl Slot {
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
        let known = if content.written > entry.revision { Known::InPart } else { Known::ToTheEnd };
        Some((Cached { state, revision: entry.revision, position: entry.position, origin: entry.origin }, known))
    }

    /// A token for [`Slot::put`]: to be taken before the reading begins.
    pub fn generation(&self) -> u64 {
        self.content().generation
    }

    /// Remembers a state that was read, unless it is older than what is known or was read before a [`Slot::forget`].
    pub fn put<D: Decider>(&self, generation: u64, cached: &Cached<D>) {
        let mut content = self.content();
        let newer = content.entry.as_ref().is_none_or(|entry| entry.revision <= cached.revision);
        if content.generation == generation && newer {
            content.entry = Some(Entry::from(cached.clone()));
        }
    }

    /// Remembers what was just appended by whose turn it is.
    pub fn appended<D: Decider>(&self, cached: Cached<D>, events: &[D::Event], appended: Appended, metadata: &Metadata, now: Timestamp) {
        let mut content = self.content();
        // The state is evolved in place where nobody else holds it: not even this slot.
        content.entry = None;
        let origin = cached.origin.or(metadata.scope.map(|scope| Origin { scope, at: now }));
        let state = events.iter().fold(Arc::unwrap_or_clone(cached.state), |state, event| state.evolve(event, now));
        let after = Cached { state: Arc::new(state), revision: Some(appended.revision), position: appended.position, origin };
        content.entry = Some(Entry::from(after));
        if content.recent.len() == RECENT {
            content.recent.pop_front();
        }
        let first = appended.revision + 1 - events.len() as u64;
        content.recent.push_back((metadata.command_id, Recent { fingerprint: metadata.fingerprint.clone(), first, appended }));
    }

    /// Forgets the state: what the log holds is no longer certain.
    pub fn forget(&self) {
        let mut content = self.content();
        content.generation += 1;
        content.entry = None;
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
        Self { state: cached.state, revision: cached.revision, position: cached.position, origin: cached.origin }
    }
}
