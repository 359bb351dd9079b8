//! Any history gives the same rows, sealed or not, and what cannot be opened is a fault of that event alone.

use super::{in_memory, marked};
use crate::{backend::whole, exports::simulated};
use circolo_events::{Append, EventStore, Expected, Memory, Position, store::kept, transfer::MaskedView};
use circolo_projections::{
    Options, Value, all,
    as_of::{Snapshot, Wanted, write},
};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::json;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use uuid::Uuid;

stories!(a_box_of_another_event_closes_what_it_was_put_into, what_a_destroyed_key_sealed_is_as_if_it_were_never_said);

/// All rows of all read models.
async fn rows(store: &Arc<dyn EventStore>, folder: &Path, name: &str) -> BTreeMap<String, Vec<Vec<Value>>> {
    let (out, position) = (folder.join(name), store.head().await.unwrap());
    let log = Arc::new(MaskedView::new(Arc::clone(store), position, false, Box::new(|_| ())));
    let wanted = Wanted { log, position, projections: all(), masked: false, version: "test" };
    write(wanted, Options::new(circolo::clock::system()), &out).await.unwrap();
    let snapshot = Snapshot::open(&out).unwrap();
    let mut tables = BTreeMap::new();
    let mut names = vec![];
    let name = |mut row: Vec<Value>| {
        names.extend(row.pop());
        Ok(())
    };
    snapshot.query("SELECT name FROM sqlite_schema WHERE type = 'table'", name).unwrap();
    for table in names {
        let Value::Text(table) = table else { panic!("{table:?}") };
        // It tells when it was made.
        if table != circolo_projections::as_of::ABOUT {
            let mut rows = vec![];
            let push = |row: Vec<Value>| {
                rows.push(row);
                Ok(())
            };
            snapshot.query(&format!("SELECT * FROM \"{table}\" ORDER BY 1"), push).unwrap();
            rows.sort_by_key(|row| format!("{row:?}"));
            tables.insert(table, rows);
        }
    }
    tables
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_history_gives_the_same_rows_sealed_or_not() {
    for seed in 1..=4 {
        let plain: Arc<dyn EventStore> = Arc::new(Memory::new(Uuid::from_u128(1)));
        let (sealed, folder) = in_memory().await;
        simulated(&*plain, seed, 1_500).await;
        simulated(&*sealed, seed, 1_500).await;
        let (one, other) = (whole(&*plain, 100).await, whole(&*sealed, 700).await);
        for (one, other) in one.iter().zip(&other) {
            assert_eq!((&one.event.data, &one.event.metadata), (&other.event.data, &other.event.metadata));
        }
        assert_eq!(one.len(), other.len());
        let sealed_ones = whole(&*kept(&sealed), 100).await.iter().filter(|stored| stored.event.metadata.contains("\"sealed\"")).count();
        assert!(sealed_ones > one.len() / 4, "{sealed_ones} of {}", one.len());
        let (one, other) = (rows(&plain, folder.path(), "plain.db").await, rows(&sealed, folder.path(), "sealed.db").await);
        assert!(one.len() > 5 && one.values().map(Vec::len).sum::<usize>() > 500, "{:?}", one.keys());
        assert_eq!(one, other, "seed {seed}");
    }
}

#[tokio::test]
async fn plain_and_sealed_events_stand_in_one_log() {
    let (sealed, _folder) = in_memory().await;
    let (appends, words) = marked();
    for (number, append) in appends.into_iter().enumerate() {
        // Of before, every other one.
        let log = if number % 2 == 0 { kept(&sealed) } else { Arc::clone(&sealed) };
        log.append(append).await.unwrap();
    }
    let all: Vec<String> = whole(&*sealed, 7).await.into_iter().map(|stored| stored.event.data).collect();
    let all = all.join("\n");
    assert!(words.iter().all(|word| all.contains(word)));
}

async fn question(ann: &Actor, group: &str, title: &str) -> String {
    ann.post(&format!("{group}/questions"), json!({ "title": title, "body": "Tell me." })).await.expect(201).location().to_owned()
}

async fn a_box_of_another_event_closes_what_it_was_put_into(world: World) {
    let ann = world.person("Ann").await;
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    let group = ann.post("/v1/groups", group).await.expect(201).location().to_owned();
    question(&ann, &group, "How warm?").await;
    let log = kept(world.store());
    let all = whole(&*log, 100).await;
    let posted = all.iter().rfind(|stored| stored.event.event_type == "question.posted.v1").unwrap();
    // The same words, as those of another question.
    let id = Uuid::from_u128(77);
    let event = circolo_events::NewEvent { id, ..posted.event.clone() };
    let stream = circolo_domain::StreamName::new("question", id);
    log.append(Append { stream, expected: Expected::NoStream, events: vec![event] }).await.unwrap();
    world.app().executor().settled().await;
    ann.post(&format!("/v1/questions/{id}/answers"), json!({ "body": "Hot." })).await.expect_problem(503, "unreadable");
    let titles: Vec<String> =
        ann.get(&format!("{group}/questions")).await.expect(200).items().iter().map(|item| item["title"].to_string()).collect();
    assert_eq!(titles, ["\"How warm?\""]);
}

async fn what_a_destroyed_key_sealed_is_as_if_it_were_never_said(world: World) {
    let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    let group = ann.post("/v1/groups", group).await.expect(201).location().to_owned();
    question(&ann, &group, "How warm?").await;
    let before = world.store().head().await.unwrap();
    let keys = world.store().sealing().unwrap().keys();
    assert!(keys.destroy(format!("person-{}", ann.id()).parse().unwrap()).await.unwrap());
    let all = whole(&**world.store(), 100).await;
    let posted = all.iter().rfind(|stored| stored.event.event_type == "question.posted.v1").unwrap();
    assert!(posted.shut.is_none() && posted.event.data.contains(r#""title":null"#), "{}", posted.event.data);
    posted.decode().unwrap();
    assert_eq!(all.last().unwrap().position, before);
    // Nothing is written of who was forgotten, and all others go on.
    ann.post(&format!("{group}/questions"), json!({ "title": "Again?", "body": "?" })).await.expect_problem(409, "forgotten");
    assert_eq!(world.store().head().await.unwrap(), before);
    bob.post(&format!("{group}/join"), json!(null)).await.expect(200);
    assert!(world.store().head().await.unwrap() > Position(before.0));
}
