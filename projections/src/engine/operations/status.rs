//! What operators see of projections: where they stand, how fast they move, how long it will take.

use crate::engine::{
    context::{error::EngineError, shared::Shared},
    tables::{
        build::{Build, Limits, State, Switch},
        registry,
    },
};
use circolo_domain::Timestamp;
use circolo_events::{Position, StoreError};
use std::collections::{HashMap, hash_map::Entry};

/// A build, as operators see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The projection.
    pub name: String,
    /// Version of the projection.
    pub version: i64,
    /// Number of the build.
    pub build: i64,
    /// Where it is in its life.
    pub state: State,
    /// Up to here it is folded. For a build under construction: in memory, ahead of what is stored.
    pub position: Position,
    /// Where the log ends.
    pub head: Position,
    /// How many positions it is behind; positions are not dense, so this is an upper bound in events.
    pub lag_events: i64,
    /// For how long the oldest event it lacks has waited.
    pub lag_seconds: f64,
    /// Events per second, lately.
    pub rate: f64,
    /// Between 0 and 1.
    pub progress: f64,
    /// How long it will take to reach the head, for a build under construction that has a rate.
    pub eta_seconds: Option<f64>,
    /// When it is to replace the live build.
    pub switch: Switch,
    /// Why it stopped or failed, or what it is tried again after.
    pub reason: Option<String>,
    /// When it was begun.
    pub started: Timestamp,
    /// How fast it may go and how much memory it may take.
    pub limits: Limits,
    /// How many streams it leaves out, as an event of theirs cannot be read: above 0 it is incomplete.
    pub parked: i64,
}

/// All builds, by name and number.
pub async fn status(shared: &Shared) -> Result<Vec<Status>, EngineError> {
    let head = shared.store.head().await?;
    let builds = registry::builds(&shared.db).await?;
    let mut waiting = HashMap::new();
    let mut all = Vec::with_capacity(builds.len());
    for build in builds {
        let mut status = measured(shared, build, head);
        if status.position < head {
            if let Entry::Vacant(entry) = waiting.entry(status.position) {
                entry.insert(waiting_since(shared, status.position).await?);
            }
            let since = waiting.get(&status.position).copied().flatten();
            status.lag_seconds = since.map_or(0.0, |since| seconds_since(shared, since));
        }
        all.push(status);
    }
    Ok(all)
}

/// When the first event behind `position` was recorded. Where the log is damaged that cannot be told, and all else can.
async fn waiting_since(shared: &Shared, position: Position) -> Result<Option<Timestamp>, EngineError> {
    match shared.store.read_all(position, 1).await {
        Ok(page) => Ok(page.events.first().map(|stored| stored.event.recorded_at)),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people to look at")]
fn seconds_since(shared: &Shared, moment: Timestamp) -> f64 {
    ((shared.options.clock)().since(moment).as_micros() as f64 / 1e6).max(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people to look at")]
fn measured(shared: &Shared, build: Build, head: Position) -> Status {
    let meters = shared.meters();
    let progress =
        meters.progress(&build.id).filter(|_| matches!(build.state, State::Building | State::Returning | State::Checking) && !build.paused);
    let position = progress.map_or(build.checkpoint.position, |progress| progress.position.max(build.checkpoint.position));
    let moving = matches!(build.state, State::Live | State::Ready);
    let failure = meters.failure.clone().filter(|_| moving);
    let state = match build.state {
        _ if failure.is_some() => State::Stopped,
        state if state.is_moving() && build.paused => State::Paused,
        state => state,
    };
    Status {
        state,
        position,
        head,
        lag_events: (head.0 - position.0).max(0),
        lag_seconds: 0.0,
        rate: progress.map_or(if moving { meters.live.per_second() } else { 0.0 }, |progress| progress.rate.per_second()),
        progress: if head.0 > 0 { (position.0 as f64 / head.0 as f64).min(1.0) } else { 1.0 },
        eta_seconds: progress.and_then(|progress| progress.eta(head)),
        switch: build.switch,
        reason: failure.or(build.reason).or_else(|| meters.hindrance(&build.id).filter(|_| build.state.is_moving()).cloned()),
        started: build.started,
        limits: build.limits,
        parked: build.parked,
        name: build.id.name,
        version: build.version,
        build: build.id.build,
    }
}
