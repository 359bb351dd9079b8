//! Read models of pages and of what they and people write to each other.

pub mod conversations;
pub mod page_comments;
pub mod pages;
pub mod response_rates;
pub mod staff_offers;

use crate::Projection;

/// All of them: one line per slice, sorted.
pub(crate) fn all() -> Vec<Projection> {
    vec![conversations::conversations(), page_comments::page_comments(), pages::pages(), staff_offers::staff_offers()]
}
