//! The contract of the log, case by case, on every adapter: what appends do; what reads do is in [`reads`].

mod reads;
mod repeats;

use crate::backend::{Backend, append, event, stream, uuid, whole};
use circolo_domain::Timestamp;
use circolo_events::{Append, Appended, EventStore, Expected, Position, StoreError, Stored};
use futures::future::join_all;
use reads::{
    a_change_wakes_who_waits_for_it, a_command_is_found_with_its_last_event, a_page_says_how_far_it_looked, a_prefix_ends_at_the_bound,
    a_prefix_takes_its_characters_literally, an_event_is_found_at_its_own_position, an_unknown_command_is_not_found,
    reading_a_stream_in_parts, reading_on_from_where_nobody_wrote, the_head_is_the_last_position, the_whole_log_reads_in_order_of_position,
    waiting_for_a_change_ends_in_time,
};
use repeats::{a_repeat_after_a_lost_reply_writes_nothing, commands_of_many_events_are_all_or_none, names_of_every_length_and_script};
use std::{collections::HashSet, sync::Arc};

/// Makes one test per case and adapter. A backend that is not installed has said so and is skipped.
macro_rules! conformance {
    ($($adapter:ident { $($case:ident),* $(,)? })*) => {$(
        mod $adapter {
            use super::Backend;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    if let Some(backend) = Backend::new(stringify!($adapter)).await {
                        super::$case(&backend).await;
                    }
                }
            )*
        }
    )*};
}

/// The cases that every adapter runs; those that need a log which outlives its store; and those of logs that know the id of
/// every event. KurrentDB knows it at an event's own place only: there, commands are looked up before they are decided.
macro_rules! on_every_adapter {
    ($($case:ident),* $(,)?; durable: $($durable:ident),* $(,)?; ids: $($ids:ident),* $(,)?) => {
        conformance! {
            memory { $($case,)* $($ids),* }
            sqlite { $($case,)* $($durable,)* $($ids),* }
            postgres { $($case,)* $($durable,)* $($ids),* }
        }
        #[cfg(feature = "kurrentdb")]
        conformance! {
            kurrentdb { $($case,)* $($durable),* }
        }
    };
}

on_every_adapter! {
    revisions_count_from_zero,
    a_stream_that_exists_is_not_created_again,
    a_wrong_expectation_changes_nothing_and_tells_the_current_revision,
    events_come_back_as_they_were_appended,
    an_append_without_events_is_invalid,
    an_empty_or_overlong_name_is_invalid,
    one_id_twice_in_an_append_is_invalid,
    reading_a_stream_in_parts,
    the_whole_log_reads_in_order_of_position,
    a_page_says_how_far_it_looked,
    a_prefix_takes_its_characters_literally,
    a_prefix_ends_at_the_bound,
    reading_on_from_where_nobody_wrote,
    an_event_is_found_at_its_own_position,
    a_repeat_after_a_lost_reply_writes_nothing,
    commands_of_many_events_are_all_or_none,
    names_of_every_length_and_script,
    a_command_is_found_with_its_last_event,
    an_unknown_command_is_not_found,
    append_many_is_atomic_per_entry_only,
    append_many_takes_thousands_of_entries,
    of_many_appends_at_one_revision_one_wins,
    appends_to_many_streams_do_not_disturb_each_other,
    names_and_payloads_of_any_script,
    payloads_from_one_byte_to_a_megabyte,
    the_time_of_recording_is_kept_exactly,
    the_head_is_the_last_position,
    a_change_wakes_who_waits_for_it,
    waiting_for_a_change_ends_in_time;
    durable:
    the_log_keeps_its_identity_and_its_events,
    a_log_that_is_a_part_only_says_so_until_it_is_whole,
    a_full_queue_is_busy;
    ids:
    an_event_id_that_the_log_knows_is_a_conflict,
    a_known_id_fails_its_own_entry_of_many,
}

async fn a_log_that_is_a_part_only_says_so_until_it_is_whole(backend: &Backend) {
    let store = backend.open().await;
    assert!(!store.is_partial().await.unwrap());
    for partial in [true, true, false, false, true] {
        store.set_partial(partial).await.unwrap();
        assert_eq!(store.is_partial().await.unwrap(), partial);
    }
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert!(store.is_partial().await.unwrap(), "whoever opens it later is told");
    assert_eq!(whole(&*store, 10).await.len(), 1, "what is said of the log is no part of it");
    store.set_partial(false).await.unwrap();
}

async fn revisions_count_from_zero(backend: &Backend) {
    let store = backend.open().await;
    let first = store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    let second = store.append(append("note-1", Expected::Exact(0), 2, 3)).await.unwrap();
    assert_eq!((first.revision, second.revision), (0, 3));
    assert!(Position::START < first.position && first.position < second.position);
    assert_eq!(revisions(&store.read(&stream("note-1"), 0, 10).await.unwrap()), [0, 1, 2, 3]);
}

async fn a_stream_that_exists_is_not_created_again(backend: &Backend) {
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 2)).await.unwrap();
    assert_conflict(store.append(append("note-1", Expected::NoStream, 2, 1)).await, "note-1", Some(1));
    store.append(append("note-2", Expected::NoStream, 3, 1)).await.unwrap();
}

async fn a_wrong_expectation_changes_nothing_and_tells_the_current_revision(backend: &Backend) {
    let store = backend.open().await;
    assert_conflict(store.append(append("note-1", Expected::Exact(0), 1, 1)).await, "note-1", None);
    store.append(append("note-1", Expected::NoStream, 2, 3)).await.unwrap();
    for wrong in [0, 1, 3, u64::MAX - 1, u64::MAX] {
        assert_conflict(store.append(append("note-1", Expected::Exact(wrong), 3, 1)).await, "note-1", Some(2));
    }
    assert_eq!(whole(&*store, 10).await.len(), 3);
    store.append(append("note-1", Expected::Exact(2), 3, 1)).await.unwrap();
}

async fn events_come_back_as_they_were_appended(backend: &Backend) {
    let store = backend.open().await;
    let sent = append("note-1", Expected::NoStream, 1, 3);
    store.append(sent.clone()).await.unwrap();
    let stored = store.read(&stream("note-1"), 0, 10).await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.event.clone()).collect::<Vec<_>>(), sent.events);
    assert!(stored.iter().all(|stored| stored.stream == stream("note-1")));
    assert_eq!(whole(&*store, 10).await, stored);
}

async fn an_append_without_events_is_invalid(backend: &Backend) {
    let store = backend.open().await;
    assert_invalid(&*store, append("note-1", Expected::NoStream, 1, 0)).await;
}

async fn an_empty_or_overlong_name_is_invalid(backend: &Backend) {
    let store = backend.open().await;
    for name in ["", "a\0b", &"x".repeat(501)] {
        assert_invalid(&*store, append(name, Expected::NoStream, 1, 1)).await;
        let mut untyped = append("note-1", Expected::NoStream, 1, 1);
        name.clone_into(&mut untyped.events[0].event_type);
        assert_invalid(&*store, untyped).await;
    }
    store.append(append(&"x".repeat(500), Expected::NoStream, 1, 1)).await.unwrap();
}

async fn one_id_twice_in_an_append_is_invalid(backend: &Backend) {
    let store = backend.open().await;
    for count in [2, 40] {
        let mut twins = append("note-1", Expected::NoStream, 1, count);
        twins.events[count - 1].id = twins.events[0].id;
        assert_invalid(&*store, twins).await;
    }
}

async fn an_event_id_that_the_log_knows_is_a_conflict(backend: &Backend) {
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    assert_conflict(store.append(append("note-1", Expected::Exact(0), 1, 1)).await, "note-1", Some(0));
    assert_conflict(store.append(append("note-2", Expected::NoStream, 1, 1)).await, "note-2", None);
    // The known id is the last of the append: those before it must not stay.
    let mut late = append("note-2", Expected::NoStream, 2, 3);
    late.events[2] = event(uuid(1), 0);
    assert_conflict(store.append(late).await, "note-2", None);
    assert_eq!(whole(&*store, 10).await.len(), 1);
    assert_eq!(store.append(append("note-2", Expected::NoStream, 2, 3)).await.unwrap().revision, 2);
    assert_eq!(whole(&*store, 10).await.len(), 4);
}

async fn append_many_is_atomic_per_entry_only(backend: &Backend) {
    let store = backend.open().await;
    let outcomes = store
        .append_many(vec![
            append("note-1", Expected::NoStream, 1, 2),
            append("note-1", Expected::Exact(1), 2, 1),
            append("note-1", Expected::Exact(1), 3, 1),
            append("note-2", Expected::Exact(5), 4, 1),
            append("note-3", Expected::NoStream, 5, 0),
            append("note-1", Expected::Exact(2), 7, 1),
            append("note-4", Expected::NoStream, 8, 1),
        ])
        .await;
    let outcomes: Vec<Result<u64, StoreError>> = outcomes.into_iter().map(|outcome| outcome.map(|a| a.revision)).collect();
    assert!(
        matches!(
            outcomes.as_slice(),
            [
                Ok(1),
                Ok(2),
                Err(StoreError::Conflict { current: Some(2), .. }),
                Err(StoreError::Conflict { current: None, .. }),
                Err(StoreError::Invalid(_)),
                Ok(3),
                Ok(0),
            ]
        ),
        "{outcomes:?}"
    );
    let events = whole(&*store, 100).await;
    let names: Vec<&str> = events.iter().map(|stored| stored.stream.as_str()).collect();
    assert_eq!(names, ["note-1", "note-1", "note-1", "note-1", "note-4"], "in the order given");
    assert!(store.append_many(Vec::new()).await.is_empty());
}

async fn a_known_id_fails_its_own_entry_of_many(backend: &Backend) {
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    let mut known = append("note-4", Expected::NoStream, 6, 3);
    known.events[2] = event(uuid(1), 0);
    let outcomes =
        store.append_many(vec![append("note-2", Expected::NoStream, 2, 1), known, append("note-4", Expected::NoStream, 8, 1)]).await;
    let [Ok(_), Err(StoreError::Conflict { current: None, .. }), Ok(_)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!(whole(&*store, 100).await.len(), 3);
}

async fn append_many_takes_thousands_of_entries(backend: &Backend) {
    let store = backend.open().await;
    // More than one transaction's worth, with streams that go on from one to the next.
    let entry = |number: u64| {
        let (name, revision) = (number % 50, number / 50);
        append(&format!("note-{name}"), Expected::of(revision.checked_sub(1)), number, 1)
    };
    let outcomes = store.append_many((0..backend.many()).map(entry).collect()).await;
    let many = usize::try_from(backend.many()).unwrap();
    assert_eq!(outcomes.len(), many);
    let mut positions = HashSet::new();
    for (number, outcome) in (0..).zip(outcomes) {
        let appended = outcome.unwrap();
        assert_eq!(appended.revision, number / 50);
        positions.insert(appended.position);
    }
    let events = whole(&*store, 3_000).await;
    assert_eq!((events.len(), positions.len()), (many, many));
    assert!(events.iter().all(|stored| positions.contains(&stored.position)));
}

async fn of_many_appends_at_one_revision_one_wins(backend: &Backend) {
    let store = backend.open().await;
    let mut expected = Expected::NoStream;
    for round in 0..5 {
        let appends = (0..100).map(|command| {
            let (store, append) = (Arc::clone(&store), append("note-1", expected, round * 100 + command, 1));
            tokio::spawn(async move { store.append(append).await })
        });
        let outcomes: Vec<_> = join_all(appends).await.into_iter().map(Result::unwrap).collect();
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].as_ref().unwrap().revision, round);
        for outcome in lost {
            assert_conflict(outcome, "note-1", Some(round));
        }
        expected = Expected::Exact(round);
    }
    assert_eq!(whole(&*store, 10).await.len(), 5);
}

async fn appends_to_many_streams_do_not_disturb_each_other(backend: &Backend) {
    let store = backend.open().await;
    let writers = (0..64_u64).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut expected = Expected::NoStream;
            for round in 0..20 {
                let appended = store.append(append(&format!("note-{writer}"), expected, writer * 100 + round, 1)).await.unwrap();
                assert_eq!(appended.revision, expected.next());
                let own = store.read(&stream(&format!("note-{writer}")), appended.revision, 1).await.unwrap();
                assert_eq!(own[0].position, appended.position, "what was acknowledged is seen");
                expected = Expected::Exact(appended.revision);
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let events = whole(&*store, 100).await;
    assert_eq!(events.len(), 64 * 20);
    for writer in 0..64 {
        let name = stream(&format!("note-{writer}"));
        let of_one: Vec<Stored> = events.iter().filter(|stored| stored.stream == name).cloned().collect();
        assert_eq!(revisions(&of_one), (0..20).collect::<Vec<_>>(), "positions follow revisions");
    }
}

async fn names_and_payloads_of_any_script(backend: &Backend) {
    let store = backend.open().await;
    for (command, text) in (0..).zip(["žluťoučký kůň", "日本語", "👩‍👩‍👧 🇺🇦", "'; DROP TABLE events; --", "\"\\ {}\n\t", "a\u{301}", "á"])
    {
        let mut sent = append(&format!("note-{text}"), Expected::NoStream, command, 1);
        sent.events[0].data = format!("{{\"text\":{},\"nul\":\"\\u0000\"}}", serde_json::to_string(text).unwrap());
        sent.events[0].event_type = format!("note.{text}.v1");
        store.append(sent.clone()).await.unwrap();
        let stored = store.read(&sent.stream, 0, 10).await.unwrap();
        assert_eq!((&stored[0].stream, &stored[0].event), (&sent.stream, &sent.events[0]));
    }
}

async fn payloads_from_one_byte_to_a_megabyte(backend: &Backend) {
    let store = backend.open().await;
    let texts = [0, 1, 100, 2_000, 4_096, 70_000, 1 << 20].map(|size| format!("{{\"\":\"{}\"}}", "x".repeat(size)));
    // The smallest JSON text is one byte long, the smallest object two.
    for (command, data) in (0..).zip(["1".to_owned(), "{}".to_owned()].into_iter().chain(texts)) {
        let mut sent = append(&format!("note-{command}"), Expected::NoStream, command, 1);
        let size = data.len();
        sent.events[0].data = data;
        store.append(sent.clone()).await.unwrap();
        let stored = store.read(&sent.stream, 0, 10).await.unwrap();
        assert!(stored[0].event == sent.events[0], "{size} bytes");
    }
    assert_eq!(whole(&*store, 2).await.len(), 9);
}

async fn the_time_of_recording_is_kept_exactly(backend: &Backend) {
    let store = backend.open().await;
    let micros = [1_700_000_000_123_457, 0, -1, 1_699_999_999_999_999, i64::MIN, i64::MAX];
    let mut sent = append("note-1", Expected::NoStream, 1, micros.len());
    for (event, micros) in sent.events.iter_mut().zip(micros) {
        event.recorded_at = Timestamp::from_micros(micros);
    }
    store.append(sent.clone()).await.unwrap();
    let stored = store.read(&sent.stream, 0, 10).await.unwrap();
    assert_eq!(stored.into_iter().map(|stored| stored.event).collect::<Vec<_>>(), sent.events);
}

async fn the_log_keeps_its_identity_and_its_events(backend: &Backend) {
    let store = backend.open().await;
    fill(&*store).await;
    let (id, events) = (store.log_id(), whole(&*store, 100).await);
    drop(store);
    let store = backend.open().await;
    assert_eq!((store.log_id(), whole(&*store, 100).await), (id, events));
    let head = store.head().await.unwrap();
    let appended = store.append(append("note-3", Expected::Exact(9), 500, 1)).await.unwrap();
    assert!(appended.position > head);
    assert_conflict(store.append(append("note-3", Expected::Exact(9), 501, 1)).await, "note-3", Some(10));
}

async fn a_full_queue_is_busy(backend: &Backend) {
    if !backend.can_block() {
        eprintln!("skipped: nothing can block a server from here");
        return;
    }
    let store = backend.open_with_queue(2).await;
    store.append(append("note-0", Expected::NoStream, 0, 1)).await.unwrap();
    let blocked = backend.block_writers().await;
    let mut appends: Vec<_> = (1..=200)
        .map(|command| {
            let (store, append) = (Arc::clone(&store), append(&format!("note-{command}"), Expected::NoStream, command, 1));
            tokio::spawn(async move { store.append(append).await })
        })
        .collect();
    // While nothing can be written, refusals are the only answers that come.
    let (first, _, rest) = futures::future::select_all(appends).await;
    assert!(matches!(first.unwrap(), Err(StoreError::Busy)));
    appends = rest;
    blocked.release().await;
    let outcomes: Vec<_> = join_all(appends).await.into_iter().map(Result::unwrap).collect();
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(StoreError::Busy))), "{outcomes:?}");
    assert!(accepted >= 2, "what found a place in the queue is written");
    assert_eq!(whole(&*store, 100).await.len(), accepted + 1);
}

/// Ten rounds over the streams `note-1`, `note-2` and `note-3`.
async fn fill(store: &dyn EventStore) {
    for round in 0..10 {
        for name in 1..=3 {
            let expected = Expected::of(u64::checked_sub(round, 1));
            store.append(append(&format!("note-{name}"), expected, 100 * name + round, 1)).await.unwrap();
        }
    }
}

fn revisions(events: &[Stored]) -> Vec<u64> {
    events.iter().map(|stored| stored.revision).collect()
}

#[track_caller]
fn assert_conflict(outcome: Result<Appended, StoreError>, name: &str, revision: Option<u64>) {
    match outcome {
        Err(StoreError::Conflict { stream, current }) => assert_eq!((stream.as_str(), current), (name, revision)),
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

async fn assert_invalid(store: &dyn EventStore, append: Append) {
    let outcome = store.append(append).await;
    assert!(matches!(outcome, Err(StoreError::Invalid(_))), "{outcome:?}");
    assert_eq!(store.head().await.unwrap(), Position::START);
}
