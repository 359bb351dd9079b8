//! All resources: one file and one line each, sorted.

pub mod events;
mod groups;
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
        .merge(events::routes())
        .merge(groups::routes())
        .merge(memberships::routes())
        .merge(operator::routes())
        .merge(pages::routes())
        .merge(people::routes())
        .merge(questions::routes())
}
