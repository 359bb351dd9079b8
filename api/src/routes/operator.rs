//! `/operator/projections`: watch and steer the builds of read models.

use crate::{
    App, Problem,
    caller::Operator,
    extract::{Json, OptionalJson, Path},
    problem::Failures,
};
use axum::{extract::State, http::StatusCode};
use circolo_domain::Timestamp;
use circolo_projections::{BuildId, Difference, Status, Switch, Value, Verification};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_projections))
        .routes(routes!(rebuild_projection))
        .routes(routes!(verify_projection))
        .routes(routes!(switch_projection))
        .routes(routes!(roll_projection_back))
        .routes(routes!(cancel_projection_build))
}

/// All builds of all projections.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectionList {
    /// By name and build.
    pub items: Vec<ProjectionView>,
}

/// A build of a projection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectionView {
    /// The projection.
    pub name: String,
    /// Version of the projection.
    pub version: i64,
    /// Number of the build.
    pub build: i64,
    /// Where it is in its life: `building`, `ready`, `live`, `stopped`, `old`, `returning`, `failed`, `checking`.
    pub state: String,
    /// Up to here it is folded.
    pub position: i64,
    /// Where the log ends.
    pub head: i64,
    /// How many events it lacks, at most.
    pub lag_events: i64,
    /// For how long the oldest of them has waited.
    pub lag_seconds: f64,
    /// Events per second, lately.
    pub rate: f64,
    /// Between 0 and 1.
    pub progress: f64,
    /// How long it will still take, if that can be told.
    pub eta_seconds: Option<f64>,
    /// When it replaces the live build: `auto` or `manual`.
    pub switch: SwitchMode,
    /// Why it stopped or failed.
    pub reason: Option<String>,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
}

/// When a finished build replaces the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SwitchMode {
    /// At once.
    #[default]
    Auto,
    /// When an operator says so.
    Manual,
}

impl From<SwitchMode> for Switch {
    fn from(mode: SwitchMode) -> Self {
        match mode {
            SwitchMode::Auto => Self::Auto,
            SwitchMode::Manual => Self::Manual,
        }
    }
}

impl From<Status> for ProjectionView {
    fn from(status: Status) -> Self {
        Self {
            name: status.name,
            version: status.version,
            build: status.build,
            state: status.state.name().to_owned(),
            position: status.position.0,
            head: status.head.0,
            lag_events: status.lag_events,
            lag_seconds: status.lag_seconds,
            rate: status.rate,
            progress: status.progress,
            eta_seconds: status.eta_seconds,
            switch: if status.switch == Switch::Auto { SwitchMode::Auto } else { SwitchMode::Manual },
            reason: status.reason,
            started_at: status.started,
        }
    }
}

/// How to rebuild.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildProjection {
    /// When the new build replaces the live one; `auto` if not said.
    #[serde(default)]
    #[schema(required = false)]
    pub switch: SwitchMode,
}

/// A build that something was done with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectionBuild {
    /// The projection.
    pub name: String,
    /// Number of the build.
    pub build: i64,
}

impl From<BuildId> for ProjectionBuild {
    fn from(id: BuildId) -> Self {
        Self { name: id.name, build: id.build }
    }
}

/// What folding once more found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VerificationView {
    /// The projection.
    pub name: String,
    /// The live build.
    pub build: i64,
    /// How many rows it has.
    pub rows: i64,
    /// How many rows differ, are missing or are too many: 0 is clean.
    pub different: i64,
    /// The first differences of each table.
    pub differences: Vec<DifferenceView>,
}

/// One value, or one whole row, that is not what the log says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DifferenceView {
    /// The table.
    pub table: String,
    /// The row.
    pub key: String,
    /// The column; absent where the whole row is missing or too many.
    pub column: Option<String>,
    /// What is live; null for a missing row.
    pub live: serde_json::Value,
    /// What the log says; null for a row that should not be.
    pub folded: serde_json::Value,
}

impl From<Verification> for VerificationView {
    fn from(found: Verification) -> Self {
        let differences = found.differences.into_iter().map(DifferenceView::from).collect();
        Self { name: found.name, build: found.build, rows: found.rows, different: found.different, differences }
    }
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        let json = |value| match value {
            Value::Null => serde_json::Value::Null,
            Value::Int(number) => number.into(),
            Value::Float(number) => number.into(),
            Value::Text(text) => text.into(),
            Value::List(texts) => texts.into(),
        };
        Self {
            table: difference.table.to_owned(),
            key: difference.key,
            column: difference.column.map(str::to_owned),
            live: json(difference.live),
            folded: json(difference.folded),
        }
    }
}

/// All builds, and where they stand. Needs the scope `operator`, as everything here.
#[utoipa::path(get, path = "/operator/projections", tag = "operator", responses((status = 200, body = ProjectionList), Failures))]
async fn list_projections(State(app): State<App>, _: Operator) -> Result<Json<ProjectionList>, Problem> {
    let items = app.projector().status().await?.into_iter().map(ProjectionView::from).collect();
    Ok(Json(ProjectionList { items }))
}

/// Begin a new build beside the live one.
#[utoipa::path(
    post, path = "/operator/projections/{name}/rebuild", tag = "operator", params(("name" = String, Path,)),
    request_body = Option<RebuildProjection>, responses((status = 202, body = ProjectionBuild), Failures)
)]
async fn rebuild_projection(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    OptionalJson(body): OptionalJson<RebuildProjection>,
) -> Result<(StatusCode, Json<ProjectionBuild>), Problem> {
    let mut begun = app.projector().rebuild(&[&name], body.switch.into()).await?;
    // One name makes one build.
    let build = begun.pop().ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(build.into())))
}

/// Fold once more and compare with what is live. This may take long.
#[utoipa::path(
    post, path = "/operator/projections/{name}/verify", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = VerificationView), Failures)
)]
async fn verify_projection(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<VerificationView>, Problem> {
    Ok(Json(app.projector().verify(&name).await?.into()))
}

/// Let the build that is ready replace the live one.
#[utoipa::path(
    post, path = "/operator/projections/{name}/switch", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ProjectionBuild), Failures)
)]
async fn switch_projection(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ProjectionBuild>, Problem> {
    Ok(Json(app.projector().switch(&name).await?.into()))
}

/// Begin to bring the build back that was live before.
#[utoipa::path(
    post, path = "/operator/projections/{name}/rollback", tag = "operator", params(("name" = String, Path,)),
    responses((status = 202, body = ProjectionBuild), Failures)
)]
async fn roll_projection_back(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<ProjectionBuild>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(app.projector().rollback(&name).await?.into())))
}

/// Give up the build that is under way or waits for its switch.
#[utoipa::path(
    post, path = "/operator/projections/{name}/cancel", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ProjectionBuild), Failures)
)]
async fn cancel_projection_build(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ProjectionBuild>, Problem> {
    Ok(Json(app.projector().cancel(&name).await?.into()))
}
