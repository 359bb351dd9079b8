//! Several nodes on one key store: one key for a person, whoever writes first.

use super::{MARK, metadata};
use crate::backend::whole;
use circolo_domain::{StreamName, TextOwner, testing::NOON, testing::person};
use circolo_events::{
    Append, EventStore, Expected, NewEvent, Postgres, postgres,
    sealing::{KeyStore, Random, SealedLog, Text, store, store::Make},
    store::event_id,
};
use circolo_tests::{postgres::fresh_schema, world::keyring};
use futures::future::join_all;
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_first_texts_of_a_person_on_two_nodes_at_once_make_one_key() {
    let (Some(log), Some(keys)) = (fresh_schema().await, fresh_schema().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let node = async || {
        let options = postgres::Options { connections: 3, ..postgres::Options::default() };
        let kept = Postgres::connect(&log, &options, Uuid::from_u128(1)).await.unwrap();
        let store: Arc<dyn KeyStore> = Arc::new(store::Postgres::connect(&keys, Make::IfMissing).await.unwrap());
        SealedLog::new(Arc::new(kept), Arc::new(keyring(store, folder.path(), circolo::clock::system()).await), Random::system())
    };
    let nodes = [node().await, node().await];
    let owner = TextOwner::Person(person(1));
    let say = |number: usize| {
        let command = Uuid::from_u128(0xB000 + number as u128);
        let event = NewEvent {
            id: event_id(command, 0),
            event_type: "note.written.v1".to_owned(),
            data: format!(r#"{{"words":"{MARK} {number}"}}"#),
            metadata: serde_json::to_string(&metadata(command)).unwrap(),
            recorded_at: NOON,
            texts: vec![Text { at: "/words".to_owned(), of: owner.into(), longest: None }],
        };
        let append = Append { stream: StreamName::new("note", command), expected: Expected::NoStream, events: vec![event] };
        nodes[number % 2].append(append)
    };
    for outcome in join_all((0..100).map(say)).await {
        outcome.unwrap();
    }
    let rows = nodes[0].keys().store().page(None, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.owner.to_string(), row.version)).collect::<Vec<_>>(), [(owner.to_string(), 1)]);
    // A third that was not there opens all of it.
    let read = whole(&node().await, 30).await;
    assert_eq!(read.len(), 100);
    assert!(read.iter().all(|stored| stored.shut.is_none() && stored.event.data.contains(MARK)));
}
