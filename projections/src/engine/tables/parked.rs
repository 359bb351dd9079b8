//! Events that cannot be read, and streams that are parked because of them.
//!
//! A parked stream is left out of a build from its unreadable event on: folding on behind a gap would make rows that no
//! history ever had. What was parked stays so in that build; a new build begins afresh, and passes over what was skipped. It is begun by
//! itself as soon as it would mend something (`mend.rs`).

use circolo_domain::{DecodeError, StreamName, Timestamp};
use circolo_events::Position;
use uuid::Uuid;

/// An event that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Where it stands in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its id.
    pub event: Uuid,
    /// Its stored type.
    pub event_type: String,
    /// Its type is not known here; a newer program may know it.
    pub unknown: bool,
    /// Why it cannot be read.
    pub error: String,
}

impl Poison {
    /// Whether its type was not known to the program that met it, also where this is read from the registry.
    pub fn was_unknown(&self) -> bool {
        self.error == DecodeError::UnknownType(self.event_type.clone()).to_string()
    }

    /// Where and why, in a sentence.
    pub fn reason(&self) -> String {
        format!("event {} at position {} of {}: {}", self.event, self.position, self.stream, self.error)
    }
}

/// A stream that a build leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The first event that is left out.
    pub poison: Poison,
    /// Since when.
    pub since: Timestamp,
}
