//! What the tests share: the whole application in one value, and databases to run it on.

pub mod actor;
pub mod gated;
pub mod hesitant;
pub mod kurrent;
pub mod million;
pub mod postgres;
pub mod proxy;
pub mod server;
pub mod wire;
pub mod world;
