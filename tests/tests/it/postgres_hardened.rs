//! Postgres as it is run in production: roles with few rights, poolers, failovers that lose commits.

use crate::load::{Load, all_folded, found_lost_events, mended_by_a_rebuild};
use circolo_events::{
    LogId, Postgres,
    postgres::{Claim, Options},
};
use circolo_projections::Db;
use circolo_tests::{
    postgres::{as_ordinary_user, cluster_with, test_postgres},
    server::{Server, Storage, binary},
};
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use std::{
    path::Path,
    process::{Command, Stdio},
};
use uuid::Uuid;

/// The blocks of this language in `docs/postgres.md`, with names for this test alone.
fn documented(language: &str) -> Vec<String> {
    let text = include_str!("../../../docs/postgres.md").replace("circolo_", "role_test_").replace(" circolo", " role_test_server");
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// `url` as another role, in a schema.
fn reached_as(url: &str, role: &str, schema: &str) -> String {
    let url = url.replace("postgres@", &format!("{role}:choose@"));
    format!("{url}?options=-c%20search_path%3D{schema}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_the_documented_rights_serves_and_cannot_rewrite_history() {
    let Some(cluster) = cluster_with(&std::env::temp_dir(), &["-c", "fsync=off"]) else { return };
    let mut admin = PgConnection::connect(&cluster.url).await.unwrap();
    let sql = documented("sql");
    let [roles, grants] = &sql[..] else { panic!("two blocks of SQL are documented") };
    admin.execute(sqlx::AssertSqlSafe(roles.clone())).await.unwrap();

    let log = reached_as(&cluster.url, "role_test_server", "role_test_log");
    let views = reached_as(&cluster.url, "role_test_server", "role_test_views");
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(format!("{log} {views}")) };
    let early = Command::new(binary()).arg("serve").args(storage.arguments()).output().unwrap();
    let complaint = String::from_utf8(early.stderr).unwrap();
    assert!(!early.status.success() && complaint.contains("USAGE") | complaint.contains("search_path"), "{complaint}");

    let owner = Storage { database: Some(reached_as(&cluster.url, "role_test_owner", "role_test_log")), ..storage.clone() };
    let made = owner.run(&["events", "create"]);
    admin.execute(sqlx::AssertSqlSafe(grants.clone())).await.unwrap();
    assert_eq!(owner.run(&["events", "create"]), made, "what is there stays");

    let mut load = Load::new(&storage).await;
    let server = Server::start(&storage).await;
    load.cycle(server, 20).await;
    let server = Server::start(&storage).await;
    load.settle(&storage, server).await;

    let mut app = PgConnection::connect(&log).await.unwrap();
    for crime in [
        "UPDATE log_events SET data = '{}'",
        "DELETE FROM log_events",
        "TRUNCATE log_events",
        "DROP TABLE log_events",
        "ALTER TABLE log_events ADD COLUMN more text",
        "UPDATE log_meta SET value = 'another'",
        "CREATE OR REPLACE FUNCTION log_append() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE role_test_log.more (id int)",
    ] {
        let refused = app.execute(crime).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "{crime}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_lost_commits_is_noticed() {
    let Some(cluster) = cluster_with(&std::env::temp_dir(), &["-c", "fsync=off"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(cluster.url.clone()) };
    let mut load = Load::new(&storage).await;
    let server = Server::start(&storage).await;
    let (mut progress, url) = (load.progress(), server.url().to_owned());
    load.during(&url, async { progress.more(20).await }).await;
    all_folded(&url).await;
    let mut admin = PgConnection::connect(&cluster.url).await.unwrap();
    // As a standby would have it that lacks the last five, and is promoted: then all connections break.
    admin.execute("DELETE FROM log_events WHERE position > (SELECT max(position) - 5 FROM log_events)").await.unwrap();
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'circolo%'").await.unwrap();
    found_lost_events(&url).await;
    let before: i64 = sqlx::query_scalar("SELECT max(position) FROM log_events").fetch_one(&mut admin).await.unwrap();
    load.attempt(&url).await;
    let after: i64 = sqlx::query_scalar("SELECT max(position) FROM log_events").fetch_one(&mut admin).await.unwrap();
    assert_eq!(before, after, "nothing is appended to what is left");
    server.kill().await;
    mended_by_a_rebuild(&storage).await;
}

/// A running `PgBouncer`; ended when dropped.
struct Pooler {
    _process: tokio::process::Child,
    url: String,
}

impl Pooler {
    /// Before [`test_postgres`], with these lines of configuration; `None`, with a printed line, if it is not installed.
    async fn start(folder: &Path, lines: &str, of_database: &str) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).is_file());
        let Some(program) = program else {
            eprintln!("skipped: no PgBouncer");
            return None;
        };
        let options: PgConnectOptions = test_postgres()?.parse().unwrap();
        let (host, port) =
            (options.get_socket().map_or(options.get_host().to_owned(), |socket| socket.display().to_string()), options.get_port());
        let (place, database) = (folder.display(), options.get_database().unwrap_or("postgres").to_owned());
        std::fs::write(folder.join("users"), "\"postgres\" \"\"\n").unwrap();
        let configuration = format!(
            "[databases]\n{database} = host={host} port={port} {of_database}\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = {place}\n\
             auth_type = trust\nauth_file = {place}/users\n{lines}\n"
        );
        std::fs::write(folder.join("pgbouncer.ini"), configuration).unwrap();
        // It refuses to run as root, and must reach its files.
        let opened = Command::new("chmod").args(["-R", "a+rwX"]).arg(folder).status().unwrap();
        assert!(opened.success());
        let mut command = as_ordinary_user();
        command.args([program, "-q"]).arg(folder.join("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let url = format!("postgres://postgres@{}/{database}", folder.display().to_string().replace('/', "%2F")) + "?port=6432";
        let connecting = async { while PgConnection::connect(&url).await.is_err() {} };
        tokio::time::timeout(std::time::Duration::from_mins(1), connecting).await.unwrap();
        Some(Self { _process: process, url })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poolers_are_refused_with_advice() {
    let drops = "ignore_startup_parameters = options,extra_float_digits";
    let knows = "connect_query='SET circolo.direct TO yes'";
    for (lines, of_database) in [
        // It says no to what it does not know.
        ("pool_mode = transaction\nignore_startup_parameters = extra_float_digits", ""),
        // It drops what it does not know.
        (&*format!("pool_mode = transaction\n{drops}"), ""),
        (&*format!("pool_mode = session\n{drops}"), ""),
        // It is told of our settings: sessions are still shared out, one for all or in turn.
        (&*format!("pool_mode = transaction\n{drops}"), knows),
        (&*format!("pool_mode = transaction\nserver_round_robin = 1\n{drops}"), knows),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some(pooler) = Pooler::start(folder.path(), lines, of_database).await else { return };
        let log = Postgres::connect(&pooler.url, &Options::default(), LogId::nil()).await.unwrap_err().to_string();
        assert!(log.contains("PgBouncer") && log.contains("name the server itself"), "{lines} {of_database}: {log}");
        let views = Db::postgres(&pooler.url).await.err().unwrap().to_string();
        assert!(views.contains("PgBouncer"), "{lines} {of_database}: {views}");
        if of_database.is_empty() {
            let claim = Claim::take(&pooler.url, &Uuid::nil().to_string()).await.unwrap_err().to_string();
            assert!(claim.contains("PgBouncer"), "{lines}: {claim}");
        }
    }
}
