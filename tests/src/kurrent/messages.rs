//! The messages of KurrentDB's public gRPC protocol that our tests need: names of fields are ours, numbers are facts.

use prost::{Message, Oneof, bytes::Bytes};
use std::collections::HashMap;

/// Identity of an event; the client sends numbers and asks for text.
#[derive(Clone, PartialEq, Message)]
pub struct Uuid {
    /// Either form.
    #[prost(oneof = "uuid::Value", tags = "1, 2")]
    pub value: Option<uuid::Value>,
}

/// Forms of an identity.
pub mod uuid {
    use prost::{Message, Oneof};

    /// One of the two.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Value {
        /// Two halves.
        #[prost(message, tag = "1")]
        Structured(Structured),
        /// Text.
        #[prost(string, tag = "2")]
        Text(String),
    }

    /// Two halves, the more significant first.
    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Structured {
        /// The first.
        #[prost(int64, tag = "1")]
        pub most: i64,
        /// The second.
        #[prost(int64, tag = "2")]
        pub least: i64,
    }
}

impl Uuid {
    /// As the client asks for it.
    pub fn text(id: ::uuid::Uuid) -> Self {
        Self { value: Some(uuid::Value::Text(id.to_string())) }
    }

    /// In either form; nil if there is none.
    pub fn id(&self) -> ::uuid::Uuid {
        match &self.value {
            Some(uuid::Value::Structured(halves)) => ::uuid::Uuid::from_u64_pair(halves.most.cast_unsigned(), halves.least.cast_unsigned()),
            Some(uuid::Value::Text(text)) => text.parse().unwrap_or_default(),
            None => ::uuid::Uuid::nil(),
        }
    }
}

/// A stream's name.
#[derive(Clone, PartialEq, Message)]
pub struct StreamIdentifier {
    /// The name, as UTF-8.
    #[prost(bytes = "bytes", tag = "3")]
    pub name: Bytes,
}

/// Place in the log.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct LogPosition {
    /// Where it was committed.
    #[prost(uint64, tag = "1")]
    pub commit: u64,
    /// Where it was prepared.
    #[prost(uint64, tag = "2")]
    pub prepare: u64,
}

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
    #[prost(oneof = "Part", tags = "1, 4, 5, 6")]
    pub part: Option<Part>,
}

/// A part of the answer to a read.
#[derive(Clone, PartialEq, Oneof)]
pub enum Part {
    /// An event.
    #[prost(message, tag = "1")]
    Event(ReadEvent),
    /// There is no such stream.
    #[prost(message, tag = "4")]
    NotFound(NotFound),
    /// The stream's first revision.
    #[prost(uint64, tag = "5")]
    First(u64),
    /// The stream's last revision.
    #[prost(uint64, tag = "6")]
    Last(u64),
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

/// A part of an append: first where to, then each event.
#[derive(Clone, PartialEq, Message)]
pub struct AppendReq {
    /// The part.
    #[prost(oneof = "AppendPart", tags = "1, 2")]
    pub part: Option<AppendPart>,
}

/// A part of an append.
#[derive(Clone, PartialEq, Oneof)]
pub enum AppendPart {
    /// Where to.
    #[prost(message, tag = "1")]
    Options(AppendOptions),
    /// An event.
    #[prost(message, tag = "2")]
    Proposed(Proposed),
}

/// Where an append goes, and what must be there.
#[derive(Clone, PartialEq, Message)]
pub struct AppendOptions {
    /// The stream.
    #[prost(message, optional, tag = "1")]
    pub stream: Option<StreamIdentifier>,
    /// What it must look like.
    #[prost(oneof = "Expected", tags = "2, 3, 4, 5")]
    pub expected: Option<Expected>,
}

/// What a stream must look like.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Expected {
    /// Its last event has this revision.
    #[prost(uint64, tag = "2")]
    Revision(u64),
    /// It has none.
    #[prost(message, tag = "3")]
    NoStream(()),
    /// Whatever it looks like.
    #[prost(message, tag = "4")]
    Any(()),
    /// It has one.
    #[prost(message, tag = "5")]
    Exists(()),
}

/// An event to append.
#[derive(Clone, PartialEq, Message)]
pub struct Proposed {
    /// Its identity.
    #[prost(message, optional, tag = "1")]
    pub id: Option<Uuid>,
    /// `type` and `content-type`.
    #[prost(map = "string, string", tag = "2")]
    pub metadata: HashMap<String, String>,
    /// The writer's metadata.
    #[prost(bytes = "bytes", tag = "3")]
    pub custom: Bytes,
    /// The payload.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
}

/// What became of an append.
#[derive(Clone, PartialEq, Message)]
pub struct AppendResp {
    /// Which of the two.
    #[prost(oneof = "AppendResult", tags = "1, 2")]
    pub result: Option<AppendResult>,
}

/// What became of an append.
#[derive(Clone, PartialEq, Oneof)]
pub enum AppendResult {
    /// It is in the log.
    #[prost(message, tag = "1")]
    Success(Success),
    /// The stream looks otherwise.
    #[prost(message, tag = "2")]
    Wrong(Wrong),
}

/// Where the last of the events stands.
#[derive(Clone, PartialEq, Message)]
pub struct Success {
    /// Its revision.
    #[prost(oneof = "AppendedRevision", tags = "1, 2")]
    pub revision: Option<AppendedRevision>,
    /// Its position.
    #[prost(oneof = "AppendedPosition", tags = "3, 4")]
    pub position: Option<AppendedPosition>,
}

/// Revision of the last event.
#[derive(Clone, PartialEq, Oneof)]
pub enum AppendedRevision {
    /// This.
    #[prost(uint64, tag = "1")]
    Revision(u64),
    /// The stream has none.
    #[prost(message, tag = "2")]
    NoStream(()),
}

/// Position of the last event.
#[derive(Clone, PartialEq, Oneof)]
pub enum AppendedPosition {
    /// This.
    #[prost(message, tag = "3")]
    Position(LogPosition),
    /// Not told: it was there already.
    #[prost(message, tag = "4")]
    None(()),
}

/// The stream looks otherwise. The client needs both; the fields of the years before 2020 are left out.
#[derive(Clone, PartialEq, Message)]
pub struct Wrong {
    /// How it looks.
    #[prost(oneof = "CurrentRevision", tags = "6, 7")]
    pub current: Option<CurrentRevision>,
    /// How it was to look.
    #[prost(oneof = "WrongExpected", tags = "8, 9, 10, 11")]
    pub expected: Option<WrongExpected>,
}

/// How a stream looks.
#[derive(Clone, PartialEq, Oneof)]
pub enum CurrentRevision {
    /// Its last event has this revision.
    #[prost(uint64, tag = "6")]
    Revision(u64),
    /// It has none.
    #[prost(message, tag = "7")]
    NoStream(()),
}

/// How a stream was to look.
#[derive(Clone, PartialEq, Oneof)]
pub enum WrongExpected {
    /// Its last event has this revision.
    #[prost(uint64, tag = "8")]
    Revision(u64),
    /// Whatever it looks like.
    #[prost(message, tag = "9")]
    Any(()),
    /// It has an event.
    #[prost(message, tag = "10")]
    Exists(()),
    /// It has none.
    #[prost(message, tag = "11")]
    NoStream(()),
}

/// The nodes of a cluster.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterInfo {
    /// Each.
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<Member>,
}

/// A node of a cluster.
#[derive(Clone, PartialEq, Message)]
pub struct Member {
    /// Its identity.
    #[prost(message, optional, tag = "1")]
    pub id: Option<Uuid>,
    /// 8 for the leader, 6 for a follower.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// Whether the others hear from it.
    #[prost(bool, tag = "4")]
    pub is_alive: bool,
    /// Where it is reached.
    #[prost(message, optional, tag = "5")]
    pub endpoint: Option<Endpoint>,
}

/// Where a node is reached.
#[derive(Clone, PartialEq, Message)]
pub struct Endpoint {
    /// Its host.
    #[prost(string, tag = "1")]
    pub address: String,
    /// Its port.
    #[prost(uint32, tag = "2")]
    pub port: u32,
}

/// What the server can do; the client looks at the version.
#[derive(Clone, PartialEq, Message)]
pub struct SupportedMethods {
    /// The version.
    #[prost(string, tag = "2")]
    pub version: String,
}
