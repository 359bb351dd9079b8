//! A log that hesitates: before it reads or appends it lets others go first, sometimes often, so that what races meets.

use async_trait::async_trait;
use circolo_domain::StreamName;
use circolo_events::{Append, Appended, EventStore, LogId, Page, Position, Revision, StoreError, Stored};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use uuid::Uuid;

/// Most turns that others get.
const TURNS: u64 = 12;

/// A log behind which another one is.
pub struct Hesitant<S> {
    store: S,
    asked: AtomicU64,
}

impl<S> Hesitant<S> {
    /// Hesitates before asking `store`.
    pub fn new(store: S) -> Self {
        Self { store, asked: AtomicU64::new(0) }
    }

    /// A few turns, another number each time.
    async fn hesitate(&self) {
        let turns = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        for _ in 0..turns % TURNS {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl<S: EventStore> EventStore for Hesitant<S> {
    fn log_id(&self) -> LogId {
        self.store.log_id()
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.hesitate().await;
        let appended = self.store.append(append).await;
        self.hesitate().await;
        appended
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        self.hesitate().await;
        self.store.append_many(appends).await
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.hesitate().await;
        self.store.read(stream, from, limit).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.store.read_prefix(prefix, after, until, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.store.read_all(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.store.head().await
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        self.store.find(stream, command_id).await
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.store.changed(after, wait).await
    }
}
