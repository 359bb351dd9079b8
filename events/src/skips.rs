//! Events that cannot be read and are passed over, as operators decided and the log tells.

use crate::{EventStore, Position, StoreError};
use circolo_domain::{Decider, Event, skip};
use std::collections::HashSet;
use uuid::Uuid;

/// Decisions read at once.
const PAGE: usize = 1_000;

/// What is passed over, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct Skips {
    events: HashSet<Uuid>,
    scanned: Position,
}

impl Skips {
    /// Is this event passed over?
    pub fn contains(&self, event: Uuid) -> bool {
        self.events.contains(&event)
    }

    /// Reads what was decided since the last time; true if it was something.
    ///
    /// Decisions stand behind the event they are about, so all of them count, wherever a reader stands.
    pub async fn learn(&mut self, store: &dyn EventStore) -> Result<bool, StoreError> {
        let (head, before) = (store.head().await?, self.events.len());
        let prefix = format!("{}-", skip::Skip::CATEGORY);
        loop {
            let page = store.read_prefix(&prefix, self.scanned, head, PAGE).await?;
            let full = page.events.len() == PAGE;
            // A decision that cannot be read decides nothing.
            self.events.extend(page.events.iter().filter_map(|stored| match stored.decode().ok()?.event {
                Event::Skip(skip::Event::Decided { event, .. }) => Some(event),
                _ => None,
            }));
            self.scanned = page.scanned.max(self.scanned);
            if !full {
                return Ok(self.events.len() > before);
            }
        }
    }
}
