//! A rolling upgrade with two real binaries: the next version prepares its read models beside the serving old one, then serves
//! at once; the old one can come back.

use circolo_tests::{
    postgres::fresh_schema,
    server::{Server, Storage, next_binary},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

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
    let ann = Ann { client: Client::new(), token: storage.token("ann", "") };
    ann.post(format!("{}/v1/people", old.url()), "person", json!({ "display_name": "Ann" })).await.unwrap();
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    let group = ann.post(format!("{}/v1/groups", old.url()), "group", group).await.unwrap();
    let question = json!({ "title": "How warm?", "body": "How warm should it be?" });
    let question = ann.post(format!("{}/v1/groups/{group}/questions", old.url()), "question", question).await.unwrap();

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
