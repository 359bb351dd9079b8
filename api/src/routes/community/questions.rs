//! Questions in a group: ask, answer, accept, close.

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
    AnswerId, Body, Comment, Event, GroupId, PersonId, QuestionId, Span, Timestamp, Title,
    access::{Action, Origin, Standing},
    question::{self, Command, Question},
};
use circolo_events::execute;
use circolo_projections::figures::{self, Viewer};
use circolo_projections::questions::{self, AnswerDetail, List, QuestionDetail};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Events of a question read at once.
const PAGE: usize = 500;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_questions, post_question))
        .routes(routes!(find_question))
        .routes(routes!(post_answer))
        .routes(routes!(accept_answer, withdraw_acceptance))
        .routes(routes!(close_question))
        .routes(routes!(reopen_question))
}

/// A new question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostQuestion {
    /// In a line: 1 to 200 characters.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "How warm should the dough be?")]
    title: Title,
    /// At length: 1 to 10,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 10000)]
    body: Body,
}

/// A new answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostAnswer {
    /// 1 to 5,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 5000)]
    body: Comment,
}

/// The answer that is the one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptAnswer {
    /// An answer to this question.
    #[schema(value_type = Uuid)]
    answer_id: AnswerId,
}

/// Who wrote something.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthorView {
    /// The person.
    pub id: String,
    /// How others see them.
    pub display_name: Option<String>,
}

/// A question.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuestionItem {
    /// The question's id.
    id: String,
    /// Where it was asked.
    group_id: String,
    /// Who asked.
    author: AuthorView,
    /// In a line.
    title: Option<String>,
    /// At length.
    body: Option<String>,
    /// When it was asked.
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    /// How many answers it has that the caller may read.
    answer_count: i64,
    /// The accepted answer, if the caller may read it.
    accepted: Option<String>,
    /// Whether it takes no more answers.
    closed: bool,
    /// Revision of the question, for `If-Match`; absent for whom it would count what they may not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

impl From<QuestionDetail> for QuestionItem {
    fn from(row: QuestionDetail) -> Self {
        Self {
            id: row.id,
            group_id: row.group_id,
            author: AuthorView { id: row.author, display_name: row.author_name },
            title: row.title,
            body: row.body,
            asked_at: row.asked,
            answer_count: row.answers,
            accepted: row.accepted,
            closed: row.closed,
            revision: row.revision,
        }
    }
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
struct AnswerItem {
    /// The answer's id.
    id: String,
    /// Who answered.
    author: AuthorView,
    /// The answer.
    body: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    answered_at: Timestamp,
}

impl From<AnswerDetail> for AnswerItem {
    fn from(row: AnswerDetail) -> Self {
        let author = AuthorView { id: row.author, display_name: row.author_name };
        Self { id: row.id, author, body: row.body, answered_at: row.answered }
    }
}

/// A question with a page of its answers, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct QuestionView {
    #[serde(flatten)]
    question: QuestionItem,
    /// A page of answers; `limit` and `after` choose which.
    answers: Listing<AnswerItem>,
}

/// Which questions to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum QuestionStatus {
    /// All of them.
    #[default]
    All,
    /// Those without an answer that the caller may read.
    Unanswered,
}

/// Which page of which questions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuestions {
    /// `unanswered` for those without an answer.
    #[serde(default)]
    #[param(inline)]
    status: QuestionStatus,
    /// Only those asked at least so many hours ago.
    #[serde(default, deserialize_with = "hours")]
    #[param(value_type = Option<u32>, minimum = 0, maximum = 1_000_000)]
    older_than_hours: Option<u32>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// As the description has it: 0 to 1,000,000.
fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(deserializer)? {
        hours @ 0..=1_000_000 => Ok(Some(hours)),
        _ => Err(de::Error::custom("out_of_range: a number from 0 to 1000000 is expected")),
    }
}

/// Which page of the answers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAnswers {
    /// How many answers.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Questions as a feed shows them.
pub(crate) async fn in_feed(app: &App, viewer: Viewer<'_>, ids: Vec<String>) -> Result<Shown<QuestionItem>, Problem> {
    let rows = questions::by_ids(app.db(), ids, viewer.keys).await?;
    Ok(rows.into_iter().map(|row| (row.id.clone(), row.into())).collect())
}

/// The caller's standing towards a question, if they may know that it exists, and it can be read.
pub(crate) async fn standing(app: &App, person: Option<PersonId>, id: QuestionId) -> Result<Standing, Problem> {
    let (standing, whole) = standing_in_part(app, person, id).await?;
    whole.map_err(|unread| unread.unless(standing.hides()))?;
    Ok(standing)
}

/// The same, whether it can be read or not, which is told beside.
pub(crate) async fn standing_in_part(
    app: &App,
    person: Option<PersonId>,
    id: QuestionId,
) -> Result<(Standing, Result<(), Problem>), Problem> {
    let loaded = app.executor().load_in_part::<Question>(&question::stream(id)).await?;
    let origin = loaded.origin.ok_or_else(Problem::not_found)?;
    let group = origin.scope.group().ok_or_else(Problem::not_found)?;
    let standing = app.standing(person, group).await?.towards(origin);
    standing.allows(Action::See)?;
    Ok((standing, loaded.whole().map(drop).map_err(Problem::from)))
}

/// Whether the caller may read all that was ever done to the question: only then its revision is for them.
pub(crate) fn follows(standing: &Standing) -> bool {
    standing.origin().is_some_and(|origin| figures::follows(&standing.keys(), origin))
}

/// Whether the caller, who may read the question, may read one of its answers. Only the log tells at once when it was given.
pub(crate) async fn reads(app: &App, standing: &Standing, id: QuestionId, answer: AnswerId) -> Result<bool, Problem> {
    if follows(standing) {
        return Ok(true);
    }
    for from in (0..).step_by(PAGE) {
        let stored = app.store().read(&question::stream(id), from, PAGE).await?;
        for event in &stored {
            // What is passed over is no answer.
            let Ok(given) = event.decode() else { continue };
            if let (Event::Question(question::Event::Answered { answer: of, .. }), Some(scope)) = (&given.event, given.metadata.scope)
                && *of == answer
            {
                return Ok(standing.clone().towards(Origin { scope, at: given.recorded_at }).allows(Action::Read).is_ok());
            }
        }
        if stored.len() < PAGE {
            break;
        }
    }
    Ok(false)
}

/// Whether the caller may read this answer, and its question.
pub(crate) async fn reads_answer(app: &App, caller: Option<&Call>, id: AnswerId) -> Result<(), Problem> {
    let question = questions::question_of(app.db(), id).await?.ok_or_else(Problem::not_found)?;
    let standing = standing(app, caller.map(Call::person), question).await?;
    standing.allows(Action::Read)?;
    if reads(app, &standing, question, id).await? { Ok(()) } else { Err(Problem::not_found()) }
}

/// Executes a command on a question. Who may not read all that was done to it learns from the answer of their own act alone.
async fn execute(app: &App, caller: &Caller, id: QuestionId, by: Standing, command: Command) -> Result<execute::Done, Problem> {
    let (stream, scope) = (question::stream(id), by.scope());
    if follows(&by) {
        return app.execute::<Question>(caller, &stream, command, scope).await;
    }
    let mut done = app.execute::<Question>(&caller.unseeing(), &stream, command, scope).await.map_err(Problem::without_details)?;
    done.revision = None;
    if !done.changed && !done.repeated {
        done.position = app.store().head().await?;
    }
    Ok(done)
}

/// List a group's questions, newest first.
#[utoipa::path(
    get,
    path = "/groups/{id}/questions",
    tag = "questions",
    params(("id" = Uuid, Path,), ListQuestions),
    responses((status = 200, body = Listing<QuestionItem>), Failures)
)]
async fn list_questions(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<GroupId>,
    Query(page): Query<ListQuestions>,
) -> Result<Listing<QuestionItem>, Problem> {
    let before = page.after.map(|after| after.read("questions")).transpose()?;
    let standing = app.standing(caller.person(), id).await?;
    standing.allows(Action::Read)?;
    let list = List {
        unanswered: page.status == QuestionStatus::Unanswered,
        asked_until: page.older_than_hours.map(|hours| app.now().minus(Span::hours(hours.into()))),
        before,
        limit: page.limit.and_one(),
    };
    let rows = questions::list(app.db(), &standing.keys(), &list).await?;
    Ok(Listing::page("questions", page.limit, rows, |row| row.position, QuestionItem::from))
}

/// Ask.
#[utoipa::path(
    post,
    path = "/groups/{id}/questions",
    tag = "questions",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn post_question(
    State(app): State<App>,
    caller: Caller,
    Path(group): Path<GroupId>,
    Json(body): Json<PostQuestion>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), group).await?;
    let id = QuestionId(caller.command_id());
    let scope = by.scope();
    let command = Command::PostQuestion { by, title: body.title, body: body.body };
    let done = app.execute::<Question>(&caller, &question::stream(id), command, scope).await?;
    Ok(Done::created(id.0, &done, format!("/v1/questions/{id}")))
}

/// Read a question and its answers.
#[utoipa::path(
    get,
    path = "/questions/{id}",
    tag = "questions",
    params(("id" = Uuid, Path,), ListAnswers),
    responses((status = 200, body = QuestionView), Failures)
)]
async fn find_question(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<QuestionId>,
    Query(page): Query<ListAnswers>,
) -> Result<Tagged<QuestionView>, Problem> {
    let after = page.after.map(|after| after.read("answers")).transpose()?;
    let standing = standing(&app, caller.person(), id).await?;
    standing.allows(Action::Read)?;
    let keys = standing.keys();
    let row = questions::find(app.db(), id, &keys).await?.ok_or_else(Problem::not_found)?;
    let answers = questions::answers(app.db(), id, &keys, after, page.limit.and_one()).await?;
    let answers = Listing::page("answers", page.limit, answers, |row| row.position, AnswerItem::from);
    let revision = row.revision;
    Ok(Tagged(QuestionView { question: row.into(), answers }, revision))
}

/// Answer.
#[utoipa::path(
    post,
    path = "/questions/{id}/answers",
    tag = "questions",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn post_answer(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<QuestionId>,
    Json(body): Json<PostAnswer>,
) -> Result<Done, Problem> {
    let by = standing(&app, Some(caller.person()), id).await?;
    let done = execute(&app, &caller, id, by.clone(), Command::PostAnswer { by, body: body.body }).await?;
    Ok(Done::created(caller.command_id(), &done, format!("/v1/questions/{id}")))
}

/// Accept an answer, or another one: the asker, or a moderator.
#[utoipa::path(
    put,
    path = "/questions/{id}/accepted",
    tag = "questions",
    params(("id" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn accept_answer(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<QuestionId>,
    Json(body): Json<AcceptAnswer>,
) -> Result<Done, Problem> {
    let by = standing(&app, Some(caller.person()), id).await?;
    // What they may not read is to them as unknown as an id that nobody has.
    let answer = if reads(&app, &by, id, body.answer_id).await? { body.answer_id } else { AnswerId(app.fresh_id()) };
    let done = execute(&app, &caller, id, by.clone(), Command::AcceptAnswer { by, answer }).await?;
    Ok(Done::new(id.0, &done))
}

/// Accept no answer any longer.
#[utoipa::path(
    delete,
    path = "/questions/{id}/accepted",
    tag = "questions",
    params(("id" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn withdraw_acceptance(State(app): State<App>, caller: Caller, Path(id): Path<QuestionId>) -> Result<Done, Problem> {
    let by = standing(&app, Some(caller.person()), id).await?;
    let state = app.executor().load::<Question>(&question::stream(id)).await?.state;
    if let Question::Asked { author, accepted: Some(answer), .. } = &*state
        && *author == caller.person()
        && by.allows(Action::Read).is_ok()
        && !reads(&app, &by, id, *answer).await?
    {
        return Err(Problem::rejected(&question::Error::NothingAccepted));
    }
    let done = execute(&app, &caller, id, by.clone(), Command::WithdrawAcceptance { by }).await?;
    Ok(Done::new(id.0, &done))
}

/// Close: it takes no more answers.
#[utoipa::path(post, path = "/questions/{id}/close", tag = "questions", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn close_question(State(app): State<App>, caller: Caller, Path(id): Path<QuestionId>) -> Result<Done, Problem> {
    let by = standing(&app, Some(caller.person()), id).await?;
    let done = execute(&app, &caller, id, by.clone(), Command::CloseQuestion { by }).await?;
    Ok(Done::new(id.0, &done))
}

/// Open it again.
#[utoipa::path(post, path = "/questions/{id}/reopen", tag = "questions", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn reopen_question(State(app): State<App>, caller: Caller, Path(id): Path<QuestionId>) -> Result<Done, Problem> {
    let by = standing(&app, Some(caller.person()), id).await?;
    let done = execute(&app, &caller, id, by.clone(), Command::ReopenQuestion { by }).await?;
    Ok(Done::new(id.0, &done))
}
