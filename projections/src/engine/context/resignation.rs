//! How those who move read models tell that this process cannot go on.

use super::error::EngineError;
use crate::db::DbError;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Why this process leads no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Another node took over.
    LeaseLost,
    /// The log holds what a newer program wrote, and another node may be one.
    Newer,
}

/// How those who move read models tell that they cannot go on.
#[derive(Clone)]
pub struct Resignation {
    /// Set once they cannot.
    pub why: watch::Sender<Option<Why>>,
    /// Types of events that this node gave way for before. Where nobody else took over it goes on as if it were alone.
    given_way: Arc<Mutex<HashSet<String>>>,
}

impl Resignation {
    /// Of who gave way to nobody before.
    pub fn new() -> Self {
        Self { why: watch::Sender::new(None), given_way: Arc::default() }
    }

    /// Does this error end the leadership? Then it is on its way to its end.
    pub fn follows(&self, error: &EngineError) -> bool {
        let why = match error {
            EngineError::Newer(_) => Why::Newer,
            EngineError::Db(DbError::LeaseLost | DbError::Moved) => Why::LeaseLost,
            _ => return false,
        };
        self.why.send_replace(Some(why));
        true
    }

    /// Should another node be given the chance to know events of this type?
    pub fn gives_way(&self, event_type: &str) -> bool {
        self.given_way.lock().unwrap_or_else(PoisonError::into_inner).insert(event_type.to_owned())
    }
}
