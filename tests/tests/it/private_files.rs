//! What the program writes is for its owner alone, however generous the system is.

use circolo_tests::server::{Server, Storage, binary};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The program, told by its surroundings that everybody may read what it makes.
fn generous(folder: &Path) -> PathBuf {
    let script = folder.join("circolo");
    fs::write(&script, format!("#!/bin/sh\numask 0\nexec {} \"$@\"\n", binary().display())).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    script
}

/// Everything below `folder`, with its rights.
fn below(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let rights = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push((path, rights));
    }
    found
}

/// Fails unless all below `folder` is for its owner alone; the names of the files.
fn private(folder: &Path) -> Vec<String> {
    let all = below(folder);
    for (path, rights) in &all {
        assert_eq!(*rights, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    all.iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_written_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (made, out) = (folder.path().join("a"), folder.path().join("out"));
    fs::create_dir(&out).unwrap();
    let program = generous(folder.path());
    let storage = Storage { folder: made.join("data"), database: None };
    let run = |subcommand: &[&str]| storage.run_with(&program, subcommand);
    run(&["simulate", "--people", "20", "--groups", "2", "--days", "5", "--events", "300"]);
    run(&["projections", "build"]);
    for (name, arguments) in [
        ("a.ndjson", &["events", "export", "--unmask"][..]),
        ("b.csv", &["events", "export", "--format", "csv"]),
        ("parquet", &["events", "export", "--unmask", "--format", "parquet"]),
        ("c.sqlite", &["as-of", "--position", "200", "--unmask"]),
        ("tables", &["as-of", "--position", "200", "--format", "parquet"]),
    ] {
        run(&[arguments, &["--out", out.join(name).to_str().unwrap()]].concat());
    }
    let url = |place: &str| format!("sqlite:{}", made.join(place).display());
    let copied =
        Command::new(&program).args(["events", "copy", "--from", &url("data/log.sqlite"), "--to", &url("copy/log.sqlite")]).status();
    assert!(copied.unwrap().success());
    let server = Server::start_with(&program, &storage).await;
    let token = storage.token("ann", "");
    let person = reqwest::Client::new().post(format!("{}/v1/people", server.url())).bearer_auth(token);
    let person = person.header("content-type", "application/json").body(r#"{"display_name":"Ann"}"#).send().await.unwrap();
    assert_eq!(person.status(), 201);
    let names = private(&made);
    for name in ["token-key.pem", "circolo.lock", "log.sqlite", "log.sqlite-wal", "log.sqlite-shm", "views.sqlite", "views.sqlite-wal"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    assert!(private(&out).len() > 10);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_others_may_look_into_is_told_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let server = Server::start(&storage).await;
    assert!(!server.said_so_far("others than the owner may look"), "nobody may look into what was just made");
    server.kill().await;
    fs::set_permissions(&storage.folder, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(storage.folder.join("log.sqlite"), Permissions::from_mode(0o644)).unwrap();
    let server = Server::start(&storage).await;
    server.says("others than the owner may look into this folder").await;
    assert_eq!(fs::metadata(&storage.folder).unwrap().permissions().mode() & 0o777, 0o755);
    server.kill().await;
}
