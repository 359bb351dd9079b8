//! The command line as a person uses it: README's lines as printed, tokens, a second server, offline projections.

use circolo_tests::server::{Server, Storage, binary};
use serde_json::Value;
use std::{path::Path, process::Command};

fn storage(folder: &tempfile::TempDir) -> Storage {
    Storage { folder: folder.path().join("data"), database: None }
}

/// The block of README that follows `heading`.
fn readme(heading: &str) -> String {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once(heading).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_of_the_readme_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&folder);
    let server = Server::start(&storage).await;
    let script = readme("## A first question");
    assert_eq!(script.lines().filter(|line| line.contains("curl ")).count(), 5);
    // Address, binary and folder of this test stand for those of a person who has just started.
    let program = format!("{} token --data {}", binary().display(), storage.folder.display());
    let script = script.replace("http://127.0.0.1:8080", server.url()).replace("cargo run --release --quiet -- token", &program);
    let output = tokio::process::Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = serde_json::Deserializer::from_str(&printed).into_iter().map(Result::unwrap).collect();
    let [_person, _answer, question] = &answers[..] else { panic!("three answers are printed: {printed}") };
    assert_eq!(question["title"], "How warm?");
    assert_eq!(question["answers"]["items"][0]["body"], "About 26 degrees.");
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&folder);
    let server = Server::start(&storage).await;
    let second = Command::new(binary()).arg("serve").args(storage.arguments()).args(["--listen", "127.0.0.1:0"]).output().unwrap();
    let complaint = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(complaint.contains("another circolo"), "{complaint}");
    // A token can be had all the same.
    assert_eq!(storage.token("ann", "analyst").split('.').count(), 3);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_postgres_is_refused_with_a_sentence() {
    let Some(url) = circolo_tests::postgres::fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, database: Option<String>| Storage { folder: folder.path().join(name), database };
    let server = Server::start(&of("first", Some(url.clone()))).await;
    // Another machine has another data folder; log or read models alone are enough to be refused.
    for option in ["--log", "--views"] {
        let mut second = Command::new(binary());
        second.arg("serve").args(of(option, None).arguments()).args([option, &url, "--listen", "127.0.0.1:0"]);
        let second = second.output().unwrap();
        let complaint = String::from_utf8_lossy(&second.stderr);
        assert!(!second.status.success());
        assert!(complaint.contains("another circolo"), "{complaint}");
    }
    server.kill().await;
}

#[test]
fn the_description_on_the_command_line_is_the_one_that_is_kept() {
    let output = Command::new(binary()).arg("openapi").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../../../openapi.json"));
}

#[test]
fn a_simulated_history_is_folded_verified_and_rebuilt_offline() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&folder);
    let summary = storage.run(&["simulate", "--people", "40", "--groups", "4", "--days", "10", "--events", "1500"]);
    assert!(summary.contains("question.answered.v1"), "{summary}");
    storage.run(&["projections", "build"]);
    storage.run(&["projections", "verify", "--all"]);
    storage.run(&["projections", "rebuild", "questions", "--memory", "1MiB", "--rate", "100000"]);
    storage.run(&["projections", "rollback", "questions"]);
    storage.run(&["projections", "verify", "--all"]);
    let sampled = storage.run(&["projections", "verify", "questions", "--sample", "20%", "--seed", "3"]);
    assert!(sampled.contains("0 different, sample 20% with seed 3"), "{sampled}");
    let verify = |name: &str| Command::new(binary()).args(["projections", "verify", name]).args(storage.arguments()).output().unwrap();
    assert_eq!(verify("nothing").status.code(), Some(2));
    let views = rusqlite::Connection::open(storage.folder.join("views.sqlite")).unwrap();
    views.execute_batch("UPDATE people_v1__g1 SET display_name = 'Nobody' WHERE id = (SELECT min(id) FROM people_v1__g1)").unwrap();
    drop(views);
    let found = verify("people");
    assert_eq!(found.status.code(), Some(1));
    let found = String::from_utf8_lossy(&found.stdout);
    assert!(found.contains("1 different") && found.contains("display_name: live \"Nobody\", folded"), "{found}");
    storage.run(&["projections", "rebuild", "people"]);
    storage.run(&["projections", "verify", "people"]);
    let listed = storage.run(&["projections", "list"]);
    assert!(listed.lines().any(|line| line.contains("questions") && line.contains("live")), "{listed}");
    let dropped = storage.run(&["projections", "drop", "questions"]);
    assert!(dropped.contains("dropped build"), "{dropped}");
    let nothing = Command::new(binary()).args(["projections", "rollback", "questions"]).args(storage.arguments()).output().unwrap();
    assert!(!nothing.status.success(), "what was live before was dropped");
    let again = Command::new(binary()).arg("simulate").args(storage.arguments()).output().unwrap();
    assert!(!again.status.success(), "a log that holds events is not overwritten");
    let lines = storage.run(&["events", "tail", "--after", "0", "--no-follow"]);
    assert!(lines.lines().count() >= 1_500);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_leaves_one_log_and_enters_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (origin, copy) = (storage(&folder), Storage { folder: folder.path().join("copy"), database: None });
    origin.run(&["simulate", "--people", "30", "--groups", "3", "--days", "10", "--events", "700"]);
    let lines = |name: &str| std::fs::read_to_string(path(name)).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    origin.run(&["events", "export", "--out", &path("masked")]);
    let refused = Command::new(binary()).args(["events", "import", &path("masked")]).args(copy.arguments()).output().unwrap();
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && complaint.contains("line 1: the event is masked"), "{complaint}");
    origin.run(&["events", "export", "--unmask", "--out", &path("whole")]);
    copy.run(&["events", "import", &path("whole")]);
    copy.run(&["events", "export", "--unmask", "--out", &path("again")]);
    assert_eq!(lines("whole"), lines("again"));
    assert_eq!(lines("whole").len(), lines("masked").len());
    // The use was recorded, here as there.
    let tail = origin.run(&["events", "tail", "--after", "0", "--type", "unmasking", "--no-follow"]);
    assert_eq!(tail.lines().count(), 1, "{tail}");
    assert!(tail.contains(r#""reading":"export""#), "{tail}");
    // A running server gives the same; only its own record of the first use has come since.
    let server = Server::start(&origin).await;
    let whole = origin.token("una", "analyst:unmask");
    for (token, name, unmask, as_before) in
        [(origin.token("eve", "analyst"), "over", None, "masked"), (whole, "over unmasked", Some("--unmask"), "whole")]
    {
        let mut command = Command::new(binary());
        command.args(["events", "export", "--url", server.url(), "--token", &token, "--out", &path(name)]).args(unmask);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // But for the salt, which a server tells nobody.
        let (told, before) = (lines(name), lines(as_before));
        assert!(told[0].contains(r#""data":{"salt":null}"#) && before[0].contains("salt.drawn.v1"), "{}", told[0]);
        assert_eq!(told[1..before.len()], before[1..]);
        assert!(lines(name).len() > lines(as_before).len());
    }
    let refused = Command::new(binary()).args(["events", "export", "--unmask", "--out", &path("no")]).args(origin.arguments()).output();
    let complaint = String::from_utf8_lossy(&refused.unwrap().stderr).into_owned();
    assert!(complaint.contains("--url and --token"), "{complaint}");
    server.kill().await;
}

/// A folder as another sees it who may not write there.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    /// `None`, with a printed line, if this may not be done here.
    fn of(data: &Path, mount: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&mount).unwrap();
        let run = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&mount).status().is_ok_and(|status| status.success());
        if run(&["--bind", &data.display().to_string()]) && run(&["-o", "remount,bind,ro"]) {
            return Some(Self(mount));
        }
        eprintln!("skipped: nothing may be mounted here");
        None
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn analysts_read_where_they_may_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, out) = (storage(&folder), folder.path().join("out"));
    origin.run(&["simulate", "--people", "30", "--groups", "3", "--days", "10", "--events", "700"]);
    let Some(mounted) = ReadOnly::of(&origin.folder, folder.path().join("mounted")) else { return };
    let beside = Storage { folder: mounted.0.clone(), database: None };
    let export = || {
        beside.run(&["events", "export", "--out", &out.display().to_string()]);
        std::fs::read_to_string(&out).unwrap()
    };
    // Nobody has it open; somebody has; somebody had and did not close it.
    let still = export();
    assert!(still.lines().count() >= 700);
    beside.run(&["as-of", "--position", "500", "--out", &folder.path().join("as-of.db").display().to_string()]);
    let server = Server::start(&origin).await;
    assert_eq!(export(), still);
    server.kill().await;
    assert_eq!(export(), still);
}

/// The account is the one of the process, whatever a variable says.
#[test]
fn who_reads_texts_offline_is_named_by_their_account() {
    let folder = tempfile::tempdir().unwrap();
    let origin = storage(&folder);
    origin.run(&["simulate", "--people", "10", "--groups", "2", "--days", "5", "--events", "100"]);
    let account = Command::new("id").args(["-un"]).output().unwrap();
    let account = String::from_utf8(account.stdout).unwrap().trim().to_owned();
    for name in ["first", "second"] {
        let mut command = Command::new(binary());
        command.args(["events", "export", "--unmask", "--out"]).arg(folder.path().join(name)).args(origin.arguments());
        command.envs(["USER", "LOGNAME", "USERNAME"].map(|variable| (variable, "somebody-else")));
        assert!(command.status().unwrap().success());
    }
    let second = std::fs::read_to_string(folder.path().join("second")).unwrap();
    let trace: Value = serde_json::from_str(second.lines().find(|line| line.contains("unmasking.recorded")).unwrap()).unwrap();
    assert_eq!(trace["data"]["who"], account.as_str());
}

#[test]
fn every_type_of_event_has_a_schema() {
    let output = Command::new(binary()).args(["events", "schema"]).output().unwrap();
    let schemas: Value = serde_json::from_slice(&output.stdout).unwrap();
    let question = &schemas["question.posted.v1"];
    assert_eq!((&question["type"], &question["properties"]["title"]["x-personal"]), (&"object".into(), &true.into()));
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary()).args(["events", "schema", "--out"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), schemas.as_object().unwrap().len());
}
