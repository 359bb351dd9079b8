//! What analysts take home from a simulated history: one group's members as of a time, all read models as of a time beside a rebuild
//! of them, exports and an import beside only reading the log.

use crate::{
    Arguments, Result,
    durable::on_each,
    history::store,
    http::{client::Client, site::Site},
    report::{Report, Sample, round},
};
use circolo_domain::{Span, Timestamp};
use circolo_events::{EventStore, Position};
use circolo_tests::server::Server;
use hyper::StatusCode;
use serde_json::json;
use std::{fs, path::Path, time::Duration};
use tokio::time::Instant;

/// Milliseconds in which the members of one group are to be known, half of the times.
const MEMBERS_AIM: f64 = 20.0;
/// Events read at once.
const PAGE: usize = 8_000;

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["data", "what", "events", "seconds", "events/s", "MB/s", "beside"];
    let mut report = Report::new("past", head);
    report.fact("history", format!("{} simulated events; the time asked for is that of the one in the middle", arguments.history()));
    report.fact("MB", "of the file or files; of reading alone, of payloads and metadata");
    on_each(&mut report, arguments, async |report, data, postgres| Measurement { report, arguments, data }.run(postgres).await)?;
    Ok(report)
}

struct Measurement<'a> {
    report: &'a mut Report,
    arguments: &'a Arguments,
    data: &'static str,
}

/// Work that was done once.
#[derive(Clone, Copy)]
struct Done {
    events: u64,
    took: Duration,
    bytes: Option<u64>,
}

impl Done {
    #[expect(clippy::cast_precision_loss, reason = "a number of events is far below 2^52")]
    fn rate(self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

impl Measurement<'_> {
    async fn run(mut self, postgres: Option<&str>) -> Result<()> {
        let site = Site::simulate(self.arguments, postgres).await?;
        let (paths, _) = site.plan().await?;
        let log = store(&site, postgres, None).await?;
        let (middle, time) = middle(&*log).await?;
        self.members(&site, paths.group(), time).await?;

        let head = log.head().await?;
        let events = count(&*log, head).await?;
        let read = read(&*log).await?;
        self.line("only reading the log", read, None);
        drop(log);
        let rebuilt = timed(events, || site.storage.run(&["projections", "rebuild", "--all"]));
        self.line("projections rebuild --all", rebuilt, None);
        let dir = tempfile::tempdir_in(&self.arguments.dir)?;
        let out = |name: &str| dir.path().join(name).display().to_string();
        for (what, events, position) in [("as-of of the first half", events / 2, middle), ("as-of of the end", events, head)] {
            let (position, file) = (position.0.to_string(), out(&format!("{events}.db")));
            let as_of = timed(events, || site.storage.run(&["as-of", "--position", &position, "--out", &file]));
            self.line(&format!("{what}, all read models"), as_of, Some(("of rebuild --all", rebuilt)));
        }

        for (what, format, name) in [("export to NDJSON", "ndjson", "log.ndjson"), ("export to Parquet", "parquet", "log")] {
            let mut done = timed(events, || site.storage.run(&["events", "export", "--unmask", "--format", format, "--out", &out(name)]));
            done.bytes = Some(size(&dir.path().join(name))?);
            self.line(what, done, Some(("of reading", read)));
        }
        let file = out("log.ndjson");
        let copy = Site::empty(self.arguments, postgres, "copy").await?;
        let mut done = timed(events, || copy.storage.run(&["events", "import", &file]));
        done.bytes = Some(size(file.as_ref())?);
        self.line("import of NDJSON", done, Some(("of reading", read)));
        Ok(())
    }

    /// One group's members as of `time`, over HTTP: the first answer of a server, and those after it.
    async fn members(&mut self, site: &Site, group: &str, time: Timestamp) -> Result<()> {
        let server = Server::start(&site.storage).await;
        let token = site.storage.token("historian", "");
        let mut client = Client::connect(server.url(), &token).await?;
        client.post("/v1/people", r#"{"display_name":"Historian"}"#.into()).await?.expect(StatusCode::CREATED)?;
        // Another moment each time: the same one would be remembered.
        let path = |n: i64| format!("/v1/groups/{group}/members?limit=20&as_of={}", time.minus(Span::micros(n)));
        let began = Instant::now();
        let first = client.get(&path(0)).await?.json(StatusCode::OK)?;
        let first_took = began.elapsed();
        if first["items"].as_array().is_none_or(Vec::is_empty) {
            return Err(format!("nobody was in the group: {first}").into());
        }
        let (began, mut times) = (Instant::now(), Vec::new());
        for n in 1..=100 {
            let sent = Instant::now();
            client.get(&path(n)).await?.expect(StatusCode::OK)?;
            times.push(sent.elapsed().as_secs_f32());
        }
        let sample = Sample::new(times, began.elapsed());
        server.kill().await;
        let met = sample.p50 < MEMBERS_AIM;
        let told = format!("p50 {:.1} ms, p99 {:.1} ms, the first {:.0} ms", sample.p50, sample.p99, first_took.as_secs_f64() * 1e3);
        let verdict = if met { format!("< {MEMBERS_AIM} ms") } else { format!("MISSED (< {MEMBERS_AIM} ms)") };
        let cells = [self.data, "GET a group's members as of then", "", "", "", "", &format!("{told}; {verdict}")];
        let first = round(first_took.as_secs_f64() * 1e3);
        let figures =
            json!({ "data": self.data, "what": "members", "times": sample.json(), "first_ms": first, "aim_ms": MEMBERS_AIM, "met": met });
        self.report.line(cells.map(str::to_owned).to_vec(), figures);
        Ok(())
    }

    fn line(&mut self, what: &str, done: Done, beside: Option<(&str, Done)>) {
        #[expect(clippy::cast_precision_loss, reason = "a number of bytes is far below 2^52")]
        let megabytes = done.bytes.map(|bytes| bytes as f64 / 1e6 / done.took.as_secs_f64());
        let ratio = beside.map(|(of, other)| (of, done.rate() / other.rate()));
        let cells = vec![
            self.data.to_owned(),
            what.to_owned(),
            done.events.to_string(),
            format!("{:.1}", done.took.as_secs_f64()),
            format!("{:.0}", done.rate()),
            megabytes.map_or_else(String::new, |rate| format!("{rate:.0}")),
            ratio.map_or_else(String::new, |(of, ratio)| format!("{ratio:.2}x {of}")),
        ];
        let figures = json!({
            "data": self.data, "what": what, "events": done.events, "seconds": round(done.took.as_secs_f64()), "events_per_second": done.rate().round(),
            "mb_per_second": megabytes.map(f64::round), "ratio": ratio.map(|(_, ratio)| round(ratio)), "of": ratio.map(|(of, _)| of),
        });
        self.report.line(cells, figures);
    }
}

fn timed<T>(events: u64, work: impl FnOnce() -> T) -> Done {
    let began = Instant::now();
    work();
    Done { events, took: began.elapsed(), bytes: None }
}

/// The event in the middle of `log`: its position and its time.
async fn middle(log: &dyn EventStore) -> Result<(Position, Timestamp)> {
    let half = Position(log.head().await?.0 / 2);
    let page = log.read_all(half, 1).await?;
    let event = page.events.first().ok_or("the log is empty")?;
    Ok((event.position, event.event.recorded_at))
}

/// How many events there are up to `until`.
async fn count(log: &dyn EventStore, until: Position) -> Result<u64> {
    let (mut events, mut after) = (0, Position::START);
    while after < until {
        let page = log.read_all(after, PAGE).await?;
        events += page.events.len() as u64;
        after = page.scanned;
    }
    Ok(events)
}

/// Reads the whole log and nothing else.
async fn read(log: &dyn EventStore) -> Result<Done> {
    let (began, mut events, mut bytes, mut after) = (Instant::now(), 0, 0, Position::START);
    loop {
        let page = log.read_all(after, PAGE).await?;
        if page.events.is_empty() {
            return Ok(Done { events, took: began.elapsed(), bytes: Some(bytes) });
        }
        events += page.events.len() as u64;
        bytes += page.events.iter().map(|stored| (stored.event.data.len() + stored.event.metadata.len()) as u64).sum::<u64>();
        after = page.scanned;
    }
}

/// Bytes of a file, or of the files in a folder.
fn size(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}
