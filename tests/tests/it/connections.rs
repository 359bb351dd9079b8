//! Connections that say nothing, or take all there is, and those that are slow and mean well: on the real server.

use circolo_tests::{
    server::{Server, Storage, binary},
    wire::Wire,
};
use futures::future::join_all;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

struct Running {
    server: Server,
    storage: Storage,
    _folder: TempDir,
}

impl Running {
    async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage { folder: folder.path().join("data"), database: None };
        let all: Vec<String> = storage.arguments().into_iter().chain(arguments.iter().map(|text| (*text).to_owned())).collect();
        Self { server: Server::start_on(binary(), &all).await, storage, _folder: folder }
    }

    async fn wire(&self) -> Wire {
        Wire::to(self.server.url()).await
    }

    async fn status(&self, path: &str) -> u16 {
        get(self.server.url(), path).await
    }
}

/// The status of `path` on a connection of its own.
async fn get(url: &str, path: &str) -> u16 {
    let mut wire = Wire::to(url).await;
    wire.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    let answer = wire.to_its_end().await;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{path}: {answer:?}"))
}

const ASK: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
/// Clocks of two processes are not quite one.
const ABOUT: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_nothing_is_hung_up_on_in_time() {
    let running = Running::with(&["--header-timeout", "1", "--idle-timeout", "3"]).await;
    let silent = |said: &'static str, limit: u64| {
        let running = &running;
        async move {
            let (mut wire, began) = (running.wire().await, Instant::now());
            wire.send(said).await;
            assert_eq!(wire.to_its_end().await, "", "{said:?}");
            assert!(began.elapsed() + ABOUT >= Duration::from_secs(limit), "{said:?} was hung up on after {:?}", began.elapsed());
        }
    };
    let kept_alive = async {
        let mut wire = running.wire().await;
        wire.send(ASK).await;
        assert_eq!(wire.answer().await.status, 200);
        let began = Instant::now();
        // A second request comes well after the head's limit: it may.
        assert!(!wire.says_something(Duration::from_millis(1_500)).await, "hung up on after {:?}", began.elapsed());
        wire.send(ASK).await;
        assert_eq!(wire.answer().await.status, 200);
        assert_eq!(wire.to_its_end().await, "");
    };
    // One header after the other, and never the last.
    let endless = async {
        let mut wire = running.wire().await;
        wire.send("GET / HTTP/1.1\r\n").await;
        while wire.send("x: y\r\n").await && !wire.says_something(Duration::from_millis(20)).await {}
    };
    tokio::join!(
        silent("", 3),
        silent("GET /health", 1),
        silent("GET /health/live HTTP/1.1\r\nhost: x\r\n", 1),
        silent("\r\n", 1),
        kept_alive,
        endless
    );
    assert_eq!(running.status("/health/live").await, 200);
    running.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_and_whoever_listens_is_not_cut() {
    let running = Running::with(&["--header-timeout", "1", "--idle-timeout", "1"]).await;
    let (ann, mut feed, mut wire) = (running.storage.token("ann", ""), running.wire().await, running.wire().await);
    feed.send("GET /v1/changes HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").await;
    assert!(feed.says_something(Duration::from_mins(1)).await);
    let body = r#"{"display_name":"Ann with a long name"}"#;
    let head = format!("POST /v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann}\r\ncontent-type: application/json\r\n");
    wire.send(format!("{head}content-length: {}\r\n\r\n", body.len())).await;
    // Three times what a connection may be silent for.
    for byte in body.as_bytes() {
        assert!(wire.send([*byte]).await);
        sleep(Duration::from_secs(3) / u32::try_from(body.len()).unwrap()).await;
    }
    assert_eq!(wire.answer().await.status, 201);
    let person = reqwest::Client::new().post(format!("{}/v1/groups", running.server.url())).bearer_auth(&ann);
    let group = r#"{"name":"Bakers","privacy":"public","membership":"open"}"#;
    let created = person.header("content-type", "application/json").body(group).send().await.unwrap();
    assert_eq!(created.status(), 201);
    // The stream goes on: with the group, before anything ends it.
    let mut said = feed.take();
    while !said.contains("event: change") {
        assert!(feed.says_something(Duration::from_mins(1)).await);
        let more = feed.take();
        assert!(!more.is_empty(), "the stream was cut: {said}");
        said += &more;
    }
    running.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_nothing_of_an_answer_gives_their_place_back() {
    let running = Running::with(&["--max-connections", "1", "--idle-timeout", "1"]).await;
    let mut wire = running.wire().await;
    // Far more than lies on the way between two processes.
    for _ in 0..40 {
        wire.send("GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n").await;
    }
    assert!(wire.says_something(Duration::from_mins(1)).await);
    while running.status("/v1/groups").await != 200 {}
    let got = wire.to_its_end().await;
    assert!(got.len() < 40_000_000, "all of it was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_is_answered_when_the_server_stops() {
    let running = Running::with(&[]).await;
    let (ann, mut idle, mut wire) = (running.storage.token("ann", ""), running.wire().await, running.wire().await);
    idle.send(ASK).await;
    assert_eq!(idle.answer().await.status, 200);
    let body = r#"{"display_name":"Ann"}"#;
    let head = format!("POST /v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann}\r\ncontent-type: application/json\r\n");
    wire.send(format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    // It is being answered: the server asks for the body.
    assert!(wire.says_something(Duration::from_mins(1)).await);
    running.server.signal("TERM");
    // Whoever asks nothing is hung up on at once.
    assert_eq!(idle.to_its_end().await, "");
    wire.send(body).await;
    assert_eq!(wire.answer().await.status, 201);
    assert_eq!(wire.to_its_end().await, "");
    running.server.stop().await;
}

/// Lets this process, or another, have so many files open.
fn allow_files(process: u32, limit: &str) {
    let set = Command::new("prlimit").args(["--pid", &process.to_string(), &format!("--nofile={limit}")]).status();
    assert!(set.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_unfinished_heads_do_not_stop_the_server() {
    allow_files(std::process::id(), "4096:");
    let running = Running::with(&[]).await;
    let (running, mut heads) = (&running, vec![]);
    for _ in 0..16 {
        let more = (0..64).map(|_| async {
            let mut wire = running.wire().await;
            wire.send("GET /v1/groups HTTP/1.1\r\nx: ").await;
            wire
        });
        heads.extend(join_all(more).await);
        // From the address of all of them, too.
        assert_eq!([running.status("/health/ready").await, running.status("/v1/groups").await], [200, 200]);
    }
    assert_eq!(heads.len(), 1_024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_for_those_who_ask_and_some_are_kept_for_health() {
    let running = Running::with(&["--max-connections", "20", "--max-connections-per-address", "8"]).await;
    let url = running.server.url();
    // More silent ones than there are places, from many addresses.
    let mut silent = vec![];
    for host in 2..12 {
        for _ in 0..8 {
            silent.push(Wire::from(&format!("127.0.0.{host}"), url).await);
        }
    }
    assert_eq!(running.status("/v1/groups").await, 200);
    // Those who are served keep their places: an address has its own, and then there are no more.
    let stream = "GET /v1/changes HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    let mut served = vec![];
    for (host, streams) in [(2, 8), (3, 8), (4, 4)] {
        for _ in 0..streams {
            let mut wire = Wire::from(&format!("127.0.0.{host}"), url).await;
            wire.send(stream).await;
            let answer = wire.head().await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            served.push(wire);
        }
        if host == 2 {
            let mut ninth = Wire::from("127.0.0.2", url).await;
            ninth.send(stream).await;
            assert_eq!(ninth.answer().await.status, 503);
            assert_eq!(running.status("/v1/groups").await, 200, "others are served");
        }
    }
    let mut refused = running.wire().await;
    refused.send("GET /v1/groups HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = refused.answer().await;
    assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (503, "1"));
    assert!(answer.body.contains("\"code\":\"busy\""), "{}", answer.body);
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(running.status(path).await, 200);
    }
    // A place that is given back is one again.
    drop(served.pop());
    while running.status("/v1/groups").await == 503 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_open_files_do_not_shut_anybody_out() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let script = folder.path().join("circolo");
    fs::write(&script, format!("#!/bin/sh\nulimit -n 64\nexec {} \"$@\"\n", binary().display())).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let server = Server::start_with(&script, &storage).await;
    server.says("the system allows no more open files").await;
    let mut silent = vec![];
    for _ in 0..100 {
        silent.push(Wire::to(server.url()).await);
    }
    for path in ["/health/live", "/health/ready", "/v1/groups"] {
        assert_eq!(get(server.url(), path).await, 200, "{path}");
    }
    drop(silent);
    // None at all: the log is told, and when there are some again, all is well.
    allow_files(server.id(), "8:64");
    let mut waiting = Wire::to(server.url()).await;
    waiting.send(ASK).await;
    server.says("connections cannot be accepted").await;
    allow_files(server.id(), "64:64");
    assert_eq!(waiting.answer().await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_not_spoken_and_heads_have_a_size() {
    let running = Running::with(&[]).await;
    let mut wire = running.wire().await;
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let answer = wire.to_its_end().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer:?}");
    let mut wire = running.wire().await;
    let line = format!("x: {}\r\n", "y".repeat(1_000));
    wire.send("GET /health/live HTTP/1.1\r\n").await;
    for _ in 0..200 {
        if !wire.send(&line).await {
            break;
        }
    }
    let answer = wire.to_its_end().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // The longest reason there may be fits, escaped as it is in a query.
    let mut wire = running.wire().await;
    let reason = "%F0%9F%8D%9E".repeat(5_000);
    wire.send(&format!("GET /health/live?reason={reason} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    assert_eq!(wire.answer().await.status, 200);
}
