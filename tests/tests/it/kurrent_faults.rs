//! What goes wrong between the adapter and KurrentDB, and what the adapter makes of it.

use crate::{
    backend::{append, event, stream, uuid, whole},
    load::{Load, all_folded, found_lost_events, mended_by_a_rebuild},
};
use circolo_events::{
    Appended, EventStore, Expected, KurrentDb, Position, StoreError,
    kurrentdb::{ConnectError, Options},
};
use circolo_tests::{
    kurrent::{Double, Fault, Moment},
    server::{Server, Storage},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Long enough for what works, short for what never answers.
const SHORT: Duration = Duration::from_millis(1_500);
/// For what comes back some time.
const LONG: Duration = Duration::from_mins(1);

async fn open(double: &Double) -> KurrentDb {
    connect(&double.url(), Options::default()).await
}

async fn hasty(double: &Double) -> KurrentDb {
    connect(&double.url(), Options { patience: SHORT, ..Options::default() }).await
}

async fn connect(url: &str, options: Options) -> KurrentDb {
    KurrentDb::connect(url, &options, uuid(9_999)).await.unwrap()
}

/// Appends the command `command` to `note-1` until it is in the log, as a client with an idempotency key does.
async fn insist(store: &KurrentDb, expected: Expected, command: u64) -> Appended {
    let insisting = async {
        loop {
            match store.append(append("note-1", expected, command, 1)).await {
                Ok(appended) => return appended,
                Err(StoreError::Unavailable(_) | StoreError::Unknown(_)) => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(LONG, insisting).await.unwrap()
}

#[tokio::test]
async fn an_append_whose_reply_was_lost_is_looked_up_and_not_sent_again() {
    let double = Double::start().await;
    let store = hasty(&double).await;
    let lost = [
        Fault::Aborted(Moment::After),
        Fault::DeadlineExceeded(Moment::After),
        Fault::Disconnect(Moment::After),
        Fault::Silence(Moment::After),
    ];
    for (round, fault) in (0..).zip(lost) {
        let sent = double.counts().appends;
        double.next_append(fault.clone());
        let appended = store.append(append("note-1", Expected::of(u64::checked_sub(round, 1)), round, 1)).await;
        let appended = appended.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(appended.revision, round, "{fault:?}");
        assert_eq!(double.counts().appends, sent + 1, "{fault:?}");
        assert_eq!(whole(&store, 100).await.last().unwrap().position, appended.position, "{fault:?}");
    }
    assert_eq!(whole(&store, 100).await.len(), 4);
}

#[tokio::test]
async fn an_append_that_is_not_found_stays_unknown_and_can_be_sent_again() {
    let double = Double::start().await;
    let store = hasty(&double).await;
    let faults = [
        Fault::Unavailable,
        Fault::Aborted(Moment::Before),
        Fault::DeadlineExceeded(Moment::Before),
        Fault::Disconnect(Moment::Before),
        Fault::Silence(Moment::Before),
    ];
    for (round, fault) in (0..).zip(faults) {
        let sent = double.counts().appends;
        double.next_append(fault.clone());
        let again = append("note-1", Expected::of(u64::checked_sub(round, 1)), round, 2);
        let again = circolo_events::Append { events: again.events[..1].to_vec(), ..again };
        let outcome = store.append(again.clone()).await;
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{fault:?}: {outcome:?}");
        assert_eq!(double.counts().appends, sent + 1, "{fault:?}: never sent again by itself");
        assert_eq!(store.find(&stream("note-1"), uuid(round)).await.unwrap(), None, "{fault:?}");
        assert_eq!(store.append(again).await.unwrap().revision, round, "{fault:?}");
    }
}

#[tokio::test]
async fn an_append_whose_place_others_took_meanwhile_is_a_conflict() {
    let double = Double::start().await;
    let (store, other) = (Arc::new(hasty(&double).await), open(&double).await);
    let sent = double.counts().appends;
    double.next_append(Fault::Silence(Moment::Before));
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.append(append("note-1", Expected::NoStream, 1, 1)).await }
    });
    while double.counts().appends == sent {
        tokio::task::yield_now().await;
    }
    other.append(append("note-1", Expected::NoStream, 2, 2)).await.unwrap();
    let outcome = waiting.await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Conflict { current: Some(1), .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_repeat_is_given_its_first_position() {
    let double = Double::start().await;
    let store = open(&double).await;
    let first = store.append(append("note-1", Expected::NoStream, 1, 3)).await.unwrap();
    store.append(append("note-2", Expected::NoStream, 2, 1)).await.unwrap();
    assert_eq!(store.append(append("note-1", Expected::NoStream, 1, 3)).await.unwrap(), first);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time_and_no_error_for_ever() {
    let mut double = Double::start().await;
    double.stop().await;
    let began = Instant::now();
    let refused = KurrentDb::connect(&double.url(), &Options::default(), uuid(1)).await.err().unwrap();
    assert!(matches!(refused, ConnectError::Store(StoreError::Unavailable(_))), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(10), "refused connections need no patience");
    double.start_again().await;
    assert_eq!(open(&double).await.head().await.unwrap(), Position::START);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_comes_back_is_found_again() {
    let mut double = Double::start().await;
    let store = open(&double).await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    double.stop().await;
    // As many calls as it takes for the client to give up for ever.
    for _ in 0..5 {
        assert!(matches!(store.head().await, Err(StoreError::Unavailable(_))));
    }
    let outcome = store.append(append("note-1", Expected::Exact(0), 2, 1)).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Unknown(_))), "{outcome:?}");
    double.start_again().await;
    assert_eq!(insist(&store, Expected::Exact(0), 2).await.revision, 1);
    assert_eq!(whole(&store, 1).await.len(), 2);
    // Who waited meanwhile waits on.
    let appended = insist(&store, Expected::Exact(1), 3).await;
    assert_eq!(store.changed(Position(appended.position.0 - 1), LONG).await.unwrap(), appended.position);
}

#[tokio::test]
async fn a_read_that_gets_no_answer_ends_in_time() {
    let double = Double::start().await;
    let store = hasty(&double).await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    double.next_read(Fault::Silence(Moment::Before));
    let outcome = timeout(LONG, store.read_all(Position::START, 10)).await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    // A broken connection is no reason to fail: reads are asked for again.
    double.next_read(Fault::Disconnect(Moment::Before));
    assert_eq!(whole(&store, 10).await.len(), 1);
    double.next_read(Fault::Delay(Duration::from_millis(30)));
    assert_eq!(whole(&store, 10).await.len(), 1);
}

#[tokio::test]
async fn the_leader_is_found_when_it_changes() {
    let one = Double::start().await;
    let mut other = one.node().await;
    one.lead(one.address());
    let url = format!("esdb://{},{}?tls=false", one.address(), other.address());
    let store = connect(&url, Options { patience: SHORT, ..Options::default() }).await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    one.lead(other.address());
    store.append(append("note-1", Expected::Exact(0), 2, 1)).await.unwrap();
    assert_eq!(whole(&store, 10).await.len(), 2);
    // The node that leads is gone before anybody else leads.
    other.stop().await;
    one.lead(one.address());
    assert_eq!(insist(&store, Expected::Exact(1), 3).await.revision, 2);
    assert!(one.counts().gossip > 0);
}

#[tokio::test]
async fn a_refusal_that_names_a_leader_is_followed_at_once() {
    let (double, leader) = (Double::start().await, Double::start().await);
    let store = open(&double).await;
    let elsewhere = open(&leader).await;
    double.next_append(Fault::NotLeader(leader.address()));
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    assert_eq!(whole(&elsewhere, 10).await.len(), 1);
}

#[tokio::test]
async fn the_servers_own_records_at_the_end_move_the_checkpoint_and_not_the_head() {
    let double = Double::start().await;
    let store = open(&double).await;
    let head = store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap().position;
    for _ in 0..100 {
        double.own_record();
    }
    assert_eq!(store.head().await.unwrap(), head);
    let page = store.read_all(head, 10).await.unwrap();
    assert!(page.events.is_empty() && page.scanned > head);
    assert_eq!(store.changed(page.scanned, Duration::from_millis(20)).await.unwrap(), head);
    let next = store.append(append("note-1", Expected::Exact(0), 2, 1)).await.unwrap().position;
    assert_eq!(store.changed(page.scanned, LONG).await.unwrap(), next);
    let page = store.read_all(page.scanned, 10).await.unwrap();
    assert_eq!((page.events.len(), page.events[0].position), (1, next));
}

#[tokio::test]
async fn an_append_that_the_server_would_refuse_is_not_sent() {
    let double = Double::start_with(circolo_tests::kurrent::Options { version: "24.10.4" }).await;
    let store = open(&double).await;
    let sent = double.counts().appends;
    let mut large = append("note-1", Expected::NoStream, 1, 1);
    large.events[0].data = format!("\"{}\"", "x".repeat(1 << 20));
    let mut nameless = append("note-1", Expected::NoStream, 1, 1);
    nameless.events[0].id = ::uuid::Uuid::nil();
    let mut no_json = append("note-1", Expected::NoStream, 1, 1);
    no_json.events[0].data = "{".to_owned();
    let outcome = store.append(large).await;
    assert!(matches!(outcome, Err(StoreError::TooLarge(reason)) if reason.contains("1 MiB")), "{outcome:?}");
    for refused in [nameless, no_json, append("$note", Expected::NoStream, 1, 1), append("circolo-log", Expected::Exact(0), 1, 1)] {
        let outcome = store.append(refused).await;
        assert!(matches!(outcome, Err(StoreError::Invalid(_))), "{outcome:?}");
    }
    assert_eq!(double.counts().appends, sent);
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_somebody_deleted_is_an_error() {
    let double = Double::start().await;
    let store = open(&double).await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    double.tombstone("note-1");
    let outcome = store.append(append("note-1", Expected::Exact(0), 2, 1)).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(store.read(&stream("note-1"), 0, 10).await, Err(StoreError::Unavailable(_))));
    assert_eq!(whole(&store, 10).await[0].event, event(uuid(1), 0), "the log keeps what was said");
}

#[tokio::test]
async fn processes_that_start_at_once_make_one_log() {
    let double = Double::start().await;
    let (url, options) = (double.url(), Options::default());
    assert!(KurrentDb::connect_to_read(&url, &options).await.unwrap().log_id().is_nil(), "a reader makes nothing");
    let opening = (0..4).map(|number| KurrentDb::connect(&url, &options, uuid(number)));
    let stores: Vec<KurrentDb> = futures::future::try_join_all(opening).await.unwrap();
    assert!(stores.iter().all(|store| store.log_id() == stores[0].log_id() && !store.log_id().is_nil()));
    assert_eq!(KurrentDb::connect_to_read(&url, &options).await.unwrap().log_id(), stores[0].log_id());
}

#[tokio::test]
async fn of_many_appends_those_behind_a_failure_are_not_tried() {
    let double = Double::start().await;
    let store = open(&double).await;
    double.next_append(Fault::Delay(Duration::ZERO));
    double.next_append(Fault::Unavailable);
    let sent = double.counts().appends;
    let outcomes =
        store.append_many((1..=4).map(|command| append(&format!("note-{command}"), Expected::NoStream, command, 1)).collect()).await;
    let [Ok(_), Err(StoreError::Unknown(_)), Err(StoreError::Unavailable(_)), Err(StoreError::Unavailable(_))] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(double.counts().appends, sent + 2);
    assert_eq!(whole(&store, 10).await.len(), 1);
}

#[tokio::test]
async fn an_append_that_the_server_alone_finds_too_large_is_told_as_that() {
    let double = Double::start().await;
    let store = open(&double).await;
    // As a server does that was told to take less than others of its version.
    double.take_at_most(1 << 20);
    let mut large = append("note-1", Expected::NoStream, 1, 1);
    large.events[0].data = format!("\"{}\"", "x".repeat(1 << 20));
    let outcome = store.append(large).await;
    assert!(matches!(outcome, Err(StoreError::TooLarge(reason)) if reason.contains("MaxAppendSize")), "{outcome:?}");
    assert!(whole(&store, 10).await.is_empty());
}

/// A log that was read to its end by somebody who has little patience.
async fn read_log(double: &Double, events: u64) -> KurrentDb {
    let store = hasty(double).await;
    for number in 0..events {
        store.append(append("note-1", Expected::of(number.checked_sub(1)), number, 1)).await.unwrap();
    }
    store.head().await.unwrap();
    store
}

/// Asks until the log is found out.
async fn found_lost(store: &KurrentDb) {
    let asking = async {
        loop {
            match store.head().await {
                Err(StoreError::Lost) => return,
                Err(StoreError::Unavailable(_)) => sleep(Duration::from_millis(20)).await,
                other => panic!("the loss is not noticed: {other:?}"),
            }
        }
    };
    timeout(LONG, asking).await.unwrap();
}

#[tokio::test]
async fn a_log_that_lost_its_last_events_is_neither_read_nor_written_any_more() {
    let double = Double::start().await;
    let store = read_log(&double, 10).await;
    double.lose(3);
    // It may only have to catch up: it is refused for now, and then for good.
    assert!(matches!(store.head().await, Err(StoreError::Unavailable(_))));
    let appended = store.append(append("note-2", Expected::NoStream, 99, 1)).await;
    assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
    found_lost(&store).await;
    assert!(matches!(store.append(append("note-2", Expected::NoStream, 99, 1)).await, Err(StoreError::Lost)));
    assert!(matches!(store.read(&stream("note-1"), 0, 10).await, Err(StoreError::Lost)));
    // Whoever comes anew finds what there is.
    let anew = open(&double).await;
    assert_eq!(whole(&anew, 100).await.len(), 7);
    anew.append(append("note-1", Expected::Exact(6), 99, 1)).await.unwrap();
}

#[tokio::test]
async fn a_log_that_caught_up_in_time_is_the_same_log() {
    let double = Double::start().await;
    let store = read_log(&double, 2).await;
    double.lose(1);
    assert!(matches!(store.head().await, Err(StoreError::Unavailable(_))));
    // The same event at the same place, as the leader had it.
    hasty(&double).await.append(append("note-1", Expected::Exact(0), 1, 1)).await.unwrap();
    store.head().await.unwrap();
    store.append(append("note-1", Expected::Exact(1), 2, 1)).await.unwrap();
}

#[tokio::test]
async fn a_log_that_went_on_without_its_last_events_is_found_out_at_once() {
    // Little and much: what is more than a page is not read back to where it should be.
    for more in [1_u64, 4, 200] {
        let double = Double::start().await;
        let store = read_log(&double, 10).await;
        double.lose(3);
        let other = open(&double).await;
        for number in 0..more {
            other.append(append("note-2", Expected::of(number.checked_sub(1)), 1_000 + number, 1)).await.unwrap();
        }
        let found = store.head().await;
        assert!(matches!(found, Err(StoreError::Lost)) || more == 1, "{more}: {found:?}");
        found_lost(&store).await;
    }
}

#[tokio::test]
async fn what_the_server_cleans_up_of_its_own_is_no_loss() {
    let double = Double::start().await;
    let store = read_log(&double, 5).await;
    for _ in 0..40 {
        double.own_record();
    }
    let head = store.head().await.unwrap();
    double.scavenge();
    assert_eq!(store.head().await.unwrap(), head);
    double.own_record();
    assert_eq!(store.head().await.unwrap(), head);
    let appended = store.append(append("note-1", Expected::Exact(4), 5, 1)).await.unwrap();
    assert_eq!(store.head().await.unwrap(), appended.position);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_meets_a_log_without_its_last_events_says_so_and_appends_nothing() {
    let (double, folder) = (Double::start().await, tempfile::tempdir().unwrap());
    let database = format!("{} sqlite:{}", double.url(), folder.path().join("views.sqlite").display());
    let storage = Storage { folder: folder.path().join("data"), database: Some(database) };
    let mut load = Load::new(&storage).await;
    let server = Server::start(&storage).await;
    let (mut progress, url) = (load.progress(), server.url().to_owned());
    load.during(&url, async { progress.more(20).await }).await;
    all_folded(&url).await;
    double.lose(5);
    found_lost_events(&url).await;
    let before = double.counts().appends;
    load.attempt(&url).await;
    assert_eq!(double.counts().appends, before, "nothing is sent to what is left");
    server.kill().await;
    mended_by_a_rebuild(&storage).await;
}
