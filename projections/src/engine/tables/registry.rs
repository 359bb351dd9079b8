//! What the database knows about builds: which there are, in which state, and up to where they are folded.

use super::{
    build::{Build, BuildId, Checkpoint, Limits, State, Switch},
    ddl::Physical,
    parked::{Parked, Poison},
};
use crate::{
    db::{Db, DbError, Dialect, Urgency, Write},
    params,
};
use circolo_domain::{StreamName, Timestamp};
use circolo_events::Position;

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
        paused: bool,
        rate: Option<i64>,
        memory: Option<i64>,
        parked: i64,
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
            paused: row.paused,
            parked: row.parked,
            limits: Limits {
                rate: row.rate.and_then(|rate| u64::try_from(rate).ok()),
                memory: row.memory.and_then(|memory| u64::try_from(memory).ok()),
            },
        }
    }
}

const TABLES: [&str; 8] = [
    "CREATE TABLE IF NOT EXISTS projection_builds (name TEXT NOT NULL, build BIGINT NOT NULL, version BIGINT NOT NULL, \
     state TEXT NOT NULL, automatic BIGINT NOT NULL, log_id TEXT NOT NULL, position BIGINT NOT NULL, event_id TEXT, \
     indexed BIGINT NOT NULL, reason TEXT, started BIGINT NOT NULL, PRIMARY KEY (name, build))",
    // What operators ask of a build; no row: nothing.
    "CREATE TABLE IF NOT EXISTS projection_controls (name TEXT NOT NULL, build BIGINT NOT NULL, paused BIGINT NOT NULL, \
     rate BIGINT, memory BIGINT, PRIMARY KEY (name, build))",
    // Which tables a build has, so that a later version of the program can drop them.
    "CREATE TABLE IF NOT EXISTS projection_tables (table_name TEXT PRIMARY KEY, declared TEXT NOT NULL, name TEXT NOT NULL, build BIGINT NOT NULL)",
    // Streams that a build leaves out, from an event on that could not be read.
    "CREATE TABLE IF NOT EXISTS projection_parked (name TEXT NOT NULL, build BIGINT NOT NULL, stream TEXT NOT NULL, \
     position BIGINT NOT NULL, event_id TEXT NOT NULL, event_type TEXT NOT NULL, error TEXT NOT NULL, since BIGINT NOT NULL, \
     PRIMARY KEY (name, build, stream))",
    "CREATE TABLE IF NOT EXISTS consumer_checkpoints (name TEXT PRIMARY KEY, log_id TEXT NOT NULL, position BIGINT NOT NULL, event_id TEXT)",
    // How consumers fail, or failed the last time.
    "CREATE TABLE IF NOT EXISTS consumer_failures (name TEXT PRIMARY KEY, log_id TEXT NOT NULL, error TEXT NOT NULL, \
     since BIGINT NOT NULL, last BIGINT NOT NULL, times BIGINT NOT NULL, lasting BIGINT NOT NULL)",
    // Events that a consumer could not deal with, as something cannot be read.
    "CREATE TABLE IF NOT EXISTS consumer_aside (name TEXT NOT NULL, log_id TEXT NOT NULL, position BIGINT NOT NULL, \
     PRIMARY KEY (name, log_id, position))",
    // Consumers that operators let rest.
    "CREATE TABLE IF NOT EXISTS consumer_pauses (name TEXT NOT NULL, log_id TEXT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (name, log_id))",
];

/// Makes the tables of the registry, if they are not there.
pub async fn create_tables(db: &Db) -> Result<(), DbError> {
    db.write(alone(db).chain(TABLES.iter().map(|sql| Write::run(*sql, vec![]))).collect(), Urgency::Live).await
}

/// Begins a transaction that makes tables: two that do so at once would make one of them fail.
pub fn alone(db: &Db) -> impl Iterator<Item = Write> + use<> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('circolo views in ' || current_schema(), 0))";
    (db.dialect() == Dialect::Postgres).then(|| Write::run(LOCK, vec![])).into_iter()
}

/// All builds, by name and number.
pub async fn builds(db: &Db) -> Result<Vec<Build>, DbError> {
    const SQL: &str = "SELECT b.name, b.build, b.version, b.state, b.automatic, b.log_id, b.position, b.event_id, b.indexed, b.reason, \
                       b.started, coalesce(c.paused, 0), c.rate, c.memory, \
                       (SELECT count(*) FROM projection_parked p WHERE p.name = b.name AND p.build = b.build) \
                       FROM projection_builds b LEFT JOIN projection_controls c ON c.name = b.name AND c.build = b.build \
                       ORDER BY b.name, b.build";
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

/// Notes what an operator asks of a build.
pub fn set_controls(id: &BuildId, paused: bool, limits: Limits) -> Write {
    let number = |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    Write::run(
        "INSERT INTO projection_controls (name, build, paused, rate, memory) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (name, build) DO UPDATE SET paused = excluded.paused, rate = excluded.rate, memory = excluded.memory",
        params![&id.name, id.build, paused, number(limits.rate), number(limits.memory)],
    )
}

/// Notes which table belongs to a build. May be repeated.
pub fn own_table(id: &BuildId, physical: &Physical) -> Write {
    Write::run(
        "INSERT INTO projection_tables (table_name, declared, name, build) VALUES ($1, $2, $3, $4) ON CONFLICT (table_name) DO NOTHING",
        params![&physical.name, physical.table.name, &id.name, id.build],
    )
}

/// The tables of a build, of whatever version, and the declared names that may stand for them.
pub async fn tables_of(db: &Db, id: &BuildId) -> Result<Vec<(String, String)>, DbError> {
    const SQL: &str = "SELECT table_name, declared FROM projection_tables WHERE name = $1 AND build = $2 ORDER BY table_name";
    db.query(SQL, params![&id.name, id.build]).await
}

/// Notes that a build leaves a stream out.
pub fn park(id: &BuildId, Parked { poison, since }: &Parked) -> Write {
    Write::run(
        "INSERT INTO projection_parked (name, build, stream, position, event_id, event_type, error, since) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name, build, stream) DO NOTHING",
        params![&id.name, id.build, poison.stream.as_str(), poison.position.0, poison.event, &poison.event_type, &poison.error, *since],
    )
}

crate::record! {
    struct ParkedRow { stream: String, position: i64, event_id: String, event_type: String, error: String, since: Timestamp }
}

/// The streams that a build leaves out, in order of the log.
pub async fn parked(db: &Db, id: &BuildId) -> Result<Vec<Parked>, DbError> {
    const SQL: &str = "SELECT stream, position, event_id, event_type, error, since FROM projection_parked \
                       WHERE name = $1 AND build = $2 ORDER BY position";
    let rows = db.query::<ParkedRow>(SQL, params![&id.name, id.build]).await?;
    let parked = rows.into_iter().map(|row| Parked {
        poison: Poison {
            position: Position(row.position),
            stream: StreamName::stored(row.stream),
            event: row.event_id.parse().unwrap_or_default(),
            event_type: row.event_type,
            unknown: false,
            error: row.error,
        },
        since: row.since,
    });
    Ok(parked.collect())
}

/// Which of `streams` some build of `name` leaves out.
pub async fn left_out(db: &Db, name: &str, streams: Vec<String>) -> Result<Vec<String>, DbError> {
    const SQL: &str = "SELECT DISTINCT stream FROM projection_parked WHERE name = $1 AND stream = ANY($2)";
    db.query(SQL, params![name, streams]).await
}

/// Forgets a build.
pub fn remove(id: &BuildId) -> impl Iterator<Item = Write> + use<> {
    let params = params![&id.name, id.build];
    ["projection_builds", "projection_controls", "projection_tables", "projection_parked"]
        .into_iter()
        .map(move |table| Write::run(format!("DELETE FROM {table} WHERE name = $1 AND build = $2"), params.clone()))
}

/// Moves the checkpoint of builds that are all at `from`; fails if somebody else moved one of them.
pub fn advance<'a>(ids: impl IntoIterator<Item = &'a BuildId>, from: Checkpoint, to: Checkpoint) -> Write {
    let keys: Vec<String> = ids.into_iter().map(BuildId::key).collect();
    Write::Expect {
        sql: "UPDATE projection_builds SET position = $1, event_id = $2 \
              WHERE position = $3 AND log_id = $4 AND name || '/' || CAST(build AS TEXT) = ANY($5)"
            .into(),
        rows: keys.len() as u64,
        params: params![to.position.0, to.event, from.position.0, from.log, keys],
    }
}
