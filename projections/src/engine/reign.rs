//! A time in which this process moves read models: the lane and all builds, from what the database holds to an orderly end.

use super::{
    activity::Activity,
    builds::{self, create, discard, make_live},
    bulk::Bulk,
    context::{error::EngineError, options::Mismatch, shared::Shared},
    lane::{Lane, LaneHandle},
    member::Member,
    mend::Mender,
    report::Verification,
    step::Convoy,
    tables::{
        build::{Build, BuildId, Checkpoint, Limits, State, Switch, grouped},
        registry,
        sample::Sampling,
    },
    verify::Comparison,
};
use crate::{db::Building, projection::Projection};
use circolo_events::Position;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// Moves the read models of its [`Shared`], while it lives.
pub struct Reign {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// The lane.
    pub lane: LaneHandle,
    tasks: Mutex<JoinSet<()>>,
    /// What this process is at.
    activity: Activity,
}

impl Reign {
    /// Checks what the database holds against the log, starts to feed what is live and to build what is missing.
    pub async fn begin(shared: Arc<Shared>, activity: Activity) -> Result<Self, EngineError> {
        let (send, commands) = mpsc::channel(64);
        let reign = Self { shared, lane: LaneHandle(send), tasks: Mutex::default(), activity };
        let plan = Plan::make(&reign.shared).await?;
        let convoy = Convoy::new(builds::members(&reign.shared, &plan.lane).await?, plan.checkpoint);
        let lane = Lane { shared: Arc::clone(&reign.shared), convoy, commands };
        reign.spawn(lane.run());
        for group in plan.others {
            reign.build(group);
        }
        // Whoever comes for something else, on the command line, is not kept by it.
        if reign.shared.options.serving {
            reign.spawn(Mender::new(Arc::clone(&reign.shared), reign.lane.clone(), reign.activity.clone()).run());
        }
        Ok(reign)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended need not be kept.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Begins to bring builds up and into the lane.
    pub fn build(&self, ids: Vec<BuildId>) {
        let (shared, lane, active) = (Arc::clone(&self.shared), self.lane.clone(), self.activity.begin(&self.shared, &ids));
        self.spawn(async move {
            let _active = active;
            builds::run(shared, lane, ids).await;
        });
    }

    /// Begins to fold a projection once more, or a sample of its rows.
    pub async fn begin_verification(
        &self,
        name: &str,
        sampling: Option<Sampling>,
    ) -> Result<oneshot::Receiver<Result<Verification, EngineError>>, EngineError> {
        let comparison = Comparison::begin(&self.shared, &self.activity, name, sampling).await?;
        let (send, receive) = oneshot::channel();
        let (shared, lane, activity) = (Arc::clone(&self.shared), self.lane.clone(), self.activity.clone());
        let active = activity.begin(&shared, &[]);
        // A task of its own: it cleans up even if whoever asked has gone.
        self.spawn(async move {
            let _active = active;
            let _ = send.send(comparison.run(&shared, &activity, &lane).await);
        });
        Ok(receive)
    }

    /// Ends after the transactions under way. Builds go on with the next reign.
    pub async fn end(&self) {
        self.shared.down.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

impl Drop for Reign {
    fn drop(&mut self) {
        self.shared.down.send_replace(true);
    }
}

/// What a start finds.
struct Plan {
    /// Builds that are live and furthest: the lane goes on with them.
    lane: Vec<Build>,
    /// Where they stand.
    checkpoint: Checkpoint,
    /// Builds to be brought up to the lane, in groups that share a read of the log.
    others: Vec<Vec<BuildId>>,
}

impl Plan {
    async fn make(shared: &Arc<Shared>) -> Result<Self, EngineError> {
        let (mut live, mut others) = (Vec::new(), Vec::new());
        let mut missing = Vec::new();
        let builds = registry::builds(&shared.db).await?;
        for projection in &shared.projections {
            let mine = builds.iter().filter(|build| build.id.name == projection.name && build.version == projection.version);
            let (mut is_live, mut underway) = (false, false);
            for build in mine {
                let matches = build.checkpoint.matches(&*shared.store).await?;
                match build.state {
                    State::Live | State::Stopped if matches => live.push(build.clone()),
                    State::Live | State::Stopped if shared.options.mismatch == Mismatch::Refuse => {
                        return Err(EngineError::Mismatch { id: build.id.clone(), position: build.checkpoint.position });
                    }
                    State::Checking => discard(shared, &Member::new(projection, build)).await?,
                    state if state.is_underway() && !matches => discard(shared, &Member::new(projection, build)).await?,
                    state if state.is_underway() => {
                        underway = true;
                        if build.paused && state.is_moving() {
                            shared.steering.ask_to_pause(&build.id);
                        } else {
                            others.push(build.clone());
                        }
                    }
                    _ => {}
                }
                is_live |= build.state.is_live();
            }
            let served = live.iter().any(|build| build.id.name == projection.name);
            announce(shared, projection, !is_live);
            if !served && !underway {
                forget_failed(shared, projection, &builds).await;
                missing.push(projection);
            }
        }
        let checkpoint = live.iter().map(|build| build.checkpoint).max_by_key(|checkpoint| checkpoint.position);
        let checkpoint = checkpoint.unwrap_or(Checkpoint::start(shared.store.log_id()));
        let (mut lane, behind): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|build| build.checkpoint == checkpoint && build.state == State::Live);
        others.extend(behind);
        if shared.store.head().await? == Position::START {
            lane.extend(at_once(shared, &std::mem::take(&mut missing)).await?);
        }
        let mut others = grouped(others);
        if !missing.is_empty() {
            let created = create(shared, &missing, State::Building, Switch::Auto, Limits::default()).await?;
            others.push(created.into_iter().map(|build| build.id).collect());
        }
        Ok(Self { lane, checkpoint, others })
    }
}

/// Tells queries whether a projection is not there yet.
fn announce(shared: &Shared, projection: &Projection, is_missing: bool) {
    for fold in &projection.tables {
        shared
            .db
            .set_building(fold.table.name, is_missing.then_some(Building { projection: projection.name, progress: 0.0, failed: false }));
    }
}

/// What gave up at an earlier start makes room for the next attempt. What cannot be removed stays.
async fn forget_failed(shared: &Shared, projection: &Projection, builds: &[Build]) {
    let of_it = |build: &&Build| build.id.name == projection.name && build.version == projection.version && build.state == State::Failed;
    for build in builds.iter().filter(of_it) {
        if let Err(error) = discard(shared, &Member::new(projection, build)).await {
            tracing::warn!(%error, build = %build.id, "a build that failed cannot be removed");
        }
    }
}

/// Where the log is empty, what is missing is complete as it is made.
async fn at_once(shared: &Arc<Shared>, missing: &[&Projection]) -> Result<Vec<Build>, EngineError> {
    if missing.is_empty() {
        return Ok(vec![]);
    }
    let mut created = create(shared, missing, State::Building, Switch::Auto, Limits::default()).await?;
    let mut bulk = Bulk::new(builds::members(shared, &created).await?, Checkpoint::start(shared.store.log_id()));
    bulk.complete(shared).await?;
    make_live(shared, &bulk.members).await?;
    shared.steering.put_down(created.iter().map(|build| &build.id));
    for (build, projection) in created.iter_mut().zip(missing) {
        (build.state, build.indexed) = (State::Live, true);
        for fold in &projection.tables {
            shared.db.set_building(fold.table.name, None);
        }
    }
    Ok(created)
}
