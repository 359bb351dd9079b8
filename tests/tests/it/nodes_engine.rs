//! Several projectors on one database of read models: one moves them at a time, and what one still writes that lost its lease fails.

use crate::engine::{Bench, assert_clean, assert_folded, history, options, projections};
use circolo_domain::{GroupId, Name, PersonId, StreamName, Timestamp, access::Privacy, group, group::Policy, membership};
use circolo_events::{Append, EventStore, Executor, Expected, Memory, NewEvent, Request, others::STALENESS};
use circolo_projections::{Db, EngineError, Node, Options, Projector, State, Switch};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

fn node(name: &str) -> Options {
    Options { node: Some(Node { id: name.to_owned(), url: format!("http://{name}") }), ..options() }
}

/// Waits until something holds.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Notes each holder of a lease in a table of its own.
const KEEP_LEADERS: &str = "CREATE TABLE leaders (holder TEXT NOT NULL);
    CREATE FUNCTION keep_leader() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO leaders VALUES (NEW.holder); RETURN NEW; END';
    CREATE TRIGGER keep_leaders AFTER UPDATE ON projection_leases FOR EACH ROW EXECUTE FUNCTION keep_leader()";

async fn leases(db: &Db) -> Vec<(String, String, i64)> {
    db.query("SELECT name, holder, epoch FROM projection_leases WHERE name <> '' ORDER BY name", vec![]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_leads_and_the_other_follows_until_it_is_told_to_stop() {
    let Some(mut bench) = Bench::new("postgres").await else { return };
    let (db, first) = bench.start(node("first")).await;
    let (_other, second) = bench.start(node("second")).await;
    assert!(first.leads() && !second.leads());
    let name = projections()[0].name;
    until("the leader is known", async || second.leader(name).is_some_and(|leader| leader.node.url == "http://first")).await;
    assert_eq!(first.leader(name), None);
    bench.write(&history(200)).await;
    // A position that the leader has come to is soon known to the one that follows.
    bench.caught_up(&second).await;
    assert_folded(&db, &*bench.store, "while another leads").await;
    assert!(matches!(second.rebuild(&[], Switch::Auto).await, Err(EngineError::Elsewhere)));
    assert!(second.status().await.unwrap().iter().all(|build| build.state == State::Live && build.lag_events == 0));

    let stopped = Instant::now();
    first.shutdown().await;
    second.lead(PATIENCE).await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(20), "a lease that was let go is free at once");
    bench.write(&history(50)).await;
    bench.caught_up(&second).await;
    for name in second.names() {
        assert_clean(&second.verify(name).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lost_the_lease_writes_nothing_and_can_lead_again() {
    let Some(mut bench) = Bench::new("postgres").await else { return };
    let (db, projector) = bench.start(node("first")).await;
    bench.write(&history(100)).await;
    bench.caught_up(&projector).await;
    let (before, position) = (leases(&db).await, projector.position());

    // As if another node had taken over while this one was cut off.
    bench.views.tamper("UPDATE projection_leases SET epoch = epoch + 1, holder = 'thief', until = 9000000000000000").await;
    bench.write(&history(100)).await;
    until("it has noticed", async || !projector.leads()).await;
    let status = projector.status().await.unwrap();
    assert!(status.iter().all(|build| build.position == position && build.state == State::Live), "it wrote all the same: {status:?}");
    assert_eq!(projector.failure(), None, "to lose a lease is no failure");
    assert!(leases(&db).await.iter().all(|(_, holder, _)| holder == "thief"));

    bench.views.tamper("UPDATE projection_leases SET until = 0").await;
    projector.lead(PATIENCE).await.unwrap();
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "after it led again").await;
    let after = leases(&db).await;
    assert!(after.iter().zip(&before).all(|(after, before)| after.2 > before.2), "each lease has an epoch of its own: {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_goes_on_where_another_node_takes_over() {
    let Some(mut bench) = Bench::new("postgres").await else { return };
    bench.write(&history(2_000)).await;
    let (_db, first) = bench.start(Options { rate: Some(2_000), build_page: 50, memory: 1 << 16, ..node("first") }).await;
    let (db, second) = bench.start(node("second")).await;
    bench.views.tamper("UPDATE projection_leases SET epoch = epoch + 1, holder = 'nobody', until = 0").await;
    // Either may take it.
    until("somebody leads", async || first.leads() || second.leads()).await;
    bench.caught_up(&second).await;
    assert_folded(&db, &*bench.store, "after a takeover in a build").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_meets_an_unknown_event_lets_others_go_first() {
    let Some(mut bench) = Bench::new("postgres").await else { return };
    let (db, first) = bench.start(node("first")).await;
    let (_other, second) = bench.start(node("second")).await;
    bench.write(&history(20)).await;
    bench.caught_up(&second).await;
    // A lease may be over before anybody looks.
    bench.views.tamper(KEEP_LEADERS).await;
    let newer = NewEvent {
        id: Uuid::from_u128(77),
        event_type: "question.painted.v9".to_owned(),
        data: "{}".to_owned(),
        metadata: r#"{"command":"PaintQuestion","command_id":"00000000-0000-0000-0000-000000000001","correlation":"00000000-0000-0000-0000-000000000001"}"#.to_owned(),
        recorded_at: Timestamp::from_micros(1),
        texts: vec![],
    };
    let stream = StreamName::new("question", "painted");
    bench.store.append(Append { stream, expected: Expected::NoStream, events: vec![newer] }).await.unwrap();
    let leaders = async || db.query::<String>("SELECT holder FROM leaders", vec![]).await.unwrap();
    until("the other one led", async || leaders().await.iter().any(|holder| holder == "second")).await;
    // Neither knows it: in the end it is treated as in a process alone.
    bench.write(&history(20)).await;
    until("it goes on", async || {
        let head = bench.store.head().await.unwrap();
        let status = second.status().await.unwrap();
        status.iter().all(|build| build.position == head || build.state == State::Stopped)
    })
    .await;
    assert!(first.failure().is_none() && second.failure().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_need_postgres() {
    let Some(bench) = Bench::new("sqlite").await else { return };
    let db = bench.views.open().await;
    let refused = bench.start_on(&db, node("first")).await.err();
    assert!(matches!(refused, Some(EngineError::OneNode)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_of_another_log_are_refused() {
    let Some(mut bench) = Bench::new("postgres").await else { return };
    let (db, _first) = bench.start(node("first")).await;
    bench.write(&history(5)).await;
    let other: Arc<dyn EventStore> = Arc::new(Memory::new(Uuid::from_u128(5)));
    let refused = Projector::start(db, other, projections(), node("second")).await.err();
    assert!(matches!(refused, Some(EngineError::Mismatch { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_wrote_is_known_within_the_bound() {
    let store: Arc<dyn EventStore> = Arc::new(Memory::new(Uuid::from_u128(6)));
    let executor = async || {
        let executor = Executor::new(store.clone(), Arc::new(|| Timestamp::from_micros(1)), circolo_events::Options::default());
        executor.share_log().await.unwrap();
        executor
    };
    let (here, there) = (executor().await, executor().await);
    let group = GroupId(Uuid::from_u128(9));
    let person = PersonId(Uuid::from_u128(10));
    let stream = membership::stream(group, person);
    // That it is not there is in the cache of both.
    for executor in [&here, &there] {
        assert_eq!(executor.load::<membership::Membership>(&stream).await.unwrap().revision, None);
    }
    let found = group::stream(group);
    assert_eq!(there.load::<group::Group>(&found).await.unwrap().revision, None);
    let command = group::Command::CreateGroup {
        name: Name::parse("Bakers").unwrap(),
        description: None,
        privacy: Privacy::Public,
        membership: Policy::Open,
    };
    here.execute::<group::Group>(&found, command, &Request::new(Some(person), Uuid::from_u128(11))).await.unwrap();
    let written = Instant::now();
    until("it is known there", async || there.load::<group::Group>(&found).await.unwrap().revision.is_some()).await;
    assert!(written.elapsed() < STALENESS * 5, "it took {:?}", written.elapsed());
    // Whoever waits for it need not be patient.
    there.settled().await;
    assert!(there.load::<membership::Membership>(&stream).await.unwrap().revision.is_some());
}
