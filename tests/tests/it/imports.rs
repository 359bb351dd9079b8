//! Imports by the real program, killed half-way: what they leave is not served, and the same command goes on with it.

use crate::backend::whole;
use circolo::open;
use circolo_events::{EventStore, Stored};
#[cfg(feature = "kurrentdb")]
use circolo_tests::kurrent::Double;
use circolo_tests::{
    postgres::fresh_schema,
    server::{Server, Storage, binary},
};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

/// More than the import hands over at once, which SQLite takes in one transaction.
const FOR_SQLITE: u64 = 70_000;
/// More than one transaction of Postgres takes.
const FOR_POSTGRES: u64 = 40_000;

/// So many people register.
fn people(folder: &TempDir, events: u64) -> PathBuf {
    let mut lines = String::new();
    for number in 1..=events {
        let (id, stream) = (Uuid::from_u128(number.into()), Uuid::from_u128(u128::from(number) << 64));
        let metadata = format!(r#"{{"command":"Register","command_id":"{id}","correlation":"{id}"}}"#);
        let rest = format!(
            r#""data":{{"display_name":"Ann {number}"}},"recorded_at":"2026-01-01T00:00:00Z","metadata":{metadata},"masked":false"#
        );
        let head = format!(r#""position":{number},"id":"{id}","stream":"person-{stream}","revision":0,"type":"person.registered.v1""#);
        writeln!(lines, "{{{head},{rest}}}").unwrap();
    }
    let path = folder.path().join(format!("{events}.ndjson"));
    fs::write(&path, lines).unwrap();
    path
}

fn import(storage: &Storage, file: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["events", "import"]).arg(file).args(storage.arguments()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The log at `url`, as anybody may look at it; none if it is not there yet, or a part only.
async fn looked_at(url: &str) -> Option<std::sync::Arc<dyn EventStore>> {
    open::source(url).await.ok()
}

/// What a program says that is refused.
fn refused(storage: &Storage, arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).args(storage.arguments()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} went on");
    String::from_utf8(output.stderr).unwrap()
}

/// How many events the log holds, part or not.
async fn held(url: &str) -> i64 {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let opened = circolo_events::Sqlite::open_read_only(Path::new(path), &circolo_events::sqlite::Options::default());
        let Ok(store) = opened else { return 0 };
        return store.head().await.map_or(0, |head| head.0);
    }
    let store = circolo_events::Postgres::connect_to_read(url, &circolo_events::postgres::Options::default()).await;
    let Ok(store) = store else { return 0 };
    store.head().await.map_or(0, |head| head.0)
}

/// Kills imports until one was half-way, each into a log of its own: `place` gives its URL.
async fn killed_half_way(
    folder: &TempDir,
    (file, events): (&Path, u64),
    place: impl AsyncFn(u32) -> Option<String>,
) -> Option<(Storage, String)> {
    for attempt in 0.. {
        let url = place(attempt).await?;
        let views = format!("sqlite:{}", folder.path().join(format!("views-{attempt}.sqlite")).display());
        let storage = Storage { folder: folder.path().join(format!("data-{attempt}")), database: Some(format!("{url} {views}")) };
        let mut importing = import(&storage, file).spawn().unwrap();
        while held(&url).await == 0 && importing.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        importing.kill().unwrap();
        importing.wait().unwrap();
        if held(&url).await < i64::try_from(events).unwrap() {
            return Some((storage, url));
        }
    }
    None
}

async fn goes_on(folder: &TempDir, (file, count): (&Path, u64), storage: &Storage, url: &str) {
    assert!(held(url).await > 0, "it ended before it had begun");
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["events", "create"], &["events", "export", "--out", "x.ndjson"]] {
        let complaint = refused(storage, arguments);
        assert!(complaint.contains("holds a part only") && complaint.contains("circolo events import"), "{arguments:?}: {complaint}");
    }
    assert!(looked_at(url).await.is_none());
    // Another history is not mixed with it.
    let other = people(folder, 7);
    let complaint = refused(storage, &["events", "import", other.to_str().unwrap()]);
    assert!(complaint.contains("a part of another history"), "{complaint}");
    assert!(import(storage, file).status().unwrap().success());
    let events: Vec<Stored> = whole(&*looked_at(url).await.unwrap(), 10_000).await;
    assert_eq!(events.len() as u64, count);
    assert!(events.iter().zip(1_u128..).all(|(stored, number)| stored.event.id == Uuid::from_u128(number)), "each once and in order");
    Server::start(storage).await.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_into_sqlite_that_was_killed_is_not_served_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = people(&folder, FOR_SQLITE);
    let place = async |attempt: u32| Some(format!("sqlite:{}", folder.path().join(format!("log-{attempt}.sqlite")).display()));
    let (storage, url) = killed_half_way(&folder, (&file, FOR_SQLITE), place).await.unwrap();
    goes_on(&folder, (&file, FOR_SQLITE), &storage, &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_into_postgres_that_was_killed_is_not_served_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = people(&folder, FOR_POSTGRES);
    let Some((storage, url)) = killed_half_way(&folder, (&file, FOR_POSTGRES), async |_| fresh_schema().await).await else { return };
    goes_on(&folder, (&file, FOR_POSTGRES), &storage, &url).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_into_kurrentdb_that_was_killed_is_not_served_and_goes_on() {
    let (folder, double) = (tempfile::tempdir().unwrap(), Double::start().await);
    let file = people(&folder, 60);
    let database = format!("{} sqlite:{}", double.url(), folder.path().join("views.sqlite").display());
    let storage = Storage { folder: folder.path().join("data"), database: Some(database) };
    let mut importing = import(&storage, &file).spawn().unwrap();
    while double.counts().appends < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    double.freeze();
    importing.kill().unwrap();
    importing.wait().unwrap();
    double.thaw();
    let complaint = refused(&storage, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("holds a part only"), "{complaint}");
    assert!(import(&storage, &file).status().unwrap().success());
    let store = looked_at(&double.url()).await.unwrap();
    let events = whole(&*store, 100).await;
    assert!(events.iter().zip(1_u128..).all(|(stored, number)| stored.event.id == Uuid::from_u128(number)) && events.len() == 60);
    Server::start(&storage).await.kill().await;
}
