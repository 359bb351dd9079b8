//! Stories of people: registering, being known, knowing oneself.

use crate::given::{UNKNOWN, up_to_date};
use circolo_domain::testing::NOON;
use circolo_tests::{stories, world::World};
use serde_json::json;

stories!(a_person_registers_once_and_is_known, strangers_and_the_anonymous_see_nobody, a_token_says_who_one_is);

async fn a_person_registers_once_and_is_known(world: World) {
    let ann = world.stranger("ann");
    let registered = ann.post("/v1/people", json!({ "display_name": "  Ann ", "locale": "it" })).await.expect(201);
    let path = format!("/v1/people/{}", ann.id());
    assert_eq!((registered.location(), registered.header("etag")), (path.as_str(), "\"0\""));
    let position = registered.json()["position"].to_string();
    assert_eq!(registered.header("circolo-position"), position);
    let registered = registered.expect_json(json!({ "id": ann.id(), "revision": 0 }));
    assert!(registered.json().get("status").is_none(), "a status is for memberships: {registered}");

    let expected = json!({ "id": ann.id(), "display_name": "Ann", "locale": "it", "registered_at": NOON.to_string(), "avatar": null });
    ann.get(&path).await.expect(200).expect_json(expected.clone());
    ann.get("/v1/me").await.expect(200).expect_json(json!({ "registered": true, "person": expected }));
    ann.post("/v1/people", json!({ "display_name": "Anna" })).await.expect_problem(409, "already_registered");
    ann.get(&format!("/v1/people/{UNKNOWN}")).await.expect_problem(404, "not_found");

    let bea = up_to_date(&world, &world.person("Bea").await).await;
    bea.get(&path).await.expect(200).expect_json(json!({ "display_name": "Ann" }));
}

async fn strangers_and_the_anonymous_see_nobody(world: World) {
    let ann = world.person("Ann").await;
    let path = format!("/v1/people/{}", ann.id());
    world.stranger("zoe").get(&path).await.expect_problem(403, "not_registered");
    let refused = world.anonymous().get(&path).await.expect_problem(401, "unauthenticated");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    world.anonymous().get("/v1/me").await.expect_problem(401, "unauthenticated");
    world.anonymous().post("/v1/people", json!({ "display_name": "Nobody" })).await.expect_problem(401, "unauthenticated");
    world.anonymous().get("/v1/me/invitations").await.expect_problem(401, "unauthenticated");
    world.stranger("zoe").get("/v1/me/invitations").await.expect_problem(403, "not_registered");
}

async fn a_token_says_who_one_is(world: World) {
    let zoe = world.signed_in("zoe", "analyst operator");
    let me = json!({ "id": zoe.id(), "registered": false, "issuer": "circolo", "subject": "zoe", "bot": false, "person": null });
    let reply = zoe.get("/v1/me").await.expect(200).expect_json(me);
    assert_eq!(reply.json()["scopes"], json!(["analyst", "operator"]));
    assert_eq!(reply.header("cache-control"), "private, no-store");
    zoe.get("/v1/events").await.expect(200);
    world.stranger("yan").get("/v1/events").await.expect_problem(403, "scope_needed");
    world.anonymous().get("/v1/events").await.expect_problem(401, "unauthenticated");
}
