//! All resources: one file each, in folders by pillar.

mod care;
mod changes;
mod community;
pub mod events;
mod feeds;
mod market;
mod media;
mod notifications;
pub mod operator;
mod operator_events;
mod people;
mod things;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(care::routes())
        .merge(changes::routes())
        .merge(community::routes())
        .merge(events::routes())
        .merge(feeds::routes())
        .merge(market::routes())
        .merge(media::routes())
        .merge(notifications::routes())
        .merge(operator::routes())
        .merge(operator_events::routes())
        .merge(people::routes())
}
