//! Appends and deletions.

use super::{LogPosition, StreamIdentifier, Uuid};
use prost::{Message, Oneof, bytes::Bytes};
use std::collections::HashMap;

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

/// A stream is to be deleted, softly or for ever: two calls, one shape.
#[derive(Clone, PartialEq, Message)]
pub struct DeleteReq {
    /// Which, and what it must look like.
    #[prost(message, optional, tag = "1")]
    pub options: Option<AppendOptions>,
}

/// A stream is deleted.
#[derive(Clone, PartialEq, Message)]
pub struct DeleteResp {
    /// Where that stands.
    #[prost(message, optional, tag = "1")]
    pub position: Option<LogPosition>,
}

/// A part of a batch: the events of one append, or some of them.
#[derive(Clone, PartialEq, Message)]
pub struct BatchAppendReq {
    /// Parts with one id are one append.
    #[prost(message, optional, tag = "1")]
    pub correlation: Option<Uuid>,
    /// Where to; with the first part.
    #[prost(message, optional, tag = "2")]
    pub options: Option<AppendOptions>,
    /// Events.
    #[prost(message, repeated, tag = "3")]
    pub proposed: Vec<Proposed>,
    /// Nothing more comes.
    #[prost(bool, tag = "4")]
    pub is_final: bool,
}

/// What became of one append of a batch.
#[derive(Clone, PartialEq, Message)]
pub struct BatchAppendResp {
    /// Which.
    #[prost(message, optional, tag = "1")]
    pub correlation: Option<Uuid>,
    /// How it went.
    #[prost(oneof = "BatchResult", tags = "2, 3")]
    pub result: Option<BatchResult>,
    /// Where to.
    #[prost(message, optional, tag = "4")]
    pub stream: Option<StreamIdentifier>,
}

/// What became of one append of a batch.
#[derive(Clone, PartialEq, Oneof)]
pub enum BatchResult {
    /// Nothing was appended.
    #[prost(message, tag = "2")]
    Error(Refusal),
    /// It is in the log.
    #[prost(message, tag = "3")]
    Success(Success),
}

/// Why nothing was appended.
#[derive(Clone, PartialEq, Message)]
pub struct Refusal {
    /// As gRPC counts them.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Its parts.
    #[prost(message, optional, tag = "3")]
    pub details: Option<Any>,
}

/// A message of any type.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// The type's name.
    #[prost(string, tag = "1")]
    pub url: String,
    /// The message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// The stream looks otherwise, as a batch tells it.
#[derive(Clone, PartialEq, Message)]
pub struct BatchWrong {
    /// Its last event has this revision.
    #[prost(uint64, optional, tag = "1")]
    pub revision: Option<u64>,
    /// It has none.
    #[prost(message, optional, tag = "2")]
    pub no_stream: Option<()>,
}

/// The stream is deleted for ever.
#[derive(Clone, PartialEq, Message)]
pub struct BatchDeleted {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub stream: Option<StreamIdentifier>,
}

/// An append is larger than the server takes.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BatchTooLarge {
    /// What it takes.
    #[prost(uint32, tag = "1")]
    pub limit: u32,
}

/// The request breaks other rules.
#[derive(Clone, PartialEq, Message)]
pub struct BatchBad {
    /// Which.
    #[prost(string, tag = "1")]
    pub message: String,
}
