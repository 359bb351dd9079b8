//! What operators ask of builds while they are moved: to pause, to give up, to keep to a rate.

use super::{EngineError, Shared, member::Member, tables::build::BuildId};
use std::{
    collections::{HashMap, HashSet},
    sync::{MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Tells the tasks apart that move builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task(u64);

/// Whoever is about to start a task.
const CALLER: Task = Task(0);

/// Who moves which build, and what was asked of it meanwhile.
#[derive(Debug, Default)]
pub struct Steering {
    /// Builds that a task of this process moves, and which; nobody else touches them.
    moved: HashMap<BuildId, Task>,
    tasks: u64,
    /// To be given up by whoever moves them.
    cancelled: HashSet<BuildId>,
    /// To be left where they are by whoever moves them.
    paused: HashSet<BuildId>,
}

impl Shared {
    fn steering(&self) -> MutexGuard<'_, Steering> {
        self.steering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Was this build given up?
    pub fn is_cancelled(&self, id: &BuildId) -> bool {
        self.steering().cancelled.contains(id)
    }

    /// Is a task of this process moving it?
    pub fn is_moved(&self, id: &BuildId) -> bool {
        self.steering().moved.contains_key(id)
    }

    /// From now on the caller moves these builds, or a task that it will start.
    pub fn take_up<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) {
        self.steering().moved.extend(ids.into_iter().map(|id| (id.clone(), CALLER)));
    }

    /// From now on a new task moves these builds.
    pub fn hand_over<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) -> Task {
        let mut steering = self.steering();
        steering.tasks += 1;
        let task = Task(steering.tasks);
        steering.moved.extend(ids.into_iter().map(|id| (id.clone(), task)));
        task
    }

    /// The caller moves these builds no more.
    pub fn put_down<'a>(&self, ids: impl IntoIterator<Item = &'a BuildId>) {
        let mut steering = self.steering();
        for id in ids {
            steering.moved.remove(id);
        }
        drop(steering);
        self.changed();
    }

    /// A task ended. What it let go may be moved by another by now.
    pub fn ended(&self, task: Task) {
        self.steering().moved.retain(|_, mover| *mover != task);
        self.changed();
    }

    /// If this build is to pause: whoever moves it, and asks, moves it no more.
    pub fn let_go(&self, id: &BuildId) -> bool {
        let mut steering = self.steering();
        let paused = steering.paused.contains(id);
        if paused {
            steering.moved.remove(id);
            drop(steering);
            self.meters().forget(id);
            self.changed();
        }
        paused
    }

    /// Asks for a build to be given up.
    pub fn ask_to_cancel(&self, id: &BuildId) {
        self.steering().cancelled.insert(id.clone());
        self.changed();
    }

    /// Asks for a build to be left where it is.
    pub fn ask_to_pause(&self, id: &BuildId) {
        self.steering().paused.insert(id.clone());
        self.changed();
    }

    /// Lets a build go on; true if nobody moves it, and the caller is to.
    pub fn unpause(&self, id: &BuildId) -> bool {
        let mut steering = self.steering();
        steering.paused.remove(id);
        let idle = !steering.moved.contains_key(id);
        if idle {
            steering.moved.insert(id.clone(), CALLER);
        }
        idle
    }

    /// A build is no more, or is moved no more.
    pub fn forget(&self, id: &BuildId) {
        let mut steering = self.steering();
        steering.moved.remove(id);
        steering.cancelled.remove(id);
        steering.paused.remove(id);
        drop(steering);
        self.meters().forget(id);
        self.changed();
    }

    /// Was something asked of one of these builds?
    pub fn is_asked(&self, members: &[Member]) -> bool {
        let steering = self.steering();
        members.iter().any(|member| steering.cancelled.contains(&member.id) || steering.paused.contains(&member.id))
    }

    /// How many events per second these builds may be moved over.
    pub fn rate(&self, members: &[Member]) -> Option<u64> {
        members.iter().filter_map(|member| member.limits.rate).chain(self.options.rate).min()
    }

    /// How many bytes of rows these builds may hold in memory.
    pub fn memory(&self, members: &[Member]) -> usize {
        let asked = members.iter().filter_map(|member| member.limits.memory).min();
        asked.map_or(self.options.memory, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

/// Keeps builds to the rate that was asked for.
#[derive(Debug, Default)]
pub struct Pace {
    due: Option<Instant>,
}

impl Pace {
    /// At most so many events at once: what may pass in a quarter of a second.
    pub fn page(rate: Option<u64>, limit: usize) -> usize {
        let quarter = rate.map_or(usize::MAX, |rate| usize::try_from(rate / 4).unwrap_or(usize::MAX));
        limit.min(quarter).max(1)
    }

    /// Waits for as long as `events` should have taken, or until something is asked of the builds.
    pub async fn keep(&mut self, shared: &Shared, members: &[Member], events: usize) -> Result<(), EngineError> {
        let Some(rate) = shared.rate(members) else { return Ok(()) };
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "far from the limits of a float")]
        let span = Duration::from_secs_f64(events as f64 / rate.max(1) as f64);
        let due = self.due.map_or(now, |due| due.max(now)) + span;
        self.due = Some(due);
        let (mut down, mut changes) = (shared.down.subscribe(), shared.changes.subscribe());
        while !shared.is_asked(members) {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return Ok(()),
                () = async { drop(down.wait_for(|down| *down).await) } => return Err(EngineError::Down),
                _ = changes.changed() => {}
            }
        }
        Ok(())
    }
}
