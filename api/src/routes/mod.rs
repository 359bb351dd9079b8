//! All resources: one file and one line each, sorted.

mod catalogues;
pub mod events;
mod groups;
mod listings;
mod memberships;
pub mod operator;
mod pages;
mod people;
mod questions;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(catalogues::routes())
        .merge(events::routes())
        .merge(groups::routes())
        .merge(listings::routes())
        .merge(memberships::routes())
        .merge(operator::routes())
        .merge(pages::routes())
        .merge(people::routes())
        .merge(questions::routes())
}
