//! A simulated history of a million events and all read models: written, built by the server that serves them at once, rebuilt beside
//! what is live, and projected live; with the most memory that the server ever held.

use crate::{
    Arguments, Result,
    durable::{self, on_each},
    http::{client::Client, site::Site},
    report::Report,
};
use circolo::{clock, config::KeyStorage};
use circolo_events::{Append, EventStore, Expected, LogId, Position, Postgres, Sqlite, postgres, sqlite};
use circolo_projections::{self as projections, Db, Options, Projector};
use circolo_tests::server::Server;
use hyper::StatusCode;
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;

const SIMULATED_AIM: f64 = 20.0;
const MEMORY_AIM: f64 = 300.0;
/// How many events the live subscription is given at most.
const LIVE: usize = 200_000;

pub fn run(arguments: &Arguments) -> Result<Report> {
    let mut report = Report::new("history", vec!["data", "what", "events", "seconds", "events/s", "peak MiB", "aim"]);
    report.fact("peak", "VmHWM of the process; on Postgres the server's memory is not in it");
    on_each(&mut report, arguments, async |report, data, postgres| Measurement { report, arguments, data }.run(postgres).await)?;
    Ok(report)
}

struct Measurement<'a> {
    report: &'a mut Report,
    arguments: &'a Arguments,
    data: &'static str,
}

impl Measurement<'_> {
    async fn run(mut self, postgres: Option<&str>) -> Result<()> {
        let events = self.arguments.history();
        let site = Site::simulate(self.arguments, postgres).await?;
        let aim = postgres.is_none().then(|| (format!("< {SIMULATED_AIM} s"), site.simulated.as_secs_f64() < SIMULATED_AIM));
        self.line("circolo simulate", events, site.simulated, None, aim.as_ref());

        let began = Instant::now();
        let server = Server::start(&site.storage).await;
        let mut operator = Client::connect(server.url(), &site.storage.token("operator", "operator")).await?;
        let took = until_ready(&server, &mut operator, began).await?;
        let peak = server.peak_memory()?;
        let met = (format!("< {MEMORY_AIM} MiB"), peak < MEMORY_AIM);
        self.line("first start: all read models, serving meanwhile", events, took, Some(peak), Some(&met));

        let began = Instant::now();
        server_rebuild(&site, &server)?;
        let peak = server.peak_memory()?;
        self.line("rebuild --all beside the live ones", events, began.elapsed(), Some(peak), Some(&(met.0, peak < MEMORY_AIM)));
        server.kill().await;

        let (events, took) = live(&site, self.arguments, postgres).await?;
        self.line("projected live", events, took, None, None);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of events is far below 2^52")]
    fn line(&mut self, what: &str, events: u64, took: Duration, peak: Option<f64>, aim: Option<&(String, bool)>) {
        let rate = events as f64 / took.as_secs_f64();
        let cells = vec![
            self.data.to_owned(),
            what.to_owned(),
            events.to_string(),
            format!("{:.1}", took.as_secs_f64()),
            format!("{rate:.0}"),
            peak.map_or_else(String::new, |peak| format!("{peak:.0}")),
            aim.map_or_else(String::new, |(aim, met)| if *met { aim.clone() } else { format!("MISSED ({aim})") }),
        ];
        let figures = json!({
            "data": self.data, "what": what, "events": events, "seconds": took.as_secs_f64(), "events_per_second": rate.round(),
            "peak_mib": peak.map(f64::round), "aim": aim.map(|(aim, _)| aim), "met": aim.map(|(_, met)| met),
        });
        self.report.line(cells, figures);
    }
}

/// Asks for the group directory again and again until the server is ready: it answers all the time, if only that it is not yet there.
async fn until_ready(server: &Server, reader: &mut Client, began: Instant) -> Result<Duration> {
    loop {
        let answer = reader.get("/v1/groups").await?;
        if !matches!(answer.status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE) {
            return Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
        }
        let mut probe = Client::connect(server.url(), "").await?;
        if answer.status == StatusCode::OK && probe.get("/health/ready").await?.status == StatusCode::OK {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rebuilds everything through the running server and waits for the end, as an operator does.
fn server_rebuild(site: &Site, server: &Server) -> Result<()> {
    let token = site.storage.token("operator", "operator");
    let output = std::process::Command::new(circolo_tests::server::binary())
        .args(["projections", "rebuild", "--all", "--url", server.url(), "--token", &token])
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("rebuild: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// Writes the beginning of the same history into a new log as fast as it goes, while a running projector follows.
async fn live(site: &Site, arguments: &Arguments, postgres: Option<&str>) -> Result<(u64, Duration)> {
    let from = store(site, postgres, None).await?;
    let dir = tempfile::tempdir_in(&arguments.dir)?;
    let to = store(site, postgres, Some(dir.path())).await?;
    // Boxes are appended as they are; whoever projects opens them.
    let to = KeyStorage::default().behind_keys(&site.storage.folder, to, &*from).await?;
    let db = match postgres {
        Some(url) => Db::postgres(&durable::schema(url, "live_views").await?).await?,
        None => Db::sqlite(dir.path().join("views.sqlite")).await?,
    };
    let projector = Projector::start(db, Arc::clone(&to), projections::all(), Options::new(clock::system())).await?;
    projector.settled().await;
    let (began, mut after, mut written) = (Instant::now(), Position::START, 0);
    while written < LIVE {
        let page = from.read_all(after, 4_000.min(LIVE - written)).await?;
        if page.events.is_empty() {
            break;
        }
        (after, written) = (page.scanned, written + page.events.len());
        let appends = page.events.into_iter().map(|stored| Append {
            stream: stored.stream,
            expected: Expected::of(stored.revision.checked_sub(1)),
            events: vec![stored.event],
        });
        for outcome in to.append_many(appends.collect()).await {
            outcome?;
        }
    }
    projector.wait_for(to.head().await?, Duration::from_mins(10)).await?;
    let took = began.elapsed();
    projector.shutdown().await;
    Ok((written as u64, took))
}

/// The site's log, or a new one.
pub async fn store(site: &Site, postgres: Option<&str>, new: Option<&Path>) -> Result<Arc<dyn EventStore>> {
    let id = LogId::from_u128(2);
    Ok(match (postgres, new) {
        (Some(url), Some(_)) => Arc::new(Postgres::connect(&durable::schema(url, "live").await?, &postgres::Options::default(), id).await?),
        (Some(url), None) => Arc::new(Postgres::connect(&durable::in_schema(url, "site"), &postgres::Options::default(), id).await?),
        (None, Some(dir)) => Arc::new(Sqlite::open(&dir.join("log.sqlite"), &sqlite::Options::default(), id)?),
        (None, None) => Arc::new(Sqlite::open_read_only(&site.storage.folder.join("log.sqlite"), &sqlite::Options::default())?),
    })
}
