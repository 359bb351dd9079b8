//! Stories of what was written under another privacy, and of the time before one came.

use crate::given::{admit, answer, ask, ban, column, found, invite, promote, up_to_date};
use circolo_domain::Span;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(
    opening_a_group_opens_nothing_that_was_written,
    closing_a_group_closes_what_was_written,
    an_answer_keeps_to_the_era_it_was_given_in,
    what_was_written_in_secret_stays_secret,
    newcomers_read_since_they_joined,
    coming_back_does_not_open_the_gap,
    becoming_secret_refuses_open_requests,
    the_secret_is_known_to_the_invited_alone,
);

async fn titles(world: &World, reader: &Actor, group: &str) -> Vec<Value> {
    column(&up_to_date(world, reader).await.get(&format!("{group}/questions")).await.expect(200), "title")
}

async fn opening_a_group_opens_nothing_that_was_written(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "open").await;
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let before = ask(&ann, &group, "among us").await;
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    let after = ask(&ann, &group, "to all").await;
    cleo.post(&format!("{group}/join"), ()).await.expect(200);

    for reader in [&ann, &bea] {
        assert_eq!(titles(&world, reader, &group).await, ["to all", "among us"]);
        reader.get(&before).await.expect(200);
    }
    for reader in [&cleo, &world.person("Dora").await, &world.stranger("zoe"), &world.anonymous()] {
        assert_eq!(titles(&world, reader, &group).await, ["to all"]);
        reader.get(&after).await.expect(200);
    }
    cleo.get(&before).await.expect_problem(403, "before_your_time");
    cleo.post(&format!("{before}/answers"), json!({ "body": "?" })).await.expect_problem(403, "before_your_time");
    world.person("Elsa").await.get(&before).await.expect_problem(403, "members_only");
    world.anonymous().get(&before).await.expect_problem(401, "unauthenticated");
    // Who keeps order reads everything.
    promote(&ann, &group, &cleo, "moderator").await;
    assert_eq!(titles(&world, &cleo, &group).await, ["to all", "among us"]);
    cleo.get(&before).await.expect(200);
    // Who leaves and comes back begins anew.
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    assert_eq!(titles(&world, &bea, &group).await, ["to all"]);
    bea.get(&before).await.expect_problem(403, "before_your_time");
}

async fn an_answer_keeps_to_the_era_it_was_given_in(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let question = ask(&ann, &group, "to all").await;
    let public = answer(&bea, &question, "heard by all").await;
    ann.patch(&group, json!({ "privacy": "closed" })).await.expect(200);
    let closed = answer(&bea, &question, "among us").await;
    world.clock().advance(Span::days(1));
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    cleo.post(&format!("{group}/join"), ()).await.expect(200);

    for (reader, read) in
        [(&ann, vec![public, closed]), (&bea, vec![public, closed]), (&cleo, vec![public]), (&world.anonymous(), vec![public])]
    {
        let seen = up_to_date(&world, reader).await.get(&question).await.expect(200);
        let ids: Vec<Value> = seen.json()["answers"]["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        assert_eq!(ids, read.iter().map(|id| json!(id)).collect::<Vec<_>>());
    }
}

async fn closing_a_group_closes_what_was_written(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let question = ask(&ann, &group, "to all").await;
    let anonymous = up_to_date(&world, &world.anonymous()).await;
    anonymous.get(&question).await.expect(200);
    ann.patch(&group, json!({ "privacy": "closed" })).await.expect(200);
    anonymous.get(&question).await.expect_problem(401, "unauthenticated");
    bea.get(&question).await.expect_problem(403, "members_only");
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    assert_eq!(titles(&world, &bea, &group).await, ["to all"]);
    world.clock().advance(Span::days(1));
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    anonymous.get(&question).await.expect(200).expect_json(json!({ "title": "to all" }));
}

async fn what_was_written_in_secret_stays_secret(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    let question = ask(&ann, &group, "in secret").await;
    ann.patch(&group, json!({ "privacy": "public", "membership": "open" })).await.expect(200);
    assert_eq!(titles(&world, &world.anonymous(), &group).await, Vec::<Value>::new());
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    for reader in [&bea, &world.person("Cleo").await, &world.anonymous()] {
        reader.get(&question).await.expect_problem(404, "not_found");
    }
    assert_eq!(titles(&world, &bea, &group).await, Vec::<Value>::new());
    assert_eq!(titles(&world, &ann, &group).await, ["in secret"]);
}

async fn newcomers_read_since_they_joined(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "open").await;
    let early = ask(&ann, &group, "early").await;
    world.clock().advance(Span::minutes(1));
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    ask(&ann, &group, "same moment").await;
    world.clock().advance(Span::minutes(1));
    ask(&ann, &group, "late").await;
    assert_eq!(titles(&world, &bea, &group).await, ["late", "same moment", "early"]);
    ann.patch(&group, json!({ "history": "since_joining" })).await.expect(200);
    assert_eq!(titles(&world, &bea, &group).await, ["late", "same moment"]);
    bea.get(&early).await.expect_problem(403, "before_your_time");
    assert_eq!(titles(&world, &ann, &group).await, ["late", "same moment", "early"]);
    // What a newcomer may not read they do not answer either.
    bea.post(&format!("{early}/answers"), json!({ "body": "?" })).await.expect_problem(403, "before_your_time");
    ann.patch(&group, json!({ "history": "all" })).await.expect(200);
    bea.get(&early).await.expect(200);
    answer(&bea, &early, "!").await;
}

async fn coming_back_does_not_open_the_gap(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "open").await;
    ann.patch(&group, json!({ "history": "since_joining" })).await.expect(200);
    let mut asked = Vec::new();
    for (title, step) in [("before", "join"), ("first stay", "leave"), ("away", "join"), ("second stay", "leave")] {
        world.clock().advance(Span::minutes(1));
        asked.push(ask(&ann, &group, title).await);
        world.clock().advance(Span::minutes(1));
        if title != "second stay" {
            bea.post(&format!("{group}/{step}"), ()).await.expect(200);
        }
    }
    assert_eq!(titles(&world, &bea, &group).await, ["second stay", "first stay"]);
    for (question, status) in asked.iter().zip([403, 200, 403, 200]) {
        bea.get(question).await.expect(status);
    }
}

async fn becoming_secret_refuses_open_requests(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "request").await;
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "requested" }));
    }
    ann.patch(&group, json!({ "privacy": "secret" })).await.expect(200);
    world.settled().await;
    let queue = up_to_date(&world, &ann).await.get(&format!("{group}/members?status=requested")).await.expect(200);
    assert!(queue.items().is_empty(), "{queue}");
    bea.get(&group).await.expect_problem(404, "not_found");
    bea.post(&format!("{group}/join"), ()).await.expect_problem(404, "not_found");
    ann.post(&format!("{group}/requests/{}/approve", bea.id()), ()).await.expect_problem(409, "already_decided");
}

async fn the_secret_is_known_to_the_invited_alone(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    let question = ask(&ann, &group, "in secret").await;
    bea.get(&group).await.expect_problem(404, "not_found");
    invite(&ann, &group, &bea).await.expect(200).expect_json(json!({ "status": "invited" }));
    let shown = up_to_date(&world, &bea).await.get(&group).await.expect(200);
    let shown = shown.expect_json(json!({ "name": "Alpine Club", "description": "Up and down", "status": "invited" }));
    for hidden in ["members", "questions", "answers", "role"] {
        assert!(shown.json().get(hidden).is_none(), "{hidden} of {shown}");
    }
    bea.get(&format!("{group}/members")).await.expect_problem(403, "members_only");
    bea.get(&format!("{group}/questions")).await.expect_problem(403, "members_only");
    bea.get(&question).await.expect_problem(404, "not_found");
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "member" }));
    bea.get(&question).await.expect(200);
    // A member who is no admin does not invite here; who leaves, is removed or banned knows of nothing any longer.
    admit(&ann, &group, &world.person("Cleo").await).await;
    invite(&bea, &group, &world.person("Dora").await).await.expect_problem(403, "admins_only");
    ban(&ann, &group, &bea).await.expect(200);
    for path in [&group, &question] {
        bea.get(path).await.expect_problem(404, "not_found");
    }
    assert!(up_to_date(&world, &bea).await.get("/v1/groups").await.expect(200).items().is_empty());
}
