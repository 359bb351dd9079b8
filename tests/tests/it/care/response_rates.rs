//! Stories of the response rate: over HTTP, at a moment, explained, and equal to a computation over everything.

use crate::care::conversations::{Shop, shop};
use circolo_domain::{PageId, Span, Timestamp, response_rate::ResponseRate, testing::NOON};
use circolo_projections::response_rates;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(
    a_rate_is_computed_at_a_moment_and_explained,
    a_later_spam_mark_counts_for_the_past,
    everyone_learns_the_label_and_staff_the_figures,
    the_label_is_computed_once_a_minute,
    what_is_read_for_a_large_page_gives_the_result_of_everything,
);

/// The moment so long after noon.
fn at(span: Span) -> Timestamp {
    NOON.plus(span)
}

async fn rate(who: &Actor, shop: &Shop, moment: Option<Timestamp>) -> Value {
    let query = moment.map(|at| format!("?at={at}")).unwrap_or_default();
    who.get(&format!("{}/response-rate{query}", shop.page)).await.expect(200).json()
}

async fn explained(world: &World, shop: &Shop, moment: Timestamp) -> Vec<Value> {
    world.settled().await;
    shop.agent.get(&format!("{}/response-rate/messages?at={moment}", shop.page)).await.expect(200).items()
}

async fn a_rate_is_computed_at_a_moment_and_explained(world: World) {
    let shop = shop(&world).await;
    let gil = world.person("Gil").await;
    let nothing = rate(&shop.owner, &shop, None).await;
    assert_eq!(
        nothing,
        json!({
            "formula": 2, "label": "not_rated", "at": NOON, "basis": "nothing", "counted": 0, "answered": 0, "pending": 0, "rate": null,
            "mean_seconds": null,
        })
    );
    let first = shop.write(&shop.fan, "Hello?").await.expect(201).id();
    world.clock().advance(Span::minutes(1));
    let second = shop.write(&shop.fan, "Anybody?").await.expect(201).id();
    let other = shop.write(&gil, "Hello?").await.expect(201).id();
    world.clock().advance(Span::minutes(9));
    shop.send(&shop.agent, &shop.fan, "Yes?").await.expect(201);
    world.settled().await;
    let now = rate(&shop.owner, &shop, None).await;
    assert_eq!((&now["counted"], &now["answered"], &now["pending"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&now["rate"], &now["mean_seconds"], &now["basis"]), (&json!(1.0), &json!(600.0), &json!("all")));
    // Before the answer it was pending; a day after the other message, that one counts as unanswered.
    let before = rate(&shop.owner, &shop, Some(at(Span::minutes(9)))).await;
    assert_eq!((&before["counted"], &before["pending"], &before["rate"]), (&json!(0), &json!(2), &Value::Null));
    world.clock().advance(Span::hours(24));
    let later = rate(&shop.owner, &shop, None).await;
    assert_eq!((&later["counted"], &later["answered"], &later["rate"]), (&json!(2), &json!(1), &json!(0.5)));
    let why = explained(&world, &shop, at(Span::minutes(10))).await;
    assert_eq!(
        why,
        [
            json!({ "message_id": other, "person_id": gil.id(), "sent_at": at(Span::minutes(1)), "counted": false, "left_out": "pending" }),
            json!({ "message_id": second, "person_id": shop.fan.id(), "sent_at": at(Span::minutes(1)), "counted": false, "left_out": "not_the_first" }),
            json!({ "message_id": first, "person_id": shop.fan.id(), "sent_at": NOON, "counted": true, "answered": true, "seconds": 600.0 }),
        ]
    );
    let path = format!("{}/response-rate", shop.page);
    let future = at(Span::days(9));
    shop.owner.get(&format!("{path}?at={future}")).await.expect_problem(400, "at_in_future");
    shop.owner.get(&format!("{path}?at=yesterday")).await.expect_problem(400, "bad_query");
    let page = shop.owner.get(&format!("{path}/messages?limit=2")).await.expect(200);
    let next = page.json()["next"].as_str().unwrap().to_owned();
    let rest = shop.owner.get(&format!("{path}/messages?limit=2&after={next}")).await.expect(200).items();
    assert_eq!((page.items().len(), rest.len(), &rest[0]["message_id"]), (2, 1, &json!(first)));
}

async fn a_later_spam_mark_counts_for_the_past(world: World) {
    let shop = shop(&world).await;
    shop.write(&shop.fan, "Win a prize").await.expect(201);
    world.clock().advance(Span::hours(30));
    world.settled().await;
    assert_eq!(rate(&shop.owner, &shop, None).await["counted"], 1);
    shop.agent.post(&format!("{}/spam", shop.with(&shop.fan)), ()).await.expect(200);
    world.settled().await;
    for moment in [None, Some(at(Span::hours(25)))] {
        assert_eq!(rate(&shop.owner, &shop, moment).await["counted"], 0);
    }
    assert_eq!(explained(&world, &shop, at(Span::hours(25))).await[0]["left_out"], "spam");
    shop.agent.post(&format!("{}/reopen", shop.with(&shop.fan)), ()).await.expect(200);
    world.settled().await;
    assert_eq!(rate(&shop.owner, &shop, None).await["counted"], 1);
}

async fn everyone_learns_the_label_and_staff_the_figures(world: World) {
    let shop = shop(&world).await;
    for n in 0..3 {
        let person = world.person(&format!("P{n}")).await;
        shop.write(&person, "Hello?").await.expect(201);
        world.clock().advance(Span::minutes(1));
        shop.send(&shop.agent, &person, "Yes?").await.expect(201);
    }
    world.settled().await;
    let label = json!({ "formula": 2, "label": "very_responsive" });
    for reader in [&world.anonymous(), &shop.fan, &world.stranger("ghost")] {
        assert_eq!(rate(reader, &shop, None).await, label);
        let refused = reader.get(&format!("{}/response-rate/messages", shop.page)).await;
        assert!([401, 403].contains(&refused.status.as_u16()), "{refused}");
    }
    for staff in [&shop.owner, &shop.agent, &shop.editor] {
        assert_eq!(rate(staff, &shop, None).await["counted"], 3);
        let explained = staff.get(&format!("{}/response-rate/messages", shop.page)).await.expect(200).items();
        assert_eq!(explained.len(), 3);
        // Who wrote which message is for those alone who read them.
        let reads = staff.get(&format!("{}/conversations", shop.page)).await.status == 200;
        let told = |item: &Value| [item.get("message_id").is_some(), item.get("person_id").is_some(), item["counted"] == true];
        assert!(explained.iter().all(|item| told(item) == [reads, reads, true]), "{explained:?}");
    }
    let nowhere = format!("/v1/pages/{}/response-rate", uuid::Uuid::from_u128(7));
    world.anonymous().get(&nowhere).await.expect_problem(404, "not_found");
}

/// However many ask, and whoever asks without having to.
async fn the_label_is_computed_once_a_minute(world: World) {
    let shop = shop(&world).await;
    for n in 0..3 {
        let person = world.person(&format!("P{n}")).await;
        shop.write(&person, "Hello?").await.expect(201);
        shop.send(&shop.agent, &person, "Yes?").await.expect(201);
    }
    world.settled().await;
    let label = async || rate(&world.anonymous(), &shop, None).await["label"].clone();
    assert_eq!(label().await, "very_responsive");
    for n in 0..3 {
        let person = world.signed_in(&format!("P{n}"), "");
        shop.agent.post(&format!("{}/spam", shop.with(&person)), ()).await.expect(200);
    }
    world.settled().await;
    // Staff see what is so now; others what was so when the first of them asked in this minute.
    assert_eq!(rate(&shop.owner, &shop, None).await["counted"], 0);
    assert_eq!(label().await, "very_responsive");
    assert_eq!(rate(&shop.fan, &shop, None).await, json!({ "formula": 2, "label": "very_responsive" }));
    world.clock().advance(Span::minutes(1));
    assert_eq!(label().await, "not_rated");
}

/// Many threads over months, some answered: the bounded reading agrees with the formula over all that was ever written.
async fn what_is_read_for_a_large_page_gives_the_result_of_everything(world: World) {
    let shop = shop(&world).await;
    let page = PageId(shop.page.rsplit('/').next().unwrap().parse().unwrap());
    let mut people = vec![];
    for n in 0..4 {
        people.push(world.person(&format!("P{n}")).await);
    }
    let mut moments = vec![];
    // Quiet weeks, then a busy one, then quiet again: each basis comes up.
    for (step, n) in (0..48_usize).zip(0_i64..) {
        let hours = if (14..30).contains(&step) { 7 } else { 31 + 97 * (n % 5) };
        world.clock().advance(Span::hours(hours));
        let person = &people[step % 4];
        shop.write(person, "Hello?").await.expect(201);
        if step % 3 != 0 {
            world.clock().advance(Span::minutes(40 * n));
            shop.send(&shop.agent, person, "Yes?").await.ok_or_closed();
        }
        moments.push(world.clock().now());
    }
    shop.agent.post(&format!("{}/spam", shop.with(&people[1])), ()).await.expect(200);
    world.settled().await;
    let mut bases = std::collections::BTreeSet::new();
    for moment in moments.iter().flat_map(|at| [*at, at.plus(Span::hours(13)), at.plus(Span::hours(24))]) {
        let found = response_rates::compute(world.db(), page, moment).await.unwrap();
        let all = response_rates::incoming(world.db(), page, moment, None, 10_000).await.unwrap();
        let expected = ResponseRate::compute(all.iter().map(response_rates::IncomingRow::facts), moment);
        assert_eq!(found, expected, "{moment}");
        bases.insert(format!("{:?}", found.basis));
    }
    assert_eq!(bases.into_iter().collect::<Vec<_>>(), ["All", "Last10", "Last30Days", "Nothing"]);
}

trait Answered {
    /// Fails the test unless the message went out or the window had closed.
    fn ok_or_closed(self);
}

impl Answered for circolo_tests::actor::Reply {
    fn ok_or_closed(self) {
        if self.status != 201 {
            self.expect_problem(409, "window_closed");
        }
    }
}
