//! The logs that conformance cases run on, and events to fill them with.

use circolo_domain::{StreamName, Timestamp};
use circolo_events::{
    Append, EventStore, Expected, Memory, NewEvent, Position, Postgres, Sqlite, Stored, postgres, sqlite, store::event_id,
};
#[cfg(feature = "kurrentdb")]
use circolo_events::{KurrentDb, kurrentdb};
#[cfg(feature = "kurrentdb")]
use circolo_tests::kurrent::Double;
use circolo_tests::postgres::fresh_schema;
use sqlx::{Connection, Executor, PgConnection};
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// Something that holds a log and can open it more than once, one time after the other.
pub enum Backend {
    Memory,
    Sqlite(TempDir),
    /// The URL of a schema.
    Postgres(String),
    /// A double of the server.
    #[cfg(feature = "kurrentdb")]
    Kurrent(Arc<Double>),
    /// A part of a server's log.
    #[cfg(feature = "kurrentdb")]
    KurrentServer(crate::kurrent_server::Plot),
}

impl Backend {
    /// The empty backend of that name; `None`, with a printed line, if it is not installed.
    pub async fn new(name: &str) -> Option<Self> {
        match name {
            "memory" => Some(Self::Memory),
            "sqlite" => Some(Self::Sqlite(tempfile::tempdir().unwrap())),
            "postgres" => fresh_schema().await.map(Self::Postgres),
            #[cfg(feature = "kurrentdb")]
            "kurrentdb" => match std::env::var("TEST_KURRENTDB_URL") {
                Ok(url) => Some(Self::KurrentServer(crate::kurrent_server::Plot::take(url).await)),
                Err(_) => Some(Self::Kurrent(Arc::new(Double::start().await))),
            },
            _ => panic!("there is no backend {name}"),
        }
    }

    pub async fn open(&self) -> Arc<dyn EventStore> {
        self.open_with_queue(1_000).await
    }

    /// Opens the log a second time beside a store that writes to it, as another process would to read.
    pub async fn open_to_read(&self) -> Arc<dyn EventStore> {
        match self {
            Self::Memory => panic!("a log in memory is in one process"),
            Self::Sqlite(dir) => Arc::new(Sqlite::open_read_only(&dir.path().join("log.db"), &sqlite::Options::default()).unwrap()),
            Self::Postgres(_) => self.open().await,
            #[cfg(feature = "kurrentdb")]
            Self::Kurrent(double) => Arc::new(KurrentDb::connect_to_read(&double.url(), &kurrentdb::Options::default()).await.unwrap()),
            #[cfg(feature = "kurrentdb")]
            Self::KurrentServer(_) => self.open().await,
        }
    }

    /// Whether [`Self::block_writers`] can be asked for.
    pub fn can_block(&self) -> bool {
        match self {
            #[cfg(feature = "kurrentdb")]
            Self::KurrentServer(_) => false,
            Self::Memory => false,
            _ => true,
        }
    }

    /// More entries than one transaction takes; fewer where each entry is a call.
    pub fn many(&self) -> u64 {
        match self {
            #[cfg(feature = "kurrentdb")]
            Self::Kurrent(_) | Self::KurrentServer(_) => 1_000,
            _ => 40_000,
        }
    }

    /// Opens the log so that only `queue` appends may wait.
    pub async fn open_with_queue(&self, queue: usize) -> Arc<dyn EventStore> {
        match self {
            Self::Memory => Arc::new(Memory::default()),
            Self::Sqlite(dir) => {
                let options = sqlite::Options { queue, ..sqlite::Options::default() };
                Arc::new(Sqlite::open(&dir.path().join("log.db"), &options, a_log_id()).unwrap())
            }
            Self::Postgres(url) => {
                let options = postgres::Options { queue, connections: 4, ..postgres::Options::default() };
                Arc::new(Postgres::connect(url, &options, a_log_id()).await.unwrap())
            }
            #[cfg(feature = "kurrentdb")]
            Self::Kurrent(double) => {
                let options = kurrentdb::Options { queue, ..kurrentdb::Options::default() };
                Arc::new(KurrentDb::connect(&double.url(), &options, a_log_id()).await.unwrap())
            }
            #[cfg(feature = "kurrentdb")]
            Self::KurrentServer(plot) => Arc::new(plot.open(queue, a_log_id()).await),
        }
    }
}

/// Something that keeps a log from being written.
pub enum Blocked {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
    #[cfg(feature = "kurrentdb")]
    Kurrent(Arc<Double>),
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
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                connection.execute("BEGIN; LOCK TABLE log_events IN EXCLUSIVE MODE").await.unwrap();
                Blocked::Postgres(connection)
            }
            #[cfg(feature = "kurrentdb")]
            Self::Kurrent(double) => {
                double.freeze();
                Blocked::Kurrent(Arc::clone(double))
            }
            #[cfg(feature = "kurrentdb")]
            Self::KurrentServer(_) => panic!("nothing can block a server from here"),
        }
    }
}

impl Blocked {
    pub async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("ROLLBACK").unwrap(),
            Self::Postgres(mut connection) => {
                connection.execute("ROLLBACK").await.unwrap();
            }
            #[cfg(feature = "kurrentdb")]
            Self::Kurrent(double) => double.thaw(),
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
        texts: vec![],
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
