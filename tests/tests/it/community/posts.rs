//! Stories of posts, comments and reactions, in groups and on pages.

use crate::care::pages::{hire, open_page};
use crate::given::{UNKNOWN, admit, column, comment, found, promote, up_to_date, write};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(
    a_post_is_written_edited_and_removed,
    moderators_remove_with_a_reason_and_not_against_admins,
    replies_nest_once,
    a_page_speaks_through_its_staff,
    reactions_are_changed_counted_and_withdrawn,
    comments_of_another_era_stay_where_they_were_written,
    bad_input_is_refused,
);

async fn club(world: &World) -> (Actor, Actor, Actor, String) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "open").await;
    for member in [&bea, &cleo] {
        member.post(&format!("{group}/join"), ()).await.expect(200);
    }
    (ann, bea, cleo, group)
}

async fn texts(reader: &Actor, path: &str) -> Vec<Value> {
    column(&reader.get(path).await.expect(200), "text")
}

async fn a_post_is_written_edited_and_removed(world: World) {
    let (ann, bea, cleo, group) = club(&world).await;
    let post = write(&bea, &group, " Fresh bread ").await;
    bea.get(&post).await.expect(200).expect_json(json!({
        "author": { "kind": "person", "id": bea.id(), "display_name": "Bea" }, "text": "Fresh bread", "version": 1, "comment_count": 0,
        "group_id": group.rsplit('/').next(), "revision": 0,
        "reactions": { "like": 0, "love": 0, "care": 0, "laugh": 0, "wow": 0, "sad": 0 },
    }));
    cleo.patch(&post, json!({ "text": "Stale bread" })).await.expect_problem(403, "not_the_author");
    ann.patch(&post, json!({ "text": "Stale bread" })).await.expect_problem(403, "not_the_author");
    bea.with("if-match", "\"7\"").patch(&post, json!({ "text": "Warm bread" })).await.expect_problem(412, "revision_changed");
    bea.patch(&post, json!({ "text": "Warm bread" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    bea.patch(&post, json!({ "text": "Warm bread" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    world.clock().advance(circolo_domain::Span::minutes(1));
    bea.patch(&post, json!({ "text": "Hot bread" })).await.expect(200).expect_json(json!({ "revision": 2 }));
    let edited = bea.get(&post).await.expect(200).json();
    assert_eq!((&edited["text"], &edited["version"]), (&json!("Hot bread"), &json!(3)));
    assert!(edited["edited_at"].as_str() > edited["written_at"].as_str(), "{edited}");

    for reader in [&bea, &ann] {
        assert_eq!(texts(reader, &format!("{post}/versions")).await, ["Fresh bread", "Warm bread", "Hot bread"]);
    }
    let first = bea.get(&format!("{post}/versions?limit=2")).await.expect(200);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let rest = bea.get(&format!("{post}/versions?limit=2&after={next}")).await.expect(200);
    assert_eq!((column(&rest, "version"), rest.json().get("next")), (vec![json!(3)], None));
    cleo.get(&format!("{post}/versions")).await.expect_problem(403, "moderators_only");

    bea.delete(&post).await.expect(200);
    bea.delete(&post).await.expect(200).expect_json(json!({ "revision": 3 }));
    let tombstone = bea.get(&post).await.expect(200).json();
    assert_eq!((&tombstone["text"], &tombstone["removal"]["by"]), (&Value::Null, &json!("author")));
    assert_eq!(tombstone["author"]["id"], json!(bea.id()));
    bea.patch(&post, json!({ "text": "Bread again" })).await.expect_problem(409, "post_removed");
    bea.post(&format!("{post}/comments"), json!({ "text": "Oh" })).await.expect_problem(409, "post_removed");
    bea.put(&format!("{post}/reaction"), json!({ "kind": "sad" })).await.expect_problem(409, "target_removed");
    bea.get(&format!("{post}/versions")).await.expect_problem(403, "moderators_only");
    assert_eq!(texts(&ann, &format!("{post}/versions")).await.len(), 3);
}

async fn moderators_remove_with_a_reason_and_not_against_admins(world: World) {
    let (ann, bea, cleo, group) = club(&world).await;
    promote(&ann, &group, &bea, "moderator").await;
    let post = write(&cleo, &group, "Buy now").await;
    bea.delete(&post).await.expect_problem(422, "reason_needed");
    bea.delete(&format!("{post}?reason=spam")).await.expect(200);
    let removal = up_to_date(&world, &cleo).await.get(&post).await.expect(200).json()["removal"].clone();
    assert_eq!((&removal["by"], &removal["reason"]), (&json!("moderator"), &json!("spam")));
    let admins = write(&ann, &group, "Buy now").await;
    bea.delete(&format!("{admins}?reason=spam")).await.expect_problem(403, "not_against_admins");
    cleo.delete(&format!("{admins}?reason=spam")).await.expect_problem(403, "moderators_only");
    let said = comment(&ann, &admins, "Now").await;
    bea.delete(&format!("/v1/comments/{said}?reason=spam")).await.expect_problem(403, "not_against_admins");
    ann.delete(&format!("/v1/comments/{said}")).await.expect(200);
}

async fn replies_nest_once(world: World) {
    let (ann, bea, cleo, group) = club(&world).await;
    let (post, other) = (write(&ann, &group, "Fresh bread").await, write(&ann, &group, "Old bread").await);
    let comments = format!("{post}/comments");
    let first = comment(&bea, &post, "How much?").await;
    let second = comment(&cleo, &post, "Where?").await;
    let reply = ann.post(&comments, json!({ "text": "Two", "reply_to": first })).await.expect(201).id();
    for (parent, code, status) in [(reply, "replies_nest_once", 422), (UNKNOWN, "replies_nest_once", 422)] {
        bea.post(&comments, json!({ "text": "?", "reply_to": parent })).await.expect_problem(status, code);
    }
    bea.post(&format!("{other}/comments"), json!({ "text": "?", "reply_to": first })).await.expect_problem(422, "replies_nest_once");

    let ann = up_to_date(&world, &ann).await;
    let page = ann.get(&format!("{comments}?limit=1")).await.expect(200);
    assert_eq!((column(&page, "text"), column(&page, "reply_count")), (vec![json!("How much?")], vec![json!(1)]));
    let next = page.json()["next"].as_str().unwrap().to_owned();
    comment(&bea, &post, "Late").await;
    assert_eq!(texts(&up_to_date(&world, &ann).await, &format!("{comments}?after={next}")).await, ["Where?", "Late"]);
    assert_eq!(texts(&ann, &format!("{comments}?reply_to={first}")).await, ["Two"]);
    ann.get(&format!("{other}/comments?reply_to={first}")).await.expect_problem(404, "not_found");
    ann.get(&format!("{comments}?reply_to={UNKNOWN}")).await.expect_problem(404, "not_found");

    let path = format!("/v1/comments/{first}");
    cleo.patch(&path, json!({ "text": "x" })).await.expect_problem(403, "not_the_author");
    bea.patch(&path, json!({ "text": "How many?" })).await.expect(200);
    cleo.delete(&format!("/v1/comments/{second}")).await.expect(200);
    cleo.patch(&format!("/v1/comments/{second}"), json!({ "text": "x" })).await.expect_problem(409, "comment_removed");
    ann.post(&comments, json!({ "text": "There", "reply_to": second })).await.expect_problem(409, "comment_removed");
    let bea = up_to_date(&world, &bea).await;
    assert_eq!(texts(&bea, &comments).await, [json!("How many?"), Value::Null, json!("Late")]);
    bea.get(&post).await.expect(200).expect_json(json!({ "comment_count": 3 }));
}

async fn a_page_speaks_through_its_staff(world: World) {
    let (ann, bob, eve, fan) = (world.person("Ann").await, world.person("Bob").await, world.person("Eve").await, world.person("Fay").await);
    let page = open_page(&ann, "forno.roma").await;
    let id = page.rsplit('/').next().unwrap().to_owned();
    hire(&ann, &page, &bob, "care_agent").await.expect(200);
    hire(&ann, &page, &eve, "editor").await.expect(200);
    fan.post(&format!("{page}/posts"), json!({ "text": "Hi" })).await.expect_problem(403, "staff_only");
    bob.post(&format!("{page}/posts"), json!({ "text": "Hi" })).await.expect_problem(403, "staff_only");
    ann.post(&format!("/v1/pages/{UNKNOWN}/posts"), json!({ "text": "Hi" })).await.expect_problem(404, "not_found");
    let post = write(&eve, &page, "Fresh bread").await;
    let nobody = up_to_date(&world, &world.anonymous()).await;
    nobody.get(&post).await.expect(200).expect_json(json!({
        "author": { "kind": "page", "id": id, "display_name": "Forno" }, "page_id": id, "text": "Fresh bread",
    }));
    ann.patch(&post, json!({ "text": "Warm bread" })).await.expect(200);
    bob.patch(&post, json!({ "text": "Cold bread" })).await.expect_problem(403, "staff_only");
    assert_eq!(texts(&bob, &format!("{post}/versions")).await, ["Fresh bread", "Warm bread"]);
    fan.get(&format!("{post}/versions")).await.expect_problem(403, "staff_only");

    let comments = format!("{post}/comments");
    let asked = comment(&fan, &post, "Still some left?").await;
    fan.post(&comments, json!({ "text": "Yes", "reply_to": asked, "as_page": id })).await.expect_problem(403, "staff_only");
    let answered = |reply: &circolo_tests::actor::Reply| column(reply, "answered_publicly");
    fan.post(&comments, json!({ "text": "Anyone?", "reply_to": asked })).await.expect(201);
    assert_eq!(answered(&fan.get(&comments).await), [json!(false)]);
    let reply = bob.post(&comments, json!({ "text": "Yes", "reply_to": asked, "as_page": id })).await.expect(201).id();
    assert_eq!(answered(&bob.get(&comments).await), [json!(true)]);
    let thread = bob.get(&format!("{comments}?reply_to={asked}")).await.expect(200);
    assert_eq!(thread.items()[1]["author"], json!({ "kind": "page", "id": id, "display_name": "Forno" }));
    eve.delete(&format!("/v1/comments/{reply}")).await.expect(200);
    assert_eq!(answered(&eve.get(&comments).await), [json!(false)]);

    let liked = format!("/v1/comments/{asked}/reaction");
    bob.put(&liked, json!({ "kind": "love", "as_page": id })).await.expect(200);
    bob.put(&liked, json!({ "kind": "wow" })).await.expect(200);
    fan.put(&liked, json!({ "kind": "like", "as_page": id })).await.expect_problem(403, "staff_only");
    let counts = up_to_date(&world, &bob).await.get(&comments).await.items()[0]["reactions"].clone();
    assert_eq!((&counts["love"], &counts["wow"]), (&json!(1), &json!(1)));
    // Whoever of the staff it is, the page has one reaction.
    eve.delete(&format!("{liked}?as_page={id}")).await.expect(200);
    assert_eq!(eve.get(&comments).await.items()[0]["reactions"]["love"], json!(0));

    let group = found(&ann, "public", "open").await;
    let in_group = write(&ann, &group, "Hello").await;
    ann.post(&format!("{in_group}/comments"), json!({ "text": "Hi", "as_page": id })).await.expect_problem(422, "not_supported");
    ann.put(&format!("{in_group}/reaction"), json!({ "kind": "like", "as_page": id })).await.expect_problem(422, "not_supported");
    world.anonymous().post(&comments, json!({ "text": "Hi" })).await.expect_problem(401, "unauthenticated");
    fan.delete(&format!("{post}?reason=spam")).await.expect_problem(403, "staff_only");
    bob.delete(&format!("{post}?reason=spam")).await.expect_problem(403, "staff_only");
    bob.delete(&format!("/v1/comments/{asked}")).await.expect_problem(422, "reason_needed");
    bob.delete(&format!("/v1/comments/{asked}?reason=rude")).await.expect(200);
    eve.delete(&post).await.expect(200);
}

async fn reactions_are_changed_counted_and_withdrawn(world: World) {
    let (ann, bea, cleo, group) = club(&world).await;
    let post = write(&ann, &group, "Fresh bread").await;
    let reaction = format!("{post}/reaction");
    ann.put(&reaction, json!({ "kind": "like" })).await.expect(200).expect_json(json!({ "revision": 0 }));
    ann.put(&reaction, json!({ "kind": "like" })).await.expect(200).expect_json(json!({ "revision": 0 }));
    bea.put(&reaction, json!({ "kind": "like" })).await.expect(200);
    bea.put(&reaction, json!({ "kind": "wow" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    cleo.put(&reaction, json!({ "kind": "sad" })).await.expect(200);
    cleo.delete(&reaction).await.expect(200);
    cleo.delete(&reaction).await.expect(200);
    let counts = json!({ "like": 1, "love": 0, "care": 0, "laugh": 0, "wow": 1, "sad": 0 });
    for (reader, mine) in [(&ann, json!("like")), (&bea, json!("wow")), (&cleo, Value::Null)] {
        let seen = up_to_date(&world, reader).await.get(&post).await.expect(200).json();
        assert_eq!((&seen["reactions"], seen.get("my_reaction").unwrap_or(&Value::Null)), (&counts, &mine));
    }
    ann.put(&reaction, json!({ "kind": "meh" })).await.expect_problem(422, "invalid_request");
    world.person("Dora").await.put(&reaction, json!({ "kind": "like" })).await.expect_problem(403, "members_only");
}

async fn comments_of_another_era_stay_where_they_were_written(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let post = write(&ann, &group, "to all").await;
    comment(&ann, &post, "hello all").await;
    ann.patch(&group, json!({ "privacy": "secret", "membership": "invite_only" })).await.expect(200);
    admit(&ann, &group, &bea).await;
    let hidden = comment(&bea, &post, "among us").await;
    world.clock().advance(circolo_domain::Span::days(1));
    ann.patch(&group, json!({ "privacy": "public", "membership": "open" })).await.expect(200);
    let late = world.person("Cleo").await;
    late.post(&format!("{group}/join"), ()).await.expect(200);
    let comments = format!("{post}/comments");
    for (reader, expected) in [(&ann, vec!["hello all", "among us"]), (&bea, vec!["hello all", "among us"]), (&late, vec!["hello all"])] {
        assert_eq!(texts(&up_to_date(&world, reader).await, &comments).await, expected);
    }
    assert_eq!(texts(&world.anonymous(), &comments).await, ["hello all"]);
    late.put(&format!("/v1/comments/{hidden}/reaction"), json!({ "kind": "like" })).await.expect_problem(404, "not_found");
    late.post(&comments, json!({ "text": "?", "reply_to": hidden })).await.expect_problem(422, "replies_nest_once");
    late.get(&format!("{comments}?reply_to={hidden}")).await.expect_problem(404, "not_found");
}

async fn bad_input_is_refused(world: World) {
    let (ann, .., group) = club(&world).await;
    let post = write(&ann, &group, "Fresh bread").await;
    for (body, field, code) in [
        (json!({}), "text", "missing"),
        (json!({ "text": " " }), "text", "empty"),
        (json!({ "text": "x".repeat(10_001) }), "text", "too_long"),
        (json!({ "text": "x", "photo": 1 }), "photo", "unknown_field"),
    ] {
        let problem = ann.post(&format!("{group}/posts"), body).await.expect_problem(422, "invalid_request").json();
        assert_eq!((&problem["fields"][0]["field"], &problem["fields"][0]["code"]), (&json!(field), &json!(code)));
    }
    ann.post(&format!("{post}/comments"), json!({ "text": "x".repeat(5_001) })).await.expect_problem(422, "invalid_request");
    ann.post(&format!("{post}/comments"), json!({ "text": "x", "reply_to": "y" })).await.expect_problem(422, "invalid_request");
    for bad in ["comments?after=x", "versions?after=x", "comments?limit=0", "comments?reply_to=7", "comments?colour=red"] {
        ann.get(&format!("{post}/{bad}")).await.expect(400);
    }
    ann.delete(&format!("{post}?reason=")).await.expect_problem(400, "bad_query");
}
