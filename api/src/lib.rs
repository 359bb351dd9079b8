//! Circolo as a REST API and a command line.
//!
//! - [`config`]: what can be set; [`open`]: URLs to adapters; [`held`]: what keeps others away from them
//! - [`app`]: what every handler needs, [`caller`]: who asks, [`call`]: one request to change something
//! - [`extract`], [`headers`], [`listing`], [`answer`], [`problem`]: how requests are read and answered
//! - [`auth`], [`keys`], [`jwks`]: who a token stands for
//! - [`server`], [`layers`], [`rate`], `health`, `console`, `relay`, [`telemetry`]: what surrounds the routes
//! - [`routes`]: one file per resource
//! - [`remote`]: the log of a running server, read over its API
//! - [`clock`]: the one real clock

pub mod answer;
pub mod app;
pub mod auth;
pub mod call;
pub mod caller;
pub mod clock;
pub mod config;
mod console;
pub mod extract;
pub mod headers;
mod health;
pub mod held;
pub mod jwks;
pub mod keys;
pub mod layers;
pub mod listing;
pub mod open;
pub mod problem;
pub mod rate;
mod relay;
pub mod remote;
pub mod routes;
pub mod running;
pub mod server;
pub mod telemetry;

pub use app::App;
pub use problem::Problem;

/// Requests and rows are many short-lived pieces of one to ten kilobytes, made on one thread and given back on another: glibc spends a
/// third of a request's time on putting such pieces together again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
