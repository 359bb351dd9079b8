//! What it costs that several nodes write to one log in Postgres, whose writers take turns by an advisory lock; and how long it takes
//! until a ban that one node decided ends posting on another.

use crate::{
    Arguments, Result,
    commands::club::Club,
    durable,
    report::{Report, Sample, median, round},
};
use circolo_events::{LogId, Postgres, postgres::Options};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Runtime, task::JoinSet, time::Instant};

/// Commands in flight, on all nodes together.
const IN_FLIGHT: usize = 60;
const NODES: [usize; 3] = [1, 2, 3];

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec![
        "nodes",
        "commands/s",
        "to one node",
        "p50 ms",
        "p99 ms",
        "ban to refusal, quiet p50 ms",
        "p99 ms",
        "under load p50 ms",
        "p99 ms",
    ];
    let mut report = Report::new("nodes", head);
    report.fact("in flight", format!("{IN_FLIGHT} commands, on all nodes together"));
    report.fact("nodes", "executors with a log and a cache of their own, in one process");
    Runtime::new()?.block_on(measure(&mut report, arguments))?;
    Ok(report)
}

async fn measure(report: &mut Report, arguments: &Arguments) -> Result<()> {
    let Some(cluster) = durable::cluster(&arguments.dir) else {
        println!("skipped: no Postgres");
        report.fact("Postgres", "skipped, it is not installed");
        return Ok(());
    };
    report.fact("Postgres", durable::settings(&cluster.url).await?);
    let (rounds, span, bans) = if arguments.quick { (1, Duration::from_millis(100), 5) } else { (5, Duration::from_secs(1), 200) };
    let mut sites = Vec::new();
    for nodes in NODES {
        sites.push(Site::open(&durable::schema(&cluster.url, &format!("nodes{nodes}")).await?, nodes).await?);
    }
    // In turns, so that what else happens on the machine meets all of them.
    let mut samples = vec![Vec::new(); NODES.len()];
    for number in 0..=rounds {
        for (site, samples) in sites.iter().zip(&mut samples) {
            let sample = site.load(span).await?;
            if number > 0 {
                samples.push(sample);
            }
        }
    }
    for ((nodes, site), mine) in NODES.into_iter().zip(&sites).zip(&samples) {
        let ratio = median(mine.iter().zip(&samples[0]).map(|(mine, one)| mine.rate / one.rate).collect());
        let (quiet, loaded) = if nodes > 1 { site.bans(bans).await? } else { (None, None) };
        line(report, nodes, &Sample::median(mine), ratio, quiet, loaded);
    }
    Ok(())
}

fn line(report: &mut Report, nodes: usize, ours: &Sample, ratio: f64, quiet: Option<Sample>, loaded: Option<Sample>) {
    let cells = |sample: Option<Sample>| match sample {
        Some(sample) => [format!("{:.2}", sample.p50), format!("{:.2}", sample.p99)],
        None => ["-".to_owned(), "-".to_owned()],
    };
    let mut row = vec![
        nodes.to_string(),
        format!("{:.0}", ours.rate),
        format!("{ratio:.2}x"),
        format!("{:.2}", ours.p50),
        format!("{:.2}", ours.p99),
    ];
    row.extend(cells(quiet));
    row.extend(cells(loaded));
    let figures = json!({
        "nodes": nodes, "commands": ours.json(), "ratio": round(ratio),
        "ban_quiet": quiet.map(|sample| sample.json()), "ban_under_load": loaded.map(|sample| sample.json()),
    });
    report.line(row, figures);
}

/// One log and those who write to it.
struct Site {
    clubs: Vec<Club>,
}

impl Site {
    async fn open(url: &str, nodes: usize) -> Result<Self> {
        let mut clubs: Vec<Club> = Vec::new();
        for _ in 0..nodes {
            let store = Arc::new(Postgres::connect(url, &Options::default(), LogId::from_u128(1)).await?);
            clubs.push(match clubs.first() {
                Some(first) => first.on(store).await?,
                None => Club::found(store).await?,
            });
        }
        // Whoever is alone follows nobody; among several everybody does.
        if nodes > 1 {
            clubs[0].share_log().await?;
        }
        Ok(Self { clubs })
    }

    /// All nodes write for `span`.
    async fn load(&self, span: Duration) -> Result<Sample> {
        let share = IN_FLIGHT / self.clubs.len();
        let mut running = JoinSet::new();
        for club in self.clubs.clone() {
            running.spawn(async move { club.measure(share, span).await });
        }
        let mut samples = Vec::new();
        while let Some(sample) = running.join_next().await {
            samples.push(sample??);
        }
        let rate = samples.iter().map(|sample| sample.rate).sum();
        let worst = |figure: fn(&Sample) -> f64| samples.iter().map(figure).fold(0.0, f64::max);
        Ok(Sample { rate, p50: worst(|sample| sample.p50), p99: worst(|sample| sample.p99) })
    }

    /// From the first node to the last: while nobody else writes, and under load.
    async fn bans(&self, count: usize) -> Result<(Option<Sample>, Option<Sample>)> {
        let [first, .., last] = &self.clubs[..] else { return Ok((None, None)) };
        let quiet = first.bans(last, count).await?;
        let clubs = self.clubs.clone();
        let load = tokio::spawn(async move {
            let site = Self { clubs };
            loop {
                if let Err(error) = site.load(Duration::from_secs(1)).await {
                    return error;
                }
            }
        });
        let began = Instant::now();
        let loaded = first.bans(last, count).await?;
        if load.is_finished() {
            return Err(load.await?);
        }
        load.abort();
        eprintln!("nodes: {count} bans under load in {:?}", began.elapsed());
        Ok((Some(quiet), Some(loaded)))
    }
}
