//! Notifications: what the caller is told of, what of it they have read, and what they want to be told.

use crate::{
    App, Problem,
    answer::Done,
    caller::{Caller, MaybeCaller},
    extract::{Json, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
    routes::things,
};
use axum::extract::State;
use circolo_domain::{
    GroupId, NoticeKind, PageId, PersonId, ThingKind, Timestamp,
    access::Action,
    attention::{self, Attention, Command},
    page::StaffAct,
};
use circolo_projections::{
    memberships,
    notifications::{self, NotificationItem, Told},
    pages,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The name of the list, for its cursors.
const LIST: &str = "notifications";
/// How often one request reads on behind what may not be read any longer.
const ROUNDS: usize = 10;
/// How many things are looked up at a time.
const LOOKUPS: usize = 16;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_notifications))
        .routes(routes!(mark_notifications_read))
        .routes(routes!(find_notification_preferences, set_notification_preferences))
}

/// Which notifications.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListNotifications {
    /// Only of these kinds, separated by commas.
    #[serde(default, deserialize_with = "kinds")]
    #[param(value_type = Option<String>, example = "answered,accepted")]
    kinds: Option<Vec<NoticeKind>>,
    /// Only those that were not read.
    #[serde(default)]
    unread: bool,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

fn kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<NoticeKind>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let kind = |word: &str| NoticeKind::of_word(word).ok_or_else(|| de::Error::custom("unknown_kind: kinds of notifications are expected"));
    text.split(',').map(kind).collect::<Result<_, _>>().map(Some)
}

/// Something that the caller is told of. Kinds are open: pass over those that you do not know.
#[derive(Debug, Serialize, ToSchema)]
struct NotificationView {
    /// Its id.
    id: String,
    /// Of what sort it is.
    kind: String,
    /// When it happened; `until` of a mark takes it.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Whether it was marked as read.
    read: bool,
    /// Whose doing it was, where that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<NamedView>,
    /// The group or page where it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<NamedView>,
    /// The thing to read.
    about: AboutView,
    /// What else helps to show it: ids and words.
    #[schema(value_type = Object)]
    data: Value,
}

/// A person, a group or a page, by name.
#[derive(Debug, Serialize, ToSchema)]
struct NamedView {
    /// `person`, `group` or `page`.
    kind: String,
    /// Which.
    id: String,
    /// Its name, if it has one still.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl NamedView {
    fn new(kind: Option<String>, id: Option<String>, name: Option<String>) -> Option<Self> {
        Some(Self { kind: kind?, id: id?, name })
    }
}

/// The thing that a notification is about; of a membership or a conversation it is named by the person.
#[derive(Debug, Serialize, ToSchema)]
struct AboutView {
    /// What sort of thing.
    kind: String,
    /// Which.
    id: String,
}

impl NotificationView {
    fn new(row: NotificationItem, attention: &Attention) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            at: row.at,
            read: attention.read_until() >= Some(row.at),
            by: NamedView::new(row.by_kind, row.by_id, row.by_name),
            place: NamedView::new(row.place_kind, row.place_id, row.place_name),
            about: AboutView { kind: row.about_kind, id: row.about_id },
            data: row.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }
    }
}

/// List what one is told of, the newest first: nothing of one's own doing, and nothing of what one may not read now.
#[utoipa::path(
    get,
    path = "/me/notifications",
    tag = "notifications",
    params(ListNotifications),
    responses((status = 200, body = Listing<NotificationView>), Failures)
)]
async fn list_notifications(
    State(app): State<App>,
    caller: MaybeCaller,
    Query(page): Query<ListNotifications>,
) -> Result<Listing<NotificationView>, Problem> {
    let mut before = page.after.map(|after| after.read(LIST)).transpose()?;
    let person = caller.needed()?;
    let attention = attention_of(&app, person).await?;
    let wanted = NoticeKind::ALL.iter().copied().filter(|kind| attention.wants(*kind));
    let kinds: Vec<NoticeKind> = wanted.filter(|kind| page.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))).collect();
    let mut told = told(&app, &caller, person).await?;
    if let Some(read) = attention.read_until().filter(|_| page.unread) {
        told = told.after(read);
    }
    let (mut found, mut seen) = (vec![], HashSet::new());
    for _ in 0..ROUNDS {
        let rows = notifications::newest(app.db(), &told, &kinds, before, page.limit.and_one()).await?;
        let more = i64::try_from(rows.len()).is_ok_and(|read| read >= page.limit.and_one());
        before = rows.last().map(|row| row.position);
        // Who belongs to two audiences of one event is told once.
        let rows = rows.into_iter().filter(|row| seen.insert(row.position)).collect::<Vec<_>>();
        let readable = stream::iter(rows).map(|row| readable(&app, &caller, person, row)).buffered(LOOKUPS);
        found.extend(readable.try_collect::<Vec<_>>().await?.into_iter().flatten());
        if !more || found.len() > page.limit.get() {
            return Ok(Listing::page(LIST, page.limit, found, |row| row.position, |row| NotificationView::new(row, &attention)));
        }
    }
    // Of much of it the caller may not be told any longer: there is more behind it.
    let next = before.map(|before| Cursor::new(LIST, &before).into_text());
    Ok(Listing { items: found.into_iter().map(|row| NotificationView::new(row, &attention)).collect(), next })
}

async fn attention_of(app: &App, person: PersonId) -> Result<Attention, Problem> {
    Ok((*app.executor().load::<Attention>(&attention::stream(person)).await?.state).clone())
}

/// What somebody may be told of. The read models say where to look, the streams what they are there.
async fn told(app: &App, caller: &MaybeCaller, person: PersonId) -> Result<Told, Problem> {
    let mut told = Told::to(person);
    for group in memberships::roles_of(app.db(), person).await?.iter().filter_map(|id| id.parse::<GroupId>().ok()) {
        let standing = app.standing(Some(person), group).await?;
        if let (Ok(_), Some(episode)) = (standing.may(Action::Moderate), standing.membership().present()) {
            told.moderator(group, episode.from);
        }
    }
    for page in pages::staffed_by(app.db(), person).await?.iter().filter_map(|id| id.parse::<PageId>().ok()) {
        if app.page_standing(caller.call(), page).await?.may(StaffAct::Care).is_ok() {
            told.care(page);
        }
    }
    Ok(told)
}

/// The row, if it tells of no doing of the caller's own and of nothing that they may not read.
async fn readable(app: &App, caller: &MaybeCaller, person: PersonId, row: NotificationItem) -> Result<Option<NotificationItem>, Problem> {
    if row.actor.as_deref() == Some(&person.to_string()) {
        return Ok(None);
    }
    let (Some(kind), Ok(id)) = (ThingKind::of_word(&row.about_kind), row.about_id.parse()) else { return Ok(None) };
    let read = match kind {
        // Those who have the key to such a notice may read what it is about: they keep order there, write for the page, or are the person.
        ThingKind::Membership | ThingKind::Conversation => Ok(()),
        _ => things::reads(app, caller.call(), kind, id).await,
    };
    match read {
        Ok(()) => Ok(Some(row)),
        Err(problem) if things::hides(&problem) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Up to when notifications were read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MarkNotificationsRead {
    /// `at` of the last one that was read: it and all before it are.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// Mark notifications as read, up to a moment. What was read stays so: an earlier moment changes nothing.
#[utoipa::path(put, path = "/me/notifications/read", tag = "notifications", responses((status = 200, body = Done), Failures))]
async fn mark_notifications_read(State(app): State<App>, caller: Caller, Json(body): Json<MarkNotificationsRead>) -> Result<Done, Problem> {
    execute(&app, &caller, Command::MarkRead { until: body.until }).await
}

/// Of which notifications of one kind one wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NotificationLevel {
    /// All.
    All,
    /// None.
    None,
}

/// Kinds of notifications, and of which of them one wants to be told.
type Preferences = BTreeMap<NoticeKind, NotificationLevel>;

/// Read which notifications one wants: every kind there is.
#[utoipa::path(
    get,
    path = "/me/notification-preferences",
    tag = "notifications",
    responses((status = 200, body = BTreeMap<String, NotificationLevel>), Failures)
)]
async fn find_notification_preferences(State(app): State<App>, caller: MaybeCaller) -> Result<Json<Preferences>, Problem> {
    let attention = attention_of(&app, caller.needed()?).await?;
    let level = |kind| if attention.wants(kind) { NotificationLevel::All } else { NotificationLevel::None };
    Ok(Json(NoticeKind::ALL.iter().map(|kind| (*kind, level(*kind))).collect()))
}

/// Say which notifications one wants. Of a kind that is not named, one wants all.
#[utoipa::path(
    put,
    path = "/me/notification-preferences",
    tag = "notifications",
    request_body = BTreeMap<String, NotificationLevel>,
    responses((status = 200, body = Done), Failures)
)]
async fn set_notification_preferences(State(app): State<App>, caller: Caller, Json(body): Json<Preferences>) -> Result<Done, Problem> {
    let none = body.into_iter().filter(|(_, level)| *level == NotificationLevel::None).map(|(kind, _)| kind).collect();
    execute(&app, &caller, Command::SetPreferences { none }).await
}

async fn execute(app: &App, caller: &Caller, command: Command) -> Result<Done, Problem> {
    let person = caller.person();
    let done = app.execute::<Attention>(caller, &attention::stream(person), command, None).await?;
    Ok(Done::new(person.0, &done))
}
