//! What the database refuses, however often it is tried: found by halves, so that it costs its own stream and nothing else.
//!
//! A text that one database takes and another does not, a row that is too long for an index: no fold knows of such. The batch that
//! was refused is taken again in smaller ones, until one event is left; its stream is parked as if the event could not be read.

use crate::engine::tables::parked::Poison;
use circolo_events::Recorded;

/// How few events are taken at a time, and why.
#[derive(Debug, Default)]
pub struct Care {
    most: Option<usize>,
    /// The first event of what is being folded.
    first: Option<Poison>,
    refused: Vec<Poison>,
}

impl Care {
    /// How many events may be taken at a time, of `limit`.
    pub fn limit(&self, limit: usize) -> usize {
        self.most.map_or(limit, |most| most.min(limit))
    }

    /// Is a batch of `taken` events all that may be folded before it is stored?
    pub fn is_enough(&self, taken: usize) -> bool {
        self.most.is_some_and(|most| taken >= most)
    }

    /// What is being folded, where it is one event.
    pub fn meets(&mut self, events: &[Recorded]) {
        self.first = events.first().filter(|_| self.most == Some(1)).map(|event| Poison {
            position: event.position,
            stream: event.stream.clone(),
            event: event.id,
            event_type: event.event.encode().event_type,
            unknown: false,
            error: String::new(),
        });
    }

    /// Is there another way, if the database does not take what came of `taken` events?
    pub fn has_a_way(&self, taken: usize) -> bool {
        taken > 1
            || self.most != Some(1)
            || self.first.as_ref().is_some_and(|first| self.refused.iter().all(|refused| refused.event != first.event))
    }

    /// It did not take it: the other way, next time. Where there is none, nothing changes.
    pub fn takes(&mut self, taken: usize, reason: &str) {
        if !self.has_a_way(taken) {
            return;
        }
        if taken > 1 || self.most != Some(1) {
            self.most = Some((taken / 2).max(1));
        } else if let Some(first) = self.first.take() {
            self.refused.push(Poison { error: reason.to_owned(), ..first });
        }
    }

    /// What is to be parked.
    pub fn refused(&self) -> &[Poison] {
        &self.refused
    }

    /// A batch was stored: the next may be larger again.
    pub fn passed(&mut self, limit: usize) {
        self.refused.clear();
        self.most = self.most.map(|most| most * 2).filter(|most| *most < limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_lead_to_one_event_and_from_there_back_to_many() {
        let mut care = Care::default();
        let mut taken = 1_000;
        while taken > 1 {
            assert!(care.has_a_way(taken));
            care.takes(taken, "refused");
            assert!(care.limit(1_000) < taken);
            taken = care.limit(1_000);
        }
        // No event is known by which it could be mended.
        assert!(!care.has_a_way(1));
        for _ in 0..10 {
            care.passed(1_000);
        }
        assert_eq!((care.limit(1_000), care.is_enough(5)), (1_000, false));
    }
}
