//! What operators do with builds: begin, switch, go back, pause, give up, drop.

use super::{activity::Activity, mend::Mender, report::Verification, verify::Comparison};
use crate::{
    db::Urgency,
    engine::{
        builds::{
            lifecycle::{create, discard, discard_foreign, drop_leftovers},
            subscriber::Subscriber,
        },
        context::{error::EngineError, shared::Shared},
        live::{join, live_subscription::LiveHandle},
        tables::{
            build::{Build, BuildId, Limits, State, Switch},
            registry,
            sample::Sampling,
        },
    },
};
use std::{
    cmp::Ordering,
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::oneshot, task::JoinSet};

/// Which builds are to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposable {
    /// Those that were live or failed.
    Old,
    /// The one with this number.
    Build(i64),
    /// All of the versions before this program's, once its own is live.
    OldVersions,
}

/// Does what is asked of builds, beside the live subscription.
pub struct Operator {
    /// What all parts share.
    pub shared: Arc<Shared>,
    live: LiveHandle,
    activity: Activity,
    tasks: Mutex<JoinSet<()>>,
}

impl Operator {
    /// Of a live subscription.
    pub fn new(shared: Arc<Shared>, live: LiveHandle, activity: Activity) -> Self {
        Self { shared, live, activity, tasks: Mutex::default() }
    }

    /// Runs a task; [`Self::ended`] waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended need not be kept.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Waits for all tasks.
    pub async fn ended(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    /// Begins to bring builds up and into the live subscription.
    pub fn build(&self, ids: Vec<BuildId>) {
        let (shared, live, active) = (Arc::clone(&self.shared), self.live.clone(), self.activity.begin(&self.shared, &ids));
        self.spawn(async move {
            let _active = active;
            join::run(shared, live, ids).await;
        });
    }

    /// Begins to mend what leaves streams out, whenever it can be mended.
    pub fn mend(&self) {
        self.spawn(Mender::new(Arc::clone(&self.shared), self.live.clone(), self.activity.clone()).run());
    }

    /// Begins to fold a projection once more, or a sample of its rows.
    pub async fn begin_verification(
        &self,
        name: &str,
        sampling: Option<Sampling>,
    ) -> Result<oneshot::Receiver<Result<Verification, EngineError>>, EngineError> {
        let comparison = Comparison::begin(&self.shared, &self.activity, name, sampling).await?;
        let (send, receive) = oneshot::channel();
        let (shared, live, activity) = (Arc::clone(&self.shared), self.live.clone(), self.activity.clone());
        let active = activity.begin(&shared, &[]);
        // A task of its own: it cleans up even if whoever asked has gone.
        self.spawn(async move {
            let _active = active;
            let _ = send.send(comparison.run(&shared, &activity, &live).await);
        });
        Ok(receive)
    }

    /// Begins to build projections anew, beside what is live. They share one read of the log; `&[]` means all.
    pub async fn rebuild(&self, names: &[&str], switch: Switch, limits: Limits) -> Result<Vec<BuildId>, EngineError> {
        let names: Vec<&str> = if names.is_empty() { self.shared.projections.iter().map(|p| p.name).collect() } else { names.to_vec() };
        let _one_at_a_time = self.shared.steering.one_at_a_time().await;
        let names: BTreeSet<&str> = names.into_iter().collect();
        let (mut projections, mut begun) = (Vec::with_capacity(names.len()), vec![]);
        for name in names {
            match self.none_underway(name).await {
                Ok(()) => projections.push(self.shared.projection(name)?),
                // Nobody asked for it, and it is what they ask for.
                Err(EngineError::Underway(id)) if switch == Switch::Auto && self.shared.steering.mends(&id) => begun.push(id),
                Err(error) => return Err(error),
            }
        }
        let created = create(&self.shared, &projections, State::Building, switch, limits).await?;
        let ids: Vec<BuildId> = created.into_iter().map(|build| build.id).collect();
        if !ids.is_empty() {
            self.build(ids.clone());
        }
        Ok(begun.into_iter().chain(ids).collect())
    }

    /// Leaves the build that is under way where it is, until it is resumed; a restart does not resume it.
    pub async fn pause(&self, name: &str) -> Result<BuildId, EngineError> {
        const WHAT: &str = "paused";
        let build = self.find(name, WHAT, |build| build.state.is_moving() && !build.paused).await?;
        let writes = vec![registry::set_controls(&build.id, true, build.limits)];
        self.shared.db.write(writes, Urgency::Live).await?;
        let mut changes = self.shared.steering.changes();
        self.shared.steering.ask_to_pause(&build.id);
        while self.shared.steering.is_moved(&build.id) {
            if changes.changed().await.is_err() || self.shared.is_down() {
                return Err(EngineError::Down);
            }
        }
        // It may have come to its end before anybody noticed.
        self.find(name, WHAT, |found| found.id == build.id && found.state.is_moving()).await.map(|build| build.id)
    }

    /// Lets a build go on that was paused.
    pub async fn resume(&self, name: &str) -> Result<BuildId, EngineError> {
        let build = self.find(name, "resumed", |build| build.state.is_moving() && build.paused).await?;
        let writes = vec![registry::set_controls(&build.id, false, build.limits)];
        self.shared.db.write(writes, Urgency::Live).await?;
        if self.shared.steering.unpause(&build.id) {
            self.build(vec![build.id.clone()]);
        }
        self.shared.steering.changed();
        Ok(build.id)
    }

    /// Drops builds that nobody needs any more, with their tables. What is live is never dropped.
    pub async fn drop_builds(&self, name: &str, which: Disposable) -> Result<Vec<BuildId>, EngineError> {
        let _one_at_a_time = self.shared.steering.one_at_a_time().await;
        let projection = self.shared.projection(name)?.clone();
        let mut builds = registry::builds(&self.shared.db).await?;
        builds.retain(|build| build.id.name == name);
        let is_served = builds.iter().any(|build| build.version == projection.version && build.state.is_live());
        builds.retain(|build| match which {
            Disposable::Old => build.version == projection.version && matches!(build.state, State::Old | State::Failed),
            Disposable::Build(number) => build.id.build == number,
            Disposable::OldVersions => build.version < projection.version && is_served,
        });
        if builds.is_empty() {
            return Err(EngineError::Nothing { name: name.to_owned(), what: "dropped" });
        }
        for build in &builds {
            match build.version.cmp(&projection.version) {
                Ordering::Equal if matches!(build.state, State::Old | State::Failed) => {
                    discard(&self.shared, &Subscriber::new(&projection, build)).await?;
                }
                Ordering::Less if is_served => discard_foreign(&self.shared, build).await?,
                _ => return Err(EngineError::InUse { id: build.id.clone(), state: build.state }),
            }
        }
        Ok(builds.into_iter().map(|build| build.id).collect())
    }

    /// Makes the build live that is ready.
    pub async fn switch(&self, name: &str) -> Result<BuildId, EngineError> {
        let ready = self.find(name, "switched to", |build| build.state == State::Ready).await?;
        self.live.switch(&ready.id).await?;
        drop_leftovers(&self.shared, name).await?;
        Ok(ready.id)
    }

    /// Begins to bring the build back that was live before: from its own checkpoint to now, then live.
    pub async fn rollback(&self, name: &str) -> Result<BuildId, EngineError> {
        let _one_at_a_time = self.shared.steering.one_at_a_time().await;
        self.none_underway(name).await?;
        let old = self.find(name, "rolled back to", |build| build.state == State::Old).await?;
        if !old.checkpoint.matches(&*self.shared.store).await? {
            return Err(EngineError::Mismatch { id: old.id, position: old.checkpoint.position });
        }
        let writes = vec![
            registry::set_state(&old.id, State::Returning, None),
            registry::set_switch(&old.id, Switch::Auto),
            registry::set_controls(&old.id, false, Limits::default()),
        ];
        self.shared.db.write(writes, Urgency::Live).await?;
        self.shared.steering.unpause(&old.id);
        self.build(vec![old.id.clone()]);
        Ok(old.id)
    }

    /// Gives up the build that is under way or waits for its switch.
    pub async fn cancel(&self, name: &str) -> Result<BuildId, EngineError> {
        let build = self.find(name, "cancelled", |build| build.state.is_underway()).await?;
        let mut changes = self.shared.steering.changes();
        self.shared.steering.ask_to_cancel(&build.id);
        match self.live.leave(&build.id).await {
            Err(EngineError::Nothing { .. }) => {}
            outcome => return outcome.map(|()| build.id),
        }
        // Whoever moves it removes it.
        while self.shared.steering.is_moved(&build.id) {
            if changes.changed().await.is_err() || self.shared.is_down() {
                return Err(EngineError::Down);
            }
        }
        let builds = registry::builds(&self.shared.db).await?;
        if let Some(left) = builds.iter().find(|other| other.id == build.id && other.state.is_underway()) {
            discard(&self.shared, &Subscriber::new(self.shared.projection(name)?, left)).await?;
        }
        Ok(build.id)
    }

    async fn none_underway(&self, name: &str) -> Result<(), EngineError> {
        match self.find(name, "", |build| build.state.is_underway()).await {
            Ok(build) => Err(EngineError::Underway(build.id)),
            Err(EngineError::Nothing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The newest build of `name`, in this program's version, that fits.
    async fn find(&self, name: &str, what: &'static str, fits: impl Fn(&Build) -> bool) -> Result<Build, EngineError> {
        let version = self.shared.projection(name)?.version;
        let mut builds = registry::builds(&self.shared.db).await?;
        builds.retain(|build| build.id.name == name && build.version == version && fits(build));
        builds.pop().ok_or(EngineError::Nothing { name: name.to_owned(), what })
    }
}
