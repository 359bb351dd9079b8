//! Requests per second over HTTP, of the real server as a process of its own: commands beside a bare handler of the same framework
//! that parses the same JSON and answers at once; a feed page, a question and a catalogue beside a bare handler that runs the same
//! statements through the fastest driver. Client and server share the machine's cores.

pub mod bare;
pub mod client;
pub mod site;

use crate::{
    Arguments, Result,
    durable::on_each,
    report::{Report, Sample, aimed, median, round},
};
use bare::Plan;
use circolo_tests::server::Server;
use client::Client;
use hyper::{StatusCode, body::Bytes};
use serde_json::{Value, json};
use site::Site;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Requests in flight at once.
const IN_FLIGHT: usize = 64;
const COMMANDS_AIM: f64 = 0.25;
const QUERIES_AIM: f64 = 0.7;
/// What the handler of commands is sent, about 300 bytes.
const QUESTION: &str = r#"{"title":"Which way to the hut?","body":"Take the path behind the church, past the two farms, and do not cross the river before the second bridge: the first is closed until May, and the ford beside it is deeper than it looks. Is there any other way for somebody who is afraid of heights?"}"#;

pub fn run(arguments: &Arguments) -> Result<Report> {
    let head = vec!["data", "what", "requests/s", "p50 ms", "p99 ms", "bare handler/s", "ratio", "behind after"];
    let mut report = Report::new("http", head);
    report.fact("client", format!("{IN_FLIGHT} connections, each one request after the other, on the same cores as the server"));
    report.fact("history", format!("{} simulated events", arguments.history()));
    report.fact("behind after", "events that the read models have not seen when the last command is answered");
    on_each(&mut report, arguments, async |report, data, postgres| measure(report, arguments, data, postgres).await)?;
    Ok(report)
}

async fn measure(report: &mut Report, arguments: &Arguments, data: &str, postgres: Option<&str>) -> Result<()> {
    let (rounds, span) = if arguments.quick { (1, Duration::from_millis(300)) } else { (5, Duration::from_secs(3)) };
    let site = Site::simulate(arguments, postgres).await?;
    let (paths, plan) = site.plan().await?;
    let server = Server::start(&site.storage).await;
    let bare = BareServer::start(&plan)?;
    let operator = site.storage.token("operator", "operator");
    let mut operator = Client::connect(server.url(), &operator).await?;
    let town = Town::found(&site, &server).await?;

    let mut samples = Pairs::default();
    let mut behind = Vec::new();
    for _ in 0..rounds {
        samples.bare.push(load(&bare.url, &[String::new()], span, &Work::Post("/command".into(), StatusCode::OK)).await?);
        let post = Work::Post(format!("/v1/groups/{}/questions", town.group), StatusCode::CREATED);
        samples.ours.push(load(server.url(), &town.tokens, span, &post).await?);
        behind.push(backlog(&mut operator).await?);
        caught_up(&mut operator).await?;
    }
    samples.report(report, data, "commands", COMMANDS_AIM, Some(median(behind)));
    for (name, path) in paths.all() {
        let mut samples = Pairs::default();
        for _ in 0..rounds {
            samples.bare.push(load(&bare.url, &[String::new()], span, &Work::Get(format!("/{name}"))).await?);
            samples.ours.push(load(server.url(), &town.tokens, span, &Work::Get(path.clone())).await?);
        }
        samples.report(report, data, &format!("GET {name}"), QUERIES_AIM, None);
    }
    server.kill().await;
    Ok(())
}

/// A group of its own, with as many members as there are connections.
#[derive(Clone)]
pub struct Town {
    pub group: String,
    pub tokens: Vec<String>,
}

impl Town {
    pub async fn found(site: &Site, server: &Server) -> Result<Self> {
        let tokens: Vec<String> = (0..IN_FLIGHT).map(|n| site.storage.token(&format!("townsman-{n}"), "")).collect();
        let mut group = String::new();
        for token in &tokens {
            let mut client = Client::connect(server.url(), token).await?;
            client.post("/v1/people", Bytes::from_static(br#"{"display_name":"Ann"}"#)).await?.expect(StatusCode::CREATED)?;
            if group.is_empty() {
                let body = Bytes::from_static(br#"{"name":"Town","privacy":"public","membership":"open"}"#);
                let created = client.post("/v1/groups", body).await?.json(StatusCode::CREATED)?;
                created["id"].as_str().ok_or("the group has no id")?.clone_into(&mut group);
            } else {
                client.post(&format!("/v1/groups/{group}/join"), Bytes::new()).await?.expect(StatusCode::OK)?;
            }
        }
        Ok(Self { group, tokens })
    }

    /// A question, sent by `client`; its id and its position.
    pub async fn ask(&self, client: &mut Client) -> Result<(String, i64)> {
        let path = format!("/v1/groups/{}/questions", self.group);
        let answer = client.post(&path, Bytes::from_static(QUESTION.as_bytes())).await?.json(StatusCode::CREATED)?;
        let id = answer["id"].as_str().ok_or("the question has no id")?;
        Ok((id.to_owned(), answer["position"].as_i64().ok_or("the question has no position")?))
    }
}

/// What each connection does again and again.
#[derive(Clone)]
enum Work {
    Get(String),
    /// A question, and the status that is due.
    Post(String, StatusCode),
}

/// Keeps so many requests in flight for `span`.
async fn load(url: &str, tokens: &[String], span: Duration, work: &Work) -> Result<Sample> {
    let mut clients = Vec::new();
    for n in 0..IN_FLIGHT {
        clients.push(Client::connect(url, &tokens[n % tokens.len()]).await?);
    }
    let (began, work) = (Instant::now(), Arc::new(work.clone()));
    let mut running = JoinSet::new();
    for mut client in clients {
        let work = Arc::clone(&work);
        running.spawn(async move {
            let mut times = Vec::with_capacity(4_096);
            while began.elapsed() < span {
                let sent = Instant::now();
                match &*work {
                    Work::Get(path) => client.get(path).await?.expect(StatusCode::OK)?,
                    Work::Post(path, due) => client.post(path, Bytes::from_static(QUESTION.as_bytes())).await?.expect(*due)?,
                };
                times.push(sent.elapsed().as_secs_f32());
            }
            Ok::<_, crate::Error>(times)
        });
    }
    Sample::of(running, began).await
}

/// How many events the read models have still to see.
async fn backlog(operator: &mut Client) -> Result<f64> {
    let status = operator.get("/v1/operator/projections").await?.json(StatusCode::OK)?;
    let lags = status["items"].as_array().into_iter().flatten();
    lags.filter(|item| item["state"] == "live")
        .filter_map(|item| item["lag_events"].as_f64())
        .reduce(f64::max)
        .ok_or_else(|| format!("no projection says how far behind it is: {status}").into())
}

/// Waits until they have.
pub async fn caught_up(operator: &mut Client) -> Result<()> {
    while backlog(operator).await? > 0.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Samples of both servers, round by round.
#[derive(Default)]
struct Pairs {
    bare: Vec<Sample>,
    ours: Vec<Sample>,
}

impl Pairs {
    fn report(&self, report: &mut Report, data: &str, what: &str, aim: f64, behind: Option<f64>) {
        let ratio = median(self.ours.iter().zip(&self.bare).map(|(ours, bare)| ours.rate / bare.rate).collect());
        let (ours, bare) = (Sample::median(&self.ours), Sample::median(&self.bare));
        let cells = vec![
            data.to_owned(),
            what.to_owned(),
            format!("{:.0}", ours.rate),
            format!("{:.2}", ours.p50),
            format!("{:.2}", ours.p99),
            format!("{:.0}", bare.rate),
            aimed(ratio, Some(aim)),
            behind.map_or_else(String::new, |events| format!("{events:.0}")),
        ];
        let figures = json!({
            "data": data, "what": what, "ours": ours.json(), "bare": bare.json(), "ratio": round(ratio), "aim": aim, "behind": behind,
        });
        report.line(cells, figures);
    }
}

/// The bare server; killed when dropped.
struct BareServer {
    child: Child,
    url: String,
}

impl BareServer {
    fn start(plan: &Plan) -> Result<Self> {
        let task = json!({ "bare": plan.to_json() });
        let mut child = Command::new(std::env::current_exe()?).arg("--task").arg(task.to_string()).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        BufReader::new(child.stdout.take().ok_or("no standard output")?).read_line(&mut url)?;
        Ok(Self { child, url: url.trim().to_owned() })
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// What the child process does.
pub fn run_task(task: &Value) -> Result<()> {
    bare::serve(&task["bare"])
}
