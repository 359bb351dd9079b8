//! Commands and reads through the adapter of KurrentDB, beside the bare client that it is built on, both against the double: what the
//! adapter adds. The double keeps everything in memory, so the figures say nothing of a server.
//!
//! The client does not set `TCP_NODELAY`: a call that the other side does not answer at once can wait some 40 ms for its delayed
//! acknowledgement. The double answers one call at a time at once; with several, the slowest hundredth shows the wait.

use crate::{
    Arguments, Result,
    commands::club::Club,
    report::{Report, Sample, aimed, median, round},
};
use circolo::clock;
use circolo_events::{EventStore, KurrentDb, LogId, Position, kurrentdb::Options};
use circolo_tests::kurrent::Double;
use kurrentdb::{AppendToStreamOptions, Client, EventData, ReadAllOptions, StreamState};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Runtime, task::JoinSet, time::Instant};

/// Commands on their way at once; the adapter itself sends 64 appends at once.
const IN_FLIGHT: [usize; 3] = [1, 16, 64];
/// Events read at once.
const PAGE: usize = 1_000;
/// Events read in all, from the beginning of the log.
const READ: usize = 20_000;

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["what", "in flight", "adapter/s", "p50 ms", "p99 ms", "bare client/s", "p50 ms", "ratio"];
    let mut report = Report::new("kurrent", head);
    report.fact("KurrentDB", "a double of its protocol in this process, which keeps everything in memory");
    report.fact("p99", "the client leaves out TCP_NODELAY: some calls wait 44 ms for a delayed acknowledgement");
    Runtime::new()?.block_on(measure(&mut report, arguments))?;
    Ok(report)
}

async fn measure(report: &mut Report, arguments: &Arguments) -> Result<()> {
    let (rounds, span) = if arguments.quick { (1, Duration::from_millis(200)) } else { (5, Duration::from_secs(2)) };
    let double = Double::start().await;
    let store: Arc<dyn EventStore> = Arc::new(KurrentDb::connect(&double.url(), &Options::default(), LogId::from_u128(1)).await?);
    let club = Club::found(Arc::clone(&store)).await?;
    let other = Double::start().await;
    let client = Client::new(other.url().parse()?)?;
    // An event of the club's, as the bare client sends it.
    let page = store.read_all(Position::START, PAGE).await?;
    let event = page.events.into_iter().next_back().ok_or("the club wrote nothing")?.event;
    let content = Content { event_type: event.event_type, data: serde_json::from_str(&event.data)? };
    for in_flight in IN_FLIGHT {
        if !arguments.wants(&format!("KurrentDB/{in_flight}")) {
            continue;
        }
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(appends(&client, &content, in_flight, span).await?);
            ours.push(club.measure(in_flight, span).await?);
        }
        line(report, "commands", Some(in_flight), &ours, &bare);
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(read_bare(&Client::new(double.url().parse()?)?).await?);
        ours.push(read(&*store).await?);
    }
    line(report, "events read", None, &ours, &bare);
    Ok(())
}

fn line(report: &mut Report, what: &str, in_flight: Option<usize>, ours: &[Sample], bare: &[Sample]) {
    let ratio = median(ours.iter().zip(bare).map(|(ours, bare)| ours.rate / bare.rate).collect());
    let (ours, bare) = (Sample::median(ours), Sample::median(bare));
    let cells = vec![
        what.to_owned(),
        in_flight.map_or_else(String::new, |count| count.to_string()),
        format!("{:.0}", ours.rate),
        format!("{:.2}", ours.p50),
        format!("{:.2}", ours.p99),
        format!("{:.0}", bare.rate),
        format!("{:.2}", bare.p50),
        aimed(ratio, None),
    ];
    report.line(cells, json!({ "what": what, "in_flight": in_flight, "adapter": ours.json(), "bare": bare.json(), "ratio": round(ratio) }));
}

/// What the bare client appends.
#[derive(Clone)]
struct Content {
    event_type: String,
    data: Value,
}

/// One event per call, each to a stream of its own, `in_flight` calls at once.
async fn appends(client: &Client, content: &Content, in_flight: usize, span: Duration) -> Result<Sample> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..in_flight {
        let (client, content, ids) = (client.clone(), content.clone(), clock::fresh_ids());
        running.spawn(async move {
            let options = AppendToStreamOptions::default().stream_state(StreamState::NoStream);
            let mut times = Vec::new();
            while began.elapsed() < span {
                let sent = Instant::now();
                let event = EventData::json(&content.event_type, &content.data)?;
                client.append_to_stream(format!("bare-{}", ids()), &options, event).await?;
                times.push(sent.elapsed().as_secs_f32());
            }
            Ok::<_, crate::Error>(times)
        });
    }
    Sample::of(running, began).await
}

/// The log through the adapter, page by page.
async fn read(store: &dyn EventStore) -> Result<Sample> {
    let (began, mut after, mut events) = (Instant::now(), Position::START, 0);
    loop {
        let page = store.read_all(after, PAGE).await?;
        events += page.events.len();
        after = page.scanned;
        if page.events.is_empty() || events >= READ {
            return Ok(per_second(events, began.elapsed()));
        }
    }
}

/// As many records in one call of the client.
async fn read_bare(client: &Client) -> Result<Sample> {
    let began = Instant::now();
    let mut stream = client.read_all(&ReadAllOptions::default().max_count(READ)).await?;
    let mut events = 0;
    while stream.next().await?.is_some() {
        events += 1;
    }
    Ok(per_second(events, began.elapsed()))
}

fn per_second(events: usize, took: Duration) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "a number of events is far below 2^52")]
    let rate = events as f64 / took.as_secs_f64();
    Sample { rate, ..Sample::default() }
}
