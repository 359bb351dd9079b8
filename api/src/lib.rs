//! Circolo as a REST API and a command line.
//!
//! - [`config`]: what can be set; [`open`]: URLs to adapters; [`held`]: what keeps others away from them
//! - [`app`]: what every handler needs, [`caller`]: who asks, [`call`]: one request to change something
//! - [`extract`], [`headers`], [`listing`], [`answer`], [`problem`]: how requests are read and answered
//! - [`auth`], [`keys`], [`jwks`]: who a token stands for
//! - [`server`], `connections`, [`layers`], `whole`, [`rate`], `listeners`, `relay`: what surrounds the routes
//! - `health`, `docs`, `console`, `fixed`, [`telemetry`]: what is served beside them
//! - [`routes`]: one file per resource
//! - `past`: looks at the past, bounded; [`media`]: files between requests and their store
//! - [`remote`]: the log of a running server, read over its API
//! - [`clock`]: the one real clock

pub mod answer;
pub mod app;
pub mod auth;
pub mod call;
pub mod caller;
pub mod clock;
pub mod config;
mod connections;
mod console;
mod docs;
pub mod extract;
mod fixed;
pub mod headers;
mod health;
pub mod held;
pub mod jwks;
pub mod keys;
pub mod layers;
mod listeners;
pub mod listing;
pub mod media;
pub mod open;
mod past;
pub mod place;
pub mod problem;
pub mod rate;
mod relay;
pub mod remote;
pub mod routes;
pub mod running;
pub mod sealed;
pub mod server;
pub mod telemetry;
mod whole;

pub use app::App;
pub use problem::Problem;

/// Requests and rows are many short-lived pieces of one to ten kilobytes, made on one thread and given back on another: glibc spends a
/// third of a request's time on putting such pieces together again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
