//! The salt of person ids: 32 random bytes, drawn once and before anybody registers. Without it nobody computes a person's id from the name
//! that they sign in by, so it is told to nobody: the log's own files and offline exports hold it, and nothing else.

use crate::change::Change;
use crate::stance::Rights;
use crate::{Context, Decider, Named, Personal, StreamName, TextOwner, Timestamp, Written};
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, fmt};

/// A salt as it is stored: base64url without padding. It is not shown by whoever shows what it is in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct EncodedSalt(pub String);

impl fmt::Debug for EncodedSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodedSalt")
    }
}

/// What may be asked of this stream; by the program itself alone, as it begins a log.
#[derive(Debug, Clone)]
pub enum Command {
    /// Gives the log its salt, unless it has one.
    DrawSalt(EncodedSalt),
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::DrawSalt(_) => "DrawSalt",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The salt of person ids was drawn. A server tells it to nobody, unmasked or not.
    #[serde(rename = "salt.drawn.v1")]
    Drawn {
        /// 32 bytes, in base64url without padding.
        salt: Personal<EncodedSalt>,
    },
}

/// The fold of this stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salt {
    drawn: bool,
}

/// The stream that holds the salt of the ids of people.
pub fn stream() -> StreamName {
    crate::stream::<Salt>("people")
}

impl Decider for Salt {
    const CATEGORY: &'static str = "salt";
    const STREAM: (&'static str, &'static str) =
        ("people", "what the ids of people are made with, which a server tells nobody: one stream, the first of the log");
    type Command = Command;
    type Event = Event;
    type Error = Infallible;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    /// Whoever comes second takes the salt that is there.
    fn decide(&self, Command::DrawSalt(salt): &Command, _: &Context) -> Result<Vec<Event>, Infallible> {
        let drawn = Event::Drawn { salt: Personal::new(salt.clone(), TextOwner::Installation) };
        Ok(if self.drawn { vec![] } else { vec![drawn] })
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Drawn { .. } => Self { drawn: true },
        }
    }

    fn own_texts(event: &mut Event, _: &Written<'_>) {
        let Event::Drawn { salt } = event;
        salt.give(TextOwner::Installation);
    }

    // It is nobody's business.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Salt(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Drawn { salt: Personal::new(EncodedSalt("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8".to_owned()), TextOwner::Installation) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;
    use proptest::prelude::*;

    fn draw(salt: &str) -> Command {
        Command::DrawSalt(EncodedSalt(salt.to_owned()))
    }

    fn drawn(salt: &str) -> Event {
        Event::Drawn { salt: Personal::new(EncodedSalt(salt.to_owned()), TextOwner::Installation) }
    }

    #[test]
    fn a_salt_is_drawn_once() {
        given::<Salt>([]).when(draw("one")).then([drawn("one")]);
        given::<Salt>([drawn("one")]).when(draw("one")).then_nothing();
        given::<Salt>([drawn("one")]).when(draw("other")).then_nothing();
    }

    #[test]
    fn a_salt_is_not_shown() {
        let event = crate::Event::from(drawn("c2FsdA"));
        for shown in [format!("{:?}", draw("c2FsdA")), format!("{event:?}"), format!("{event:#?}")] {
            assert!(!shown.contains("c2FsdA"), "{shown}");
        }
        assert_eq!(event.encode().data, r#"{"salt":"c2FsdA"}"#, "it is stored all the same");
    }

    proptest! {
        #[test]
        fn however_often_it_is_asked_for_the_first_salt_stands(salts in prop::collection::vec("[A-Za-z0-9_-]{43}", 1..6)) {
            let mut events: Vec<Event> = vec![];
            for salt in &salts {
                let state = events.iter().fold(Salt::default(), |state, event| state.evolve(event, crate::testing::NOON));
                let context = Context { stream: &stream(), now: crate::testing::NOON, actor: None, command_id: uuid::Uuid::from_u128(1) };
                events.extend(state.decide(&draw(salt), &context).unwrap());
            }
            prop_assert_eq!(events, [drawn(&salts[0])]);
        }
    }
}
