//! The engine: feeds, builds, switches and verifies every read model, on both databases.
//!
//! Each folder uses those above it here, and none below:
//!
//! - [`tables`]: what the database holds of builds, and their rows
//! - [`context`]: what all parts share
//! - [`builds`]: how builds are moved over the log
//! - [`live`]: what is live moves together
//! - [`operations`]: what operators do with builds and see of them, and what is done without them
//! - [`leadership`]: which process moves the read models
//! - [`prepare`]: what is built before anybody serves it
//! - [`projector`]: the facade

pub mod builds;
pub mod context;
pub mod leadership;
pub mod live;
pub mod operations;
pub mod prepare;
pub mod projector;
pub mod tables;
