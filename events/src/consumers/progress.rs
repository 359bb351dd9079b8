//! How consumers stand, for those who run the server: how far each has come, and what keeps it from going on.

use super::{CheckpointStore, Consumer, ConsumerError, Name};
use crate::{EventStore, Position, StoreError};
use circolo_domain::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// How a consumer fails, or failed the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, the last time that it was tried.
    pub error: String,
    /// When it went wrong the first time without having gone well in between.
    pub since: Timestamp,
    /// When it was tried last.
    pub last: Timestamp,
    /// How often it was tried in vain.
    pub times: i64,
    /// Whether it still is; else the consumer has gone on.
    pub lasting: bool,
}

/// How a consumer stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Its name.
    pub name: Name,
    /// It is done with everything up to here.
    pub position: Position,
    /// Where the log ends.
    pub head: Position,
    /// When the oldest event was recorded that it has not looked at.
    pub waiting: Option<Timestamp>,
    /// How it failed the last time.
    pub failure: Option<Failure>,
    /// Since when it is paused.
    pub paused: Option<Timestamp>,
}

impl Progress {
    /// How many positions it is behind; positions are not dense, so this is an upper bound in events.
    pub fn lag(&self) -> i64 {
        (self.head.0 - self.position.0).max(0)
    }

    /// Whether it cannot go on for now.
    pub fn fails(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.lasting)
    }
}

/// How each of `consumers` stands.
pub async fn progress(
    store: &dyn EventStore,
    checkpoints: &dyn CheckpointStore,
    consumers: &[Arc<dyn Consumer>],
) -> Result<Vec<Progress>, ConsumerError> {
    let (head, paused) = (store.head().await?, checkpoints.paused().await?);
    let (mut found, mut oldest) = (Vec::new(), BTreeMap::new());
    for consumer in consumers {
        let name = consumer.name().clone();
        let position = checkpoints.load(name.as_str()).await?.unwrap_or_else(|| consumer.begins());
        // Most are in one place.
        let waiting = match oldest.get(&position) {
            Some(known) => *known,
            None => *oldest.entry(position).or_insert(waiting_behind(store, position, head).await?),
        };
        let (failure, paused) = (checkpoints.failure(name.as_str()).await?, paused.get(name.as_str()).copied());
        found.push(Progress { name, position, head, waiting, failure, paused });
    }
    Ok(found)
}

/// When the oldest event behind `position` was recorded.
async fn waiting_behind(store: &dyn EventStore, position: Position, head: Position) -> Result<Option<Timestamp>, ConsumerError> {
    if position >= head {
        return Ok(None);
    }
    match store.read_all(position, 1).await {
        Ok(page) => Ok(page.events.first().map(|stored| stored.event.recorded_at)),
        // Where the log is damaged that cannot be told, and all else can.
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What one consumer has noted of its failures.
pub(super) struct Trouble {
    name: Name,
    failure: Option<Failure>,
    /// A failure that was noted before this process, or this turn of it, began may be over.
    asked: bool,
}

impl Trouble {
    pub(super) const fn new(name: Name) -> Self {
        Self { name, failure: None, asked: false }
    }

    /// It went well.
    pub(super) async fn is_over(&mut self, checkpoints: &dyn CheckpointStore) {
        self.ask(checkpoints).await;
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.lasting) {
            let over = Failure { lasting: false, ..failure.clone() };
            if tell(&self.name, checkpoints.note(self.name.as_str(), &over).await) {
                *failure = over;
            }
        }
    }

    /// It did not.
    pub(super) async fn lasts(&mut self, checkpoints: &dyn CheckpointStore, error: &ConsumerError, now: Timestamp) {
        self.ask(checkpoints).await;
        let (since, times) = self.failure.as_ref().filter(|failure| failure.lasting).map_or((now, 0), |known| (known.since, known.times));
        let failure = Failure { error: error.to_string(), since, last: now, times: times + 1, lasting: true };
        tell(&self.name, checkpoints.note(self.name.as_str(), &failure).await);
        self.failure = Some(failure);
    }

    async fn ask(&mut self, checkpoints: &dyn CheckpointStore) {
        if !self.asked
            && let Ok(known) = checkpoints.failure(self.name.as_str()).await
        {
            (self.failure, self.asked) = (known, true);
        }
    }
}

/// Where checkpoints cannot be kept nothing can be noted; the consumer itself tells of that.
fn tell(consumer: &Name, outcome: Result<(), ConsumerError>) -> bool {
    outcome.inspect_err(|error| tracing::debug!(%consumer, %error, "how a consumer fails cannot be noted")).is_ok()
}
