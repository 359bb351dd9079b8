//! Jobs for threads that have a connection to SQLite.

use rusqlite::Connection;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
};

/// Something to do with a connection.
pub type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Jobs in the order in which they came.
#[derive(Default)]
pub struct Queue {
    state: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// Hands a job over.
    pub fn push(&self, job: Job) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_back(job);
        self.wake.notify_one();
    }

    /// The next job; `None` once the queue is closed and empty.
    pub fn pop(&self) -> Option<Job> {
        let mut jobs = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            if jobs.closed {
                return None;
            }
            jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more jobs come.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.wake.notify_all();
    }
}
