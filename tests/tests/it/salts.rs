//! The salt of person ids: drawn once whoever begins a log, moved with it, and told to nobody.

use crate::backend::{Backend, uuid, whole};
use circolo::auth::ISSUER;
use circolo_domain::{Timestamp, salt};
use circolo_events::{EventStore, Memory, People, Sqlite, Stored, sealing::Random, sqlite};
#[cfg(feature = "kurrentdb")]
use circolo_tests::kurrent::Double;
use circolo_tests::{
    hesitant::Hesitant,
    postgres::fresh_schema,
    server::{Server, Storage, binary},
    stories,
    world::World,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

stories!(the_salt_is_told_to_nobody);

/// Ann's id in logs of before.
const OLD_ANN: &str = "5ac9a9b3-9862-5566-8fd2-97c3dd7f5b01";

fn storage(folder: &TempDir, name: &str) -> Storage {
    Storage { folder: folder.path().join(name), database: None }
}

async fn log_of(storage: &Storage) -> Vec<Stored> {
    whole(&Sqlite::open_read_only(&storage.folder.join("log.sqlite"), &sqlite::Options::default()).unwrap(), 1_000).await
}

/// The salts that a log holds, as they stand there.
fn salts(events: &[Stored]) -> Vec<String> {
    let drawn = events.iter().filter(|stored| stored.event.event_type == "salt.drawn.v1");
    drawn.map(|stored| serde_json::from_str::<Value>(&stored.event.data).unwrap()["salt"].as_str().unwrap().to_owned()).collect()
}

/// What `server` says of whoever signs in with `token`.
async fn me(server: &Server, token: &str) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::new().get(format!("{}/v1/me", server.url())).bearer_auth(token).send().await.unwrap();
    answer.json().await.unwrap()
}

/// Who signs in as `subject` of a server on `storage`.
async fn person(storage: &Storage, subject: &str) -> Value {
    let server = Server::start(storage).await;
    let ready = async || reqwest::get(format!("{}/health/ready", server.url())).await.unwrap().status() == 200;
    let built = async { while !ready().await {} };
    tokio::time::timeout(Duration::from_mins(1), built).await.unwrap();
    let person = me(&server, &storage.token(subject, "")).await;
    server.stop().await;
    person
}

fn refused(storage: &Storage, arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).args(storage.arguments()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} went on");
    String::from_utf8(output.stderr).unwrap()
}

/// Many begin a log at the same time, through as many connections as there may be: one salt is drawn, and all go by it.
async fn many_begin(name: &str) {
    let Some(backend) = Backend::new(name).await else { return };
    let stores: Vec<Arc<dyn EventStore>> = match name {
        "memory" => vec![Arc::new(Hesitant::new(Memory::default()))],
        "sqlite" => vec![backend.open().await],
        _ => vec![backend.open().await, backend.open().await],
    };
    let start = async |number: u8| {
        let store = &stores[usize::from(number) % stores.len()];
        let drawn = Random::of(move |bytes| bytes.fill(number));
        People::begin(&**store, &drawn, uuid(number.into()), Timestamp::from_micros(1)).await.unwrap()
    };
    let begun = futures::future::join_all((1..=8).map(start)).await;
    assert!(begun.iter().all(|people| *people == begun[0]), "{name}: each goes by a salt of their own");
    let events = whole(&*stores[0], 10).await;
    assert_eq!((events.len(), salts(&events).len(), &events[0].stream), (1, 1, &salt::stream()), "{name}");
    // Whoever comes later, too.
    drop(stores);
    let store = if name == "memory" { return } else { backend.open().await };
    assert_eq!(People::of(&*store).await.unwrap().as_ref(), Some(&begun[0]), "{name}");
}

#[tokio::test]
async fn one_salt_is_drawn_in_memory() {
    many_begin("memory").await;
}

#[tokio::test]
async fn one_salt_is_drawn_in_sqlite() {
    many_begin("sqlite").await;
}

#[tokio::test]
async fn one_salt_is_drawn_in_postgres() {
    many_begin("postgres").await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test]
async fn one_salt_is_drawn_in_kurrentdb() {
    many_begin("kurrentdb").await;
}

/// Two nodes on an empty log at once, and one after both.
async fn nodes_agree(storage: &Storage) {
    let (one, other) = tokio::join!(Server::start(storage), Server::start(storage));
    let token = storage.token("ann", "");
    let client = reqwest::Client::new();
    let register = client.post(format!("{}/v1/people", one.url())).bearer_auth(&token).json(&json!({ "display_name": "Ann" }));
    let registered = register.send().await.unwrap();
    assert_eq!(registered.status(), 201);
    let id = registered.json::<Value>().await.unwrap()["id"].clone();
    for server in [&one, &other] {
        let me = me(server, &token).await;
        assert_eq!((&me["id"], &me["registered"]), (&id, &json!(true)));
    }
    one.kill().await;
    other.stop().await;
    assert_eq!(person(storage, "ann").await["id"], id, "after a restart");
    assert_ne!(id, OLD_ANN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_know_the_same_people() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let Some(url) = fresh_schema().await else { return };
    nodes_agree(&Storage { database: Some(url), ..storage(&folder, "data") }).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_on_kurrentdb_know_the_same_people() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (folder, double) = (tempfile::tempdir().unwrap(), Double::start().await);
    let Some(views) = fresh_schema().await else { return };
    nodes_agree(&Storage { database: Some(format!("{} {views}", double.url())), ..storage(&folder, "data") }).await;
}

/// A history of a program of before: Ann has registered, and there is no salt.
fn history_of_before(folder: &TempDir) -> String {
    let id = uuid(1);
    let metadata = json!({ "actor": OLD_ANN, "command": "Register", "command_id": id, "correlation": id });
    let line = json!({
        "position": 1, "id": id, "stream": format!("person-{OLD_ANN}"), "revision": 0, "type": "person.registered.v1",
        "data": { "display_name": "Ann" }, "recorded_at": "2026-01-01T00:00:00Z", "metadata": metadata, "masked": false
    });
    let path = folder.path().join("before.ndjson");
    fs::write(&path, format!("{line}\n")).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_before_keeps_its_ids_and_gets_no_salt() {
    let folder = tempfile::tempdir().unwrap();
    let (old, copied) = (storage(&folder, "old"), storage(&folder, "copied"));
    old.run(&["events", "import", &history_of_before(&folder)]);
    for _ in 0..2 {
        let ann = person(&old, "ann").await;
        assert_eq!((&ann["id"], &ann["registered"]), (&json!(OLD_ANN), &json!(true)));
    }
    assert!(salts(&log_of(&old).await).is_empty());
    // Nor does its copy, nor what is simulated behind it.
    fs::create_dir(&copied.folder).unwrap();
    let url = |storage: &Storage| format!("sqlite:{}", storage.folder.join("log.sqlite").display());
    let copy = Command::new(binary()).args(["events", "copy", "--from", &url(&old), "--to", &url(&copied)]).output().unwrap();
    assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
    copied.run(&["simulate", "--append", "--people", "3", "--groups", "1", "--pages", "0", "--days", "1", "--events", "10"]);
    assert_eq!(person(&copied, "ann").await["id"], OLD_ANN);
    assert_eq!(person(&copied, "person-1").await["registered"], true);
    assert!(salts(&log_of(&copied).await).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_people_are_moves_with_their_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (origin, there, again) = (storage(&folder, "origin"), storage(&folder, "there"), storage(&folder, "again"));
    let simulated = ["simulate", "--people", "10", "--groups", "2", "--days", "5", "--events", "200"];
    origin.run(&simulated);
    again.run(&simulated);
    let held = salts(&log_of(&origin).await);
    assert_eq!((held.len(), &held), (1, &salts(&log_of(&again).await)), "the same seed, the same salt");
    let first = person(&origin, "person-1").await;
    assert_eq!(first["registered"], true);
    origin.run(&["events", "export", "--unmask", "--out", &path("whole")]);
    there.run(&["events", "import", &path("whole")]);
    assert_eq!(person(&there, "person-1").await["id"], first["id"]);
    assert_eq!(salts(&log_of(&there).await), held);
    // By way of a server the salt does not come along.
    let server = Server::start(&origin).await;
    let token = origin.token("una", "analyst:unmask");
    let over = ["events", "export", "--unmask", "--url", server.url(), "--token", &token, "--out", &path("over")];
    assert!(Command::new(binary()).args(over).status().unwrap().success());
    server.stop().await;
    let empty = storage(&folder, "empty");
    let complaint = refused(&empty, &["events", "import", &path("over")]);
    assert!(complaint.contains("line 1: the salt of person ids is null; a server never tells it"), "{complaint}");
    // Nor without its line, nor as something else.
    let lines = fs::read_to_string(folder.path().join("whole")).unwrap();
    let (_, rest) = lines.split_once('\n').unwrap();
    fs::write(folder.path().join("rest"), rest).unwrap();
    let complaint = refused(&empty, &["events", "import", &path("rest")]);
    assert!(complaint.contains("line 1: the id of this person was made with a salt"), "{complaint}");
    fs::write(folder.path().join("short"), lines.replacen(&held[0], &held[0][..42], 1)).unwrap();
    let complaint = refused(&empty, &["events", "import", &path("short")]);
    assert!(complaint.contains("line 1: the salt of person ids is not 32 bytes") && !complaint.contains(&held[0][..42]), "{complaint}");
    // All that left nothing behind: the true one is taken.
    empty.run(&["events", "import", &path("whole")]);
    assert_eq!(person(&empty, "person-1").await["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_a_server_has_begun_takes_no_other_history() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, origin) = (storage(&folder, "begun"), storage(&folder, "origin"));
    Server::start(&begun).await.stop().await;
    let held = salts(&log_of(&begun).await);
    assert_eq!(held.len(), 1);
    origin.run(&["simulate", "--people", "10", "--groups", "2", "--days", "5", "--events", "200"]);
    let whole = folder.path().join("whole").display().to_string();
    origin.run(&["events", "export", "--unmask", "--out", &whole]);
    for file in [&whole, &history_of_before(&folder)] {
        let complaint = refused(&begun, &["events", "import", file]);
        assert!(complaint.contains("a server has started on this log") && complaint.contains("salt"), "{complaint}");
    }
    let url = |storage: &Storage| format!("sqlite:{}", storage.folder.join("log.sqlite").display());
    let copy = Command::new(binary()).args(["events", "copy", "--from", &url(&origin), "--to", &url(&begun)]).output().unwrap();
    let complaint = String::from_utf8(copy.stderr).unwrap();
    assert!(!copy.status.success() && complaint.contains("does not hold the beginning of the source"), "{complaint}");
    assert_eq!((salts(&log_of(&begun).await), log_of(&begun).await.len()), (held.clone(), 1));
    // Whoever simulates behind it goes by the salt that is there.
    begun.run(&["simulate", "--people", "3", "--groups", "1", "--pages", "0", "--days", "1", "--events", "10"]);
    assert_eq!(person(&begun, "person-1").await["registered"], true);
    assert_eq!(salts(&log_of(&begun).await), held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_salt_cannot_be_read_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&folder, "data");
    Server::start(&storage).await.stop().await;
    let log = rusqlite::Connection::open(storage.folder.join("log.sqlite")).unwrap();
    log.execute_batch(r#"UPDATE events SET data = '{"salt":null}' WHERE position = 1"#).unwrap();
    drop(log);
    let complaint = refused(&storage, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("nobody can be told apart: the salt of person ids is null"), "{complaint}");
    assert_eq!(log_of(&storage).await.len(), 1, "no other one is drawn");
}

/// Whatever anybody asks: the helpers of this test look for the salt in every answer of every story, and here it is asked for.
async fn the_salt_is_told_to_nobody(world: World) {
    let ann = world.person("Ann").await;
    world.settled().await;
    let held = whole(&**world.store(), 10).await;
    let [salt] = &salts(&held)[..] else { panic!("{held:?}") };
    let all = world.signed_in("una", "analyst analyst:unmask operator");
    for lines in [all.clone(), all.with("accept", "application/x-ndjson")] {
        for query in ["unmask=true", "unmask=true&type=salt", "unmask=true&stream=salt-", "unmask=false", "unmask=true&to=1", "limit=1"] {
            let reply = lines.get(&format!("/v1/events?{query}")).await.expect(200);
            let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
            assert!(text.contains("salt.drawn.v1") && text.contains(r#""data":{"salt":null}"#), "{reply}");
            assert!(!text.contains(salt.as_str()), "{reply}");
        }
    }
    let unmasked = all.get("/v1/events?unmask=true&limit=100").await.expect(200).items();
    let masked: Vec<&str> = unmasked.iter().filter(|event| event["masked"] == true).map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(masked, ["salt.drawn.v1"], "nothing else is held back");
    for path in ["/v1/operator/events?stream=salt-", "/v1/operator/events?after=0", "/v1/changes", "/v1/me", "/v1/operator/projections"] {
        let reply = all.get(path).await.expect(200);
        assert!(!String::from_utf8_lossy(&reply.bytes).contains(salt.as_str()), "{reply}");
    }
    // It is no change: what a follower is told of begins with Ann.
    let changes = ann.get("/v1/changes?limit=100").await.expect(200);
    assert!(!String::from_utf8_lossy(&changes.bytes).contains("salt"), "{changes}");
    assert_eq!(world.app().auth().person(ISSUER, "Ann").0, ann.id());
}

fn said(output: std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server that tells all that it can, until it has served and was asked for everything.
async fn everything_that_a_server_logs(storage: &Storage, folder: &Path) -> String {
    let path = folder.join("told");
    let mut serve = Command::new(binary());
    serve.arg("serve").args(storage.arguments()).args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "trace");
    let mut server = serve.stdout(Stdio::null()).stderr(fs::File::create(&path).unwrap()).spawn().unwrap();
    let told = || fs::read_to_string(&path).unwrap();
    let url = loop {
        if let Some((_, rest)) = told().split_once(" serves http://") {
            break format!("http://{}", rest.lines().next().unwrap().trim());
        }
        assert!(server.try_wait().unwrap().is_none(), "{}", told());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let token = storage.token("una", "analyst:unmask");
    for path in ["/v1/events?unmask=true", "/v1/events", "/v1/me"] {
        let answer = reqwest::Client::new().get(format!("{url}{path}")).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(!answer.text().await.unwrap().contains(&salts(&log_of(storage).await)[0]), "{path}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
    told()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_salt_is_in_the_log_and_in_unmasked_exports_of_it_and_nowhere_else() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&folder, "data");
    let told = everything_that_a_server_logs(&storage, folder.path()).await;
    let held = salts(&log_of(&storage).await);
    let [salt] = &held[..] else { panic!("{held:?}") };
    assert!(told.contains("serves") && !told.contains(salt.as_str()), "{told}");
    let run = |arguments: &[&str]| said(Command::new(binary()).args(arguments).args(storage.arguments()).output().unwrap());
    for arguments in [
        &["events", "tail", "--after", "0", "--no-follow"][..],
        &["events", "check"],
        &["projections", "build"],
        &["projections", "verify", "--all"],
        &["as-of", "--position", "1", "--query", "SELECT * FROM people"],
    ] {
        assert!(!run(arguments).contains(salt.as_str()), "{arguments:?}");
    }
    for (format, unmask) in [("ndjson", false), ("csv", false), ("ndjson", true), ("csv", true)] {
        let out = folder.path().join(format!("{format}-{unmask}"));
        let mut arguments = vec!["events", "export", "--format", format, "--out", out.to_str().unwrap()];
        arguments.extend(unmask.then_some("--unmask"));
        assert!(!run(&arguments).contains(salt.as_str()));
        let text = fs::read_to_string(&out).unwrap();
        assert!(text.contains("salt.drawn.v1"), "{text}");
        assert_eq!(text.contains(salt.as_str()), unmask, "{text}");
    }
    // Read models do not hold it either.
    for file in ["views.sqlite", "views.sqlite-wal"] {
        let bytes = fs::read(storage.folder.join(file)).unwrap_or_default();
        assert!(!bytes.windows(salt.len()).any(|part| part == salt.as_bytes()), "{file}");
    }
}
