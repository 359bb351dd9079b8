//! A person's own feed over a million things: for who is in 300 groups and for who is in five quiet ones, beside the feed of one group.

use crate::{
    Arguments, Result,
    durable::{on_each, schema},
    report::{Report, Sample, round},
};
use circolo_domain::access::Key;
use circolo_projections::{Db, feeds};
use circolo_tests::million::{self, BUSY, ITEMS, key};
use serde_json::json;
use std::ops::RangeInclusive;
use tokio::time::Instant;

/// Milliseconds in which a page is to be found, half of the times.
const AIM: f64 = 5.0;
/// Twenty things, and one to know whether there are more.
const PAGE: i64 = 21;

pub fn run(arguments: &Arguments) -> Result<Report> {
    let mut report = Report::new("home", vec!["data", "what", "p50 ms", "p99 ms", "beside one group's", "aim"]);
    report.fact("feeds", format!("{ITEMS} things of 2,000 groups, half of them in one; pages of 20, one after the other"));
    on_each(&mut report, arguments, async |report, data, postgres| {
        let dir = tempfile::tempdir_in(&arguments.dir)?;
        let db = match postgres {
            None => million::on_sqlite(million::feeds(), dir.path()).await,
            Some(url) => million::on_postgres(million::feeds(), &schema(url, "home").await?).await,
        };
        measure(report, data, &db, if arguments.quick { 10 } else { 1_000 }).await
    })?;
    Ok(report)
}

async fn measure(report: &mut Report, data: &str, db: &Db, times: usize) -> Result<()> {
    let one = pages(db, BUSY..=BUSY, None, times).await?;
    for (what, groups, before) in
        [("300 groups", 1..=300, None), ("300 groups, deep", 1..=300, Some(ITEMS / 2)), ("five quiet groups", 1..=5, None)]
    {
        let sample = pages(db, groups, before, times).await?;
        let (ratio, met) = (sample.p50 / one.p50, sample.p50 < AIM);
        let verdict = if met { format!("< {AIM} ms") } else { format!("MISSED (< {AIM} ms)") };
        let mut cells = vec![data.to_owned(), what.to_owned()];
        cells.extend([format!("{:.2}", sample.p50), format!("{:.2}", sample.p99), format!("{ratio:.1}x of {:.2} ms", one.p50), verdict]);
        let figures = json!({
            "data": data, "what": what, "times": sample.json(), "one_group": one.json(), "ratio": round(ratio), "aim_ms": AIM, "met": met,
        });
        report.line(cells, figures);
    }
    Ok(())
}

async fn pages(db: &Db, groups: RangeInclusive<i64>, before: Option<i64>, times: usize) -> Result<Sample> {
    let keys: Vec<Key> = groups.map(key).collect();
    let (began, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < times {
        let sent = Instant::now();
        let found = feeds::newest(db, &keys, before, PAGE).await?;
        taken.push(sent.elapsed().as_secs_f32());
        if found.is_empty() {
            return Err("the feed is empty".into());
        }
    }
    Ok(Sample::new(taken, began.elapsed()))
}
