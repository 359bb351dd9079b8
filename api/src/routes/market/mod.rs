//! What is for sale.

pub(super) mod catalogues;
pub(super) mod listings;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// All of it: one line per file, sorted.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(catalogues::routes()).merge(listings::routes())
}
