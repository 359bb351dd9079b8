//! Read models from their first event: group statistics and questions, out of 200,000 and 1,000,000 events.
//!
//! Beside it, on the same log: (a) only reading and decoding it once, (b) the same tables by one hand-written
//! `INSERT ... SELECT` each over the JSON in the same database, (c) the usual projector: one event, one transaction. Each
//! measurement is a process of its own, so that its peak of memory is its own.

mod generator;
mod sql;
mod task;
mod usual;

use crate::{
    Arguments, Result, durable,
    report::{Report, aimed, median, round},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, process::Command};
use task::{Outcome, Task, Work};
use tokio::runtime::Runtime;

pub use task::run as run_task;

/// How many events the usual projector is given; its rate does not depend on what follows.
const SAMPLE: usize = 20_000;

/// What is measured of one log: kinds of work, and the least ratios of ours to (b) and (c).
struct Plan {
    views: &'static str,
    work: Vec<Work>,
    to_sql: fn(Work) -> Option<f64>,
    to_usual: fn(Work) -> Option<f64>,
}

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["views", "events", "what", "events/s", "of reading", "of INSERT ... SELECT", "of one by one", "peak MiB"];
    let mut report = Report::new("rebuild", head);
    report.fact("events", "joins 50 %, questions 30 %, answers 15 %, leaves 5 %, in 1,000 groups; the same in every run");
    report.fact("one by one", format!("measured on the first {SAMPLE} events"));
    report.fact("peak", "VmHWM of a process that does nothing else; on Postgres the server's memory is not in it");
    let sizes: &[usize] = if arguments.quick { &[20_000] } else { &[200_000, 1_000_000] };
    for &events in sizes {
        let dir = tempfile::tempdir_in(&arguments.dir)?;
        let plan = Plan {
            views: "SQLite",
            work: vec![Work::Read, Work::Rebuild(64), Work::Rebuild(256), Work::Rebuild(1024), Work::Sql, Work::Usual],
            to_sql: |work| match work {
                Work::Rebuild(256) => Some(0.6),
                Work::Rebuild(1024) => Some(0.8),
                _ => None,
            },
            to_usual: |work| (work == Work::Rebuild(256)).then_some(20.0),
        };
        plan.measure(&mut report, arguments, events, dir.path(), None)?;
    }
    let Some(cluster) = durable::cluster(&arguments.dir) else {
        println!("skipped: no Postgres");
        report.fact("Postgres", "skipped, it is not installed");
        return Ok(report);
    };
    report.fact("Postgres", Runtime::new()?.block_on(durable::settings(&cluster.url))?);
    for &events in sizes {
        let dir = tempfile::tempdir_in(&arguments.dir)?;
        let plan = Plan {
            views: "Postgres",
            work: vec![Work::Read, Work::Rebuild(256), Work::Sql, Work::Usual],
            to_sql: |work| (work == Work::Rebuild(256)).then_some(0.35),
            to_usual: |_| None,
        };
        plan.measure(&mut report, arguments, events, dir.path(), Some(&cluster.url))?;
    }
    Ok(report)
}

impl Plan {
    /// Writes a log and measures all work on it in turns.
    fn measure(&self, report: &mut Report, arguments: &Arguments, events: usize, dir: &Path, postgres: Option<&str>) -> Result<()> {
        let task = |work: Work, round: usize| Task { work, events, dir: dir.to_owned(), postgres: postgres.map(str::to_owned), round };
        let generated = child(&task(Work::Generate, 0))?;
        eprintln!("rebuild: {} events written in {:.1} s", generated.events, generated.seconds);
        let mut outcomes: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
        for round in 0..if arguments.quick { 1 } else { 3 } {
            for (place, &work) in self.work.iter().enumerate() {
                outcomes.entry(place).or_default().push(child(&task(work, round))?);
            }
        }
        let of = |work: Work| self.work.iter().position(|other| *other == work).and_then(|place| outcomes.get(&place));
        let ratio = |ours: &[Outcome], work: Work| {
            let pairs = of(work).into_iter().flatten().zip(ours).map(|(theirs, ours)| ours.rate() / theirs.rate());
            median(pairs.collect())
        };
        for (place, &work) in self.work.iter().enumerate() {
            let Some(ours) = outcomes.get(&place) else { continue };
            let rebuilt = matches!(work, Work::Rebuild(_));
            let ratios = [Work::Read, Work::Sql, Work::Usual].map(|other| rebuilt.then(|| ratio(ours, other)));
            self.line(report, events, work, ours, ratios);
        }
        Ok(())
    }

    fn line(&self, report: &mut Report, events: usize, work: Work, outcomes: &[Outcome], ratios: [Option<f64>; 3]) {
        let rate = median(outcomes.iter().map(Outcome::rate).collect());
        let peak = median(outcomes.iter().map(|outcome| outcome.peak_mib).collect());
        let aims = [None, (self.to_sql)(work), (self.to_usual)(work)];
        let text = |place: usize| ratios[place].map_or_else(String::new, |ratio| aimed(ratio, aims[place]));
        let cells = vec![
            self.views.to_owned(),
            events.to_string(),
            work.to_string(),
            format!("{rate:.0}"),
            text(0),
            text(1),
            text(2),
            format!("{peak:.0}"),
        ];
        let ratio = |place: usize| json!({ "ratio": ratios[place].map(round), "aim": aims[place] });
        let figures = json!({
            "views": self.views, "events": events, "what": work.to_string(), "events_per_second": rate.round(), "peak_mib": peak.round(),
            "to_reading": ratio(0), "to_insert_select": ratio(1), "to_one_by_one": ratio(2),
        });
        report.line(cells, figures);
    }
}

/// Runs a task in a process of its own.
fn child(task: &Task) -> Result<Outcome> {
    let output = Command::new(std::env::current_exe()?).arg("--task").arg(task.to_json().to_string()).output()?;
    if !output.status.success() {
        return Err(format!("{} failed ({}): {}", task.work, output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    Outcome::from_json(&answer)
}
