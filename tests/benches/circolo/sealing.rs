//! What it costs that texts are sealed: the same work on a log behind its keys and on a bare one, in the same run.

use crate::{
    Arguments, Result,
    commands::club::Club,
    report::{Report, Sample, aimed, median, round},
};
use circolo::clock;
use circolo_domain::Timestamp;
use circolo_events::{
    EventStore, LogId, People, Sqlite,
    sealing::{KeyStore, Keyring, Random, SealedLog, Source, keyring, store, store::Make},
    simulate, sqlite,
    transfer::{Filter, Job, Subject, import, text},
};
use circolo_projections::{Db, Options, all, prepare};
use serde_json::json;
use std::{fs, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::Instant};

/// Commands in flight at once.
const IN_FLIGHT: usize = 64;
/// The least that is to be left of the rate without keys.
const COMMANDS: f64 = 0.93;
const REBUILD: f64 = 0.75;
const BRINGING_IN: f64 = 0.8;
/// The most bytes for one of the log without keys.
const BYTES: f64 = 1.4;

/// Whether texts are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    Bare,
    Sealed,
}

pub fn run(arguments: &Arguments) -> Result<Report> {
    let mut report = Report::new("sealing", vec!["what", "behind keys", "without", "ratio"]);
    report.fact("history", format!("{} simulated events, in SQLite", arguments.history()));
    Runtime::new()?.block_on(async {
        commands(&mut report, arguments).await?;
        history(&mut report, arguments).await
    })?;
    Ok(report)
}

/// A log in `folder`.
async fn open(folder: &Path, log: Log) -> Result<Arc<dyn EventStore>> {
    let bare: Arc<dyn EventStore> = Arc::new(Sqlite::open(&folder.join("log.sqlite"), &sqlite::Options::default(), LogId::from_u128(1))?);
    if log == Log::Bare {
        return Ok(bare);
    }
    let keys: Arc<dyn KeyStore> = Arc::new(store::Sqlite::open(&folder.join("keys.sqlite"), Make::IfMissing)?);
    let (source, random) = (Source::in_folder(folder), Random::system());
    let keys = Keyring::open(keys, source, clock::system(), random.clone(), &keyring::Options::default()).await?;
    Ok(Arc::new(SealedLog::new(bare, Arc::new(keys), random)))
}

fn line(report: &mut Report, what: &str, unit: &str, (ours, theirs): (f64, f64), ratio: f64, aim: f64, most: bool) {
    let ratio_text = if most && ratio > aim {
        format!("{ratio:.2}x MISSED (at most {aim}x)")
    } else if most {
        format!("{ratio:.2}x (at most {aim}x)")
    } else {
        aimed(ratio, Some(aim))
    };
    let cells = vec![what.to_owned(), format!("{ours:.0} {unit}"), format!("{theirs:.0} {unit}"), ratio_text];
    report.line(
        cells,
        json!({ "what": what, "unit": unit, "sealed": round(ours), "bare": round(theirs), "ratio": round(ratio), "aim": aim }),
    );
}

async fn commands(report: &mut Report, arguments: &Arguments) -> Result<()> {
    let (rounds, span) = if arguments.quick { (1, Duration::from_millis(100)) } else { (9, Duration::from_secs(1)) };
    let dirs = [tempfile::tempdir_in(&arguments.dir)?, tempfile::tempdir_in(&arguments.dir)?];
    let (sealed, bare) =
        (Club::found(open(dirs[0].path(), Log::Sealed).await?).await?, Club::found(open(dirs[1].path(), Log::Bare).await?).await?);
    for club in [&sealed, &bare] {
        // Nothing is measured cold: everybody has a key.
        club.measure(IN_FLIGHT, span / 2).await?;
    }
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..rounds {
        ours.push(sealed.measure(IN_FLIGHT, span).await?);
        theirs.push(bare.measure(IN_FLIGHT, span).await?);
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours.rate / theirs.rate).collect());
    let rates = (Sample::median(&ours).rate, Sample::median(&theirs).rate);
    line(report, &format!("commands, {IN_FLIGHT} in flight"), "/s", rates, ratio, COMMANDS, false);
    Ok(())
}

/// What was measured of a history on one of the logs, in events per second, and its bytes.
struct Measured {
    simulate: f64,
    rebuild: f64,
    import: f64,
    bytes: f64,
}

async fn history(report: &mut Report, arguments: &Arguments) -> Result<()> {
    // One after the other, and the first once more: what is warm by then is warm for both.
    let (bare, dir) = measure(arguments, Log::Bare, None).await?;
    let lines = dir.path().join("lines.ndjson");
    let (sealed, _dir) = measure(arguments, Log::Sealed, Some(&lines)).await?;
    let (again, _dir) = measure(arguments, Log::Bare, Some(&lines)).await?;
    let of = |of: fn(&Measured) -> f64| (of(&sealed), f64::midpoint(of(&bare), of(&again)));
    let (import, bare_import) = (sealed.import, again.import);
    for (what, (ours, theirs), aim) in [
        ("simulate", of(|measured| measured.simulate), BRINGING_IN),
        ("rebuild of all read models", of(|measured| measured.rebuild), REBUILD),
        ("import of NDJSON", (import, bare_import), BRINGING_IN),
    ] {
        line(report, what, "events/s", (ours, theirs), ours / theirs, aim, false);
    }
    let (ours, theirs) = of(|measured| measured.bytes);
    line(report, "size of the log", "MB", (ours / 1e6, theirs / 1e6), ours / theirs, BYTES, true);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of events and bytes are far below 2^52")]
async fn measure(arguments: &Arguments, log: Log, lines: Option<&Path>) -> Result<(Measured, TempDir)> {
    let dir = tempfile::tempdir_in(&arguments.dir)?;
    let events = arguments.history();
    let store = open(dir.path(), log).await?;
    let start = Timestamp::parse("2026-01-01T00:00:00Z").ok_or("no time")?;
    let count = |per: u64| usize::try_from(events / per + 5).unwrap_or(usize::MAX);
    let options = simulate::Options { people: count(200), groups: count(4_000), pages: count(10_000), days: 365, events, seed: 1, start };
    let began = Instant::now();
    let person = |people: &People, number: usize| people.id("circolo", &format!("person-{number}"), 0);
    simulate::simulate(&*store, options, person, |_| ()).await?;
    let rate = |began: Instant| events as f64 / began.elapsed().as_secs_f64();
    let simulated = rate(began);
    let began = Instant::now();
    let db = Db::sqlite(dir.path().join("views.sqlite")).await?;
    prepare(db, Arc::clone(&store), all(), Options::new(clock::system()), None).await?;
    let rebuilt = rate(began);
    let bytes = fs::metadata(dir.path().join("log.sqlite"))?.len() as f64;
    let mut imported = 0.0;
    match lines {
        None => {
            let subject = Subject { log: store.log_id(), filter: Filter::default(), masked: false };
            let end = store.head().await?;
            let job = Job { store: &*store, subject, end, progress: &mut |_, _| () };
            text::export(job, text::Format::Ndjson, &dir.path().join("lines.ndjson")).await?;
        }
        Some(lines) => {
            let folder = dir.path().join("imported");
            fs::create_dir(&folder)?;
            let began = Instant::now();
            import::import(&*open(&folder, log).await?, lines, |_| ()).await?;
            imported = rate(began);
        }
    }
    Ok((Measured { simulate: simulated, rebuild: rebuilt, import: imported, bytes }, dir))
}
