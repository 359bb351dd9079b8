//! Groups, and what is written in them.

pub(super) mod comments;
pub(super) mod groups;
pub(super) mod members;
pub(super) mod memberships;
pub(super) mod posts;
pub(super) mod questions;
pub(super) mod reactions;
pub(super) mod saved_items;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

/// All of it: one line per file, sorted.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(comments::routes())
        .merge(groups::routes())
        .merge(members::routes())
        .merge(memberships::routes())
        .merge(posts::routes())
        .merge(questions::routes())
        .merge(reactions::routes())
        .merge(saved_items::routes())
}
