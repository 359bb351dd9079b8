//! Several servers on one log and one database of read models, as real processes: load on all of them, one killed, one stopped and
//! continued, what one wrote read on another; and what is refused.

use circolo_tests::{
    postgres::{fresh_schema, shared_by_nodes},
    server::{Server, Storage, binary},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take until another node moves the read models.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Nodes that share their data, and somebody who speaks to them.
struct Nodes {
    storage: Storage,
    client: Client,
    token: String,
    operator: String,
    _folder: TempDir,
}

/// An answer that came.
struct Answer {
    status: StatusCode,
    position: Option<String>,
    body: Value,
}

impl Nodes {
    /// The first of them runs, and Ann has founded a group.
    async fn found() -> Option<(Self, Server, String)> {
        let url = shared_by_nodes().await?;
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage { folder: folder.path().join("data"), database: Some(url) };
        let arguments = storage.arguments();
        Some(Self::found_on(folder, storage, &arguments).await)
    }

    async fn found_on(folder: TempDir, storage: Storage, arguments: &[String]) -> (Self, Server, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let first = Server::start_on(binary(), arguments).await;
        let (token, operator) = (storage.token("ann", ""), storage.token("otto", "operator"));
        let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let nodes = Self { storage, client, token, operator, _folder: folder };
        nodes.created(&first, "/v1/people", "person", json!({ "display_name": "Ann" })).await;
        let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
        let group = nodes.created(&first, "/v1/groups", "group", group).await;
        (nodes, first, format!("/v1/groups/{}", group.body["id"].as_str().unwrap()))
    }

    /// What came, if something came.
    async fn post(&self, server: &str, path: &str, token: &str, key: &str, body: &Value) -> Option<Answer> {
        let request = self.client.post(format!("{server}{path}")).bearer_auth(token).header("idempotency-key", key);
        let response = if body.is_null() { request } else { request.json(body) }.send().await.ok()?;
        let position = response.headers().get("circolo-position").map(|value| value.to_str().unwrap().to_owned());
        Some(Answer { status: response.status(), position, body: response.json().await.ok()? })
    }

    async fn created(&self, server: &Server, path: &str, key: &str, body: Value) -> Answer {
        let answer = self.post(server.url(), path, &self.token, key, &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer
    }

    async fn get(&self, server: &Server, path: &str, position: Option<&str>) -> (StatusCode, Value) {
        let mut request = self.client.get(format!("{}{path}", server.url())).bearer_auth(&self.token);
        if let Some(position) = position {
            request = request.header("circolo-min-position", position);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn leads(&self, server: &Server) -> bool {
        self.get(server, "/health/ready", None).await.1["leads"] == true
    }

    /// Which of them leads, and how long it took until one did.
    async fn leader(&self, servers: &[Server]) -> (usize, Duration) {
        let began = Instant::now();
        let looking = async {
            loop {
                for (number, server) in servers.iter().enumerate() {
                    if self.leads(server).await {
                        return number;
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        (timeout(PATIENCE, looking).await.unwrap(), began.elapsed())
    }

    /// Asks `server` to fold everything once more and to compare; it may have to ask another node.
    fn verify(&self, server: &Server) {
        let verify = ["projections", "verify", "--all", "--url", server.url(), "--token", &self.operator];
        let output = Command::new(binary()).args(verify).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}

/// Clients that never give up: what was not acknowledged is sent again, to the next node, under the same key.
struct Load {
    nodes: Arc<Nodes>,
    urls: Vec<String>,
    group: String,
    next: AtomicU64,
    over: AtomicBool,
    acknowledged: Mutex<BTreeMap<u64, String>>,
}

impl Load {
    async fn work(&self, worker: usize) {
        while !self.over.load(Ordering::SeqCst) {
            let key = self.next.fetch_add(1, Ordering::SeqCst);
            let mut at = worker;
            loop {
                let body = json!({ "title": format!("Question {key}"), "body": "Why?" });
                let (url, path) = (&self.urls[at % self.urls.len()], format!("{}/questions", self.group));
                match self.nodes.post(url, &path, &self.nodes.token, &format!("q{key}"), &body).await {
                    Some(answer) if answer.status.is_success() => {
                        let id = answer.body["id"].as_str().unwrap().to_owned();
                        assert!(self.acknowledged.lock().await.insert(key, id).is_none());
                        break;
                    }
                    Some(answer) => assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body),
                    None => {}
                }
                at += 1;
            }
        }
    }

    async fn done(&self) -> usize {
        self.acknowledged.lock().await.len()
    }

    /// Waits until so many more are acknowledged.
    async fn more(&self, count: usize) {
        let wanted = self.done().await + count;
        let waiting = async {
            while self.done().await < wanted {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_nodes_the_one_that_projects_is_killed() {
    let Some((nodes, first, group)) = Nodes::found().await else { return };
    let mut servers = vec![first, Server::start(&nodes.storage).await, Server::start(&nodes.storage).await];
    let nodes = Arc::new(nodes);
    let urls = servers.iter().map(|server| server.url().to_owned()).collect();
    let load = Arc::new(Load {
        nodes: nodes.clone(),
        urls,
        group: group.clone(),
        next: AtomicU64::new(0),
        over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
    });
    let workers: Vec<_> = (0..9)
        .map(|worker| {
            let load = load.clone();
            tokio::spawn(async move { load.work(worker).await })
        })
        .collect();
    load.more(100).await;
    let (leader, _) = nodes.leader(&servers).await;
    servers.remove(leader).kill().await;
    let (leader, took) = nodes.leader(&servers).await;
    eprintln!("another node leads after {took:?}");
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    load.more(100).await;
    load.over.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }

    // Each node shows everything, whoever of them moves the read models.
    let last = nodes.created(&servers[0], &format!("{group}/questions"), "last", json!({ "title": "The last", "body": "?" })).await;
    let mut acknowledged: BTreeSet<String> = load.acknowledged.lock().await.values().cloned().collect();
    acknowledged.insert(last.body["id"].as_str().unwrap().to_owned());
    for server in &servers {
        let (mut listed, mut after) = (BTreeSet::new(), String::new());
        loop {
            let (status, page) = nodes.get(server, &format!("{group}/questions?limit=100{after}"), last.position.as_deref()).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            listed.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(listed, acknowledged);
    }
    let posted = nodes.storage.run(&["events", "tail", "--after", "0", "--no-follow", "--type", "question.posted."]);
    assert_eq!(posted.lines().count(), acknowledged.len(), "nothing happened twice");
    // An operator may ask any of them.
    nodes.verify(&servers[1 - leader]);
    for server in servers {
        server.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_stopped_past_its_lease_writes_nothing_more() {
    let Some((nodes, first, group)) = Nodes::found().await else { return };
    let second = Server::start(&nodes.storage).await;
    let path = format!("{group}/questions");
    assert!(nodes.leads(&first).await);
    for number in 0..20 {
        nodes.created(&first, &path, &format!("before-{number}"), json!({ "title": "Before", "body": "?" })).await;
    }
    first.signal("STOP");
    let servers = [second];
    let (_, took) = nodes.leader(&servers).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    for number in 0..20 {
        nodes.created(&servers[0], &path, &format!("after-{number}"), json!({ "title": "After", "body": "?" })).await;
    }
    first.signal("CONT");
    // It serves again, from what the other one writes, and both know of each other's writes.
    let last = nodes.created(&first, &path, "last", json!({ "title": "The last", "body": "?" })).await;
    for server in [&first, &servers[0]] {
        let (status, page) = nodes.get(server, &format!("{path}?limit=100"), last.position.as_deref()).await;
        assert_eq!((status, page["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(41)));
    }
    let noticed = async {
        while nodes.leads(&first).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, noticed).await.unwrap();
    assert!(nodes.leads(&servers[0]).await);
    nodes.verify(&first);

    // Told to stop, the one that leads lets go at once.
    let [second] = servers;
    second.stop().await;
    let (_, took) = nodes.leader(std::slice::from_ref(&first)).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    nodes.verify(&first);
    first.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_wrote_is_read_on_another() {
    let Some((nodes, first, group)) = Nodes::found().await else { return };
    let second = Server::start(&nodes.storage).await;
    let path = format!("{group}/questions");
    for number in 0..20 {
        let (here, there) = if number % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let posted = nodes.created(here, &path, &format!("q{number}"), json!({ "title": "Where?", "body": "?" })).await;
        let id = posted.body["id"].as_str().unwrap();
        let (status, question) = nodes.get(there, &format!("/v1/questions/{id}"), posted.position.as_deref()).await;
        assert_eq!(status, StatusCode::OK, "{question}");
        // The same key is the same command on any node.
        let body = json!({ "title": "Where?", "body": "?" });
        let again = nodes.post(there.url(), &path, &nodes.token, &format!("q{number}"), &body).await.unwrap();
        assert!(again.status.is_success());
        assert_eq!(again.body["id"], id);
    }

    // A ban on one node ends posting on another within a moment.
    let bea = nodes.storage.token("bea", "");
    let ok = async |server: &Server, path: &str, token: &str, key: &str, body: Value| {
        let answer = nodes.post(server.url(), path, token, key, &body).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.body);
        answer
    };
    let registered = ok(&first, "/v1/people", &bea, "bea", json!({ "display_name": "Bea" })).await;
    ok(&first, &format!("{group}/join"), &bea, "join", Value::Null).await;
    let person = registered.body["id"].as_str().unwrap().to_owned();
    let let_in = async {
        let body = json!({ "title": "May I?", "body": "?" });
        loop {
            let answer = nodes.post(second.url(), &path, &bea, "may-i", &body).await.unwrap();
            match answer.status {
                StatusCode::CREATED => return,
                status => assert_eq!(status, StatusCode::FORBIDDEN, "{}", answer.body),
            }
        }
    };
    timeout(PATIENCE, let_in).await.unwrap();
    let ban =
        nodes.client.put(format!("{}{group}/bans/{person}", first.url())).bearer_auth(&nodes.token).json(&json!({ "reason": "Noise" }));
    assert!(ban.send().await.unwrap().status().is_success());
    let banned = Instant::now();
    let kept_out = async {
        for number in 0.. {
            let body = json!({ "title": "Still?", "body": "?" });
            if nodes.post(second.url(), &path, &bea, &format!("still-{number}"), &body).await.unwrap().status == StatusCode::FORBIDDEN {
                return;
            }
        }
    };
    timeout(PATIENCE, kept_out).await.unwrap();
    eprintln!("kept out after {:?}", banned.elapsed());
    assert!(banned.elapsed() < TAKEOVER);
    first.kill().await;
    second.kill().await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_log_in_kurrentdb() {
    let (Some(views), Some(keys)) = (fresh_schema().await, fresh_schema().await) else { return };
    let double = circolo_tests::kurrent::Double::start().await;
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let mut arguments = storage.arguments();
    arguments.extend(["--log", &double.url(), "--views", &views, "--keys", &keys].map(str::to_owned));
    let (nodes, first, group) = Nodes::found_on(folder, storage, &arguments).await;
    let second = [Server::start_on(binary(), &arguments).await];
    let path = format!("{group}/questions");
    let reads = async |server: &Server, posted: Answer| {
        let id = posted.body["id"].as_str().unwrap().to_owned();
        let (status, question) = nodes.get(server, &format!("/v1/questions/{id}"), posted.position.as_deref()).await;
        assert_eq!(status, StatusCode::OK, "{question}");
    };
    let question = json!({ "title": "Where?", "body": "?" });
    reads(&first, nodes.created(&second[0], &path, "one", question.clone()).await).await;
    reads(&second[0], nodes.created(&first, &path, "two", question.clone()).await).await;
    assert!(nodes.leads(&first).await);
    first.kill().await;
    let (_, took) = nodes.leader(&second).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    reads(&second[0], nodes.created(&second[0], &path, "three", question).await).await;
    nodes.verify(&second[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_with_its_log_in_a_file_takes_its_turn_again_after_a_kill() {
    let Some(views) = fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let arguments: Vec<String> = storage.arguments().into_iter().chain(["--views".to_owned(), views]).collect();
    let (nodes, first, group) = Nodes::found_on(folder, storage, &arguments).await;
    let path = format!("{group}/questions");
    nodes.created(&first, &path, "one", json!({ "title": "Where?", "body": "?" })).await;
    assert!(nodes.leads(&first).await);
    first.kill().await;
    let again = [Server::start_on(binary(), &arguments).await];
    let (_, took) = nodes.leader(&again).await;
    assert!(took < TAKEOVER, "the takeover came after {took:?}");
    let posted = nodes.created(&again[0], &path, "two", json!({ "title": "When?", "body": "?" })).await;
    let id = posted.body["id"].as_str().unwrap();
    let (status, question) = nodes.get(&again[0], &format!("/v1/questions/{id}"), posted.position.as_deref()).await;
    assert_eq!(status, StatusCode::OK, "{question}");
    nodes.verify(&again[0]);
}

fn refused(arguments: &[String]) -> String {
    let second = Command::new(binary()).arg("serve").args(arguments).args(["--listen", "127.0.0.1:0"]).output().unwrap();
    assert!(!second.status.success());
    String::from_utf8_lossy(&second.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_shared_is_refused_with_a_sentence() {
    let Some(url) = fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| vec!["--data".to_owned(), folder.path().join(name).display().to_string()];
    let with =
        |name: &str, options: &[&str]| data(name).into_iter().chain(options.iter().map(|&option| option.to_owned())).collect::<Vec<_>>();
    // A log in SQLite has one server.
    let first = Server::start_on(binary(), &data("alone")).await;
    let complaint = refused(&data("alone"));
    assert!(complaint.contains("another circolo") && complaint.contains("Postgres or KurrentDB"), "{complaint}");
    first.kill().await;
    // A shared log with read models of one's own: whoever comes second is told what to do.
    let first = Server::start_on(binary(), &with("first", &["--log", &url])).await;
    for options in [&["--log", &url][..], &["--log", &url, "--views", &url]] {
        let complaint = refused(&with("second", options));
        assert!(complaint.contains("another circolo"), "{complaint}");
    }
    first.kill().await;
    // The log opens with the keys that were made with it.
    let shared = Storage { folder: folder.path().join("first"), database: Some(url.clone()) };
    let first = Server::start(&shared).await;
    let complaint = refused(&with("second", &["--log", &url]));
    assert!(complaint.contains("another circolo"), "{complaint}");
    // Offline work waits until nobody serves, or asks a server.
    for subcommand in [&["projections", "rebuild", "--all"][..], &["simulate", "--append", "--people", "5", "--days", "1"]] {
        let output = Command::new(binary()).args(subcommand).args(shared.arguments()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains("circolo"), "{complaint}");
    }
    first.kill().await;
}
