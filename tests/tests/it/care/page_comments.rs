//! Stories of answers to comments: the private reply with all that forbids it, two agents at once, and what waits for an answer.

use crate::care::conversations::{Shop, shop};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};
use uuid::Uuid;

stories!(
    a_comment_is_answered_in_private_once,
    the_right_to_a_private_reply_ends_after_seven_days,
    one_private_reply_waits_for_its_answer_at_a_time,
    what_forbids_a_private_reply,
    two_agents_reply_to_one_comment_at_once,
    comments_without_an_answer_are_listed,
    rights_that_end_soon_are_listed,
);

const WEEK: Span = Span::days(7);
const MICRO: Span = Span::micros(1);

/// A post of the page; its path.
async fn post(shop: &Shop) -> String {
    let written = shop.owner.post(&format!("{}/posts", shop.page), json!({ "text": "Fresh bread" })).await.expect(201);
    format!("/v1/posts/{}", written.id())
}

async fn comment(by: &Actor, post: &str) -> Uuid {
    by.post(&format!("{post}/comments"), json!({ "text": "How much?" })).await.expect(201).id()
}

async fn reply(by: &Actor, comment: Uuid) -> Reply {
    by.post(&format!("/v1/comments/{comment}/private-reply"), json!({ "text": "Two euros" })).await
}

/// A public reply in the page's voice; its id.
async fn reply_as_page(shop: &Shop, post: &str, comment: Uuid) -> Uuid {
    let page = shop.page.rsplit('/').next().unwrap();
    let body = json!({ "text": "Two euros", "reply_to": comment, "as_page": page });
    shop.editor.post(&format!("{post}/comments"), body).await.expect(201).id()
}

async fn a_comment_is_answered_in_private_once(world: World) {
    let shop = shop(&world).await;
    let post = post(&shop).await;
    let asked = comment(&shop.fan, &post).await;
    world.clock().advance(Span::minutes(1));
    let sent = reply(&shop.agent, asked).await.expect(201);
    assert_eq!(sent.location(), format!("{}/messages", shop.with(&shop.fan)));
    let again = reply(&shop.owner, asked).await.expect_problem(409, "already_replied");
    assert_eq!(again.json()["details"]["message_id"], json!(sent.id()));
    world.settled().await;
    let message = &shop.owner.get(sent.location()).await.expect(200).items()[0];
    assert_eq!((&message["permit"], &message["permit_ends_at"]), (&json!("private_reply"), &json!(NOON.plus(WEEK))));
    assert_eq!((&message["comment_id"], &message["author"]["display_name"]), (&json!(asked), &json!("Aldo")));
    assert_eq!(shop.fan.get(&shop.mine()).await.expect(200).items()[0]["comment_id"], json!(asked));
    // What the page wrote opens no window for it; the person's answer does.
    shop.send(&shop.agent, &shop.fan, "Well?").await.expect_problem(409, "window_closed");
    shop.write(&shop.fan, "Thanks").await.expect(201);
    shop.send(&shop.agent, &shop.fan, "Welcome").await.expect(201);
    // Staff see at the comment that it was answered in private; nobody else does.
    world.settled().await;
    let shown = async |who: &Actor| who.get(&format!("{post}/comments")).await.expect(200).items()[0]["answered_privately"].clone();
    assert_eq!(shown(&shop.editor).await, json!(true));
    for outsider in [&shop.fan, &world.anonymous()] {
        assert_eq!(shown(outsider).await, Value::Null);
    }
}

async fn the_right_to_a_private_reply_ends_after_seven_days(world: World) {
    let shop = shop(&world).await;
    let post = post(&shop).await;
    let (first, second) = (comment(&shop.fan, &post).await, comment(&world.person("Gil").await, &post).await);
    world.clock().advance(Span::days(1));
    // An edit does not extend it.
    shop.fan.patch(&format!("/v1/comments/{first}"), json!({ "text": "How much is it?" })).await.expect(200);
    world.clock().advance(Span::micros(Span::days(6).as_micros() - 1));
    reply(&shop.agent, first).await.expect(201);
    world.clock().advance(MICRO);
    let late = reply(&shop.agent, second).await.expect_problem(409, "too_late");
    assert_eq!(late.json()["details"]["ended"], json!(NOON.plus(WEEK)));
}

async fn one_private_reply_waits_for_its_answer_at_a_time(world: World) {
    let shop = shop(&world).await;
    let post = post(&shop).await;
    let (first, second) = (comment(&shop.fan, &post).await, comment(&shop.fan, &post).await);
    reply(&shop.agent, first).await.expect(201);
    let capped = reply(&shop.agent, second).await.expect_problem(409, "contact_cap");
    assert_eq!(capped.json()["details"]["until"], json!(NOON.plus(WEEK)));
    // Another person's comment is another matter.
    let other = comment(&world.person("Gil").await, &post).await;
    reply(&shop.agent, other).await.expect(201);
    shop.write(&shop.fan, "Thanks").await.expect(201);
    reply(&shop.agent, second).await.expect(201);
    world.clock().advance(Span::micros(WEEK.as_micros() - 1));
    let third = comment(&shop.fan, &post).await;
    reply(&shop.agent, third).await.expect_problem(409, "contact_cap");
    world.clock().advance(MICRO);
    reply(&shop.agent, third).await.expect(201);
}

async fn what_forbids_a_private_reply(world: World) {
    let shop = shop(&world).await;
    let (gil, on) = (world.person("Gil").await, post(&shop).await);
    let asked = comment(&shop.fan, &on).await;
    for outsider in [&shop.editor, &shop.fan, &gil] {
        reply(outsider, asked).await.expect_problem(403, "staff_only");
    }
    reply(&world.anonymous(), asked).await.expect_problem(401, "unauthenticated");
    reply(&world.stranger("ghost"), asked).await.expect_problem(403, "not_registered");
    reply(&shop.agent, Uuid::from_u128(7)).await.expect_problem(404, "not_found");
    shop.fan.put(&format!("{}/blocks/me", shop.page), ()).await.expect(200);
    reply(&shop.agent, asked).await.expect_problem(403, "blocked");
    shop.fan.delete(&format!("{}/blocks/me", shop.page)).await.expect(200);
    // A page is no person.
    let spoken = reply_as_page(&shop, &on, asked).await;
    reply(&shop.agent, spoken).await.expect_problem(409, "not_a_person");
    // What is gone is not answered: the comment, or the post with all that is under it.
    let gone = comment(&gil, &on).await;
    gil.delete(&format!("/v1/comments/{gone}")).await.expect(200);
    reply(&shop.agent, gone).await.expect_problem(409, "comment_removed");
    let other = post(&shop).await;
    let orphan = comment(&gil, &other).await;
    shop.owner.delete(&other).await.expect(200);
    reply(&shop.agent, orphan).await.expect_problem(409, "comment_removed");
    // In groups there are no private replies yet, and of a secret group there is nothing to be known.
    for (privacy, membership, status, code) in [("public", "open", 422, "not_supported"), ("secret", "invite_only", 404, "not_found")] {
        let body = json!({ "name": "Bakers", "privacy": privacy, "membership": membership });
        let group = gil.post("/v1/groups", body).await.expect(201).location().to_owned();
        let written = gil.post(&format!("{group}/posts"), json!({ "text": "Hi" })).await.expect(201).id();
        let inside = comment(&gil, &format!("/v1/posts/{written}")).await;
        reply(&shop.agent, inside).await.expect_problem(status, code);
    }
    reply(&shop.agent, asked).await.expect(201);
}

async fn two_agents_reply_to_one_comment_at_once(world: World) {
    let shop = shop(&world).await;
    let post = post(&shop).await;
    for round in 0..50 {
        let fan = world.person(&format!("F{round}")).await;
        let asked = comment(&fan, &post).await;
        let (one, two) = futures::join!(reply(&shop.agent, asked), reply(&shop.owner, asked));
        let (won, lost) = if one.status == 201 { (one, two) } else { (two, one) };
        let (won, lost) = (won.expect(201), lost.expect_problem(409, "already_replied"));
        assert_eq!(lost.json()["details"]["message_id"], json!(won.id()), "round {round}");
        world.settled().await;
        assert_eq!(shop.owner.get(won.location()).await.expect(200).items().len(), 1, "round {round}");
    }
}

async fn comments_without_an_answer_are_listed(world: World) {
    let shop = shop(&world).await;
    let (gil, on) = (world.person("Gil").await, post(&shop).await);
    let (first, second, third) = (comment(&shop.fan, &on).await, comment(&gil, &on).await, comment(&shop.fan, &on).await);
    // The page's own words and replies under a comment wait for nothing.
    let body = json!({ "text": "Same here", "reply_to": first });
    gil.post(&format!("{on}/comments"), body).await.expect(201);
    let unanswered = async || {
        world.settled().await;
        let list = shop.editor.get(&format!("{}/unanswered-comments", shop.page)).await.expect(200).items();
        list.into_iter().map(|mut item| item["id"].take()).collect::<Vec<_>>()
    };
    assert_eq!(unanswered().await, [json!(third), json!(second), json!(first)]);
    let spoken = reply_as_page(&shop, &on, first).await;
    reply(&shop.agent, second).await.expect(201);
    assert_eq!(unanswered().await, [json!(third)]);
    shop.editor.delete(&format!("/v1/comments/{spoken}")).await.expect(200);
    assert_eq!(unanswered().await, [json!(third), json!(first)]);
    let item = &shop.editor.get(&format!("{}/unanswered-comments?limit=1", shop.page)).await.expect(200).items()[0];
    assert_eq!((&item["answered"], &item["text"], &item["author_name"]), (&json!("none"), &json!("How much?"), &json!("Fay")));
    shop.fan.delete(&format!("/v1/comments/{third}")).await.expect(200);
    assert_eq!(unanswered().await, [json!(first)]);
    shop.owner.delete(&on).await.expect(200);
    assert_eq!(unanswered().await, Vec::<Value>::new());
    for outsider in [&shop.fan, &gil] {
        outsider.get(&format!("{}/unanswered-comments", shop.page)).await.expect_problem(403, "staff_only");
    }
    world.anonymous().get(&format!("{}/unanswered-comments", shop.page)).await.expect_problem(401, "unauthenticated");
}

async fn rights_that_end_soon_are_listed(world: World) {
    let shop = shop(&world).await;
    let (gil, on) = (world.person("Gil").await, post(&shop).await);
    let first = comment(&shop.fan, &on).await;
    world.clock().advance(Span::hours(1));
    let second = comment(&gil, &on).await;
    reply_as_page(&shop, &on, second).await;
    let ends_within = async |hours: u32| {
        world.settled().await;
        let list = shop.agent.get(&format!("{}/expiring-replies?hours={hours}", shop.page)).await.expect(200).items();
        list.into_iter().map(|mut item| (item["id"].take(), item["answered"].take())).collect::<Vec<_>>()
    };
    assert_eq!(ends_within(24).await, []);
    let both = [(json!(first), json!("none")), (json!(second), json!("public"))];
    assert_eq!(ends_within(168).await, both);
    // Six days later, a microsecond before the first right ends.
    world.clock().advance(Span::micros(WEEK.as_micros() - Span::hours(1).as_micros() - 1));
    assert_eq!(ends_within(1).await, both[..1]);
    assert_eq!(ends_within(2).await, both);
    world.clock().advance(MICRO);
    assert_eq!(ends_within(2).await, both[1..], "the first right has ended");
    gil.put(&format!("{}/blocks/me", shop.page), ()).await.expect(200);
    assert_eq!(ends_within(2).await, []);
    gil.delete(&format!("{}/blocks/me", shop.page)).await.expect(200);
    reply(&shop.agent, second).await.expect(201);
    assert_eq!(ends_within(2).await, []);
    let path = format!("{}/expiring-replies", shop.page);
    shop.editor.get(&path).await.expect_problem(403, "staff_only");
    for bad in ["hours=0", "hours=169", "hours=x", "hour=3"] {
        shop.agent.get(&format!("{path}?{bad}")).await.expect_problem(400, "bad_query");
    }
}
