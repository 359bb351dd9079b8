//! What a rebuild of all read models costs those who use the server meanwhile, at 500 commands a second.

use crate::{
    Arguments, Result,
    durable::on_each,
    http::{Town, site::Site},
    lag::{self, Times},
    report::{Report, Sample, round},
};
use circolo_tests::server::{self, Server};
use serde_json::json;
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// So many times what it is without a rebuild may the slowest hundredth take.
const AIM: f64 = 2.0;
/// After so long it is asked whether the rebuild has ended.
const STRETCH: Duration = Duration::from_secs(1);

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["data", "what", "p50 ms", "p99 ms", "during a rebuild p50 ms", "p99 ms", "p99 ratio"];
    let mut report = Report::new("under_load", head);
    report.fact("history", format!("{} simulated events", arguments.history()));
    report.fact("load", "500 questions a second over HTTP, each read twice; then the same until `projections rebuild --all` ends");
    on_each(&mut report, arguments, async |report, data, postgres| measure(report, arguments, data, postgres).await)?;
    Ok(report)
}

async fn measure(report: &mut Report, arguments: &Arguments, data: &str, postgres: Option<&str>) -> Result<()> {
    let span = Duration::from_secs(if arguments.quick { 1 } else { 20 });
    let site = Site::simulate(arguments, postgres).await?;
    site.plan().await?;
    let server = Server::start(&site.storage).await;
    let town = Town::found(&site, &server).await?;
    lag::paced(&server, &town, Duration::from_secs(1)).await?;
    let alone = lag::paced(&server, &town, span).await?;

    let token = site.storage.token("operator", "operator");
    let mut rebuild = Command::new(server::binary());
    rebuild.args(["projections", "rebuild", "--all", "--url", server.url(), "--token", &token]);
    let mut rebuild = rebuild.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // All of it: what it does at its end, such as making indexes, is not what it does first.
    let mut beside = (Vec::new(), Duration::ZERO);
    while rebuild.try_wait()?.is_none() {
        let (times, took) = lag::paced(&server, &town, STRETCH).await?;
        beside = (beside.0.into_iter().chain(times).collect(), beside.1 + took);
    }
    server.kill().await;
    report.fact(data, format!("the rebuild took {:.0} s", beside.1.as_secs_f64()));

    for (at, what) in ["command", "query of what was just written", "query"].into_iter().enumerate() {
        let sample =
            |(times, elapsed): &(Vec<Times>, Duration)| Sample::new(times.iter().map(|Times(times)| times[at]).collect(), *elapsed);
        let (alone, beside) = (sample(&alone), sample(&beside));
        let ratio = beside.p99 / alone.p99;
        let verdict = if ratio <= AIM { format!("{ratio:.2}x (<= {AIM}x)") } else { format!("{ratio:.2}x MISSED (<= {AIM}x)") };
        let mut cells = vec![data.to_owned(), what.to_owned()];
        cells.extend([alone.p50, alone.p99, beside.p50, beside.p99].map(|figure| format!("{figure:.2}")));
        cells.push(verdict);
        let figures =
            json!({ "data": data, "what": what, "alone": alone.json(), "beside": beside.json(), "p99_ratio": round(ratio), "aim": AIM });
        report.line(cells, figures);
    }
    Ok(())
}
