//! A rolling upgrade with two real binaries: the next version prepares its read models beside the serving old one, then serves
//! at once; the old one can come back. On Postgres both serve together.

use circolo_events::DataLock;
use circolo_tests::{
    postgres::fresh_schema,
    server::{Server, Storage, next_binary},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_version_serves_at_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    upgrade(Storage { folder: folder.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_version_serves_at_once_on_postgres() {
    let Some(url) = fresh_schema().await else { return };
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
    let Some(url) = fresh_schema().await else { return };
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
    assert!(DataLock::turn(&storage.folder, "feeds@1").is_err(), "a server holds the turns of what it moves");
    let refused = |binary: &Path, subcommand: &[&str]| {
        let output = Command::new(binary).args(subcommand).args(storage.arguments()).output().unwrap();
        assert!(!output.status.success(), "{subcommand:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // As another `circolo projections build` would hold it.
    let turn = DataLock::turn(&storage.folder, "feeds@2").unwrap();
    let complaint = refused(next, &["projections", "build"]);
    assert!(complaint.contains("another circolo program is at the read model feeds@2"), "{complaint}");
    old.stop().await;
    let complaint = refused(next, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("feeds@2") && complaint.contains("must have ended before"), "{complaint}");
    drop(turn);
    assert_eq!(storage.run_with(next, &["projections", "build"]), "feeds build 2 is live\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_in_postgres_is_prepared_by_one_program() {
    let Some(url) = fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(url.clone()) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let next = tokio::task::spawn_blocking(next_binary).await.unwrap();
    let old = Server::start(&storage).await;
    begun(&old, &storage).await;
    // As another `circolo projections build` would hold it.
    let mut admin = PgConnection::connect(&url).await.unwrap();
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
