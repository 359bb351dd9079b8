//! The logs that conformance cases run on, and events to fill them with.

use circolo_domain::{StreamName, Timestamp};
use circolo_events::{Append, EventStore, Expected, Memory, NewEvent, Position, Sqlite, Stored, sqlite, store::event_id};
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// Something that holds a log and can open it more than once, one time after the other.
pub enum Backend {
    Memory,
    Sqlite(TempDir),
}

impl Backend {
    pub fn memory() -> Option<Self> {
        Some(Self::Memory)
    }

    pub fn sqlite() -> Option<Self> {
        Some(Self::Sqlite(tempfile::tempdir().unwrap()))
    }

    pub async fn open(&self) -> Arc<dyn EventStore> {
        self.open_with_queue(1_000).await
    }

    /// Opens the log so that only `queue` appends may wait.
    pub async fn open_with_queue(&self, queue: usize) -> Arc<dyn EventStore> {
        match self {
            Self::Memory => Arc::new(Memory::default()),
            Self::Sqlite(dir) => {
                let options = sqlite::Options { queue, ..sqlite::Options::default() };
                Arc::new(Sqlite::open(&dir.path().join("log.db"), &options, a_log_id()).unwrap())
            }
        }
    }
}

/// Something that keeps a log from being written.
pub enum Blocked {
    Sqlite(rusqlite::Connection),
}

impl Backend {
    /// Keeps the log from being written until [`Blocked::release`].
    pub async fn block_writers(&self) -> Blocked {
        match self {
            Self::Memory => panic!("nothing can block a log in memory"),
            Self::Sqlite(dir) => {
                let connection = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Blocked::Sqlite(connection)
            }
        }
    }
}

impl Blocked {
    pub async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("ROLLBACK").unwrap(),
        }
    }
}

/// Another id at every call, as `main` would make it.
fn a_log_id() -> Uuid {
    static CALLS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    uuid(CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// A command id.
pub fn uuid(number: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
}

pub fn stream(name: &str) -> StreamName {
    StreamName::stored(name)
}

/// Event number `index` of the command `command`.
pub fn event(command: Uuid, index: usize) -> NewEvent {
    NewEvent {
        id: event_id(command, index),
        event_type: "note.written.v1".to_owned(),
        data: format!(r#"{{"index":{index}}}"#),
        metadata: format!(r#"{{"command":"WriteNote","command_id":"{command}","correlation":"{command}"}}"#),
        recorded_at: Timestamp::from_micros(1_700_000_000_123_456),
    }
}

/// `count` events of the command number `command`, for the stream `name`.
pub fn append(name: &str, expected: Expected, command: u64, count: usize) -> Append {
    Append { stream: stream(name), expected, events: (0..count).map(|index| event(uuid(command), index)).collect() }
}

/// The whole log, read in pages of `limit`.
pub async fn whole(store: &dyn EventStore, limit: usize) -> Vec<Stored> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.read_all(after, limit).await.unwrap();
        after = page.scanned;
        let full = page.events.len() == limit;
        events.extend(page.events);
        if !full {
            return events;
        }
    }
}
