//! docs/operations.md: its commands for backup and restore work as printed, and what it names is there.

use circolo_events::{EventStore, Position, Sqlite, Stored, sqlite};
use circolo_tests::{
    postgres::cluster_with,
    server::{Server, Storage, binary},
};
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/operations.md");

/// The block of commands that is marked so.
fn block(mark: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- test: {mark} -->\n```sh\n")).unwrap();
    rest.split_once("\n```").unwrap().0
}

/// Runs commands in `folder`, where `circolo` is the program under test and what else they say is set; what they print.
async fn run(folder: &Path, commands: &str, variables: &[(&str, &str)]) -> String {
    // Debian keeps some of Postgres' programs to itself.
    let setting = r#"PATH="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1):$PATH""#;
    let script = format!("{setting}\ncircolo() {{ '{}' \"$@\"; }}\n{commands}", binary().display());
    let mut bash = tokio::process::Command::new("bash");
    let output = bash.args(["-euo", "pipefail", "-c", &script]).envs(variables.iter().copied()).current_dir(folder).output().await.unwrap();
    assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn log(path: &Path) -> Sqlite {
    Sqlite::open_read_only(path, &sqlite::Options::default()).unwrap()
}

async fn events(path: &Path) -> Vec<Stored> {
    crate::backend::whole(&log(path), 1_000).await
}

async fn register(server: &Server, storage: &Storage, name: &str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let person = reqwest::Client::new().post(format!("{}/v1/people", server.url())).bearer_auth(storage.token(name, ""));
    let answer = person.json(&serde_json::json!({ "display_name": name })).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

fn is_installed(program: &str) -> bool {
    let there = std::process::Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "{program} is required");
    if !there {
        eprintln!("skipped: no {program}");
    }
    there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_sqlite_is_backed_up_while_it_is_served_and_restored() {
    if !is_installed("sqlite3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    storage.run(&["simulate", "--people", "30", "--groups", "3", "--days", "10", "--events", "700"]);
    let server = Server::start(&storage).await;
    register(&server, &storage, "ann").await;
    let before = events(&storage.folder.join("log.sqlite")).await;
    let printed = run(folder.path(), block("sqlite backup"), &[]).await;
    assert_eq!(printed, "ok\n");
    run(folder.path(), block("keys backup"), &[]).await;
    register(&server, &storage, "bea").await;
    let token = storage.token("ann", "");
    server.kill().await;
    let id = log(&storage.folder.join("log.sqlite")).log_id();
    run(folder.path(), block("sqlite restore"), &[]).await;
    // The keys are lost as well, and come back from where they are kept.
    let keys = storage.folder.join("keys.sqlite");
    for file in ["keys.sqlite-wal", "keys.sqlite-shm"] {
        let _ = std::fs::remove_file(storage.folder.join(file));
    }
    std::fs::copy(folder.path().join("keys-backup/keys.sqlite"), keys).unwrap();
    let restored = storage.folder.join("log.sqlite");
    // Positions and identity are what they were; only what came later is gone.
    assert!(before == events(&restored).await && !before.is_empty());
    assert_eq!(log(&restored).log_id(), id);
    assert_eq!(storage.token("ann", "").len(), token.len());
    storage.run(&["projections", "verify", "--all"]);
    let server = Server::start(&storage).await;
    register(&server, &storage, "bea").await;
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_postgres_is_backed_up_while_it_is_served_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = cluster_with(&std::env::temp_dir(), &["-c", "fsync=off"]) else {
        assert!(std::env::var_os("CI").is_none(), "Postgres is required");
        return;
    };
    let storage = Storage { folder: folder.path().join("data"), database: Some(cluster.url.clone()) };
    storage.run(&["simulate", "--people", "30", "--groups", "3", "--days", "10", "--events", "700"]);
    storage.run(&["projections", "build"]);
    let server = Server::start(&storage).await;
    register(&server, &storage, "ann").await;
    let restored = format!("{}/restored", cluster.url.strip_suffix("/postgres").unwrap());
    let variables = [("DATABASE", cluster.url.as_str()), ("RESTORED", restored.as_str())];
    run(folder.path(), block("postgres dump"), &variables).await;
    let backup = run(folder.path(), block("postgres base"), &variables).await;
    assert!(backup.contains("backup successfully verified"), "{backup}");
    server.kill().await;
    // Log and read models match: the server goes on at once, with the same events.
    let copy = Storage { folder: folder.path().join("data"), database: Some(restored) };
    let lines = |storage: &Storage| storage.run(&["events", "tail", "--after", "0", "--no-follow"]);
    assert_eq!(lines(&storage), lines(&copy));
    copy.run(&["projections", "verify", "--all"]);
    let server = Server::start(&copy).await;
    register(&server, &copy, "bea").await;
    server.kill().await;
    assert_eq!(lines(&storage).lines().count() + 1, lines(&copy).lines().count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_watched_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let server = Server::start(&storage).await;
    register(&server, &storage, "ann").await;
    assert!(log(&storage.folder.join("log.sqlite")).head().await.unwrap() > Position::START);
    let measure = async || reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    // How much of the log is sealed is counted after the start.
    let mut measured = measure().await;
    let began = tokio::time::Instant::now();
    while !measured.contains("circolo_log_plain_events 0") && began.elapsed() < std::time::Duration::from_secs(20) {
        measured = measure().await;
    }
    let names = DOCUMENT.split(['`', '{', ' ']).filter(|word| word.starts_with("circolo_"));
    let mut count = 0;
    for name in names {
        assert!(measured.contains(&format!("# TYPE {name} ")), "{name} is not measured");
        count += 1;
    }
    assert!(count >= 7);
    server.kill().await;
}

#[test]
fn its_links_lead_somewhere() {
    let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    for link in DOCUMENT.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
        assert!(docs.join(link).exists(), "{link}");
    }
}
