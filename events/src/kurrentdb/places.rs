//! Positions at which no record begins, as far as somebody asked for them.
//!
//! Each costs a question that the client takes for the end of its node, and a search. Neither is repeated.

use crate::store::Position;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// So many are remembered.
const REMEMBERED: usize = 1_024;
/// So many are looked up at once.
const AT_ONCE: usize = 4;

/// Positions that are none.
pub struct Places {
    /// And the record before, where it was looked for.
    none: Mutex<VecDeque<(Position, Option<Position>)>>,
    turns: Semaphore,
}

impl Default for Places {
    fn default() -> Self {
        Self { none: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Places {
    /// Whether no record begins there for certain.
    pub fn is_none(&self, at: Position) -> bool {
        self.none().iter().any(|(none, _)| *none == at)
    }

    /// The last record before.
    pub fn of(&self, at: Position) -> Option<Position> {
        self.none().iter().find(|(none, _)| *none == at).and_then(|(_, place)| *place)
    }

    /// Remembers.
    pub fn note(&self, at: Position, place: Option<Position>) {
        let mut none = self.none();
        none.retain(|(known, _)| *known != at);
        none.push_back((at, place));
        if none.len() > REMEMBERED {
            none.pop_front();
        }
    }

    /// A turn to look one up. Without one, if that is not to be had, which never is.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    fn none(&self) -> MutexGuard<'_, VecDeque<(Position, Option<Position>)>> {
        // Each change is complete in itself.
        self.none.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
