//! The log in SQLite beside a loop of one row per transaction through rusqlite.

use super::{Baseline, Club, Extent, Line, Measured, SQLITE_AIMS, lines, size_fact};
use crate::{
    Arguments, Result,
    report::{Report, Sample},
};
use circolo_events::{EventStore, LogId, Sqlite, sqlite::Options};
use rusqlite::Connection;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

pub async fn measure(report: &mut Report, arguments: &Arguments) -> Result<()> {
    let extent = Extent::of(arguments);
    report.fact("SQLite", format!("{}, WAL, synchronous=FULL on both sides", rusqlite::version()));
    for (in_flight, aim) in SQLITE_AIMS {
        if !arguments.wants(&format!("SQLite/{in_flight}")) {
            continue;
        }
        let dir = tempfile::tempdir_in(&arguments.dir)?;
        let path = |name: &str| dir.path().join(name);
        let store: Arc<dyn EventStore> = Arc::new(Sqlite::open(&path("log.db"), &Options::default(), LogId::from_u128(1))?);
        let club = Club::found(store.clone()).await?;
        // Nothing is measured cold.
        club.measure(in_flight, extent.span / 4).await?;
        let lines = lines(&store).await?;
        if in_flight == 1 {
            size_fact(report, &lines);
        }
        let mut plain = Loop::open(&path("plain.db"), Baseline::Plain, &lines)?;
        let mut indexed = Loop::open(&path("indexed.db"), Baseline::Indexed, &lines)?;
        let mut measured = Measured::default();
        for _ in 0..extent.rounds {
            measured.plain.push(plain.measure(extent.span)?);
            measured.ours.push(club.measure(in_flight, extent.span).await?);
            measured.indexed.push(indexed.measure(extent.span)?);
        }
        measured.report(report, "SQLite", in_flight, aim);
    }
    Ok(())
}

/// A writer of one row per transaction.
struct Loop<'a> {
    connection: Connection,
    lines: &'a [Line],
    written: u32,
}

impl<'a> Loop<'a> {
    fn open(path: &Path, baseline: Baseline, lines: &'a [Line]) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE events (
                 position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL, event_id BLOB NOT NULL, type TEXT NOT NULL,
                 data TEXT NOT NULL, metadata TEXT NOT NULL, recorded_at INTEGER NOT NULL
             );",
        )?;
        if baseline == Baseline::Indexed {
            connection.execute_batch(
                "CREATE UNIQUE INDEX by_stream ON events (stream, revision);
                 CREATE UNIQUE INDEX by_id ON events (event_id);",
            )?;
        }
        Ok(Self { connection, lines, written: 0 })
    }

    fn measure(&mut self, span: Duration) -> Result<Sample> {
        let sql = "INSERT INTO events (stream, revision, event_id, type, data, metadata, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let mut insert = self.connection.prepare_cached(sql)?;
        let mut times = Vec::new();
        let began = Instant::now();
        let mut now = began;
        while now < began + span {
            let line = &self.lines[self.written as usize % self.lines.len()];
            let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.written.to_be_bytes());
            // Every line of the round before comes again with a higher revision.
            let row = (&line.stream, 1_000 + self.written, id.as_bytes().as_slice(), &line.event_type, &line.data, &line.metadata, 0);
            insert.execute(row)?;
            self.written += 1;
            times.push(now.elapsed().as_secs_f32());
            now = Instant::now();
        }
        Ok(Sample::new(times, began.elapsed()))
    }
}
