//! How reactions stand, for those who run the server: how far each has come, and what keeps it from going on.

use super::{CheckpointStore, ReactionError, all};
use crate::{EventStore, Position, StoreError};
use circolo_domain::Timestamp;

/// How a reaction fails, or failed the last time.
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
    /// Whether it still is; else the reaction has gone on.
    pub lasting: bool,
}

/// How a reaction stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Its name.
    pub name: &'static str,
    /// Everything up to here has had what follows from it.
    pub position: Position,
    /// Where the log ends.
    pub head: Position,
    /// When the oldest event was recorded that it has not looked at.
    pub waiting: Option<Timestamp>,
    /// How it failed the last time.
    pub failure: Option<Failure>,
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

/// How all reactions stand.
pub async fn progress(store: &dyn EventStore, checkpoints: &dyn CheckpointStore) -> Result<Vec<Progress>, ReactionError> {
    let head = store.head().await?;
    let mut found = Vec::new();
    for reaction in all() {
        let name = reaction.name();
        let position = checkpoints.load(name).await?.unwrap_or_default();
        let waiting = match store.read_all(position, 1).await {
            Ok(page) => page.events.first().map(|stored| stored.event.recorded_at).filter(|_| position < head),
            // Where the log is damaged that cannot be told, and all else can.
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        found.push(Progress { name, position, head, waiting, failure: checkpoints.failure(name).await? });
    }
    Ok(found)
}

/// What one reaction has noted of its failures.
pub(super) struct Trouble {
    name: &'static str,
    failure: Option<Failure>,
    /// A failure that was noted before this process, or this turn of it, began may be over.
    asked: bool,
}

impl Trouble {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, failure: None, asked: false }
    }

    /// It went well.
    pub(super) async fn is_over(&mut self, checkpoints: &dyn CheckpointStore) {
        self.ask(checkpoints).await;
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.lasting) {
            let over = Failure { lasting: false, ..failure.clone() };
            if tell(self.name, checkpoints.note(self.name, &over).await) {
                *failure = over;
            }
        }
    }

    /// It did not.
    pub(super) async fn lasts(&mut self, checkpoints: &dyn CheckpointStore, error: &ReactionError, now: Timestamp) {
        self.ask(checkpoints).await;
        let (since, times) = self.failure.as_ref().filter(|failure| failure.lasting).map_or((now, 0), |known| (known.since, known.times));
        let failure = Failure { error: error.to_string(), since, last: now, times: times + 1, lasting: true };
        tell(self.name, checkpoints.note(self.name, &failure).await);
        self.failure = Some(failure);
    }

    async fn ask(&mut self, checkpoints: &dyn CheckpointStore) {
        if !self.asked
            && let Ok(known) = checkpoints.failure(self.name).await
        {
            (self.failure, self.asked) = (known, true);
        }
    }
}

/// Where checkpoints cannot be kept nothing can be noted; the reaction itself tells of that.
fn tell(reaction: &str, outcome: Result<(), ReactionError>) -> bool {
    outcome.inspect_err(|error| tracing::debug!(reaction, %error, "how a reaction fails cannot be noted")).is_ok()
}
