//! Conformance on a real server, named by `TEST_KURRENTDB_URL`: each test has a plot of its log for itself.
//!
//! A server has one log, and the contract speaks of empty ones. So tests take turns; each sees only what was written since its
//! turn began, and its streams carry a prefix of their own.

use async_trait::async_trait;
use circolo_domain::StreamName;
use circolo_events::{
    Append, Appended, EventStore, KurrentDb, LogId, Page, Position, Revision, StoreError, Stored,
    kurrentdb::{self, Options},
};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

static TURNS: Mutex<()> = Mutex::const_new(());

/// A part of a server's log.
pub struct Plot {
    url: String,
    fence: Fence,
    _turn: MutexGuard<'static, ()>,
}

/// What was there before, and what sets the names apart.
#[derive(Clone)]
struct Fence {
    before: Position,
    prefix: String,
}

impl Plot {
    pub async fn take(url: String) -> Self {
        let turn = TURNS.lock().await;
        let store = KurrentDb::connect_to_read(&url, &kurrentdb::Options::default()).await.unwrap();
        let before = store.head().await.unwrap();
        // No two runs on one server begin at the same position.
        let prefix = format!("{}~", Uuid::new_v5(&Uuid::NAMESPACE_OID, &before.0.to_be_bytes()).simple());
        Self { url, fence: Fence { before, prefix }, _turn: turn }
    }

    pub async fn open(&self, queue: usize, log_id: LogId) -> impl EventStore + use<> {
        let store = KurrentDb::connect(&self.url, &Options { queue, ..Options::default() }, log_id).await.unwrap();
        Fenced { store, fence: self.fence.clone() }
    }
}

/// The adapter, fenced in.
struct Fenced {
    store: KurrentDb,
    fence: Fence,
}

impl Fence {
    fn inner(&self, stream: &StreamName) -> StreamName {
        let own = stream.as_str();
        // What is no name must stay none.
        if own.is_empty() || own.len() > 500 {
            return stream.clone();
        }
        let mut name = format!("{}{own}", self.prefix);
        name.truncate(name.floor_char_boundary(500));
        StreamName::stored(name)
    }

    fn outer(&self, stored: Stored) -> Stored {
        let stream = StreamName::stored(stored.stream.as_str().strip_prefix(&self.prefix).unwrap_or(stored.stream.as_str()));
        Stored { stream, ..stored }
    }

    fn position(&self, position: Position) -> Position {
        if position <= self.before { Position::START } else { position }
    }

    fn page(&self, page: Page, after: Position) -> Page {
        let events = page.events.into_iter().map(|stored| self.outer(stored)).collect();
        Page { events, scanned: if page.scanned <= self.before { after } else { page.scanned } }
    }
}

/// The error as it would be of the stream's outer name.
fn outer_error(error: StoreError, stream: StreamName) -> StoreError {
    match error {
        StoreError::Conflict { current, .. } => StoreError::Conflict { stream, current },
        error => error,
    }
}

#[async_trait]
impl EventStore for Fenced {
    fn log_id(&self) -> LogId {
        self.store.log_id()
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let stream = append.stream.clone();
        let append = Append { stream: self.fence.inner(&stream), ..append };
        self.store.append(append).await.map_err(|error| outer_error(error, stream))
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        let streams: Vec<StreamName> = appends.iter().map(|append| append.stream.clone()).collect();
        let inner = appends.into_iter().map(|append| Append { stream: self.fence.inner(&append.stream), ..append }).collect();
        let outcomes = self.store.append_many(inner).await.into_iter().zip(streams);
        outcomes.map(|(outcome, stream)| outcome.map_err(|error| outer_error(error, stream))).collect()
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let found = self.store.read(&self.fence.inner(stream), from, limit).await?;
        Ok(found.into_iter().map(|stored| self.fence.outer(stored)).collect())
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        let prefix = format!("{}{prefix}", self.fence.prefix);
        let page = self.store.read_prefix(&prefix, after.max(self.fence.before), until, limit).await?;
        Ok(self.fence.page(page, after))
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        Ok(self.fence.page(self.store.read_all(after.max(self.fence.before), limit).await?, after))
    }

    async fn at(&self, position: Position) -> Result<Option<Stored>, StoreError> {
        Ok(self.store.at(position).await?.filter(|_| position > self.fence.before).map(|stored| self.fence.outer(stored)))
    }

    async fn before(&self, position: Position) -> Result<Position, StoreError> {
        Ok(self.fence.position(self.store.before(position).await?))
    }

    async fn back(&self, count: usize) -> Result<Position, StoreError> {
        Ok(self.fence.position(self.store.back(count).await?))
    }

    async fn is_partial(&self) -> Result<bool, StoreError> {
        self.store.is_partial().await
    }

    async fn set_partial(&self, partial: bool) -> Result<(), StoreError> {
        self.store.set_partial(partial).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.fence.position(self.store.head().await?))
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        let found = self.store.find(&self.fence.inner(stream), command_id).await?;
        Ok(found.map(|(stored, appended)| (self.fence.outer(stored), appended)))
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        Ok(self.fence.position(self.store.changed(after.max(self.fence.before), wait).await?))
    }
}
