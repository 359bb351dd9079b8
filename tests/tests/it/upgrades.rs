//! A rolling upgrade with two real binaries: the next version prepares its read models beside the serving old one, then serves
//! at once; the old one can come back. On Postgres both serve together.

use circolo_domain::StreamName;
use circolo_events::{Append, DataLock, EventStore, Expected, NewEvent, Postgres, Sqlite, postgres, sqlite};
use circolo_tests::{
    postgres::shared_by_nodes,
    server::{Server, Storage, next_binary},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};
use uuid::Uuid;

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_version_serves_at_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    upgrade(Storage { folder: folder.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_version_serves_at_once_on_postgres() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    upgrade(Storage { folder: folder.path().join("data"), database: Some(url) }).await;
}

/// Somebody who writes and reads.
#[derive(Clone)]
struct Ann {
    client: Client,
    token: String,
}

impl Ann {
    /// The id of what came to be; `None` if nobody answered.
    async fn post(&self, url: String, key: &str, body: Value) -> Option<String> {
        let request = self.client.post(url).bearer_auth(&self.token).header("idempotency-key", key).json(&body);
        let response = request.send().await.ok()?;
        assert_eq!(response.status(), StatusCode::CREATED);
        let answer: Value = response.json().await.ok()?;
        Some(answer["id"].as_str().unwrap().to_owned())
    }

    async fn write(&self, server: &str, group: &str, number: usize) -> Option<String> {
        let post = json!({ "text": format!("Post {number}") });
        self.post(format!("{server}/v1/groups/{group}/posts"), &format!("p{number}"), post).await
    }

    /// Ids in the group's feed by kind. Never a refusal, whatever happens beside it.
    async fn feed(&self, server: &str, group: &str, kind: &str) -> BTreeSet<String> {
        let response = self.client.get(format!("{server}/v1/groups/{group}/feed?limit=100")).bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "a read model is not there");
        let feed: Value = response.json().await.unwrap();
        let items = feed["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the feed holds these posts.
    async fn sees(&self, server: &str, group: &str, posts: &BTreeSet<String>) {
        let seen = async {
            while self.feed(server, group, "post").await != *posts {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap();
    }
}

async fn upgrade(storage: Storage) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    let (ann, group, question) = begun(&old, &storage).await;

    // The old one serves under load, until it is killed with a command in flight.
    let load = tokio::spawn({
        let (ann, server, group) = (ann.clone(), old.url().to_owned(), group.clone());
        async move {
            let mut posts = BTreeSet::new();
            for number in 0.. {
                // A page holds all of them: what is killed late is asked no more.
                match if number < 60 { ann.write(&server, &group, number).await } else { None } {
                    Some(post) => posts.insert(post),
                    None => return (posts, number),
                };
            }
            (posts, 0)
        }
    });
    let prepared = tokio::task::spawn_blocking({
        let storage = storage.clone();
        move || storage.run_with(next, &["projections", "build"])
    });
    assert_eq!(prepared.await.unwrap(), "feeds build 2 is live\n");
    assert!(ann.feed(old.url(), &group, "question").await.contains(&question), "the old one serves its own version");
    old.kill().await;
    let (mut posts, open) = load.await.unwrap();

    // The next one serves at once, with its own rows, and nothing acknowledged is lost.
    let server = Server::start_with(next, &storage).await;
    assert!(ann.feed(server.url(), &group, "question").await.is_empty(), "the next version shows no questions");
    posts.extend(ann.write(server.url(), &group, open).await);
    ann.sees(server.url(), &group, &posts).await;
    assert!(ann.feed(server.url(), &group, "question").await.is_empty());
    server.kill().await;
    storage.run_with(next, &["projections", "verify", "feeds"]);

    // The old binary can come back, and catches up with what happened meanwhile.
    let server = Server::start(&storage).await;
    assert_eq!(ann.feed(server.url(), &group, "question").await, BTreeSet::from([question]));
    ann.sees(server.url(), &group, &posts).await;
    server.kill().await;
    storage.run(&["projections", "verify", "feeds"]);

    // When nobody wants to go back, the tables of the version before go.
    assert_eq!(storage.run_with(next, &["projections", "drop", "feeds", "--old-versions"]), "feeds: dropped build 1\n");
}

/// Ann, her group, and a question in it.
async fn begun(server: &Server, storage: &Storage) -> (Ann, String, String) {
    let ann = Ann { client: Client::new(), token: storage.token("ann", "") };
    ann.post(format!("{}/v1/people", server.url()), "person", json!({ "display_name": "Ann" })).await.unwrap();
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    let group = ann.post(format!("{}/v1/groups", server.url()), "group", group).await.unwrap();
    let question = json!({ "title": "How warm?", "body": "How warm should it be?" });
    let question = ann.post(format!("{}/v1/groups/{group}/questions", server.url()), "question", question).await.unwrap();
    (ann, group, question)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_serve_together_on_postgres() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(url) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    let (ann, group, question) = begun(&old, &storage).await;
    // The new node builds what it alone knows, and leaves the rest to the old one.
    let new = Server::start_with(next, &storage).await;
    let mut posts = BTreeSet::new();
    for number in 0..20 {
        let server = if number % 2 == 0 { &old } else { &new };
        posts.extend(ann.write(server.url(), &group, number).await);
    }
    assert_eq!(posts.len(), 20);
    for server in [&old, &new] {
        ann.sees(server.url(), &group, &posts).await;
    }
    assert_eq!(ann.feed(old.url(), &group, "question").await, BTreeSet::from([question]), "each serves its own version");
    assert!(ann.feed(new.url(), &group, "question").await.is_empty(), "each serves its own version");
    // A node of the old version more, while the others are there; then those before it go.
    let again = Server::start(&storage).await;
    old.kill().await;
    posts.extend(ann.write(new.url(), &group, 20).await);
    ann.sees(again.url(), &group, &posts).await;
    again.stop().await;
    posts.extend(ann.write(new.url(), &group, 21).await);
    ann.sees(new.url(), &group, &posts).await;
    assert_eq!(posts.len(), 22);
    new.kill().await;
    storage.run_with(next, &["projections", "verify", "--all"]);
    storage.run(&["projections", "verify", "--all"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_in_a_file_is_prepared_by_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    begun(&old, &storage).await;
    assert!(DataLock::read_model(&storage.folder, "feeds@1").is_err(), "a server holds the locks of what it moves");
    let refused = |binary: &Path, subcommand: &[&str]| {
        let output = Command::new(binary).args(subcommand).args(storage.arguments()).output().unwrap();
        assert!(!output.status.success(), "{subcommand:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // As another `circolo projections build` would hold it.
    let lock = DataLock::read_model(&storage.folder, "feeds@2").unwrap();
    let complaint = refused(next, &["projections", "build"]);
    assert!(complaint.contains("another circolo program is at the read model feeds@2"), "{complaint}");
    old.stop().await;
    let complaint = refused(next, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("feeds@2") && complaint.contains("must have ended before"), "{complaint}");
    drop(lock);
    assert_eq!(storage.run_with(next, &["projections", "build"]), "feeds build 2 is live\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_in_postgres_is_prepared_by_one_program() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(url) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    begun(&old, &storage).await;
    // As another `circolo projections build` would hold it.
    let mut admin = PgConnection::connect(storage.log_url().unwrap()).await.unwrap();
    let lease = "INSERT INTO projection_leases (name, epoch, holder, url, until) VALUES ('feeds@2', 1000, 'another', '', 9000000000000000)";
    admin.execute(lease).await.unwrap();
    let output = Command::new(next).args(["projections", "build"]).args(storage.arguments()).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && complaint.contains("another circolo program is at it"), "{complaint}");
    admin.execute("UPDATE projection_leases SET until = 0 WHERE name = 'feeds@2'").await.unwrap();
    assert_eq!(storage.run_with(next, &["projections", "build"]), "feeds build 2 is live\n");
    let held: i64 = sqlx::query_scalar("SELECT until FROM projection_leases WHERE name = 'feeds@2'").fetch_one(&mut admin).await.unwrap();
    assert_eq!(held, 0, "it is let go");
    old.kill().await;
}

/// The log, beside whoever uses it.
async fn log(storage: &Storage) -> Box<dyn EventStore> {
    match storage.log_url() {
        Some(url) => Box::new(Postgres::connect(url, &postgres::Options::default(), Uuid::nil()).await.unwrap()),
        None => Box::new(Sqlite::open(&storage.folder.join("log.sqlite"), &sqlite::Options::default(), Uuid::nil()).unwrap()),
    }
}

/// Writes an event of a type that the next version alone knows, as its nodes would.
async fn write_next(storage: &Storage, stream: String, event_type: &str, data: Value) {
    let (log, stream) = (log(storage).await, StreamName::stored(stream));
    let last = log.read(&stream, 0, 100).await.unwrap().pop().unwrap();
    let id = Uuid::new_v5(&last.event.id, event_type.as_bytes());
    let mut metadata: Value = serde_json::from_str(&last.event.metadata).unwrap();
    // The boxes are those of the last event.
    metadata.as_object_mut().unwrap().remove("sealed");
    let (event_type, data, metadata) = (event_type.to_owned(), data.to_string(), metadata.to_string());
    let event = NewEvent { id, event_type, data, metadata, ..last.event };
    log.append(Append { stream, expected: Expected::Exact(last.revision), events: vec![event] }).await.unwrap();
}

impl Ann {
    /// What is at `path`, and how it is answered.
    async fn get(&self, server: &Server, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", server.url())).bearer_auth(&self.token).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Waits until what is at `path` is answered so, and `field` of it is this.
    async fn finds(&self, server: &Server, path: &str, status: u16, field: &str, value: &Value) {
        let mut last = Value::Null;
        let found = async {
            loop {
                let (is, body) = self.get(server, path).await;
                if is == status && body[field] == *value {
                    return;
                }
                assert!(is != 500, "{path}: {body}");
                last = json!([is, body]);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, found).await;
        assert!(outcome.is_ok(), "{path} never came to {status} with {field} {value}: {last}");
    }

    /// The server does not know what the next version wrote about question and group: they are closed, and all else is not.
    async fn lacks(&self, server: &Server, group: &str, question: &str, other: &str) {
        for thing in [format!("/v1/questions/{question}"), format!("/v1/groups/{group}")] {
            self.finds(server, &thing, 503, "code", &json!("unreadable")).await;
        }
        self.finds(server, &format!("/v1/groups/{other}"), 200, "name", &json!("Brewers")).await;
        for goes_on in ["/v1/me/feed", "/v1/groups", "/v1/changes?after=0"] {
            let (status, body) = self.get(server, goes_on).await;
            assert_eq!(status, 200, "{goes_on}: {body}");
        }
    }

    /// The server knows it, and its read models hold it.
    async fn knows(&self, server: &Server, group: &str, question: &str) {
        self.finds(server, &format!("/v1/questions/{question}"), 200, "closed", &json!(true)).await;
        self.finds(server, &format!("/v1/groups/{group}"), 200, "name", &json!("Next bakers")).await;
        let answer = self.client.post(format!("{}/v1/questions/{question}/answers", server.url())).bearer_auth(&self.token);
        let refused = answer.json(&json!({ "body": "Warm" })).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::CONFLICT, "it is closed");
    }
}

/// A question and a group of which the next version has written, and a group of which it has not.
async fn written_by_the_next(storage: &Storage, group: &str, question: &str) {
    write_next(storage, format!("question-{question}"), "question.closed.v2", json!({})).await;
    write_next(storage, format!("group-{group}"), "group.renamed.v2", json!({ "name": "Next bakers" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_next_version_knows_costs_itself_until_it_comes_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    knows_more(Storage { folder: folder.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_next_version_knows_costs_itself_until_it_comes_on_postgres() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    knows_more(Storage { folder: folder.path().join("data"), database: Some(url) }).await;
}

async fn knows_more(storage: Storage) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    let (ann, group, question) = begun(&old, &storage).await;
    let other = json!({ "name": "Brewers", "privacy": "closed", "membership": "open" });
    let other = ann.post(format!("{}/v1/groups", old.url()), "other", other).await.unwrap();
    old.stop().await;
    written_by_the_next(&storage, &group, &question).await;
    // Back at the old version, and on to the next one: by itself it mends what the old one left out.
    for _ in 0..2 {
        let old = Server::start(&storage).await;
        ann.lacks(&old, &group, &question, &other).await;
        old.stop().await;
        let new = Server::start_with(next, &storage).await;
        ann.knows(&new, &group, &question).await;
        new.stop().await;
    }
    storage.run_with(next, &["projections", "verify", "--all"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_newer_nodes_know_costs_itself_on_the_others() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(url) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    let (ann, group, question) = begun(&old, &storage).await;
    let other = json!({ "name": "Brewers", "privacy": "closed", "membership": "open" });
    let other = ann.post(format!("{}/v1/groups", old.url()), "other", other).await.unwrap();
    let new = Server::start_with(next, &storage).await;
    written_by_the_next(&storage, &group, &question).await;
    ann.knows(&new, &group, &question).await;
    ann.lacks(&old, &group, &question, &other).await;
    old.stop().await;
    ann.knows(&new, &group, &question).await;
    new.stop().await;
    storage.run_with(next, &["projections", "verify", "--all"]);
}
