//! Clients that never give up, for the tests of faults: what was not acknowledged is sent again under the same key.

use circolo_tests::server::{Server, Storage, binary};
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;
use std::time::Duration;
use tokio::sync::watch;

/// Commands in flight.
const IN_FLIGHT: usize = 16;
/// Longest time one request may take; a killed server answers nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause before what was refused is sent again: a client that is less patient than `Retry-After` asks for.
const PAUSE: Duration = Duration::from_millis(50);

/// All clients together.
pub struct Load {
    client: Client,
    token: String,
    group: String,
    sent: u64,
    /// Keys without an answer, to be sent again.
    open: VecDeque<u64>,
    /// What each acknowledged key created.
    acknowledged: BTreeMap<u64, String>,
    /// How many are acknowledged.
    progress: watch::Sender<usize>,
}

/// The answer, if it is one. Everything that the server says while it cannot do its work has a code and says when to come back.
async fn answer(response: Response) -> Option<Value> {
    let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
    let body: Value = response.json().await.ok()?;
    match status {
        200 | 201 => return Some(body),
        503 => assert!(retry && body["code"].is_string(), "{body}"),
        _ => panic!("{status}: {body}"),
    }
    None
}

async fn post(client: &Client, url: &str, token: &str, key: &str, body: &Value) -> Option<Value> {
    let request = client.post(url).bearer_auth(token).header("idempotency-key", key).json(body).timeout(PATIENCE);
    let answer = match request.send().await {
        Ok(response) => answer(response).await,
        Err(_) => None,
    };
    if answer.is_none() {
        tokio::time::sleep(PAUSE).await;
    }
    answer
}

impl Load {
    /// A person with a group on a server that is killed afterwards.
    pub async fn new(storage: &Storage) -> Self {
        // Nobody else here sets a provider; a second time does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server::start(storage).await;
        let (client, token) = (Client::new(), storage.token("ann", ""));
        let person = json!({ "display_name": "Ann" });
        post(&client, &format!("{}/v1/people", server.url()), &token, "person", &person).await.unwrap();
        let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
        let group = post(&client, &format!("{}/v1/groups", server.url()), &token, "group", &group).await.unwrap();
        server.kill().await;
        let group = group["id"].as_str().unwrap().to_owned();
        let (acknowledged, progress) = (BTreeMap::new(), watch::Sender::new(0));
        Self { client, token, group, sent: 0, open: VecDeque::new(), acknowledged, progress }
    }

    /// Waits for acknowledgements, also while [`Load::during`] runs.
    pub fn progress(&self) -> Progress {
        Progress(self.progress.subscribe())
    }

    /// Sends until `enough` more are acknowledged, then kills the server with the rest in flight.
    pub async fn cycle(&mut self, server: Server, enough: usize) {
        let (url, mut progress) = (server.url().to_owned(), self.progress());
        self.during(&url, async move {
            progress.more(enough).await;
            server.kill().await;
        })
        .await;
    }

    /// Sends to the server at `url` until `fault` is over, then waits for what is in flight.
    pub async fn during(&mut self, url: &str, fault: impl Future<Output = ()>) {
        let url = format!("{url}/v1/groups/{}/questions", self.group);
        let (client, token) = (self.client.clone(), self.token.clone());
        let send = |key: u64| {
            let (client, token, url) = (client.clone(), token.clone(), url.clone());
            async move { (key, post(&client, &url, &token, &format!("q{key}"), &question(key)).await) }
        };
        let mut in_flight: FuturesUnordered<_> = (0..IN_FLIGHT).map(|_| self.next()).map(send).collect();
        let (mut fault, mut over) = (std::pin::pin!(fault), false);
        loop {
            tokio::select! {
                () = &mut fault, if !over => over = true,
                answered = in_flight.next() => {
                    let Some((key, answer)) = answered else { return };
                    match answer {
                        Some(answer) => self.acknowledge(key, &answer),
                        None => self.open.push_back(key),
                    }
                    if !over {
                        in_flight.push(send(self.next()));
                    }
                }
            }
        }
    }

    /// Sends one command that must be refused.
    pub async fn attempt(&mut self, url: &str) {
        let (url, key) = (format!("{url}/v1/groups/{}/questions", self.group), self.next());
        assert_eq!(post(&self.client, &url, &self.token, &format!("q{key}"), &question(key)).await, None);
        self.open.push_back(key);
    }

    fn acknowledge(&mut self, key: u64, answer: &Value) {
        let id = answer["id"].as_str().unwrap().to_owned();
        assert!(self.acknowledged.insert(key, id).is_none(), "key {key} is acknowledged twice");
        self.progress.send_replace(self.acknowledged.len());
    }

    fn next(&mut self) -> u64 {
        self.open.pop_front().unwrap_or_else(|| {
            self.sent += 1;
            self.sent
        })
    }

    /// Sends what is left, kills the server and compares everything: what was acknowledged, the log, the read models.
    pub async fn settle(mut self, storage: &Storage, server: Server) {
        let url = format!("{}/v1/groups/{}/questions", server.url(), self.group);
        while let Some(key) = self.open.pop_front() {
            match post(&self.client, &url, &self.token, &format!("q{key}"), &question(key)).await {
                Some(answer) => self.acknowledge(key, &answer),
                None => self.open.push_back(key),
            }
        }
        let listed = self.questions(server.url()).await;
        server.kill().await;

        let posted = storage.run(&["events", "tail", "--after", "0", "--no-follow", "--type", "question.posted."]);
        let posted: Vec<Value> = posted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let name = |event: &Value| event["stream"].as_str().unwrap()["question-".len()..].to_owned();
        let in_log: BTreeSet<String> = posted.iter().map(name).collect();
        let acknowledged: BTreeSet<String> = self.acknowledged.values().cloned().collect();
        assert_eq!(acknowledged.len() as u64, self.sent, "every key led to a question of its own");
        assert_eq!(posted.len(), acknowledged.len(), "nothing happened twice");
        assert_eq!(in_log, acknowledged, "nothing acknowledged is lost");
        assert_eq!(listed, acknowledged, "the read model shows all of it");
        storage.run(&["projections", "verify", "--all"]);
    }

    /// All questions of the group, page by page.
    async fn questions(&self, server: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut after = String::new();
        loop {
            let url = format!("{server}/v1/groups/{}/questions?limit=100{after}", self.group);
            // What was a moment ago in trouble may still be behind.
            let Some(page) = answer(self.client.get(url).bearer_auth(&self.token).send().await.unwrap()).await else { continue };
            found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    }
}

fn question(key: u64) -> Value {
    json!({ "title": format!("Question {key}"), "body": "Why?" })
}

/// Sees how many commands are acknowledged.
pub struct Progress(watch::Receiver<usize>);

impl Progress {
    /// Returns when `count` more are.
    pub async fn more(&mut self, count: usize) {
        let enough = *self.0.borrow() + count;
        let come = tokio::time::timeout(PATIENCE, self.0.wait_for(|acknowledged| *acknowledged >= enough)).await;
        come.unwrap().unwrap();
    }
}

/// What `/health/ready` says: 200, or 503 with its code.
pub async fn readiness(url: &str) -> Result<(), String> {
    let response = reqwest::get(format!("{url}/health/ready")).await.unwrap();
    if response.status() == 200 {
        return Ok(());
    }
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let body: Value = response.json().await.unwrap();
    Err(format!("{}: {}", body["code"].as_str().unwrap(), body["detail"].as_str().unwrap()))
}

/// Returns when the read models are where the log is.
pub async fn all_folded(url: &str) {
    let asking = async {
        loop {
            let facts: Value = reqwest::get(format!("{url}/health/ready")).await.unwrap().json().await.unwrap();
            if facts["lag"] == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}

/// Returns when the server says that it is ready.
pub async fn ready_again(url: &str) {
    let asking = async { while readiness(url).await.is_err() {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is ready again");
}

/// Returns when the server says that it is not ready.
pub async fn ready_no_more(url: &str) -> String {
    let asking = async {
        loop {
            if let Err(reason) = readiness(url).await {
                return reason;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is not ready any more")
}

/// Returns when the server says that its log has lost events, and what to do.
pub async fn found_lost_events(url: &str) {
    let reason = loop {
        let reason = ready_no_more(url).await;
        if reason.starts_with("log_lost_events: ") {
            break reason;
        }
    };
    assert!(reason.contains("circolo projections rebuild --all"), "{reason}");
}

/// Read models that are ahead of their log keep a server from starting, until they are built anew.
pub async fn mended_by_a_rebuild(storage: &Storage) {
    let refused = Command::new(binary()).arg("serve").args(storage.arguments()).output().unwrap();
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && complaint.contains("circolo projections rebuild --all"), "{complaint}");
    storage.run(&["projections", "rebuild", "--all"]);
    let server = Server::start(storage).await;
    ready_again(server.url()).await;
    server.kill().await;
    storage.run(&["projections", "verify", "--all"]);
}
