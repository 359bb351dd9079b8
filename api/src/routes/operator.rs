//! `/operator/projections`: watch and steer the builds of read models. Beside them, `/operator/consumers`, `/operator/deadlines` and `/operator/keys`.

pub mod consumers;
pub mod deadlines;
pub mod keys;
pub mod parked;
pub mod verification;

use crate::{
    App, Problem,
    caller::Operator,
    extract::{Json, OptionalJson, Path},
    problem::{Failures, Field},
};
use axum::{extract::State, http::StatusCode};
use circolo_domain::Timestamp;
use circolo_projections::{BuildId, Disposable, Limits, State as BuildState, Status, Switch};
use consumers::ConsumerView;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::num::{NonZeroU32, NonZeroU64};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_projections))
        .routes(routes!(rebuild_projections))
        .routes(routes!(rebuild_projection))
        .routes(routes!(pause_projection_build))
        .routes(routes!(resume_projection_build))
        .routes(routes!(drop_projection_builds))
        .merge(verification::routes())
        .merge(parked::routes())
        .merge(keys::routes())
        .merge(consumers::routes())
        .merge(deadlines::routes())
        .routes(routes!(switch_projection))
        .routes(routes!(roll_projection_back))
        .routes(routes!(cancel_projection_build))
}

/// All builds of all projections.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectionList {
    /// By name and build.
    pub items: Vec<ProjectionView>,
    /// What happens beside them and the commands, by name: as `/operator/consumers` lists it.
    pub reactions: Vec<ConsumerView>,
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
    /// Where it is in its life: `building`, `ready`, `live`, `stopped`, `old`, `returning`, `failed`, `checking`,
    /// `paused`.
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
    /// How fast it may go and how much memory it may take.
    pub limits: RebuildLimits,
    /// How many streams it leaves out, as an event of theirs cannot be read.
    pub parked_streams: i64,
    /// Whether something is missing from it: streams are parked, or it stopped or failed.
    pub incomplete: bool,
    /// Why it stopped or failed, or after what it is tried again.
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
            limits: status.limits.into(),
            parked_streams: status.parked,
            incomplete: status.parked > 0 || matches!(status.state, BuildState::Stopped | BuildState::Failed),
            reason: status.reason,
            started_at: status.started,
        }
    }
}

/// Limits of a build. Of those that are begun together, the tightest counts for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildLimits {
    /// Events per second; unlimited if not said.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u64)]
    pub rate: Option<NonZeroU32>,
    /// Bytes of rows in memory, roughly; 64 MiB if not said.
    #[serde(default, deserialize_with = "bytes")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    pub memory: Option<NonZeroU64>,
}

/// As the description has it: what a database's integer holds.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU64>, D::Error> {
    match Option::<NonZeroU64>::deserialize(deserializer)? {
        Some(bytes) if i64::try_from(bytes.get()).is_err() => {
            Err(de::Error::custom("out_of_range: a number from 1 to 9223372036854775807 is expected"))
        }
        bytes => Ok(bytes),
    }
}

impl From<RebuildLimits> for Limits {
    fn from(limits: RebuildLimits) -> Self {
        Self { rate: limits.rate.map(|rate| rate.get().into()), memory: limits.memory.map(NonZeroU64::get) }
    }
}

impl From<Limits> for RebuildLimits {
    fn from(limits: Limits) -> Self {
        let rate = limits.rate.and_then(|rate| NonZeroU32::new(u32::try_from(rate).unwrap_or(u32::MAX)));
        Self { rate, memory: limits.memory.and_then(NonZeroU64::new) }
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
    /// How fast it may go and how much memory it may take.
    #[serde(default)]
    #[schema(required = false)]
    pub limits: RebuildLimits,
}

/// What to rebuild, and how.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildProjections {
    /// Which; all if not said.
    #[serde(default)]
    #[schema(required = false)]
    pub names: Vec<String>,
    /// When the new builds replace the live ones; `auto` if not said.
    #[serde(default)]
    #[schema(required = false)]
    pub switch: SwitchMode,
    /// How fast they may go and how much memory they may take, together.
    #[serde(default)]
    #[schema(required = false)]
    pub limits: RebuildLimits,
}

/// What to drop; the builds that were live or failed if nothing is said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropBuilds {
    /// Only the build with this number.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub build: Option<i64>,
    /// All builds of the versions before this server's.
    #[serde(default)]
    #[schema(required = false)]
    pub old_versions: bool,
}

impl From<DropBuilds> for Disposable {
    fn from(body: DropBuilds) -> Self {
        match body {
            DropBuilds { build: Some(number), .. } => Self::Build(number),
            DropBuilds { old_versions: true, .. } => Self::OldVersions,
            DropBuilds { .. } => Self::Old,
        }
    }
}

/// Builds that something was done with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectionBuilds {
    /// By name and build.
    pub items: Vec<ProjectionBuild>,
}

impl From<Vec<BuildId>> for ProjectionBuilds {
    fn from(ids: Vec<BuildId>) -> Self {
        Self { items: ids.into_iter().map(ProjectionBuild::from).collect() }
    }
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

/// All builds, and where they stand. Needs the scope `operator`, as everything here.
#[utoipa::path(get, path = "/operator/projections", tag = "operator", responses((status = 200, body = ProjectionList), Failures))]
async fn list_projections(State(app): State<App>, _: Operator) -> Result<Json<ProjectionList>, Problem> {
    let items = app.projector().status().await?.into_iter().map(ProjectionView::from).collect();
    Ok(Json(ProjectionList { items, reactions: ConsumerView::of(&app, &app.consumers().all()).await? }))
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
    let mut begun = app.projector().rebuild_within(&[&name], body.switch.into(), body.limits.into()).await?;
    // One name makes one build.
    let build = begun.pop().ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(build.into())))
}

/// Begin new builds beside the live ones. They share one read of the log.
#[utoipa::path(
    post, path = "/operator/projections/rebuild", tag = "operator", request_body = Option<RebuildProjections>,
    responses((status = 202, body = ProjectionBuilds), Failures)
)]
async fn rebuild_projections(
    State(app): State<App>,
    _: Operator,
    OptionalJson(body): OptionalJson<RebuildProjections>,
) -> Result<(StatusCode, Json<ProjectionBuilds>), Problem> {
    let names: Vec<&str> = body.names.iter().map(String::as_str).collect();
    if let Some(at) = names.iter().position(|name| !app.projector().names().any(|known| known == *name)) {
        let message = format!("no projection is called {}", names[at]);
        return Err(Problem::invalid(vec![Field { field: format!("names[{at}]"), code: "unknown_value".to_owned(), message }]));
    }
    let begun = app.projector().rebuild_within(&names, body.switch.into(), body.limits.into()).await?;
    Ok((StatusCode::ACCEPTED, Json(begun.into())))
}

/// Leave the build that is under way where it is until it is resumed, also over a restart.
#[utoipa::path(
    post, path = "/operator/projections/{name}/pause", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ProjectionBuild), Failures)
)]
async fn pause_projection_build(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ProjectionBuild>, Problem> {
    Ok(Json(app.projector().pause(&name).await?.into()))
}

/// Let the build go on that was paused.
#[utoipa::path(
    post, path = "/operator/projections/{name}/resume", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = ProjectionBuild), Failures)
)]
async fn resume_projection_build(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<ProjectionBuild>, Problem> {
    Ok(Json(app.projector().resume(&name).await?.into()))
}

/// Drop builds that nobody needs any more, with their tables. What is live, or on its way to be, is never dropped.
#[utoipa::path(
    post, path = "/operator/projections/{name}/drop", tag = "operator", params(("name" = String, Path,)),
    request_body = Option<DropBuilds>, responses((status = 200, body = ProjectionBuilds), Failures)
)]
async fn drop_projection_builds(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    OptionalJson(body): OptionalJson<DropBuilds>,
) -> Result<Json<ProjectionBuilds>, Problem> {
    Ok(Json(app.projector().drop_builds(&name, body.into()).await?.into()))
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
