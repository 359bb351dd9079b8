//! Pages, and what they and people write to each other.

pub(super) mod conversations;
pub(super) mod page_comments;
pub(super) mod pages;
pub(super) mod response_rates;
pub(super) mod staff;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// All of it: one line per file, sorted.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(conversations::routes())
        .merge(page_comments::routes())
        .merge(pages::routes())
        .merge(response_rates::routes())
        .merge(staff::routes())
}
