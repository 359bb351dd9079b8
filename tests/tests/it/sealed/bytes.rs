//! No word of any text of any event is in a byte of what is kept, or of what a server tells of itself.

use super::{MARK, marked};
use crate::backend::whole;
use circolo_events::{EventStore, Postgres, Sqlite, postgres, sqlite};
use circolo_tests::{
    postgres::cluster_with,
    server::{Storage, binary},
    world::sealed,
};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};
use uuid::Uuid;

/// Files below `folder` that hold the mark.
fn holding(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(MARK)) {
            found.push(path);
        }
    }
    found
}

/// Writes every text there is behind keys, and reads it again.
async fn write_and_read(log: Arc<dyn EventStore>, folder: &Path) {
    let (appends, words) = marked();
    let log = sealed(log, folder).await;
    for outcome in log.append_many(appends).await {
        outcome.unwrap();
    }
    let read: Vec<String> = whole(&*log, 10).await.into_iter().map(|stored| stored.event.data).collect();
    let read = read.join("\n");
    for word in words {
        assert!(read.contains(&word), "{word} does not come back");
    }
}

#[tokio::test]
async fn no_word_is_in_the_files_of_sqlite() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = Sqlite::open(&folder.path().join("log.sqlite"), &sqlite::Options::default(), Uuid::from_u128(1)).unwrap();
    write_and_read(Arc::new(log), keys.path()).await;
    assert_eq!(holding(folder.path()), Vec::<PathBuf>::new());
    // The same without keys shows that it would be found.
    let open = tempfile::tempdir().unwrap();
    let log = Sqlite::open(&open.path().join("log.sqlite"), &sqlite::Options::default(), Uuid::from_u128(1)).unwrap();
    for outcome in log.append_many(marked().0).await {
        outcome.unwrap();
    }
    drop(log);
    assert!(!holding(open.path()).is_empty());
}

#[tokio::test]
async fn no_word_is_in_the_files_of_postgres() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The server runs as somebody else.
    Command::new("chmod").arg("777").arg(folder.path()).status().unwrap();
    let Some(cluster) = cluster_with(folder.path(), &[]) else { return };
    let log = Postgres::connect(&cluster.url, &postgres::Options::default(), Uuid::from_u128(1)).await.unwrap();
    write_and_read(Arc::new(log), keys.path()).await;
    let mut connection = PgConnection::connect(&cluster.url).await.unwrap();
    connection.execute("CHECKPOINT").await.unwrap();
    assert_eq!(holding(folder.path()), Vec::<PathBuf>::new());
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE TABLE open AS SELECT '{MARK}' AS word; CHECKPOINT"))).await.unwrap();
    assert!(!holding(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_is_in_what_a_server_tells_of_itself() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let mut command = Command::new(binary());
    command.arg("serve").args(storage.arguments()).args(["--listen", "127.0.0.1:0", "--rate-limit", "0"]);
    let mut server = command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut told, mut errors) = (server.stdout.take().unwrap(), BufReader::new(server.stderr.take().unwrap()));
    let telling = std::thread::spawn(move || {
        let mut all = vec![];
        told.read_to_end(&mut all).unwrap();
        all
    });
    let (mut line, mut said) = (String::new(), String::new());
    while !line.contains(" serves ") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "{said}");
        said.push_str(&line);
    }
    let url = line.split_once(" serves ").unwrap().1.trim().to_owned();
    let complaining = std::thread::spawn(move || {
        errors.read_to_string(&mut said).unwrap();
        said
    });
    let (client, token) = (reqwest::Client::new(), storage.token("ann", ""));
    let post = async |path: &str, body: serde_json::Value| {
        let sent = client.post(format!("{url}{path}")).bearer_auth(&token).header("idempotency-key", "once").json(&body);
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{path}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    post("/v1/people", json!({ "display_name": format!("{MARK} Ann") })).await;
    let group = json!({ "name": format!("{MARK} name"), "description": MARK, "privacy": "secret", "membership": "invite_only" });
    let group = post("/v1/groups", group).await;
    let question = post(&format!("{group}/questions"), json!({ "title": format!("{MARK}?"), "body": MARK })).await;
    let answer = client.get(format!("{url}{question}")).bearer_auth(&token).send().await.unwrap().text().await.unwrap();
    assert!(answer.contains(MARK), "{answer}");
    let metrics = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("circolo_commands_total") && !metrics.contains(MARK), "{metrics}");
    Command::new("kill").arg(server.id().to_string()).status().unwrap();
    server.wait().unwrap();
    let (told, complained) = (telling.join().unwrap(), complaining.join().unwrap());
    let all = String::from_utf8_lossy(&told).into_owned() + &complained;
    assert!(all.contains("PostQuestion") || all.contains("questions"), "nothing is told: {}", all.len());
    let line = all.lines().find(|line| line.contains(MARK));
    assert_eq!(line, None);
    // Of all that it keeps, only the read models hold it, which can be built anew.
    let names = holding(&storage.folder).into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert!(names.clone().all(|name| name.starts_with("views.sqlite")) && names.count() > 0);
}
