//! `/pages/{id}/response-rate`: how a page answers, a label for everyone, figures and reasons for its staff.

use crate::{
    App, Problem,
    caller::MaybeCaller,
    extract::{Json, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::{Failures, Field},
};
use axum::extract::State;
use circolo_domain::{
    PageId, Timestamp,
    page::{self, StaffAct},
    response_rate::{Basis, FORMULA, Label, LeftOut, ResponseRate, Verdict},
};
use circolo_projections::{
    DbError,
    response_rates::{self, IncomingRow},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find_response_rate)).routes(routes!(explain_response_rate))
}

/// What everyone may know of how a page answers.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseLabel)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes the domain's label")]
enum LabelName {
    VeryResponsive,
    Responsive,
    Slow,
    NotRated,
}

/// Which messages a response rate is based on.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseBasis)]
#[expect(dead_code, reason = "it describes the domain's basis")]
enum BasisName {
    #[serde(rename = "nothing")]
    Nothing,
    #[serde(rename = "all")]
    All,
    #[serde(rename = "last_10")]
    Last10,
    #[serde(rename = "last_30_days")]
    Last30Days,
}

/// How a page answers.
#[derive(Debug, Serialize, ToSchema)]
struct ResponseRateView {
    /// The version of the formula.
    formula: u32,
    /// For everyone.
    #[schema(value_type = LabelName)]
    label: Label,
    #[serde(flatten)]
    #[schema(value_type = FiguresView)]
    figures: Option<FiguresView>,
}

/// The exact figures: for staff.
#[derive(Debug, Serialize, ToSchema)]
struct FiguresView {
    /// The moment they are computed at.
    #[schema(value_type = String, format = DateTime, required = false)]
    at: Timestamp,
    /// Which messages they are based on.
    #[schema(value_type = BasisName, required = false)]
    basis: Basis,
    /// How many counted.
    #[schema(required = false)]
    counted: usize,
    /// How many of them were answered within 24 hours.
    #[schema(required = false)]
    answered: usize,
    /// How many wait for their answer and are not counted yet.
    #[schema(required = false)]
    pending: usize,
    /// Answered by counted; null if nothing counted.
    #[schema(required = false)]
    rate: Option<f64>,
    /// Mean time of the fastest nine tenths of the answers; null without an answer.
    #[schema(required = false)]
    mean_seconds: Option<f64>,
}

impl FiguresView {
    fn new(result: &ResponseRate) -> Self {
        let ResponseRate { at, basis, counted, answered, pending, .. } = *result;
        Self { at, basis, counted, answered, pending, rate: result.rate(), mean_seconds: result.mean_seconds() }
    }
}

/// A message, and what the formula makes of it.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainedItem {
    /// The message; for staff who care.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// Who wrote it; for staff who care.
    #[serde(skip_serializing_if = "Option::is_none")]
    person_id: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    sent_at: Timestamp,
    /// Whether it counted.
    counted: bool,
    /// Whether it was answered within 24 hours, if it counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<bool>,
    /// After how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Why it was left out: `spam`, `away`, `answers_the_page`, `not_the_first`, `pending` or `before_the_window`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    left_out: Option<LeftOut>,
}

impl ExplainedItem {
    #[expect(clippy::cast_precision_loss, reason = "24 hours in microseconds are exact in a float")]
    fn new(row: IncomingRow, result: &ResponseRate, cares: bool) -> Self {
        let (counted, after, left_out) = match result.explain(&row.facts()) {
            Verdict::Counted(after) => (true, after, None),
            Verdict::LeftOut(reason) => (false, None, Some(reason)),
        };
        Self {
            message_id: cares.then_some(row.id),
            person_id: cares.then_some(row.person_id),
            sent_at: row.sent,
            counted,
            answered: counted.then_some(after.is_some()),
            seconds: after.map(|after| after.as_micros() as f64 / 1_000_000.0),
            left_out,
        }
    }
}

/// At which moment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindResponseRate {
    /// The moment to compute it at, from all that is recorded by now; now if not said.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// The moment to compute it at, from what was recorded by then alone; not together with `at`.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
}

/// Which messages, and at which moment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExplainResponseRate {
    /// The moment to compute it at, from all that is recorded by now; now if not said.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

fn moment(app: &App, at: Option<Timestamp>) -> Result<Timestamp, Problem> {
    let now = app.now();
    match at {
        Some(at) if at > now => Err(Problem::bad_request("at_in_future", "what happens until then is not known yet")),
        at => Ok(at.unwrap_or(now)),
    }
}

/// How a page answers: a label for everyone, at most a minute old; the figures for its staff. Another moment than now is for
/// registered callers.
#[utoipa::path(
    get,
    path = "/pages/{id}/response-rate",
    tag = "pages",
    params(("id" = Uuid, Path,), FindResponseRate),
    responses((status = 200, body = ResponseRateView), Failures)
)]
async fn find_response_rate(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(page): Path<PageId>,
    Query(query): Query<FindResponseRate>,
) -> Result<Json<ResponseRateView>, Problem> {
    if query.as_of.is_some() && query.at.is_some() {
        let message = "at computes from all that is known now, as_of from what was known then: not both".to_owned();
        return Err(Problem::invalid(vec![Field { field: "as_of".to_owned(), code: "not_with_at".to_owned(), message }]));
    }
    let at = moment(&app, query.at)?;
    let standing = app.page_standing(caller.call(), page).await?;
    standing.sees()?;
    let staff = standing.may(StaffAct::Inspect).is_ok();
    if query.at.is_some() {
        caller.needed()?;
    }
    let result = match query.as_of {
        None if !staff && query.at.is_none() => {
            return Ok(Json(ResponseRateView { formula: FORMULA, label: label_now(&app, page).await?, figures: None }));
        }
        None => response_rates::compute(app.db(), page, at).await?,
        Some(time) => as_of(&app, &caller, page, time).await?.ok_or_else(Problem::not_found)?,
    };
    let figures = staff.then(|| FiguresView::new(&result));
    Ok(Json(ResponseRateView { formula: FORMULA, label: result.label(), figures }))
}

/// What everyone may know now: computed once a minute, however many ask.
async fn label_now(app: &App, page: PageId) -> Result<Label, Problem> {
    let now = app.now();
    let minute = now.micros().div_euclid(60_000_000);
    let computed = async { Ok::<_, DbError>(response_rates::compute(app.db(), page, now).await?.label()) };
    Ok(app.labels().get_or_insert_async(&(page, minute), computed).await?)
}

async fn as_of(app: &App, caller: &MaybeCaller, page: PageId, time: Timestamp) -> Result<Option<ResponseRate>, Problem> {
    let (look, stream) = (app.look_back(caller, time).await?, page::stream(page));
    if let Some(known) = look.known::<Option<ResponseRate>>(&stream) {
        return Ok(*known);
    }
    let rate = response_rates::as_of(look.past(), page, time).await?;
    Ok(*look.keep(&stream, rate, size_of::<Option<ResponseRate>>()))
}

/// What the formula makes of each message that persons wrote, latest first: for staff. Who wrote which is for staff who care.
#[utoipa::path(
    get,
    path = "/pages/{id}/response-rate/messages",
    tag = "pages",
    params(("id" = Uuid, Path,), ExplainResponseRate),
    responses((status = 200, body = Listing<ExplainedItem>), Failures)
)]
async fn explain_response_rate(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(page): Path<PageId>,
    Query(query): Query<ExplainResponseRate>,
) -> Result<Listing<ExplainedItem>, Problem> {
    let at = moment(&app, query.at)?;
    let before = query.after.map(|after| after.read("response_rate")).transpose()?;
    let standing = app.page_standing(caller.call(), page).await?;
    standing.may(StaffAct::Inspect)?;
    // Who wrote what is for those alone who read the messages.
    let cares = standing.may(StaffAct::Care).is_ok();
    let result = response_rates::compute(app.db(), page, at).await?;
    let rows = response_rates::incoming(app.db(), page, at, before, query.limit.and_one()).await?;
    let key = |row: &IncomingRow| (row.sent.micros(), row.position);
    Ok(Listing::page("response_rate", query.limit, rows, key, |row| ExplainedItem::new(row, &result, cares)))
}
