//! Given past events, when a command is asked, then these events follow or it is rejected.
#![expect(clippy::missing_panics_doc, reason = "the panic is how a test fails")]

mod community;
mod samples;
pub mod stances;

pub use community::{Community, FOUNDER, GROUP};
pub use samples::samples;

use crate::{Context, Decider, PersonId, Timestamp};
use uuid::Uuid;

/// The moment at which tests take place unless they say otherwise: 2026-01-31T12:00:00Z.
pub const NOON: Timestamp = Timestamp::from_micros(1_769_860_800_000_000);

/// A person for tests, told apart by a number.
pub const fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}

/// A history to decide on.
#[must_use]
pub struct Given<D: Decider> {
    state: D,
    context: Context,
}

/// What a decision came to.
#[must_use]
pub struct Outcome<D: Decider>(Result<Vec<D::Event>, D::Error>);

/// Folds `events` into a state to decide on.
pub fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let state = events.into_iter().fold(D::default(), |state, event| state.evolve(&event, NOON));
    Given { state, context: Context { now: NOON, actor: None, command_id: Uuid::from_u128(0xC0) } }
}

impl<D: Decider> Given<D> {
    /// Decides at `now` instead of [`NOON`].
    pub fn at(mut self, now: Timestamp) -> Self {
        self.context.now = now;
        self
    }

    /// Decides under this command id.
    pub fn command_id(mut self, id: Uuid) -> Self {
        self.context.command_id = id;
        self
    }

    /// Decides on behalf of `person`.
    pub fn by(mut self, person: PersonId) -> Self {
        self.context.actor = Some(person);
        self
    }

    /// Asks.
    #[expect(clippy::needless_pass_by_value, reason = "a test reads better without ampersands")]
    pub fn when(self, command: D::Command) -> Outcome<D> {
        Outcome(self.state.decide(&command, &self.context))
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
