//! Damaged files: pages of closed databases are overwritten, and then it is told what is lost, read models are built anew, and
//! a log is never taken for what it was.

use crate::engine::{Bench, Views, assert_folded, history, options};
use circolo_projections::{State, Switch};
use circolo_tests::{
    postgres::{Cluster, cluster_with},
    server::{Server, Storage, binary},
};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// What nobody writes, so often as to fill a page.
const GARBAGE: u8 = 0xA5;

/// A folder with a history and the read models of it; nobody has it open.
fn prepared() -> (TempDir, Storage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    fill(&storage);
    (folder, storage)
}

fn fill(storage: &Storage) {
    storage.run(&["simulate", "--people", "60", "--groups", "6", "--days", "20", "--events", "4000"]);
    storage.run(&["projections", "build"]);
}

/// What a subcommand ended with, and all that it said.
fn said(storage: &Storage, subcommand: &[&str]) -> (i32, String) {
    let output = Command::new(binary()).args(subcommand).args(storage.arguments()).output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&all).into_owned())
}

fn overwrite(path: &Path, at: u64, bytes: usize) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![GARBAGE; bytes]).unwrap();
}

/// Opens a file and puts everything into it: what stands beside it would hide what is damaged.
fn whole(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    connection
}

fn damage_header(path: &Path) {
    whole(path).close().unwrap();
    overwrite(path, 0, 100);
}

/// Overwrites a leaf of a table or an index in the middle of it.
fn damage(path: &Path, of: &str) {
    let connection = whole(path);
    let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY pageno";
    let pages: Vec<u32> = connection.prepare(sql).unwrap().query_map([of], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let size: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(connection);
    let page = pages.get(pages.len() / 2).unwrap_or_else(|| panic!("{of} has no page"));
    overwrite(path, u64::from(page - 1) * u64::from(size), usize::try_from(size).unwrap());
}

/// What `sql` names in the file.
fn named(path: &Path, sql: &str) -> String {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn status(server: &Server, path: &str) -> u16 {
    reqwest::get(format!("{}{path}", server.url())).await.unwrap().status().as_u16()
}

async fn is_ready(server: &Server) {
    let began = Instant::now();
    while status(server, "/health/ready").await != 200 {
        assert!(began.elapsed() < Duration::from_mins(1), "it never was ready");
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a page of the read models holds that is overwritten, and what is then found and mended.
async fn read_models(of: &str) {
    let (_folder, storage) = prepared();
    let views = storage.folder.join("views.sqlite");
    damage(&views, &named(&views, of));
    // Found, also where every row is as it should be.
    let (code, text) = said(&storage, &["projections", "verify", "--all"]);
    assert!(code == 1 && text.contains("the database says: "), "{of}: {code}: {text}");
    assert!(text.contains("the log is whole: `circolo projections rebuild` mends them"), "{of}: {text}");
    // A copy is mended beside a running server, which answers what is whole.
    let copy = Storage { folder: storage.folder.parent().unwrap().join("copy"), database: None };
    fs::create_dir(&copy.folder).unwrap();
    for file in ["log.sqlite", "views.sqlite", "token-key.pem"].iter().filter(|file| storage.folder.join(file).exists()) {
        fs::copy(storage.folder.join(file), copy.folder.join(file)).unwrap();
    }
    storage.bring_keys_to(&copy);
    let server = Server::start(&copy).await;
    is_ready(&server).await;
    let token = copy.token("otto", "operator");
    let there = ["--url", server.url(), "--token", &token];
    let (code, text) = said(&copy, &[&["projections", "rebuild", "--all"][..], &there].concat());
    assert_eq!(code, 0, "{of}: {text}");
    is_ready(&server).await;
    let (code, text) = said(&copy, &[&["projections", "verify", "--all"][..], &there].concat());
    assert_eq!(code, 0, "{of}: {text}");
    server.stop().await;
    mended_in_a_new_file(&storage);
}

fn mended_in_a_new_file(storage: &Storage) {
    let (code, text) = said(storage, &["projections", "rebuild", "--all"]);
    assert!(code == 0 && text.contains("all read models are built in a new file"), "{code}: {text}");
    let (code, text) = said(storage, &["projections", "verify", "--all"]);
    assert!(code == 0 && text.contains(" 0 different"), "{code}: {text}");
    assert!(storage.folder.join("views.sqlite.damaged").exists() && !storage.folder.join("views.sqlite.new").exists());
    // With nothing wrong, nothing is moved aside.
    let (code, text) = said(storage, &["projections", "rebuild", "--all"]);
    assert!(code == 0 && !text.contains("new file"), "{code}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_of_rows_is_found_and_mended() {
    read_models("SELECT 'questions_v2__g1'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_of_an_index_is_found_and_mended() {
    read_models("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'questions_v2__g1' AND sql IS NOT NULL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_of_the_full_text_is_found_and_mended() {
    read_models("SELECT name FROM dbstat WHERE name LIKE '%search_data' GROUP BY name ORDER BY count(*) DESC").await;
}

/// What the live subscription meets costs the read model whose rows they are, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_stops_one_read_model_alone() {
    let Some(mut bench) = Bench::new("sqlite").await else { return };
    let Views::Sqlite(folder) = &bench.views else { return };
    let views = folder.path().join("views.sqlite");
    bench.write(&history(3_000)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.shutdown().await;
    drop((db, projector));
    let sql = "SELECT pageno FROM dbstat WHERE name = 'authors_v1__g1' ORDER BY pageno";
    let pages: Vec<u32> = whole(&views).prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for page in pages {
        overwrite(&views, u64::from(page - 1) * 4_096, 4_096);
    }
    let (db, projector) = bench.start(options()).await;
    bench.write(&history(50)).await;
    bench.caught_up(&projector).await;
    let states =
        async || projector.status().await.unwrap().into_iter().map(|status| (status.name, status.build, status.state)).collect::<Vec<_>>();
    let found = |name: &str, build, state| (name.to_owned(), build, state);
    assert_eq!(states().await, [found("joined", 1, State::Live), found("threads", 1, State::Stopped), found("totals", 1, State::Live)],);
    let reason = projector.status().await.unwrap()[1].reason.clone().unwrap();
    assert!(reason.contains("is damaged") && reason.contains("circolo projections rebuild NAME"), "{reason}");
    // Beside it, a new build; what cannot be dropped later is told.
    for _ in 0..2 {
        projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
        projector.settled().await;
        bench.caught_up(&projector).await;
        assert_folded(&db, &*bench.store, "mended").await;
    }
    let left = states().await.into_iter().find(|(name, build, _)| name == "threads" && *build == 1);
    assert_eq!(left, Some(found("threads", 1, State::Failed)), "its pages cannot be given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_header_is_told_with_what_to_do() {
    let (_folder, storage) = prepared();
    damage_header(&storage.folder.join("views.sqlite"));
    for subcommand in [&["serve", "--listen", "127.0.0.1:0"][..], &["projections", "rebuild", "groups"], &["projections", "list"]] {
        let (code, text) = said(&storage, subcommand);
        assert!(code != 0 && text.contains("is damaged") && text.contains("`circolo projections rebuild --all`"), "{subcommand:?}: {text}");
    }
    mended_in_a_new_file(&storage);
}

/// A page of what the database knows of builds: nothing can be done in this file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_registry_is_mended_in_a_new_file() {
    let (_folder, storage) = prepared();
    damage(&storage.folder.join("views.sqlite"), "projection_builds");
    let (code, text) = said(&storage, &["projections", "list"]);
    assert!(code != 0 && text.contains("`circolo projections rebuild --all`"), "{code}: {text}");
    mended_in_a_new_file(&storage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_told_by_position_and_stream_and_never_built_upon() {
    let (_folder, storage) = prepared();
    let (code, text) = said(&storage, &["events", "check"]);
    assert!(code == 0 && text.contains("the log is whole"), "{text}");
    let log = storage.folder.join("log.sqlite");
    damage(&log, "events");
    told_and_not_built_upon(&storage, " in ").await;
    let (from, to) = (format!("sqlite:{}", log.display()), format!("sqlite:{}", storage.folder.join("copy/log.sqlite").display()));
    let copied = Command::new(binary()).args(["events", "copy", "--from", &from, "--to", &to]).output().unwrap();
    let text = String::from_utf8_lossy(&copied.stderr).into_owned();
    assert!(!copied.status.success() && text.contains("the log is damaged at position "), "{text}");
    // A header that is none.
    damage_header(&log);
    let (code, text) = said(&storage, &["events", "check"]);
    assert!(code == 2 && text.contains("docs/faults.md"), "{code}: {text}");
}

async fn told_and_not_built_upon(storage: &Storage, stream: &str) {
    let (code, text) = said(storage, &["events", "check"]);
    assert!(code == 1 && text.contains("positions cannot be read: what stood there is lost here"), "{code}: {text}");
    let lost = text.lines().find(|line| line.contains(": cannot be read: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(lost.trim_start().starts_with("position ") && lost.contains(stream), "{lost}");
    assert!(text.contains("do not rebuild read models"), "{text}");
    // No build goes past it, and what is live stays.
    let (code, text) = said(storage, &["projections", "rebuild", "groups"]);
    assert!(code != 0 && text.contains("the log is damaged at position "), "{code}: {text}");
    let (code, text) = said(storage, &["projections", "verify", "groups"]);
    assert!(code != 0 && text.contains("the log is damaged") && !text.contains("mends them"), "{code}: {text}");
    let server = Server::start(storage).await;
    is_ready(&server).await;
    assert_eq!(status(&server, "/v1/groups").await, 200);
    server.stop().await;
}

/// A row that was changed in the log since it was folded: the read model is right, and verify says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_row_is_not_overwritten_by_a_bad_log() {
    let (_folder, storage) = prepared();
    let log = Connection::open(storage.folder.join("log.sqlite")).unwrap();
    let sql =
        "UPDATE events SET data = substr(data, 1, 9) WHERE position = (SELECT min(position) FROM events WHERE type = 'group.created.v1')";
    assert_eq!(log.execute(sql, []).unwrap(), 1);
    log.close().unwrap();
    let (code, text) = said(&storage, &["projections", "verify", "groups"]);
    assert!(code == 1 && text.contains("the log is not what was written (position ") && !text.contains("mends them"), "{code}: {text}");
    // A rebuild asks before it gives up what is live.
    let (_, text) = said(&storage, &["projections", "rebuild", "groups"]);
    assert!(text.contains("groups build 2: ready") && text.contains("which the live build holds"), "{text}");
    let (_, listed) = said(&storage, &["projections", "list"]);
    let line = |build: &str| listed.lines().find(|line| line.starts_with("groups") && line.contains(build)).unwrap().to_owned();
    assert!(line(" 1 live").contains("live") && line(" 2 ready").contains("events check"), "{listed}");
}

/// A revision that is gone is missed by whoever reads the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_event_is_missed() {
    let (_folder, storage) = prepared();
    let log = Connection::open(storage.folder.join("log.sqlite")).unwrap();
    let group = "SELECT stream, position FROM events WHERE stream LIKE 'group-%' AND revision = 1 LIMIT 1";
    let (stream, position): (String, i64) = log.query_row(group, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    log.execute("DELETE FROM events WHERE position = ?1", [position]).unwrap();
    let deeper: i64 = log.query_row("SELECT count(*) FROM events WHERE stream = ?1 AND revision > 1", [&stream], |row| row.get(0)).unwrap();
    log.close().unwrap();
    if deeper > 0 {
        let (code, text) = said(&storage, &["events", "check"]);
        assert!(
            code == 1 && text.contains(&format!("in {stream} at revision 2: revision 1 of its stream is expected here")),
            "{code}: {text}"
        );
        let server = Server::start(&storage).await;
        let group = stream.strip_prefix("group-").unwrap();
        assert_eq!(status(&server, &format!("/v1/groups/{group}")).await, 503);
        server.says(&format!("the log is damaged in {stream} at revision 1")).await;
        server.stop().await;
    }
}

/// Where a relation of Postgres is, and how long a page is.
async fn relation(url: &str, name: &str) -> PathBuf {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
    let file = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath($1::regclass)";
    let path: String = sqlx::query_scalar(file).bind(name).fetch_one(&mut connection).await.unwrap();
    // What is in the write-ahead log would put the page right again.
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await.unwrap();
    path.into()
}

async fn damage_relation(cluster: &Cluster, name: &str) {
    const PAGE: u64 = 8_192;
    let path = relation(&cluster.url, name).await;
    cluster.stop().await;
    let pages = fs::metadata(&path).unwrap().len() / PAGE;
    assert!(pages > 1, "{name} is too small");
    overwrite(&path, pages / 2 * PAGE, usize::try_from(PAGE).unwrap());
    cluster.start().await;
}

fn on_a_cluster() -> Option<(Cluster, TempDir, Storage)> {
    let Some(cluster) = cluster_with(&std::env::temp_dir(), &["-c", "fsync=off"]) else {
        assert!(std::env::var_os("CI").is_none(), "Postgres is required");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(cluster.url.clone()) };
    fill(&storage);
    Some((cluster, folder, storage))
}

async fn with_amcheck(url: &str) {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
    sqlx::raw_sql("CREATE EXTENSION amcheck").execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_read_models_in_postgres_are_found_and_mended() {
    let Some((cluster, _folder, storage)) = on_a_cluster() else { return };
    let (code, text) = said(&storage, &["projections", "verify", "questions"]);
    assert!(code == 0 && text.contains("CREATE EXTENSION amcheck"), "{text}");
    with_amcheck(&cluster.url).await;
    for relation in ["questions_v2__g1_pkey", "questions_v2__g2"] {
        damage_relation(&cluster, relation).await;
        let (code, text) = said(&storage, &["projections", "verify", "questions"]);
        assert!(code == 1 && text.contains("the database says: ") && text.contains("the log is whole"), "{relation}: {code}: {text}");
        let server = Server::start(&storage).await;
        let token = storage.token("otto", "operator");
        let there = ["--url", server.url(), "--token", &token];
        is_ready(&server).await;
        let (code, text) = said(&storage, &[&["projections", "rebuild", "questions"][..], &there].concat());
        assert_eq!(code, 0, "{relation}: {text}");
        let (code, text) = said(&storage, &[&["projections", "verify", "questions"][..], &there].concat());
        assert_eq!(code, 0, "{relation}: {text}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_in_postgres_is_told_by_position_and_never_built_upon() {
    let Some((cluster, _folder, storage)) = on_a_cluster() else { return };
    with_amcheck(&cluster.url).await;
    let (code, text) = said(&storage, &["events", "check"]);
    assert!(code == 0 && text.contains("the log is whole"), "{text}");
    damage_relation(&cluster, "log_events").await;
    told_and_not_built_upon(&storage, "").await;
}
