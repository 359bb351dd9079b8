//! What leaves a sealed log: masked lines without a key, whole ones with their owners; and the way back.

use super::{MARK, in_memory};
use crate::{
    backend::whole,
    exports::{exported, simulated, subject},
};
use circolo_events::{
    Memory, NewEvent, Position, Stored,
    store::kept,
    transfer::{Filter, Job, Line, import, text},
};
use circolo_tests::{
    server::{Storage, binary},
    stories,
    world::{World, sealed},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::Arc};
use uuid::Uuid;

stories!(a_server_tells_masked_lines_as_they_are_kept_and_whole_ones_with_their_owners);

/// Event by event: what it says, and whose each text is.
fn told(events: &[Stored]) -> Vec<(&NewEvent, BTreeSet<(&str, &str)>)> {
    events.iter().map(|stored| (&stored.event, stored.event.texts.iter().map(|text| (&*text.at, text.of.as_str())).collect())).collect()
}

#[tokio::test]
async fn a_plain_history_is_imported_under_the_owners_that_its_own_log_would_have_given_it() {
    let ((ours, folder), plain) = (in_memory().await, Memory::new(Uuid::from_u128(2)));
    simulated(&*ours, 3, 3_000).await;
    simulated(&plain, 3, 3_000).await;
    let lines = exported(&plain, &folder, "plain.ndjson").await;
    assert!(lines.iter().all(|line| !line.contains("\"owners\"")));
    let imported = sealed(Arc::new(Memory::new(Uuid::from_u128(3))), folder.path()).await;
    import::import(&*imported, &folder.path().join("plain.ndjson"), |_| ()).await.unwrap();
    let (one, other) = (whole(&*ours, 500).await, whole(&*imported, 500).await);
    for ((one, owners), (other, others)) in told(&one).into_iter().zip(told(&other)) {
        assert_eq!((one.id, &one.data, &one.metadata, owners), (other.id, &other.data, &other.metadata, others));
    }
    assert_eq!(one.len(), other.len());
    // Exported again, whose texts they are is told, and comes back as it was.
    let lines = exported(&*imported, &folder, "sealed.ndjson").await;
    assert!(lines.iter().filter(|line| line.contains("\"owners\":{\"/")).count() > lines.len() / 4);
    let again = sealed(Arc::new(Memory::new(Uuid::from_u128(4))), folder.path()).await;
    import::import(&*again, &folder.path().join("sealed.ndjson"), |_| ()).await.unwrap();
    assert_eq!(exported(&*again, &folder, "again.ndjson").await, lines);
    assert!(
        whole(&*kept(&again), 500).await.iter().filter(|stored| stored.event.metadata.contains("\"sealed\"")).count() > lines.len() / 4
    );
}

#[tokio::test]
async fn a_line_that_names_a_text_that_is_not_there_is_refused() {
    let ((log, folder), plain) = (in_memory().await, Memory::new(Uuid::from_u128(2)));
    simulated(&plain, 3, 50).await;
    let mut lines = exported(&plain, &folder, "lines.ndjson").await;
    let mut line: Value = serde_json::from_str(&lines[7]).unwrap();
    line["owners"] = json!({ "/nowhere": "person-x" });
    lines[7] = line.to_string();
    fs::write(folder.path().join("lines.ndjson"), lines.join("\n")).unwrap();
    let refused = import::import(&*log, &folder.path().join("lines.ndjson"), |_| ()).await.unwrap_err().to_string();
    assert!(refused.starts_with("line 8: ") && refused.contains("/nowhere"), "{refused}");
    assert_eq!(log.head().await.unwrap(), Position::START);
}

async fn a_server_tells_masked_lines_as_they_are_kept_and_whole_ones_with_their_owners(world: World) {
    let ann = world.person(&format!("{MARK} Ann")).await;
    let group = json!({ "name": "Bakers", "privacy": "closed", "membership": "request" });
    let group = ann.post("/v1/groups", group).await.expect(201).location().to_owned();
    let body = json!({ "title": format!("{MARK}?"), "body": MARK });
    ann.with("idempotency-key", "one").post(&format!("{group}/questions"), body).await.expect(201);
    world.settled().await;
    let eve = world.signed_in("eve", "analyst analyst:unmask");
    let masked = eve.get("/v1/events").await.expect(200).items();
    let log = kept(world.store());
    let kept: Vec<Value> = whole(&*log, 100).await.into_iter().map(|stored| serde_json::to_value(Line::masked(stored)).unwrap()).collect();
    assert_eq!(masked, kept);
    let posted = masked.iter().find(|line| line["type"] == "question.posted.v1").unwrap();
    assert!(posted["data"]["title"].is_null() && posted["sealed_sha256"].as_str().unwrap().len() == 64, "{posted}");
    assert!(
        posted["metadata"]["sealed"].is_null() && posted["metadata"]["fingerprint"].is_null() && posted["owners"].is_null(),
        "{posted}"
    );
    let whole = eve.get("/v1/events?unmask=true").await.expect(200).items();
    let posted = whole.iter().find(|line| line["type"] == "question.posted.v1").unwrap();
    let owner = format!("person-{}", ann.id());
    assert_eq!(posted["owners"], json!({ "/title": owner, "/body": owner }));
    assert!(posted["data"]["body"] == MARK && posted["sealed_sha256"].is_null() && posted["metadata"]["sealed"].is_null(), "{posted}");
    // A fingerprint names the version of its caller's key.
    assert!(posted["metadata"]["fingerprint"].as_str().unwrap().starts_with("1:"), "{posted}");
}

/// The lines of a file.
fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_masked_export_needs_no_key_and_a_whole_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    storage.run(&["simulate", "--people", "20", "--groups", "2", "--days", "5", "--events", "300"]);
    let path = |name: &str| folder.path().join(name);
    let export = |name: &str, more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["events", "export", "--out"]).arg(path(name)).args(more).args(storage.arguments()).output().unwrap()
    };
    assert!(export("before", &[]).status.success());
    fs::rename(storage.folder.join("keys.sqlite"), path("keys")).unwrap();
    assert!(export("without", &[]).status.success());
    assert_eq!(lines(&path("before")), lines(&path("without")));
    assert!(lines(&path("before")).iter().filter(|line| line.contains("sealed_sha256")).count() > 100);
    let refused = export("whole", &["--unmask"]);
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && complaint.contains("keys.sqlite is missing"), "{complaint}");
    fs::rename(path("keys"), storage.folder.join("keys.sqlite")).unwrap();
    assert!(export("whole", &["--unmask"]).status.success());
    // Into a new house, with keys of its own.
    let other = Storage { folder: path("other"), database: None };
    other.run(&["events", "import", path("whole").to_str().unwrap()]);
    let again = Command::new(binary()).args(["events", "export", "--unmask", "--out"]).arg(path("again")).args(other.arguments()).output();
    assert!(again.unwrap().status.success());
    // But for the note of who read them last.
    let (whole, again) = (lines(&path("whole")), lines(&path("again")));
    assert_eq!(whole[..], again[..whole.len()]);
}

#[tokio::test]
async fn a_masked_text_export_reads_the_log_as_it_is_kept() {
    let (log, folder) = in_memory().await;
    simulated(&*log, 5, 200).await;
    for (name, store) in [("opened", &log), ("kept", &kept(&log))] {
        let (subject, end) = (subject(&**store, Filter::default(), true), store.head().await.unwrap());
        let job = Job { store: &**store, subject, end, progress: &mut |_, _| () };
        text::export(job, text::Format::Ndjson, &folder.path().join(name)).await.unwrap();
    }
    assert_eq!(lines(&folder.path().join("opened")), lines(&folder.path().join("kept")));
}
