//! The log over the API for analysts: as lines, masked, and unmasked with a trace.

use crate::given::{ask, found};
use circolo_tests::{actor::Reply, stories, world::World};
use serde_json::{Value, json};

stories!(the_log_comes_as_lines, who_reads_texts_leaves_a_trace);

fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.header("content-type"), "application/x-ndjson", "{reply}");
    std::str::from_utf8(&reply.bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn positions(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["position"].as_i64().unwrap()).collect()
}

async fn the_log_comes_as_lines(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    for number in 0..5 {
        ask(&ann, &group, &format!("Number {number}")).await;
    }
    world.settled().await;
    let eve = world.signed_in("eve", "analyst");
    let streaming = eve.with("accept", "text/html, application/x-ndjson;q=0.9");
    let all = streaming.get("/v1/events").await.expect(200);
    let head = world.store().head().await.unwrap().0;
    assert_eq!((all.header("circolo-log"), all.header("circolo-position")), (&*world.store().log_id().to_string(), &*head.to_string()));
    let events = lines(&all);
    assert_eq!(events, eve.get("/v1/events?limit=100").await.expect(200).items(), "one shape for both");
    assert_eq!(positions(&events).last(), Some(&head));
    assert!(events.iter().all(|event| event["masked"] == json!(true)));
    let questions = lines(&streaming.get("/v1/events?type=question.posted,poll").await.expect(200));
    assert_eq!(questions.len(), 5);
    assert!(questions.iter().all(|event| event["data"]["title"].is_null()));
    let third = questions[2]["position"].as_i64().unwrap();
    for (query, count) in [
        (format!("type=question&from={third}"), 3),
        (format!("type=question&to={third}"), 3),
        (format!("stream=question-&from={third}&to={third}"), 1),
        ("type=question&limit=2".to_owned(), 2),
        (format!("type=question&since={}", world.clock().now()), 5),
        (format!("type=question&until={}", world.clock().now()), 0),
    ] {
        assert_eq!(lines(&streaming.get(&format!("/v1/events?{query}")).await.expect(200)).len(), count, "{query}");
        assert_eq!(eve.get(&format!("/v1/events?{query}")).await.expect(200).items().len(), count, "{query}");
    }
    for bad in ["from=x", "since=noon", "unmask=perhaps"] {
        eve.get(&format!("/v1/events?{bad}")).await.expect_problem(400, "bad_query");
    }
    world.person("Bea").await.with("accept", "application/x-ndjson").get("/v1/events").await.expect_problem(403, "scope_needed");
}

async fn who_reads_texts_leaves_a_trace(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "secret", "invite_only").await;
    ask(&ann, &group, "Between us?").await;
    world.settled().await;
    let before = world.store().head().await.unwrap();
    let eve = world.signed_in("eve", "analyst");
    eve.get("/v1/events?unmask=true").await.expect_problem(403, "scope_needed");
    assert_eq!(world.store().head().await.unwrap(), before, "what is refused is no use");
    let una = world.signed_in("una", "analyst:unmask");
    let text = |events: &[Value]| events.iter().find(|event| event["type"] == "question.posted.v1").unwrap()["data"]["title"].clone();
    assert_eq!(text(&una.get("/v1/events?limit=100").await.expect(200).items()), Value::Null, "only who asks gets it");
    assert_eq!(world.store().head().await.unwrap(), before);
    let listed = una.get("/v1/events?unmask=true&limit=100").await.expect(200);
    assert_eq!(text(&listed.items()), json!("Between us?"));
    // But for the salt, which nobody is told.
    assert!(listed.items().iter().all(|event| event["masked"] == json!(event["type"] == "salt.drawn.v1")));
    let streamed = lines(&una.with("accept", "application/x-ndjson").get("/v1/events?unmask=true&type=question").await.expect(200));
    assert_eq!(text(&streamed), json!("Between us?"));
    // Two uses, two traces; for others, without the name.
    let traces = eve.get("/v1/events?type=unmasking").await.expect(200).items();
    assert_eq!(traces.len(), 2);
    assert_eq!(traces[1]["data"], json!({ "reading": "events", "asked": "unmask=true&type=question", "who": null, "place": null }));
    assert_eq!(traces[1]["metadata"]["actor"], json!(una.id()));
    assert_eq!(traces[1]["metadata"]["command"], "RecordUnmasking");
    let own = una.get("/v1/events?type=unmasking&unmask=true").await.expect(200).items();
    assert_eq!(own[0]["data"]["who"], "circolo: una");
}
