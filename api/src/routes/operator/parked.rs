//! `/operator/projections/{name}/parked`: streams that a read model leaves out, as an event of theirs cannot be read.

use crate::{
    App, Problem,
    caller::{Authenticated, Operator},
    extract::{Json, Path},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{
    Reason, StreamName, Timestamp,
    skip::{self, Skip},
};
use circolo_events::Stored;
use circolo_projections::ParkedStream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_parked)).routes(routes!(skip_event))
}

/// The streams that builds of a projection leave out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ParkedList {
    /// By build, those of the live build last.
    pub items: Vec<ParkedView>,
}

/// A stream that a build leaves out, from an event on that cannot be read.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ParkedView {
    /// The stream.
    pub stream: String,
    /// Number of the build that leaves it out.
    pub build: i64,
    /// Where that build is in its life.
    pub state: String,
    /// Where the event stands in the log.
    pub position: i64,
    /// The event.
    pub event: Uuid,
    /// Its stored type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Why it cannot be read.
    pub error: String,
    /// Whether it was decided to pass over it: the next build, which begins by itself, then leaves nothing out because of it.
    pub skipped: bool,
    /// Since when the stream is left out.
    #[schema(value_type = String, format = DateTime)]
    pub parked_at: Timestamp,
}

impl From<ParkedStream> for ParkedView {
    fn from(stream: ParkedStream) -> Self {
        let poison = stream.parked.poison;
        Self {
            stream: poison.stream.to_string(),
            build: stream.build,
            state: stream.state.name().to_owned(),
            position: poison.position.0,
            event: poison.event,
            event_type: poison.event_type,
            error: poison.error,
            skipped: stream.skipped,
            parked_at: stream.parked.since,
        }
    }
}

/// Why an event is passed over.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipEvent {
    /// Kept in the log.
    #[schema(value_type = String, min_length = 1, max_length = 5_000)]
    pub reason: Reason,
}

/// An event that is passed over from now on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SkippedView {
    /// The event.
    pub event: Uuid,
    /// Its stream.
    pub stream: String,
    /// Where the decision stands in the log.
    pub position: i64,
}

/// The event that keeps `stream` out of the build that matters most, and the command that passes over it.
pub fn skipping(parked: Vec<ParkedStream>, stream: &str, reason: Reason) -> Option<(StreamName, skip::Command)> {
    let found = parked.into_iter().rfind(|parked| parked.parked.poison.stream.as_str() == stream)?;
    let poison = found.parked.poison;
    let command = skip::Command::SkipEvent { event: poison.event, stream: poison.stream, event_type: poison.event_type, reason };
    Some((skip::stream(poison.event), command))
}

/// The command that passes over an event of the log, and its stream.
pub fn skipping_event(Stored { stream, event, .. }: Stored, reason: Reason) -> (StreamName, skip::Command) {
    let decision = skip::stream(event.id);
    (decision, skip::Command::SkipEvent { event: event.id, stream, event_type: event.event_type, reason })
}

/// The streams that a projection leaves out, and why.
#[utoipa::path(
    get, path = "/operator/projections/{name}/parked", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ParkedList), Failures)
)]
async fn list_parked(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ParkedList>, Problem> {
    let items = app.projector().parked(&name).await?.into_iter().map(ParkedView::from).collect();
    Ok(Json(ParkedList { items }))
}

/// Pass over the event that keeps a stream parked, on all nodes and from now on. What is live is built anew by itself.
#[utoipa::path(
    post, path = "/operator/projections/{name}/parked/{stream}/skip", tag = "operator",
    params(("name" = String, Path,), ("stream" = String, Path,)), request_body = SkipEvent,
    responses((status = 200, body = SkippedView), Failures)
)]
async fn skip_event(
    State(app): State<App>,
    _: Operator,
    call: Authenticated,
    Path((name, stream)): Path<(String, String)>,
    Json(body): Json<SkipEvent>,
) -> Result<Json<SkippedView>, Problem> {
    let parked = app.projector().parked(&name).await?;
    let (decision, command) = skipping(parked, &stream, body.reason).ok_or_else(Problem::not_found)?;
    let skip::Command::SkipEvent { event, .. } = command;
    let done = app.execute::<Skip>(&call, &decision, command, None).await?;
    Ok(Json(SkippedView { event, stream, position: done.position.0 }))
}
