//! One server with read models of its own on a log in KurrentDB, as real processes: a second is refused, and takes over from one that
//! was killed or stopped.

use circolo_events::sealing::{Secret, installation};
use circolo_tests::{
    kurrent::Double,
    postgres::fresh_schema,
    server::{Server, binary},
};
use kurrentdb::{Client, ReadStreamOptions};
use reqwest::StatusCode;
use std::{path::Path, process::Command, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Until another server takes over: it waits 5 s for an answer, and starts, on a machine that runs other tests meanwhile.
const TAKEOVER: Duration = Duration::from_secs(30);
/// What is written when somebody comes in, asks before, objects, or goes.
const ENTERED: usize = 1;
const ASKED: usize = 1;
const REFUSED: usize = 1;
const LEFT: usize = 1;

/// Everybody has a data folder of their own, and the keys that belong to the log.
fn arguments(folder: &Path, name: &str, log: &str, views: Option<&str>, keys: Option<&str>) -> Vec<String> {
    let (data, installation) = (folder.join(name).display().to_string(), folder.join("installation-key.pem"));
    std::fs::write(&installation, &*installation::block(&Secret::new([9; 32]))).unwrap();
    let keys = keys.map_or_else(|| format!("sqlite:{}", folder.join("keys.sqlite").display()), str::to_owned);
    let mut arguments = vec!["--data".to_owned(), data, "--log".to_owned(), log.to_owned(), "--keys".to_owned(), keys];
    arguments.extend(["--installation-key".to_owned(), format!("file:{}", installation.display())]);
    arguments.extend(views.into_iter().flat_map(|views| ["--views".to_owned(), views.to_owned()]));
    arguments
}

/// The log, and how many claims were written to it so far.
struct Log {
    client: Client,
    claims: usize,
}

impl Log {
    fn of(double: &Double) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { client: Client::new(double.url().parse().unwrap()).unwrap(), claims: 0 }
    }

    /// Checks how many claims were written since this was asked last: nothing is written while all is well.
    async fn wrote(&mut self, more: usize) {
        let mut reading = self.client.read_stream("circolo-claims", &ReadStreamOptions::default()).await.unwrap();
        let mut found = 0;
        while reading.next().await.unwrap().is_some() {
            found += 1;
        }
        assert_eq!(found - self.claims, more);
        self.claims = found;
    }
}

async fn started(arguments: &[String]) -> Server {
    Server::start_on(binary(), arguments).await
}

/// Starts a server that another one does not answer.
async fn took_over(arguments: &[String]) -> Server {
    let began = Instant::now();
    let server = started(arguments).await;
    assert!(began.elapsed() < TAKEOVER, "{:?}", began.elapsed());
    server
}

fn refused(subcommand: &[&str], arguments: &[String]) -> String {
    let output = Command::new(binary()).args(subcommand).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{subcommand:?} is not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn is_live(server: &Server) -> bool {
    reqwest::get(format!("{}/health/live", server.url())).await.is_ok_and(|response| response.status() == StatusCode::OK)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_with_read_models_of_its_own_is_refused_while_the_first_lives() {
    let (double, folder) = (Double::start().await, tempfile::tempdir().unwrap());
    let of = |name: &str| arguments(folder.path(), name, &double.url(), None, None);
    let mut log = Log::of(&double);
    let first = started(&of("first")).await;
    log.wrote(ENTERED).await;
    for subcommand in [&["serve", "--listen", "127.0.0.1:0"][..], &["simulate", "--people", "5", "--days", "1"]] {
        let complaint = refused(subcommand, &of("second"));
        let who = format!("another circolo program, process {}", first.id());
        assert!(complaint.contains(&who) && complaint.contains("--views postgres://"), "{complaint}");
        log.wrote(ASKED + REFUSED).await;
    }
    assert!(is_live(&first).await, "who objects goes on");

    // In the same folder nobody has to be asked: a folder has one process.
    first.kill().await;
    let first = started(&of("first")).await;
    log.wrote(ENTERED).await;
    // Who was stopped in order is not asked either; who was killed is, and does not answer.
    first.stop().await;
    let second = started(&of("second")).await;
    log.wrote(LEFT + ENTERED).await;
    second.kill().await;
    let third = took_over(&of("third")).await;
    log.wrote(ASKED + ENTERED).await;

    // One that did not hear the question learns of the answer, and ends.
    third.signal("STOP");
    let fourth = took_over(&of("fourth")).await;
    third.signal("CONT");
    let ended = async {
        while is_live(&third).await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(TAKEOVER, ended).await.unwrap();
    assert!(is_live(&fourth).await);
    log.wrote(ASKED + ENTERED).await;
    fourth.kill().await;
    third.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_share_their_read_models_keep_one_out_that_has_its_own() {
    let (Some(views), Some(keys)) = (fresh_schema().await, fresh_schema().await) else { return };
    let (double, folder) = (Double::start().await, tempfile::tempdir().unwrap());
    let mut log = Log::of(&double);
    let node = |name: &str| arguments(folder.path(), name, &double.url(), Some(&views), Some(&keys));
    let alone = arguments(folder.path(), "alone", &double.url(), None, Some(&keys));
    let first = started(&node("one")).await;
    let second = started(&node("two")).await;
    log.wrote(2 * ENTERED).await;
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let complaint = refused(&serve, &alone);
    assert!(complaint.contains("another circolo program"), "{complaint}");
    first.kill().await;
    refused(&serve, &alone);
    log.wrote(2 * (ASKED + REFUSED)).await;
    second.stop().await;
    // The killed one is asked in vain.
    let server = took_over(&alone).await;
    log.wrote(LEFT + ASKED + ENTERED).await;
    let complaint = refused(&serve, &node("one"));
    assert!(complaint.contains("another circolo program"), "{complaint}");
    server.kill().await;
}
