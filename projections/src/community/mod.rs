//! Read models of groups and of what is written in them.

pub mod comments;
pub mod groups;
pub mod memberships;
pub mod posts;
pub mod questions;
pub mod reactions;
pub mod saved_items;

use crate::Projection;

/// All of them: one line per slice, sorted.
pub(crate) fn all() -> Vec<Projection> {
    vec![
        comments::comments(),
        groups::groups(),
        memberships::memberships(),
        posts::posts(),
        questions::questions(),
        reactions::reactions(),
        saved_items::saved_items(),
    ]
}
