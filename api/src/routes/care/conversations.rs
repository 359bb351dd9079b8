//! Conversations of persons with pages: write, answer, keep the inbox. Only the person and the page's staff ever see them.

use crate::routes::community::comments::{self, Reached};
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
    CommentId, Message, PageId, PersonId, Timestamp,
    comment::{self, Comment},
    conversation::{self, Command, Conversation, Status},
    fan::{self, Fan},
    page::{PageStanding, StaffAct},
    permit::{Claim, CommentedOn, META, Purpose},
    stance::Stance,
};
use circolo_projections::conversations::{self, InboxItem, MessageDetail};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(write_to_page))
        .routes(routes!(list_conversations))
        .routes(routes!(list_messages, send_page_message))
        .routes(routes!(reply_in_private))
        .routes(routes!(mark_done))
        .routes(routes!(mark_spam))
        .routes(routes!(reopen_conversation))
        .routes(routes!(list_my_messages))
}

/// What a message is for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = Purpose)]
#[serde(rename_all = "snake_case")]
enum PurposeName {
    Reply,
    Care,
    Promotion,
    Notice,
    Warning,
}

/// Where a conversation stands in the inbox.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = ConversationStatus)]
#[serde(rename_all = "snake_case")]
enum StatusName {
    Open,
    Done,
    Spam,
}

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WriteMessage {
    /// 1 to 6,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 6000)]
    text: Message,
}

/// A message of a page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SendMessage {
    /// 1 to 6,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 6000)]
    text: Message,
    /// What for: `reply` (if not said) or `care`; the others need permits that there are not yet (422 `not_supported`).
    #[serde(default)]
    #[schema(value_type = Option<PurposeName>)]
    purpose: Purpose,
}

/// A conversation in the inbox.
#[derive(Debug, Serialize, ToSchema)]
struct ConversationItem {
    /// The person.
    person: CorrespondentView,
    /// Where it stands.
    #[schema(value_type = StatusName)]
    status: String,
    /// The words of the last message.
    last_text: Option<String>,
    /// Who wrote it: `person` or `page`.
    last_from: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    last_sent_at: Timestamp,
    /// Until when the page may write in it; absent if the person never wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    window_ends_at: Option<Timestamp>,
    /// Who of the staff wrote last.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<CorrespondentView>,
    /// Revision of the conversation, for `If-Match`.
    revision: i64,
}

/// Somebody in a conversation.
#[derive(Debug, Serialize, ToSchema)]
struct CorrespondentView {
    /// The person.
    id: String,
    /// How others see them.
    display_name: Option<String>,
}

impl From<InboxItem> for ConversationItem {
    fn from(row: InboxItem) -> Self {
        Self {
            person: CorrespondentView { id: row.person_id, display_name: row.display_name },
            status: row.status,
            last_text: row.last_text,
            last_from: row.last_side,
            last_sent_at: row.last_sent,
            window_ends_at: row.person_wrote.map(|wrote| wrote.plus(META.conversation_window)),
            answered_by: row.answered_by.map(|id| CorrespondentView { id, display_name: row.answered_by_name }),
            revision: row.revision,
        }
    }
}

/// A message, as the page's staff read it.
#[derive(Debug, Serialize, ToSchema)]
struct MessageItem {
    #[serde(flatten)]
    message: MyMessageItem,
    /// Who wrote it: the person, or who of the staff.
    author: CorrespondentView,
    /// Whether that is a bot.
    bot: bool,
    /// What the page wrote it for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PurposeName>)]
    purpose: Option<String>,
    /// What allowed the page to: `private_reply` or `conversation_window`.
    #[serde(skip_serializing_if = "Option::is_none")]
    permit: Option<String>,
    /// Until when that would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    permit_ends_at: Option<Timestamp>,
}

/// A message, as the person reads it: the page's are the page's, whoever wrote them.
#[derive(Debug, Serialize, ToSchema)]
struct MyMessageItem {
    /// The message's id.
    id: String,
    /// Who wrote it: `person` or `page`.
    from: String,
    /// The words.
    text: Option<String>,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    sent_at: Timestamp,
    /// The person's comment that it replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment_id: Option<String>,
}

impl From<MessageDetail> for MyMessageItem {
    fn from(row: MessageDetail) -> Self {
        let MessageDetail { id, side, text, sent, comment_id, .. } = row;
        Self { id, from: side, text, sent_at: sent, comment_id }
    }
}

impl From<MessageDetail> for MessageItem {
    fn from(mut row: MessageDetail) -> Self {
        Self {
            author: CorrespondentView { id: std::mem::take(&mut row.author), display_name: row.author_name.take() },
            bot: row.bot,
            purpose: row.purpose.take(),
            permit: row.permit.take(),
            permit_ends_at: row.permit_ends,
            message: row.into(),
        }
    }
}

/// Which page of which conversations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListConversations {
    /// Where they stand; `open` if not said.
    #[serde(default)]
    #[param(value_type = Option<StatusName>, inline)]
    status: Status,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Which page of the messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListMessages {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Executes a command on a conversation. It has no scope: no audience but the two ever reads of it.
async fn execute(app: &App, call: &Call, page: PageId, person: PersonId, command: Command) -> Result<circolo_events::Done, Problem> {
    app.execute::<Conversation>(call, &conversation::stream(page, person), command, None).await
}

/// Write to a page.
#[utoipa::path(post, path = "/pages/{id}/messages", tag = "conversations", params(("id" = Uuid, Path,)), responses((status = 201, body = Done), Failures))]
async fn write_to_page(
    State(app): State<App>,
    caller: Caller,
    Path(page): Path<PageId>,
    Json(body): Json<WriteMessage>,
) -> Result<Done, Problem> {
    let by = app.page_standing(Some(&caller), page).await?;
    // What staff did with the conversation counts in its revision and is no business of the person's.
    let call = caller.unseeing();
    let written = execute(&app, &call, page, caller.person(), Command::WriteToPage { by, text: body.text }).await;
    let done = circolo_events::Done { revision: None, ..written.map_err(Problem::without_details)? };
    Ok(Done::created(caller.command_id(), &done, format!("/v1/me/conversations/{page}/messages")))
}

/// What the caller may as one who cares for those who write to the page.
async fn care(app: &App, caller: &Caller, page: PageId) -> Result<PageStanding, Problem> {
    let by = app.page_standing(Some(caller), page).await?;
    by.may(StaffAct::Care)?;
    Ok(by)
}

async fn send(
    app: &App,
    caller: &Caller,
    by: PageStanding,
    person: PersonId,
    message: SendMessage,
    permit: Claim,
) -> Result<Done, Problem> {
    let page = by.page_id();
    let to = Fan::clone(&*app.executor().load::<Fan>(&fan::stream(page, person)).await?.state);
    let command = Command::SendPageMessage { by, to, text: message.text, purpose: message.purpose, permit };
    let done = execute(app, caller, page, person, command).await?;
    Ok(Done::created(caller.command_id(), &done, format!("/v1/pages/{page}/conversations/{person}/messages")))
}

/// Write to a person as the page, up to 24 hours after their last message.
#[utoipa::path(
    post,
    path = "/pages/{id}/conversations/{person}/messages",
    tag = "conversations",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn send_page_message(
    State(app): State<App>,
    caller: Caller,
    Path((page, person)): Path<(PageId, PersonId)>,
    Json(body): Json<SendMessage>,
) -> Result<Done, Problem> {
    let by = care(&app, &caller, page).await?;
    if !app.is_registered(person).await? {
        return Err(Problem::not_found());
    }
    send(&app, &caller, by, person, body, Claim::Conversation).await
}

/// Answer a person's comment in private, as the page under whose own post it stands: once, within 7 days.
#[utoipa::path(
    post,
    path = "/comments/{id}/private-reply",
    tag = "conversations",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn reply_in_private(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Json(body): Json<WriteMessage>,
) -> Result<Done, Problem> {
    let Reached { by, comment: mut facts, post } = comments::reach(&app, Some(&caller), id).await?;
    let Stance::Page(by) = by else { return Err(Problem::rejected(&conversation::Error::NotSupported)) };
    by.may(StaffAct::Care)?;
    facts.removed |= post.removed;
    let origin = app.executor().load::<Comment>(&comment::stream(id)).await?.origin.ok_or_else(Problem::not_found)?;
    let message = SendMessage { text: body.text, purpose: Purpose::Reply };
    let permit = Claim::PrivateReply(CommentedOn { id, facts, written: origin.at });
    send(&app, &caller, by, facts.author, message, permit).await
}

/// The inbox: conversations of one status, those with the latest messages first.
#[utoipa::path(
    get,
    path = "/pages/{id}/conversations",
    tag = "conversations",
    params(("id" = Uuid, Path,), ListConversations),
    responses((status = 200, body = Listing<ConversationItem>), Failures)
)]
async fn list_conversations(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(page): Path<PageId>,
    Query(list): Query<ListConversations>,
) -> Result<Listing<ConversationItem>, Problem> {
    let before = list.after.map(|after| after.read("conversations")).transpose()?;
    app.page_standing(caller.call(), page).await?.may(StaffAct::Care)?;
    let rows = conversations::inbox(app.db(), page, list.status, before, list.limit.and_one()).await?;
    Ok(Listing::page("conversations", list.limit, rows, |row| row.position, ConversationItem::from))
}

async fn messages(app: &App, page: PageId, person: PersonId, list: ListMessages) -> Result<(Limit, Vec<MessageDetail>), Problem> {
    let before = list.after.map(|after| after.read("messages")).transpose()?;
    if !app.executor().load::<Conversation>(&conversation::stream(page, person)).await?.state.exists() {
        return Err(Problem::not_found());
    }
    let rows = conversations::messages(app.db(), page, person, before, list.limit.and_one()).await?;
    Ok((list.limit, rows))
}

/// The messages of a conversation, latest first: for staff who care.
#[utoipa::path(
    get,
    path = "/pages/{id}/conversations/{person}/messages",
    tag = "conversations",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,), ListMessages),
    responses((status = 200, body = Listing<MessageItem>), Failures)
)]
async fn list_messages(
    State(app): State<App>,
    caller: MaybeCaller,
    Path((page, person)): Path<(PageId, PersonId)>,
    Query(list): Query<ListMessages>,
) -> Result<Listing<MessageItem>, Problem> {
    app.page_standing(caller.call(), page).await?.may(StaffAct::Care)?;
    let (limit, rows) = messages(&app, page, person, list).await?;
    Ok(Listing::page("messages", limit, rows, |row| row.position, MessageItem::from))
}

/// One's own messages with a page, latest first.
#[utoipa::path(
    get,
    path = "/me/conversations/{page}/messages",
    tag = "conversations",
    params(("page" = Uuid, Path,), ListMessages),
    responses((status = 200, body = Listing<MyMessageItem>), Failures)
)]
async fn list_my_messages(
    State(app): State<App>,
    caller: Caller,
    Path(page): Path<PageId>,
    Query(list): Query<ListMessages>,
) -> Result<Listing<MyMessageItem>, Problem> {
    let (limit, rows) = messages(&app, page, caller.person(), list).await?;
    Ok(Listing::page("messages", limit, rows, |row| row.position, MyMessageItem::from))
}

/// Set a conversation done: until the person writes again.
#[utoipa::path(
    post,
    path = "/pages/{id}/conversations/{person}/done",
    tag = "conversations",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn mark_done(State(app): State<App>, caller: Caller, Path((page, person)): Path<(PageId, PersonId)>) -> Result<Done, Problem> {
    let by = care(&app, &caller, page).await?;
    Ok(Done::new(person.0, &execute(&app, &caller, page, person, Command::MarkDone { by }).await?))
}

/// Mark a conversation as spam: what the person writes stays there, and the response rate leaves it out.
#[utoipa::path(
    post,
    path = "/pages/{id}/conversations/{person}/spam",
    tag = "conversations",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn mark_spam(State(app): State<App>, caller: Caller, Path((page, person)): Path<(PageId, PersonId)>) -> Result<Done, Problem> {
    let by = care(&app, &caller, page).await?;
    Ok(Done::new(person.0, &execute(&app, &caller, page, person, Command::MarkSpam { by }).await?))
}

/// Put a conversation back among the open ones.
#[utoipa::path(
    post,
    path = "/pages/{id}/conversations/{person}/reopen",
    tag = "conversations",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn reopen_conversation(
    State(app): State<App>,
    caller: Caller,
    Path((page, person)): Path<(PageId, PersonId)>,
) -> Result<Done, Problem> {
    let by = care(&app, &caller, page).await?;
    Ok(Done::new(person.0, &execute(&app, &caller, page, person, Command::Reopen { by }).await?))
}
