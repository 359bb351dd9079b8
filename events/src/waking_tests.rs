//! What is due is woken once in effect: late, twice, by two nodes, from rows that are out of date, over what fails.

use super::*;
use crate::{EventStore, Memory, Options};
use circolo_domain::conversation::{self, Conversation};
use circolo_domain::testing::{NOON, person};
use circolo_domain::{PageId, Span, deadline::deadlines};
use std::collections::BTreeMap;
use std::sync::Mutex as Slot;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const PAGE_ID: PageId = PageId(Uuid::from_u128(1));

/// All that waits, folded from the log when asked, and some that waits in vain.
struct Folded {
    log: Arc<Memory>,
    set: Vec<Due>,
    /// How much of the log is not known yet.
    behind: AtomicUsize,
    asked: AtomicUsize,
    fails: Slot<bool>,
}

#[async_trait]
impl Deadlines for Folded {
    async fn due(&self, now: Timestamp, after: Option<&Due>, limit: usize) -> Result<Vec<Due>, ConsumerError> {
        if *self.fails.lock().unwrap() {
            return Err("the read models are away".into());
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut all: BTreeMap<(Timestamp, String), Due> = self.set.iter().map(|due| ((due.at, due.key.clone()), due.clone())).collect();
        let events = self.log.read_all(Position::START, 100_000).await?.events;
        let known = events.len().saturating_sub(self.behind.load(Ordering::SeqCst));
        for stored in &events[..known] {
            let recorded = stored.decode()?;
            for deadline in deadlines(&recorded.stream, &recorded.event, recorded.recorded_at) {
                all.retain(|_, due| due.matter != deadline.matter);
            }
        }
        let behind = after.map(|due| (due.at, due.key.clone()));
        let wanted = all.into_iter().filter(|(key, due)| due.at <= now && behind.as_ref().is_none_or(|behind| key > behind));
        Ok(wanted.map(|(_, due)| due).take(limit).collect())
    }

    async fn know(&self, _: Position) -> Result<(), ConsumerError> {
        Ok(())
    }
}

struct Scene {
    log: Arc<Memory>,
    clock: Arc<AtomicI64>,
    folded: Arc<Folded>,
}

impl Scene {
    /// So many comments wait for a private reply, an hour apart from noon on.
    fn waiting(count: u128) -> Self {
        let log = Arc::new(Memory::default());
        let set = (0..count).map(|number| {
            let hours = i64::try_from(number).unwrap();
            due(number, NOON.plus(Span::hours(hours)))
        });
        let folded = Folded { log: log.clone(), set: set.collect(), behind: 0.into(), asked: 0.into(), fails: Slot::default() };
        Self { log, clock: Arc::new(AtomicI64::new(NOON.micros())), folded: Arc::new(folded) }
    }

    /// A node: caches of its own on the same log.
    fn node(&self) -> Waker {
        let clock = self.clock.clone();
        let now: crate::Clock = Arc::new(move || Timestamp::from_micros(clock.load(Ordering::SeqCst)));
        Waker::new(Arc::new(Executor::new(self.log.clone(), now, Options::default())), self.folded.clone())
    }

    fn later(&self, span: Span) {
        self.clock.fetch_add(span.as_micros(), Ordering::SeqCst);
    }

    /// Which comments the log says expired, in order.
    async fn expired(&self) -> Vec<u128> {
        let events = self.log.read_all(Position::START, 100_000).await.unwrap().events;
        let of = |stored: &crate::Stored| match stored.decode().unwrap().event {
            circolo_domain::Event::Conversation(conversation::Event::PrivateReplyExpired { comment, .. }) => comment.0.as_u128(),
            other => panic!("{other:?}"),
        };
        events.iter().map(of).collect()
    }
}

/// A comment of its own person.
fn due(number: u128, at: Timestamp) -> Due {
    let matter = Matter::about(conversation::stream(PAGE_ID, person(number)), Uuid::from_u128(number));
    Due { key: matter.to_string(), matter, at, set_by: Uuid::from_u128(0xE0_0000 + number) }
}

#[tokio::test]
async fn what_is_due_is_woken_once_and_the_rest_waits() {
    let scene = Scene::waiting(5);
    let node = scene.node();
    assert_eq!(node.round(false).await.unwrap().due, 1, "noon is over for whoever waited until noon");
    scene.later(Span::hours(2));
    assert_eq!(node.round(false).await.unwrap().due, 2);
    assert_eq!(node.round(false).await.unwrap(), Round::default());
    assert_eq!(scene.expired().await, [0, 1, 2]);
}

#[tokio::test]
async fn after_days_of_downtime_all_is_woken_oldest_first_in_pages() {
    let scene = Scene::waiting(2_500);
    scene.later(Span::days(365));
    let round = scene.node().round(false).await.unwrap();
    assert_eq!((round.due, scene.folded.asked.load(Ordering::SeqCst)), (2_500, 3));
    let expired = scene.expired().await;
    // Within what is under way at once the order is open; across it, the oldest come first.
    assert!(expired.iter().zip(0_u128..).all(|(number, at)| number.abs_diff(at) < 2 * AT_ONCE as u128));
    assert_eq!(expired.len(), 2_500);
}

#[tokio::test]
async fn two_nodes_a_kill_and_a_read_model_that_lags_change_nothing() {
    let scene = Scene::waiting(40);
    scene.later(Span::days(3));
    // Nothing of what follows is known to the read model.
    scene.folded.behind.store(usize::MAX, Ordering::SeqCst);
    let (one, other) = (scene.node(), scene.node());
    let (first, second) = tokio::join!(one.round(false), other.round(false));
    assert_eq!((first.unwrap().due, second.unwrap().due), (40, 40));
    // One that starts after a kill finds the rows as they were.
    assert_eq!(scene.node().round(false).await.unwrap().due, 40);
    assert_eq!(scene.expired().await.len(), 40);
    scene.folded.behind.store(0, Ordering::SeqCst);
    assert_eq!(scene.node().round(false).await.unwrap().due, 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_wakes_nobody_early() {
    let scene = Scene::waiting(3);
    scene.later(Span::hours(1));
    scene.node().round(false).await.unwrap();
    scene.later(Span::hours(-3));
    scene.node().round(false).await.unwrap();
    assert_eq!(scene.expired().await.len(), 2);
    scene.later(Span::hours(5));
    scene.node().round(false).await.unwrap();
    assert_eq!(scene.expired().await.len(), 3);
}

#[tokio::test]
async fn who_is_woken_in_vain_is_left_alone_and_holds_nobody_up() {
    let scene = Scene::waiting(3);
    scene.later(Span::hours(5));
    // The page answered the first: the row says otherwise for good, as if a newer program had written it.
    let executor = Executor::new(scene.log.clone(), Arc::new(|| NOON), Options::default());
    let stream = conversation::stream(PAGE_ID, person(0));
    let command = conversation::Command::ExpirePrivateReply { comment: circolo_domain::CommentId(Uuid::from_u128(0)), ended: NOON };
    executor.execute::<Conversation>(&stream, command, &Request::new(None, Uuid::from_u128(5))).await.unwrap();
    scene.folded.behind.store(usize::MAX, Ordering::SeqCst);
    let node = scene.node();
    assert_eq!(node.round(false).await.unwrap().due, 3);
    assert_eq!(scene.expired().await.len(), 3);
    assert_eq!(node.resting.lock().await.len(), 1);
    // The two that led to something are asked again, as nothing is known of it; the one that led to nothing rests.
    assert_eq!(node.round(false).await.unwrap().due, 2);
    assert_eq!(node.round(true).await.unwrap().due, 3);
    assert_eq!(scene.expired().await.len(), 3);
}

#[tokio::test]
async fn the_waker_goes_on_after_failures_until_it_is_stopped() {
    let scene = Scene::waiting(2);
    scene.later(Span::hours(5));
    *scene.folded.fails.lock().unwrap() = true;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(Arc::new(scene.node()), stopped));
    sleep(BACKOFF.0 / 2).await;
    assert_eq!(scene.expired().await.len(), 0);
    *scene.folded.fails.lock().unwrap() = false;
    let woken = async {
        while scene.expired().await.len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), woken).await.unwrap();
    stop.send(true).unwrap();
    running.await.unwrap();
}

#[test]
fn the_id_of_a_command_tells_matters_moments_and_words_apart() {
    let one = due(1, NOON);
    let others = [due(2, NOON), due(1, NOON.plus(Span::micros(1))), Due { set_by: Uuid::from_u128(9), ..one.clone() }];
    assert_eq!(one.command_id(), due(1, NOON).command_id());
    assert!(others.iter().all(|other| other.command_id() != one.command_id()));
}
