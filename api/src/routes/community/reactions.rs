//! Reactions to posts and comments: one per person, or page, and thing.

use super::{comments, posts};
use crate::{
    App, Problem,
    answer::Done,
    caller::Caller,
    extract::{Json, Path, Query},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{
    CommentId, PageId, PostId,
    page::StaffAct,
    reaction::{self, Command, Kind, Reaction, Target, TargetKind},
    stance::Stance,
};
use circolo_projections::reactions::Reactions;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(react_to_post, withdraw_post_reaction)).routes(routes!(react_to_comment, withdraw_comment_reaction))
}

/// What one may feel.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = ReactionKind)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Like,
    Love,
    Care,
    Laugh,
    Wow,
    Sad,
}

impl From<KindName> for Kind {
    fn from(kind: KindName) -> Self {
        match kind {
            KindName::Like => Self::Like,
            KindName::Love => Self::Love,
            KindName::Care => Self::Care,
            KindName::Laugh => Self::Laugh,
            KindName::Wow => Self::Wow,
            KindName::Sad => Self::Sad,
        }
    }
}

/// A reaction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct React {
    /// How.
    kind: KindName,
    /// The page that reacts, for its staff on the page itself.
    #[schema(value_type = Option<Uuid>)]
    as_page: Option<PageId>,
}

/// Whose reaction.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReactionOf {
    /// The page that reacted, for its staff.
    #[param(value_type = Option<Uuid>)]
    as_page: Option<PageId>,
}

/// How many feel what.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReactionsView {
    like: i64,
    love: i64,
    care: i64,
    laugh: i64,
    wow: i64,
    sad: i64,
}

impl From<Reactions> for ReactionsView {
    fn from(row: Reactions) -> Self {
        Self { like: row.likes, love: row.loves, care: row.cares, laugh: row.laughs, wow: row.wows, sad: row.sads }
    }
}

/// Something to react to, as the caller stands towards it.
struct Reached {
    by: Stance,
    id: Uuid,
    target: Target,
}

async fn post(app: &App, caller: &Caller, id: PostId) -> Result<Reached, Problem> {
    let posts::Reached { by, post, .. } = posts::reach(app, Some(caller), id).await?;
    Ok(Reached { by, id: id.0, target: Target { kind: TargetKind::Post, removed: post.removed } })
}

async fn comment(app: &App, caller: &Caller, id: CommentId) -> Result<Reached, Problem> {
    let comments::Reached { by, comment, post } = comments::reach(app, Some(caller), id).await?;
    Ok(Reached { by, id: id.0, target: Target { kind: TargetKind::Comment, removed: comment.removed || post.removed } })
}

/// Gives or changes a reaction, or withdraws it for none.
async fn react(app: &App, caller: &Caller, to: Reached, as_page: Option<PageId>, kind: Option<Kind>) -> Result<Done, Problem> {
    let Reached { by, id, target } = to;
    let stream = reaction::stream(id, by.voice(as_page, StaffAct::Reply)?);
    let scope = by.scope();
    let command = match kind {
        Some(kind) => Command::React { by, as_page, target, kind },
        None => Command::WithdrawReaction { by, as_page, target },
    };
    let done = app.execute::<Reaction>(caller, &stream, command, scope).await?;
    Ok(Done::new(id, &done))
}

/// React to a post, or change one's reaction.
#[utoipa::path(put, path = "/posts/{id}/reaction", tag = "posts", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn react_to_post(State(app): State<App>, caller: Caller, Path(id): Path<PostId>, Json(body): Json<React>) -> Result<Done, Problem> {
    let to = post(&app, &caller, id).await?;
    react(&app, &caller, to, body.as_page, Some(body.kind.into())).await
}

/// Withdraw one's reaction to a post.
#[utoipa::path(
    delete,
    path = "/posts/{id}/reaction",
    tag = "posts",
    params(("id" = Uuid, Path,), ReactionOf),
    responses((status = 200, body = Done), Failures)
)]
async fn withdraw_post_reaction(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(of): Query<ReactionOf>,
) -> Result<Done, Problem> {
    let to = post(&app, &caller, id).await?;
    react(&app, &caller, to, of.as_page, None).await
}

/// React to a comment, or change one's reaction.
#[utoipa::path(put, path = "/comments/{id}/reaction", tag = "posts", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn react_to_comment(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Json(body): Json<React>,
) -> Result<Done, Problem> {
    let to = comment(&app, &caller, id).await?;
    react(&app, &caller, to, body.as_page, Some(body.kind.into())).await
}

/// Withdraw one's reaction to a comment.
#[utoipa::path(
    delete,
    path = "/comments/{id}/reaction",
    tag = "posts",
    params(("id" = Uuid, Path,), ReactionOf),
    responses((status = 200, body = Done), Failures)
)]
async fn withdraw_comment_reaction(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Query(of): Query<ReactionOf>,
) -> Result<Done, Problem> {
    let to = comment(&app, &caller, id).await?;
    react(&app, &caller, to, of.as_page, None).await
}
