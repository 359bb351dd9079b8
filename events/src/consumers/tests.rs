//! Many consumers beside each other: none waits for another, each has its own place, and they come and go.

use super::*;
use crate::{Append, EventStore, Expected, Memory, Metadata, Options, envelope::new_events};
use circolo_domain::testing::{NOON, person};
use circolo_domain::{PageId, StreamName, Timestamp, fan};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

/// Notes what it is given, or fails.
struct Witness {
    name: Name,
    seen: Mutex<Vec<Position>>,
    fails: AtomicBool,
    begins: Position,
}

impl Witness {
    fn of(kind: &'static str, key: u32) -> Arc<Self> {
        Self::behind(kind, key, Position::START)
    }

    fn behind(kind: &'static str, key: u32, begins: Position) -> Arc<Self> {
        Arc::new(Self { name: Name::of(kind, key), seen: Mutex::default(), fails: AtomicBool::default(), begins })
    }

    fn seen(&self) -> Vec<i64> {
        self.seen.lock().unwrap().iter().map(|position| position.0).collect()
    }
}

#[async_trait]
impl Consumer for Witness {
    fn name(&self) -> &Name {
        &self.name
    }

    fn reads(&self, category: &str) -> bool {
        category == "fan"
    }

    fn begins(&self) -> Position {
        self.begins
    }

    async fn consume(&self, event: &Recorded, _: &Executor) -> Result<(), ConsumerError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err("nobody answers".into());
        }
        self.seen.lock().unwrap().push(event.position);
        Ok(())
    }
}

struct Scene {
    log: Arc<Memory>,
    executor: Arc<Executor>,
    checkpoints: Arc<MemoryCheckpoints>,
    consumers: Arc<Consumers>,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn of(witnesses: &[&Arc<Witness>]) -> Self {
        let log = Arc::new(Memory::default());
        let executor = Arc::new(Executor::new(log.clone(), Arc::new(|| NOON), Options::default()));
        let consumers = Arc::new(Consumers::new(witnesses.iter().map(|witness| Arc::clone(witness) as Arc<dyn Consumer>)));
        Self { log, executor, checkpoints: Arc::default(), consumers, stop: watch::Sender::new(false) }
    }

    fn run(&self) -> JoinHandle<()> {
        tokio::spawn(run(self.consumers.clone(), self.executor.clone(), self.checkpoints.clone(), self.stop.subscribe()))
    }

    /// Something happens.
    async fn happen(&self, number: u128) -> i64 {
        let (page, who) = (PageId(Uuid::from_u128(number)), person(number));
        let stream: StreamName = fan::stream(page, who);
        let metadata = Metadata {
            actor: None,
            command: "FollowPage".to_owned(),
            command_id: Uuid::from_u128(number),
            fingerprint: None,
            correlation: Uuid::nil(),
            causation: None,
            scope: None,
            concerns: vec![],
        };
        let events = new_events(&stream, &[fan::Event::Followed], &metadata, NOON);
        self.log.append(Append { stream, expected: Expected::NoStream, events }).await.unwrap().position.0
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
}

#[tokio::test]
async fn one_that_fails_holds_nobody_up_and_comes_back() {
    let (first, second) = (Witness::of("webhook", 1), Witness::of("webhook", 2));
    first.fails.store(true, Ordering::SeqCst);
    let scene = Scene::of(&[&first, &second]);
    let running = scene.run();
    let positions = [scene.happen(1).await, scene.happen(2).await];
    until(|| second.seen() == positions).await;
    assert!(first.seen().is_empty());
    let failing = async || scene.checkpoints.failure("webhook:1").await.unwrap().is_some_and(|failure| failure.lasting);
    while !failing().await {
        tokio::task::yield_now().await;
    }
    let stand = progress(&*scene.log, &*scene.checkpoints, &scene.consumers.all()).await.unwrap();
    assert_eq!(
        stand.iter().map(|one| (one.name.as_str(), one.fails(), one.lag() > 0)).collect::<Vec<_>>(),
        [("webhook:1", true, true), ("webhook:2", false, false)]
    );
    first.fails.store(false, Ordering::SeqCst);
    until(|| first.seen() == positions).await;
    scene.stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test]
async fn one_that_is_paused_stays_where_it_is_over_a_restart_and_misses_nothing() {
    let (first, second) = (Witness::of("webhook", 1), Witness::of("webhook", 2));
    let scene = Scene::of(&[&first, &second]);
    let running = scene.run();
    let before = scene.happen(1).await;
    until(|| first.seen() == [before] && second.seen() == [before]).await;
    scene.consumers.pause(&*scene.checkpoints, first.name(), NOON).await.unwrap();
    let during = scene.happen(2).await;
    until(|| second.seen() == [before, during]).await;
    scene.stop.send_replace(true);
    running.await.unwrap();
    let again = Scene { consumers: Arc::new(Consumers::new(scene.consumers.all())), stop: watch::Sender::new(false), ..scene };
    let running = again.run();
    let after = again.happen(3).await;
    until(|| second.seen().ends_with(&[after])).await;
    assert_eq!(first.seen(), [before]);
    let since: Vec<Option<Timestamp>> =
        progress(&*again.log, &*again.checkpoints, &again.consumers.all()).await.unwrap().iter().map(|one| one.paused).collect();
    assert_eq!(since, [Some(NOON), None]);
    again.consumers.resume(&*again.checkpoints, first.name()).await.unwrap();
    until(|| first.seen() == [before, during, after]).await;
    again.stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test]
async fn instances_come_and_go_while_others_run() {
    let (first, other) = (Witness::of("webhook", 1), Witness::of("bridge", 1));
    let scene = Scene::of(&[&first, &other]);
    let running = scene.run();
    let one = scene.happen(1).await;
    until(|| first.seen() == [one]).await;
    // One that begins with what comes, in the place of one that is gone.
    let second = Witness::behind("webhook", 2, Position(one));
    scene.consumers.set("webhook", [Arc::clone(&second) as Arc<dyn Consumer>]);
    assert!(scene.consumers.find("webhook:1").is_none() && scene.consumers.find("bridge:1").is_some());
    let two = scene.happen(2).await;
    until(|| second.seen() == [two] && other.seen() == [one, two]).await;
    // The same name, told otherwise, goes on where that was.
    let told_anew = Witness::behind("webhook", 2, Position(one));
    scene.consumers.set("webhook", [Arc::clone(&told_anew) as Arc<dyn Consumer>]);
    let mut happened = vec![two];
    while told_anew.seen().is_empty() {
        happened.push(scene.happen(happened.len() as u128 + 2).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let both = || [second.seen(), told_anew.seen()].concat();
    until(|| happened.iter().all(|position| both().contains(position))).await;
    assert_eq!(first.seen(), [one]);
    scene.stop.send_replace(true);
    running.await.unwrap();
}

#[test]
fn a_name_has_a_kind_and_where_there_are_several_a_key() {
    let (only, several) = (Name::only("complete_flows"), Name::of("webhook", 7));
    assert_eq!((only.as_str(), only.kind(), only.key()), ("complete_flows", "complete_flows", None));
    assert_eq!((several.as_str(), several.kind(), several.key()), ("webhook:7", "webhook", Some("7")));
}
