//! A person: registered once per token subject.

use crate::StreamName;
use crate::change::{Change, Readers};
use crate::stance::Rights;
use crate::thing::Thing;
use crate::{Context, Decider, DisplayName, Kind, Locale, Named, PersonId, Personal, Rejection, TextOwner, Timestamp, Written};
use serde::{Deserialize, Serialize};

/// What may be asked of a person's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Registers the caller.
    RegisterPerson {
        /// How others see them.
        display_name: DisplayName,
        /// Their language.
        locale: Option<Locale>,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::RegisterPerson { .. } => "RegisterPerson",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The person came to be.
    #[serde(rename = "person.registered.v1")]
    Registered {
        /// How others see them.
        display_name: Personal<String>,
        /// Their language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        locale: Option<String>,
    },
}

/// The fold of a person's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    registered: bool,
}

impl Person {
    /// Whether they have registered.
    pub const fn exists(&self) -> bool {
        self.registered
    }
}

/// The stream of a person.
pub fn stream(id: PersonId) -> crate::StreamName {
    crate::stream::<Person>(id)
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Once is enough.
    #[error("you are registered already")]
    AlreadyRegistered,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRegistered => "already_registered",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::AlreadyRegistered => Kind::Conflict,
        }
    }
}

impl Decider for Person {
    const CATEGORY: &'static str = "person";
    const STREAM: (&'static str, &'static str) = ("PERSON", "a person");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::RegisterPerson { .. } if self.registered => Err(Error::AlreadyRegistered),
            Command::RegisterPerson { display_name, locale } => Ok(vec![Event::Registered {
                display_name: display_name.owned_by(TextOwner::Person(PersonId(context.subject()))),
                locale: locale.as_ref().map(|locale| locale.as_str().to_owned()),
            }]),
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        let Event::Registered { display_name, .. } = event;
        display_name.give(TextOwner::Person(PersonId(written.stream.id().unwrap_or_default())));
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let Event::Registered { .. } = event;
        Some(Change::of(Thing::Person(PersonId(stream.id()?)), Readers::Registered).revised())
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Person(event) = event { Some(event) } else { None }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Registered { .. } => Self { registered: true },
        }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Registered { display_name: text("Ann"), locale: Some("it".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, personal};

    fn register() -> Command {
        Command::RegisterPerson { display_name: DisplayName::parse(" Ann ").unwrap(), locale: Locale::parse("it") }
    }

    fn registered() -> Event {
        Event::Registered { display_name: personal("Ann"), locale: Some("it".into()) }
    }

    #[test]
    fn a_person_registers_once() {
        given::<Person>([]).when(register()).then([registered()]);
        given::<Person>([registered()]).when(register()).rejected(Error::AlreadyRegistered);
    }
}
