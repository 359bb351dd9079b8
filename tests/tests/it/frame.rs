//! What every resource of the API has in common: statuses of bad input, headers, tokens, keys, limits, the description.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use circolo::auth::Claims;
use circolo_domain::Span;
use circolo_tests::{
    stories,
    world::{Backend, World, settings},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

stories!(
    a_person_registers_once_and_reads_what_they_wrote,
    the_same_key_happens_once,
    analysts_read_the_masked_log,
    operators_rebuild_and_verify
);

async fn memory() -> World {
    World::start(Backend::Memory).await.unwrap()
}

async fn a_person_registers_once_and_reads_what_they_wrote(world: World) {
    let ann = world.stranger("ann");
    let done = ann.post("/v1/people", json!({ "display_name": "Ann" })).await.expect(201);
    assert_eq!(done.location(), format!("/v1/people/{}", ann.id()));
    assert_eq!(done.header("etag"), "\"0\"");
    assert_eq!(done.header("circolo-position"), done.json()["position"].to_string());
    ann.get(done.location()).await.expect(200).expect_json(json!({ "display_name": "Ann" }));
    ann.post("/v1/people", json!({ "display_name": "Ann" })).await.expect_problem(409, "already_registered");
}

async fn the_same_key_happens_once(world: World) {
    let ann = world.person("ann").await.with("idempotency-key", "one");
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    let first = ann.post("/v1/groups", group.clone()).await.expect(201);
    let again = ann.post("/v1/groups", group).await.expect(201);
    assert_eq!((first.id(), &first.json()["revision"]), (again.id(), &again.json()["revision"]));
    assert_eq!(first.location(), again.location());
    let other = json!({ "name": "Brewers", "privacy": "public", "membership": "open" });
    ann.post("/v1/groups", other.clone()).await.expect_problem(409, "key_reused");
    ann.with("idempotency-key", "two").post("/v1/groups", other.clone()).await.expect(201);
    // Keys of others are theirs.
    world.person("bob").await.with("idempotency-key", "one").post("/v1/groups", other).await.expect(201);
}

async fn analysts_read_the_masked_log(world: World) {
    world.person("ann").await;
    world.person("bob").await.get("/v1/events").await.expect_problem(403, "scope_needed");
    world.anonymous().get("/v1/events").await.expect_problem(401, "unauthenticated");
    let eve = world.signed_in("eve", "analyst");
    let page = eve.get("/v1/events?type=person.registered&limit=1").await.expect(200);
    assert!(page.header("link").starts_with("</v1/events?type=person.registered&limit=1&after="), "{}", page.header("link"));
    let item = &page.items()[0];
    assert_eq!((&item["type"], &item["data"]["display_name"]), (&json!("person.registered.v1"), &Value::Null));
    let next = page.json()["next"].as_str().unwrap().to_owned();
    let rest = eve.get(&format!("/v1/events?type=person&after={next}")).await.expect(200);
    assert_eq!(rest.items().len(), 1);
    let next = rest.json()["next"].as_str().unwrap().to_owned();
    let end = eve.get(&format!("/v1/events?type=person&after={next}")).await.expect(200);
    assert_eq!((end.items().len(), end.json()["next"].as_str().unwrap()), (0, &*next));
    assert_eq!(eve.get("/v1/events?type=pers").await.expect(200).items().len(), 0, "a type is named up to a dot");
    assert_eq!(eve.get(&format!("/v1/events?stream=person-{}", world.stranger("bob").id())).await.expect(200).items().len(), 1);
    for bad in ["after=x", "limit=0", "limit=101", "limit=ten", "colour=red", "limit=1&limit=2"] {
        eve.get(&format!("/v1/events?{bad}")).await.expect(400);
    }
}

async fn operators_rebuild_and_verify(world: World) {
    world.person("ann").await;
    world.settled().await;
    let op = world.signed_in("op", "operator");
    let builds = op.get("/v1/operator/projections").await.expect(200).items();
    let people = builds.iter().find(|build| build["name"] == "people").unwrap();
    assert_eq!((&people["state"], &people["lag_events"]), (&json!("live"), &json!(0)));
    op.get("/v1/operator/projections/people/verification").await.expect_problem(404, "not_found");
    for (body, compared) in [(json!({}), 1), (json!({ "sample": "100%", "seed": 7 }), 1)] {
        let begun = op.post("/v1/operator/projections/people/verify", body).await.expect(202);
        world.app().projector().settled().await;
        let verification = op.get("/v1/operator/projections/people/verification").await.expect(200);
        verification.expect_json(json!({ "state": "done", "rows": 1, "compared": compared, "different": 0, "seed": begun.json()["seed"] }));
    }
    op.post("/v1/operator/projections/people/verify", json!({ "sample": "0%" })).await.expect_problem(422, "invalid_request");
    op.post("/v1/operator/projections/people/rebuild", json!({ "switch": "manual" })).await.expect(202);
    world.app().projector().settled().await;
    op.post("/v1/operator/projections/people/rebuild", ()).await.expect_problem(409, "build_underway");
    op.post("/v1/operator/projections/people/switch", ()).await.expect(200);
    op.post("/v1/operator/projections/people/switch", ()).await.expect_problem(409, "no_such_build");
    op.post("/v1/operator/projections/people/rollback", ()).await.expect(202);
    world.app().projector().settled().await;
    for act in ["cancel", "pause", "resume"] {
        op.post(&format!("/v1/operator/projections/people/{act}"), ()).await.expect_problem(409, "no_such_build");
    }
    // All at once, with limits; what is live is not dropped, what was live is, and then there is nothing to go back to.
    op.post("/v1/operator/projections/people/drop", json!({ "build": 1 })).await.expect_problem(409, "build_in_use");
    let all = op.post("/v1/operator/projections/rebuild", json!({ "limits": { "memory": 1_048_576 } })).await.expect(202).items();
    assert_eq!(all.len(), builds.len());
    world.app().projector().settled().await;
    assert_eq!(op.post("/v1/operator/projections/people/drop", ()).await.expect(200).items().len(), 1);
    op.post("/v1/operator/projections/people/rollback", ()).await.expect_problem(409, "no_such_build");
    op.post("/v1/operator/projections/people/drop", json!({ "old_versions": true })).await.expect_problem(409, "no_such_build");
    op.post("/v1/operator/projections/rebuild", json!({ "names": ["x"] })).await.expect_problem(422, "invalid_request");
    for limits in [json!([]), json!(7), json!({ "rate": 0 }), json!({ "rate": 1_u64 << 32 }), json!({ "memory": 1_u64 << 63 })] {
        op.post("/v1/operator/projections/rebuild", json!({ "limits": limits })).await.expect_problem(422, "invalid_request");
    }
    op.post("/v1/operator/projections/nothing/verify", ()).await.expect_problem(404, "not_found");
    world.person("bob").await.post("/v1/operator/projections/people/verify", ()).await.expect_problem(403, "scope_needed");
}

#[tokio::test]
async fn every_kind_of_bad_input_has_its_status_and_changes_nothing() {
    let world = memory().await;
    let before = world.store().head().await.unwrap();
    let ann = world.stranger("ann");
    let raw = |content_type: &str, body: String| {
        let request = Request::builder().method(Method::POST).uri("/v1/people");
        ann.raw(request.header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap())
    };
    raw("application/json", "{".into()).await.expect_problem(400, "malformed_json");
    raw("application/json", String::new()).await.expect_problem(400, "malformed_json");
    raw("application/json", "\u{feff}{}".into()).await.expect_problem(400, "malformed_json");
    raw("text/plain", "{}".into()).await.expect_problem(415, "unsupported_media_type");
    raw("application/json", format!("{{\"display_name\":\"{}\"}}", "x".repeat(300_000))).await.expect_problem(413, "body_too_large");
    ann.post("/v1/people", ()).await.expect_problem(415, "unsupported_media_type");
    for (body, field, code) in [
        (json!({}), "display_name", "missing"),
        (json!([]), "", "wrong_type"),
        (json!({ "display_name": 1 }), "display_name", "wrong_type"),
        (json!({ "display_name": "" }), "display_name", "empty"),
        (json!({ "display_name": "x".repeat(81) }), "display_name", "too_long"),
        (json!({ "display_name": "a\u{0}" }), "display_name", "control_character"),
        (json!({ "display_name": "Ann", "colour": 1 }), "colour", "unknown_field"),
        (json!({ "display_name": "Ann", "locale": "it_IT" }), "locale", "bad_locale"),
    ] {
        let problem = ann.post("/v1/people", body).await.expect_problem(422, "invalid_request");
        let found = &problem.json()["fields"][0];
        assert_eq!((&found["field"], &found["code"]), (&json!(field), &json!(code)), "{problem}");
    }
    for (name, value) in [("idempotency-key", "a b"), ("if-match", "3"), ("circolo-min-position", "-1")] {
        ann.with(name, value).post("/v1/people", json!({ "display_name": "Ann" })).await.expect(400);
    }
    assert_eq!(world.store().head().await.unwrap(), before, "nothing was appended");
    world.person("bob").await.get("/v1/people/7").await.expect_problem(400, "bad_path");
}

#[tokio::test]
async fn authentication_comes_before_everything_else() {
    let world = memory().await;
    let nobody = world.anonymous();
    nobody.post("/v1/groups", json!({ "nonsense": 1 })).await.expect_problem(401, "unauthenticated");
    assert_eq!(nobody.get("/v1/me").await.expect(401).header("www-authenticate"), "Bearer");
    let ann = world.stranger("ann");
    ann.post("/v1/groups", json!({ "nonsense": 1 })).await.expect_problem(403, "not_registered");
    for bad in ["Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."] {
        nobody.with("authorization", bad).get("/v1/groups").await.expect_problem(401, "bad_token");
    }
    let exp = world.clock().now().micros() / 1_000_000 + 60;
    let token = world.app().auth().keys().sign(&Claims { sub: "bob".into(), exp, ..Claims::default() }).unwrap();
    let bob = nobody.with("authorization", &format!("bearer {token}"));
    bob.get("/v1/me").await.expect(200);
    world.clock().advance(Span::minutes(1));
    bob.get("/v1/me").await.expect_problem(401, "bad_token");
}

#[tokio::test]
async fn anonymous_reading_can_be_switched_off() {
    let closed = World::with(Backend::Memory, circolo::config::Http { anonymous_reads: false, ..settings() }).await.unwrap();
    closed.anonymous().get("/v1/groups").await.expect_problem(401, "unauthenticated");
    let open = memory().await;
    open.anonymous().get("/v1/groups").await.expect(200);
}

#[tokio::test]
async fn a_request_waits_for_a_position_only_so_long() {
    let patient = memory().await;
    let ann = patient.person("ann").await;
    let reached = patient.store().head().await.unwrap();
    ann.with("circolo-min-position", &reached.to_string()).get("/v1/me").await.expect(200);
    let hasty = World::with(Backend::Memory, circolo::config::Http { catch_up: 20, ..settings() }).await.unwrap();
    let late = hasty.anonymous().with("circolo-min-position", "1000000").get("/v1/groups").await.expect_problem(503, "behind");
    assert_eq!(late.header("retry-after"), "1");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let world = World::with(Backend::Memory, circolo::config::Http { rate_limit: 3, ..settings() }).await.unwrap();
    let ann = world.stranger("ann");
    let first = ann.get("/v1/me").await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=3;w=60");
    assert!(first.header("ratelimit").starts_with("\"default\";r=2;t="), "{}", first.header("ratelimit"));
    ann.get("/v1/me").await.expect(200);
    ann.get("/v1/me").await.expect(200);
    let refused = ann.get("/v1/me").await.expect_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    world.stranger("bob").get("/v1/me").await.expect(200);
    world.anonymous().get("/health/live").await.expect(200);
}

#[tokio::test]
async fn who_has_no_token_searches_only_so_often() {
    let limits = circolo::config::Http { anonymous_searches: 2, anonymous_searches_in_all: 3, behind_proxy: true, ..settings() };
    let world = World::with(Backend::Memory, limits).await.unwrap();
    let from = |address: &str| world.anonymous().with("x-forwarded-for", address);
    for _ in 0..2 {
        from("192.0.2.1").get("/v1/groups?q=bread").await.expect(200);
    }
    let refused = from("192.0.2.1").get("/v1/groups?q=bread").await.expect_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    from("192.0.2.2").get("/v1/groups?q=").await.expect(200);
    from("192.0.2.3").get("/v1/groups?q=bread").await.expect_problem(429, "rate_limited");
    // What is no search is not counted, nor are those who say who they are.
    from("192.0.2.1").get("/v1/groups").await.expect(200);
    world.stranger("zoe").get("/v1/groups?q=bread").await.expect(200);
    world.person("ann").await.get("/v1/groups?q=bread").await.expect(200);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_it_safe() {
    let world = memory().await;
    let nobody = world.anonymous();
    for (path, cache) in [
        ("/v1/groups", "private, no-store"),
        ("/v1/nowhere", "private, no-store"),
        ("/health/live", "private, no-store"),
        ("/docs/nothing", "private, no-store"),
        // What is the same for all is asked for again before it is used again.
        ("/openapi.json", "no-cache"),
        ("/docs/", "public, max-age=3600"),
    ] {
        let reply = nobody.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("cache-control"), cache, "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        assert!(!reply.header("x-request-id").is_empty(), "{path}");
    }
    assert_eq!(nobody.with("x-request-id", "mine-1").get("/v1/groups").await.header("x-request-id"), "mine-1");
    assert_ne!(nobody.with("x-request-id", "not mine").get("/v1/groups").await.header("x-request-id"), "not mine");
    let gzip = nobody.with("accept-encoding", "gzip").get("/openapi.json").await.expect(200);
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert_eq!(nobody.get("/v1/groups").await.header("access-control-allow-origin"), "");
    let open = World::with(Backend::Memory, circolo::config::Http { cors_origins: vec!["https://a.example".into()], ..settings() }).await;
    let from = |origin| open.as_ref().unwrap().anonymous().with("origin", origin);
    assert_eq!(from("https://a.example").get("/v1/groups").await.header("access-control-allow-origin"), "https://a.example");
    assert_eq!(from("https://b.example").get("/v1/groups").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn what_a_request_belongs_to_is_not_for_callers_to_choose() {
    let world = memory().await;
    let (ann, eve) = (world.person("ann").await, world.signed_in("eve", "analyst"));
    let correlations = async || {
        let events = eve.get("/v1/events?limit=100").await.expect(200).items();
        events.iter().map(|event| event["metadata"]["correlation"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let group = json!({ "name": "Bakers", "privacy": "public", "membership": "open" });
    ann.post("/v1/groups", group.clone()).await.expect(201);
    let before = correlations().await;
    // Somebody else's, one of one's own, and one that is none.
    for chosen in [before[0].as_str(), before.last().unwrap(), "mine-1"] {
        let reply = ann.with("x-request-id", chosen).post("/v1/groups", group.clone()).await.expect(201);
        assert_eq!(reply.header("x-request-id"), chosen);
    }
    let all = correlations().await;
    assert!(all[..before.len()] == before && all.len() == before.len() + 9, "{all:?}");
    let (new, old): (BTreeSet<_>, BTreeSet<_>) = (all[before.len()..].iter().collect(), before.iter().collect());
    assert_eq!(new.len(), 3, "each request and what follows from it belong together");
    assert!(new.is_disjoint(&old) && new.iter().all(|id| id.parse::<uuid::Uuid>().is_ok()));
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems_too() {
    let world = memory().await;
    world.anonymous().get("/v1/nowhere").await.expect_problem(404, "no_such_route");
    let wrong = world.anonymous().delete("/v1/people").await.expect_problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
}

#[tokio::test]
async fn the_server_tells_how_it_is() {
    let world = memory().await;
    world.person("ann").await;
    world.settled().await;
    let nobody = world.anonymous();
    nobody.get("/health/live").await.expect(200);
    nobody.get("/health/ready").await.expect(200).expect_json(json!({ "status": "ready", "lag": 0 }));
    let metrics = nobody.get("/metrics").await.expect(200);
    let text = String::from_utf8_lossy(&metrics.bytes);
    for name in ["circolo_projection_position{", "circolo_projection_lag_seconds{", "build=\"1\",state=\"live\"} 1"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    nobody.get("/docs/").await.expect(200);
    nobody.get("/docs/swagger-ui-bundle.js").await.expect(200);
}

#[tokio::test]
async fn the_description_is_whole_and_is_the_one_that_is_checked_in() {
    let generated = circolo::server::openapi_json();
    let document: Value = serde_json::from_str(&generated).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut references = vec![];
    collect(&document, "$ref", &mut references);
    for reference in &references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let mut ids = vec![];
    collect(&document, "operationId", &mut ids);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "operation ids are unique: {ids:?}");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["responses"]["503"].is_object(), "{method} {path} does not describe its failures");
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(file, &generated).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == generated, "openapi.json is not what the code describes: run the tests with UPDATE_SNAPSHOTS=1 and look at the change");
}

/// The strings under `key`, anywhere in `value`.
fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, key, found)),
        _ => {}
    }
}
