//! What operators see of projections: where they stand, how fast they move, how long it will take.

use super::{
    EngineError, Shared,
    tables::{
        build::{Build, BuildId, Limits, State, Switch},
        registry,
    },
};
use circolo_domain::Timestamp;
use circolo_events::{Position, StoreError};
use std::collections::{HashMap, hash_map::Entry};
use tokio::time::{Duration, Instant};

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

/// Figures of the lane and of builds.
#[derive(Default)]
pub struct Meters {
    lane: Rate,
    builds: HashMap<BuildId, Progress>,
    /// What keeps builds from going on, until a retry mends it.
    held_up: HashMap<BuildId, String>,
    /// Why the lane stopped, if it did.
    pub failure: Option<String>,
    /// What keeps the lane from its next step, until a retry mends it.
    pub trouble: Option<String>,
}

struct Progress {
    begun: Instant,
    first: Position,
    position: Position,
    rate: Rate,
}

/// Events per second over the last seconds.
#[derive(Default)]
struct Rate {
    since: Option<Instant>,
    count: usize,
    last: f64,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(5);

    fn add(&mut self, events: usize) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.count += events;
        if since.elapsed() >= Self::WINDOW {
            (self.last, self.count, self.since) = (self.current(since), 0, Some(Instant::now()));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
    fn current(&self, since: Instant) -> f64 {
        self.count as f64 / since.elapsed().as_secs_f64().max(0.001)
    }

    fn per_second(&self) -> f64 {
        match self.since {
            None => 0.0,
            Some(since) if self.last > 0.0 && since.elapsed() < Self::WINDOW => self.last,
            Some(since) => self.current(since),
        }
    }
}

impl Meters {
    /// The lane moved over so many events.
    pub fn moved(&mut self, events: usize) {
        self.lane.add(events);
    }

    /// A build came to `position`, over so many events.
    pub fn built(&mut self, id: &BuildId, position: Position, events: usize) {
        let fresh = || Progress { begun: Instant::now(), first: position, position, rate: Rate::default() };
        let progress = self.builds.entry(id.clone()).or_insert_with(fresh);
        progress.position = position;
        progress.rate.add(events);
        self.held_up.remove(id);
    }

    /// Builds failed in a way that may pass, and are tried again.
    pub fn held_up(&mut self, ids: &[BuildId], why: &str) {
        self.held_up.extend(ids.iter().map(|id| (id.clone(), format!("tried again: {why}"))));
    }

    /// A build is no more.
    pub fn forget(&mut self, id: &BuildId) {
        self.builds.remove(id);
        self.held_up.remove(id);
    }
}

impl Progress {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
    fn eta(&self, head: Position) -> Option<f64> {
        let (done, left) = ((self.position.0 - self.first.0) as f64, (head.0 - self.position.0).max(0) as f64);
        (done > 0.0).then(|| left * self.begun.elapsed().as_secs_f64() / done)
    }
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
    let progress = meters
        .builds
        .get(&build.id)
        .filter(|_| matches!(build.state, State::Building | State::Returning | State::Checking) && !build.paused);
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
        rate: progress.map_or(if moving { meters.lane.per_second() } else { 0.0 }, |progress| progress.rate.per_second()),
        progress: if head.0 > 0 { (position.0 as f64 / head.0 as f64).min(1.0) } else { 1.0 },
        eta_seconds: progress.and_then(|progress| progress.eta(head)),
        switch: build.switch,
        reason: failure.or(build.reason).or_else(|| meters.held_up.get(&build.id).filter(|_| build.state.is_moving()).cloned()),
        started: build.started,
        limits: build.limits,
        parked: build.parked,
        name: build.id.name,
        version: build.version,
        build: build.id.build,
    }
}
