//! The operator's console: its files, its policy, and what it may read of the log. Its work in a browser: `tests/console`.

use crate::given::{admit, answer, ask, column, found};
use circolo_tests::{stories, world::World};
use serde_json::{Value, json};

stories!(operators_see_what_stands_where_and_never_what_was_said, the_page_is_served_with_a_strict_policy);

async fn operators_see_what_stands_where_and_never_what_was_said(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    let question = ask(&ann, &group, "Kestrels?").await;
    answer(&bea, &question, "Kestrels!").await;
    let operator = world.signed_in("Olga", "operator");
    for other in [ann, world.signed_in("Aldo", "analyst")] {
        other.get("/v1/operator/events").await.expect_problem(403, "scope_needed");
    }
    world.anonymous().get("/v1/operator/events").await.expect_problem(401, "unauthenticated");

    let all = operator.get("/v1/operator/events?after=0&limit=100").await.expect(200);
    let head = world.store().head().await.unwrap();
    assert_eq!((all.items().len(), all.json()["next"].as_i64(), all.json()["head"].as_i64()), (11, Some(head.0), Some(head.0)));
    assert!(!String::from_utf8_lossy(&all.bytes).contains("Kestrels"));
    let stream = format!("question-{}", question.rsplit('/').next().unwrap());
    let asked = operator.get(&format!("/v1/operator/events?stream={stream}")).await.expect(200).items();
    let expected = json!({ "type": "question.posted.v1", "stream": stream, "revision": 0, "command": "PostQuestion", "causation": null });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(asked[0][field], *value, "{field}");
    }
    // A chain: the founder's place, the group, and what followed from it.
    let created = operator.get("/v1/operator/events?type=group.created").await.expect(200).items();
    let chain = operator.get(&format!("/v1/operator/events?correlation={}", created[0]["correlation"].as_str().unwrap())).await.expect(200);
    assert_eq!(column(&chain, "type"), ["allowance.place_taken.v1", "group.created.v1", "membership.joined.v1"]);
    assert_eq!(chain.items()[2]["causation"], created[0]["id"]);
    // Pages, and the end of the log.
    let (mut found, mut after) = (vec![], 0);
    while after < head.0 {
        let page = operator.get(&format!("/v1/operator/events?limit=3&after={after}")).await.expect(200);
        found.extend(page.items());
        after = page.json()["next"].as_i64().unwrap();
    }
    assert_eq!(found, all.items());
    assert_eq!(operator.get("/v1/operator/events?type=question.nothing").await.expect(200).items(), Vec::<Value>::new());
    for bad in ["after=-1", "after=x", "correlation=x", "limit=0", "unmask=true"] {
        operator.get(&format!("/v1/operator/events?{bad}")).await.expect(400);
    }
}

async fn the_page_is_served_with_a_strict_policy(world: World) {
    let anonymous = world.anonymous();
    let page = anonymous.get("/console").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    assert!(!text.contains("://"), "nothing comes from elsewhere");
    let files = text.split('"').filter(|value| value.starts_with("/console/")).map(str::to_owned);
    let more = ["api", "dom", "events", "parked", "plot", "projections"].map(|name| format!("/console/{name}.js"));
    for path in files.chain(more).chain(["/console/".to_owned()]) {
        let file = anonymous.get(&path).await.expect(200);
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
    anonymous.get("/console/nothing.js").await.expect_problem(404, "no_such_route");
}
