//! What is due, by real processes: after months of downtime, over `kill -9`, and by two nodes.

use circolo_tests::{
    postgres::{fresh_schema, shared_by_nodes},
    server::{Server, Storage},
};
use std::{collections::BTreeMap, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A history of people who wrote to pages months ago: bans have run out since, and rights to answer in private.
fn history(storage: &Storage) {
    storage.run(&["simulate", "--people", "300", "--groups", "10", "--pages", "10", "--days", "30", "--events", "20000"]);
}

/// How often the log says of each matter that its time is over.
fn facts(storage: &Storage) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for prefix in ["conversation.private_reply_expired.", "membership.ban_ended."] {
        let told = storage.run(&["events", "tail", "--after", "0", "--no-follow", "--type", prefix]);
        for line in told.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            *found.entry(format!("{} {}", event["stream"], event["data"])).or_default() += 1;
        }
    }
    found
}

async fn lag(server: &Server) -> Option<f64> {
    let figures = reqwest::get(format!("{}/metrics", server.url())).await.ok()?.text().await.ok()?;
    figures.lines().find_map(|line| line.strip_prefix("circolo_deadlines_lag_seconds "))?.parse().ok()
}

/// Waits until nothing is due any more.
async fn all_woken(servers: &[&Server]) {
    let waiting = async {
        while lag(servers[0]).await != Some(0.0) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

/// Kills whoever wakes, again and again, and lets the last go on to the end.
async fn killed(storage: Storage) {
    history(&storage);
    for pause in [300, 700, 1_100, 1_500] {
        let server = Server::start(&storage).await;
        sleep(Duration::from_millis(pause)).await;
        server.kill().await;
    }
    let server = Server::start(&storage).await;
    let began = Instant::now();
    all_woken(&[&server]).await;
    eprintln!("the rest was woken within {:?}", began.elapsed());
    server.stop().await;
    let found = facts(&storage);
    assert!(found.len() > 100, "{}", found.len());
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    // Nothing is left for whoever comes next.
    let server = Server::start(&storage).await;
    sleep(Duration::from_millis(1_500)).await;
    server.stop().await;
    assert_eq!(facts(&storage), found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wakes_is_killed_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    killed(Storage { folder: folder.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wakes_is_killed_on_postgres() {
    let Some(url) = fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    killed(Storage { folder: folder.path().join("data"), database: Some(url) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_goes_on_with_what_is_due() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder: TempDir = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(url) };
    history(&storage);
    let (first, second) = (Server::start(&storage).await, Server::start(&storage).await);
    sleep(Duration::from_millis(1_200)).await;
    first.kill().await;
    all_woken(&[&second]).await;
    second.stop().await;
    let found = facts(&storage);
    assert!(found.len() > 100 && found.values().all(|times| *times == 1), "{found:?}");
}
