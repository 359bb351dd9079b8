//! The double's log: its records, and what the server itself does to them.
//!
//! - `appends`: what it takes, and when
//! - `reads`: what it gives
//!
//! Beside each rule stands the file of the server that says so. It was read in the sources of 22.10.5, 23.10.8, 24.10.14, 25.1.4,
//! 26.0.3 and 26.1.0, and says the same in each of them unless noted. The files are under `src/EventStore.Core/` up to 24.10 and under
//! `src/KurrentDB.Core/` since 25, but for those whose path is given from the root.

mod appends;
mod reads;

use super::messages::{AppendOptions, LogPosition, Proposed, StreamIdentifier, Uuid};
use prost::{Message, bytes::Bytes};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use tokio::sync::watch;
use tonic::{Code, Status};

pub use reads::Subscription;

/// A record of the log.
#[derive(Debug, Clone)]
struct Record {
    position: u64,
    stream: String,
    revision: u64,
    id: ::uuid::Uuid,
    proposed: Proposed,
    created: u64,
}

/// One ordered log.
#[derive(Debug)]
pub struct Log {
    version: (u32, u32),
    /// Most bytes in one append, and in one event.
    limits: (usize, usize),
    records: Vec<Record>,
    /// Where a stream's events stand in `records`.
    streams: HashMap<String, Vec<usize>>,
    tombstones: HashSet<String>,
    /// What a stream's metadata say.
    metadata: HashMap<String, Value>,
    recent: VecDeque<(String, ::uuid::Uuid, u64)>,
    /// Where records stood that were scavenged.
    gone: BTreeSet<u64>,
    /// Where the next record begins.
    end: watch::Sender<u64>,
    appends: u64,
    clock: u64,
}

/// A revision of metadata that hides a whole stream.
const ALL: u64 = i64::MAX.cast_unsigned();

impl Log {
    /// The log of a server that was just installed: its own records are there already.
    pub fn new(version: (u32, u32)) -> Self {
        let mut log = Self {
            version,
            limits: limits(version),
            records: Vec::new(),
            streams: HashMap::new(),
            tombstones: HashSet::new(),
            metadata: HashMap::new(),
            recent: VecDeque::new(),
            gone: BTreeSet::new(),
            end: watch::Sender::new(1_411),
            appends: 0,
            clock: 17_000_000_000_000_000,
        };
        for (stream, event_type) in [("$$$ops", "$metadata"), ("$user-admin", "$UserCreated"), ("$$$settings", "$metadata")] {
            log.own(stream, event_type, &json!({}));
        }
        log
    }

    /// From now on so many bytes in one append.
    pub fn take_at_most(&mut self, bytes: usize) {
        self.limits.0 = bytes;
    }

    /// Writes a record of the server's own, as it does now and then. Where it stands.
    pub fn own(&mut self, stream: &str, event_type: &str, data: &Value) -> u64 {
        let metadata =
            HashMap::from([("type".to_owned(), event_type.to_owned()), ("content-type".to_owned(), "application/json".to_owned())]);
        let id = ::uuid::Uuid::new_v5(&::uuid::Uuid::NAMESPACE_OID, &self.end.borrow().to_be_bytes());
        let proposed = Proposed { id: None, metadata, custom: Bytes::new(), data: data.to_string().into() };
        self.write(stream, id, proposed)
    }

    /// Removes the server's own statistics, as it does after a day.
    pub fn scavenge(&mut self) {
        let (kept, gone): (Vec<Record>, Vec<Record>) =
            std::mem::take(&mut self.records).into_iter().partition(|record| !record.stream.starts_with("$stats-"));
        self.gone.extend(gone.iter().map(|record| record.position));
        self.records = kept;
        self.streams.retain(|stream, _| !stream.starts_with("$stats-"));
        for places in self.streams.values_mut() {
            places.clear();
        }
        for (place, record) in self.records.iter().enumerate() {
            self.streams.entry(record.stream.clone()).or_default().push(place);
        }
    }

    /// Drops the last records, with as many events among them: as a backup would have it, or a node that had to catch up.
    pub fn lose(&mut self, events: usize) {
        let mut lost = 0;
        while lost < events {
            let record = self.records.pop().unwrap();
            lost += usize::from(!record.stream.starts_with('$'));
            self.end.send_replace(record.position);
            let places = self.streams.get_mut(&record.stream).unwrap();
            places.pop();
            if places.is_empty() {
                self.streams.remove(&record.stream);
            }
        }
        self.recent.clear();
        self.metadata.clear();
        for record in &self.records {
            if let Some(of) = record.stream.strip_prefix("$$")
                && let Ok(metadata) = serde_json::from_slice(&record.proposed.data)
            {
                self.metadata.insert(of.to_owned(), metadata);
            }
        }
        let deleted = |stream: &String| self.records.iter().any(|record| record.stream == *stream && is_tombstone(record));
        self.tombstones.retain(deleted);
    }

    fn write(&mut self, stream: &str, id: ::uuid::Uuid, proposed: Proposed) -> u64 {
        if let Some(of) = stream.strip_prefix("$$")
            && let Ok(metadata) = serde_json::from_slice(&proposed.data)
        {
            self.metadata.insert(of.to_owned(), metadata);
        }
        let size = 137 + stream.len() + proposed.encoded_len();
        let places = self.streams.entry(stream.to_owned()).or_default();
        let revision = places.len() as u64;
        places.push(self.records.len());
        self.clock += 1_234_567;
        let position = *self.end.borrow();
        self.records.push(Record { position, stream: stream.to_owned(), revision, id, proposed, created: self.clock });
        // Positions are places in a file: neither dense nor evenly spaced.
        self.end.send_modify(|end| *end += size as u64);
        position
    }

    /// The last revision of a stream, whether it can be read or not.
    fn current(&self, stream: &str) -> Option<u64> {
        self.streams.get(stream).and_then(|places| (places.len() as u64).checked_sub(1))
    }

    /// From which revision on a stream can be read: `$tb` of its metadata.
    fn first(&self, stream: &str) -> u64 {
        self.metadata.get(stream).and_then(|metadata| metadata["$tb"].as_u64()).unwrap_or(0)
    }

    /// Whether a stream was deleted, but not for ever: Services/Storage/ReaderIndex/IndexWriter.cs, `IsSoftDeleted`.
    fn is_deleted(&self, stream: &str) -> bool {
        self.first(stream) == ALL
    }
}

fn is_tombstone(record: &Record) -> bool {
    record.proposed.metadata["type"] == "$streamDeleted"
}

/// `MaxAppendSize` is 1 MiB up to 25.0 and one chunk since 25.1, `MaxAppendEventSize` nothing before 24.10 and unlimited before 25:
/// ClusterVNodeOptions.cs (in Configuration/ since 24.10). An event is one log record: `EffectiveMaxLogRecordSize` in
/// TransactionLog/Chunks/TFConsts.cs.
fn limits(version: (u32, u32)) -> (usize, usize) {
    if version < (25, 1) { (1 << 20, usize::MAX) } else { (256 << 20, (16 << 20) - 10_000) }
}

#[expect(clippy::result_large_err, reason = "tonic's own status: refusals are sent as they are")]
fn name(stream: Option<&StreamIdentifier>) -> Result<String, Status> {
    let name = stream.map(|stream| stream.name.to_vec()).unwrap_or_default();
    String::from_utf8(name).map_err(|_| Status::invalid_argument("a name is not UTF-8"))
}

/// Services/Transport/Grpc/RpcExceptions.cs, `StreamDeleted`.
fn deleted(stream: &str) -> Status {
    let mut status = Status::new(Code::FailedPrecondition, format!("Event stream '{stream}' is deleted."));
    status.metadata_mut().insert("exception", "stream-deleted".parse().unwrap());
    if let Ok(name) = stream.parse() {
        status.metadata_mut().insert("stream-name", name);
    }
    status
}

/// What the server throws without a name for it.
fn unexpected() -> Status {
    Status::unknown("Exception was thrown by handler.")
}
