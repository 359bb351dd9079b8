//! The log in Postgres beside one prepared INSERT per transaction on as many connections.

use super::{Baseline, Club, Extent, Line, Measured, POSTGRES_AIMS, lines};
use crate::{
    Arguments, Result, durable,
    report::{Report, Sample},
};
use circolo_events::{EventStore, LogId, Postgres, postgres::Options};
use sqlx::{Connection, Executor, PgConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

/// Nobody runs more connections of one program than this for writing.
const MOST_CONNECTIONS: usize = 64;
pub async fn measure(report: &mut Report, arguments: &Arguments) -> Result<()> {
    let Some(cluster) = durable::cluster(&arguments.dir) else {
        println!("skipped: no Postgres");
        report.fact("Postgres", "skipped, it is not installed");
        return Ok(());
    };
    let extent = Extent::of(arguments);
    report.fact("Postgres", durable::settings(&cluster.url).await?);
    for (in_flight, aim) in POSTGRES_AIMS {
        if !arguments.wants(&format!("Postgres/{in_flight}")) {
            continue;
        }
        let log = durable::schema(&cluster.url, "log").await?;
        let store: Arc<dyn EventStore> = Arc::new(Postgres::connect(&log, &Options::default(), LogId::from_u128(1)).await?);
        let club = Club::found(store.clone()).await?;
        club.measure(in_flight, extent.span / 4).await?;
        let lines: Arc<[Line]> = lines(&store).await?.into();
        let connections = in_flight.min(MOST_CONNECTIONS);
        let mut plain = Inserts::open(&durable::schema(&cluster.url, "plain").await?, Baseline::Plain, connections, &lines).await?;
        let mut indexed = Inserts::open(&durable::schema(&cluster.url, "indexed").await?, Baseline::Indexed, connections, &lines).await?;
        plain.measure(extent.span / 4).await?;
        indexed.measure(extent.span / 4).await?;
        let mut measured = Measured::default();
        for _ in 0..extent.rounds {
            measured.plain.push(plain.measure(extent.span).await?);
            measured.ours.push(club.measure(in_flight, extent.span).await?);
            measured.indexed.push(indexed.measure(extent.span).await?);
        }
        measured.report(report, "Postgres", in_flight, aim);
    }
    Ok(())
}

/// Writers of one row per transaction, each on a connection of its own.
struct Inserts {
    connections: Vec<PgConnection>,
    lines: Arc<[Line]>,
    written: Arc<AtomicI64>,
}

impl Inserts {
    async fn open(url: &str, baseline: Baseline, connections: usize, lines: &Arc<[Line]>) -> Result<Self> {
        let mut opened = Vec::new();
        for _ in 0..connections {
            opened.push(PgConnection::connect(url).await?);
        }
        let first = opened.first_mut().ok_or("no connection was asked for")?;
        first
            .execute(
                r#"CREATE TABLE events (
                    position bigserial PRIMARY KEY, stream text COLLATE "C" NOT NULL, revision bigint NOT NULL, event_id uuid NOT NULL,
                    type text COLLATE "C" NOT NULL, data text COLLATE "C" NOT NULL, metadata text COLLATE "C" NOT NULL,
                    recorded_at bigint NOT NULL
                )"#,
            )
            .await?;
        if baseline == Baseline::Indexed {
            first.execute("ALTER TABLE events ADD UNIQUE (stream, revision), ADD UNIQUE (event_id)").await?;
        }
        Ok(Self { connections: opened, lines: lines.clone(), written: Arc::default() })
    }

    async fn measure(&mut self, span: Duration) -> Result<Sample> {
        let (began, mut running) = (Instant::now(), JoinSet::new());
        for mut connection in self.connections.drain(..) {
            let (lines, written) = (self.lines.clone(), self.written.clone());
            running.spawn(async move {
                let times = insert(&mut connection, &lines, &written, began + span).await?;
                Ok::<_, sqlx::Error>((connection, times))
            });
        }
        let mut times = Vec::new();
        while let Some(done) = running.join_next().await {
            let (connection, more) = done??;
            self.connections.push(connection);
            times.extend(more);
        }
        Ok(Sample::new(times, began.elapsed()))
    }
}

async fn insert(connection: &mut PgConnection, lines: &[Line], written: &AtomicI64, end: Instant) -> sqlx::Result<Vec<f32>> {
    let sql = "INSERT INTO events (stream, revision, event_id, type, data, metadata, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let mut times = Vec::new();
    let mut now = Instant::now();
    while now < end {
        let number = written.fetch_add(1, Ordering::Relaxed);
        let line = &lines[usize::try_from(number).unwrap_or_default() % lines.len()];
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes());
        let query = sqlx::query(sql).bind(&line.stream).bind(1_000 + number).bind(id).bind(&line.event_type);
        query.bind(&line.data).bind(&line.metadata).bind(0_i64).execute(&mut *connection).await?;
        times.push(now.elapsed().as_secs_f32());
        now = Instant::now();
    }
    Ok(times)
}
