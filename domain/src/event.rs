//! One enum over all aggregates' events, so that an event is decoded once for all its readers; and one over their commands, so that what
//! follows from an event, or is due, can be asked of any of them.

use crate::access::{Privacy, Scope};
use crate::change::Change;
use crate::deadline::{Deadline, Matter};
use crate::flow::FollowUp;
use crate::{Decider, Mask, Notice, PersonId, StreamName, TextOwner, Timestamp, Upcast, Written, group};
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Cow;

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No aggregate of this binary knows the type.
    #[error("unknown event type {0}")]
    UnknownType(String),
    /// The payload does not have the shape its type promises.
    #[error("broken payload of {event_type}: {}", fault(.source))]
    Broken {
        /// The stored type.
        event_type: String,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// It stands in a stream of another category.
    #[error("{event_type} does not belong in the stream {stream}")]
    Misplaced {
        /// The stored type.
        event_type: String,
        /// Where it stands.
        stream: StreamName,
    },
    /// Its texts are sealed and do not open.
    #[error("the texts of {event_type} do not open: {reason}")]
    Shut {
        /// The stored type.
        event_type: String,
        /// Why.
        reason: String,
    },
}

/// What the parser found, without what it found it in, which may be somebody's words, and without where: what it read is the
/// payload in its wrapping.
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (text, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    if !error.is_data() || text.starts_with("missing field") {
        return text.to_owned();
    }
    text.rsplit_once(", expected ").map_or_else(|| "a value breaks a rule".to_owned(), |(_, expected)| format!("expected {expected}"))
}

/// Type name and payload of an event as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Such as `question.posted.v1`.
    pub event_type: String,
    /// The payload, a JSON object.
    pub data: String,
}

/// Whatever takes a command of any aggregate.
pub trait Issue {
    /// What comes of it.
    type Outcome;

    /// Takes `command` for the aggregate in `stream`.
    fn issue<D: Decider>(self, stream: &StreamName, command: D::Command) -> Self::Outcome;
}

macro_rules! aggregates {
    ($($variant:ident($module:ident::$state:ident)),* $(,)?) => {
        /// Any event of the domain.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $(
                #[doc = concat!("An event of a `", stringify!($module), "` stream.")]
                $variant(crate::$module::Event),
            )*
        }

        $(impl From<crate::$module::Event> for Event {
            fn from(event: crate::$module::Event) -> Self {
                Self::$variant(event)
            }
        })*

        /// Any command of the domain.
        #[derive(Debug, Clone)]
        pub enum Command {
            $(
                #[doc = concat!("For a `", stringify!($module), "` stream.")]
                $variant(crate::$module::Command),
            )*
        }

        $(impl From<crate::$module::Command> for Command {
            fn from(command: crate::$module::Command) -> Self {
                Self::$variant(command)
            }
        })*

        impl Command {
            /// Gives the command to whoever takes those of any aggregate.
            pub fn give<I: Issue>(self, stream: &StreamName, to: I) -> I::Outcome {
                match self {
                    $(Self::$variant(command) => to.issue::<crate::$module::$state>(stream, command),)*
                }
            }
        }

        /// Whether anything follows in other streams from what happens in those of `category`.
        pub(crate) fn flows(category: &str) -> bool {
            match category {
                $(<crate::$module::$state as Decider>::CATEGORY => <crate::$module::$state as Decider>::FLOW.is_some(),)*
                _ => false,
            }
        }

        /// What follows from `event` in `stream`.
        pub(crate) fn follow_ups(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
            match event {
                $(Event::$variant(event) => {
                    <crate::$module::$state as Decider>::FLOW.map(|flow| flow(stream, event)).unwrap_or_default()
                })*
            }
        }

        /// Which categories' events set deadlines or clear them.
        const SETTING: &[(&str, bool)] =
            &[$((<crate::$module::$state as Decider>::CATEGORY, <crate::$module::$state as Decider>::DEADLINES.is_some())),*];

        /// What `event` of `stream`, which was recorded at `at`, sets and clears.
        pub(crate) fn deadlines(stream: &StreamName, event: &Event, at: Timestamp) -> Vec<Deadline> {
            match event {
                $(Event::$variant(event) => {
                    <crate::$module::$state as Decider>::DEADLINES.map(|of| of(stream, event, at)).unwrap_or_default()
                })*
            }
        }

        /// What is asked of an aggregate now that `matter` has waited until `at`.
        pub(crate) fn wake(matter: &Matter, at: Timestamp) -> Option<Command> {
            match matter.stream.category() {
                $(<crate::$module::$state as Decider>::CATEGORY => {
                    <crate::$module::$state as Decider>::WAKE.and_then(|wake| wake(matter, at)).map(Command::$variant)
                })*
                _ => None,
            }
        }

        /// The enums of all aggregates' events, as JSON Schema, by category.
        #[cfg(feature = "schema")]
        pub(crate) fn event_schemas() -> Vec<(&'static str, schemars::Schema)> {
            vec![$((<crate::$module::$state as Decider>::CATEGORY, schemars::schema_for!(crate::$module::Event))),*]
        }

        /// One sample of every event there is.
        #[cfg(feature = "testing")]
        pub fn samples() -> Vec<Event> {
            let mut samples = Vec::new();
            $(samples.extend(crate::$module::samples().into_iter().map(Event::from));)*
            samples
        }

        /// The state of a stream of whatever category.
        #[derive(Debug, Clone)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum State {
            $($variant(crate::$module::$state),)*
        }

        impl State {
            /// That of a stream before its first event, which is `event`.
            pub fn before(event: &Event) -> Self {
                match event {
                    $(Event::$variant(_) => Self::$variant(Default::default()),)*
                }
            }

            /// The state after `event`, recorded at `at`; one of another category changes nothing.
            #[must_use]
            pub fn evolve(self, event: &Event, at: Timestamp) -> Self {
                match (self, event) {
                    $((Self::$variant(state), Event::$variant(event)) => Self::$variant(state.evolve(event, at)),)*
                    (state, _) => state,
                }
            }

            /// Whom `event`, the next one of `stream`, concerns as far as they tell: see [`Decider::concerns`].
            pub fn concerns(&self, stream: &StreamName, event: &Event) -> Vec<PersonId> {
                match (self, event) {
                    $((Self::$variant(state), Event::$variant(event)) => state.concerns(stream, event, None),)*
                    _ => vec![],
                }
            }
        }

        /// Category, key and content of the streams of each aggregate: see [`Decider::STREAM`].
        pub const STREAMS: &[(&str, &str, &str)] = &[$({
            let (key, holds) = <crate::$module::$state as Decider>::STREAM;
            (<crate::$module::$state as Decider>::CATEGORY, key, holds)
        }),*];

        /// The categories of all aggregates.
        pub const CATEGORIES: &[&str] = &[$(<crate::$module::$state as Decider>::CATEGORY),*];

        impl Event {
            /// The category of the streams it belongs to.
            pub const fn category(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <crate::$module::$state as Decider>::CATEGORY,)*
                }
            }

            /// Gives the texts that have no owner theirs: see [`Decider::own_texts`].
            pub fn own_texts(&mut self, written: &Written<'_>) {
                match self {
                    $(Self::$variant(event) => <crate::$module::$state as Decider>::own_texts(event, written),)*
                }
            }

            /// Whose the thing is that this event, the first of its stream, begins: see [`Decider::begins`].
            pub fn begins(&self) -> Option<TextOwner> {
                match self {
                    $(Self::$variant(event) => <crate::$module::$state as Decider>::begins(event),)*
                }
            }

            /// What it tells, as an event of `stream`, in the change feed: see [`Decider::change`].
            pub fn change(&self, stream: &StreamName) -> Option<Change> {
                match self {
                    $(Self::$variant(event) => <crate::$module::$state as Decider>::change(stream, event),)*
                }
            }

            /// Whether the state of its stream tells whom it concerns.
            pub const fn concerns_by_state(&self) -> bool {
                match self {
                    $(Self::$variant(_) => <crate::$module::$state as Decider>::CONCERNS_BY_STATE,)*
                }
            }

            /// The stream of the thing that it answers: see [`Decider::answers`].
            pub fn answers(&self) -> Option<StreamName> {
                match self {
                    $(Self::$variant(event) => <crate::$module::$state as Decider>::answers(event),)*
                }
            }

            /// Whom it tells of something, as an event of `stream`: see [`Decider::notices`].
            pub fn notices(&self, stream: &StreamName) -> Vec<Notice> {
                match self {
                    $(Self::$variant(event) => <crate::$module::$state as Decider>::notices(stream, event),)*
                }
            }

            /// Reads a stored event.
            pub fn decode(event_type: &str, data: &str) -> Result<Self, DecodeError> {
                match event_type.split_once('.').map_or(event_type, |(category, _)| category) {
                    $(<crate::$module::$state as Decider>::CATEGORY => {
                        decode::<crate::$module::Event>(event_type, data, <crate::$module::$state as Decider>::UPCASTS).map(Self::$variant)
                    })*
                    _ => Err(DecodeError::UnknownType(event_type.to_owned())),
                }
            }
        }

    };
}

// One line per aggregate, sorted.
aggregates! {
    Allowance(allowance::Allowance),
    Attention(attention::Attention),
    Comment(comment::Comment),
    Conversation(conversation::Conversation),
    Fan(fan::Fan),
    Group(group::Group),
    Listing(listing::Listing),
    Media(media::Media),
    Membership(membership::Membership),
    Page(page::Page),
    Person(person::Person),
    Post(post::Post),
    Question(question::Question),
    Reaction(reaction::Reaction),
    Salt(salt::Salt),
    Skip(skip::Skip),
    Unmasking(unmasking::Unmasking),
    Username(username::Username),
}

const fn setting() -> usize {
    let (mut count, mut at) = (0, 0);
    while at < SETTING.len() {
        count += SETTING[at].1 as usize;
        at += 1;
    }
    count
}

/// The categories of which [`SETTING`] says so.
pub(crate) const WITH_DEADLINES: &[&str] = &{
    let mut found = [""; setting()];
    let (mut count, mut at) = (0, 0);
    while at < SETTING.len() {
        if SETTING[at].1 {
            found[count] = SETTING[at].0;
            count += 1;
        }
        at += 1;
    }
    found
};

impl Event {
    /// What is hidden of this event from whoever may not read all, where `scope` is that of its metadata: what a group says of itself,
    /// too, unless it is certain that the group was public when this happened.
    pub fn mask(&self, scope: Option<Scope>) -> Mask {
        let Self::Group(event) = self else { return Mask::PersonsAndGroup };
        let privacy = match event {
            group::Event::Created { privacy, .. } => Some(*privacy),
            // The scope is that after all events of the command: a name that comes with the closing of a group is masked.
            _ => scope.map(|scope| scope.privacy),
        };
        if privacy == Some(Privacy::Public) { Mask::Persons } else { Mask::PersonsAndGroup }
    }

    /// Writes the event as it is stored.
    pub fn encode(&self) -> Encoded {
        encode(self)
    }
}

/// Writes an event of one aggregate as it is stored.
///
/// Events are adjacently tagged enums (`{"type": .., "data": ..}`, in this order), so the two parts are cut out of one
/// serialisation.
pub fn encode(event: &impl Serialize) -> Encoded {
    const HEAD: &str = "{\"type\":\"";
    const MIDDLE: &str = "\",\"data\":";
    let json = serde_json::to_string(event).unwrap_or_default();
    let rest = json.strip_prefix(HEAD).unwrap_or_default();
    match rest.split_once(MIDDLE) {
        Some((event_type, data)) => Encoded { event_type: event_type.to_owned(), data: data[..data.len() - 1].to_owned() },
        None => Encoded { event_type: rest.trim_end_matches("\"}").to_owned(), data: "{}".to_owned() },
    }
}

fn decode<E: DeserializeOwned>(event_type: &str, data: &str, upcasts: &[Upcast]) -> Result<E, DecodeError> {
    let broken = |source| DecodeError::Broken { event_type: event_type.to_owned(), source };
    let (event_type, data) = match upcasts.iter().position(|upcast| upcast.from == event_type) {
        None => (event_type, Cow::Borrowed(data)),
        Some(first) => {
            let mut value = serde_json::from_str(data).map_err(broken)?;
            let mut current = event_type;
            for upcast in &upcasts[first..] {
                if upcast.from == current {
                    (upcast.step)(&mut value);
                    current = upcast.to;
                }
            }
            (current, Cow::Owned(value.to_string()))
        }
    };
    let tagged = if data == "{}" {
        // An event without facts is a unit variant; it may have gained facts since, so the object is tried as well.
        match serde_json::from_str(&format!("{{\"type\":\"{event_type}\"}}")) {
            Ok(event) => return Ok(event),
            Err(_) => format!("{{\"type\":\"{event_type}\",\"data\":{{}}}}"),
        }
    } else {
        format!("{{\"type\":\"{event_type}\",\"data\":{data}}}")
    };
    serde_json::from_str(&tagged).map_err(|source| {
        // serde reports an unknown tag as data error, like an unknown value within the payload; tell the two apart for those
        // who must act on it.
        let unknown_type = source.to_string().starts_with(&format!("unknown variant `{event_type}`"));
        if unknown_type { DecodeError::UnknownType(event_type.to_owned()) } else { broken(source) }
    })
}

/// The stream of the aggregate `D` under `key`.
pub fn stream<D: Decider>(key: impl std::fmt::Display) -> StreamName {
    StreamName::new(D::CATEGORY, key)
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
