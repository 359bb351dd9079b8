//! The contract of the log: what happens to a command whose reply was lost, and names of all kinds.

use super::assert_conflict;
use crate::backend::{Backend, append, stream, uuid, whole};
use circolo_events::{Appended, Expected, Position, StoreError};

/// Whoever got no reply sends the same ids with the same expectation once more, or looks the command up: both tell the same.
pub async fn a_repeat_after_a_lost_reply_writes_nothing(backend: &Backend) {
    let store = backend.open().await;
    let first = append("note-1", Expected::NoStream, 1, 2);
    let second = append("note-1", Expected::Exact(1), 2, 3);
    let outcomes = [store.append(first.clone()).await.unwrap(), store.append(second.clone()).await.unwrap()];
    // Meanwhile others go on.
    store.append(append("note-2", Expected::NoStream, 3, 1)).await.unwrap();
    store.append(append("note-1", Expected::Exact(4), 4, 1)).await.unwrap();
    let before = whole(&*store, 100).await;
    for (command, (sent, outcome)) in (1..).zip([first, second].into_iter().zip(outcomes)) {
        match store.append(sent.clone()).await {
            Ok(repeated) => assert_eq!(repeated, outcome, "the first outcome again"),
            Err(StoreError::Conflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        let (found, appended) = store.find(&stream("note-1"), uuid(command)).await.unwrap().unwrap();
        assert_eq!((&found.event, appended), (&sent.events[0], outcome));
    }
    assert_eq!(whole(&*store, 100).await, before);
}

pub async fn commands_of_many_events_are_all_or_none(backend: &Backend) {
    let store = backend.open().await;
    let appended = store.append(append("note-1", Expected::NoStream, 1, 500)).await.unwrap();
    assert_eq!(appended.revision, 499);
    assert_conflict(store.append(append("note-1", Expected::Exact(498), 2, 500)).await, "note-1", Some(499));
    let events = whole(&*store, 64).await;
    assert_eq!((events.len(), events[499].position), (500, appended.position));
    let (first, last) = store.find(&stream("note-1"), uuid(1)).await.unwrap().unwrap();
    assert_eq!((first.revision, last), (0, Appended { revision: 499, position: appended.position }));
}

pub async fn names_of_every_length_and_script(backend: &Backend) {
    let store = backend.open().await;
    let names = ["x", "note-", "-1", "ноты-1", "筆記-1", "नोट-1", "ملاحظة-1", "🎼-1", "note-\u{7f}\u{1}", " note-1 ", "note-1/2?3#4%20"];
    for (command, name) in (0..).zip(names) {
        store.append(append(name, Expected::NoStream, command, 1)).await.unwrap();
        assert_conflict(store.append(append(name, Expected::NoStream, command + 100, 1)).await, name, Some(0));
    }
    let events = whole(&*store, 3).await;
    assert_eq!(events.iter().map(|stored| stored.stream.as_str()).collect::<Vec<_>>(), names);
    for name in names {
        let page = store.read_prefix(name, Position::START, Position(i64::MAX), 100).await.unwrap();
        assert!(page.events.iter().any(|stored| stored.stream.as_str() == name), "{name}");
        assert_eq!(store.read(&stream(name), 0, 10).await.unwrap().len(), 1);
    }
}
