//! Reads, and the subscriptions that begin as one.

use super::{LogPosition, StreamIdentifier, Uuid};
use prost::{Message, Oneof, bytes::Bytes};
use std::collections::HashMap;

/// A read, or a subscription.
#[derive(Clone, PartialEq, Message)]
pub struct ReadReq {
    /// What is read.
    #[prost(message, optional, tag = "1")]
    pub options: Option<ReadOptions>,
}

/// What is read.
#[derive(Clone, PartialEq, Message)]
pub struct ReadOptions {
    /// A stream or all.
    #[prost(oneof = "Source", tags = "1, 2")]
    pub source: Option<Source>,
    /// 0 forwards, 1 backwards.
    #[prost(int32, tag = "3")]
    pub direction: i32,
    /// Whether links lead to what they name.
    #[prost(bool, tag = "4")]
    pub resolve_links: bool,
    /// How many.
    #[prost(oneof = "Count", tags = "5, 6")]
    pub count: Option<Count>,
    /// Which of them.
    #[prost(oneof = "Filter", tags = "7, 8")]
    pub filter: Option<Filter>,
    /// Form of the identities.
    #[prost(message, optional, tag = "9")]
    pub uuids: Option<UuidOption>,
    /// What the client can take.
    #[prost(message, optional, tag = "10")]
    pub control: Option<ControlOption>,
}

/// What the client can take.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ControlOption {
    /// From 1 on a read of a stream tells where the stream begins and ends.
    #[prost(uint32, tag = "1")]
    pub compatibility: u32,
}

/// A stream or all.
#[derive(Clone, PartialEq, Oneof)]
pub enum Source {
    /// One stream.
    #[prost(message, tag = "1")]
    Stream(StreamOptions),
    /// All.
    #[prost(message, tag = "2")]
    All(AllOptions),
}

/// One stream.
#[derive(Clone, PartialEq, Message)]
pub struct StreamOptions {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub stream: Option<StreamIdentifier>,
    /// From where.
    #[prost(oneof = "FromRevision", tags = "2, 3, 4")]
    pub from: Option<FromRevision>,
}

/// Where a read of a stream begins; the revision is included.
#[derive(Clone, PartialEq, Oneof)]
pub enum FromRevision {
    /// There.
    #[prost(uint64, tag = "2")]
    Revision(u64),
    /// At the first.
    #[prost(message, tag = "3")]
    Start(()),
    /// At the last.
    #[prost(message, tag = "4")]
    End(()),
}

/// All streams.
#[derive(Clone, PartialEq, Message)]
pub struct AllOptions {
    /// From where.
    #[prost(oneof = "FromPosition", tags = "1, 2, 3")]
    pub from: Option<FromPosition>,
}

/// Where a read of all begins; the position is included.
#[derive(Clone, PartialEq, Oneof)]
pub enum FromPosition {
    /// There.
    #[prost(message, tag = "1")]
    Position(LogPosition),
    /// At the first.
    #[prost(message, tag = "2")]
    Start(()),
    /// At the last.
    #[prost(message, tag = "3")]
    End(()),
}

/// How many.
#[derive(Clone, PartialEq, Oneof)]
pub enum Count {
    /// So many.
    #[prost(uint64, tag = "5")]
    Count(u64),
    /// All, and what comes.
    #[prost(message, tag = "6")]
    Subscription(()),
}

/// Which of them.
#[derive(Clone, PartialEq, Oneof)]
pub enum Filter {
    /// Those.
    #[prost(message, tag = "7")]
    Filter(FilterOptions),
    /// Every one.
    #[prost(message, tag = "8")]
    NoFilter(()),
}

/// What a filter looks at. The window is of no concern to a double.
#[derive(Clone, PartialEq, Message)]
pub struct FilterOptions {
    /// The name of the stream or of the type.
    #[prost(oneof = "FilterOn", tags = "1, 2")]
    pub on: Option<FilterOn>,
}

/// What a filter looks at.
#[derive(Clone, PartialEq, Oneof)]
pub enum FilterOn {
    /// The stream's name.
    #[prost(message, tag = "1")]
    Stream(Expression),
    /// The type's name.
    #[prost(message, tag = "2")]
    Type(Expression),
}

/// A regular expression, which wins, or prefixes.
#[derive(Clone, PartialEq, Message)]
pub struct Expression {
    /// The expression.
    #[prost(string, tag = "1")]
    pub regex: String,
    /// The prefixes.
    #[prost(string, repeated, tag = "2")]
    pub prefixes: Vec<String>,
}

/// Form of the identities; only text is given here.
#[derive(Clone, PartialEq, Message)]
pub struct UuidOption {}

/// A part of the answer to a read.
#[derive(Clone, PartialEq, Message)]
pub struct ReadResp {
    /// The part.
    #[prost(oneof = "Part", tags = "1, 2, 3, 4, 5, 6, 8")]
    pub part: Option<Part>,
}

/// A part of the answer to a read.
#[derive(Clone, PartialEq, Oneof)]
pub enum Part {
    /// An event.
    #[prost(message, tag = "1")]
    Event(ReadEvent),
    /// A subscription has begun.
    #[prost(message, tag = "2")]
    Confirmed(Confirmed),
    /// A subscription with a filter has looked at all up to here.
    #[prost(message, tag = "3")]
    Checkpoint(LogPosition),
    /// There is no such stream.
    #[prost(message, tag = "4")]
    NotFound(NotFound),
    /// The stream's first revision.
    #[prost(uint64, tag = "5")]
    First(u64),
    /// The stream's last revision.
    #[prost(uint64, tag = "6")]
    Last(u64),
    /// A subscription has come to the end, and goes on from there.
    #[prost(message, tag = "8")]
    CaughtUp(CaughtUp),
}

/// A subscription has begun.
#[derive(Clone, PartialEq, Message)]
pub struct Confirmed {
    /// Which.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// A subscription has come to the end.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct CaughtUp {
    /// Of a stream.
    #[prost(int64, optional, tag = "2")]
    pub revision: Option<i64>,
    /// Of all.
    #[prost(message, optional, tag = "3")]
    pub position: Option<LogPosition>,
}

/// There is no such stream.
#[derive(Clone, PartialEq, Message)]
pub struct NotFound {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub stream: Option<StreamIdentifier>,
}

/// An event as it is read; links are not resolved, so there are none.
#[derive(Clone, PartialEq, Message)]
pub struct ReadEvent {
    /// The event.
    #[prost(message, optional, tag = "1")]
    pub event: Option<Recorded>,
    /// Where it was committed.
    #[prost(oneof = "CommitPosition", tags = "3, 4")]
    pub commit: Option<CommitPosition>,
}

/// Where an event was committed.
#[derive(Clone, PartialEq, Oneof)]
pub enum CommitPosition {
    /// There.
    #[prost(uint64, tag = "3")]
    Position(u64),
    /// Not told.
    #[prost(message, tag = "4")]
    None(()),
}

/// An event of the log.
#[derive(Clone, PartialEq, Message)]
pub struct Recorded {
    /// Its identity.
    #[prost(message, optional, tag = "1")]
    pub id: Option<Uuid>,
    /// Its stream.
    #[prost(message, optional, tag = "2")]
    pub stream: Option<StreamIdentifier>,
    /// Its revision.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
    /// Its position.
    #[prost(uint64, tag = "4")]
    pub prepare: u64,
    /// Its position again.
    #[prost(uint64, tag = "5")]
    pub commit: u64,
    /// `type`, `content-type` and `created`, in ticks of 100 ns.
    #[prost(map = "string, string", tag = "6")]
    pub metadata: HashMap<String, String>,
    /// The writer's metadata.
    #[prost(bytes = "bytes", tag = "7")]
    pub custom: Bytes,
    /// The payload.
    #[prost(bytes = "bytes", tag = "8")]
    pub data: Bytes,
}
