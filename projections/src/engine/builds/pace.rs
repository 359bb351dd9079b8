//! How fast builds are moved, and how much memory they take: what was asked for, of those that move together the least.

use super::subscriber::Subscriber;
use crate::engine::context::{error::EngineError, shared::Shared};
use circolo_events::Position;
use std::time::Duration;
use tokio::time::Instant;

/// How many events per second these builds may be moved over.
pub fn rate(shared: &Shared, subscribers: &[Subscriber]) -> Option<u64> {
    subscribers.iter().filter_map(|subscriber| subscriber.limits.rate).chain(shared.options.rate).min()
}

/// How many bytes of rows these builds may hold in memory.
pub fn memory(shared: &Shared, subscribers: &[Subscriber]) -> usize {
    let asked = subscribers.iter().filter_map(|subscriber| subscriber.limits.memory).min();
    asked.map_or(shared.options.memory, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Was something asked of one of these builds?
pub fn is_asked(shared: &Shared, subscribers: &[Subscriber]) -> bool {
    shared.steering.is_asked(subscribers.iter().map(|subscriber| &subscriber.id))
}

/// Notes how far builds have come on their way to `end`.
pub fn note(shared: &Shared, subscribers: &[Subscriber], position: Position, events: usize, end: Position) {
    #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
    let progress = if end.0 > 0 { (position.0 as f64 / end.0 as f64).min(1.0) } else { 1.0 };
    let mut meters = shared.meters();
    for subscriber in subscribers {
        meters.built(&subscriber.id, position, events);
        for physical in subscriber.tables() {
            shared.db.set_progress(physical.table.name, progress);
        }
    }
}

/// Keeps builds to the rate that was asked for.
#[derive(Debug, Default)]
pub struct Pace {
    due: Option<Instant>,
}

impl Pace {
    /// At most so many events at once: what may pass in a quarter of a second.
    pub fn page(rate: Option<u64>, limit: usize) -> usize {
        let quarter = rate.map_or(usize::MAX, |rate| usize::try_from(rate / 4).unwrap_or(usize::MAX));
        limit.min(quarter).max(1)
    }

    /// Waits for as long as `events` should have taken, or until something is asked of the builds.
    pub async fn keep(&mut self, shared: &Shared, subscribers: &[Subscriber], events: usize) -> Result<(), EngineError> {
        let Some(rate) = rate(shared, subscribers) else { return Ok(()) };
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "far from the limits of a float")]
        let span = Duration::from_secs_f64(events as f64 / rate.max(1) as f64);
        let due = self.due.map_or(now, |due| due.max(now)) + span;
        self.due = Some(due);
        let (mut down, mut changes) = (shared.down.subscribe(), shared.steering.changes());
        while !is_asked(shared, subscribers) {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return Ok(()),
                () = async { drop(down.wait_for(|down| *down).await) } => return Err(EngineError::Down),
                _ = changes.changed() => {}
            }
        }
        Ok(())
    }
}
