//! What the tests share: the whole application in one value, and databases to run it on.

pub mod actor;
pub mod postgres;
pub mod server;
pub mod world;
