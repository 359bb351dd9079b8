//! Flows: what follows from an event in another stream.
//!
//! One append touches one stream. Where a command means more than that, the first append decides on the stream that owns
//! the invariant, and the rest follows from its event by a pure function of the aggregate, its [`Decider::FLOW`]: at once, inline, and
//! again by the consumer that completes flows should the process have died in between. Ids derived from the event make the second
//! time a repeat.

use crate::event::{self, Issue};
use crate::{Command, Decider, Event, StreamName};

/// A command that follows from an event.
#[derive(Debug, Clone)]
pub struct FollowUp {
    /// The stream it is for.
    pub stream: StreamName,
    /// What is asked.
    pub command: Command,
}

/// What follows from the events of an aggregate. Pure.
pub type Flow<D> = fn(&StreamName, &<D as Decider>::Event) -> Vec<FollowUp>;

impl FollowUp {
    /// For the aggregate `D` in `stream`.
    pub fn new<D: Decider>(stream: StreamName, command: D::Command) -> Self {
        Self { stream, command: command.into() }
    }

    /// Gives it to whoever takes commands of any aggregate.
    pub fn give<I: Issue>(self, to: I) -> I::Outcome {
        self.command.give(&self.stream, to)
    }
}

/// Whether anything follows from what happens in streams of `category`: who completes flows looks nowhere else.
pub fn follows(category: &str) -> bool {
    event::flows(category)
}

/// What follows from `event` in `stream`.
pub fn follow_ups(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
    event::follow_ups(stream, event)
}

#[cfg(test)]
#[path = "flow_order_tests.rs"]
mod order_tests;
#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
