//! The port of the log: streams of events with revisions, one order over all of them.

use crate::sealing::{SealError, SealedLog, Text, UnsealError};
use async_trait::async_trait;
use circolo_domain::access::{Origin, Scope};
use circolo_domain::{Decider, DecodeError, Event, PersonId, StreamName, Timestamp, skip::Skip};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use uuid::Uuid;

/// Place of an event in the log: unique and strictly increasing, not dense. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub i64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an event in its stream, from 0.
pub type Revision = u64;

/// Identity of a log: made once, when the log is created.
pub type LogId = Uuid;

/// What the writer believes of the stream's end. There is no "any".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no event.
    NoStream,
    /// The last event has this revision.
    Exact(Revision),
}

impl Expected {
    /// The revision that the first appended event gets.
    pub const fn next(self) -> Revision {
        match self {
            Self::NoStream => 0,
            Self::Exact(revision) => revision + 1,
        }
    }

    /// The expectation that matches a stream's current last revision.
    pub const fn of(current: Option<Revision>) -> Self {
        match current {
            None => Self::NoStream,
            Some(revision) => Self::Exact(revision),
        }
    }
}

/// What is known of an event beside its payload. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who asked; absent for the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<PersonId>,
    /// The command's name, as the product uses it: `PostQuestion`.
    pub command: String,
    /// The command's id; the event ids derive from it.
    pub command_id: Uuid,
    /// Fingerprint of the request's body, for commands with an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What this belongs to: the id of the request or of the first command of a flow.
    pub correlation: Uuid,
    /// The event that led to this one, if it was not a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<Uuid>,
    /// The group or page it happened in, and how private that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Whom it concerns beside the actor, as far as [`circolo_domain::Decider::concerns`] tells. Absent where that is nobody, and in events of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<PersonId>,
}

/// An event that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// `uuid5(command_id, index)`: the same command makes the same ids.
    pub id: Uuid,
    /// Such as `question.posted.v1`.
    pub event_type: String,
    /// The payload, a JSON object.
    pub data: String,
    /// The metadata, as JSON of [`Metadata`].
    pub metadata: String,
    /// When it was decided: the deciding node's clock, never the database's.
    pub recorded_at: Timestamp,
    /// Texts in the payload, and whose they are. A log that seals them keeps them apart and tells them when it opens them again; for
    /// any other they are as good as none.
    pub texts: Vec<Text>,
}

/// An event as the log holds it, not yet decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// The event.
    pub event: NewEvent,
    /// Why its texts, which are sealed, do not open: then it cannot be read.
    pub shut: Option<UnsealError>,
}

/// An event of the log, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its id.
    pub id: Uuid,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// What is known beside the payload.
    pub metadata: Metadata,
    /// What happened.
    pub event: Event,
}

impl Recorded {
    /// Scope and moment of what happened, if it has a scope.
    pub fn origin(&self) -> Option<Origin> {
        self.metadata.scope.map(|scope| Origin { scope, at: self.recorded_at })
    }
}

impl Stored {
    /// Decodes the metadata, which say something of an event also where its payload cannot be read.
    pub fn metadata(&self) -> Result<Metadata, DecodeError> {
        serde_json::from_str(&self.event.metadata)
            .map_err(|source| DecodeError::Broken { event_type: format!("metadata of {}", self.event.event_type), source })
    }

    /// Decodes payload and metadata.
    pub fn decode(&self) -> Result<Recorded, DecodeError> {
        if let Some(shut) = &self.shut {
            return Err(DecodeError::Shut { event_type: self.event.event_type.clone(), reason: shut.to_string() });
        }
        let metadata = self.metadata()?;
        let event = Event::decode(&self.event.event_type, &self.event.data)?;
        // Folded by readers who go by categories, it would be taken for what it is not.
        if event.category() != self.stream.category() {
            return Err(DecodeError::Misplaced { event_type: self.event.event_type.clone(), stream: self.stream.clone() });
        }
        Ok(Recorded {
            position: self.position,
            stream: self.stream.clone(),
            revision: self.revision,
            id: self.event.id,
            recorded_at: self.event.recorded_at,
            metadata,
            event,
        })
    }
}

/// Events for one stream, appended all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The stream.
    pub stream: StreamName,
    /// What the stream must look like.
    pub expected: Expected,
    /// At least one event.
    pub events: Vec<NewEvent>,
}

/// Where appended events came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Revision of the last of them.
    pub revision: Revision,
    /// Position of the last of them.
    pub position: Position,
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events, in order of position.
    pub events: Vec<Stored>,
    /// Up to here the log was read: the checkpoint to go on from, even if no event stands there.
    pub scanned: Position,
}

impl Page {
    /// A page of at most `limit` events behind `after`. `covered` is the end of the range that was asked for, as far as it was
    /// committed before the events were read: a page that is not full has seen all of it.
    pub fn new(events: Vec<Stored>, limit: usize, after: Position, covered: Position) -> Self {
        let last = events.last().map_or(after, |event| event.position);
        let scanned = if events.len() < limit { last.max(covered) } else { last };
        Self { events, scanned }
    }
}

/// What can go wrong with a log. Each variant means one thing for the caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote to the stream, or an event id is in the log already; nothing was appended. (KurrentDB knows an id
    /// only at its own place in its stream: there, the same append at the same place gives the first outcome again.)
    #[error("stream {stream} is at {current:?}, which was not expected")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// Its last revision now, where the store tells.
        current: Option<Revision>,
    },
    /// The queue is full; nothing was appended. Try again later.
    #[error("too many appends are waiting")]
    Busy,
    /// The store cannot be reached or refuses; nothing was appended.
    #[error("the log cannot be reached: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the store holds is not what was written into it; a rebuild of read models would only spread that.
    #[error("the log is damaged{}: {source}; `circolo events check` tells what is lost, docs/faults.md how to go on", .place)]
    Damaged {
        /// Where, as far as it can be told.
        place: Damage,
        /// How that shows.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The append may or may not have happened: look the command id up.
    #[error("it is unknown whether the append happened: {0}")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log lacks what this process saw in it: others took over who did not have it. Nothing was appended.
    #[error(
        "the log has lost events that this server had seen in it, by a failover to a server that lagged or by a restored backup: restart \
         circolo, and if it refuses, build the read models anew with `circolo projections rebuild --all`"
    )]
    Lost,
    /// The texts of what was to be appended cannot be sealed; nothing was appended.
    #[error(transparent)]
    Unsealable(#[from] SealError),
    /// What was to be appended is more than the store takes at once; nothing was appended.
    #[error("{0}")]
    TooLarge(&'static str),
    /// What was to be appended breaks the store's rules (no events, an id twice in it, an empty or overlong name); nothing was
    /// appended.
    #[error("not an append: {0}")]
    Invalid(&'static str),
}

/// What a look at pages and indexes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// What is wrong, in the engine's words; of much that is wrong, the first.
    pub faults: Vec<String>,
    /// What was not looked at, and why.
    pub left_out: Option<String>,
}

/// Where a log is damaged, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// The first position that cannot be read.
    pub position: Option<Position>,
    /// The stream of what stands there.
    pub stream: Option<StreamName>,
    /// Its place in the stream.
    pub revision: Option<Revision>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, " at position {position}")?;
        }
        match (&self.stream, self.revision) {
            (Some(stream), Some(revision)) => write!(f, " in {stream} at revision {revision}"),
            (Some(stream), None) => write!(f, " in {stream}"),
            _ => Ok(()),
        }
    }
}

/// The log. All adapters keep one contract; the conformance suite in `tests` is its text.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The log's identity.
    fn log_id(&self) -> LogId;

    /// Appends events to one stream, all or none.
    ///
    /// Once it returns `Ok` the events are durable and every later read sees them.
    async fn append(&self, append: Append) -> Result<Appended, StoreError>;

    /// Appends to many streams in as few transactions as it can, in the order given; atomic per stream entry, not across.
    /// Two entries may name the same stream. The outcomes are in the order of the entries.
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>>;

    /// Events of a stream from `from` on, at most `limit`, in order.
    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError>;

    /// Events of all streams whose name begins with `prefix`, after `after` and up to and including `until`, in order of
    /// position, at most `limit`.
    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError>;

    /// Events after `after` in order of position, at most `limit`. No event that is committed later has a position at or
    /// below [`Page::scanned`].
    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError>;

    /// Decisions to pass over events (the streams of `circolo_domain::skip`) behind `after`. They stand behind what they are about:
    /// whoever looks at a part of the log is told of all of them.
    async fn read_skips(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        let head = self.head().await?;
        // A log that lost its last commits gives their positions again.
        let after = after.min(head);
        if after == head {
            return Ok(Page { events: vec![], scanned: head });
        }
        self.read_prefix(&format!("{}-", Skip::CATEGORY), after, head, limit).await
    }

    /// The event that stands at `position`. Asked at a position that was seen: where an engine knows the places of records
    /// only, one that was made up costs a search.
    async fn at(&self, position: Position) -> Result<Option<Stored>, StoreError> {
        if position <= Position::START {
            return Ok(None);
        }
        let page = self.read_all(Position(position.0 - 1), 1).await?;
        Ok(page.events.into_iter().next().filter(|found| found.position == position))
    }

    /// A position behind which everything at `position` and later stands, and as little before it as can be.
    async fn before(&self, position: Position) -> Result<Position, StoreError> {
        Ok(Position(position.0.saturating_sub(1).max(0)))
    }

    /// A position behind which the last `count` events stand, or about as many.
    async fn back(&self, count: usize) -> Result<Position, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Position(self.head().await?.0.saturating_sub(count).max(0)))
    }

    /// Position of the last event; [`Position::START`] if there is none.
    async fn head(&self) -> Result<Position, StoreError>;

    /// The first event of the command `command_id` in `stream` and the last position and revision it led to.
    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError>;

    /// Whether the log holds a part only of what is being brought into it, by an import or a copy: nobody is to take it for a history.
    async fn is_partial(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Says so, or that it holds all. Durable before it returns.
    async fn set_partial(&self, _partial: bool) -> Result<(), StoreError> {
        Err(StoreError::Invalid("nothing is brought into this log"))
    }

    /// Looks whether what the store keeps is as the engine wrote it: pages, indexes.
    async fn examine(&self) -> Result<Examination, StoreError> {
        let left_out = Some("pages and indexes, which the server looks after itself".to_owned());
        Ok(Examination { faults: vec![], left_out })
    }

    /// Can it be read and, as far as that shows without an append, be written?
    async fn reach(&self) -> Result<(), StoreError> {
        self.head().await.map(drop)
    }

    /// Waits until the head is beyond `after`, at most `wait`; the head then.
    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError>;

    /// This log as one that seals texts and opens them, if it is such.
    fn sealing(&self) -> Option<&SealedLog> {
        None
    }
}

/// The log as it is kept: what is sealed in it stays so.
pub fn kept(store: &Arc<dyn EventStore>) -> Arc<dyn EventStore> {
    Arc::clone(store.sealing().map_or(store, SealedLog::kept))
}

/// The id of a command's event number `index`: `uuid5(command_id, index)`.
pub fn event_id(command_id: Uuid, index: usize) -> Uuid {
    Uuid::new_v5(&command_id, &(index as u64).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use circolo_domain::testing::person;

    #[test]
    fn metadata_of_before_concerns_nobody_and_is_written_as_it_was() {
        let (id, bob) = (Uuid::nil(), person(2));
        let before = format!(r#"{{"command":"Register","command_id":"{id}","correlation":"{id}"}}"#);
        let read: Metadata = serde_json::from_str(&before).unwrap();
        assert_eq!((serde_json::to_string(&read).unwrap(), &read.concerns), (before.clone(), &vec![]));
        let now = serde_json::to_string(&Metadata { concerns: vec![bob], ..read }).unwrap();
        assert_eq!(now, before.replace('}', &format!(r#","concerns":["{bob}"]}}"#)));
    }
}
