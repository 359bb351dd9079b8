//! Positions in KurrentDB: only where a record begins can the log be read, and whoever asks elsewhere makes the client look for its
//! node anew.

use crate::{
    backend::{append, uuid, whole},
    load::{Load, all_folded},
};
use circolo_events::{EventStore, Expected, KurrentDb, Position, kurrentdb::Options};
use circolo_tests::{
    kurrent::Double,
    server::{Server, Storage, binary},
};
use std::process::Command;

async fn open(double: &Double) -> KurrentDb {
    KurrentDb::connect(&double.url(), &Options::default(), uuid(9_999)).await.unwrap()
}

/// A log of some events with records of the server's own in between; where the events stand.
async fn mixed_log(double: &Double, store: &KurrentDb) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in 0..6_u64 {
        positions.push(store.append(append("note-1", Expected::of(number.checked_sub(1)), number, 1)).await.unwrap().position);
        double.own_record();
    }
    positions
}

#[tokio::test]
async fn whoever_names_positions_that_were_seen_is_never_refused() {
    let double = Double::start().await;
    let store = open(&double).await;
    let positions = mixed_log(&double, &store).await;
    let head = store.head().await.unwrap();
    assert_eq!(Some(&head), positions.last());
    for (number, position) in positions.iter().enumerate() {
        assert_eq!(store.at(*position).await.unwrap().unwrap().revision, number as u64);
        let behind = store.before(*position).await.unwrap();
        let page = store.read_all(behind, 10).await.unwrap();
        assert_eq!(page.events[0].position, *position);
        assert_eq!(store.read_prefix("note-", behind, head, 10).await.unwrap().events[0].position, *position);
        let back = store.back(positions.len() - number).await.unwrap();
        assert_eq!(store.read_all(back, 10).await.unwrap().events[0].position, *position);
    }
    assert_eq!(store.before(Position(head.0 + 1_000_000)).await.unwrap(), head);
    assert_eq!(store.at(Position(head.0 + 1_000_000)).await.unwrap(), None);
    assert_eq!((store.back(100).await.unwrap(), store.before(Position::START).await.unwrap()), (Position::START, Position::START));
    assert_eq!(double.counts().unknown, 0, "each would make the client look for its node anew");
}

#[tokio::test]
async fn a_position_that_nobody_saw_costs_one_refusal_and_one_search() {
    let double = Double::start().await;
    let store = open(&double).await;
    let positions = mixed_log(&double, &store).await;
    let between = Position(positions[3].0 + 1);
    let head = store.head().await.unwrap();
    for _ in 0..20 {
        assert_eq!(store.at(between).await.unwrap(), None);
        assert_eq!(store.read_all(between, 10).await.unwrap().events.len(), 2);
        assert_eq!(store.read_prefix("note-", between, head, 10).await.unwrap().events.len(), 2);
        assert_eq!(store.read_all(store.before(between).await.unwrap(), 10).await.unwrap().events.last().unwrap().position, head);
    }
    let counts = double.counts();
    assert_eq!(counts.unknown, 1);
    assert!(counts.connections <= 2, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_again_verifies_and_copies_without_a_refusal() {
    let (double, target, folder) = (Double::start().await, Double::start().await, tempfile::tempdir().unwrap());
    let database = format!("{} sqlite:{}", double.url(), folder.path().join("views.sqlite").display());
    let storage = Storage { folder: folder.path().join("data"), database: Some(database) };
    let mut load = Load::new(&storage).await;
    for _ in 0..3 {
        let server = Server::start(&storage).await;
        let (mut progress, url) = (load.progress(), server.url().to_owned());
        load.during(&url, async { progress.more(20).await }).await;
        all_folded(&url).await;
        server.kill().await;
        double.own_record();
    }
    for name in ["questions", "posts"] {
        storage.run(&["projections", "verify", name]);
    }
    // Into an empty log, and again behind what is there.
    for (number, more) in [&[][..], &["--quick"], &[]].into_iter().enumerate() {
        let number = number as u64;
        open(&double).await.append(append("note-1", Expected::of(number.checked_sub(1)), number, 1)).await.unwrap();
        let mut copy = Command::new(binary());
        copy.args(["events", "copy", "--from", &double.url(), "--to", &target.url()]).args(more);
        let copied = copy.output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        double.own_record();
        target.own_record();
    }
    assert_eq!(whole(&open(&target).await, 500).await.len(), whole(&open(&double).await, 500).await.len());
    assert_eq!((double.counts().unknown, target.counts().unknown), (0, 0));
}
