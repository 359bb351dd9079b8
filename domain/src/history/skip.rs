//! An event that cannot be read: that it is passed over from now on, by all who fold or follow the log, and why.

use crate::change::Change;
use crate::stance::Rights;
use crate::{Context, Decider, Kind, Named, Personal, Reason, Rejection, StreamName, TextOwner, Timestamp, Written};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use uuid::Uuid;

/// What may be asked of this stream; by operators alone.
#[derive(Debug, Clone)]
pub enum Command {
    /// Passes over the event that this stream is named by.
    SkipEvent {
        /// The event.
        event: Uuid,
        /// Where it stands.
        stream: StreamName,
        /// Its stored type.
        event_type: String,
        /// Why it is no loss.
        reason: Reason,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::SkipEvent { .. } => "SkipEvent",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The event is passed over.
    #[serde(rename = "skip.decided.v1")]
    Decided {
        /// The event.
        event: Uuid,
        /// Where it stands.
        stream: String,
        /// Its stored type.
        event_type: String,
        /// Why it is no loss.
        reason: Personal<String>,
    },
}

/// The fold of this stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skip {
    decided: bool,
}

/// The stream that tells whether `event` is passed over.
pub fn stream(event: Uuid) -> StreamName {
    crate::stream::<Skip>(event)
}

/// Nothing stands against it; a repeat changes nothing.
impl Rejection for Infallible {
    fn code(&self) -> &'static str {
        match *self {}
    }

    fn kind(&self) -> Kind {
        match *self {}
    }
}

impl Decider for Skip {
    const CATEGORY: &'static str = "skip";
    const STREAM: (&'static str, &'static str) = ("EVENT", "that an event is passed over");
    type Command = Command;
    type Event = Event;
    type Error = Infallible;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Infallible> {
        let Command::SkipEvent { event, stream, event_type, reason } = command;
        let decided = Event::Decided {
            event: *event,
            stream: stream.to_string(),
            event_type: event_type.clone(),
            reason: reason.owned_by(TextOwner::audit(context.now)),
        };
        Ok(if self.decided { vec![] } else { vec![decided] })
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Decided { .. } => Self { decided: true },
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        let Event::Decided { reason, .. } = event;
        reason.give(TextOwner::audit(written.at));
    }

    // It is nobody's business.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Skip(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Decided {
        event: id(0x90),
        stream: "question-00000000-0000-0000-0000-000000000060".to_owned(),
        event_type: "question.eaten.v9".to_owned(),
        reason: text("written by a mistaken script"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, personal};

    fn skip() -> Command {
        Command::SkipEvent {
            event: Uuid::from_u128(7),
            stream: StreamName::stored("question-1"),
            event_type: "question.eaten.v9".to_owned(),
            reason: Reason::parse("written by a mistaken script").unwrap(),
        }
    }

    #[test]
    fn an_event_is_skipped_once() {
        let decided = Event::Decided {
            event: Uuid::from_u128(7),
            stream: "question-1".to_owned(),
            event_type: "question.eaten.v9".to_owned(),
            reason: personal("written by a mistaken script"),
        };
        given::<Skip>([]).when(skip()).then([decided.clone()]);
        given::<Skip>([decided]).when(skip()).then_nothing();
    }
}
