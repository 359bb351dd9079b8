//! All resources: one file and one line each, sorted.

mod catalogues;
mod comments;
pub mod events;
mod feeds;
mod groups;
mod listings;
mod memberships;
pub mod operator;
mod pages;
mod people;
mod posts;
mod questions;
mod reactions;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(catalogues::routes())
        .merge(comments::routes())
        .merge(events::routes())
        .merge(feeds::routes())
        .merge(groups::routes())
        .merge(listings::routes())
        .merge(memberships::routes())
        .merge(operator::routes())
        .merge(pages::routes())
        .merge(people::routes())
        .merge(posts::routes())
        .merge(questions::routes())
        .merge(reactions::routes())
}
