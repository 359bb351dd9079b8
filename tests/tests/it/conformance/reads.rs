//! The contract of the log: what reads, look-ups and waiting do.

use super::{fill, revisions};
use crate::backend::{Backend, append, event, stream, uuid, whole};
use circolo_events::{Appended, Expected, Position, Stored};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

pub async fn reading_a_stream_in_parts(backend: &Backend) {
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 7)).await.unwrap();
    store.append(append("note-10", Expected::NoStream, 2, 2)).await.unwrap();
    let name = stream("note-1");
    assert_eq!(revisions(&store.read(&name, 0, 3).await.unwrap()), [0, 1, 2]);
    assert_eq!(revisions(&store.read(&name, 5, 3).await.unwrap()), [5, 6]);
    assert_eq!(revisions(&store.read(&name, 0, usize::MAX).await.unwrap()).len(), 7);
    for (from, limit) in [(7, 3), (u64::MAX, 3), (0, 0)] {
        assert!(store.read(&name, from, limit).await.unwrap().is_empty());
    }
    assert!(store.read(&stream("note-2"), 0, 3).await.unwrap().is_empty());
}

pub async fn the_whole_log_reads_in_order_of_position(backend: &Backend) {
    let store = backend.open().await;
    fill(&*store).await;
    let events = whole(&*store, 1_000).await;
    assert_eq!(events.len(), 30);
    assert!(events.is_sorted_by(|a, b| a.position < b.position));
    for limit in [1, 7, 30, 31] {
        assert_eq!(whole(&*store, limit).await, events);
    }
}

pub async fn a_page_says_how_far_it_looked(backend: &Backend) {
    let store = backend.open().await;
    let empty = store.read_all(Position::START, 10).await.unwrap();
    fill(&*store).await;
    let (events, head) = (whole(&*store, 1_000).await, store.head().await.unwrap());
    // A database may have records of its own; what comes later stands behind them.
    assert!(empty.events.is_empty() && empty.scanned < events[0].position);
    let page = store.read_all(Position::START, 7).await.unwrap();
    assert_eq!((page.events.as_slice(), page.scanned), (&events[..7], events[6].position));
    assert_eq!(store.read_all(events[25].position, 7).await.unwrap().scanned, head);
    assert_eq!(store.read_all(head, 7).await.unwrap(), circolo_events::Page { events: Vec::new(), scanned: head });
    assert_eq!(store.read_all(events[3].position, 0).await.unwrap().scanned, events[3].position);
    // Nothing matches, yet the whole range was looked at; beyond the head nothing was.
    let nothing = store.read_prefix("page-", Position::START, events[20].position, 7).await.unwrap();
    assert_eq!((nothing.events.len(), nothing.scanned), (0, events[20].position));
    assert_eq!(store.read_prefix("page-", Position::START, Position(i64::MAX), 7).await.unwrap().scanned, head);
}

pub async fn reading_on_from_where_nobody_wrote(backend: &Backend) {
    let store = backend.open().await;
    let beyond = Position(i64::MAX);
    assert!(store.read_all(Position(7), 10).await.unwrap().events.is_empty(), "nothing is in the log");
    fill(&*store).await;
    let (events, head) = (whole(&*store, 1_000).await, store.head().await.unwrap());
    // Just before and just behind each event, halfway to the next, and beyond the end.
    let places = events.iter().zip(events.iter().skip(1)).flat_map(|(one, next)| {
        let (one, next) = (one.position.0, next.position.0);
        [one - 1, one + 1, i64::midpoint(one, next)].map(Position)
    });
    for after in places.step_by(5).chain([Position(1), Position(head.0 - 1), Position(head.0 + 1), beyond]) {
        let behind: Vec<Stored> = events.iter().filter(|stored| stored.position > after).cloned().collect();
        let page = store.read_all(after, 4).await.unwrap();
        assert_eq!(page.events, behind[..behind.len().min(4)], "after {after}");
        assert!(page.scanned >= after, "a checkpoint never goes back");
        let page = store.read_prefix("note-", after, beyond, 1_000).await.unwrap();
        assert_eq!(page.events, behind, "after {after}");
    }
}

pub async fn an_event_is_found_at_its_own_position(backend: &Backend) {
    let store = backend.open().await;
    assert_eq!((store.back(3).await.unwrap(), store.before(Position(7)).await.unwrap() <= Position(7)), (Position::START, true));
    fill(&*store).await;
    let (events, head) = (whole(&*store, 1_000).await, store.head().await.unwrap());
    for (number, stored) in events.iter().enumerate() {
        assert_eq!(store.at(stored.position).await.unwrap().as_ref(), Some(stored));
        let behind = store.before(stored.position).await.unwrap();
        assert!(behind < stored.position);
        assert_eq!(store.read_all(behind, 1).await.unwrap().events[..], events[number..=number]);
        let behind = store.back(events.len() - number).await.unwrap();
        assert_eq!(store.read_all(behind, 1_000).await.unwrap().events, events[number..]);
    }
    let beyond = Position(head.0 + 1_000_000);
    assert_eq!((store.at(beyond).await.unwrap(), store.at(Position::START).await.unwrap()), (None, None));
    assert!(store.read_all(store.before(beyond).await.unwrap(), 10).await.unwrap().events.is_empty());
    assert!(store.before(Position::START).await.unwrap() <= Position::START);
}

pub async fn a_prefix_takes_its_characters_literally(backend: &Backend) {
    let store = backend.open().await;
    let names = ["a_b-1", "a_b-2", "axb-1", "a%b-1", "a\\b-1", "a*b-1", "A_b-1", "a_b", "é-1", "é\u{10FFFF}-1", "e-1"];
    for (command, name) in (0..).zip(names) {
        store.append(append(name, Expected::NoStream, command, 1)).await.unwrap();
    }
    let prefixes = ["a_b-", "a_b", "a%", "a\\", "a*", "é", "é\u{10FFFF}", "", "a", "b", "\0", "a_b\0"];
    for prefix in prefixes {
        let page = store.read_prefix(prefix, Position::START, Position(i64::MAX), 100).await.unwrap();
        let found: Vec<&str> = page.events.iter().map(|stored| stored.stream.as_str()).collect();
        let wanted: Vec<&str> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(found, wanted, "prefix {prefix}");
    }
}

pub async fn a_prefix_ends_at_the_bound(backend: &Backend) {
    let store = backend.open().await;
    fill(&*store).await;
    let events = whole(&*store, 1_000).await;
    let of_three: Vec<&Stored> = events.iter().filter(|stored| stored.stream == stream("note-3")).collect();
    let (after, until) = (of_three[2].position, of_three[7].position);
    let page = store.read_prefix("note-3", after, until, 100).await.unwrap();
    assert_eq!(revisions(&page.events), [3, 4, 5, 6, 7]);
    let page = store.read_prefix("note-3", after, until, 2).await.unwrap();
    assert_eq!((revisions(&page.events), page.scanned), (vec![3, 4], of_three[4].position));
    // A store may read all of it in another way where much is asked for.
    for limit in [100, 10_000, 1_000_000] {
        let page = store.read_prefix("note-", Position::START, until, limit).await.unwrap();
        assert_eq!(page.events, events.iter().filter(|stored| stored.position <= until).cloned().collect::<Vec<_>>());
        let page = store.read_prefix("note-3", after, Position(i64::MAX), limit).await.unwrap();
        assert_eq!(page.events.iter().collect::<Vec<_>>(), of_three[3..]);
    }
}

pub async fn a_command_is_found_with_its_last_event(backend: &Backend) {
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    let appended = store.append(append("note-1", Expected::Exact(0), 2, 40)).await.unwrap();
    store.append(append("note-1", Expected::Exact(40), 3, 2)).await.unwrap();
    let (first, last) = store.find(&stream("note-1"), uuid(2)).await.unwrap().unwrap();
    assert_eq!((first.revision, &first.event), (1, &event(uuid(2), 0)));
    assert_eq!(last, appended);
    let (first, last) = store.find(&stream("note-1"), uuid(1)).await.unwrap().unwrap();
    assert_eq!(last, Appended { revision: first.revision, position: first.position });
}

pub async fn an_unknown_command_is_not_found(backend: &Backend) {
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    assert_eq!(store.find(&stream("note-1"), uuid(2)).await.unwrap(), None);
    assert_eq!(store.find(&stream("note-2"), uuid(1)).await.unwrap(), None);
}

pub async fn the_head_is_the_last_position(backend: &Backend) {
    let store = backend.open().await;
    assert_eq!(store.head().await.unwrap(), Position::START);
    for round in 0..3_u64 {
        let appended = store.append(append("note-1", Expected::of(round.checked_sub(1)), round, 1)).await.unwrap();
        assert_eq!(store.head().await.unwrap(), appended.position);
    }
}

pub async fn a_change_wakes_who_waits_for_it(backend: &Backend) {
    const LONG: Duration = Duration::from_secs(30);
    let store = backend.open().await;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.changed(Position::START, LONG).await.unwrap() })
        })
        .collect();
    let first = store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    for head in join_all(waiting).await {
        assert_eq!(head.unwrap(), first.position);
    }
    // What has changed already is told at once.
    assert_eq!(store.changed(Position::START, LONG).await.unwrap(), first.position);
}

pub async fn waiting_for_a_change_ends_in_time(backend: &Backend) {
    let store = backend.open().await;
    let head = store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap().position;
    assert_eq!(store.changed(head, Duration::from_millis(30)).await.unwrap(), head);
    assert_eq!(store.changed(head, Duration::ZERO).await.unwrap(), head);
}
