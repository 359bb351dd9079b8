//! `/operator/deadlines`: what waits to be looked at again, by stream and moment.

use crate::{
    App, Problem,
    caller::Operator,
    extract::Query,
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::Timestamp;
use circolo_events::waking::Due;
use circolo_projections::{DbError, deadlines};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_deadlines))
}

/// Something that is to be looked at again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadlineView {
    /// The stream that is woken.
    pub stream: String,
    /// The matter, where a stream may have several: the comment in a conversation.
    pub about: Option<Uuid>,
    /// Until when it waits.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// For how long it should have been woken; 0 if its moment is yet to come.
    pub lag_seconds: f64,
    /// The event that says so.
    pub event: Uuid,
}

impl DeadlineView {
    fn new(due: Due, now: Timestamp) -> Self {
        let Due { matter, at, set_by, .. } = due;
        Self { stream: matter.stream.to_string(), about: matter.about, due_at: at, lag_seconds: lag(at, now), event: set_by }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
fn lag(due: Timestamp, now: Timestamp) -> f64 {
    (now.since(due).as_micros() as f64 / 1e6).max(0.0)
}

/// For how long the oldest of all that is due has waited; `None` while that is not known.
pub(crate) async fn lag_of_all(app: &App) -> Result<Option<f64>, DbError> {
    match deadlines::next(app.db()).await {
        Ok(next) => Ok(Some(next.map_or(0.0, |due| lag(due, app.now())))),
        Err(DbError::Building(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListDeadlines {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// What waits until a moment at which the server looks at it again, such as the end of a ban; the first to come first.
#[utoipa::path(
    get, path = "/operator/deadlines", tag = "operator", params(ListDeadlines),
    responses((status = 200, body = Listing<DeadlineView>), Failures)
)]
async fn list_deadlines(State(app): State<App>, _: Operator, Query(query): Query<ListDeadlines>) -> Result<Listing<DeadlineView>, Problem> {
    let after: Option<(i64, String)> = query.after.map(|cursor| cursor.read("deadlines")).transpose()?;
    let after = after.as_ref().map(|(at, key)| (Timestamp::from_micros(*at), &**key));
    let found = deadlines::due(app.db(), Timestamp::from_micros(i64::MAX), after, query.limit.and_one()).await?;
    let now = app.now();
    Ok(Listing::page("deadlines", query.limit, found, |due| (due.at.micros(), due.key.clone()), |due| DeadlineView::new(due, now)))
}
