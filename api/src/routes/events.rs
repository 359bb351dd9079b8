//! `/events`: the log itself, masked, for analysts.

use crate::{
    App, Problem,
    caller::Analyst,
    extract::Query,
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{Event, masked};
use circolo_events::{Page, Position, StoreError, Stored};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// Events read at once while one looks for those of a type.
const SCAN: usize = 1_000;
/// How often a request reads on before it answers with what it has.
const SCANS: usize = 10;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListEvents {
    /// Only events of this type: `question.posted.v1`, or its beginning up to a dot: `question.posted`, `question`
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only events of streams whose name begins so: `question-`, `membership-{group}.`
    stream: Option<String>,
    /// At most so many
    limit: Option<Limit>,
    /// Go on after the page that gave this as `next`
    after: Option<Cursor>,
}

/// An event of the log. Names and free text of persons are null.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
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
    /// The facts; null if this server does not know the type, and so cannot mask it.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: circolo_domain::Timestamp,
    /// What is known beside the facts.
    metadata: EventMetadata,
}

/// What is known of an event beside its facts.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct EventMetadata {
    /// Who did it; null for the server itself.
    actor: Option<Uuid>,
    /// The command that led to it.
    command: String,
    /// The command's id.
    command_id: Uuid,
    /// What it belongs to.
    correlation: Uuid,
    /// The event that led to this one.
    #[serde(default)]
    causation: Option<Uuid>,
    /// Where it happened, and how private that was.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    scope: Option<Value>,
}

impl From<Stored> for EventView {
    fn from(stored: Stored) -> Self {
        let known = Event::decode(&stored.event.event_type, &stored.event.data).ok();
        let data = known.and_then(|event| RawValue::from_string(masked(|| event.encode().data)).ok());
        Self {
            position: stored.position.0,
            id: stored.event.id,
            stream: stored.stream.to_string(),
            revision: stored.revision,
            event_type: stored.event.event_type,
            data,
            recorded_at: stored.event.recorded_at,
            metadata: serde_json::from_str(&stored.event.metadata).unwrap_or_default(),
        }
    }
}

/// Read the log.
///
/// `next` is always given, so that a reader can follow the log: it is the same as `after` when there is nothing new. A page
/// may be empty and not the last one if the events asked for are rare. Needs the scope `analyst`.
#[utoipa::path(get, path = "/events", tag = "events", params(ListEvents), responses((status = 200, body = Listing<EventView>), Failures))]
async fn list_events(State(app): State<App>, _: Analyst, Query(query): Query<ListEvents>) -> Result<Listing<EventView>, Problem> {
    let after = query.after.as_ref().map(|cursor| cursor.read("events")).transpose()?.map_or(Position::START, Position);
    let limit = query.limit.unwrap_or_default().get();
    let page = read(&app, &query, after, limit).await?;
    Ok(Listing {
        items: page.events.into_iter().map(EventView::from).collect(),
        next: Some(Cursor::new("events", &page.scanned).into_text()),
    })
}

async fn read(app: &App, query: &ListEvents, after: Position, limit: usize) -> Result<Page, StoreError> {
    let head = app.store().head().await?;
    let mut found = Page { events: vec![], scanned: after };
    for _ in 0..SCANS {
        // Without a filter every event counts, so there is no use in reading more than are asked for.
        let size = if query.event_type.is_none() { limit } else { SCAN };
        let page = match &query.stream {
            Some(prefix) => app.store().read_prefix(prefix, found.scanned, head, size).await?,
            None => app.store().read_all(found.scanned, size).await?,
        };
        let full = page.events.len() == size;
        for stored in page.events {
            let (position, wanted) = (stored.position, query.wants(&stored.event.event_type));
            if wanted {
                found.events.push(stored);
            }
            if found.events.len() == limit {
                return Ok(Page { scanned: position, ..found });
            }
        }
        found.scanned = page.scanned.max(found.scanned);
        if !full {
            break;
        }
    }
    Ok(found)
}

impl ListEvents {
    fn wants(&self, event_type: &str) -> bool {
        let begins = |wanted: &str| event_type.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.event_type.as_deref().is_none_or(begins)
    }
}
