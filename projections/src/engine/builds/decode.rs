//! A page of the log, each event decoded once for all its readers, and not at all if nobody reads it.

use super::{compute::compute, subscriber::Subscriber};
use crate::{
    db::Urgency,
    engine::{
        context::{error::EngineError, shared::Shared},
        tables::{build::Checkpoint, parked::Poison},
    },
    projection::OnPoison,
};
use circolo_domain::{Decider, DecodeError, skip::Skip};
use circolo_events::{LogId, Page, Position, Recorded, Skips};

/// A part of the log, ready to be folded.
#[derive(Debug)]
pub struct Decoded {
    /// The events that somebody reads, in order.
    pub events: Vec<Recorded>,
    /// Events among them that cannot be read: their streams are parked.
    pub poisons: Vec<Poison>,
    /// How many events there were, read or not.
    pub count: usize,
    /// The checkpoint after them; `None` if there was none.
    pub checkpoint: Option<Checkpoint>,
    /// From where to read on.
    pub scanned: Position,
    /// The event behind them, if it cannot be read and somebody stops there.
    pub poison: Option<Poison>,
}

/// Which categories somebody reads, and where a reader would stop at what cannot be read.
#[derive(Debug, Clone, Default)]
pub struct Readers {
    reads: Vec<&'static str>,
    stops: Vec<&'static str>,
}

impl Readers {
    /// Of these builds.
    pub fn of(subscribers: &[Subscriber]) -> Self {
        let mut readers = Self::default();
        for Subscriber { projection, .. } in subscribers {
            readers.reads.extend(projection.categories);
            if projection.on_poison == OnPoison::Stop {
                readers.stops.extend(projection.categories);
            }
        }
        for categories in [&mut readers.reads, &mut readers.stops] {
            categories.sort_unstable();
            categories.dedup();
        }
        readers
    }

    /// Does somebody read events of this category?
    pub fn read(&self, category: &str) -> bool {
        self.reads.contains(&category)
    }

    /// Would somebody stop at an event of this category?
    pub fn stop_at(&self, category: &str) -> bool {
        self.stops.contains(&category)
    }
}

/// Decodes a page of the log for `readers`; looks for decisions to skip where something cannot be read.
pub async fn decode(
    shared: &Shared,
    page: &Page,
    until: Option<Position>,
    readers: &Readers,
    urgency: Urgency,
) -> Result<Decoded, EngineError> {
    let log = shared.store.log_id();
    if page.events.iter().any(|stored| stored.stream.category() == Skip::CATEGORY) {
        shared.skipped.send_replace(());
    }
    let decoded = compute(urgency, || decode_page(log, page, until, readers, &shared.skips));
    if decoded.poison.is_none() && decoded.poisons.is_empty() {
        return Ok(decoded);
    }
    let news = shared.skips.learn(&*shared.store).await?;
    let decoded = if news { compute(urgency, || decode_page(log, page, until, readers, &shared.skips)) } else { decoded };
    let unknown = decoded.poisons.iter().chain(&decoded.poison).find(|poison| poison.unknown && shared.gives_way(&poison.event_type));
    match unknown {
        Some(poison) => Err(EngineError::Newer(poison.event_type.clone())),
        None => Ok(decoded),
    }
}

/// Decodes what `readers` want of `page`, up to `until`, up to the first event that cannot be read and where one of them stops.
fn decode_page(log: LogId, page: &Page, until: Option<Position>, readers: &Readers, skips: &Skips) -> Decoded {
    let (events, poisons) = (Vec::new(), Vec::new());
    let mut decoded = Decoded { events, poisons, count: 0, checkpoint: None, scanned: page.scanned, poison: None };
    for stored in &page.events {
        if until.is_some_and(|until| stored.position > until) {
            break;
        }
        let category = stored.stream.category();
        if readers.read(category) {
            match stored.decode() {
                // It may be one that can be read and not be stored.
                _ if skips.contains(stored.event.id) => {}
                Ok(event) => decoded.events.push(event),
                Err(error) => {
                    let poison = Poison {
                        position: stored.position,
                        stream: stored.stream.clone(),
                        event: stored.event.id,
                        event_type: stored.event.event_type.clone(),
                        unknown: matches!(error, DecodeError::UnknownType(_)),
                        error: error.to_string(),
                    };
                    if readers.stop_at(category) {
                        decoded.scanned = decoded.checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
                        decoded.poison = Some(poison);
                        return decoded;
                    }
                    decoded.poisons.push(poison);
                }
            }
        }
        decoded.count += 1;
        decoded.checkpoint = Some(Checkpoint { log, position: stored.position, event: Some(stored.event.id) });
    }
    if let Some(until) = until {
        decoded.scanned = decoded.scanned.min(until);
    }
    decoded
}
