//! The rules of KurrentDB that the adapter builds on, through the official client, each by its name.
//!
//! They run against the double; with `TEST_KURRENTDB_URL`, those that need no fault run against a server, and a difference is
//! an error of the double.

use circolo_tests::kurrent::{Counts, Double, Options};
use kurrentdb::{
    AppendToStreamOptions, Client, CurrentRevision, DeleteStreamOptions, Error, EventData, Position, ReadAllOptions, ReadStreamOptions,
    RecordedEvent, StreamPosition, StreamState, SubscriptionFilter, WriteResult,
};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// A server, and a stream that nobody else writes to.
struct Server {
    client: Client,
    stream: String,
    double: Option<Double>,
}

impl Server {
    async fn new() -> Self {
        match std::env::var("TEST_KURRENTDB_URL") {
            Ok(url) => Self::at(&url, None),
            Err(_) => Self::of(Double::start().await),
        }
    }

    fn of(double: Double) -> Self {
        let url = format!("{}&discoveryInterval=10", double.url());
        Self::at(&url, Some(double))
    }

    fn at(url: &str, double: Option<Double>) -> Self {
        static STREAMS: AtomicU64 = AtomicU64::new(0);
        // A server that many runs share may hold what an earlier process of the same number left.
        let now = circolo::clock::system()().micros();
        let stream = format!("rule-{}{}{now}", std::process::id(), STREAMS.fetch_add(1, Ordering::Relaxed));
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { client: Client::new(url.parse().unwrap()).unwrap(), stream, double }
    }

    async fn append(&self, expected: StreamState, ids: &[u64]) -> kurrentdb::Result<WriteResult> {
        let events: Vec<EventData> = ids.iter().map(|id| event(*id, 1)).collect();
        self.client.append_to_stream(self.stream.as_str(), &AppendToStreamOptions::default().stream_state(expected), events).await
    }

    async fn revisions(&self, options: ReadStreamOptions) -> kurrentdb::Result<Vec<u64>> {
        let mut reading = self.client.read_stream(self.stream.as_str(), &options).await?;
        let mut found = Vec::new();
        while let Some(event) = reading.next().await? {
            found.push(event.get_original_event().revision);
        }
        Ok(found)
    }

    async fn all(&self, options: ReadAllOptions) -> kurrentdb::Result<Vec<RecordedEvent>> {
        let mut reading = self.client.read_all(&options).await?;
        let mut found = Vec::new();
        while let Some(event) = reading.next().await? {
            found.extend(event.event);
        }
        Ok(found)
    }
}

fn event(id: u64, size: usize) -> EventData {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &id.to_be_bytes());
    EventData::json("rule.tested.v1", &json!({ "text": "x".repeat(size) })).unwrap().id(id)
}

fn place(position: Position) -> ReadAllOptions {
    ReadAllOptions::default().position(StreamPosition::Position(position))
}

#[tokio::test]
async fn reads_include_where_they_begin() {
    let server = Server::new().await;
    let last = server.append(StreamState::NoStream, &[1, 2, 3]).await.unwrap();
    assert_eq!(last.next_expected_version, 2);
    let from = |revision| ReadStreamOptions::default().position(StreamPosition::Position(revision));
    assert_eq!(server.revisions(from(1)).await.unwrap(), [1, 2]);
    assert_eq!(server.revisions(from(1).backwards()).await.unwrap(), [1, 0]);
    assert_eq!(server.revisions(from(7)).await.unwrap(), Vec::<u64>::new());
    assert_eq!(server.revisions(ReadStreamOptions::default().position(StreamPosition::End).max_count(2)).await.unwrap(), [2, 1]);
    let found = server.all(place(last.position).max_count(1)).await.unwrap();
    assert_eq!((found[0].stream_id(), found[0].revision, found[0].position), (server.stream.as_str(), 2, last.position));
}

#[tokio::test]
async fn a_page_of_the_log_begins_at_a_record_only_and_positions_are_not_dense() {
    let server = Server::new().await;
    let last = server.append(StreamState::NoStream, &[1, 2]).await.unwrap();
    let found = server.all(ReadAllOptions::default().backwards().position(StreamPosition::End).max_count(2)).await.unwrap();
    assert!(found[0].position.commit > found[1].position.commit + 1, "no two events are next to each other");
    assert!(found.iter().all(|event| event.position.commit == event.position.prepare));
    let between = Position { commit: last.position.commit - 1, prepare: last.position.prepare - 1 };
    let filter = SubscriptionFilter::on_stream_name().add_prefix("rule-");
    let (filtered, backwards) = (place(between).filter(filter), place(between).backwards());
    for (asked, result) in [(place(between), " ReadAllResult: "), (filtered, " FilteredReadAllResult: "), (backwards, " ReadAllResult: ")] {
        let refused = server.all(asked).await.unwrap_err();
        assert!(matches!(&refused, Error::ServerError(text) if text.contains(result)), "{refused}");
    }
    // Behind the last record there is nothing, and no error.
    let behind = Position { commit: last.position.commit + 1_000_000, prepare: last.position.prepare + 1_000_000 };
    assert!(server.all(place(behind)).await.unwrap().is_empty());
}

#[tokio::test]
async fn backwards_the_record_at_the_position_is_left_out() {
    let server = Server::new().await;
    server.append(StreamState::NoStream, &[1, 2]).await.unwrap();
    let last = server.append(StreamState::StreamRevision(1), &[3]).await.unwrap();
    let found = server.all(place(last.position).backwards().max_count(1)).await.unwrap();
    assert_eq!((found[0].stream_id(), found[0].revision), (server.stream.as_str(), 1));
}

#[tokio::test]
async fn what_is_refused_for_its_position_is_told_in_the_words_of_the_version() {
    for (version, text) in [
        ("22.10.5", "Unexpected ReadAllResult: Error"),
        ("23.10.8", "Unexpected ReadAllResult: Error"),
        ("24.10.14", "Unexpected ReadAllResult: InvalidPosition"),
        ("26.0.3", "Unexpected ReadAllResult: InvalidPosition >> "),
    ] {
        let server = Server::of(Double::start_with(Options { version }).await);
        let last = server.append(StreamState::NoStream, &[1]).await.unwrap();
        let between = Position { commit: last.position.commit - 1, prepare: last.position.prepare - 1 };
        let refused = server.all(place(between)).await.unwrap_err();
        assert!(matches!(&refused, Error::ServerError(found) if found.contains(text)), "{version}: {refused}");
    }
}

#[tokio::test]
async fn the_servers_own_records_stand_among_the_events_unless_a_prefix_leaves_them_out() {
    let server = Server::new().await;
    for id in 0..6_u64 {
        let expected = id.checked_sub(1).map_or(StreamState::NoStream, StreamState::StreamRevision);
        server.append(expected, &[id]).await.unwrap();
    }
    let all = server.all(ReadAllOptions::default()).await.unwrap();
    assert!(all.iter().any(|event| event.stream_id().starts_with('$')));
    assert!(all.is_sorted_by(|one, next| one.position.commit < next.position.commit));
    let filter = SubscriptionFilter::on_stream_name().add_prefix(&server.stream).max(500);
    let own = server.all(ReadAllOptions::default().filter(filter)).await.unwrap();
    assert_eq!(own.iter().map(|event| event.revision).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_repeat_at_its_own_place_gives_revision_and_position_of_its_last_event() {
    let server = Server::new().await;
    let first = server.append(StreamState::NoStream, &[1, 2, 3]).await.unwrap();
    assert_eq!(server.append(StreamState::NoStream, &[1, 2, 3]).await.unwrap().position, first.position);
    let shorter = server.append(StreamState::NoStream, &[1, 2]).await.unwrap();
    assert_eq!(server.all(place(shorter.position).max_count(1)).await.unwrap()[0].revision, 1);
    server.append(StreamState::StreamRevision(2), &[4, 5]).await.unwrap();
    for (expected, ids, revision) in [
        (StreamState::NoStream, vec![1, 2, 3], 2),
        (StreamState::NoStream, vec![1, 2], 1),
        (StreamState::NoStream, vec![1, 2, 3, 4, 5], 4),
        (StreamState::StreamRevision(2), vec![4, 5], 4),
        (StreamState::StreamRevision(2), vec![4], 3),
    ] {
        assert_eq!(server.append(expected, &ids).await.unwrap().next_expected_version, revision, "{ids:?}");
    }
    // Another id, first or later, or more than there was.
    for (expected, ids) in [
        (StreamState::NoStream, vec![9, 2, 3]),
        (StreamState::NoStream, vec![1, 9]),
        (StreamState::StreamRevision(2), vec![4, 5, 6]),
        (StreamState::StreamRevision(1), vec![4, 5]),
        (StreamState::StreamRevision(9), vec![4]),
    ] {
        let refused = server.append(expected, &ids).await.unwrap_err();
        assert!(matches!(refused, Error::WrongExpectedVersion { current: CurrentRevision::Current(4), .. }), "{ids:?}: {refused}");
    }
    assert_eq!(server.revisions(ReadStreamOptions::default()).await.unwrap(), [0, 1, 2, 3, 4]);
    // At the end of the stream a known id is written again: ids must be looked up before.
    assert_eq!(server.append(StreamState::StreamRevision(4), &[1]).await.unwrap().next_expected_version, 5);
}

#[tokio::test]
async fn a_stream_that_is_not_there_says_so_at_the_first_event() {
    let server = Server::new().await;
    let mut reading = server.client.read_stream(server.stream.as_str(), &ReadStreamOptions::default()).await.unwrap();
    assert!(matches!(reading.next().await, Err(Error::ResourceNotFound)));
    let refused = server.append(StreamState::StreamRevision(0), &[1]).await.unwrap_err();
    assert!(matches!(refused, Error::WrongExpectedVersion { current: CurrentRevision::NoStream, .. }), "{refused}");
}

#[tokio::test]
async fn what_an_append_may_hold_depends_on_the_version() {
    for (version, takes) in [("24.10.4", false), ("25.1.0", true), ("26.0.3", true)] {
        let server = Server::of(Double::start_with(Options { version }).await);
        let outcome = server.client.append_to_stream("rule-1", &AppendToStreamOptions::default(), event(1, 1 << 20)).await;
        assert_eq!(outcome.is_ok(), takes, "{version}");
        if let Err(refused) = outcome {
            assert!(matches!(&refused, Error::Grpc { code, .. } if *code as i32 == 3), "{refused}");
        }
        let outcome = server.client.append_to_stream("rule-2", &AppendToStreamOptions::default(), event(1, 17 << 20)).await;
        assert!(outcome.is_err(), "{version}");
    }
}

#[tokio::test]
async fn a_deleted_stream_is_neither_read_nor_written() {
    let double = Double::start().await;
    let server = Server::of(double);
    server.append(StreamState::NoStream, &[1]).await.unwrap();
    server.double.as_ref().unwrap().tombstone(&server.stream);
    assert!(matches!(server.append(StreamState::StreamRevision(0), &[2]).await, Err(Error::ResourceDeleted)));
    assert!(matches!(server.revisions(ReadStreamOptions::default()).await, Err(Error::ResourceDeleted)));
}

#[tokio::test]
async fn a_stream_that_was_deleted_but_not_for_ever_goes_on_behind_what_is_hidden() {
    let server = Server::new().await;
    server.append(StreamState::NoStream, &[1, 2]).await.unwrap();
    let delete = |expected| DeleteStreamOptions::default().stream_state(expected);
    let refused = server.client.delete_stream(server.stream.as_str(), &delete(StreamState::StreamRevision(7))).await.unwrap_err();
    assert!(matches!(&refused, Error::Grpc { code, .. } if *code as i32 == 9), "a status here, not the body of an answer: {refused}");
    server.client.delete_stream(server.stream.as_str(), &delete(StreamState::StreamRevision(1))).await.unwrap();
    assert!(matches!(server.revisions(ReadStreamOptions::default()).await, Err(Error::ResourceNotFound)));
    let refused = server.append(StreamState::StreamExists, &[3]).await.unwrap_err();
    assert!(matches!(refused, Error::WrongExpectedVersion { current: CurrentRevision::Current(1), .. }), "{refused}");
    assert_eq!(server.append(StreamState::NoStream, &[3]).await.unwrap().next_expected_version, 2);
    assert_eq!(server.revisions(ReadStreamOptions::default()).await.unwrap(), [2]);
    // The log itself forgets nothing.
    let filter = SubscriptionFilter::on_stream_name().add_prefix(&server.stream);
    assert_eq!(server.all(ReadAllOptions::default().filter(filter)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_follower_names_the_leader_and_the_next_call_goes_there() {
    let (one, counts) = (Double::start().await, |double: &Double| double.counts());
    let other = one.node().await;
    one.lead(other.address());
    let server = Server::at(&format!("{}&discoveryInterval=10", one.url()), None);
    let refused = server.append(StreamState::NoStream, &[1]).await.unwrap_err();
    assert!(matches!(refused, Error::NotLeaderException(_)), "{refused}");
    server.append(StreamState::NoStream, &[1]).await.unwrap();
    assert_eq!(counts(&one), Counts { connections: 2, appends: 2, ..Counts::default() });
}
