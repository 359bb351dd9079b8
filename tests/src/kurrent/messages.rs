//! The messages of KurrentDB's public gRPC protocol that our tests need: names of fields are ours, numbers are facts.

mod reads;
mod writes;

use prost::{Message, bytes::Bytes};
pub use reads::*;
pub use writes::*;

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
