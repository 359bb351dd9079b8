//! Consumers of the log that do something about what happens: reactions issue commands, others tell somebody outside. They have a place
//! each and are never rebuilt.
//!
//! - [`Name`]: what one is called: `complete_flows`, or of many of one kind `webhook:7`
//! - [`Consumers`]: which there are; instances come and go while the server runs, and each can be paused
//! - [`run`]: moves all of them, each by itself: one that fails or is paused holds nobody up
//! - [`CheckpointStore`]: where is kept how far each has come, how it fails, and what it put aside
//!
//! A consumer sees every event at least once. What it issues has ids derived from the event, so that seeing one twice changes
//! nothing. What cannot be read, or leads to what cannot be read, is put aside and taken up again.

mod aside;
mod checkpoints;
mod instances;
mod name;
mod progress;
mod running;

pub use checkpoints::{CheckpointStore, MemoryCheckpoints};
pub use instances::{Consumers, Paused};
pub use name::Name;
pub use progress::{Failure, Progress, progress};
pub use running::{first_position, run};

use crate::{Executor, Position, Recorded};
use async_trait::async_trait;

/// Something went wrong that may go right later.
pub type ConsumerError = Box<dyn std::error::Error + Send + Sync>;

/// A consumer of the log.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Its name: the key of its checkpoint.
    fn name(&self) -> &Name;

    /// Does it look at events of this category?
    fn reads(&self, category: &str) -> bool;

    /// Behind which position an instance begins that was never here before.
    fn begins(&self) -> Position {
        Position::START
    }

    /// Does what is to be done about `event`. A refusal by the domain is an outcome; an error is tried again.
    /// [`LoadError::Unreadable`](crate::LoadError::Unreadable) tells that it is about something that cannot be read: others come first.
    async fn consume(&self, event: &Recorded, executor: &Executor) -> Result<(), ConsumerError>;
}

#[cfg(test)]
mod tests;
