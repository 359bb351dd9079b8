//! Comments under posts, and replies to them: write, list, edit, remove.

use super::posts::{self, RemovalReason, RemovalView, SpeakerView, standing_of};
use super::reactions::ReactionsView;
use crate::{
    App, Problem,
    answer::Done,
    call::Call,
    caller::{Caller, MaybeCaller},
    extract::{Json, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{
    Comment as Words, CommentId, PageId, PostId, Timestamp,
    comment::{self, Command, Comment, ReplyTo},
    post,
    stance::Stance,
};
use circolo_projections::{
    comments::{self, CommentDetail, List},
    figures::Viewer,
    page_comments,
    reactions::Reacted,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_comments, write_comment)).routes(routes!(edit_comment, remove_comment))
}

/// A new comment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WriteComment {
    /// 1 to 5,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 5000)]
    text: Words,
    /// The comment it replies to: one of the same post that is no reply itself.
    #[schema(value_type = Option<Uuid>)]
    reply_to: Option<CommentId>,
    /// The page that speaks, for its staff on the page itself.
    #[schema(value_type = Option<Uuid>)]
    as_page: Option<PageId>,
}

/// Other words for a comment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditComment {
    /// 1 to 5,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 5000)]
    text: Words,
}

/// A comment, or its tombstone.
#[derive(Debug, Serialize, ToSchema)]
struct CommentView {
    /// The comment's id.
    id: String,
    /// The post.
    post_id: String,
    /// The comment it replies to, if it is a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
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
    /// How many replies it has that the caller may read.
    reply_count: i64,
    /// Whether a page replied to it, as far as the caller may read that.
    answered_publicly: bool,
    /// Whether the page replied to it in private; for the page's staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_privately: Option<bool>,
    /// How many feel what about it, as far as the caller may know.
    reactions: ReactionsView,
    /// What the caller feels, if they said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    my_reaction: Option<String>,
    /// Revision of the comment, for `If-Match`; absent for whom it would count what they may not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

impl From<Reacted<CommentDetail>> for CommentView {
    fn from(Reacted { thing: row, mut reactions }: Reacted<CommentDetail>) -> Self {
        Self {
            id: row.id,
            post_id: row.post_id,
            reply_to: row.reply_to,
            author: SpeakerView::new(row.author, row.as_page, row.speaker_name),
            text: row.text,
            written_at: row.written,
            version: row.version,
            edited_at: row.edited,
            removal: RemovalView::new(row.removed, row.removed_by, row.removal_reason),
            reply_count: row.replies,
            answered_publicly: row.page_replies > 0,
            answered_privately: None,
            my_reaction: reactions.mine.take(),
            reactions: reactions.into(),
            revision: row.revision,
        }
    }
}

/// Which page of which thread.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListComments {
    /// The comment whose replies are wanted, instead of the comments on the post itself.
    #[param(value_type = Option<Uuid>)]
    reply_to: Option<CommentId>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// A comment as the caller stands towards it.
pub(crate) struct Reached {
    /// The caller's stance towards it.
    pub by: Stance,
    /// What it is.
    pub comment: comment::Facts,
    /// What it is under.
    pub post: post::Facts,
}

/// Looks a comment up, if the caller may read it, the post and what it replies to: each may be of another privacy era.
pub(crate) async fn reach(app: &App, caller: Option<&Call>, id: CommentId) -> Result<Reached, Problem> {
    let (reached, whole) = reach_in_part(app, caller, id).await?;
    whole.map(|()| reached)
}

/// The same, whether the comment and its post can be read or not, which is told beside.
pub(crate) async fn reach_in_part(app: &App, caller: Option<&Call>, id: CommentId) -> Result<(Reached, Result<(), Problem>), Problem> {
    let ((by, comment), whole) = find_in_part(app, caller, id).await?;
    let (post, whole_post) = posts::reach_in_part(app, caller, comment.place.post).await?;
    post.by.reads()?;
    if let Some(parent) = comment.place.reply_to {
        let (_, _) = find_in_part(app, caller, parent).await?;
    }
    Ok((Reached { by, comment, post: post.post }, whole.and(whole_post)))
}

type Found = (Stance, comment::Facts);

async fn find(app: &App, caller: Option<&Call>, id: CommentId) -> Result<Found, Problem> {
    let (found, whole) = find_in_part(app, caller, id).await?;
    whole.map(|()| found)
}

async fn find_in_part(app: &App, caller: Option<&Call>, id: CommentId) -> Result<(Found, Result<(), Problem>), Problem> {
    let loaded = app.executor().load_in_part::<Comment>(&comment::stream(id)).await?;
    let origin = loaded.origin.ok_or_else(Problem::not_found)?;
    let by = app.stance(caller, origin).await?;
    by.reads()?;
    let (facts, whole) = (loaded.state.facts(), loaded.whole().map(drop).map_err(Problem::from));
    match (facts, whole) {
        (Some(comment), whole) => Ok(((by, comment), whole)),
        (None, whole) => Err(whole.err().unwrap_or_else(Problem::not_found)),
    }
}

/// Whether there is no such comment, or none that the caller may read, makes no difference.
fn found(outcome: Result<Found, Problem>) -> Result<Option<comment::Facts>, Problem> {
    match outcome {
        Ok((_, comment)) => Ok(Some(comment)),
        Err(problem) if problem.status().is_client_error() => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// List the comments on a post, or the replies to one of them, oldest first.
#[utoipa::path(
    get,
    path = "/posts/{id}/comments",
    tag = "posts",
    params(("id" = Uuid, Path,), ListComments),
    responses((status = 200, body = Listing<CommentView>), Failures)
)]
async fn list_comments(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<PostId>,
    Query(page): Query<ListComments>,
) -> Result<Listing<CommentView>, Problem> {
    let after = page.after.map(|after| after.read("comments")).transpose()?;
    let (post, _) = posts::reach_in_part(&app, caller.call(), id).await?;
    post.by.reads()?;
    if let Some(parent) = page.reply_to {
        let ((_, parent), _) = find_in_part(&app, caller.call(), parent).await?;
        if parent.place.post != id {
            return Err(Problem::not_found());
        }
    }
    let list = List { post: id, reply_to: page.reply_to, after, limit: page.limit.and_one() };
    let viewer = Viewer { person: caller.person(), keys: &post.by.keys() };
    let rows = comments::list(app.db(), viewer, &list).await?;
    let mut listing = Listing::page("comments", page.limit, rows, |row| row.thing.position, CommentView::from);
    if let Stance::Page(standing) = &post.by
        && standing.role().is_some()
    {
        tell_staff(&app, &mut listing.items).await?;
    }
    Ok(listing)
}

/// Adds what only the page's staff may know.
async fn tell_staff(app: &App, comments: &mut [CommentView]) -> Result<(), Problem> {
    let ids = comments.iter().map(|comment| comment.id.clone()).collect();
    let answered: HashSet<String> = page_comments::answered_in_private(app.db(), ids).await?.into_iter().collect();
    for comment in comments {
        comment.answered_privately = Some(answered.contains(&comment.id));
    }
    Ok(())
}

/// Comment on a post, or reply to a comment.
#[utoipa::path(
    post,
    path = "/posts/{id}/comments",
    tag = "posts",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn write_comment(
    State(app): State<App>,
    caller: Caller,
    Path(post): Path<PostId>,
    Json(body): Json<WriteComment>,
) -> Result<Done, Problem> {
    let posts::Reached { by, post, .. } = posts::reach(&app, Some(&caller), post).await?;
    let reply_to = match body.reply_to {
        Some(id) => Some(ReplyTo { id, found: found(find(&app, Some(&caller), id).await)? }),
        None => None,
    };
    let id = CommentId(caller.command_id());
    let (scope, location) = (by.scope(), format!("/v1/posts/{}/comments", post.id));
    let command = Command::WriteComment { by, as_page: body.as_page, post, reply_to, text: body.text };
    let done = app.execute::<Comment>(&caller, &comment::stream(id), command, scope).await?;
    Ok(Done::created(id.0, &done, location))
}

/// Edit a comment: its author, or staff of the page that speaks.
#[utoipa::path(patch, path = "/comments/{id}", tag = "posts", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn edit_comment(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Json(body): Json<EditComment>,
) -> Result<Done, Problem> {
    let Reached { by, .. } = reach(&app, Some(&caller), id).await?;
    let scope = by.scope();
    let done = app.execute::<Comment>(&caller, &comment::stream(id), Command::EditComment { by, text: body.text }, scope).await?;
    Ok(Done::new(id.0, &done))
}

/// Remove a comment: its author, or with a reason who keeps order. A tombstone is left.
#[utoipa::path(
    delete,
    path = "/comments/{id}",
    tag = "posts",
    params(("id" = Uuid, Path,), RemovalReason),
    responses((status = 200, body = Done), Failures)
)]
async fn remove_comment(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Query(RemovalReason { reason }): Query<RemovalReason>,
) -> Result<Done, Problem> {
    let Reached { by, comment, .. } = reach(&app, Some(&caller), id).await?;
    let author = standing_of(&app, &by, comment.author).await?;
    let scope = by.scope();
    let command = Command::RemoveComment { by, author, reason };
    let done = app.execute::<Comment>(&caller, &comment::stream(id), command, scope).await?;
    Ok(Done::new(id.0, &done))
}
