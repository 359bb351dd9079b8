//! What a start finds: builds that go on, builds to be brought up, and what is missing.

use crate::{
    db::Building,
    engine::{
        builds::{
            bulk::Bulk,
            catch_up,
            lifecycle::{create, discard, make_live},
            subscriber::Subscriber,
        },
        context::{error::EngineError, options::Mismatch, shared::Shared},
        tables::{
            build::{Build, BuildId, Checkpoint, Limits, State, Switch, grouped},
            registry,
        },
    },
    projection::Projection,
};
use circolo_events::people;
use std::sync::Arc;

/// What a start finds.
pub struct Plan {
    /// Builds that are live and furthest: the live subscription goes on with them.
    pub live: Vec<Build>,
    /// Where they stand.
    pub checkpoint: Checkpoint,
    /// Builds to be brought up to the live subscription, in groups that share a read of the log.
    pub others: Vec<Vec<BuildId>>,
}

impl Plan {
    /// Holds what the database has against the log, and begins what is missing.
    pub async fn make(shared: &Arc<Shared>) -> Result<Self, EngineError> {
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
                    State::Checking => discard(shared, &Subscriber::new(projection, build)).await?,
                    state if state.is_underway() && !matches => discard(shared, &Subscriber::new(projection, build)).await?,
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
        let (mut live, behind): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|build| build.checkpoint == checkpoint && build.state == State::Live);
        others.extend(behind);
        if checkpoint == Checkpoint::start(shared.store.log_id()) && people::is_new(&*shared.store).await? {
            live.extend(at_once(shared, &std::mem::take(&mut missing)).await?);
        }
        let mut others = grouped(others);
        if !missing.is_empty() {
            let created = create(shared, &missing, State::Building, Switch::Auto, Limits::default()).await?;
            others.push(created.into_iter().map(|build| build.id).collect());
        }
        Ok(Self { live, checkpoint, others })
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
        if let Err(error) = discard(shared, &Subscriber::new(projection, build)).await {
            tracing::warn!(%error, build = %build.id, "a build that failed cannot be removed");
        }
    }
}

/// Where the log is new, what is missing is complete as it is made.
async fn at_once(shared: &Arc<Shared>, missing: &[&Projection]) -> Result<Vec<Build>, EngineError> {
    if missing.is_empty() {
        return Ok(vec![]);
    }
    let mut created = create(shared, missing, State::Building, Switch::Auto, Limits::default()).await?;
    let mut bulk = Bulk::new(catch_up::subscribers(shared, &created).await?, Checkpoint::start(shared.store.log_id()));
    bulk.complete(shared).await?;
    make_live(shared, &bulk.subscribers).await?;
    shared.steering.put_down(created.iter().map(|build| &build.id));
    for (build, projection) in created.iter_mut().zip(missing) {
        (build.state, build.indexed) = (State::Live, true);
        for fold in &projection.tables {
            shared.db.set_building(fold.table.name, None);
        }
    }
    Ok(created)
}
