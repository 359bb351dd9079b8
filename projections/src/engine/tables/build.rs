//! What a build is: which, in which state, up to where it is folded, and within which limits it may be moved.

use circolo_domain::Timestamp;
use circolo_events::{EventStore, LogId, Position, StoreError};
use uuid::Uuid;

/// Where a build is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being folded, beside whatever is live.
    Building,
    /// Complete, moves with the live subscription, waits for the switch.
    Ready,
    /// The declared names stand for it.
    Live,
    /// Live, but no longer fed: it met an event that it cannot read.
    Stopped,
    /// Was live; kept for rollback.
    Old,
    /// Was live, and is folded up to now to be so again.
    Returning,
    /// Gave up; kept for its reason until the next build.
    Failed,
    /// A throw-away build that a live one is compared with.
    Checking,
    /// Building or returning, and left where it is until it is resumed. Shown, never stored.
    Paused,
}

impl State {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Building, "building"),
        (Self::Ready, "ready"),
        (Self::Live, "live"),
        (Self::Stopped, "stopped"),
        (Self::Old, "old"),
        (Self::Returning, "returning"),
        (Self::Failed, "failed"),
        (Self::Checking, "checking"),
        (Self::Paused, "paused"),
    ];

    /// Is it on its way, or waiting for a switch?
    pub const fn is_underway(self) -> bool {
        matches!(self, Self::Building | Self::Ready | Self::Returning | Self::Checking | Self::Paused)
    }

    /// Is it moved by a task of its own, so that it can be paused?
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::Building | Self::Returning)
    }

    /// Does the declared name stand for it?
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Stopped)
    }

    /// Its name, stored and shown.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("failed", |(_, name)| name)
    }

    /// The state that is stored as `name`.
    pub fn parse(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Failed, |(state, _)| *state)
    }
}

/// When a finished build replaces the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// At once.
    Auto,
    /// When an operator says so.
    Manual,
}

/// Up to where a log was folded. Position 0 without an event is the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub log: LogId,
    /// Everything up to here is applied.
    pub position: Position,
    /// The event that stands there.
    pub event: Option<Uuid>,
}

impl Checkpoint {
    /// Before the first event of `log`.
    pub const fn start(log: LogId) -> Self {
        Self { log, position: Position::START, event: None }
    }

    /// Does the log still hold what was folded?
    pub async fn matches(&self, store: &dyn EventStore) -> Result<bool, StoreError> {
        if self.log != store.log_id() {
            return Ok(false);
        }
        let Some(event) = self.event else { return Ok(true) };
        Ok(store.at(self.position).await?.is_some_and(|found| found.event.id == event))
    }
}

/// Name and number of a build; the number is unique per name, over all versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId {
    /// The projection.
    pub name: String,
    /// The number.
    pub build: i64,
}

impl BuildId {
    /// Both in one text, as statements compare them.
    pub fn key(&self) -> String {
        format!("{}/{}", self.name, self.build)
    }
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} build {}", self.name, self.build)
    }
}

/// Limits of a build; of those that move together, the tightest counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Events per second.
    pub rate: Option<u64>,
    /// Bytes of rows in memory, roughly.
    pub memory: Option<u64>,
}

/// A build as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Which.
    pub id: BuildId,
    /// Version of the projection.
    pub version: i64,
    /// Where it is in its life.
    pub state: State,
    /// When it is to replace the live one.
    pub switch: Switch,
    /// Up to where it is folded.
    pub checkpoint: Checkpoint,
    /// Are its secondary indexes made? From then on it moves in whole transactions.
    pub indexed: bool,
    /// Why it stopped or failed.
    pub reason: Option<String>,
    /// When it was begun.
    pub started: Timestamp,
    /// Is it to be left where it is?
    pub paused: bool,
    /// How fast it may go and how much memory it may take.
    pub limits: Limits,
    /// How many streams it leaves out.
    pub parked: i64,
}

/// Builds that stand at one place, so that they share a read of the log.
pub fn grouped(mut builds: Vec<Build>) -> Vec<Vec<BuildId>> {
    builds.sort_by_key(|build| (build.indexed, build.checkpoint.position));
    builds
        .chunk_by(|a, b| (a.indexed, a.checkpoint) == (b.indexed, b.checkpoint))
        .map(|group| group.iter().map(|build| build.id.clone()).collect())
        .collect()
}
