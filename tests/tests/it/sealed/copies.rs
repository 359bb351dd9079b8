//! A log of before is carried over: what stood plain is sealed on the way, and boxes move as they are.

use super::in_memory;
use crate::{
    backend::whole,
    exports::{exported, simulated},
};
use circolo_events::{NewEvent, Sqlite, sqlite};
use circolo_tests::server::{Storage, binary};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use uuid::Uuid;

fn copy(from: &Path, to: &Path, data: &Storage, more: &[&str]) -> Output {
    let url = |path: &Path| format!("sqlite:{}", path.display());
    let mut command = Command::new(binary());
    command.args(["events", "copy", "--from", &url(from), "--to", &url(to), "--data"]).arg(&data.folder).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn events(path: &Path) -> Vec<NewEvent> {
    let log = Sqlite::open_read_only(path, &sqlite::Options::default()).unwrap();
    whole(&log, 1_000).await.into_iter().map(|stored| stored.event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_which_texts_stand_plain_is_sealed_by_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before.sqlite");
    let plain = Sqlite::open(&before, &sqlite::Options::default(), Uuid::from_u128(5)).unwrap();
    simulated(&plain, 7, 2_000).await;
    drop(plain);
    let data = Storage { folder: folder.path().join("data"), database: None };
    fs::create_dir(&data.folder).unwrap();
    let log = data.folder.join("log.sqlite");
    let all = events(&before).await;
    let printed = said(&copy(&before, &log, &data, &["--seal"]));
    assert!(printed.starts_with(&format!("{} events copied and compared", all.len())), "{printed}");
    let sealed = events(&log).await;
    assert!(sealed.iter().filter(|event| event.metadata.contains("\"sealed\"")).count() > all.len() / 4);
    // Once more: what is there is opened and compared, and more comes behind it.
    let printed = said(&copy(&before, &log, &data, &["--seal"]));
    assert!(printed.starts_with(&format!("0 events copied and compared, {} were there already", all.len())), "{printed}");
    said(&copy(&before, &log, &data, &["--seal", "--quick"]));
    // Whose the texts are is what the log itself would have said.
    let (ours, elsewhere) = in_memory().await;
    simulated(&*ours, 7, 2_000).await;
    let lines = exported(&*ours, &elsewhere, "lines").await;
    let path = folder.path().join("whole.ndjson");
    data.run(&["events", "export", "--unmask", "--out", path.to_str().unwrap()]);
    let exported: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let without_position = |line: &String| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["position"] = 0.into();
        line
    };
    assert!(exported[..lines.len()].iter().map(without_position).eq(lines.iter().map(without_position)));
    // A copy of the sealed one has its boxes, byte for byte, and one that seals does not seal them again.
    for (name, more) in [("moved.sqlite", &[][..]), ("again.sqlite", &["--seal"])] {
        let moved = folder.path().join(name);
        said(&copy(&log, &moved, &data, more));
        assert!(events(&log).await == events(&moved).await, "{name}");
    }
    data.run(&["projections", "build"]);
    data.run(&["projections", "verify", "--all"]);
    // What is still plain is counted, here and where the log is as it was.
    let count = sealed.iter().filter(|event| event.metadata.contains("\"sealed\"")).count();
    let house = Storage { folder: folder.path().join("plain"), database: None };
    fs::create_dir(&house.folder).unwrap();
    fs::copy(&before, house.folder.join("log.sqlite")).unwrap();
    house.run(&["projections", "rebuild", "--all"]);
    for _ in 0..2 {
        let status = house.run(&["keys", "status"]);
        assert!(
            status.contains("\n0 events of the log are sealed") && status.contains(&format!("; in {count} texts stand plain")),
            "{status}"
        );
        let status = data.run(&["keys", "status"]);
        assert!(!status.contains("\n0 events") && status.contains("; in 0 texts stand plain"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_in_a_sealed_copy_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (before, data) = (folder.path().join("before.sqlite"), Storage { folder: folder.path().join("data"), database: None });
    let plain = Sqlite::open(&before, &sqlite::Options::default(), Uuid::from_u128(5)).unwrap();
    simulated(&plain, 7, 300).await;
    drop(plain);
    fs::create_dir(&data.folder).unwrap();
    let log = data.folder.join("log.sqlite");
    said(&copy(&before, &log, &data, &["--seal"]));
    // A box is swapped for that of another event.
    let connection = rusqlite::Connection::open(&log).unwrap();
    let swap = "UPDATE events SET metadata = (SELECT metadata FROM events WHERE type = 'question.posted.v1' ORDER BY position LIMIT 1)
                WHERE position = (SELECT max(position) FROM events WHERE type = 'question.posted.v1')";
    assert_eq!(connection.execute(swap, []).unwrap(), 1);
    drop(connection);
    let output = copy(&before, &log, &data, &["--seal"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("does not hold the beginning of the source"), "{complaint}");
    // And without the keys nothing is sealed at all.
    let other = Storage { folder: folder.path().join("other"), database: None };
    fs::create_dir(&other.folder).unwrap();
    let output = copy(&log, &folder.path().join("target.sqlite"), &other, &["--seal"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("key store"), "{complaint}");
}
