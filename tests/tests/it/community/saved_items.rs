//! Stories of what people save: found again, with their notes, as long as it may be read, and by nobody else.

use crate::given::{UNKNOWN, admit, answer, ask, column, comment, found, offer, up_to_date, write};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};

stories!(
    things_of_every_sort_are_saved,
    a_note_is_kept_changed_and_taken_away,
    what_one_may_not_read_any_longer_is_left_out_and_comes_back,
    only_what_one_may_read_is_saved,
    pages_go_on_behind_what_is_hidden,
    nobody_reads_what_others_saved,
);

fn id_in(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

async fn save(who: &Actor, kind: &str, id: impl ToString) -> Reply {
    who.put(&format!("/v1/me/saved/{kind}/{}", id.to_string()), ()).await
}

async fn saved(world: &World, who: &Actor, query: &str) -> Reply {
    up_to_date(world, who).await.get(&format!("/v1/me/saved{query}")).await.expect(200)
}

async fn things_of_every_sort_are_saved(world: World) {
    let ann = world.person("ann").await;
    let group = found(&ann, "closed", "request").await;
    let post = write(&ann, &group, "Fresh snow").await;
    let question = ask(&ann, &group, "Which hut?").await;
    let page = ann.post("/v1/pages", json!({ "name": "Forno", "username": "forno.roma" })).await.expect(201).id().to_string();
    let things = [
        ("answer", answer(&ann, &question, "The lower").await.to_string()),
        ("comment", comment(&ann, &post, "How high?").await.to_string()),
        ("group", id_in(&group)),
        ("listing", id_in(&offer(&ann, &group, "Skis", 80).await)),
        ("page", page),
        ("person", ann.id().to_string()),
        ("post", id_in(&post)),
        ("question", id_in(&question)),
    ];
    world.settled().await;
    for (kind, id) in &things {
        save(&ann, kind, id).await.expect(200).expect_json(json!({ "id": id, "revision": 0 }));
        world.clock().advance(Span::minutes(1));
    }
    let all = saved(&world, &ann, "").await;
    let expected: Vec<Value> = things.iter().rev().map(|(_, id)| json!(id)).collect();
    assert_eq!(column(&all, "id"), expected, "the last comes first");
    assert_eq!(all.items()[7], json!({ "kind": "answer", "id": things[0].1, "saved_at": NOON.to_string() }));
    for (kind, id) in &things {
        assert_eq!(column(&saved(&world, &ann, &format!("?kind={kind}")).await, "id"), [json!(id)], "{kind}");
    }
    // Asked twice it is the same; forgotten it is gone, and forgetting it again changes nothing.
    save(&ann, "post", &things[6].1).await.expect(200).expect_json(json!({ "revision": 0 }));
    for revision in [1, 1] {
        let forgotten = ann.delete(&format!("/v1/me/saved/post/{}", things[6].1)).await.expect(200);
        forgotten.expect_json(json!({ "id": things[6].1, "revision": revision }));
    }
    assert_eq!(saved(&world, &ann, "?kind=post").await.items(), [] as [Value; 0]);
}

async fn a_note_is_kept_changed_and_taken_away(world: World) {
    let ann = world.person("ann").await;
    let path = format!("/v1/me/saved/person/{}", ann.id());
    let longest = "è".repeat(500);
    for (revision, (body, note)) in
        [(json!({ "note": " For\nSunday " }), json!("For\nSunday")), (json!({ "note": longest }), json!(longest)), (json!({}), Value::Null)]
            .into_iter()
            .enumerate()
    {
        ann.put(&path, body).await.expect(200).expect_json(json!({ "revision": revision }));
        world.clock().advance(Span::hours(1));
        let item = saved(&world, &ann, "").await.items().remove(0);
        assert_eq!((&item["note"], &item["saved_at"]), (&note, &json!(NOON.to_string())));
    }
    let before = world.store().head().await.unwrap();
    for (note, code) in
        [(json!(""), "empty"), (json!("x".repeat(501)), "too_long"), (json!("a\u{0}"), "control_character"), (json!(7), "wrong_type")]
    {
        let refused = ann.put(&path, json!({ "note": note })).await.expect_problem(422, "invalid_request");
        assert_eq!((&refused.json()["fields"][0]["field"], &refused.json()["fields"][0]["code"]), (&json!("note"), &json!(code)));
    }
    ann.put(&path, json!({ "notes": "x" })).await.expect_problem(422, "invalid_request");
    ann.put("/v1/me/saved/tomato/x", ()).await.expect(400);
    ann.get("/v1/me/saved?kind=tomato").await.expect(400);
    ann.get("/v1/me/saved?after=x").await.expect_problem(400, "bad_cursor");
    assert_eq!(world.store().head().await.unwrap(), before);
}

async fn what_one_may_not_read_any_longer_is_left_out_and_comes_back(world: World) {
    let (ann, bea) = (world.person("ann").await, world.person("bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    let post = write(&ann, &group, "Fresh snow").await;
    bea.put(&format!("/v1/me/saved/post/{}", id_in(&post)), json!({ "note": "Sunday" })).await.expect(200);
    save(&bea, "group", id_in(&group)).await.expect(200);
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    assert_eq!(saved(&world, &bea, "").await.items(), [] as [Value; 0]);
    // It can be forgotten unseen; what is not comes back.
    bea.delete(&format!("/v1/me/saved/group/{}", id_in(&group))).await.expect(200);
    admit(&ann, &group, &bea).await;
    let back = saved(&world, &bea, "").await;
    assert_eq!((column(&back, "kind"), column(&back, "note")), (vec![json!("post")], vec![json!("Sunday")]));
}

async fn only_what_one_may_read_is_saved(world: World) {
    let (ann, bea) = (world.person("ann").await, world.person("bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    let question = ask(&ann, &group, "Which hut?").await;
    let things = [
        ("group", id_in(&group)),
        ("post", id_in(&write(&ann, &group, "Fresh snow").await)),
        ("question", id_in(&question)),
        ("answer", answer(&ann, &question, "The lower").await.to_string()),
        ("listing", id_in(&offer(&ann, &group, "Skis", 80).await)),
    ];
    world.settled().await;
    let before = world.store().head().await.unwrap();
    let unknown = save(&bea, "post", UNKNOWN).await.expect_problem(404, "not_found").json();
    for (kind, id) in &things {
        let hidden = save(&bea, kind, id).await.expect_problem(404, "not_found").json();
        assert_eq!(hidden["detail"], unknown["detail"], "{kind}");
        // Of another sort it is as unknown.
        save(&ann, if *kind == "post" { "question" } else { "post" }, id).await.expect_problem(404, "not_found");
    }
    // They are named by two ids, and have no address of their own.
    for kind in ["conversation", "membership"] {
        save(&ann, kind, ann.id()).await.expect_problem(404, "not_found");
    }
    save(&world.anonymous(), "group", things[0].1.clone()).await.expect_problem(401, "unauthenticated");
    save(&world.stranger("max"), "group", things[0].1.clone()).await.expect_problem(403, "not_registered");
    assert_eq!(world.store().head().await.unwrap(), before);
}

async fn pages_go_on_behind_what_is_hidden(world: World) {
    let (ann, bea) = (world.person("ann").await, world.person("bea").await);
    let (open, secret) = (found(&ann, "public", "open").await, found(&ann, "secret", "invite_only").await);
    admit(&ann, &secret, &bea).await;
    let mut shown: Vec<Value> = vec![];
    for number in 0..9 {
        let place = if number % 3 == 0 { &open } else { &secret };
        let post = write(&ann, place, &format!("number {number}")).await;
        save(&bea, "post", id_in(&post)).await.expect(200);
        shown.extend((number % 3 == 0).then(|| json!(id_in(&post))));
    }
    bea.post(&format!("{secret}/leave"), ()).await.expect(200);
    shown.reverse();
    for limit in 1..=4 {
        let (mut found, mut next) = (vec![], String::new());
        loop {
            let page = saved(&world, &bea, &format!("?limit={limit}{next}")).await;
            assert!(page.items().len() <= limit);
            found.extend(column(&page, "id"));
            let Some(after) = page.json()["next"].as_str().map(str::to_owned) else { break };
            next = format!("&after={after}");
        }
        assert_eq!(found, shown, "{limit} at a time");
    }
}

async fn nobody_reads_what_others_saved(world: World) {
    let (ann, bea) = (world.person("ann").await, world.person("bea").await);
    save(&ann, "person", bea.id()).await.expect(200);
    assert_eq!(saved(&world, &bea, "").await.items(), [] as [Value; 0]);
    up_to_date(&world, &world.anonymous()).await.get("/v1/me/saved").await.expect_problem(401, "unauthenticated");
    world.stranger("max").get("/v1/me/saved").await.expect_problem(403, "not_registered");
    let feed = ann.get("/v1/changes?after=0").await.expect(200);
    assert!(feed.items().iter().all(|change| change["action"] != "saved"), "it is told to nobody");
}
