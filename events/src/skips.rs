//! Events that cannot be read and are passed over, as operators decided and the log tells.

use crate::{EventStore, Position, StoreError};
use circolo_domain::{Event, skip};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Decisions read at once.
const PAGE: usize = 1_000;

/// What is passed over, as far as it was read. Whoever meets an event that cannot be read asks here, and the log is read on for what
/// was decided meanwhile, by whichever node: nothing that can be read costs a look.
#[derive(Debug, Default)]
pub struct Skips(Mutex<Known>);

#[derive(Debug, Clone, Default)]
struct Known {
    events: HashSet<Uuid>,
    scanned: Position,
}

impl Skips {
    /// Is this event passed over, as far as is known?
    pub fn contains(&self, event: Uuid) -> bool {
        self.known().events.contains(&event)
    }

    /// Is this event passed over?
    pub async fn pass_over(&self, store: &dyn EventStore, event: Uuid) -> Result<bool, StoreError> {
        if !self.contains(event) {
            self.learn(store).await?;
        }
        Ok(self.contains(event))
    }

    /// Reads what was decided since the last time; true if it was something.
    ///
    /// Decisions stand behind the event they are about, so all of them count, wherever a reader stands.
    pub async fn learn(&self, store: &dyn EventStore) -> Result<bool, StoreError> {
        let mut scanned = self.known().scanned;
        let mut news = false;
        loop {
            let page = store.read_skips(scanned, PAGE).await?;
            let full = page.events.len() == PAGE;
            // A decision that cannot be read decides nothing.
            let decided = page.events.iter().filter_map(|stored| match stored.decode().ok()?.event {
                Event::Skip(skip::Event::Decided { event, .. }) => Some(event),
                _ => None,
            });
            let mut known = self.known();
            for event in decided {
                news |= known.events.insert(event);
            }
            known.scanned = page.scanned;
            drop(known);
            scanned = page.scanned;
            if !full {
                return Ok(news);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
