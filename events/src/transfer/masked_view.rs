//! A log as a reader may look at it: up to an end, masked or not, and telling how far they have come.

use super::line::Line;
use crate::{Append, Appended, EventStore, LogId, Page, Position, Revision, StoreError, Stored, store::kept};
use async_trait::async_trait;
use circolo_domain::{StreamName, Timestamp};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// Told how far the reader has come.
pub type Progress = Box<dyn Fn(Position) + Send + Sync>;

/// A view of another log. Takes no appends.
pub struct MaskedView {
    store: Arc<dyn EventStore>,
    end: Position,
    masked: bool,
    progress: Progress,
    last: Mutex<Option<(Position, Timestamp)>>,
}

impl MaskedView {
    /// `store` up to and including `end`. Masked, it is read as it is kept, and every personal text is null, so that what is folded from it holds none; what
    /// cannot be masked, because its type is unknown here, cannot be read either.
    pub fn new(store: Arc<dyn EventStore>, end: Position, masked: bool, progress: Progress) -> Self {
        let store = if masked { kept(&store) } else { store };
        Self { store, end, masked, progress, last: Mutex::default() }
    }

    /// Place and time of the furthest event that was read.
    pub fn last(&self) -> Option<(Position, Timestamp)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, mut page: Page) -> Page {
        page.events.retain(|stored| stored.position <= self.end);
        page.scanned = page.scanned.min(self.end);
        if let Some(stored) = page.events.last() {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = (*last).max(Some((stored.position, stored.event.recorded_at)));
        }
        (self.progress)(page.scanned);
        Page { events: self.mask(page.events), ..page }
    }

    fn mask(&self, events: Vec<Stored>) -> Vec<Stored> {
        if self.masked { events.into_iter().map(|stored| Line::masked(stored).into()).collect() } else { events }
    }
}

const READ_ONLY: StoreError = StoreError::Invalid("in a view a log is only read");

#[async_trait]
impl EventStore for MaskedView {
    fn log_id(&self) -> LogId {
        self.store.log_id()
    }

    async fn append(&self, _: Append) -> Result<Appended, StoreError> {
        Err(READ_ONLY)
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        appends.iter().map(|_| Err(READ_ONLY)).collect()
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let mut events = self.store.read(stream, from, limit).await?;
        events.retain(|stored| stored.position <= self.end);
        Ok(self.mask(events))
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        Ok(self.see(self.store.read_prefix(prefix, after, until.min(self.end), limit).await?))
    }

    /// Also those behind the end: what was passed over later is no part of the past either.
    async fn read_skips(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.store.read_skips(after, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        if after >= self.end {
            return Ok(Page { events: vec![], scanned: after });
        }
        Ok(self.see(self.store.read_all(after, limit).await?))
    }

    async fn at(&self, position: Position) -> Result<Option<Stored>, StoreError> {
        let found = self.store.at(position).await?.filter(|stored| stored.position <= self.end);
        Ok(found.map(|stored| self.mask(vec![stored]).remove(0)))
    }

    async fn before(&self, position: Position) -> Result<Position, StoreError> {
        self.store.before(position).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.store.head().await?.min(self.end))
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        let found = self.store.find(stream, command_id).await?.filter(|(stored, _)| stored.position <= self.end);
        Ok(found.map(|(stored, appended)| (self.mask(vec![stored]).remove(0), appended)))
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        Ok(self.store.changed(after, wait).await?.min(self.end))
    }
}
