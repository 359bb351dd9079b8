//! Events that cannot be read: their streams are parked, all others go on; they are skipped with a reason, and the read models mend themselves.

use circolo_domain::StreamName;
use circolo_events::{Append, Expected, Metadata, NewEvent};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

stories! { what_cannot_be_read_is_parked_skipped_and_mended }

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Writes an event straight into the log, as a newer server or a broken one might.
async fn append(world: &World, question: &str, revision: u64, event_type: &str, data: &str) {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{question} {revision}").as_bytes());
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
        event_type: event_type.to_owned(),
        data: data.to_owned(),
        metadata: serde_json::to_string(&metadata).unwrap(),
        recorded_at: world.clock().now(),
        texts: vec![],
    };
    let stream = StreamName::stored(format!("question-{question}"));
    world.store().append(Append { stream, expected: Expected::Exact(revision), events: vec![event] }).await.unwrap();
}

/// Which questions the group lists, and whether they are closed.
async fn closed(reader: &Actor, group: &str) -> BTreeMap<String, bool> {
    let items = reader.get(&format!("/v1/groups/{group}/questions")).await.expect(200).items();
    items.iter().map(|item| (item["title"].as_str().unwrap().to_owned(), item["closed"].as_bool().unwrap())).collect()
}

/// How the newest build of `questions` stands.
async fn status(op: &Actor) -> Value {
    let builds = op.get("/v1/operator/projections").await.expect(200).items();
    builds.into_iter().rfind(|build| build["name"] == "questions").unwrap()
}

/// Waits until no read model leaves anything out.
async fn mended(op: &Actor) {
    let whole = async {
        loop {
            let builds = op.get("/v1/operator/projections").await.expect(200).items();
            if builds.iter().all(|build| build["state"] != "building" && (build["state"] != "live" || build["incomplete"] == false)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.unwrap();
}

async fn rebuild(world: &World, op: &Actor, body: Value) {
    op.post("/v1/operator/projections/rebuild", body).await.expect(202);
    world.app().projector().settled().await;
}

async fn different(world: &World, op: &Actor) -> Value {
    op.post("/v1/operator/projections/questions/verify", ()).await.expect(202);
    world.app().projector().settled().await;
    op.get("/v1/operator/projections/questions/verification").await.expect(200).json()["different"].clone()
}

async fn what_cannot_be_read_is_parked_skipped_and_mended(world: World) {
    let (ann, op) = (world.person("ann").await, world.signed_in("op", "operator"));
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    let group = ann.post("/v1/groups", group).await.expect(201).id().to_string();
    let ask = async |title: &str| {
        let question = json!({ "title": title, "body": "Why?" });
        ann.post(&format!("/v1/groups/{group}/questions"), question).await.expect(201).id().to_string()
    };
    let (eaten, broken) = (ask("Eaten").await, ask("Broken").await);
    append(&world, &eaten, 0, "question.eaten.v9", "{}").await;
    append(&world, &eaten, 1, "question.closed.v1", "{}").await;
    append(&world, &broken, 0, "question.answered.v1", r#"{"answer":7}"#).await;
    // Parked; what stands behind the gap is not folded, and all others go on.
    ask("Fine").await;
    world.app().projector().wait_for(world.store().head().await.unwrap(), PATIENCE).await.unwrap();
    let expected =
        |eaten: bool| [("Broken", false), ("Eaten", eaten), ("Fine", false)].map(|(title, closed)| (title.to_owned(), closed)).into();
    assert_eq!(closed(&ann, &group).await, expected(false));
    let shown = status(&op).await;
    assert_eq!((&shown["incomplete"], &shown["parked_streams"], &shown["lag_events"]), (&json!(true), &json!(2), &json!(0)), "{shown}");
    let people = op.get("/v1/operator/projections").await.expect(200).items().into_iter().find(|build| build["name"] == "people").unwrap();
    assert_eq!(people["incomplete"], false);
    assert_eq!(different(&world, &op).await, 0, "what is parked is left out of the second fold as well");
    // Listed and inspected.
    let parked = "/v1/operator/projections/questions/parked";
    let items = op.get(parked).await.expect(200).items();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["stream"], &items[0]["type"]), (&json!(format!("question-{eaten}")), &json!("question.eaten.v9")));
    assert!(items[1]["error"].as_str().unwrap().starts_with("broken payload of question.answered.v1"), "{}", items[1]);
    assert!(items[0]["position"].as_i64() < items[1]["position"].as_i64());
    // A rebuild alone mends nothing: the events are still there.
    rebuild(&world, &op, json!({ "names": ["questions"] })).await;
    assert_eq!((status(&op).await["state"].clone(), status(&op).await["parked_streams"].clone()), (json!("live"), json!(2)));
    // Skipped, with a reason that the log keeps.
    let reason = json!({ "reason": "written by a mistaken script" });
    let skip = |question: &str| format!("{parked}/question-{question}/skip");
    op.post(&skip("7"), reason.clone()).await.expect_problem(404, "not_found");
    op.post(&skip(&eaten), json!({ "reason": " " })).await.expect_problem(422, "invalid_request");
    ann.post(&skip(&eaten), reason.clone()).await.expect_problem(403, "scope_needed");
    for question in [&eaten, &broken] {
        let decided = op.post(&skip(question), reason.clone()).await.expect(200);
        let again = op.post(&skip(question), reason.clone()).await.expect(200);
        assert_eq!(decided.json(), again.json(), "once is enough");
    }
    let kept = world.signed_in("eve", "analyst").get("/v1/events?type=skip.decided").await.expect(200).items();
    assert_eq!((kept.len(), &kept[0]["data"]["event"], &kept[0]["data"]["reason"]), (2, &items[0]["event"], &Value::Null));
    // What is live is built anew by itself: complete, with what stands behind the skipped event.
    mended(&op).await;
    assert_eq!(closed(&ann, &group).await, expected(true));
    let builds = op.get("/v1/operator/projections").await.expect(200).items();
    assert!(builds.iter().filter(|build| build["state"] == "live").all(|build| build["incomplete"] == false), "{builds:?}");
    assert_eq!(different(&world, &op).await, 0);
    // Nothing is left to be alarmed about, though the build before is kept with what it left out.
    assert!(builds.iter().any(|build| build["state"] == "old" && build["parked_streams"] != 0), "{builds:?}");
    let figures = String::from_utf8(op.get("/metrics").await.expect(200).bytes.to_vec()).unwrap();
    let parked = figures.lines().filter(|line| line.starts_with("circolo_projection_parked_streams{"));
    assert!(parked.clone().count() > 5 && parked.clone().all(|line| line.ends_with(" 0")), "{figures}");
    // Whoever asks for it as well is given the same.
    rebuild(&world, &op, json!({})).await;
    mended(&op).await;
    assert_eq!(closed(&ann, &group).await, expected(true));
    // Reactions waited for the decisions, and go on.
    world.settled().await;
}
