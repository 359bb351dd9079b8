//! How fast builds are moved, and how much memory they take: what was asked for, of those that move together the least.

use super::member::Member;
use crate::engine::context::{error::EngineError, shared::Shared};
use circolo_events::Position;
use std::time::Duration;
use tokio::time::Instant;

/// How many events per second these builds may be moved over.
pub fn rate(shared: &Shared, members: &[Member]) -> Option<u64> {
    members.iter().filter_map(|member| member.limits.rate).chain(shared.options.rate).min()
}

/// How many bytes of rows these builds may hold in memory.
pub fn memory(shared: &Shared, members: &[Member]) -> usize {
    let asked = members.iter().filter_map(|member| member.limits.memory).min();
    asked.map_or(shared.options.memory, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Was something asked of one of these builds?
pub fn is_asked(shared: &Shared, members: &[Member]) -> bool {
    shared.steering.is_asked(members.iter().map(|member| &member.id))
}

/// Notes how far builds have come on their way to `end`.
pub fn note(shared: &Shared, members: &[Member], position: Position, events: usize, end: Position) {
    #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
    let progress = if end.0 > 0 { (position.0 as f64 / end.0 as f64).min(1.0) } else { 1.0 };
    let mut meters = shared.meters();
    for member in members {
        meters.built(&member.id, position, events);
        for physical in member.tables() {
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
    pub async fn keep(&mut self, shared: &Shared, members: &[Member], events: usize) -> Result<(), EngineError> {
        let Some(rate) = rate(shared, members) else { return Ok(()) };
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "far from the limits of a float")]
        let span = Duration::from_secs_f64(events as f64 / rate.max(1) as f64);
        let due = self.due.map_or(now, |due| due.max(now)) + span;
        self.due = Some(due);
        let (mut down, mut changes) = (shared.down.subscribe(), shared.steering.changes());
        while !is_asked(shared, members) {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return Ok(()),
                () = async { drop(down.wait_for(|down| *down).await) } => return Err(EngineError::Down),
                _ = changes.changed() => {}
            }
        }
        Ok(())
    }
}
