//! Stories of conversations with pages: writing, answering within the window, the inbox, and who sees none of it.

use crate::care::pages::{hire, open_page};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};
use uuid::Uuid;

stories!(
    a_person_writes_and_the_page_answers,
    the_window_closes_a_day_after_the_persons_last_message,
    a_page_writes_to_nobody_without_a_permit,
    who_blocks_a_page_is_left_alone,
    the_inbox_knows_what_is_done_and_what_is_spam,
    nobody_else_ever_sees_a_conversation,
    the_same_key_is_one_message,
    lists_go_on_where_they_ended,
    the_person_learns_nothing_of_what_staff_did_with_the_conversation,
);

/// A page with an owner, a care agent and an editor, and a person who may write to it.
pub struct Shop {
    pub page: String,
    pub owner: Actor,
    pub agent: Actor,
    pub editor: Actor,
    pub fan: Actor,
}

pub async fn shop(world: &World) -> Shop {
    let (owner, agent) = (world.person("Olga").await, world.person("Aldo").await);
    let (editor, fan) = (world.person("Edda").await, world.person("Fay").await);
    let page = open_page(&owner, "forno").await;
    hire(&owner, &page, &agent, "care_agent").await.expect(200);
    hire(&owner, &page, &editor, "editor").await.expect(200);
    Shop { page, owner, agent, editor, fan }
}

impl Shop {
    /// The conversation with a person, as staff address it.
    pub fn with(&self, person: &Actor) -> String {
        format!("{}/conversations/{}", self.page, person.id())
    }

    /// The messages with the page, as the person addresses them.
    pub fn mine(&self) -> String {
        format!("/v1/me/conversations/{}/messages", self.page.rsplit('/').next().unwrap())
    }

    /// A person writes to the page.
    pub async fn write(&self, person: &Actor, text: &str) -> Reply {
        person.post(&format!("{}/messages", self.page), json!({ "text": text })).await
    }

    /// Somebody writes to a person as the page.
    pub async fn send(&self, by: &Actor, person: &Actor, text: &str) -> Reply {
        by.post(&format!("{}/messages", self.with(person)), json!({ "text": text })).await
    }

    /// The inbox of one status, as the care agent sees it: who wrote.
    pub async fn inbox(&self, world: &World, status: &str) -> Vec<Value> {
        world.settled().await;
        let list = self.agent.get(&format!("{}/conversations?status={status}", self.page)).await.expect(200).items();
        list.into_iter().map(|mut item| item["person"]["display_name"].take()).collect()
    }
}

async fn a_person_writes_and_the_page_answers(world: World) {
    let shop = shop(&world).await;
    let asked = shop.write(&shop.fan, " Open on Sunday? ").await.expect(201).expect_json(json!({ "revision": null }));
    assert_eq!((asked.location(), asked.header("etag")), (shop.mine().as_str(), ""));
    world.clock().advance(Span::minutes(5));
    let answered = shop.send(&shop.agent, &shop.fan, "Until noon.").await.expect(201).expect_json(json!({ "revision": 1 }));
    assert_eq!(answered.location(), format!("{}/messages", shop.with(&shop.fan)));
    let later = NOON.plus(Span::minutes(5));
    world.settled().await;
    // The person reads the page; staff read who of them it was.
    let of_the_page = json!({ "id": answered.id(), "from": "page", "text": "Until noon.", "sent_at": later });
    let of_the_fan = json!({ "id": asked.id(), "from": "person", "text": "Open on Sunday?", "sent_at": NOON });
    assert_eq!(shop.fan.get(&shop.mine()).await.expect(200).items(), [of_the_page, of_the_fan]);
    let for_staff = shop.owner.get(answered.location()).await.expect(200).items();
    assert_eq!(for_staff[0]["author"], json!({ "id": shop.agent.id(), "display_name": "Aldo" }));
    assert_eq!((&for_staff[0]["bot"], &for_staff[0]["purpose"]), (&json!(false), &json!("reply")));
    assert_eq!(
        (&for_staff[0]["permit"], &for_staff[0]["permit_ends_at"]),
        (&json!("conversation_window"), &json!(NOON.plus(Span::hours(24))))
    );
    assert_eq!(for_staff[1]["author"], json!({ "id": shop.fan.id(), "display_name": "Fay" }));
    let inbox = shop.agent.get(&format!("{}/conversations", shop.page)).await.expect(200).items();
    assert_eq!(
        inbox,
        [json!({
            "person": { "id": shop.fan.id(), "display_name": "Fay" }, "status": "open", "last_text": "Until noon.", "last_from": "page",
            "last_sent_at": later, "window_ends_at": NOON.plus(Span::hours(24)),
            "answered_by": { "id": shop.agent.id(), "display_name": "Aldo" }, "revision": 1,
        })]
    );
    for (body, code) in [(json!({}), "missing"), (json!({ "text": " " }), "empty"), (json!({ "text": "x".repeat(6001) }), "too_long")] {
        for path in [format!("{}/messages", shop.page), format!("{}/messages", shop.with(&shop.fan))] {
            let problem = shop.owner.post(&path, body.clone()).await.expect_problem(422, "invalid_request");
            assert_eq!(problem.json()["fields"][0]["code"], code);
        }
    }
}

async fn the_window_closes_a_day_after_the_persons_last_message(world: World) {
    let shop = shop(&world).await;
    shop.write(&shop.fan, "Hello?").await.expect(201);
    world.clock().advance(Span::micros(Span::hours(24).as_micros() - 1));
    shop.send(&shop.agent, &shop.fan, "Hello!").await.expect(201);
    world.clock().advance(Span::micros(1));
    let closed = shop.send(&shop.agent, &shop.fan, "Still there?").await.expect_problem(409, "window_closed");
    assert_eq!(closed.json()["details"]["ended"], json!(NOON.plus(Span::hours(24))));
    shop.write(&shop.fan, "Yes").await.expect(201);
    shop.send(&shop.owner, &shop.fan, "Good").await.expect(201);
    let path = format!("{}/messages", shop.with(&shop.fan));
    let send = async |purpose: &str| shop.agent.post(&path, json!({ "text": "x", "purpose": purpose })).await;
    send("care").await.expect(201);
    for later in ["promotion", "notice", "warning"] {
        send(later).await.expect_problem(422, "not_supported");
    }
    send("gossip").await.expect_problem(422, "invalid_request");
}

async fn a_page_writes_to_nobody_without_a_permit(world: World) {
    let shop = shop(&world).await;
    shop.send(&shop.agent, &shop.fan, "Buy!").await.expect_problem(409, "window_closed");
    shop.send(&shop.agent, &world.stranger("ghost"), "Buy!").await.expect_problem(404, "not_found");
    shop.send(&shop.editor, &shop.fan, "Buy!").await.expect_problem(403, "staff_only");
    shop.send(&shop.fan, &shop.owner, "Buy!").await.expect_problem(403, "staff_only");
    shop.send(&world.anonymous(), &shop.fan, "Buy!").await.expect_problem(401, "unauthenticated");
    shop.write(&world.anonymous(), "Hi").await.expect_problem(401, "unauthenticated");
    shop.write(&world.stranger("ghost"), "Hi").await.expect_problem(403, "not_registered");
    // A conversation with one person is a permit for nobody else, and for no other page.
    shop.write(&shop.fan, "Hi").await.expect(201);
    let gil = world.person("Gil").await;
    shop.send(&shop.agent, &gil, "Buy!").await.expect_problem(409, "window_closed");
    let other = open_page(&gil, "other").await;
    let path = format!("{other}/conversations/{}/messages", shop.fan.id());
    gil.post(&path, json!({ "text": "Buy!" })).await.expect_problem(409, "window_closed");
    let nowhere = format!("/v1/pages/{}", Uuid::from_u128(7));
    gil.post(&format!("{nowhere}/messages"), json!({ "text": "Hi" })).await.expect_problem(404, "not_found");
}

async fn who_blocks_a_page_is_left_alone(world: World) {
    let shop = shop(&world).await;
    shop.write(&shop.fan, "Hi").await.expect(201);
    shop.fan.put(&format!("{}/blocks/me", shop.page), ()).await.expect(200);
    shop.send(&shop.agent, &shop.fan, "Hi").await.expect_problem(403, "blocked");
    shop.fan.delete(&format!("{}/blocks/me", shop.page)).await.expect(200);
    shop.send(&shop.agent, &shop.fan, "Hi").await.expect(201);
}

async fn the_inbox_knows_what_is_done_and_what_is_spam(world: World) {
    let shop = shop(&world).await;
    let gil = world.person("Gil").await;
    let mark = async |who: &Actor, person: &Actor, what: &str| who.post(&format!("{}/{what}", shop.with(person)), ()).await;
    mark(&shop.agent, &shop.fan, "done").await.expect_problem(404, "not_found");
    shop.write(&shop.fan, "Hi").await.expect(201);
    shop.write(&gil, "Win a prize").await.expect(201);
    assert_eq!(shop.inbox(&world, "open").await, ["Gil", "Fay"]);
    mark(&shop.agent, &shop.fan, "done").await.expect(200).expect_json(json!({ "id": shop.fan.id(), "revision": 1 }));
    mark(&shop.owner, &shop.fan, "done").await.expect(200).expect_json(json!({ "revision": 1 }));
    mark(&shop.agent, &gil, "spam").await.expect(200);
    for (status, names) in [("open", &[][..]), ("done", &["Fay"]), ("spam", &["Gil"])] {
        assert_eq!(shop.inbox(&world, status).await, names, "{status}");
    }
    // A new message opens what was done, not what is spam.
    shop.write(&shop.fan, "One more thing").await.expect(201);
    shop.write(&gil, "Win another prize").await.expect(201);
    assert_eq!(shop.inbox(&world, "open").await, ["Fay"]);
    assert_eq!(shop.inbox(&world, "spam").await, ["Gil"]);
    mark(&shop.agent, &gil, "reopen").await.expect(200);
    assert_eq!(shop.inbox(&world, "open").await, ["Gil", "Fay"]);
    for what in ["done", "spam", "reopen"] {
        mark(&shop.editor, &shop.fan, what).await.expect_problem(403, "staff_only");
        mark(&shop.fan, &shop.fan, what).await.expect_problem(403, "staff_only");
        mark(&world.anonymous(), &shop.fan, what).await.expect_problem(401, "unauthenticated");
        shop.agent
            .with("if-match", "\"77\"")
            .post(&format!("{}/{what}", shop.with(&shop.fan)), ())
            .await
            .expect_problem(412, "revision_changed");
    }
    shop.agent.get(&format!("{}/conversations?status=lost", shop.page)).await.expect_problem(400, "bad_query");
}

async fn the_person_learns_nothing_of_what_staff_did_with_the_conversation(world: World) {
    let shop = shop(&world).await;
    let told = async |fan: &Actor, text: &str| {
        let done = shop.write(fan, text).await.expect(201);
        (done.json()["revision"].clone(), done.header("etag").to_owned())
    };
    let mark = async |agent: &Actor, what: &str| agent.post(&format!("{}/{what}", shop.with(&shop.fan)), ()).await;
    let first = told(&shop.fan, "Open on Sunday?").await;
    for what in ["done", "spam", "reopen"] {
        mark(&shop.agent, what).await.expect(200);
    }
    assert_eq!(told(&shop.fan, "Hello?").await, first);
    // No revision is theirs to name, neither the true one nor another.
    for seen in 0..8 {
        let fan = shop.fan.with("if-match", &format!("\"{seen}\""));
        let refused = shop.write(&fan, "Hello??").await.expect_problem(412, "revision_changed");
        assert!(refused.json().get("details").is_none(), "{refused}");
    }
    shop.agent.get(&format!("{}/conversations", shop.page)).await.expect(200);
    mark(&shop.agent.with("if-match", "\"4\""), "done").await.expect(200).expect_json(json!({ "revision": 5 }));
}

async fn nobody_else_ever_sees_a_conversation(world: World) {
    let shop = shop(&world).await;
    let gil = world.person("Gil").await;
    shop.write(&shop.fan, "My secret").await.expect(201);
    shop.send(&shop.agent, &shop.fan, "Our secret").await.expect(201);
    world.settled().await;
    let (inbox, messages) = (format!("{}/conversations", shop.page), format!("{}/messages", shop.with(&shop.fan)));
    for path in [&inbox, &messages] {
        for outsider in [&shop.editor, &shop.fan, &gil] {
            outsider.get(path).await.expect_problem(403, "staff_only");
        }
        world.anonymous().get(path).await.expect_problem(401, "unauthenticated");
        shop.agent.get(path).await.expect(200);
    }
    // Another's conversation is not there for one's own address, and an absent one is like no page at all.
    let nothing = gil.get(&shop.mine()).await.expect_problem(404, "not_found");
    let nowhere = gil.get(&format!("/v1/me/conversations/{}/messages", Uuid::from_u128(7))).await;
    assert_eq!(nothing.visible(), nowhere.visible());
    world.anonymous().get(&shop.mine()).await.expect_problem(401, "unauthenticated");
    shop.agent.get(&format!("{}/messages", shop.with(&gil))).await.expect_problem(404, "not_found");
    // The person never learns which agent it was.
    let read = shop.fan.get(&shop.mine()).await.expect(200);
    let text = String::from_utf8_lossy(&read.bytes).into_owned();
    assert!(!text.contains(&shop.agent.id().to_string()) && !text.contains("Aldo"), "{text}");
    // Who leaves the staff sees it no longer.
    shop.owner.delete(&format!("{}/staff/{}", shop.page, shop.agent.id())).await.expect(200);
    shop.agent.get(&messages).await.expect_problem(403, "staff_only");
    // Analysts read that somebody wrote, not what.
    let log = world.signed_in("eve", "analyst").get("/v1/events?type=conversation").await.expect(200);
    assert_eq!(log.items().len(), 2);
    assert!(log.items().iter().all(|event| event["data"]["text"].is_null() && event["metadata"]["scope"].is_null()), "{log}");
}

async fn the_same_key_is_one_message(world: World) {
    let shop = shop(&world).await;
    let fan = shop.fan.with("idempotency-key", "one");
    let (first, again) = (shop.write(&fan, "Hi").await.expect(201), shop.write(&fan, "Hi").await.expect(201));
    assert_eq!((first.id(), first.json()["revision"].clone()), (again.id(), again.json()["revision"].clone()));
    shop.write(&fan, "Ho").await.expect_problem(409, "key_reused");
    let agent = shop.agent.with("idempotency-key", "one");
    shop.send(&agent, &shop.fan, "Hello").await.expect(201);
    world.clock().advance(Span::hours(48));
    shop.send(&agent, &shop.fan, "Hello").await.expect(201).expect_json(json!({ "revision": 1 }));
    world.settled().await;
    assert_eq!(shop.fan.get(&shop.mine()).await.expect(200).items().len(), 2);
}

async fn lists_go_on_where_they_ended(world: World) {
    let shop = shop(&world).await;
    for n in 0..5 {
        let person = world.person(&format!("P{n}")).await;
        shop.write(&person, "Hi").await.expect(201);
        shop.write(&shop.fan, &format!("{n}")).await.expect(201);
    }
    world.settled().await;
    let pages = async |who: &Actor, path: &str, field: fn(&Value) -> Value| {
        let (mut found, mut next) = (vec![], String::new());
        loop {
            let page = who.get(&format!("{path}?limit=2{next}")).await.expect(200);
            found.extend(page.items().iter().map(field));
            match page.json()["next"].as_str() {
                Some(cursor) => next = format!("&after={cursor}"),
                None => return found,
            }
        }
    };
    let names = pages(&shop.owner, &format!("{}/conversations", shop.page), |item| item["person"]["display_name"].clone()).await;
    assert_eq!(names, ["Fay", "P4", "P3", "P2", "P1", "P0"]);
    let texts = |who: Actor, path: String| async move { pages(&who, &path, |item| item["text"].clone()).await };
    assert_eq!(texts(shop.fan.clone(), shop.mine()).await, ["4", "3", "2", "1", "0"]);
    assert_eq!(texts(shop.agent.clone(), format!("{}/messages", shop.with(&shop.fan))).await, ["4", "3", "2", "1", "0"]);
    shop.fan.get(&format!("{}?after=x", shop.mine())).await.expect_problem(400, "bad_cursor");
}
