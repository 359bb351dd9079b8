//! A log with a gate: while it is shut, whoever reads all of it waits; and one that fails to read what begins with a prefix.

use async_trait::async_trait;
use circolo_domain::StreamName;
use circolo_events::{Append, Appended, EventStore, LogId, Page, Position, Revision, StoreError, Stored};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// A log behind which another one is.
pub struct Gated<S> {
    store: S,
    shut: watch::Sender<bool>,
    fails: watch::Sender<bool>,
}

impl<S> Gated<S> {
    /// The gate is open.
    pub fn new(store: S) -> Self {
        Self { store, shut: watch::Sender::new(false), fails: watch::Sender::new(false) }
    }

    /// Shuts the gate before those who read all of the log, or opens it.
    pub fn shut(&self, shut: bool) {
        self.shut.send_replace(shut);
    }

    /// Lets reads of what begins with a prefix fail, or not.
    pub fn fail(&self, fails: bool) {
        self.fails.send_replace(fails);
    }
}

#[async_trait]
impl<S: EventStore> EventStore for Gated<S> {
    fn log_id(&self) -> LogId {
        self.store.log_id()
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.store.append(append).await
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        self.store.append_many(appends).await
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.store.read(stream, from, limit).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        if *self.fails.borrow() {
            return Err(StoreError::Unavailable("the index is away".into()));
        }
        self.store.read_prefix(prefix, after, until, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        // The sender lives as long as `self`.
        let _ = self.shut.subscribe().wait_for(|shut| !shut).await;
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
