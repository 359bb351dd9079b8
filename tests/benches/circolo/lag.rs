//! How long it takes from the acknowledgement of a command until a query shows it, at 500 commands a second over HTTP.

use crate::{
    Arguments, Result,
    durable::on_each,
    http::{Town, client::Client, site::Site},
    report::{Report, Sample},
};
use circolo_tests::server::Server;
use hyper::StatusCode;
use serde_json::json;
use std::time::Duration;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

/// Commands per second.
const RATE: u32 = 500;
const SQLITE_AIM: f64 = 10.0;
const POSTGRES_AIM: f64 = 50.0;

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["data", "commands/s", "command p50 ms", "p99 ms", "visible after p50 ms", "p99 ms", "aim", "a plain query p50 ms"];
    let mut report = Report::new("lag", head);
    report.fact("history", format!("{} simulated events", arguments.history()));
    report.fact("visible after", "from the answer to the command to the answer to a query that waits for its position");
    on_each(&mut report, arguments, async |report, data, postgres| {
        let aim = if postgres.is_none() { SQLITE_AIM } else { POSTGRES_AIM };
        measure(report, arguments, data, postgres, aim).await
    })?;
    Ok(report)
}

/// In seconds: how long the command took, until it was visible, and a query that waited for nothing.
#[derive(Clone, Copy)]
pub struct Times(pub [f32; 3]);

async fn measure(report: &mut Report, arguments: &Arguments, data: &str, postgres: Option<&str>, aim: f64) -> Result<()> {
    let span = Duration::from_secs(if arguments.quick { 1 } else { 20 });
    let site = Site::simulate(arguments, postgres).await?;
    site.plan().await?;
    let server = Server::start(&site.storage).await;
    let town = Town::found(&site, &server).await?;
    // Until everything that is done often has been done once.
    paced(&server, &town, Duration::from_secs(1)).await?;
    let (times, elapsed) = paced(&server, &town, span).await?;
    server.kill().await;

    let [command, visible, plain] = [0, 1, 2].map(|at| Sample::new(times.iter().map(|Times(times)| times[at]).collect(), elapsed));
    let verdict = if visible.p99 < aim { format!("p99 < {aim} ms") } else { format!("MISSED (p99 < {aim} ms)") };
    let cells = vec![
        data.to_owned(),
        format!("{:.0}", command.rate),
        format!("{:.2}", command.p50),
        format!("{:.2}", command.p99),
        format!("{:.2}", visible.p50),
        format!("{:.2}", visible.p99),
        verdict,
        format!("{:.2}", plain.p50),
    ];
    let figures = json!({
        "data": data, "command": command.json(), "visible": visible.json(), "plain_query": plain.json(), "aim_p99_ms": aim,
    });
    report.line(cells, figures);
    Ok(())
}

/// Commands at their rate for `span`: each at its time, whether or not those before have been answered.
pub async fn paced(server: &Server, town: &Town, span: Duration) -> Result<(Vec<Times>, Duration)> {
    let (done, mut free) = mpsc::unbounded_channel();
    for token in &town.tokens {
        done.send((Client::connect(server.url(), token).await?, Client::connect(server.url(), token).await?))?;
    }
    let began = Instant::now();
    let mut due = interval(Duration::from_secs(1) / RATE);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    while began.elapsed() < span {
        due.tick().await;
        let (mut writer, mut reader) = free.recv().await.ok_or("all connections are gone")?;
        let (town, done) = (town.clone(), done.clone());
        running.spawn(async move {
            let sent = Instant::now();
            let (id, position) = town.ask(&mut writer).await?;
            let answered = Instant::now();
            let path = format!("/v1/questions/{id}");
            reader.get_after(&path, position).await?.expect(StatusCode::OK)?;
            let seen = Instant::now();
            reader.get_after(&path, position).await?.expect(StatusCode::OK)?;
            let times = [answered - sent, seen - answered, seen.elapsed()].map(|time| time.as_secs_f32());
            // Nobody waits for a connection any more when everything is over.
            drop(done.send((writer, reader)));
            Ok::<_, crate::Error>(Times(times))
        });
    }
    let mut times = Vec::new();
    while let Some(task) = running.join_next().await {
        times.push(task??);
    }
    Ok((times, began.elapsed()))
}
