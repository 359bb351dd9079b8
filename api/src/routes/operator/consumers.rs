//! `/operator/consumers`: who does something about what happens in the log, beside the commands; how each stands, to pause and resume.

use crate::{
    App, Problem,
    caller::Operator,
    extract::{Json, Path},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::Timestamp;
use circolo_events::{
    EventStore,
    consumers::{CheckpointStore, Consumer, ConsumerError, Progress, progress},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_consumers)).routes(routes!(pause_consumer)).routes(routes!(resume_consumer))
}

/// All consumers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ConsumerList {
    /// By name.
    pub items: Vec<ConsumerView>,
}

/// Who does something about what happens, beside the commands: a reaction issues what follows from events in other streams.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConsumerView {
    /// Its name: a kind, and where there are several of it, a key behind a colon.
    pub name: String,
    /// What kind of consumer it is.
    pub kind: String,
    /// `running`, `paused` by an operator, or `failing`: then it is tried again and again.
    pub state: String,
    /// It is done with everything up to here.
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
    pub failure: Option<ConsumerFailure>,
    /// Since when it is paused, if it is.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<Timestamp>,
}

/// How a consumer fails, or failed the last time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConsumerFailure {
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

impl ConsumerView {
    fn new(progress: Progress, now: Timestamp) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
        let seconds = |since: Timestamp| (now.since(since).as_micros() as f64 / 1e6).max(0.0);
        let state = match progress.paused {
            Some(_) => "paused",
            None if progress.fails() => "failing",
            None => "running",
        };
        Self {
            name: progress.name.to_string(),
            kind: progress.name.kind().to_owned(),
            state: state.to_owned(),
            position: progress.position.0,
            head: progress.head.0,
            lag_events: progress.lag(),
            lag_seconds: progress.waiting.map_or(0.0, seconds),
            failing: progress.fails(),
            failure: progress.failure.map(|failure| ConsumerFailure {
                error: failure.error,
                times: failure.times,
                since: failure.since,
                last: failure.last,
            }),
            paused_at: progress.paused,
        }
    }

    /// How each of `consumers` of this log stands.
    pub async fn all(
        store: &dyn EventStore,
        checkpoints: &dyn CheckpointStore,
        consumers: &[Arc<dyn Consumer>],
        now: Timestamp,
    ) -> Result<Vec<Self>, ConsumerError> {
        Ok(progress(store, checkpoints, consumers).await?.into_iter().map(|progress| Self::new(progress, now)).collect())
    }

    /// Those of this server, and of the nodes that share its data.
    pub(crate) async fn of(app: &App, consumers: &[Arc<dyn Consumer>]) -> Result<Vec<Self>, Problem> {
        Self::all(app.store(), app.checkpoints(), consumers, app.now()).await.map_err(|error| untold(&error))
    }
}

/// Where checkpoints are kept cannot be reached.
fn untold(error: &ConsumerError) -> Problem {
    tracing::warn!(%error, "it cannot be told how consumers stand");
    Problem::try_later("unavailable", "a part of the server cannot be reached")
}

/// How the consumer called `name` stands, after it was paused or resumed.
async fn after(app: &App, name: &str, pause: bool) -> Result<Json<ConsumerView>, Problem> {
    let consumer = app.consumers().find(name).ok_or_else(Problem::not_found)?;
    let (consumers, checkpoints) = (app.consumers(), app.checkpoints());
    let outcome = if pause {
        consumers.pause(checkpoints, consumer.name(), app.now()).await
    } else {
        consumers.resume(checkpoints, consumer.name()).await
    };
    outcome.map_err(|error| untold(&error))?;
    ConsumerView::of(app, &[consumer]).await?.pop().map(Json).ok_or_else(Problem::not_found)
}

/// All consumers of the log, and where they stand.
#[utoipa::path(get, path = "/operator/consumers", tag = "operator", responses((status = 200, body = ConsumerList), Failures))]
async fn list_consumers(State(app): State<App>, _: Operator) -> Result<Json<ConsumerList>, Problem> {
    Ok(Json(ConsumerList { items: ConsumerView::of(&app, &app.consumers().all()).await? }))
}

/// Let a consumer rest until it is resumed, also over a restart and on whichever node it runs. What it is at, it ends; all others go on.
#[utoipa::path(
    post, path = "/operator/consumers/{name}/pause", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ConsumerView), Failures)
)]
async fn pause_consumer(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ConsumerView>, Problem> {
    after(&app, &name, true).await
}

/// Let a consumer go on from where it was paused.
#[utoipa::path(
    post, path = "/operator/consumers/{name}/resume", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ConsumerView), Failures)
)]
async fn resume_consumer(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ConsumerView>, Problem> {
    after(&app, &name, false).await
}
