//! Logs that move between engines: equal on arrival, after interruptions too, and never over something else.

use crate::backend::whole;
use circolo_domain::{StreamName, Timestamp};
use circolo_events::{EventStore, NewEvent, Sqlite, Stored, sqlite};
#[cfg(feature = "kurrentdb")]
use circolo_tests::kurrent::Double;
use circolo_tests::{
    postgres::fresh_schema,
    server::{Server, Storage, binary},
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

/// An event but for its position.
type Event = (StreamName, u64, NewEvent);

/// A simulated history in a data folder of its own.
fn origin(folder: &TempDir, seed: &str) -> Storage {
    let storage = Storage { folder: folder.path().join(format!("origin-{seed}")), database: None };
    storage.run(&["simulate", "--people", "30", "--groups", "3", "--days", "10", "--events", "700", "--seed", seed]);
    storage
}

fn log_of(storage: &Storage) -> PathBuf {
    storage.folder.join("log.sqlite")
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn copy(from: &str, to: &str, more: &[&str]) -> Output {
    Command::new(binary()).args(["events", "copy", "--from", from, "--to", to]).args(more).output().unwrap()
}

/// What it says when all goes well.
fn copied(from: &str, to: &str, more: &[&str]) -> String {
    let output = copy(from, to, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it refuses.
fn refused(from: &str, to: &str) -> String {
    let output = copy(from, to, &[]);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

async fn events(path: &Path) -> Vec<Event> {
    let store = Sqlite::open_read_only(path, &sqlite::Options::default()).unwrap();
    whole(&store, 1_000).await.into_iter().map(|Stored { stream, revision, event, .. }| (stream, revision, event)).collect()
}

/// Copies a log to `url` and from there into another file: the two files hold the same.
async fn there_and_back(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (origin, back) = (log_of(&origin(&folder, "1")), folder.path().join("back/log.sqlite"));
    let count = events(&origin).await.len();
    let said = copied(&sqlite(&origin), url, &[]);
    assert!(said.starts_with(&format!("{count} events copied and compared, 0 were there already")), "{said}");
    copied(url, &sqlite(&back), &[]);
    assert!(events(&origin).await == events(&back).await, "by way of {url} it came back different");
    // Nothing is left to do; whoever says so is believed about what was there.
    let said = copied(&sqlite(&origin), url, &[]);
    assert!(said.starts_with(&format!("0 events copied and compared, {count} were there already")), "{said}");
    let said = copied(&sqlite(&origin), url, &["--quick"]);
    assert!(said.starts_with("0 events copied and compared, what was there was taken as it is"), "{said}");
    // The copy is a log of its own, and the copy of the copy too.
    for path in [&origin, &back] {
        assert!(copy(&sqlite(path), url, &[]).status.success());
    }
    let other = log_of(&self::origin(&folder, "2"));
    let complaint = refused(&sqlite(&other), url);
    assert!(complaint.contains("does not hold the beginning of the source: its event at position"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_to_sqlite_and_back() {
    let folder = tempfile::tempdir().unwrap();
    there_and_back(&sqlite(&folder.path().join("log.sqlite"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_to_postgres_and_back() {
    let Some(url) = fresh_schema().await else { return };
    there_and_back(&url).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_to_kurrentdb_and_back() {
    let double = Double::start().await;
    there_and_back(&double.url()).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_killed_goes_on_where_it_was() {
    let (folder, double) = (tempfile::tempdir().unwrap(), Double::start().await);
    let origin = log_of(&origin(&folder, "1"));
    let count = events(&origin).await.len();
    let (mut runs, mut seen) = (0, 0);
    // Killed in the middle, twice.
    while runs < 2 {
        let mut command = tokio::process::Command::new(binary());
        command.args(["events", "copy", "--from", &sqlite(&origin), "--to", &double.url()]).kill_on_drop(true);
        let mut run = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let before = double.counts().appends;
        while double.counts().appends < before + 100 {
            assert!(run.try_wait().unwrap().is_none(), "it ended before it could be killed");
            tokio::task::yield_now().await;
        }
        run.kill().await.unwrap();
        (runs, seen) = (runs + 1, double.counts().appends);
    }
    assert!(seen < count, "there was something left to do");
    let said = copied(&sqlite(&origin), &double.url(), &[]);
    assert!(!said.contains(", 0 were there already"), "{said}");
    let back = folder.path().join("back.sqlite");
    copied(&double.url(), &sqlite(&back), &[]);
    assert!(events(&origin).await == events(&back).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_use_is_copied_and_its_rest_later() {
    let folder = tempfile::tempdir().unwrap();
    let storage = origin(&folder, "1");
    let (from, there) = (sqlite(&log_of(&storage)), folder.path().join("there/log.sqlite"));
    let server = Server::start(&storage).await;
    copied(&from, &sqlite(&there), &[]);
    let token = storage.token("ann", "");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let person = client.post(format!("{}/v1/people", server.url())).bearer_auth(token).json(&serde_json::json!({ "display_name": "Ann" }));
    assert_eq!(person.send().await.unwrap().status(), 201);
    // Its read models are there.
    let ready = async || reqwest::get(format!("{}/health/ready", server.url())).await.unwrap().status() == 200;
    let built = async { while !ready().await {} };
    tokio::time::timeout(Duration::from_mins(1), built).await.unwrap();
    // Whoever serves a log takes no copy.
    let complaint = refused(&sqlite(&there), &from);
    assert!(complaint.contains("another circolo server or log writer is using"), "{complaint}");
    server.kill().await;
    for quick in [&["--quick"][..], &[]] {
        copied(&from, &sqlite(&there), quick);
        assert!(events(&log_of(&storage)).await == events(&there).await);
    }
    // Read models of the one do not pass for those of the other.
    let moved = Storage { folder: folder.path().join("there"), database: None };
    storage.bring_keys_to(&moved);
    for file in ["views.sqlite", "views.sqlite-wal"] {
        std::fs::copy(storage.folder.join(file), moved.folder.join(file)).unwrap();
    }
    let mut serve = tokio::process::Command::new(binary());
    serve.arg("serve").args(moved.arguments()).args(["--listen", "127.0.0.1:0"]).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(1), serve.output()).await.unwrap().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("`circolo projections rebuild --all`"), "{complaint}");
    moved.run(&["projections", "rebuild", "--all"]);
    moved.run(&["projections", "verify", "--all"]);
    Server::start(&moved).await.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let origin = log_of(&origin(&folder, "1"));
    let from = sqlite(&origin);
    let path = |name: &str| folder.path().join(name);
    let same = refused(&from, &from);
    assert!(same.contains("source and target are the same log"), "{same}");
    // A file that was copied by hand has the same identity: it must not go on by itself.
    std::fs::create_dir(path("clone")).unwrap();
    std::fs::copy(&origin, path("clone/log.sqlite")).unwrap();
    let same = refused(&from, &sqlite(&path("clone/log.sqlite")));
    assert!(same.contains("source and target are the same log"), "{same}");
    let none = refused(&sqlite(&path("nowhere/log.sqlite")), &sqlite(&path("target/log.sqlite")));
    assert!(none.contains("--from") && !path("target").exists(), "{none}");
    drop(Sqlite::open(&path("empty.sqlite"), &sqlite::Options::default(), Uuid::from_u128(1)).unwrap());
    let empty = refused(&sqlite(&path("empty.sqlite")), &sqlite(&path("target/log.sqlite")));
    assert!(empty.contains("the source holds no events") && !path("target").exists(), "{empty}");
    for (one, other) in [("memory:", from.as_str()), (from.as_str(), "memory:")] {
        let memory = refused(one, other);
        assert!(memory.contains("a log in memory is gone when its process ends"), "{memory}");
    }
    let unknown = refused(&from, "mysql://root:secret@db/log");
    assert!(unknown.contains("is not a place for data") && !unknown.contains("secret"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_lives_a_life_of_its_own_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (from, there) = (log_of(&origin(&folder, "1")), folder.path().join("there/log.sqlite"));
    copied(&sqlite(&from), &sqlite(&there), &[]);
    let store = Sqlite::open(&there, &sqlite::Options::default(), Uuid::nil()).unwrap();
    let event = crate::backend::event(crate::backend::uuid(1), 0);
    let event = NewEvent { recorded_at: Timestamp::from_micros(1), ..event };
    let append = circolo_events::Append {
        stream: crate::backend::stream("note-1"),
        expected: circolo_events::Expected::NoStream,
        events: vec![event],
    };
    store.append(append).await.unwrap();
    drop(store);
    let before = events(&there).await;
    for quick in [&[][..], &["--quick"]] {
        let output = copy(&sqlite(&from), &sqlite(&there), quick);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.contains("the target holds more than the source: it has been written to"), "{complaint}");
    }
    assert_eq!(before, events(&there).await);
    // One more letter of a payload is seen.
    let file = rusqlite::Connection::open(&there).unwrap();
    file.execute_batch("UPDATE events SET data = data || ' ' WHERE position = 100").unwrap();
    drop(file);
    let complaint = refused(&sqlite(&from), &sqlite(&there));
    assert!(complaint.contains("its event at position 100 differs in its payload"), "{complaint}");
}
