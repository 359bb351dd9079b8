//! Stories of pages and of what they and people write to each other.

pub mod conversations;
mod page_access;
mod page_comments;
pub mod pages;
mod response_rates;
