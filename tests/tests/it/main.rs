//! All integration tests in one binary: one module per subject.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

mod access;
mod adapters;
mod backend;
mod bad_input;
mod command_line;
mod community;
mod concurrency;
mod conformance;
mod conventions;
mod conversations;
mod crashes;
mod departures;
mod engine;
mod engine_operations;
mod engine_property;
mod engine_switch;
mod eras;
mod feeds;
mod feeds_million;
mod frame;
mod groups;
mod hits;
mod layers;
mod listings;
mod memberships;
mod million;
mod page_comments;
mod pages;
mod people;
mod plans;
mod posts;
mod questions;
mod response_rates;
mod secrecy;
mod tailing;
