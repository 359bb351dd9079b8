//! Whose the texts are of a history that comes from elsewhere: as its lines tell it, else by the rule of each aggregate.

use crate::{
    NewEvent, Stored,
    sealing::{
        Text,
        places::{self, NoPlace},
    },
};
use circolo_domain::{Encoded, Event, Parted, StreamName, TextOwner, Written, part_stored};
use std::collections::HashMap;

/// What is known of the streams so far.
#[derive(Default)]
pub(super) struct Owning {
    /// Whose the things are that streams are about: their edits do not say it.
    begun: HashMap<StreamName, Option<TextOwner>>,
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

/// Whether each text that the event is said to have is there, once.
pub(super) fn check(event: &NewEvent) -> Result<(), NoPlace> {
    let pointers: Vec<&str> = event.texts.iter().map(|text| text.at.as_str()).collect();
    places::find(&event.data, &pointers).map(drop)
}
