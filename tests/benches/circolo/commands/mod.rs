//! Durable commands per second through `Executor::execute`: members of a group post and answer questions over 1,000 streams.
//!
//! The baselines do the least that is durable with the same rows: one row per transaction. The aims hold against a table that
//! has no index but its primary key; the log's own table has two unique indexes more, and is there for comparison.

pub mod club;
mod postgres;
mod sqlite;

use crate::{
    Arguments, Result,
    report::{Report, Sample, aimed, median, round},
};
use circolo_events::{EventStore, Position};
use club::Club;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::runtime::Runtime;

/// In flight at once, and the least ratios to the plain baseline.
const SQLITE_AIMS: [(usize, Option<f64>); 4] = [(1, Some(0.5)), (16, Some(2.5)), (64, Some(4.0)), (256, Some(5.0))];
const POSTGRES_AIMS: [(usize, Option<f64>); 4] = [(1, None), (16, Some(0.8)), (64, Some(1.5)), (256, Some(2.5))];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// How often each of the things that are compared is measured, in turns.
    rounds: usize,
    /// How long each time.
    span: Duration,
}

impl Extent {
    fn of(arguments: &Arguments) -> Self {
        let (rounds, millis) = if arguments.quick { (1, 100) } else { (5, 1_000) };
        Self { rounds, span: Duration::from_millis(millis) }
    }
}

/// A row as the log holds it, for the baselines to write.
#[derive(Debug, Clone)]
pub struct Line {
    stream: String,
    event_type: String,
    data: String,
    metadata: String,
}

/// What the log is compared with: one row per transaction, into a plain table and into one with the log's indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Baseline {
    Plain,
    Indexed,
}

/// The samples of one line, round by round.
#[derive(Default)]
struct Measured {
    plain: Vec<Sample>,
    indexed: Vec<Sample>,
    ours: Vec<Sample>,
}

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["log", "in flight", "commands/s", "p50 ms", "p99 ms", "one row each/s", "ratio", "with the log's indexes/s", "ratio"];
    let mut report = Report::new("commands", head);
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        sqlite::measure(&mut report, arguments).await?;
        postgres::measure(&mut report, arguments).await
    })?;
    Ok(report)
}

impl Measured {
    fn report(&self, report: &mut Report, log: &str, in_flight: usize, aim: Option<f64>) {
        let ratio_to = |baseline: &[Sample]| median(self.ours.iter().zip(baseline).map(|(ours, theirs)| ours.rate / theirs.rate).collect());
        let (plain_ratio, indexed_ratio) = (ratio_to(&self.plain), ratio_to(&self.indexed));
        let (ours, plain, indexed) = (Sample::median(&self.ours), Sample::median(&self.plain), Sample::median(&self.indexed));
        let cells = vec![
            log.to_owned(),
            in_flight.to_string(),
            format!("{:.0}", ours.rate),
            format!("{:.2}", ours.p50),
            format!("{:.2}", ours.p99),
            format!("{:.0}", plain.rate),
            aimed(plain_ratio, aim),
            format!("{:.0}", indexed.rate),
            aimed(indexed_ratio, None),
        ];
        let figures = json!({
            "log": log, "in_flight": in_flight, "commands": ours.json(),
            "baseline": plain.json(), "ratio": round(plain_ratio), "aim": aim,
            "baseline_indexed": indexed.json(), "ratio_indexed": round(indexed_ratio),
        });
        report.line(cells, figures);
    }
}

/// The log's rows as the baselines write them: questions and answers from the log of a club that was just measured.
async fn lines(store: &Arc<dyn EventStore>) -> Result<Vec<Line>> {
    let page = store.read_all(Position::START, 10_000).await?;
    let events = page.events.into_iter().filter(|stored| stored.stream.category() == "question");
    let lines = events.map(|stored| Line {
        stream: stored.stream.as_str().to_owned(),
        event_type: stored.event.event_type,
        data: stored.event.data,
        metadata: stored.event.metadata,
    });
    Ok(lines.collect())
}

/// Says how large the events are.
fn size_fact(report: &mut Report, lines: &[Line]) {
    let mean = |size: fn(&Line) -> usize| lines.iter().map(size).sum::<usize>() / lines.len().max(1);
    let (data, metadata) = (mean(|line| line.data.len()), mean(|line| line.metadata.len()));
    report.fact("event", format!("{data} bytes of payload and {metadata} bytes of metadata, on average"));
}
