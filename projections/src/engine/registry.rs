//! What the database knows about builds: which there are, in which state, and up to where they are folded.

use super::{EngineError, member::Member};
use crate::{
    db::{Db, DbError, Urgency, Write},
    params,
};
use circolo_domain::Timestamp;
use circolo_events::{EventStore, LogId, Position};
use uuid::Uuid;

/// Where a build is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being folded, beside whatever is live.
    Building,
    /// Complete, moves with the lane, waits for the switch.
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
}

impl State {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Building, "building"),
        (Self::Ready, "ready"),
        (Self::Live, "live"),
        (Self::Stopped, "stopped"),
        (Self::Old, "old"),
        (Self::Returning, "returning"),
        (Self::Failed, "failed"),
        (Self::Checking, "checking"),
    ];

    /// Is it on its way, or waiting for a switch?
    pub const fn is_underway(self) -> bool {
        matches!(self, Self::Building | Self::Ready | Self::Returning | Self::Checking)
    }

    /// Does the declared name stand for it?
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Stopped)
    }

    /// Its name, stored and shown.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("failed", |(_, name)| name)
    }

    fn parse(name: &str) -> Self {
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
    pub async fn matches(&self, store: &dyn EventStore) -> Result<bool, EngineError> {
        if self.log != store.log_id() {
            return Ok(false);
        }
        let Some(event) = self.event else { return Ok(true) };
        let page = store.read_all(Position(self.position.0 - 1), 1).await?;
        Ok(page.events.first().is_some_and(|found| found.position == self.position && found.event.id == event))
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
    fn key(&self) -> String {
        format!("{}/{}", self.name, self.build)
    }
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} build {}", self.name, self.build)
    }
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
}

crate::record! {
    struct BuildRow {
        name: String,
        build: i64,
        version: i64,
        state: String,
        automatic: bool,
        log_id: String,
        position: i64,
        event_id: Option<String>,
        indexed: bool,
        reason: Option<String>,
        started: Timestamp,
    }
}

impl From<BuildRow> for Build {
    fn from(row: BuildRow) -> Self {
        Self {
            id: BuildId { name: row.name, build: row.build },
            version: row.version,
            state: State::parse(&row.state),
            switch: if row.automatic { Switch::Auto } else { Switch::Manual },
            checkpoint: Checkpoint {
                log: row.log_id.parse().unwrap_or_default(),
                position: Position(row.position),
                event: row.event_id.and_then(|id| id.parse().ok()),
            },
            indexed: row.indexed,
            reason: row.reason,
            started: row.started,
        }
    }
}

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS projection_builds (name TEXT NOT NULL, build BIGINT NOT NULL, version BIGINT NOT NULL, \
     state TEXT NOT NULL, automatic BIGINT NOT NULL, log_id TEXT NOT NULL, position BIGINT NOT NULL, event_id TEXT, \
     indexed BIGINT NOT NULL, reason TEXT, started BIGINT NOT NULL, PRIMARY KEY (name, build))",
    "CREATE TABLE IF NOT EXISTS consumer_checkpoints (name TEXT PRIMARY KEY, log_id TEXT NOT NULL, position BIGINT NOT NULL, event_id TEXT)",
];

/// Makes the tables of the registry, if they are not there.
pub async fn create_tables(db: &Db) -> Result<(), DbError> {
    db.write(TABLES.iter().map(|sql| Write::run(*sql, vec![])).collect(), Urgency::Lane).await
}

/// All builds, by name and number.
pub async fn builds(db: &Db) -> Result<Vec<Build>, DbError> {
    const SQL: &str = "SELECT name, build, version, state, automatic, log_id, position, event_id, indexed, reason, started \
                       FROM projection_builds ORDER BY name, build";
    Ok(db.query::<BuildRow>(SQL, vec![]).await?.into_iter().map(Build::from).collect())
}

/// Enters a build.
pub fn insert(build: &Build) -> Write {
    Write::run(
        "INSERT INTO projection_builds (name, build, version, state, automatic, log_id, position, event_id, indexed, reason, started) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        params![
            &build.id.name,
            build.id.build,
            build.version,
            build.state.name(),
            build.switch == Switch::Auto,
            build.checkpoint.log,
            build.checkpoint.position.0,
            build.checkpoint.event,
            build.indexed,
            build.reason.clone(),
            build.started
        ],
    )
}

/// Changes a build's state.
pub fn set_state(id: &BuildId, state: State, reason: Option<&str>) -> Write {
    Write::run(
        "UPDATE projection_builds SET state = $3, reason = $4 WHERE name = $1 AND build = $2",
        params![&id.name, id.build, state.name(), reason],
    )
}

/// Makes a build the live one of its version; the one before it is kept as old.
pub fn replace_live(id: &BuildId, version: i64) -> [Write; 2] {
    const OLD: &str = "UPDATE projection_builds SET state = 'old' \
                       WHERE name = $1 AND version = $2 AND build <> $3 AND state IN ('live', 'stopped')";
    [Write::run(OLD, params![&id.name, version, id.build]), set_state(id, State::Live, None)]
}

/// Notes when a build is to replace the live one.
pub fn set_switch(id: &BuildId, switch: Switch) -> Write {
    Write::run(
        "UPDATE projection_builds SET automatic = $3 WHERE name = $1 AND build = $2",
        params![&id.name, id.build, switch == Switch::Auto],
    )
}

/// Notes that a build has its indexes.
pub fn set_indexed(id: &BuildId) -> Write {
    Write::run("UPDATE projection_builds SET indexed = 1 WHERE name = $1 AND build = $2", params![&id.name, id.build])
}

/// Forgets a build.
pub fn remove(id: &BuildId) -> Write {
    Write::run("DELETE FROM projection_builds WHERE name = $1 AND build = $2", params![&id.name, id.build])
}

/// Moves the checkpoint of builds that are all at `from`; fails if somebody else moved one of them.
pub fn advance(members: &[Member], from: Checkpoint, to: Checkpoint) -> Write {
    let keys: Vec<String> = members.iter().map(|member| member.id.key()).collect();
    Write::Expect {
        sql: "UPDATE projection_builds SET position = $1, event_id = $2 \
              WHERE position = $3 AND log_id = $4 AND name || '/' || CAST(build AS TEXT) = ANY($5)"
            .into(),
        rows: keys.len() as u64,
        params: params![to.position.0, to.event, from.position.0, from.log, keys],
    }
}
