use super::*;
use crate::{Append, Executor, Expected, Memory, Metadata, Options, envelope::new_events};
use circolo_domain::testing::{NOON, person};
use circolo_domain::{PageId, fan};
use uuid::Uuid;

fn followed(number: u128) -> Append {
    let stream = fan::stream(PageId(Uuid::from_u128(number)), person(number));
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
    Append { stream, expected: Expected::NoStream, events }
}

async fn append(log: &Memory, numbers: std::ops::Range<u128>) -> Position {
    let outcomes = log.append_many(numbers.map(followed).collect()).await;
    outcomes.into_iter().last().unwrap().unwrap().position
}

/// Waits until the end is known up to `last`.
async fn known(end: &End, last: Position) {
    let waiting = async {
        while end.last() < last {
            end.changed(Position(last.0 - 1), Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.unwrap();
}

fn positions(found: Option<Vec<Arc<Kept>>>) -> Vec<i64> {
    found.unwrap().iter().map(|kept| kept.stored.position.0).collect()
}

#[tokio::test]
async fn what_comes_is_kept_once_for_all_and_decoded_once() {
    let log = Arc::new(Memory::default());
    let before = append(&log, 1..4).await;
    let executor = Executor::new(log.clone(), Arc::new(|| NOON), Options::default());
    let end = executor.end();
    known(end, before).await;
    // What was there before is not kept: the store has it.
    assert!(end.behind(Position::START, 10).is_none());
    assert!(end.behind(before, 10).unwrap().is_empty());
    let last = append(&log, 4..8).await;
    known(end, last).await;
    assert_eq!(positions(end.behind(before, 10)), (before.0 + 1..=last.0).collect::<Vec<_>>());
    assert_eq!(positions(end.behind(before, 2)), [before.0 + 1, before.0 + 2]);
    assert_eq!(positions(end.behind(Position(last.0 - 1), 10)), [last.0]);
    let (one, other) = (end.behind(before, 1).unwrap(), end.behind(before, 1).unwrap());
    assert!(std::ptr::eq(one[0].recorded().unwrap(), other[0].recorded().unwrap()));
    assert!(one[0].change().is_some());
}

#[tokio::test]
async fn of_much_only_the_last_is_kept() {
    let log = Arc::new(Memory::default());
    let executor = Executor::new(log.clone(), Arc::new(|| NOON), Options::default());
    let end = executor.end();
    known(end, Position::START).await;
    while end.behind(Position::START, 1).is_none() {
        tokio::task::yield_now().await;
    }
    let last = append(&log, 1..EVENTS as u128 + 101).await;
    known(end, last).await;
    let begins = Position(last.0 - i64::try_from(EVENTS).unwrap());
    assert!(end.behind(Position(begins.0 - 1), 10).is_none(), "it has to be read from the store");
    assert_eq!(end.behind(begins, usize::MAX).unwrap().len(), EVENTS);
}
