//! Stories of what is due: the end of a ban and of the right to a private reply as facts of the history, and what operators see.

use crate::care::conversations::{Shop, shop};
use crate::given::{column, comment, found, write};
use circolo_domain::{GroupId, PageId, PersonId, Span, StreamName, Timestamp, conversation, membership, testing::NOON};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};
use uuid::Uuid;

stories!(
    a_ban_ends_as_a_fact_of_the_history_and_once,
    a_ban_that_was_changed_meanwhile_ends_when_the_last_word_says,
    the_right_to_a_private_reply_runs_out_unused,
    operators_see_what_waits_and_for_how_long,
    what_waits_is_the_same_after_a_rebuild,
);

const HOUR: Span = Span::hours(1);
const MICRO: Span = Span::micros(1);

fn id(path: &str) -> Uuid {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

/// The types of the events in a stream.
async fn types(world: &World, stream: &StreamName) -> Vec<String> {
    world.store().read(stream, 0, 100).await.unwrap().into_iter().map(|stored| stored.event.event_type).collect()
}

async fn ban_until(by: &Actor, group: &str, who: &Actor, until: Option<Timestamp>, replace: bool) {
    let body = json!({ "reason": "spam", "until": until, "replace": replace });
    by.put(&format!("{group}/bans/{}", who.id()), body).await.expect(200);
}

async fn a_ban_ends_as_a_fact_of_the_history_and_once(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    let stream = membership::stream(GroupId(id(&group)), PersonId(bea.id()));
    ban_until(&ann, &group, &bea, Some(NOON.plus(HOUR)), false).await;
    world.clock().advance(HOUR.minus_micro());
    world.settled().await;
    assert_eq!(types(&world, &stream).await, ["membership.banned.v1"], "not a moment too soon");
    world.clock().advance(MICRO);
    for _ in 0..3 {
        world.settled().await;
        world.clock().advance(Span::days(3));
    }
    assert_eq!(types(&world, &stream).await, ["membership.banned.v1", "membership.ban_ended.v1"]);
    let ended = world.store().read(&stream, 1, 1).await.unwrap().pop().unwrap();
    let metadata = ended.metadata().unwrap();
    assert_eq!((metadata.actor, metadata.command.as_str(), metadata.causation.is_some()), (None, "EndBan", true));
    // As secret as the group is: who keeps order learns of it, a stranger nothing.
    assert_eq!(serde_json::to_value(metadata.scope).unwrap()["privacy"], "secret");
    let told = ann.get("/v1/changes?after=0").await.expect(200).items();
    let of_bea = told.iter().filter(|change| change["person_id"] == json!(bea.id()) || change.to_string().contains("ban_ended"));
    assert!(of_bea.count() > 0, "{told:?}");
    let nobody = world.person("Cy").await.get("/v1/changes?after=0").await.expect(200).items();
    assert!(nobody.iter().all(|change| !change.to_string().contains(&id(&group).to_string())), "{nobody:?}");
}

/// Just before it.
trait Before {
    fn minus_micro(self) -> Span;
}

impl Before for Span {
    fn minus_micro(self) -> Span {
        Span::micros(self.as_micros() - 1)
    }
}

async fn a_ban_that_was_changed_meanwhile_ends_when_the_last_word_says(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let mut streams = vec![];
    for name in ["Longer", "Shorter", "Good", "Lifted"] {
        let who = world.person(name).await;
        ban_until(&ann, &group, &who, Some(NOON.plus(HOUR)), false).await;
        match name {
            "Longer" => ban_until(&ann, &group, &who, Some(NOON.plus(Span::hours(3))), false).await,
            "Shorter" => ban_until(&ann, &group, &who, Some(NOON.plus(Span::minutes(30))), true).await,
            "Good" => ban_until(&ann, &group, &who, None, false).await,
            _ => drop(ann.delete(&format!("{group}/bans/{}", who.id())).await.expect(200)),
        }
        streams.push(membership::stream(GroupId(id(&group)), PersonId(who.id())));
    }
    let ended = async || {
        let mut all = vec![];
        for stream in &streams {
            all.push(types(&world, stream).await.iter().filter(|name| *name == "membership.ban_ended.v1").count());
        }
        all
    };
    for (later, expected) in [(Span::minutes(30), [0, 1, 0, 0]), (Span::minutes(30), [0, 1, 0, 0]), (Span::days(3), [1, 1, 0, 0])] {
        world.clock().advance(later);
        world.settled().await;
        assert_eq!(ended().await, expected);
    }
}

/// Where it would say that the right to answer this person in private ran out.
fn between(shop: &Shop, person: &Actor) -> StreamName {
    conversation::stream(PageId(id(&shop.page)), PersonId(person.id()))
}

async fn the_right_to_a_private_reply_runs_out_unused(world: World) {
    let (shop, gil) = (shop(&world).await, world.person("Gil").await);
    let post = write(&shop.owner, &shop.page, "Fresh bread").await;
    let (unanswered, answered) = (comment(&shop.fan, &post, "How much?").await, comment(&gil, &post, "Where?").await);
    let gone = comment(&gil, &post, "Forget it").await;
    gil.delete(&format!("/v1/comments/{gone}")).await.expect(200);
    shop.agent.post(&format!("/v1/comments/{answered}/private-reply"), json!({ "text": "Here" })).await.expect(201);
    // In a group no page could ever reply.
    let group = found(&shop.owner, "public", "open").await;
    comment(&shop.owner, &write(&shop.owner, &group, "Bread?").await, "Yes").await;
    let head = world.store().head().await.unwrap();
    world.clock().advance(Span::days(7).minus_micro());
    world.settled().await;
    assert_eq!(world.store().head().await.unwrap(), head);
    world.clock().advance(MICRO);
    world.settled().await;
    world.settled().await;
    let expired = world.store().read_all(head, 100).await.unwrap().events;
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert_eq!((&expired[0].stream, &*expired[0].event.event_type), (&between(&shop, &shop.fan), "conversation.private_reply_expired.v1"));
    let said: Value = serde_json::from_str(&expired[0].event.data).unwrap();
    assert_eq!(said, json!({ "comment": unanswered, "ended": NOON.plus(Span::days(7)) }));
    // It begins no conversation, for nobody.
    shop.agent.get(&format!("{}/messages", shop.with(&shop.fan))).await.expect_problem(404, "not_found");
    assert!(
        shop.agent
            .get(&format!("{}/conversations", shop.page))
            .await
            .expect(200)
            .items()
            .iter()
            .all(|one| one["person"]["id"] == json!(gil.id()))
    );
    shop.agent.post(&format!("/v1/comments/{unanswered}/private-reply"), json!({ "text": "Two" })).await.expect_problem(409, "too_late");
    // One that begins later is as if nothing had been.
    shop.write(&shop.fan, "Open on Sunday?").await.expect(201);
    world.settled().await;
    assert_eq!(shop.fan.get(&shop.mine()).await.expect(200).items().len(), 1);
}

async fn operators_see_what_waits_and_for_how_long(world: World) {
    let (ann, op) = (world.person("Ann").await, world.signed_in("op", "operator"));
    let group = found(&ann, "secret", "invite_only").await;
    let mut expected = vec![];
    for hours in [3, 1, 2] {
        let who = world.person(&format!("Bea {hours}")).await;
        ban_until(&ann, &group, &who, Some(NOON.plus(Span::hours(hours))), false).await;
        expected.push((hours, membership::stream(GroupId(id(&group)), PersonId(who.id())).to_string()));
    }
    world.settled().await;
    expected.sort();
    let list = "/v1/operator/deadlines";
    ann.get(list).await.expect_problem(403, "scope_needed");
    world.clock().advance(Span::seconds(3_602));
    let all = op.get(list).await.expect(200);
    assert_eq!(column(&all, "stream"), expected.iter().map(|(_, stream)| json!(stream)).collect::<Vec<_>>());
    assert_eq!(column(&all, "lag_seconds"), [json!(2.0), json!(0.0), json!(0.0)]);
    let first = op.get(&format!("{list}?limit=2")).await.expect(200);
    let rest = op.get(&format!("{list}?limit=2&after={}", first.json()["next"].as_str().unwrap())).await.expect(200);
    assert_eq!([first.items(), rest.items()].concat(), all.items());
    let lag = async || {
        let figures = String::from_utf8(world.anonymous().get("/metrics").await.expect(200).bytes.to_vec()).unwrap();
        figures.lines().find_map(|line| line.strip_prefix("circolo_deadlines_lag_seconds ")).unwrap().to_owned()
    };
    assert_eq!(lag().await, "2");
    world.settled().await;
    assert_eq!(op.get(list).await.expect(200).items().len(), 2);
}

async fn what_waits_is_the_same_after_a_rebuild(world: World) {
    let (ann, op) = (world.person("Ann").await, world.signed_in("op", "operator"));
    let group = found(&ann, "public", "open").await;
    for minutes in 1..40 {
        let who = world.person(&format!("Bea {minutes}")).await;
        ban_until(&ann, &group, &who, Some(NOON.plus(Span::minutes(minutes))), false).await;
    }
    world.settled().await;
    for _ in 0..4 {
        // Woken while it is built anew beside what is live.
        world.clock().advance(Span::minutes(10));
        op.post("/v1/operator/projections/deadlines/rebuild", ()).await.expect(202);
        world.settled().await;
        world.app().projector().settled().await;
        world.settled().await;
    }
    assert!(op.get("/v1/operator/deadlines").await.expect(200).items().is_empty());
    let log = world.store().read_all(circolo_events::Position::START, 1_000).await.unwrap().events;
    let ended: Vec<_> =
        log.iter().filter(|stored| stored.event.event_type == "membership.ban_ended.v1").map(|stored| &stored.stream).collect();
    let once: std::collections::BTreeSet<_> = ended.iter().collect();
    assert_eq!((ended.len(), once.len()), (39, 39));
    assert_eq!(world.app().projector().verify("deadlines").await.unwrap().differences.len(), 0);
}
