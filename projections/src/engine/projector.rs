//! The facade: starts the lane and builds, and tells how they are.

use super::{
    EngineError, Mismatch, Options, Shared,
    builds::{self, create, discard, make_live},
    bulk::Bulk,
    lane::{Lane, LaneHandle},
    member::Member,
    registry::{self, Build, BuildId, Checkpoint, State, Switch},
    sample::Sampling,
    status::{self, Status},
    steering::{Limits, Steering, Task},
    step::Convoy,
    verify::{Comparison, Report, Verification},
};
use crate::{
    db::{Building, Db},
    projection::{self, Projection},
};
use circolo_events::{EventStore, Position};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

/// Feeds the read models of one database, while it lives.
pub struct Projector {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: LaneHandle,
    tasks: Mutex<JoinSet<()>>,
    /// How many builds and verifications are under way.
    active: Arc<watch::Sender<usize>>,
}

/// The log did not come to a position in time, or the lane did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the read models are at position {applied} and not at {wanted} yet")]
pub struct Behind {
    /// Where the lane is.
    pub applied: Position,
    /// Where it should be.
    pub wanted: Position,
}

impl Projector {
    /// Checks what the database holds against the log, starts to feed what is live and to build what is missing.
    pub async fn start(db: Db, store: Arc<dyn EventStore>, projections: Vec<Projection>, options: Options) -> Result<Self, EngineError> {
        let shared = share(db, store, projections, options).await?;
        let (send, commands) = mpsc::channel(64);
        let projector = Self { shared, lane: LaneHandle(send), tasks: Mutex::default(), active: Arc::new(watch::Sender::new(0)) };
        let plan = Plan::make(&projector.shared).await?;
        let convoy = Convoy::new(builds::members(&projector.shared, &plan.lane).await?, plan.checkpoint);
        let lane = Lane { shared: Arc::clone(&projector.shared), convoy, commands };
        projector.spawn(lane.run());
        for group in plan.others {
            projector.build(group);
        }
        Ok(projector)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended need not be kept.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Begins to bring builds up and into the lane.
    pub(super) fn build(&self, ids: Vec<BuildId>) {
        let (shared, lane, active) = (Arc::clone(&self.shared), self.lane.clone(), Active::new(self, &ids));
        self.spawn(async move {
            let _active = active;
            builds::run(shared, lane, ids).await;
        });
    }

    /// Up to where all that the lane feeds is folded.
    pub fn position(&self) -> Position {
        *self.shared.applied.borrow()
    }

    /// Waits until everything up to `position` is in the read models, at most `patience`.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<(), Behind> {
        let mut applied = self.shared.applied.subscribe();
        match tokio::time::timeout(patience, applied.wait_for(|applied| *applied >= position)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Behind { applied: self.position(), wanted: position }),
        }
    }

    /// Why the lane stopped for good, if it did.
    pub fn failure(&self) -> Option<String> {
        self.shared.meters().failure.clone()
    }

    /// The names of the projections that this program knows.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        self.shared.projections.iter().map(|projection| projection.name)
    }

    /// All builds, by name and number.
    pub async fn status(&self) -> Result<Vec<Status>, EngineError> {
        status::status(&self.shared).await
    }

    /// Folds a projection once more and compares the outcome with what is live.
    pub async fn verify(&self, name: &str) -> Result<Verification, EngineError> {
        self.begin_verification(name, None).await?.await.map_err(|_| EngineError::Down)?
    }

    /// Begins to fold a projection once more, or a sample of its rows; [`Self::verification`] tells how it is and was.
    pub async fn begin_verification(
        &self,
        name: &str,
        sampling: Option<Sampling>,
    ) -> Result<oneshot::Receiver<Result<Verification, EngineError>>, EngineError> {
        let comparison = Comparison::begin(&self.shared, name, sampling).await?;
        let (send, receive) = oneshot::channel();
        let (shared, lane, active) = (Arc::clone(&self.shared), self.lane.clone(), Active::new(self, &[]));
        // A task of its own: it cleans up even if whoever asked has gone.
        self.spawn(async move {
            let _active = active;
            let _ = send.send(comparison.run(&shared, &lane).await);
        });
        Ok(receive)
    }

    /// The verification of a projection that is under way, or the last one.
    pub fn verification(&self, name: &str) -> Result<Option<Report>, EngineError> {
        self.shared.projection(name)?;
        Ok(self.shared.reports().get(name).cloned())
    }

    /// Waits until no build is under way (one that waits for its switch is not).
    pub async fn settled(&self) {
        // The sender lives as long as `self`.
        let _ = self.active.subscribe().wait_for(|active| *active == 0).await;
    }

    /// Ends after the transactions under way. Builds go on with the next start.
    pub async fn shutdown(&self) {
        self.shared.down.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.shared.down.send_replace(true);
    }
}

/// Counts one task while it lives, and holds the builds that it moves.
struct Active {
    count: Arc<watch::Sender<usize>>,
    shared: Arc<Shared>,
    task: Task,
}

impl Active {
    fn new(projector: &Projector, moved: &[BuildId]) -> Self {
        projector.active.send_modify(|count| *count += 1);
        let task = projector.shared.hand_over(moved);
        Self { count: Arc::clone(&projector.active), shared: Arc::clone(&projector.shared), task }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.shared.ended(self.task);
        self.count.send_modify(|count| *count -= 1);
    }
}

async fn share(db: Db, store: Arc<dyn EventStore>, projections: Vec<Projection>, options: Options) -> Result<Arc<Shared>, EngineError> {
    projection::check(&projections)?;
    registry::create_tables(&db).await?;
    Ok(Arc::new(Shared {
        db,
        store,
        projections,
        options,
        applied: watch::Sender::new(Position::START),
        changes: watch::Sender::new(0),
        down: watch::Sender::new(false),
        steering: Mutex::<Steering>::default(),
        skips: Mutex::default(),
        operators: tokio::sync::Mutex::default(),
        reports: Mutex::default(),
        meters: Mutex::default(),
    }))
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
                            shared.ask_to_pause(&build.id);
                        } else {
                            others.push(build.clone());
                        }
                    }
                    _ => {}
                }
                is_live |= build.state.is_live();
            }
            let served = live.iter().any(|build| build.id.name == projection.name);
            if !is_live {
                announce(shared, projection);
            }
            if !served && !underway {
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

/// Tells queries that a projection is not there yet.
fn announce(shared: &Shared, projection: &Projection) {
    for fold in &projection.tables {
        shared.db.set_building(fold.table.name, Some(Building { projection: projection.name, progress: 0.0 }));
    }
}

/// Where the log is empty, what is missing is complete as it is made.
async fn at_once(shared: &Arc<Shared>, missing: &[&Projection]) -> Result<Vec<Build>, EngineError> {
    if missing.is_empty() {
        return Ok(vec![]);
    }
    let mut created = create(shared, missing, State::Building, Switch::Auto, Limits::default()).await?;
    let mut bulk = Bulk::new(builds::members(shared, &created).await?, Checkpoint::start(shared.store.log_id()), &shared.options);
    bulk.complete(shared).await?;
    make_live(shared, &bulk.members).await?;
    shared.put_down(created.iter().map(|build| &build.id));
    for (build, projection) in created.iter_mut().zip(missing) {
        (build.state, build.indexed) = (State::Live, true);
        for fold in &projection.tables {
            shared.db.set_building(fold.table.name, None);
        }
    }
    Ok(created)
}

/// Builds that stand at one place, so that they share a read of the log.
fn grouped(mut builds: Vec<Build>) -> Vec<Vec<BuildId>> {
    builds.sort_by_key(|build| (build.indexed, build.checkpoint.position));
    builds
        .chunk_by(|a, b| (a.indexed, a.checkpoint) == (b.indexed, b.checkpoint))
        .map(|group| group.iter().map(|build| build.id.clone()).collect())
        .collect()
}

/// Prepares what `projections` lack in `db`, up to where the log ends now or up to `until`, and makes it live there.
///
/// Beside a running server it writes nothing but its own new tables, in short transactions. With `until` and a database
/// of its own it gives the read models as of that position.
pub async fn prepare(
    db: Db,
    store: Arc<dyn EventStore>,
    projections: Vec<Projection>,
    options: Options,
    until: Option<Position>,
) -> Result<Vec<BuildId>, EngineError> {
    let shared = share(db, store, projections, options).await?;
    let known = registry::builds(&shared.db).await?;
    let of = |projection: &Projection, build: &Build| build.id.name == projection.name && build.version == projection.version;
    let missing: Vec<&Projection> =
        shared.projections.iter().filter(|p| !known.iter().any(|build| of(p, build) && build.state.is_live())).collect();
    let begun = |p: &Projection| known.iter().find(|build| of(p, build) && build.state == State::Building).cloned();
    let mut groups = grouped(missing.iter().filter_map(|p| begun(p)).collect());
    let fresh: Vec<&Projection> = missing.iter().copied().filter(|p| begun(p).is_none()).collect();
    if !fresh.is_empty() {
        let created = create(&shared, &fresh, State::Building, Switch::Auto, Limits::default()).await?;
        groups.push(created.into_iter().map(|build| build.id).collect());
    }
    let known = registry::builds(&shared.db).await?;
    let mut prepared = Vec::new();
    for ids in groups {
        let group: Vec<Build> = known.iter().filter(|build| ids.contains(&build.id)).cloned().collect();
        let Some(checkpoint) = group.first().map(|build| build.checkpoint) else { continue };
        let convoy = builds::bring_up(&shared, builds::members(&shared, &group).await?, checkpoint, until).await?;
        if convoy.members.len() < group.len() {
            let failed = |build: &Build| ids.contains(&build.id) && build.state == State::Failed;
            let failed = registry::builds(&shared.db).await?.into_iter().find(failed);
            return Err(
                failed.map_or(EngineError::Down, |build| EngineError::Failed { id: build.id, reason: build.reason.unwrap_or_default() })
            );
        }
        make_live(&shared, &convoy.members).await?;
        prepared.extend(convoy.members.into_iter().map(|member| member.id));
    }
    Ok(prepared)
}
