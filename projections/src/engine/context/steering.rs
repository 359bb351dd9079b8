//! What is asked of builds while they are moved: to pause, to give up; and which task moves which.

use crate::engine::tables::build::BuildId;
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Tells the tasks apart that move builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task(u64);

/// Whoever is about to start a task.
const CALLER: Task = Task(0);

/// Who moves which build, and what was asked of it meanwhile.
#[derive(Debug, Default)]
pub struct Steering {
    builds: Mutex<Builds>,
    /// Counts changes of builds, to wake those who wait for one.
    changes: watch::Sender<u64>,
    operators: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Builds {
    /// Builds that a task of this process moves, and which; nobody else touches them.
    moved: HashMap<BuildId, Task>,
    tasks: u64,
    /// To be given up by whoever moves them.
    cancelled: HashSet<BuildId>,
    /// To be left where they are by whoever moves them.
    paused: HashSet<BuildId>,
    /// Begun to mend what is live.
    mending: HashSet<BuildId>,
}

impl Steering {
    /// Of nothing yet; it wakes who waits here, too.
    pub fn anew(&self) -> Self {
        Self { changes: self.changes.clone(), ..Self::default() }
    }

    fn builds(&self) -> MutexGuard<'_, Builds> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for a change of builds.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Wakes whenever builds changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Held by operators while they look which builds there are and begin others.
    pub async fn one_at_a_time(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.operators.lock().await
    }

    /// Was this build given up?
    pub fn is_cancelled(&self, id: &BuildId) -> bool {
        self.builds().cancelled.contains(id)
    }

    /// Is a task of this process moving it?
    pub fn is_moved(&self, id: &BuildId) -> bool {
        self.builds().moved.contains_key(id)
    }

    /// Was something asked of one of these builds?
    pub fn is_asked<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) -> bool {
        let builds = self.builds();
        ids.into_iter().any(|id| builds.cancelled.contains(id) || builds.paused.contains(id))
    }

    /// From now on the caller moves these builds, or a task that it will start.
    pub fn take_up<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) {
        self.builds().moved.extend(ids.into_iter().map(|id| (id.clone(), CALLER)));
    }

    /// From now on a new task moves these builds.
    pub fn hand_over<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) -> Task {
        let mut builds = self.builds();
        builds.tasks += 1;
        let task = Task(builds.tasks);
        builds.moved.extend(ids.into_iter().map(|id| (id.clone(), task)));
        task
    }

    /// The caller moves these builds no more.
    pub fn put_down<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) {
        let mut builds = self.builds();
        for id in ids {
            builds.moved.remove(id);
        }
        drop(builds);
        self.changed();
    }

    /// A task ended. What it let go may be moved by another by now.
    pub fn ended(&self, task: Task) {
        self.builds().moved.retain(|_, mover| *mover != task);
        self.changed();
    }

    /// If this build is to pause: whoever moves it, and asks, moves it no more. Wakes nobody.
    pub(super) fn let_go(&self, id: &BuildId) -> bool {
        let mut builds = self.builds();
        let paused = builds.paused.contains(id);
        if paused {
            builds.moved.remove(id);
        }
        paused
    }

    /// Asks for a build to be given up.
    pub fn ask_to_cancel(&self, id: &BuildId) {
        self.builds().cancelled.insert(id.clone());
        self.changed();
    }

    /// Asks for a build to be left where it is.
    pub fn ask_to_pause(&self, id: &BuildId) {
        self.builds().paused.insert(id.clone());
        self.changed();
    }

    /// Lets a build go on; true if nobody moves it, and the caller is to.
    pub fn unpause(&self, id: &BuildId) -> bool {
        let mut builds = self.builds();
        builds.paused.remove(id);
        let idle = !builds.moved.contains_key(id);
        if idle {
            builds.moved.insert(id.clone(), CALLER);
        }
        idle
    }

    /// These builds were begun to mend what is live.
    pub fn mend_by(&self, ids: &[BuildId]) {
        self.builds().mending.extend(ids.iter().cloned());
    }

    /// Was this build begun to mend what is live?
    pub fn mends(&self, id: &BuildId) -> bool {
        self.builds().mending.contains(id)
    }

    /// A build is no more, or is moved no more. Wakes nobody.
    pub(super) fn forget(&self, id: &BuildId) {
        let mut builds = self.builds();
        builds.moved.remove(id);
        builds.cancelled.remove(id);
        builds.paused.remove(id);
    }
}
