//! A person: registered once per token subject.

use crate::StreamName;
use crate::change::{Change, Readers};
use crate::flow::{Flow, FollowUp};
use crate::media::{self, Holder, Picture};
use crate::stance::Rights;
use crate::thing::Thing;
use crate::{Context, Decider, DisplayName, Kind, Locale, MediaId, Named, PersonId, Personal, Rejection, TextOwner, Timestamp, Written};
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
    /// Shows another picture, or none.
    SetAvatar {
        /// Which.
        picture: Option<Picture>,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::RegisterPerson { .. } => "RegisterPerson",
            Self::SetAvatar { .. } => "SetAvatar",
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
    /// Another picture shows them, or none.
    #[serde(rename = "person.avatar_set.v1")]
    AvatarSet {
        /// The picture.
        media: Option<MediaId>,
        /// The one before.
        previous: Option<MediaId>,
        /// How often it has changed, with this time.
        number: u32,
    },
}

/// The fold of a person's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    registered: bool,
    avatar: Option<MediaId>,
    /// How often it has changed.
    avatars: u32,
}

impl Person {
    /// Whether they have registered.
    pub const fn exists(&self) -> bool {
        self.registered
    }

    /// The picture that shows them.
    pub const fn avatar(&self) -> Option<MediaId> {
        self.avatar
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
    const FLOW: Option<Flow<Self>> = Some(flow);
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
            Command::SetAvatar { picture } => {
                let media = picture.map(Picture::id);
                let changes = self.registered && media != self.avatar;
                Ok(changes.then_some(Event::AvatarSet { media, previous: self.avatar, number: self.avatars + 1 }).into_iter().collect())
            }
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        if let Event::Registered { display_name, .. } = event {
            display_name.give(TextOwner::Person(PersonId(written.stream.id().unwrap_or_default())));
        }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let (Event::Registered { .. } | Event::AvatarSet { .. }) = event;
        Some(Change::of(Thing::Person(PersonId(stream.id()?)), Readers::Registered).revised())
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Person(event) = event { Some(event) } else { None }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Registered { .. } => Self { registered: true, ..self },
            Event::AvatarSet { media, number, .. } => Self { avatar: *media, avatars: *number, ..self },
        }
    }
}

fn flow(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
    let (Some(id), Event::AvatarSet { media, previous, number }) = (stream.id(), event) else { return vec![] };
    media::shown(Holder::Person(PersonId(id)), *number, *media, *previous)
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Registered { display_name: text("Ann"), locale: Some("it".to_owned()) }
    AvatarSet { media: Some(MediaId(id(0x82))), previous: Some(MediaId(id(0x81))), number: 2 }
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

    #[test]
    fn an_avatar_is_set_and_taken_away() {
        let (one, other) = (MediaId(uuid::Uuid::from_u128(1)), MediaId(uuid::Uuid::from_u128(2)));
        let set = |media, previous, number| Event::AvatarSet { media, previous, number };
        let show = |media: Option<MediaId>| Command::SetAvatar { picture: media.map(Picture::sample) };
        let shown = || [registered(), set(Some(one), None, 1)];
        given::<Person>([registered()]).when(show(Some(one))).then([set(Some(one), None, 1)]);
        given::<Person>([registered()]).when(show(None)).then_nothing();
        given::<Person>(shown()).when(show(Some(one))).then_nothing();
        given::<Person>(shown()).when(show(Some(other))).then([set(Some(other), Some(one), 2)]);
        given::<Person>(shown()).when(show(None)).then([set(None, Some(one), 2)]);
        given::<Person>([]).when(show(Some(one))).then_nothing();
    }
}
