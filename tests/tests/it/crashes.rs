//! `kill -9` under load, again and again: every acknowledged command is there exactly once, and the read models agree with the log.

use circolo_tests::{
    postgres::fresh_schema,
    server::{Server, Storage},
};
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How often the server is killed.
const CYCLES: u64 = 20;
/// Commands in flight.
const IN_FLIGHT: usize = 16;
/// Longest time one request may take; a killed server answers nothing.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_command_is_lost_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    crash(Storage { folder: folder.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_command_is_lost_on_postgres() {
    let Some(url) = fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    crash(Storage { folder: folder.path().join("data"), database: Some(url) }).await;
}

/// A client that never gives up: what was not acknowledged is sent again under the same key.
struct Load {
    client: Client,
    token: String,
    group: String,
    sent: u64,
    /// Keys without an answer, to be sent again.
    open: VecDeque<u64>,
    /// What each acknowledged key created.
    acknowledged: BTreeMap<u64, String>,
}

async fn post(client: &Client, url: &str, token: &str, key: &str, body: &Value) -> Option<Value> {
    let request = client.post(url).bearer_auth(token).header("idempotency-key", key).json(body).timeout(PATIENCE);
    let response = request.send().await.ok()?;
    let status = response.status();
    let answer: Value = response.json().await.ok()?;
    match status.as_u16() {
        200 | 201 => Some(answer),
        503 => None,
        _ => panic!("{status}: {answer}"),
    }
}

impl Load {
    async fn new(storage: &Storage) -> Self {
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
        Self { client, token, group, sent: 0, open: VecDeque::new(), acknowledged: BTreeMap::new() }
    }

    /// Sends until `enough` more are acknowledged, then kills the server with the rest in flight.
    async fn cycle(&mut self, server: Server, enough: usize) {
        let url = format!("{}/v1/groups/{}/questions", server.url(), self.group);
        let (client, token) = (self.client.clone(), self.token.clone());
        let send = |key: u64| {
            let (client, token, url) = (client.clone(), token.clone(), url.clone());
            async move {
                let body = json!({ "title": format!("Question {key}"), "body": "Why?" });
                (key, post(&client, &url, &token, &format!("q{key}"), &body).await)
            }
        };
        let mut in_flight: FuturesUnordered<_> = (0..IN_FLIGHT).map(|_| self.next()).map(send).collect();
        let mut acknowledged = 0;
        let mut server = Some(server);
        while let Some((key, answer)) = in_flight.next().await {
            match answer {
                Some(answer) => {
                    let id = answer["id"].as_str().unwrap().to_owned();
                    assert!(self.acknowledged.insert(key, id).is_none(), "key {key} is acknowledged twice");
                    acknowledged += 1;
                }
                None => self.open.push_back(key),
            }
            if acknowledged >= enough
                && let Some(server) = server.take()
            {
                server.kill().await;
            }
            if server.is_some() {
                in_flight.push(send(self.next()));
            }
        }
    }

    fn next(&mut self) -> u64 {
        self.open.pop_front().unwrap_or_else(|| {
            self.sent += 1;
            self.sent
        })
    }
}

async fn crash(storage: Storage) {
    let mut load = Load::new(&storage).await;
    for cycle in 0..CYCLES {
        let server = Server::start(&storage).await;
        // From the very first moments to a few dozen commands later.
        load.cycle(server, usize::try_from(cycle * 37 % 61 + 1).unwrap()).await;
    }
    let server = Server::start(&storage).await;
    while let Some(key) = load.open.pop_front() {
        load.open.push_front(key);
        let before = load.acknowledged.len();
        let url = format!("{}/v1/groups/{}/questions", server.url(), load.group);
        let body = json!({ "title": format!("Question {key}"), "body": "Why?" });
        let answer = post(&load.client, &url, &load.token, &format!("q{key}"), &body).await.unwrap();
        load.acknowledged.insert(key, answer["id"].as_str().unwrap().to_owned());
        assert_eq!(load.acknowledged.len(), before + 1);
        load.open.pop_front();
    }
    let listed = questions(&load, server.url()).await;
    server.kill().await;

    let posted = storage.run(&["events", "tail", "--after", "0", "--no-follow", "--type", "question.posted."]);
    let posted: Vec<Value> = posted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let in_log: BTreeSet<String> = posted.iter().map(|event| event["stream"].as_str().unwrap()["question-".len()..].to_owned()).collect();
    let acknowledged: BTreeSet<String> = load.acknowledged.values().cloned().collect();
    assert_eq!(acknowledged.len() as u64, load.sent, "every key led to a question of its own");
    assert_eq!(posted.len(), acknowledged.len(), "nothing happened twice");
    assert_eq!(in_log, acknowledged, "nothing acknowledged is lost");
    assert_eq!(listed, acknowledged, "the read model shows all of it");
    storage.run(&["projections", "verify", "--all"]);
}

/// All questions of the group, page by page.
async fn questions(load: &Load, server: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut after = String::new();
    loop {
        let url = format!("{server}/v1/groups/{}/questions?limit=100{after}", load.group);
        let page: Value = load.client.get(url).bearer_auth(&load.token).send().await.unwrap().json().await.unwrap();
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}
