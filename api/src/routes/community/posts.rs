//! Posts in groups and on pages: write, read, edit with every version kept, remove.

use super::reactions::ReactionsView;
use crate::{
    App, Problem,
    answer::{Done, Tagged},
    call::Call,
    caller::{Caller, MaybeCaller},
    extract::{Json, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
    routes::feeds::Shown,
};
use axum::extract::State;
use circolo_domain::{
    Body, Event, GroupId, PageId, PersonId, Personal, PostId, Reason, Timestamp,
    access::Standing,
    post::{self, Command, Post},
    stance::Stance,
};
use circolo_events::{Recorded, Revision};
use circolo_projections::{
    figures::Viewer,
    posts::{self, PostDetail},
    reactions::Reacted,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(write_post))
        .routes(routes!(write_page_post))
        .routes(routes!(find_post, edit_post, remove_post))
        .routes(routes!(list_post_versions))
}

/// Words for a post.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostText {
    /// 1 to 10,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 10000, example = "Fresh bread at six")]
    text: Body,
}

/// Why something is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemovalReason {
    /// Needed to remove what somebody else wrote.
    #[param(value_type = Option<String>, max_length = 5000)]
    pub reason: Option<Reason>,
}

/// Who speaks: a person, or a page through its staff.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpeakerView {
    /// `person` or `page`.
    kind: &'static str,
    /// The person or the page.
    id: String,
    /// How others see them.
    display_name: Option<String>,
}

impl SpeakerView {
    pub(crate) fn new(author: String, as_page: Option<String>, display_name: Option<String>) -> Self {
        match as_page {
            Some(page) => Self { kind: "page", id: page, display_name },
            None => Self { kind: "person", id: author, display_name },
        }
    }
}

/// What is left of removed words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovalView {
    /// When they were removed.
    #[schema(value_type = String, format = DateTime)]
    removed_at: Timestamp,
    /// By whom: `author` or `moderator`.
    by: Option<String>,
    /// Why.
    reason: Option<String>,
}

impl RemovalView {
    pub(crate) fn new(removed: Option<Timestamp>, by: Option<String>, reason: Option<String>) -> Option<Self> {
        removed.map(|removed_at| Self { removed_at, by, reason })
    }
}

/// A post, or its tombstone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PostView {
    /// The post's id.
    id: String,
    /// The group it was written in, if it was a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<String>,
    /// The page it was written on, if it was a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_id: Option<String>,
    /// Who speaks.
    author: SpeakerView,
    /// The words as they stand; null once removed.
    text: Option<String>,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    /// Number of the version, from 1.
    version: i64,
    /// When that was made, if it is not the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    edited_at: Option<Timestamp>,
    /// Present once it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    removal: Option<RemovalView>,
    /// How many comments and replies it has that the caller may read.
    comment_count: i64,
    /// How many feel what about it, as far as the caller may know.
    reactions: ReactionsView,
    /// What the caller feels, if they said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    my_reaction: Option<String>,
    /// Revision of the post, for `If-Match`; absent for whom it would count what they may not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

impl From<Reacted<PostDetail>> for PostView {
    fn from(Reacted { thing: row, mut reactions }: Reacted<PostDetail>) -> Self {
        Self {
            id: row.id,
            group_id: row.group_id,
            page_id: row.page_id,
            author: SpeakerView::new(row.author, row.as_page, row.speaker_name),
            text: row.text,
            written_at: row.written,
            version: row.version,
            edited_at: row.edited,
            removal: RemovalView::new(row.removed, row.removed_by, row.removal_reason),
            comment_count: row.comments + row.replies,
            my_reaction: reactions.mine.take(),
            reactions: reactions.into(),
            revision: row.revision,
        }
    }
}

/// A version of a post.
#[derive(Debug, Serialize, ToSchema)]
struct PostVersion {
    /// From 1.
    version: u32,
    /// The words.
    text: Option<String>,
    /// When they were written.
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    /// The person who wrote them, whoever speaks.
    person_id: Option<String>,
}

impl PostVersion {
    /// If the event made one. Versions are events: nothing else keeps them.
    fn of(event: &Recorded) -> Option<Self> {
        let (version, text) = match &event.event {
            Event::Post(post::Event::Written { text, .. }) => (1, text),
            Event::Post(post::Event::Edited { version, text }) => (*version, text),
            _ => return None,
        };
        let (text, person_id) = (Personal::get(text).cloned(), event.metadata.actor.map(|person| person.to_string()));
        Some(Self { version, text, written_at: event.recorded_at, person_id })
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListVersions {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// A post as the caller stands towards it.
pub(crate) struct Reached {
    /// The caller's stance towards it.
    pub by: Stance,
    /// What it is.
    pub post: post::Facts,
    state: std::sync::Arc<Post>,
}

/// Looks a post up, if the caller may know where it is.
pub(crate) async fn reach(app: &App, caller: Option<&Call>, id: PostId) -> Result<Reached, Problem> {
    let (reached, whole) = reach_in_part(app, caller, id).await?;
    whole.map_err(|unread| unread.unless(reached.by.hides()))?;
    Ok(reached)
}

/// The same, whether it can be read or not, which is told beside.
pub(crate) async fn reach_in_part(app: &App, caller: Option<&Call>, id: PostId) -> Result<(Reached, Result<(), Problem>), Problem> {
    let loaded = app.executor().load_in_part::<Post>(&post::stream(id)).await?;
    let origin = loaded.origin.ok_or_else(Problem::not_found)?;
    let (facts, state) = (loaded.state.facts(id), loaded.state.clone());
    let by = app.stance(caller, origin).await?;
    by.sees()?;
    let whole = loaded.whole().map(drop).map_err(Problem::from);
    match (facts, whole) {
        (Some(post), whole) => Ok((Reached { by, post, state }, whole)),
        (None, whole) => Err(whole.err().unwrap_or_else(Problem::not_found).unless(by.hides())),
    }
}

/// Posts as a feed shows them: what was removed since is left out.
pub(crate) async fn in_feed(app: &App, viewer: Viewer<'_>, ids: Vec<String>) -> Result<Shown<PostView>, Problem> {
    let rows = posts::by_ids(app.db(), ids, viewer).await?.into_iter().filter(|row| row.thing.removed.is_none());
    Ok(rows.map(|row| (row.thing.id.clone(), row.into())).collect())
}

/// The standing of whoever wrote something in the place that `by` stands towards, if it is a group.
pub(crate) async fn standing_of(app: &App, by: &Stance, author: PersonId) -> Result<Option<Standing>, Problem> {
    match by {
        Stance::Group(standing) => app.standing(Some(author), standing.group_id()).await.map(Some),
        Stance::Page(_) => Ok(None),
    }
}

async fn write(app: &App, caller: &Caller, by: Stance, as_page: Option<PageId>, text: Body) -> Result<Done, Problem> {
    let id = PostId(caller.command_id());
    let scope = by.scope();
    let done = app.execute::<Post>(caller, &post::stream(id), Command::WritePost { by, as_page, text }, scope).await?;
    Ok(Done::created(id.0, &done, format!("/v1/posts/{id}")))
}

/// Write a post in a group.
#[utoipa::path(
    post,
    path = "/groups/{id}/posts",
    tag = "posts",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn write_post(State(app): State<App>, caller: Caller, Path(id): Path<GroupId>, Json(body): Json<PostText>) -> Result<Done, Problem> {
    let by = Stance::Group(app.standing(Some(caller.person()), id).await?);
    write(&app, &caller, by, None, body.text).await
}

/// Write a post on a page, as the page: owners and editors.
#[utoipa::path(
    post,
    path = "/pages/{id}/posts",
    tag = "posts",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn write_page_post(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PageId>,
    Json(body): Json<PostText>,
) -> Result<Done, Problem> {
    let by = Stance::Page(app.page_standing(Some(&caller), id).await?);
    write(&app, &caller, by, Some(id), body.text).await
}

/// Read a post. Of a removed one a tombstone is left.
#[utoipa::path(get, path = "/posts/{id}", tag = "posts", params(("id" = Uuid, Path,)), responses((status = 200, body = PostView), Failures))]
async fn find_post(State(app): State<App>, caller: MaybeCaller, Path(id): Path<PostId>) -> Result<Tagged<PostView>, Problem> {
    let Reached { by, .. } = reach(&app, caller.call(), id).await?;
    by.reads()?;
    let viewer = Viewer { person: caller.person(), keys: &by.keys() };
    let row = posts::find(app.db(), id, viewer).await?.ok_or_else(Problem::not_found)?;
    let revision = row.thing.revision;
    Ok(Tagged(row.into(), revision))
}

/// Edit a post: its author, or those of the page's staff who post. The versions before are kept.
#[utoipa::path(patch, path = "/posts/{id}", tag = "posts", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn edit_post(State(app): State<App>, caller: Caller, Path(id): Path<PostId>, Json(body): Json<PostText>) -> Result<Done, Problem> {
    let Reached { by, .. } = reach(&app, Some(&caller), id).await?;
    let scope = by.scope();
    let done = app.execute::<Post>(&caller, &post::stream(id), Command::EditPost { by, text: body.text }, scope).await?;
    Ok(Done::new(id.0, &done))
}

/// Remove a post: its author, or with a reason who keeps order. A tombstone is left.
#[utoipa::path(
    delete,
    path = "/posts/{id}",
    tag = "posts",
    params(("id" = Uuid, Path,), RemovalReason),
    responses((status = 200, body = Done), Failures)
)]
async fn remove_post(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(RemovalReason { reason }): Query<RemovalReason>,
) -> Result<Done, Problem> {
    let Reached { by, post, .. } = reach(&app, Some(&caller), id).await?;
    let author = standing_of(&app, &by, post.author).await?;
    let scope = by.scope();
    let done = app.execute::<Post>(&caller, &post::stream(id), Command::RemovePost { by, author, reason }, scope).await?;
    Ok(Done::new(id.0, &done))
}

/// List the versions of a post, oldest first: its author and who keeps order; once removed only the latter. What was written in
/// stricter times is shown to those who may read what was written then.
#[utoipa::path(
    get,
    path = "/posts/{id}/versions",
    tag = "posts",
    params(("id" = Uuid, Path,), ListVersions),
    responses((status = 200, body = Listing<PostVersion>), Failures)
)]
async fn list_post_versions(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<PostId>,
    Query(page): Query<ListVersions>,
) -> Result<Listing<PostVersion>, Problem> {
    let after: Option<Revision> = page.after.map(|after| after.read("versions")).transpose()?;
    let Reached { by, state, .. } = reach(&app, caller.call(), id).await?;
    state.shows_versions(&by)?;
    let from = after.map_or(0, |after| after.saturating_add(1));
    let stored = app.store().read(&post::stream(id), from, page.limit.get() + 1).await?;
    // What is passed over is no version.
    let decoded = stored.iter().filter_map(|stored| stored.decode().ok());
    let shown = |event: Recorded| {
        let version = PostVersion::of(&event)?;
        Some((event.revision, by.reads_edit(event.origin()).then_some(version)))
    };
    let versions = decoded.filter_map(shown);
    let all = Listing::page("versions", page.limit, versions.collect(), |(revision, _)| *revision, |(_, version)| version);
    Ok(Listing { items: all.items.into_iter().flatten().collect(), next: all.next })
}
