//! A log whose personal texts are null, so that what is folded from it holds none.

use super::line::{masked_data, masked_metadata};
use crate::{Append, Appended, EventStore, LogId, Page, Position, Revision, StoreError, Stored};
use async_trait::async_trait;
use circolo_domain::StreamName;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Another log, masked. What cannot be masked, because its type is unknown here, has a payload that cannot be read either.
/// Takes no appends.
pub struct Masked(pub Arc<dyn EventStore>);

fn mask(mut stored: Stored) -> Stored {
    let text = |masked: Option<Box<serde_json::value::RawValue>>| {
        masked.map_or_else(|| "null".to_owned(), |raw| Box::<str>::from(raw).into_string())
    };
    stored.event.data = text(masked_data(&stored.event));
    stored.event.metadata = text(masked_metadata(&stored.event));
    stored
}

fn masked(events: Vec<Stored>) -> Vec<Stored> {
    events.into_iter().map(mask).collect()
}

#[async_trait]
impl EventStore for Masked {
    fn log_id(&self) -> LogId {
        self.0.log_id()
    }

    async fn append(&self, _: Append) -> Result<Appended, StoreError> {
        Err(StoreError::Invalid("a masked log is only read"))
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        appends.iter().map(|_| Err(StoreError::Invalid("a masked log is only read"))).collect()
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        Ok(masked(self.0.read(stream, from, limit).await?))
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        let page = self.0.read_prefix(prefix, after, until, limit).await?;
        Ok(Page { events: masked(page.events), ..page })
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        let page = self.0.read_all(after, limit).await?;
        Ok(Page { events: masked(page.events), ..page })
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.0.head().await
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        Ok(self.0.find(stream, command_id).await?.map(|(stored, appended)| (mask(stored), appended)))
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.0.changed(after, wait).await
    }
}
