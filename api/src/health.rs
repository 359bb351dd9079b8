//! `/health/live`, `/health/ready` and `/metrics`: for those who run the server.

use crate::{App, Problem, extract::Json, telemetry};
use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use std::time::Duration;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The routes of this file. They are not part of the API's description.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).route("/metrics", get(metrics))
}

/// The process runs.
async fn live() -> Json<serde_json::Value> {
    Json(json!({ "status": "live" }))
}

/// The store can be reached, and the read models are close enough behind it.
async fn ready(State(app): State<App>) -> Result<Json<serde_json::Value>, Problem> {
    let head = match tokio::time::timeout(PATIENCE, app.store().head()).await {
        Ok(head) => head?,
        Err(_) => return Err(Problem::try_later("not_ready", "the log does not answer")),
    };
    let position = app.projector().position();
    let lag = (head.0 - position.0).max(0);
    let facts = json!({ "status": "ready", "head": head, "position": position, "lag": lag });
    match app.projector().failure() {
        Some(_) => Err(Problem::try_later("not_ready", "the read models have stopped").with_details(facts)),
        None if lag > app.config().ready_lag => {
            Err(Problem::try_later("not_ready", "the read models are too far behind").with_details(facts))
        }
        None => Ok(Json(facts)),
    }
}

/// Everything measured, as Prometheus reads it.
async fn metrics(State(app): State<App>) -> Response {
    match (telemetry::metrics(), app.projector().status().await) {
        (Ok(handle), Ok(builds)) => {
            for build in builds {
                let labels = [("projection", build.name), ("version", build.version.to_string()), ("build", build.build.to_string())];
                #[expect(clippy::cast_precision_loss, reason = "figures for people to look at")]
                for (name, value) in [
                    ("circolo_projection_position", build.position.0 as f64),
                    ("circolo_projection_head", build.head.0 as f64),
                    ("circolo_projection_lag_events", build.lag_events as f64),
                    ("circolo_projection_lag_seconds", build.lag_seconds),
                    ("circolo_projection_rate", build.rate),
                ] {
                    metrics::gauge!(name, &labels).set(value);
                }
            }
            handle.run_upkeep();
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response()
        }
        (Err(error), _) => Problem::internal(&error).into_response(),
        (_, Err(error)) => Problem::from(error).into_response(),
    }
}
