//! `/changes`: what happened, as far as the caller may know, from any position on.
//!
//! - `reader`: walks along the log with the caller's rights
//! - `rights`: these, looked up once and anew when an event may have changed them
//! - `live`: the same as server-sent events

mod live;
mod reader;
mod rights;

use crate::{
    App, Problem,
    caller::MaybeCaller,
    extract::{Json, Query},
    headers,
    listing::Limit,
    place::Place,
    problem::Failures,
    rate::Asker,
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use circolo_domain::{
    PersonId, Thing, ThingKind, Timestamp,
    access::{Owner, Scope},
    change::{Change, Shown},
    stance::Voice,
};
use circolo_events::{LogId, Recorded};
use reader::Reader;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_changes))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListChanges {
    /// Only what stands behind this place: `next` of the answer before, or a `place`; 0 for everything. Without it, only what
    /// happens from now on.
    #[serde(default, deserialize_with = "place")]
    #[param(value_type = Option<String>)]
    after: Option<Place>,
    /// At most so many
    #[serde(default)]
    limit: Limit,
    /// If there is nothing yet, wait for so many seconds, or less if the installation says so
    #[serde(default, deserialize_with = "seconds")]
    #[param(value_type = Option<u32>, minimum = 0, maximum = 30)]
    wait: u64,
}

fn place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Place>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Place::parse(&text).map(Some).ok_or_else(|| de::Error::custom("bad_position: a place as it was given is expected, or 0"))
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        seconds @ 0..=30 => Ok(seconds),
        _ => Err(de::Error::custom("out_of_range: a number from 0 to 30 is expected")),
    }
}

/// A part of the change feed.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeList {
    /// The changes, in the order of their positions.
    items: Vec<ChangeView>,
    /// Send this as `after` to go on. It may move on without items: then what happened was not for the caller.
    #[schema(value_type = String)]
    next: Place,
}

/// Something happened to a thing that the caller may read: read it anew.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeView {
    /// Its place in the feed: send it as `after` to go on behind it.
    #[schema(value_type = String)]
    place: Place,
    /// Its position in the log, for `Circolo-Min-Position`.
    position: i64,
    /// What sort of thing.
    kind: ThingKind,
    /// The thing; for a membership or a conversation, the person.
    id: Uuid,
    /// What happened to it, such as `written`, `edited`, `removed`, `given` (a reaction); `departed` where the caller may not
    /// know how a membership ended.
    action: String,
    /// The event's type, such as `post.written.v1`; absent where it would tell more than the caller may know.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// What it is under: the post of a comment, the question of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<Uuid>,
    /// The group it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<Uuid>,
    /// The page it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_id: Option<Uuid>,
    /// Whose words it is, or the caller's own doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<ActorView>,
    /// Revision of the thing after it, where the thing shows the caller one.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// A person, or a page.
#[derive(Debug, Serialize, ToSchema)]
struct ActorView {
    /// `person` or `page`.
    kind: &'static str,
    /// The person or the page.
    id: Uuid,
}

impl From<Voice> for ActorView {
    fn from(voice: Voice) -> Self {
        match voice {
            Voice::Person(person) => Self { kind: "person", id: person.0 },
            Voice::Page(page) => Self { kind: "page", id: page.0 },
        }
    }
}

/// What is told, before it is known how much of it.
#[derive(Clone, Copy)]
struct Told<'a> {
    log: LogId,
    change: &'a Change,
    event: &'a Recorded,
    event_type: &'a str,
}

impl ChangeView {
    fn new(told: Told<'_>, view: reader::View, reader: Option<PersonId>) -> Self {
        let Told { log, change, event, event_type } = told;
        let owner = owner(change.thing, event.metadata.scope);
        let own = event.metadata.actor.filter(|actor| Some(*actor) == reader).map(Voice::Person);
        let full = view.shown == Shown::Full;
        Self {
            place: Place::of(log, event.position, event.id),
            position: event.position.0,
            kind: change.thing.kind(),
            id: change.thing.id(),
            action: if full { event_type.split('.').nth(1).unwrap_or_default() } else { "departed" }.to_owned(),
            event_type: full.then(|| event_type.to_owned()),
            parent_id: view.parent.filter(|_| matches!(change.thing, Thing::Comment(_))).or(change.thing.parent()),
            group_id: owner.and_then(|owner| if let Owner::Group(group) = owner { Some(group.0) } else { None }),
            page_id: owner.and_then(|owner| if let Owner::Page(page) = owner { Some(page.0) } else { None }),
            actor: change.author.or(own).map(ActorView::from),
            revision: (change.revised && view.follows).then_some(event.revision),
            recorded_at: event.recorded_at,
        }
    }
}

/// Whose place the thing is in; groups and pages are places themselves.
fn owner(thing: Thing, scope: Option<Scope>) -> Option<Owner> {
    match thing {
        Thing::Conversation(page, _) => Some(Owner::Page(page)),
        Thing::Membership(group, _) => Some(Owner::Group(group)),
        Thing::Group(_) | Thing::Page(_) | Thing::Person(_) => None,
        Thing::Answer(..) | Thing::Comment(_) | Thing::Listing(_) | Thing::Post(_) | Thing::Question(_) => scope.map(|scope| scope.owner),
    }
}

/// Follow what happens.
///
/// Answers with the changes behind `after` to things that the caller may read now, and with `next`, the place to go on
/// from: nothing is skipped between two answers. With `Accept: text/event-stream` the changes are sent as they come, each as
/// an event whose id is its place; `Last-Event-ID` resumes. A place of another history of the log, such as one that was lost
/// when an older copy was restored, is 409 `other_history`. A change holds no content: read the thing anew. What the
/// caller may not read any longer is not told of, neither now nor from the past.
#[utoipa::path(
    get,
    path = "/changes",
    tag = "changes",
    params(ListChanges, ("Last-Event-ID" = Option<String>, Header, description = "Where a stream broke off; it counts before `after`")),
    responses(
        (status = 200, content((ChangeList = "application/json"), (String = "text/event-stream"))),
        Failures
    )
)]
async fn list_changes(
    State(app): State<App>,
    caller: MaybeCaller,
    asker: Asker,
    request: HeaderMap,
    Query(query): Query<ListChanges>,
) -> Result<Response, Problem> {
    let head = app.store().head().await?;
    let after = match headers::last_event_id(&request, Place::parse)?.or(query.after) {
        Some(after) => {
            after.check(&app, head).await?;
            after
        }
        // Behind the head there is nothing that was told of before.
        None => Place::at(&app, head).await?.ok_or_else(|| Problem::internal(&"no event stands at the head"))?,
    };
    if accepts_events(&request) {
        return live::stream(app, caller, asker, after);
    }
    let wait = Duration::from_secs(query.wait).min(app.config().longest_wait());
    let _place = if wait.is_zero() { None } else { Some(app.listener(asker)?) };
    let batch = reader::follow(&mut Reader::new(app, caller), after, query.limit.get(), wait).await?;
    Ok(Json(ChangeList { items: batch.items, next: batch.next }).into_response())
}

/// Whether the caller asks for server-sent events by name.
fn accepts_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    accepted.any(|range| range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case("text/event-stream")))
}
