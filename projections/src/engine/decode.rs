//! A page of the log, each event decoded once for all its readers, and not at all if nobody reads it.

use super::registry::Checkpoint;
use circolo_domain::Timestamp;
use circolo_events::{LogId, Page, Position, Recorded};

/// A part of the log, ready to be folded.
#[derive(Debug)]
pub struct Decoded {
    /// The events that somebody reads, in order.
    pub events: Vec<Recorded>,
    /// How many events there were, read or not.
    pub count: usize,
    /// The checkpoint after them; `None` if there was none.
    pub checkpoint: Option<Checkpoint>,
    /// When the last of them was recorded.
    pub recorded_at: Option<Timestamp>,
    /// From where to read on.
    pub scanned: Position,
    /// The event behind them, if it cannot be read.
    pub poison: Option<Poison>,
}

/// An event that cannot be read.
#[derive(Debug, Clone)]
pub struct Poison {
    /// Its category: who reads that cannot go on.
    pub category: String,
    /// Where and why.
    pub reason: String,
}

/// Decodes what `reads` wants of `page`, up to `until`, up to the first event that cannot be read.
pub fn decode(log: LogId, page: Page, until: Option<Position>, reads: impl Fn(&str) -> bool) -> Decoded {
    let mut decoded = Decoded { events: Vec::new(), count: 0, checkpoint: None, recorded_at: None, scanned: page.scanned, poison: None };
    for stored in page.events {
        if until.is_some_and(|until| stored.position > until) {
            break;
        }
        if reads(stored.stream.category()) {
            match stored.decode() {
                Ok(event) => decoded.events.push(event),
                Err(error) => {
                    let reason = format!("event {} at position {}: {error}", stored.event.id, stored.position);
                    decoded.poison = Some(Poison { category: stored.stream.category().to_owned(), reason });
                    decoded.scanned = decoded.checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
                    return decoded;
                }
            }
        }
        decoded.count += 1;
        decoded.recorded_at = Some(stored.event.recorded_at);
        decoded.checkpoint = Some(Checkpoint { log, position: stored.position, event: Some(stored.event.id) });
    }
    if let Some(until) = until {
        decoded.scanned = decoded.scanned.min(until);
    }
    decoded
}
