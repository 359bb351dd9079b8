//! The position that a time stands for: the last event recorded by then.
//!
//! Clocks of nodes differ, so times may step back along the log and no search by halves is right. The log is read once instead,
//! and of each stretch of it the earliest time is kept; what was appended since is read when somebody asks.

use crate::{EventStore, Position, StoreError};
use circolo_domain::Timestamp;
use tokio::sync::Mutex;

/// Events per stretch.
const STRETCH: usize = 1_000;

/// Earliest times along one log.
#[derive(Debug, Default)]
pub struct TimeIndex(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    stretches: Vec<Stretch>,
    /// Up to here the log is known.
    scanned: Position,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    after: Position,
    earliest: Timestamp,
    events: usize,
}

impl TimeIndex {
    /// Position of the last event of `store`, always the same log, that was recorded at `time` or before. Everything up to it
    /// is the log as of that time.
    pub async fn position(&self, store: &dyn EventStore, time: Timestamp) -> Result<Position, StoreError> {
        let mut known = self.0.lock().await;
        known.read_on(store).await?;
        let Some(found) = known.stretches.iter().rev().find(|stretch| stretch.earliest <= time) else { return Ok(Position::START) };
        let page = store.read_all(found.after, found.events).await?;
        let last = page.events.iter().rev().find(|stored| stored.event.recorded_at <= time);
        Ok(last.map_or(found.after, |stored| stored.position))
    }
}

impl Known {
    async fn read_on(&mut self, store: &dyn EventStore) -> Result<(), StoreError> {
        loop {
            let page = store.read_all(self.scanned, STRETCH).await?;
            if let Some(earliest) = page.events.iter().map(|stored| stored.event.recorded_at).min() {
                self.add(Stretch { after: self.scanned, earliest, events: page.events.len() });
            }
            let full = page.events.len() == STRETCH;
            self.scanned = page.scanned.max(self.scanned);
            if !full {
                return Ok(());
            }
        }
    }

    /// Small stretches at the growing end are joined, so that there are never many.
    fn add(&mut self, new: Stretch) {
        match self.stretches.last_mut() {
            Some(last) if last.events + new.events <= STRETCH => {
                last.events += new.events;
                last.earliest = last.earliest.min(new.earliest);
            }
            _ => self.stretches.push(new),
        }
    }
}
