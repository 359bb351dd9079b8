//! Given past events, when a command is asked, then these events follow or it is rejected.
#![expect(clippy::missing_panics_doc, reason = "the panic is how a test fails")]

mod community;
pub mod samples;
pub mod stances;

pub use crate::event::samples;
pub use community::{Community, FOUNDER, GROUP, of_group, of_member};
pub(crate) use samples::one_of_each;

use crate::{
    Communal, Context, Decider, Encoded, Event, Mask, PersonId, Personal, StreamName, TextOwner, Timestamp, Written, encode, part,
};
use serde::Serialize;
use uuid::Uuid;

/// The moment at which tests take place unless they say otherwise: 2026-01-31T12:00:00Z.
pub const NOON: Timestamp = Timestamp::from_micros(1_769_860_800_000_000);

/// A person for tests, told apart by a number.
pub const fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}

/// A text, whoever owns it: that is told apart by nothing but the owner.
pub fn personal(text: &str) -> Personal<String> {
    Personal::new(text.to_owned(), TextOwner::Installation)
}

/// What a group says of itself.
pub fn communal(text: &str) -> Communal<String> {
    Communal::new(text.to_owned(), TextOwner::Installation)
}

/// A history to decide on.
#[must_use]
pub struct Given<D: Decider> {
    state: D,
    stream: StreamName,
    begun: Option<TextOwner>,
    now: Timestamp,
    actor: Option<PersonId>,
    command_id: Uuid,
}

/// What a decision came to.
#[must_use]
pub struct Outcome<D: Decider>(Result<Vec<D::Event>, D::Error>);

/// Folds `events` into a state to decide on, as they are read from a log: there, nothing tells whose a text is.
pub fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let events: Vec<D::Event> = events.into_iter().map(|event| read::<D>(&event)).collect();
    let begun = events.first().and_then(D::begins);
    let state = events.iter().fold(D::default(), |state, event| state.evolve(event, NOON));
    given_state(state, some_stream::<D>(), begun, NOON)
}

/// A state to decide on, and whose the thing is that its stream is about.
fn given_state<D: Decider>(state: D, stream: StreamName, begun: Option<TextOwner>, now: Timestamp) -> Given<D> {
    Given { state, stream, begun, now, actor: None, command_id: Uuid::from_u128(0xC0) }
}

/// A stream of this aggregate.
pub fn some_stream<D: Decider>() -> StreamName {
    let id = Uuid::from_u128(0x57);
    match D::CATEGORY {
        "conversation" | "fan" | "membership" | "reaction" => StreamName::new(D::CATEGORY, format_args!("{id}.{}", person(0x58))),
        category => StreamName::new(category, id),
    }
}

/// An event as it comes back from a log that knows nothing of owners.
fn read<D: Decider>(event: &D::Event) -> D::Event {
    let Encoded { event_type, data } = encode(event);
    let read = Event::decode(&event_type, &data).unwrap_or_else(|error| panic!("{error}"));
    D::own(&read).unwrap_or_else(|| panic!("{event_type} is of another aggregate")).clone()
}

/// Whose the texts of an event are.
fn owners(event: &impl Serialize) -> Vec<(String, Option<TextOwner>)> {
    part(event, Mask::PersonsAndGroup).texts.into_iter().map(|text| (text.at, text.owner)).collect()
}

/// Asserts that a decision gave every text the owner that it would get were it read from a log of before there were owners.
#[track_caller]
pub fn assert_owned<D: Decider>(events: &[D::Event], stream: &StreamName, begun: Option<TextOwner>, at: Timestamp) {
    let begun = begun.or_else(|| events.first().and_then(D::begins));
    for event in events {
        let mut from_log = read::<D>(event);
        D::own_texts(&mut from_log, &Written { stream, at, begun });
        let decided = owners(event);
        assert!(decided.iter().all(|(_, owner)| owner.is_some()), "a text belongs to nobody: {decided:?}");
        assert_eq!(decided, owners(&from_log), "whose a text is depends on whether it was decided or read");
    }
}

impl<D: Decider> Given<D> {
    /// Decides at `now` instead of [`NOON`].
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Decides under this command id.
    pub fn command_id(mut self, id: Uuid) -> Self {
        self.command_id = id;
        self
    }

    /// Decides on behalf of `person`.
    pub fn by(mut self, person: PersonId) -> Self {
        self.actor = Some(person);
        self
    }

    /// Asks.
    #[expect(clippy::needless_pass_by_value, reason = "a test reads better without ampersands")]
    #[track_caller]
    pub fn when(self, command: D::Command) -> Outcome<D> {
        let Self { state, stream, begun, now, actor, command_id } = self;
        let decision = state.decide(&command, &Context { stream: &stream, now, actor, command_id });
        if let Ok(events) = &decision {
            assert_owned::<D>(events, &stream, begun, now);
        }
        Outcome(decision)
    }
}

impl<D: Decider> Outcome<D>
where
    D::Error: PartialEq,
{
    /// Exactly these events follow.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) {
        assert_eq!(self.0, Ok(expected.into_iter().collect()));
    }

    /// It is so already: accepted, and nothing follows.
    #[track_caller]
    pub fn then_nothing(self) {
        assert_eq!(self.0, Ok(vec![]));
    }

    /// It is refused for this reason.
    #[track_caller]
    pub fn rejected(self, expected: D::Error) {
        assert_eq!(self.0, Err(expected));
    }
}
