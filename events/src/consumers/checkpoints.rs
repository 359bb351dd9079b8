//! Where is kept how consumers stand.

use super::{ConsumerError, Failure, Paused};
use crate::Position;
use async_trait::async_trait;
use circolo_domain::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where consumers keep how far they have come. All of it is of one log.
#[async_trait]
pub trait CheckpointStore: Send + Sync + 'static {
    /// The checkpoint of `name`, if it has one for this log.
    async fn load(&self, name: &str) -> Result<Option<Position>, ConsumerError>;
    /// Moves the checkpoint of `name`.
    async fn save(&self, name: &str, position: Position) -> Result<(), ConsumerError>;
    /// How `name` failed the last time, if it ever did.
    async fn failure(&self, name: &str) -> Result<Option<Failure>, ConsumerError>;
    /// Notes how `name` fails, or that it goes on again.
    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ConsumerError>;
    /// Where the events of this log stand that `name` put aside.
    async fn aside(&self, name: &str) -> Result<Vec<Position>, ConsumerError>;
    /// Puts an event aside; a second time changes nothing.
    async fn put_aside(&self, name: &str, position: Position) -> Result<(), ConsumerError>;
    /// Takes an event up that was put aside.
    async fn take_up(&self, name: &str, position: Position) -> Result<(), ConsumerError>;
    /// Who is paused, and since when.
    async fn paused(&self) -> Result<Paused, ConsumerError>;
    /// Pauses `name`; a second time changes nothing.
    async fn pause(&self, name: &str, at: Timestamp) -> Result<(), ConsumerError>;
    /// Lets `name` go on.
    async fn resume(&self, name: &str) -> Result<(), ConsumerError>;
}

/// Checkpoints in memory, for tests and for logs that are in memory themselves.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints {
    positions: Mutex<HashMap<String, Position>>,
    failures: Mutex<HashMap<String, Failure>>,
    aside: Mutex<BTreeSet<(String, Position)>>,
    paused: Mutex<Paused>,
}

#[async_trait]
impl CheckpointStore for MemoryCheckpoints {
    async fn load(&self, name: &str) -> Result<Option<Position>, ConsumerError> {
        Ok(locked(&self.positions).get(name).copied())
    }

    async fn save(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        locked(&self.positions).insert(name.to_owned(), position);
        Ok(())
    }

    async fn failure(&self, name: &str) -> Result<Option<Failure>, ConsumerError> {
        Ok(locked(&self.failures).get(name).cloned())
    }

    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ConsumerError> {
        locked(&self.failures).insert(name.to_owned(), failure.clone());
        Ok(())
    }

    async fn aside(&self, name: &str) -> Result<Vec<Position>, ConsumerError> {
        Ok(locked(&self.aside).iter().filter(|(of, _)| of == name).map(|(_, position)| *position).collect())
    }

    async fn put_aside(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        locked(&self.aside).insert((name.to_owned(), position));
        Ok(())
    }

    async fn take_up(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        locked(&self.aside).remove(&(name.to_owned(), position));
        Ok(())
    }

    async fn paused(&self) -> Result<Paused, ConsumerError> {
        Ok(locked(&self.paused).clone())
    }

    async fn pause(&self, name: &str, at: Timestamp) -> Result<(), ConsumerError> {
        locked(&self.paused).entry(name.to_owned()).or_insert(at);
        Ok(())
    }

    async fn resume(&self, name: &str) -> Result<(), ConsumerError> {
        locked(&self.paused).remove(name);
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
