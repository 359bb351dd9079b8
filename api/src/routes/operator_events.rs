//! `/operator/events`: what stands where in the log, and what led to what; never what was said.

use super::operator::parked::{SkipEvent, SkippedView, skipping_event};
use crate::{
    App, Problem,
    caller::{Authenticated, Operator},
    extract::{Json, Path, Query},
    headers,
    listing::Limit,
    problem::Failures,
};
use axum::{extract::State, http::StatusCode};
use circolo_domain::{Timestamp, skip::Skip};
use circolo_events::{Metadata, Position, StoreError, Stored};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_log_entries)).routes(routes!(skip_log_entry))
}

/// Events read at once while one looks for those asked for.
const SCAN: usize = 1_000;
/// How often a request reads on before it answers with what it has.
const SCANS: usize = 10;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListLogEntries {
    /// Only events of this type: `question.posted.v1`, or its beginning up to a dot: `question.posted`, `question`
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only events of streams whose name begins so: `question-`, `membership-{group}.`
    stream: Option<String>,
    /// Only events of this request and what followed from it
    correlation: Option<Uuid>,
    /// Only what stands behind this position. Without it, the end of the log; with `stream`, all of the log
    #[serde(default, deserialize_with = "position")]
    #[param(value_type = Option<i64>, minimum = 0)]
    after: Option<Position>,
    /// At most so many
    #[serde(default)]
    limit: Limit,
}

fn position<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Position>, D::Error> {
    let text = String::deserialize(deserializer)?;
    headers::position(&text).map(Some).ok_or_else(|| de::Error::custom("bad_position: a position as it was given is expected"))
}

/// A part of the log.
#[derive(Debug, Serialize, ToSchema)]
struct LogEntryList {
    /// The entries, in the order of their positions.
    items: Vec<LogEntryView>,
    /// Behind this position was looked.
    after: i64,
    /// Up to this position was looked: send it as `after` to go on.
    next: i64,
    /// Where the log ends.
    head: i64,
}

/// An event without what it says.
#[derive(Debug, Serialize, ToSchema)]
struct LogEntryView {
    /// Its place in the log.
    position: i64,
    /// Its id.
    id: Uuid,
    /// Its stream.
    stream: String,
    /// Its place in the stream.
    revision: u64,
    /// What happened.
    #[serde(rename = "type")]
    event_type: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// The command that led to it.
    command: Option<String>,
    /// The command's id.
    command_id: Option<Uuid>,
    /// The request it belongs to.
    correlation: Option<Uuid>,
    /// The event that led to this one; null if that was a request.
    causation: Option<Uuid>,
}

impl LogEntryView {
    fn new(stored: Stored, metadata: Option<&Metadata>) -> Self {
        Self {
            position: stored.position.0,
            id: stored.event.id,
            stream: stored.stream.to_string(),
            revision: stored.revision,
            event_type: stored.event.event_type,
            recorded_at: stored.event.recorded_at,
            command: metadata.map(|metadata| metadata.command.clone()),
            command_id: metadata.map(|metadata| metadata.command_id),
            correlation: metadata.map(|metadata| metadata.correlation),
            causation: metadata.and_then(|metadata| metadata.causation),
        }
    }
}

impl ListLogEntries {
    fn wants(&self, event_type: &str, metadata: Option<&Metadata>) -> bool {
        let begins = |wanted: &str| event_type.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.event_type.as_deref().is_none_or(begins)
            && self.correlation.is_none_or(|wanted| metadata.is_some_and(|metadata| metadata.correlation == wanted))
    }

    /// Where to begin if nothing is said: where there is most to find for one request.
    async fn beginning(&self, app: &App) -> Result<Position, StoreError> {
        match self {
            Self { stream: Some(_), .. } => Ok(Position::START),
            Self { event_type: None, correlation: None, .. } => app.store().back(self.limit.get()).await,
            _ => app.store().back(SCAN * SCANS).await,
        }
    }

    async fn read(&self, app: &App, after: Position, head: Position) -> Result<(Vec<LogEntryView>, Position), StoreError> {
        let (mut found, mut scanned) = (vec![], after);
        for _ in 0..SCANS {
            let page = match &self.stream {
                Some(prefix) => app.store().read_prefix(prefix, scanned, head, SCAN).await?,
                None => app.store().read_all(scanned, SCAN).await?,
            };
            let full = page.events.len() == SCAN;
            for stored in page.events {
                let (position, metadata) = (stored.position, serde_json::from_str(&stored.event.metadata).ok());
                if self.wants(&stored.event.event_type, metadata.as_ref()) {
                    found.push(LogEntryView::new(stored, metadata.as_ref()));
                }
                if found.len() == self.limit.get() {
                    return Ok((found, position));
                }
            }
            scanned = page.scanned.max(scanned);
            if !full {
                break;
            }
        }
        Ok((found, scanned))
    }
}

/// Look into the log, without what was said.
///
/// `next` is always given; a page may be empty and not the last one if the events asked for are rare. Needs the scope
/// `operator`.
#[utoipa::path(get, path = "/operator/events", tag = "operator", params(ListLogEntries), responses((status = 200, body = LogEntryList), Failures))]
async fn list_log_entries(State(app): State<App>, _: Operator, Query(query): Query<ListLogEntries>) -> Result<Json<LogEntryList>, Problem> {
    let head = app.store().head().await?;
    let after = match query.after {
        Some(after) => after,
        None => query.beginning(&app).await?,
    };
    let (items, next) = query.read(&app, after, head).await?;
    Ok(Json(LogEntryList { items, after: after.0, next: next.0, head: head.0 }))
}

/// Pass over an event that cannot be read, whatever stream it is in: whoever folds or follows the log goes on as if it were not there.
/// One that can be read is 409 `readable`.
#[utoipa::path(
    post, path = "/operator/events/{position}/skip", tag = "operator", params(("position" = i64, Path, minimum = 1)),
    request_body = SkipEvent, responses((status = 200, body = SkippedView), Failures)
)]
async fn skip_log_entry(
    State(app): State<App>,
    _: Operator,
    call: Authenticated,
    Path(position): Path<i64>,
    Json(body): Json<SkipEvent>,
) -> Result<Json<SkippedView>, Problem> {
    let stored = match app.store().at(Position(position)).await? {
        Some(stored) if stored.decode().is_err() => stored,
        Some(_) => return Err(Problem::new(StatusCode::CONFLICT, "readable", "the event that stands there can be read")),
        None => return Err(Problem::not_found()),
    };
    let (event, stream) = (stored.event.id, stored.stream.to_string());
    let (decision, command) = skipping_event(stored, body.reason);
    let done = app.execute::<Skip>(&call, &decision, command, None).await?;
    Ok(Json(SkippedView { event, stream, position: done.position.0 }))
}
