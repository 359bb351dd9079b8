//! Deadlines: when something is to be looked at again.
//!
//! An event says what is to wait until when, and what waits no longer ([`Decider::DEADLINES`]); folded, that is a read model of all that
//! waits. When a moment has come, the server asks the aggregate by a command of its own ([`Decider::WAKE`]), which judges by its
//! state and its own clock: who is woken late, early or twice decides the same.

use crate::event;
use crate::{Decider, Event, FollowUp, StreamName, Timestamp};
use std::fmt;
use uuid::Uuid;

/// What waits: an aggregate, or one of several matters that it has on its hands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Matter {
    /// The stream of the aggregate that is woken.
    pub stream: StreamName,
    /// The matter, where the aggregate may have several.
    pub about: Option<Uuid>,
}

/// Until when a matter waits from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// What waits.
    pub matter: Matter,
    /// Until when; `None`: no longer.
    pub at: Option<Timestamp>,
}

/// What an aggregate's event, which was recorded at a moment, sets and clears, in its own stream or in others. Pure.
pub type Deadlines<D> = fn(&StreamName, &<D as Decider>::Event, Timestamp) -> Vec<Deadline>;

/// What an aggregate is asked when a matter of its has waited until a moment.
pub type Wake<D> = fn(&Matter, Timestamp) -> Option<<D as Decider>::Command>;

/// Categories of streams whose events set deadlines or clear them.
pub const CATEGORIES: &[&str] = event::WITH_DEADLINES;

/// The aggregate itself waits.
impl From<&StreamName> for Matter {
    fn from(stream: &StreamName) -> Self {
        Self { stream: stream.clone(), about: None }
    }
}

impl Matter {
    /// One of several matters of the aggregate in `stream`.
    pub fn about(stream: StreamName, what: impl Into<Uuid>) -> Self {
        Self { stream, about: Some(what.into()) }
    }

    /// It waits until this moment.
    pub const fn until(self, at: Timestamp) -> Deadline {
        Deadline { matter: self, at: Some(at) }
    }

    /// It waits no longer.
    pub const fn over(self) -> Deadline {
        Deadline { matter: self, at: None }
    }
}

/// As a key: the stream, and what it is about behind a space.
impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)?;
        self.about.map_or(Ok(()), |about| write!(f, " {about}"))
    }
}

/// What `event` of `stream`, which was recorded at `at`, sets and clears.
pub fn deadlines(stream: &StreamName, event: &Event, at: Timestamp) -> Vec<Deadline> {
    event::deadlines(stream, event, at)
}

/// What is asked now that `matter` has waited until `at`.
pub fn wake(matter: &Matter, at: Timestamp) -> Option<FollowUp> {
    event::wake(matter, at).map(|command| FollowUp { stream: matter.stream.clone(), command })
}

#[cfg(test)]
#[path = "deadline_tests.rs"]
mod tests;
