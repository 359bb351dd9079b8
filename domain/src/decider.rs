//! The shape of every aggregate: decide and evolve, both pure.

use crate::deadline::{Deadlines, Wake};
use crate::flow::Flow;
use crate::{Notice, PersonId, Span, StreamName, TextOwner, Timestamp, Written, access::Scope, change::Change, stance::Rights};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

/// What a decision may know of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The stream that is decided on.
    pub stream: &'a StreamName,
    /// The moment of the decision: the server's clock, stamped on the events as `recorded_at`.
    pub now: Timestamp,
    /// Who asked; `None` for the server itself.
    pub actor: Option<PersonId>,
    /// The command's id. What a command creates is named by it, so that a repeat creates the same.
    pub command_id: Uuid,
}

impl Context<'_> {
    /// The id that the stream is named by; that of nobody for one that is named otherwise.
    pub fn subject(&self) -> Uuid {
        self.stream.id().unwrap_or_default()
    }
}

/// An aggregate: the fold of its stream, and what may be added to it.
pub trait Decider: Default + Clone + Send + Sync + 'static {
    /// First part of the stream's name and of every event type of this aggregate.
    const CATEGORY: &'static str;
    /// The key of its streams, with words in capitals for ids and a dot between two of them, and what one of them holds: for the
    /// catalogue of events.
    const STREAM: (&'static str, &'static str);
    /// How stored events of older versions become newer ones, oldest first.
    const UPCASTS: &'static [Upcast] = &[];
    /// Whether its state tells whom its events concern: see [`Decider::concerns`].
    const CONCERNS_BY_STATE: bool = false;
    /// What follows from its events in other streams, if anything ever does.
    const FLOW: Option<Flow<Self>> = None;
    /// What its events set and clear of what is to be looked at again, here or in other streams, if they ever do.
    const DEADLINES: Option<Deadlines<Self>> = None;
    /// What it is asked when a matter of its streams has waited for as long as it should.
    const WAKE: Option<Wake<Self>> = None;
    /// What may be asked.
    type Command: Named + Clone + std::fmt::Debug + Into<crate::Command> + Send + Sync + 'static;
    /// What happened; stored for ever.
    type Event: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + Send + Sync + Into<crate::Event> + 'static;
    /// Why a command is refused.
    type Error: Rejection;

    /// The standings that `command` is decided by. Each is renewed before every decision, so that nobody acts by rights that went
    /// while they waited; where a standing comes from the aggregate's own stream, it is renewed from the very state that the append
    /// proves.
    fn rights(command: &mut Self::Command) -> Vec<Rights<'_>>;

    /// The events that `command` leads to. Empty means: it is so already.
    fn decide(&self, command: &Self::Command, context: &Context<'_>) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after `event`, which was recorded at `at`. Never fails: an event that does not fit leaves the state as it is.
    #[must_use]
    fn evolve(self, event: &Self::Event, at: Timestamp) -> Self;

    /// Gives the texts of `event` that have no owner theirs: those of before texts had one, and imported ones. It is whom a decision
    /// gives them to, found in the event, the name of its stream, or its stream's beginning; a text of which none of these tells
    /// must not be made. Without a default, so that no new aggregate forgets it.
    fn own_texts(event: &mut Self::Event, written: &Written<'_>);

    /// Whose the thing is that `event`, the first of its stream, begins; of those whose later events do not tell.
    fn begins(_event: &Self::Event) -> Option<TextOwner> {
        None
    }

    /// What `event` of `stream` tells in the change feed, and to whom; `None` if it is nobody's business. Without a default, so that
    /// it is decided for each.
    fn change(stream: &StreamName, event: &Self::Event) -> Option<Change>;

    /// Whom `event` of `stream` tells of something, and as what; nobody, if nothing is said.
    fn notices(_stream: &StreamName, _event: &Self::Event) -> Vec<Notice> {
        vec![]
    }

    /// Persons whom `event`, the next one in this state, concerns, in whatever order: its actor is left out of them later. `command` is
    /// what it was decided for, and absent where a history comes from elsewhere.
    fn concerns(&self, _stream: &StreamName, _event: &Self::Event, _command: Option<&Self::Command>) -> Vec<PersonId> {
        vec![]
    }

    /// The stream of the thing that `event` answers: whose that is is concerned, too, where a history that comes from elsewhere does
    /// not tell whom its events concern.
    fn answers(_event: &Self::Event) -> Option<StreamName> {
        None
    }

    /// Bytes that the state takes on the heap, roughly; see [`crate::weight`].
    fn heap(&self) -> usize {
        0
    }

    /// The event as one of this aggregate's own, if it is.
    fn own(event: &crate::Event) -> Option<&Self::Event>;

    /// The scope that this aggregate itself gives to its events; `None` where the command's standing gives it.
    fn scope(&self, _key: &str) -> Option<Scope> {
        None
    }
}

/// A command knows its name, as the product uses it: `PostQuestion`.
pub trait Named {
    /// The name, for metadata, metrics and traces.
    fn name(&self) -> &'static str;
}

/// One step from an older stored version of an event to the next, on JSON.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// The stored type this step reads.
    pub from: &'static str,
    /// The stored type it makes.
    pub to: &'static str,
    /// The change to the payload.
    pub step: fn(&mut Value),
}

/// Why something is refused, in terms that a machine and a person can read.
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// Stable and `snake_case`; clients switch on it.
    fn code(&self) -> &'static str;
    /// What sort of refusal it is.
    fn kind(&self) -> Kind;
    /// Facts that help the caller go on, such as the outcome that stands instead.
    fn details(&self) -> Option<Value> {
        None
    }
    /// How long to wait until it is worth asking again, where that is known.
    fn wait(&self) -> Option<Span> {
        None
    }
}

/// Sorts of refusals; the API maps each to one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself makes no sense, whatever the state.
    Invalid,
    /// Nobody is signed in, and somebody has to be.
    Unauthenticated,
    /// The caller may not.
    Forbidden,
    /// It does not exist, or the caller may not know that it does.
    NotFound,
    /// The state of things forbids it.
    Conflict,
    /// Too much of it.
    TooMany,
    /// It cannot be said now: what it depends on cannot be read.
    Unavailable,
}
