//! A use of the right to read personal texts: recorded for good, each use in a stream of its own.

use crate::change::Change;
use crate::stance::Rights;
use crate::{Context, Decider, Kind, Named, Personal, Rejection, StreamName, TextOwner, Timestamp, Written};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What may be asked of the stream of one use.
#[derive(Debug, Clone)]
pub enum Command {
    /// Records it, before anything is read.
    RecordUnmasking(Use),
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::RecordUnmasking(_) => "RecordUnmasking",
        }
    }
}

/// Who reads what, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What is read.
    pub reading: Reading,
    /// Which part of it, as it was asked.
    pub asked: String,
    /// Who reads: issuer and subject of their token, or the user of the computer that holds the data.
    pub who: String,
    /// From where: an address, or the name of that computer.
    pub place: Option<String>,
}

/// What is read unmasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Events over the API.
    Events,
    /// An export, by who holds the data.
    Export,
    /// Read models as of a moment, by who holds the data.
    AsOf,
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Somebody read personal texts.
    #[serde(rename = "unmasking.recorded.v1")]
    Recorded {
        /// What was read.
        reading: Reading,
        /// Which part of it, as it was asked.
        asked: String,
        /// Who: issuer and subject of their token, or the user of the computer that holds the data.
        who: Personal<String>,
        /// From where: an address, or the name of that computer.
        place: Option<Personal<String>>,
    },
}

/// The fold of the stream of one use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unmasking {
    recorded: bool,
}

/// The stream of a use.
pub fn stream(id: Uuid) -> StreamName {
    crate::stream::<Unmasking>(id)
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The id is taken by another use.
    #[error("this use is recorded already")]
    AlreadyRecorded,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRecorded => "already_recorded",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::AlreadyRecorded => Kind::Conflict,
        }
    }
}

impl Decider for Unmasking {
    const CATEGORY: &'static str = "unmasking";
    const STREAM: (&'static str, &'static str) = ("USE", "that personal texts were read");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        let Command::RecordUnmasking(Use { reading, asked, who, place }) = command.clone();
        let text = |text| Personal::new(text, TextOwner::audit(context.now));
        let recorded = Event::Recorded { reading, asked, who: text(who), place: place.map(text) };
        if self.recorded { Err(Error::AlreadyRecorded) } else { Ok(vec![recorded]) }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Recorded { .. } => Self { recorded: true },
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        let Event::Recorded { who, place, .. } = event;
        who.give(TextOwner::audit(written.at));
        if let Some(place) = place {
            place.give(TextOwner::audit(written.at));
        }
    }

    // Who read texts unmasked is for analysts.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Unmasking(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Recorded {
        reading: Reading::Events,
        asked: "type=question.posted&unmask=true".to_owned(),
        who: text("circolo: eve"),
        place: Some(text("192.0.2.7")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, personal};

    fn used() -> Use {
        Use { reading: Reading::Events, asked: "type=question".to_owned(), who: "eve".to_owned(), place: None }
    }

    fn recorded() -> Event {
        Event::Recorded { reading: Reading::Events, asked: "type=question".to_owned(), who: personal("eve"), place: None }
    }

    #[test]
    fn a_use_is_recorded_once() {
        given::<Unmasking>([]).when(Command::RecordUnmasking(used())).then([recorded()]);
        given::<Unmasking>([recorded()]).when(Command::RecordUnmasking(used())).rejected(Error::AlreadyRecorded);
    }
}
