//! What a page's staff look after among the comments on its posts: those without an answer, those whose right to one ends.

use crate::{
    App, Problem,
    caller::MaybeCaller,
    extract::{Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{PageId, Span, Timestamp, page::StaffAct, permit::META};
use circolo_projections::page_comments::{self, PageCommentDetail, Written};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_unanswered_comments)).routes(routes!(list_expiring_replies))
}

/// How a page answered a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Answered {
    None,
    Public,
    Private,
    Both,
}

/// A comment under one of the page's own posts.
#[derive(Debug, Serialize, ToSchema)]
struct PageCommentItem {
    /// The comment's id.
    id: String,
    /// The post.
    post_id: String,
    /// The comment it replies to, if it is a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    /// Who wrote it.
    author_id: String,
    /// How others see them.
    author_name: Option<String>,
    /// The words.
    text: Option<String>,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    /// How the page answered.
    answered: Answered,
    /// When the right to a private reply ends.
    #[schema(value_type = String, format = DateTime)]
    private_reply_ends_at: Timestamp,
}

impl From<PageCommentDetail> for PageCommentItem {
    fn from(row: PageCommentDetail) -> Self {
        let answered = match (row.public_answers > 0, row.private_reply.is_some()) {
            (false, false) => Answered::None,
            (true, false) => Answered::Public,
            (false, true) => Answered::Private,
            (true, true) => Answered::Both,
        };
        Self {
            id: row.id,
            post_id: row.post_id,
            reply_to: row.reply_to,
            author_id: row.author,
            author_name: row.author_name,
            text: row.text,
            written_at: row.written,
            answered,
            private_reply_ends_at: row.written.plus(META.private_reply),
        }
    }
}

/// Which page of the comments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListUnanswered {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Hours from now: 1 to 168, 24 if not said.
#[derive(Debug, Clone, Copy)]
struct Hours(i64);

impl Default for Hours {
    fn default() -> Self {
        Self(24)
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.parse() {
            Ok(hours @ 1..=168) => Ok(Self(hours)),
            _ => Err(de::Error::custom("out_of_range: a number from 1 to 168 is expected")),
        }
    }
}

/// Which comments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListExpiring {
    /// Those whose right to a private reply ends within so many hours.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 168, default = 24)]
    hours: Hours,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Comments on the page's own posts that it answered neither in public nor in private, newest first: for staff.
///
/// A reply to a comment belongs to the thread of that comment and is not listed by itself.
#[utoipa::path(
    get,
    path = "/pages/{id}/unanswered-comments",
    tag = "pages",
    params(("id" = Uuid, Path,), ListUnanswered),
    responses((status = 200, body = Listing<PageCommentItem>), Failures)
)]
async fn list_unanswered_comments(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(page): Path<PageId>,
    Query(list): Query<ListUnanswered>,
) -> Result<Listing<PageCommentItem>, Problem> {
    let before = list.after.map(|after| after.read("unanswered_comments")).transpose()?;
    app.page_standing(caller.call(), page).await?.may(StaffAct::Reply)?;
    let rows = page_comments::unanswered(app.db(), page, before, list.limit.and_one()).await?;
    Ok(Listing::page("unanswered_comments", list.limit, rows, |row| row.position, PageCommentItem::from))
}

/// Comments that the page may answer in private only for some hours more, the most urgent first: for staff who care.
#[utoipa::path(
    get,
    path = "/pages/{id}/expiring-replies",
    tag = "pages",
    params(("id" = Uuid, Path,), ListExpiring),
    responses((status = 200, body = Listing<PageCommentItem>), Failures)
)]
async fn list_expiring_replies(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(page): Path<PageId>,
    Query(list): Query<ListExpiring>,
) -> Result<Listing<PageCommentItem>, Problem> {
    let after = list.after.map(|after| after.read("expiring_replies")).transpose()?;
    app.page_standing(caller.call(), page).await?.may(StaffAct::Care)?;
    // The right holds while now < written + 7 days, so what was written exactly then has lost it.
    let oldest = app.now().minus(META.private_reply);
    let written = Written { after: oldest, until: oldest.plus(Span::hours(list.hours.0)) };
    let rows = page_comments::to_answer_in_private(app.db(), page, written, after, list.limit.and_one()).await?;
    let key = |row: &PageCommentDetail| (row.written.micros(), row.position);
    Ok(Listing::page("expiring_replies", list.limit, rows, key, PageCommentItem::from))
}
