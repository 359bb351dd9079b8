//! `/events`: the log itself, for analysts; masked, unless the token allows more and the request says so.

use crate::{
    App, Problem,
    caller::Analyst,
    extract::Query,
    headers,
    listing::{Cursor, Limit, Listing},
    place::Place,
    problem::Failures,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use circolo_domain::Timestamp;
use circolo_events::{
    EventStore, Page, Position, StoreError, Stored,
    sealing::Owner,
    store::kept,
    transfer::{Filter, Line, Pages, end},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, io, sync::Arc};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// Events read at once while one looks for those that are rare.
const SCAN: usize = 1_000;
/// How often a request reads on before it answers with what it has.
const SCANS: usize = 10;
/// The media type of one JSON object per line.
pub const NDJSON: &str = "application/x-ndjson";

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListEvents {
    /// Only events of this type: `question.posted.v1`, or its beginning up to a dot: `question.posted`, `question`. Several are
    /// separated by commas
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only events of streams whose name begins so: `question-`, `membership-{group}.`
    stream: Option<String>,
    /// Only events at this position or later
    from: Option<i64>,
    /// Only events at this position or earlier
    to: Option<i64>,
    /// Only events that were recorded then or later
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only events that were recorded before that
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Personal text as it is, instead of null. Needs the scope `analyst:unmask`; each use is recorded in the log
    #[serde(default)]
    #[param(required = false)]
    unmask: bool,
    /// At most so many; as NDJSON, all if not said
    limit: Option<Limit>,
    /// Go on after the page that gave this as `next`
    after: Option<Cursor>,
}

/// An event of the log.
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
    /// The facts; null if they had to be masked and this server does not know the type.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// What is known beside the facts.
    #[schema(value_type = Option<EventMetadata>)]
    metadata: Option<Box<RawValue>>,
    /// Whether names and free text of persons were replaced by null. The salt of person ids always is.
    masked: bool,
    /// Whose the texts are, by JSON pointers into `data`: `person-...`, `page-...`. Only where they are not masked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<HashMap<String, String>>)]
    owners: BTreeMap<String, Owner>,
    /// What a masked event does not tell, as a hash by which two logs can be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_sha256: Option<String>,
}

/// What is known of an event beside its facts.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes stored JSON that is sent as it is")]
pub struct EventMetadata {
    /// Who did it; absent for the server itself.
    actor: Option<Uuid>,
    /// The command that led to it.
    command: String,
    /// The command's id.
    command_id: Uuid,
    /// Fingerprint of a request with an idempotency key; not in masked events.
    fingerprint: Option<String>,
    /// What it belongs to.
    correlation: Uuid,
    /// The event that led to this one.
    causation: Option<Uuid>,
    /// Where it happened, and how private that was.
    #[schema(value_type = Option<Object>)]
    scope: Option<()>,
    /// Whom it concerns beside who did it, as far as that is told; absent where it is nobody.
    concerns: Option<Vec<Uuid>>,
}

impl From<Line> for EventView {
    fn from(line: Line) -> Self {
        let Line { position, id, stream, revision, event_type, data, recorded_at, metadata, masked, owners, sealed_sha256 } = line;
        let (position, stream) = (position.0, stream.to_string());
        Self { position, id, stream, revision, event_type, data, recorded_at, metadata, masked, owners, sealed_sha256 }
    }
}

impl ListEvents {
    fn filter(&self) -> Filter {
        let types = self.event_type.iter().flat_map(|types| types.split(',')).map(|name| name.trim().to_owned()).collect();
        let (from, to) = (self.from.map(Position), self.to.map(Position));
        Filter { types, stream: self.stream.clone(), from, to, since: self.since, until: self.until }
    }
}

/// Read the log.
///
/// `next` is always given, so that a reader can follow the log: it is the same as `after` when there is nothing new. A page
/// may be empty and not the last one if the events asked for are rare. With `Accept: application/x-ndjson` the answer is all
/// events up to the end of the log when the request came, one JSON object per line. Needs the scope `analyst`.
#[utoipa::path(
    get, path = "/events", tag = "events", params(ListEvents),
    responses(
        (
            status = 200,
            content((Listing<EventView> = "application/json"), (EventView = "application/x-ndjson")),
            headers(
                ("Circolo-Log" = String, description = "Identity of the log: positions of another one mean nothing here"),
                ("Circolo-Position" = i64, description = "The end of what is asked for: where the log ends now, or `to`")
            )
        ),
        Failures
    )
)]
async fn list_events(
    State(app): State<App>,
    analyst: Analyst,
    Query(query): Query<ListEvents>,
    uri: Uri,
    accepted: HeaderMap,
) -> Result<Response, Problem> {
    if query.unmask {
        analyst.may_unmask()?;
    }
    let filter = query.filter();
    let after = match &query.after {
        Some(cursor) => go_on(&app, cursor).await?,
        None => Position::START,
    };
    let end = end(app.store(), &filter).await?;
    if query.unmask {
        app.record_unmasking(&analyst, uri.query().unwrap_or_default()).await?;
    }
    let (log, masked) = (app.store().log_id(), !query.unmask);
    let mut response = if wants_lines(&accepted) {
        let left = query.limit.map_or(usize::MAX, Limit::get);
        Lines { app, filter, after, end, masked, left }.into_response()
    } else {
        let limit = query.limit.unwrap_or_default().get();
        let after = filter.after(app.store(), after).await?;
        let page = read(&*log_of(&app, masked), &filter, after, end, limit).await?;
        let items = page.events.into_iter().map(|stored| EventView::from(Line::told(stored, masked))).collect();
        Listing { items, next: Some(ending(&app, page.scanned).await?.into_text()) }.into_response()
    };
    for (name, value) in [(headers::LOG, log.to_string()), (headers::POSITION, end.to_string())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The cursor of a page that ends at `position`; it names the log's history, where an event stands there.
async fn ending(app: &App, position: Position) -> Result<Cursor, Problem> {
    Ok(Cursor::new("events", &(position, Place::at(app, position).await?)))
}

/// Where the page before ended, if what stands there is what stood there.
async fn go_on(app: &App, cursor: &Cursor) -> Result<Position, Problem> {
    let (position, place): (Position, Option<String>) = cursor.read("events")?;
    let Some(place) = place else { return Ok(position) };
    let stands = Place::at(app, position).await?.map(|place| place.to_string());
    if stands.is_some_and(|stands| stands == place) {
        return Ok(position);
    }
    let detail =
        "something else stands where this page ended: it is another log, or it was restored from an older copy; read on with from=";
    Err(Problem::new(StatusCode::CONFLICT, "other_history", detail))
}

fn wants_lines(headers: &HeaderMap) -> bool {
    let named = |value: &str| value.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(NDJSON));
    headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(named))
}

/// The log to read from: what is masked stays sealed, and needs no key.
fn log_of(app: &App, masked: bool) -> Arc<dyn EventStore> {
    if masked { kept(app.log()) } else { Arc::clone(app.log()) }
}

async fn read(log: &dyn EventStore, filter: &Filter, after: Position, end: Position, limit: usize) -> Result<Page, StoreError> {
    let mut found = Page { events: vec![], scanned: after };
    for _ in 0..SCANS {
        // Where every event counts there is no use in reading more than are asked for.
        let size = if filter.is_sparse() { SCAN } else { limit };
        let page = match &filter.stream {
            Some(prefix) => log.read_prefix(prefix, found.scanned, end, size).await?,
            None => log.read_all(found.scanned, size).await?,
        };
        let full = page.events.len() == size;
        for stored in page.events {
            let position = stored.position;
            if filter.to.is_some_and(|to| position > to) {
                return Ok(found);
            }
            if filter.wants(&stored) {
                found.events.push(stored);
            }
            found.scanned = position;
            if found.events.len() == limit {
                return Ok(found);
            }
        }
        found.scanned = page.scanned.max(found.scanned);
        if !full {
            break;
        }
    }
    Ok(found)
}

/// All events up to `end`, sent as they are read: however many there are, a page at a time is in memory.
struct Lines {
    app: App,
    filter: Filter,
    after: Position,
    end: Position,
    masked: bool,
    left: usize,
}

impl Lines {
    async fn next(mut self) -> Option<(io::Result<Vec<u8>>, Self)> {
        if self.left == 0 {
            return None;
        }
        let log = log_of(&self.app, self.masked);
        let batch = Pages::new(&*log, &self.filter, self.after, self.end).next().await;
        let chunk = match batch {
            Ok(None) => return None,
            Ok(Some(mut batch)) => {
                batch.events.truncate(self.left);
                self.left -= batch.events.len();
                self.after = batch.scanned;
                Self::text(batch.events, self.masked)
            }
            // The status was sent long ago: breaking the connection off is what the reader can see.
            Err(error) => {
                tracing::warn!(%error, "the log could not be read on");
                self.left = 0;
                Err(io::Error::other(error))
            }
        };
        Some((chunk, self))
    }

    fn text(events: Vec<Stored>, masked: bool) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(events.len() * 400);
        for stored in events {
            serde_json::to_writer(&mut text, &EventView::from(Line::told(stored, masked)))?;
            text.push(b'\n');
        }
        Ok(text)
    }
}

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        let body = Body::from_stream(stream::unfold(self, Self::next));
        ([(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON))], body).into_response()
    }
}
