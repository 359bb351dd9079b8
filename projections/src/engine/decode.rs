//! A page of the log, each event decoded once for all its readers, and not at all if nobody reads it.

use super::{
    poison::Readers,
    tables::{build::Checkpoint, parked::Poison},
};
use circolo_domain::DecodeError;
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

/// Decodes what `readers` want of `page`, up to `until`, up to the first event that cannot be read and where one of them stops.
pub fn decode(log: LogId, page: &Page, until: Option<Position>, readers: &Readers, skips: &Skips) -> Decoded {
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
