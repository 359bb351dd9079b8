//! The end of the log, kept in memory: read once per process, decoded once for all who follow, and bounded.
//!
//! Who follows the log asks here for what stands behind a position, and goes to the store when that is further back than what is kept, or
//! when the store cannot be read on: there they are told what is the matter. What is kept is never ahead of the executor's cache, so
//! that rights which are looked up are at least as new as what they are looked up for.

use crate::{EventStore, Position, Recorded, Stored, in_flight::InFlight, others::Others};
use circolo_domain::change::Change;
use circolo_domain::{Decider, DecodeError, GroupId, PageId, PersonId, StreamName, fan, group, membership, page, skip};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

/// So many events are kept at most.
const EVENTS: usize = 4_096;
/// They take so many bytes at most, roughly.
const BYTES: usize = 16 << 20;
/// Events read at once.
const PAGE: usize = 500;
/// Those who follow are told so often at most: a thousand are not woken for each of many events. The first after a silence is told at once.
const GATHER: Duration = Duration::from_millis(20);
/// How long one wait for news lasts at most.
const WAIT: Duration = Duration::from_secs(5);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// Whose standings an event may change: what was looked up of them before has to be looked up anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// Nobody's.
    Nobody,
    /// Everybody's in this group.
    Group(GroupId),
    /// That of a person in a group, and of those whom they have invited.
    Member(GroupId, PersonId),
    /// Everybody's on this page.
    Page(PageId),
    /// That of a person on a page.
    Fan(PageId, PersonId),
    /// Anybody's: something that could not be read is passed over from now on.
    Anybody,
}

impl Touched {
    /// By an event of this stream, also where it cannot be read.
    pub fn by(stream: &StreamName) -> Self {
        let found = match stream.category() {
            group::Group::CATEGORY => stream.id().map(|id| Self::Group(GroupId(id))),
            membership::Membership::CATEGORY => membership::ids(stream).map(|(group, person)| Self::Member(group, person)),
            page::Page::CATEGORY => stream.id().map(|id| Self::Page(PageId(id))),
            fan::Fan::CATEGORY => fan::ids(stream).map(|(page, person)| Self::Fan(page, person)),
            skip::Skip::CATEGORY => Some(Self::Anybody),
            _ => None,
        };
        found.unwrap_or(Self::Nobody)
    }
}

/// An event near the end of the log. What everybody wants to know of it is worked out once.
#[derive(Debug)]
pub struct Kept {
    /// As the log holds it.
    pub stored: Stored,
    /// Whose standings it may change.
    pub touched: Touched,
    recorded: OnceLock<Result<Recorded, DecodeError>>,
    change: OnceLock<Option<Change>>,
}

impl Kept {
    /// An event as it was read.
    pub fn new(stored: Stored) -> Self {
        Self { touched: Touched::by(&stored.stream), stored, recorded: OnceLock::new(), change: OnceLock::new() }
    }

    /// The event, decoded.
    pub fn recorded(&self) -> Result<&Recorded, &DecodeError> {
        self.recorded.get_or_init(|| self.stored.decode()).as_ref()
    }

    /// What it tells in the change feed, if it can be read and is anybody's business.
    pub fn change(&self) -> Option<&Change> {
        self.change.get_or_init(|| self.recorded().ok().and_then(|recorded| recorded.event.change(&recorded.stream))).as_ref()
    }

    fn bytes(&self) -> usize {
        // Both as stored and decoded, and what is around.
        2 * (self.stored.event.data.len() + self.stored.event.metadata.len()) + 2 * size_of::<Self>()
    }
}

/// How far what is kept reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    /// The last event that is kept, or where the log ended when it was first followed.
    last: Position,
    /// Counts failures: whoever waits goes and sees.
    failures: u64,
}

/// The last events of the log.
pub struct End {
    kept: Arc<Ring>,
    feeder: AbortHandle,
}

struct Ring {
    events: Mutex<Tail>,
    reach: watch::Sender<Reach>,
}

#[derive(Default)]
struct Tail {
    /// All that stands behind this position is kept, up to the last.
    begins: Position,
    events: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// The store could not be read on; or it was not read yet.
    away: bool,
}

impl End {
    /// Follows `store` from its present end on.
    pub(crate) fn follow(store: Arc<dyn EventStore>, in_flight: Arc<InFlight>, others: Arc<Others>) -> Self {
        let events = Mutex::new(Tail { away: true, ..Tail::default() });
        let kept = Arc::new(Ring { events, reach: watch::Sender::new(Reach { last: Position::START, failures: 0 }) });
        let feeder = tokio::spawn(feed(store, in_flight, others, Arc::clone(&kept))).abort_handle();
        Self { kept, feeder }
    }

    /// What stands behind `after`, at most `limit`; `None` if not all of it is kept, or the store must be asked what is the matter.
    pub fn behind(&self, after: Position, limit: usize) -> Option<Vec<Arc<Kept>>> {
        let events = self.kept.events();
        if events.away || after < events.begins {
            return None;
        }
        let first = events.events.partition_point(|kept| kept.stored.position <= after);
        Some(events.events.iter().skip(first).take(limit).cloned().collect())
    }

    /// The last event that is kept.
    pub fn last(&self) -> Position {
        self.kept.reach.borrow().last
    }

    /// Waits until there is something behind `after`, or the store cannot be read, at most `wait`.
    pub async fn changed(&self, after: Position, wait: Duration) {
        let mut reach = self.kept.reach.subscribe();
        let failures = reach.borrow().failures;
        let away = self.kept.events().away;
        // An error would mean that the sender is gone, which lives as long as this.
        let news = reach.wait_for(|reach| reach.last > after || reach.failures > failures);
        let _ = timeout(if away { wait.min(PAUSE) } else { wait }, news).await;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.feeder.abort();
    }
}

impl Ring {
    fn events(&self) -> MutexGuard<'_, Tail> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins behind `position`, as there is nothing to go on from.
    fn begin(&self, position: Position) {
        *self.events() = Tail { begins: position, ..Tail::default() };
        self.reach.send_modify(|reach| reach.last = position);
    }

    fn add(&self, page: Vec<Stored>) {
        let mut events = self.events();
        events.away = false;
        for stored in page {
            let kept = Kept::new(stored);
            events.bytes += kept.bytes();
            events.events.push_back(Arc::new(kept));
        }
        while events.events.len() > EVENTS || (events.bytes > BYTES && events.events.len() > 1) {
            let Some(gone) = events.events.pop_front() else { break };
            events.bytes -= gone.bytes();
            events.begins = gone.stored.position;
        }
        let last = events.events.back().map(|kept| kept.stored.position);
        drop(events);
        self.reach.send_if_modified(|reach| {
            let moved = last.is_some_and(|last| last > reach.last);
            reach.last = reach.last.max(last.unwrap_or_default());
            moved
        });
    }

    fn failed(&self) {
        self.events().away = true;
        self.reach.send_modify(|reach| reach.failures += 1);
    }
}

async fn feed(store: Arc<dyn EventStore>, in_flight: Arc<InFlight>, others: Arc<Others>, kept: Arc<Ring>) {
    let mut after = loop {
        match store.head().await {
            Ok(head) => break head,
            Err(_) => sleep(PAUSE).await,
        }
    };
    in_flight.settled().await;
    others.settled(&*store).await;
    kept.begin(after);
    let mut told = Instant::now();
    loop {
        let read = async {
            let page = store.read_all(after, PAGE).await?;
            if page.events.is_empty() {
                kept.add(vec![]);
                store.changed(page.scanned.max(after), WAIT).await?;
            }
            Ok::<_, crate::StoreError>(page)
        };
        match read.await {
            Ok(page) => {
                after = page.scanned.max(after);
                if !page.events.is_empty() {
                    in_flight.settled().await;
                    others.settled(&*store).await;
                    kept.add(page.events);
                    sleep_until(told + GATHER).await;
                    told = Instant::now();
                }
            }
            Err(error) => {
                // Who follows goes to the store, and tells.
                tracing::debug!(%error, "the end of the log cannot be read");
                kept.failed();
                sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
#[path = "end_tests.rs"]
mod tests;
