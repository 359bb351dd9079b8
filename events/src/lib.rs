//! Circolo's log: what happened, in order, for ever.
//!
//! - [`store`]: the port [`EventStore`] and the envelope of an event
//! - [`memory`], [`sqlite`], [`postgres`]: its adapters
//! - [`execute`]: a command on its way from state to decision to append
//! - [`reactions`]: consumers of the log that issue commands

pub mod execute;
pub mod memory;
pub mod reactions;
mod slot;
pub mod store;

pub use execute::{Clock, Done, ExecuteError, Executor, LoadError, Loaded, Options, Request};
pub use store::{
    Append, Appended, EventStore, Expected, LogId, Metadata, NewEvent, Page, Position, Recorded, Revision, StoreError, Stored,
};
