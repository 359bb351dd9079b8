//! `/operator/projections/{name}/verification`: fold once more and compare with what is live.

use crate::{
    App, Problem,
    caller::Operator,
    extract::{Json, OptionalJson, Path},
    problem::Failures,
};
use axum::{extract::State, http::StatusCode};
use circolo_domain::Timestamp;
use circolo_projections::{Difference, Report, SampleSize, Sampling, Status, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(verify_projection)).routes(routes!(read_verification))
}

/// How many rows a sample takes: `500`, or `2.5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample(pub SampleSize);

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| de::Error::custom(format!("bad_sample: {error}")))
    }
}

/// What to compare.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyProjection {
    /// Fold and compare only about so many rows, `500`, or so much of them, `2.5%`; all rows if not said.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^([1-9][0-9]{0,8}|[1-9][0-9]?([.][0-9]{1,6})?%)$", example = "2.5%")]
    pub sample: Option<Sample>,
    /// Chooses which rows are in the sample; the same number chooses the same. Any if not said, and told.
    #[serde(default)]
    #[schema(value_type = Option<u64>, maximum = 4_294_967_295_u64)]
    pub seed: Option<u32>,
}

impl VerifyProjection {
    /// The sample that is asked for; the clock chooses where nobody does.
    pub fn sampling(&self, now: Timestamp) -> Option<Sampling> {
        let Sample(size) = self.sample?;
        let any = u32::try_from(now.micros().rem_euclid(1 << 32)).unwrap_or_default();
        Some(Sampling { size, seed: self.seed.unwrap_or(any) })
    }
}

/// A verification: under way, or the last one. It is kept until the next, or until the server ends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VerificationView {
    /// The projection.
    pub name: String,
    /// The live build.
    pub build: i64,
    /// `running`, `done`, or `failed`: it could not be made.
    pub state: String,
    /// Share of the log that is folded once more, between 0 and 1.
    pub progress: f64,
    /// How long folding will still take, if that can be told.
    pub eta_seconds: Option<f64>,
    /// The sample: `500`, `2.5%`; null for all rows.
    #[schema(value_type = Option<String>)]
    pub sample: Option<Sample>,
    /// What chose the rows of the sample.
    #[schema(value_type = Option<u64>, maximum = 4_294_967_295_u64)]
    pub seed: Option<u32>,
    /// How many rows the live build has.
    pub rows: i64,
    /// How many rows were compared.
    pub compared: i64,
    /// How many of them differ, are missing or are too many: 0 is clean.
    pub different: i64,
    /// The first differences of each table; at most those of 100 rows.
    pub differences: Vec<DifferenceView>,
    /// What the database itself finds wrong with the live build: pages, indexes, full-text; empty is clean.
    pub damage: Vec<String>,
    /// What of that could not be looked at, and why.
    pub left_out: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// One value, or one whole row, that is not what the log says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DifferenceView {
    /// The table.
    pub table: String,
    /// The row.
    pub key: String,
    /// The column; null where the whole row is missing or too many.
    pub column: Option<String>,
    /// What is live; null for a missing row. Of a text only its length: it may be somebody's words, and operators see no content.
    pub live: serde_json::Value,
    /// What the log says, likewise; null for a row that should not be.
    pub folded: serde_json::Value,
}

impl VerificationView {
    /// `builds` tell how far it is.
    pub fn new(report: Report, builds: &[Status]) -> Self {
        let check = builds.iter().find(|build| build.name == report.check.name && build.build == report.check.build);
        let (state, found, reason) = match report.outcome {
            None => ("running", None, None),
            Some(Ok(found)) => ("done", Some(found), None),
            Some(Err(reason)) => ("failed", None, Some(reason)),
        };
        let running = if state == "running" { check } else { None };
        Self {
            state: state.to_owned(),
            progress: running.map_or(if state == "running" { 0.0 } else { 1.0 }, |check| check.progress),
            eta_seconds: running.and_then(|check| check.eta_seconds),
            sample: report.sampling.map(|sampling| Sample(sampling.size)),
            seed: report.sampling.map(|sampling| sampling.seed),
            rows: found.as_ref().map_or(0, |found| found.rows),
            compared: found.as_ref().map_or(0, |found| found.compared),
            different: found.as_ref().map_or(0, |found| found.different),
            damage: found.as_ref().map(|found| found.damage.clone()).unwrap_or_default(),
            left_out: found.as_ref().and_then(|found| found.left_out.clone()),
            differences: found.map(|found| found.differences.into_iter().map(DifferenceView::from).collect()).unwrap_or_default(),
            reason,
            started_at: report.started,
            finished_at: report.finished,
            name: report.name,
            build: report.build,
        }
    }
}

impl DifferenceView {
    /// The same with lengths in place of texts.
    fn without_texts(mut self) -> Self {
        for value in [&mut self.live, &mut self.folded] {
            if let (Some(_), Some(text)) = (&self.column, value.as_str()) {
                *value = format!("text of {} characters", text.chars().count()).into();
            }
        }
        self
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

async fn view(app: &App, name: &str) -> Result<VerificationView, Problem> {
    let report = app.projector().verification(name)?.ok_or_else(Problem::not_found)?;
    let view = VerificationView::new(report, &app.projector().status().await?);
    Ok(VerificationView { differences: view.differences.into_iter().map(DifferenceView::without_texts).collect(), ..view })
}

/// Begin to fold once more and to compare with what is live, beside everything else.
#[utoipa::path(
    post, path = "/operator/projections/{name}/verify", tag = "operator", params(("name" = String, Path,)),
    request_body = Option<VerifyProjection>, responses((status = 202, body = VerificationView), Failures)
)]
async fn verify_projection(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    OptionalJson(body): OptionalJson<VerifyProjection>,
) -> Result<(StatusCode, Json<VerificationView>), Problem> {
    // Nobody waits for it here; the report is kept.
    drop(app.projector().begin_verification(&name, body.sampling(app.now())).await?);
    Ok((StatusCode::ACCEPTED, Json(view(&app, &name).await?)))
}

/// The verification that is under way, or the last one. 404 if there was none since the server started.
#[utoipa::path(
    get, path = "/operator/projections/{name}/verification", tag = "operator", params(("name" = String, Path,)),
    responses((status = 200, body = VerificationView), Failures)
)]
async fn read_verification(State(app): State<App>, _: Operator, Path(name): Path<String>) -> Result<Json<VerificationView>, Problem> {
    Ok(Json(view(&app, &name).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_only_operates_sees_no_words() {
        let difference = |column: Option<&str>, live: serde_json::Value, folded: serde_json::Value| {
            let (table, key, column) = ("people_v1".to_owned(), "7".to_owned(), column.map(str::to_owned));
            let seen = DifferenceView { table, key, column, live, folded }.without_texts();
            (seen.live, seen.folded)
        };
        let null = serde_json::Value::Null;
        assert_eq!(difference(Some("display_name"), "Änne".into(), null.clone()), ("text of 4 characters".into(), null.clone()));
        assert_eq!(difference(Some("revision"), 4.into(), 5.into()), (4.into(), 5.into()));
        assert_eq!(difference(None, "7".into(), null.clone()), ("7".into(), null));
    }
}
