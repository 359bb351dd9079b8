//! What is under way, and what the last verifications came to, also from when this process led before.

use super::report::Report;
use crate::engine::{
    context::{shared::Shared, steering::Task},
    tables::build::BuildId,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// What one process is at with builds and verifications, however often it leads.
#[derive(Clone, Default)]
pub struct Activity(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How many builds and verifications are under way.
    active: watch::Sender<usize>,
    /// The last verification of each projection.
    reports: Mutex<BTreeMap<String, Report>>,
}

impl Activity {
    /// Counts a task that moves these builds, while what is given lives.
    pub fn begin(&self, shared: &Arc<Shared>, moved: &[BuildId]) -> Active {
        self.0.active.send_modify(|count| *count += 1);
        Active { activity: self.clone(), shared: Arc::clone(shared), task: shared.steering.hand_over(moved) }
    }

    /// Waits until nothing is under way.
    pub async fn settled(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.active.subscribe().wait_for(|active| *active == 0).await;
    }

    /// The last verifications.
    pub fn reports(&self) -> MutexGuard<'_, BTreeMap<String, Report>> {
        self.0.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task, counted while this lives, and the builds that it moves.
pub struct Active {
    activity: Activity,
    shared: Arc<Shared>,
    task: Task,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.shared.steering.ended(self.task);
        self.activity.0.active.send_modify(|count| *count -= 1);
    }
}
