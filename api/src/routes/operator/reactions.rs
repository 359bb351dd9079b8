//! How reactions stand: part of what `/operator/projections` lists.

use crate::{App, Problem};
use circolo_domain::Timestamp;
use circolo_events::{
    EventStore,
    reactions::{CheckpointStore, Progress, ReactionError, progress},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A reaction: what follows from events in other streams, and happens beside the commands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReactionView {
    /// Its name.
    pub name: String,
    /// Everything up to here has had what follows from it.
    pub position: i64,
    /// Where the log ends.
    pub head: i64,
    /// How many events it has not looked at, at most.
    pub lag_events: i64,
    /// For how long the oldest of them has waited.
    pub lag_seconds: f64,
    /// Whether it cannot go on for now; it is tried again and again.
    pub failing: bool,
    /// How it failed the last time, if it ever did.
    pub failure: Option<ReactionFailure>,
}

/// How a reaction fails, or failed the last time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReactionFailure {
    /// What went wrong.
    pub error: String,
    /// How often it was tried in vain, without having gone well in between.
    pub times: i64,
    /// When that began.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was tried last.
    #[schema(value_type = String, format = DateTime)]
    pub last: Timestamp,
}

impl ReactionView {
    fn new(progress: Progress, now: Timestamp) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
        let seconds = |since: Timestamp| (now.since(since).as_micros() as f64 / 1e6).max(0.0);
        Self {
            name: progress.name.to_owned(),
            position: progress.position.0,
            head: progress.head.0,
            lag_events: progress.lag(),
            lag_seconds: progress.waiting.map_or(0.0, seconds),
            failing: progress.fails(),
            failure: progress.failure.map(|failure| ReactionFailure {
                error: failure.error,
                times: failure.times,
                since: failure.since,
                last: failure.last,
            }),
        }
    }

    /// All reactions on this log.
    pub async fn all(store: &dyn EventStore, checkpoints: &dyn CheckpointStore, now: Timestamp) -> Result<Vec<Self>, ReactionError> {
        Ok(progress(store, checkpoints).await?.into_iter().map(|progress| Self::new(progress, now)).collect())
    }

    /// Those of this server, and of the nodes that share its data.
    pub(crate) async fn of(app: &App) -> Result<Vec<Self>, Problem> {
        let found = Self::all(app.store(), app.checkpoints(), app.now()).await;
        found.map_err(|error| {
            tracing::warn!(%error, "it cannot be told how reactions stand");
            Problem::try_later("unavailable", "a part of the server cannot be reached")
        })
    }
}
