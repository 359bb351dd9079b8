//! Consumers of the log as operators see them: listed, paused, resumed, each by itself.

use crate::given::{found, up_to_date};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(a_consumer_rests_while_it_is_paused_and_the_others_go_on, consumers_are_for_operators,);

async fn standing(op: &Actor, name: &str) -> Value {
    op.get("/v1/operator/consumers").await.expect(200).items().into_iter().find(|one| one["name"] == name).unwrap()
}

async fn a_consumer_rests_while_it_is_paused_and_the_others_go_on(world: World) {
    let (ann, bea, op) = (world.person("Ann").await, world.person("Bea").await, world.signed_in("op", "operator"));
    let group = found(&ann, "public", "request").await;
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "requested" }));
    world.settled().await;
    let pause = "/v1/operator/consumers/refuse_requests/pause";
    let paused = op.post(pause, ()).await.expect(200).expect_json(json!({ "name": "refuse_requests", "state": "paused" })).json();
    assert_eq!(paused["paused_at"], json!(world.clock().now()));
    op.post(pause, ()).await.expect(200).expect_json(json!({ "state": "paused" }));
    ann.patch(&group, json!({ "privacy": "secret" })).await.expect(200);
    world.settled().await;
    let requests = format!("{group}/members?status=requested");
    assert_eq!(up_to_date(&world, &ann).await.get(&requests).await.expect(200).items().len(), 1, "nobody refuses it");
    let rests = standing(&op, "refuse_requests").await;
    assert!(rests["lag_events"].as_i64().unwrap() > 0, "{rests}");
    let others = standing(&op, "complete_flows").await;
    assert_eq!((&others["lag_events"], &others["state"], &others["paused_at"]), (&json!(0), &json!("running"), &Value::Null));
    let figures = String::from_utf8(world.anonymous().get("/metrics").await.expect(200).bytes.to_vec()).unwrap();
    assert!(figures.contains("circolo_reaction_paused{reaction=\"refuse_requests\"} 1"), "{figures}");
    // The same, among the builds.
    let listed = op.get("/v1/operator/projections").await.expect(200).json();
    assert!(listed["reactions"].as_array().unwrap().contains(&rests), "{listed}");
    op.post("/v1/operator/consumers/refuse_requests/resume", ())
        .await
        .expect(200)
        .expect_json(json!({ "state": "running", "paused_at": null }));
    world.settled().await;
    assert!(up_to_date(&world, &ann).await.get(&requests).await.expect(200).items().is_empty());
}

async fn consumers_are_for_operators(world: World) {
    let (ann, op) = (world.person("Ann").await, world.signed_in("op", "operator"));
    for act in ["pause", "resume"] {
        ann.post(&format!("/v1/operator/consumers/complete_flows/{act}"), ()).await.expect_problem(403, "scope_needed");
        op.post(&format!("/v1/operator/consumers/webhook:7/{act}"), ()).await.expect_problem(404, "not_found");
    }
    ann.get("/v1/operator/consumers").await.expect_problem(403, "scope_needed");
    let names: Vec<Value> = op.get("/v1/operator/consumers").await.expect(200).items().into_iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["appoint_admins", "complete_flows", "refuse_requests"]);
}
