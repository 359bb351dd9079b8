//! All integration tests in one binary: one module per subject.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

mod access;
mod adapters;
mod allowances;
mod as_of;
mod audiences;
mod backend;
mod bad_input;
mod care;
mod changes;
mod changes_agree;
mod command_line;
mod community;
mod compose;
mod concurrency;
mod conformance;
mod connections;
mod console;
mod consumers;
mod conventions;
mod copies;
mod counts;
mod crashes;
mod damage;
mod deadlines;
mod deadlines_many;
mod engine;
mod engine_operations;
mod engine_property;
mod engine_steering;
mod engine_switch;
mod eras;
mod eras_many;
mod exports;
mod faults;
mod feeds;
mod feeds_million;
mod floods;
mod frame;
mod given;
mod health;
mod hits;
mod imports;
mod keys;
#[cfg(feature = "kurrentdb")]
mod kurrent;
#[cfg(feature = "kurrentdb")]
mod kurrent_claims;
#[cfg(feature = "kurrentdb")]
mod kurrent_faults;
#[cfg(feature = "kurrentdb")]
mod kurrent_positions;
#[cfg(feature = "kurrentdb")]
mod kurrent_server;
mod layers;
mod leaks;
mod load;
mod market;
mod masking;
mod media;
mod nodes;
mod nodes_engine;
mod notifications;
mod operations;
mod people;
mod plans;
mod poison;
mod postgres_hardened;
mod private_files;
mod races;
mod refusals;
mod relaying;
mod restored;
mod salts;
mod sealed;
mod search;
mod secrecy;
mod tailing;
mod unmasking;
mod unread_bodies;
mod unreadable;
mod upgrades;
mod waking;
