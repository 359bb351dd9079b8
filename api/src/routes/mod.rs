//! All resources: one file and one line each, sorted.

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
