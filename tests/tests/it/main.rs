//! All integration tests in one binary: one module per subject.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

mod adapters;
mod backend;
mod conformance;
mod engine;
mod engine_operations;
mod engine_property;
mod engine_switch;
mod frame;
mod tailing;
