//! What is known of a stream of which an event cannot be read: all that stands before it, and the envelopes of the rest.

use crate::{Position, Stored};
use circolo_domain::access::{Gap, Origin};
use circolo_domain::{DecodeError, StreamName};
use std::fmt;
use uuid::Uuid;

/// The first event of a stream that cannot be read and is not passed over. What is folded ends before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    stream: StreamName,
    event: Uuid,
    position: Position,
    reason: String,
    gap: Gap,
}

impl Unreadable {
    /// `stored` cannot be read because of `error`.
    pub fn new(stored: &Stored, error: &DecodeError) -> Self {
        let (stream, event) = (stored.stream.clone(), stored.event.id);
        let unread = Self { stream, event, position: stored.position, reason: error.to_string(), gap: Gap::NOTHING };
        unread.and(stored)
    }

    /// With an event that stands behind it.
    #[must_use]
    pub fn and(mut self, stored: &Stored) -> Self {
        self.gap = self.gap.and(stored.metadata().ok().and_then(|metadata| metadata.scope));
        self
    }

    /// The event.
    pub const fn event(&self) -> Uuid {
        self.event
    }

    /// What the envelopes tell from there on.
    pub const fn gap(&self) -> Gap {
        self.gap
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, event, position, reason, .. } = self;
        write!(f, "event {event} at position {position} of {stream} cannot be read: {reason}")
    }
}

impl std::error::Error for Unreadable {}

impl Stored {
    /// Scope and moment, as the envelope has them.
    pub fn origin(&self) -> Option<Origin> {
        let scope = self.metadata().ok()?.scope?;
        Some(Origin { scope, at: self.event.recorded_at })
    }
}
