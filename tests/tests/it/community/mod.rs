//! Stories of groups and of what is written in them.

mod departures;
mod groups;
mod memberships;
mod posts;
mod questions;
mod saved_items;
mod words;
