//! All resources: one file and one line each, sorted.

mod catalogues;
mod changes;
mod comments;
mod conversations;
pub mod events;
mod feeds;
mod groups;
mod listings;
mod members;
mod memberships;
pub mod operator;
mod operator_events;
mod page_comments;
mod pages;
mod people;
mod posts;
mod questions;
mod reactions;
mod response_rates;
mod staff;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(catalogues::routes())
        .merge(changes::routes())
        .merge(comments::routes())
        .merge(conversations::routes())
        .merge(events::routes())
        .merge(feeds::routes())
        .merge(groups::routes())
        .merge(listings::routes())
        .merge(members::routes())
        .merge(memberships::routes())
        .merge(operator::routes())
        .merge(operator_events::routes())
        .merge(page_comments::routes())
        .merge(pages::routes())
        .merge(people::routes())
        .merge(posts::routes())
        .merge(questions::routes())
        .merge(reactions::routes())
        .merge(response_rates::routes())
        .merge(staff::routes())
}
