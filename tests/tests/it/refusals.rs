//! Events that can be read and not be stored: the database refuses what is folded from them. They cost their streams and nothing else.

use circolo_domain::StreamName;
use circolo_events::{Append, Expected, Metadata, NewEvent};
use circolo_tests::{
    actor::Actor,
    world::{Backend, World, settings},
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Renames a group, straight in the log and behind its first event.
async fn rename(world: &World, group: &str, revision: u64, name: &str) {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{group} {revision}").as_bytes());
    let metadata = Metadata {
        actor: None,
        command: "Test".to_owned(),
        command_id: id,
        fingerprint: None,
        correlation: id,
        causation: None,
        scope: None,
        concerns: vec![],
    };
    let event = NewEvent {
        id,
        event_type: "group.renamed.v1".to_owned(),
        data: json!({ "name": name }).to_string(),
        metadata: serde_json::to_string(&metadata).unwrap(),
        recorded_at: world.clock().now(),
        texts: vec![],
    };
    let stream = StreamName::stored(format!("group-{group}"));
    world.store().append(Append { stream, expected: Expected::Exact(revision), events: vec![event] }).await.unwrap();
}

async fn group(by: &Actor, name: &str) -> String {
    let body = json!({ "name": name, "privacy": "public", "membership": "open" });
    by.post("/v1/groups", body).await.expect(201).id().to_string()
}

async fn names(reader: &Actor) -> Vec<String> {
    let items = reader.get("/v1/groups?limit=100").await.expect(200).items();
    let mut names: Vec<String> = items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// How the live builds stand, by name.
async fn live(op: &Actor, field: &str) -> Vec<(String, Value)> {
    let builds = op.get("/v1/operator/projections").await.expect(200).items();
    let live = builds.into_iter().filter(|build| build["state"] == "live");
    live.map(|build| (build["name"].as_str().unwrap().to_owned(), build[field].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_is_parked_with_the_reason_and_all_else_goes_on() {
    let Some(world) = World::with(Backend::Postgres, settings()).await else { return };
    let (ann, op) = (world.person("ann").await, world.signed_in("op", "operator"));
    let (alps, andes) = (group(&ann, "Alps").await, group(&ann, "Andes").await);
    for number in 0..20 {
        group(&ann, &format!("Hill {number:02}")).await;
    }
    world.app().projector().wait_for(world.store().head().await.unwrap(), PATIENCE).await.unwrap();
    // No text of Postgres holds this character; nothing here writes it, but a log may hold it.
    rename(&world, &alps, 0, "Al\0ps").await;
    rename(&world, &andes, 0, "The Andes").await;
    world.app().projector().wait_for(world.store().head().await.unwrap(), PATIENCE).await.unwrap();
    let expected: Vec<String> = std::iter::once("Alps".to_owned())
        .chain((0..20).map(|number| format!("Hill {number:02}")))
        .chain(["The Andes".to_owned()])
        .collect();
    assert_eq!(names(&ann).await, expected, "the live subscription goes on");
    let parked = op.get("/v1/operator/projections/groups/parked").await.expect(200).items();
    assert_eq!((parked.len(), &parked[0]["stream"], &parked[0]["type"]), (1, &json!(format!("group-{alps}")), &json!("group.renamed.v1")));
    assert!(parked[0]["error"].as_str().unwrap().contains("0x00"), "{}", parked[0]);
    // A build meets it among many others, and is completed.
    op.post("/v1/operator/projections/rebuild", json!({})).await.expect(202);
    world.app().projector().settled().await;
    assert_eq!(names(&ann).await, expected);
    assert!(live(&op, "lag_events").await.iter().all(|(_, lag)| *lag == 0));
    op.post("/v1/operator/projections/groups/verify", ()).await.expect(202);
    world.app().projector().settled().await;
    let verified = op.get("/v1/operator/projections/groups/verification").await.expect(200).json();
    assert_eq!(verified["different"], 0, "{verified}");
    // What stands behind the gap is left out, until it is skipped.
    rename(&world, &alps, 1, "Alps again").await;
    world.app().projector().wait_for(world.store().head().await.unwrap(), PATIENCE).await.unwrap();
    assert_eq!(names(&ann).await, expected);
    let skip = format!("/v1/operator/projections/groups/parked/group-{alps}/skip");
    op.post(&skip, json!({ "reason": "no name of anything" })).await.expect(200);
    op.post("/v1/operator/projections/rebuild", json!({})).await.expect(202);
    world.app().projector().settled().await;
    assert!(names(&ann).await.contains(&"Alps again".to_owned()));
    assert!(live(&op, "incomplete").await.iter().all(|(_, incomplete)| *incomplete == false), "nothing is parked any more");
}
