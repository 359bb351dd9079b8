//! Whose the texts are of a history that comes from elsewhere, and whom its events concern: as its lines tell it, else by the rules of
//! each aggregate.

use crate::{
    Metadata, NewEvent, Stored,
    envelope::others,
    sealing::{
        Text,
        places::{self, NoPlace},
    },
};
use circolo_domain::{Encoded, Event, Parted, PersonId, State, StreamName, TextOwner, Written, part_stored};
use std::collections::HashMap;

/// What is known of the streams so far.
#[derive(Default)]
pub(super) struct Owning {
    /// Whose the things are that streams are about: their edits do not say it.
    begun: HashMap<StreamName, Option<TextOwner>>,
    /// States of streams that tell whom their events concern.
    states: HashMap<StreamName, State>,
}

impl Owning {
    /// Whether the stream's beginning was seen.
    pub(super) fn knows(&self, stream: &StreamName) -> bool {
        self.begun.contains_key(stream)
    }

    /// How many streams are known.
    pub(super) fn len(&self) -> usize {
        self.begun.len()
    }

    /// Forgets all of them, for who can read beginnings again.
    pub(super) fn forget(&mut self) {
        self.begun.clear();
    }

    /// Remembers what the first event of a stream begins.
    pub(super) fn begin(&mut self, first: &Stored) {
        let known = Event::decode(&first.event.event_type, &first.event.data);
        self.begun.insert(first.stream.clone(), known.ok().and_then(|event| event.begins()));
    }

    /// The event, which is the next of its stream, with all its texts named. One of an older version becomes the newest, unless its
    /// line says whose its texts are. Of one that cannot be read only that is known.
    pub(super) fn own(&mut self, stored: Stored) -> Stored {
        if stored.revision == 0 {
            self.begin(&stored);
        }
        let Stored { stream, event, .. } = &stored;
        let scope = stored.metadata().ok().and_then(|metadata| metadata.scope);
        let written = Written { stream, at: event.recorded_at, begun: self.begun.get(stream).copied().flatten() };
        let encoded = Encoded { event_type: event.event_type.clone(), data: event.data.clone() };
        let Ok(Parted { whole, texts, .. }) = part_stored(&encoded, |event| event.mask(scope), &written, |_| None) else { return stored };
        if texts.is_empty() || (whole.event_type != event.event_type && !event.texts.is_empty()) {
            return stored;
        }
        let mut event = NewEvent { event_type: whole.event_type, data: whole.data, ..event.clone() };
        for text in texts {
            if !event.texts.iter().any(|told| told.at == text.at) {
                event.texts.push(Text::from(text));
            }
        }
        Stored { event, ..stored }
    }
}

impl Owning {
    /// The same event with whom it concerns, where its line does not tell. Asked of every event of a history, in order.
    pub(super) fn concern(&mut self, stored: Stored) -> Stored {
        let (Ok(event), Ok(metadata)) = (Event::decode(&stored.event.event_type, &stored.event.data), stored.metadata()) else {
            return stored;
        };
        let concerns = if metadata.concerns.is_empty() { self.concerned(&stored.stream, &event, metadata.actor) } else { vec![] };
        if event.concerns_by_state() {
            let state = self.states.remove(&stored.stream).unwrap_or_else(|| State::before(&event));
            self.states.insert(stored.stream.clone(), state.evolve(&event, stored.event.recorded_at));
        }
        if concerns.is_empty() {
            return stored;
        }
        let metadata = serde_json::to_string(&Metadata { concerns, ..metadata });
        let metadata = metadata.unwrap_or_else(|_| stored.event.metadata.clone());
        Stored { event: NewEvent { metadata, ..stored.event }, ..stored }
    }

    fn concerned(&self, stream: &StreamName, event: &Event, actor: Option<PersonId>) -> Vec<PersonId> {
        let told = match self.states.get(stream) {
            Some(state) => state.concerns(stream, event),
            None => State::before(event).concerns(stream, event),
        };
        let answered = event.answers().and_then(|thing| self.begun.get(&thing).copied().flatten());
        let person = answered.and_then(|owner| if let TextOwner::Person(person) = owner { Some(person) } else { None });
        others(told.into_iter().chain(person), actor)
    }
}

/// Whether each text that the event is said to have is there, once.
pub(super) fn check(event: &NewEvent) -> Result<(), NoPlace> {
    let pointers: Vec<&str> = event.texts.iter().map(|text| text.at.as_str()).collect();
    places::find(&event.data, &pointers).map(drop)
}

#[cfg(test)]
#[path = "owning_tests.rs"]
mod tests;
