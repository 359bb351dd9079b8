//! What is for sale between people.

pub mod listing;
