//! Stories of the change feed: polling, waiting, streams that resume, and what it never tells.

use crate::care::conversations::shop;
use crate::given::{admit, answer, ask, ban, comment, found, invite, offer, promote, write};
use circolo_domain::Span;
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::{World, settings},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

stories!(
    a_client_follows_what_happens,
    nothing_is_known_of_a_secret_group,
    who_leaves_learns_nothing_more,
    memberships_are_told_as_the_lists_show_them,
    conversations_are_between_two,
    whoever_waits_is_woken,
    hidden_changes_wake_nobody,
    a_stream_resumes_where_it_broke_off,
    a_stream_ends_when_the_server_stops,
    who_listens_is_let_in_and_taken_out_as_it_happens,
    bad_places_are_refused,
    a_place_of_another_history_is_refused_and_where_to_begin_again_is_told,
);

/// The whole feed from `after` on, page by page, and where it ends.
pub async fn feed(reader: &Actor, after: &str) -> (Vec<Value>, String) {
    let (mut items, mut after) = (vec![], after.to_owned());
    loop {
        let page = reader.get(&format!("/v1/changes?after={after}&limit=100")).await.expect(200);
        let next = place(&page);
        if next == after {
            return (items, next);
        }
        items.extend(page.items());
        after = next;
    }
}

fn position(reply: &Reply) -> i64 {
    reply.header("circolo-position").parse().unwrap()
}

/// The place that an answer ends with.
fn place(reply: &Reply) -> String {
    reply.json()["next"].as_str().unwrap().to_owned()
}

/// The place where the log ends now.
async fn now(world: &World) -> String {
    place(&world.anonymous().get("/v1/changes").await.expect(200))
}

/// The position of a place.
fn position_of(place: &str) -> i64 {
    place.split('-').next().unwrap().parse().unwrap()
}

fn id(path: &str) -> Value {
    json!(path.rsplit('/').next().unwrap())
}

/// Kind and action of each item.
fn told(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| format!("{} {}", item["kind"].as_str().unwrap(), item["action"].as_str().unwrap())).collect()
}

async fn a_client_follows_what_happens(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let begin = place(&bea.get("/v1/changes").await.expect(200).expect_json(json!({ "items": [] })));
    let group = found(&ann, "public", "open").await;
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let post = write(&ann, &group, "Snow").await;
    let comment = comment(&bea, &post, "Where?").await;
    ann.put(&format!("{post}/reaction"), json!({ "kind": "love" })).await.expect(200);
    ann.delete(&post).await.expect(200);
    let (items, _) = feed(&bea, &begin).await;
    assert_eq!(
        told(&items),
        ["group created", "membership joined", "membership joined", "post written", "comment written", "post given", "post removed"]
    );
    let (written, reply, given) = (&items[3], &items[4], &items[5]);
    let expected = json!({
        "place": written["place"], "position": written["position"], "kind": "post", "id": id(&post), "action": "written", "type": "post.written.v1", "group_id": id(&group),
        "actor": { "kind": "person", "id": ann.id() }, "revision": 0, "recorded_at": written["recorded_at"],
    });
    assert_eq!(*written, expected);
    assert_eq!((&reply["id"], &reply["parent_id"]), (&json!(comment), &id(&post)));
    // Who reacted shows to nobody else, as on the post.
    assert_eq!((&given["id"], &given["actor"], &given["revision"]), (&id(&post), &Value::Null, &Value::Null));
    assert_eq!(feed(&ann, &begin).await.0[5]["actor"]["id"], json!(ann.id()));
    // Pages of any size hold the same, from any position on.
    let mut small = vec![];
    let mut after = begin.clone();
    while small.len() < items.len() {
        let page = bea.get(&format!("/v1/changes?after={after}&limit=1")).await.expect(200);
        after = place(&page);
        small.extend(page.items());
    }
    assert_eq!(small, items);
    assert_eq!(feed(&bea, items[3]["place"].as_str().unwrap()).await.0, items[4..]);
    assert_eq!(position_of(items[3]["place"].as_str().unwrap()), items[3]["position"].as_i64().unwrap());
    // Anonymous callers follow what is public, if they may.
    let (public, _) = feed(&world.anonymous(), &begin).await;
    assert_eq!(told(&public), told(&items));
    if let Some(shut) =
        World::with(circolo_tests::world::Backend::Memory, circolo::config::Http { anonymous_reads: false, ..settings() }).await
    {
        shut.anonymous().get("/v1/changes").await.expect_problem(401, "unauthenticated");
    }
}

async fn nothing_is_known_of_a_secret_group(world: World) {
    let (ann, bea, eve) = (world.person("Ann").await, world.person("Bea").await, world.person("Eve").await);
    found(&ann, "public", "open").await;
    let outsiders = [eve.clone(), world.stranger("zoe"), world.anonymous()];
    let mut before = vec![];
    for outsider in &outsiders {
        before.push(feed(outsider, "0").await.0);
    }
    let hidden_from = now(&world).await;
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    promote(&ann, &group, &bea, "moderator").await;
    let (question, post) = (ask(&ann, &group, "in secret").await, write(&bea, &group, "hush").await);
    answer(&bea, &question, "hush").await;
    offer(&bea, &group, "Skis", 80).await;
    comment(&ann, &post, "hush").await;
    bea.put(&format!("{post}/reaction"), json!({ "kind": "wow" })).await.expect(200);
    ann.patch(&group, json!({ "name": "Andes" })).await.expect(200);
    ban(&bea, &group, &eve).await.expect(200);
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    world.settled().await;
    for (outsider, before) in outsiders.iter().zip(&before) {
        let (after, next) = feed(outsider, "0").await;
        assert_eq!(json!(after).to_string(), json!(before).to_string());
        // The position alone moves on, so that nothing is read twice: something happened somewhere.
        assert_eq!((feed(outsider, &hidden_from).await.0, next), (vec![], now(&world).await));
    }
    assert!(told(&feed(&ann, &hidden_from).await.0).contains(&"listing posted".to_owned()));
    assert_eq!(feed(&bea, &hidden_from).await.0, Vec::<Value>::new(), "she left, and knows of it no longer");
    // The invited know the group and their invitation, and nothing of what is in it.
    invite(&ann, &group, &eve).await.expect_problem(409, "person_banned");
    let dora = world.person("Dora").await;
    invite(&ann, &group, &dora).await.expect(200);
    let (told_dora, _) = feed(&dora, &hidden_from).await;
    assert_eq!(told(&told_dora), ["group created", "person registered", "membership invited"]);
    // In the open, what was done in secret stays so.
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    assert_eq!(told(&feed(&world.anonymous(), &hidden_from).await.0), ["group created", "membership joined", "group privacy_changed"]);
}

async fn who_leaves_learns_nothing_more(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let begin = now(&world).await;
    let group = found(&ann, "closed", "request").await;
    for person in [&bea, &cleo] {
        admit(&ann, &group, person).await;
    }
    let question = ask(&ann, &group, "among us").await;
    answer(&cleo, &question, "yes").await;
    assert!(told(&feed(&bea, &begin).await.0).contains(&"answer answered".to_owned()));
    world.clock().advance(Span::hours(1));
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    world.clock().advance(Span::hours(1));
    let left = now(&world).await;
    ask(&ann, &group, "without Bea").await;
    ann.delete(&format!("{group}/members/{}", cleo.id())).await.expect(200);
    // Neither what comes nor what was: what she may not read now.
    let (all, _) = feed(&bea, &begin).await;
    assert!(all.iter().all(|item| ["group", "membership"].contains(&item["kind"].as_str().unwrap())), "{all:?}");
    assert_eq!(feed(&bea, &left).await.0, Vec::<Value>::new());
    world.clock().advance(Span::hours(1));
    // Coming back, she reads on; but of Cleo's end she was no witness.
    admit(&ann, &group, &bea).await;
    let (again, _) = feed(&bea, &left).await;
    assert_eq!(told(&again)[0], "question posted");
    assert!(again.iter().all(|item| item["id"] != json!(cleo.id())), "{again:?}");
    // Who sees since they joined has a gap there.
    ann.patch(&group, json!({ "history": "since_joining" })).await.expect(200);
    assert!(!told(&feed(&bea, &left).await.0).contains(&"question posted".to_owned()));
    assert!(told(&feed(&bea, &begin).await.0).contains(&"question posted".to_owned()));
}

async fn memberships_are_told_as_the_lists_show_them(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let (mona, eve) = (world.person("Mona").await, world.person("Eve").await);
    let begin = now(&world).await;
    let group = found(&ann, "closed", "request").await;
    for person in [&bea, &mona] {
        admit(&ann, &group, person).await;
    }
    promote(&ann, &group, &mona, "moderator").await;
    let from = now(&world).await;
    eve.post(&format!("{group}/join"), ()).await.expect(200);
    ann.post(&format!("{group}/requests/{}/approve", eve.id()), ()).await.expect(200);
    ban(&mona, &group, &eve).await.expect(200);
    world.settled().await;
    for (reader, expected, how) in [
        (&mona, &["membership requested", "membership joined", "membership banned"][..], json!("membership.banned.v1")),
        (&eve, &["membership requested", "membership joined", "membership banned"], json!("membership.banned.v1")),
        (&bea, &["membership joined", "membership departed"], Value::Null),
    ] {
        let (items, _) = feed(reader, &from).await;
        assert_eq!(told(&items), expected);
        assert_eq!((&items[items.len() - 1]["type"], &items[0]["revision"]), (&how, &Value::Null));
    }
    // Outsiders see who is on the list, not who was.
    let (outside, _) = feed(&world.anonymous(), &begin).await;
    let expected = ["group created", "membership joined", "membership joined", "membership joined", "membership role_given"];
    assert_eq!(told(&outside), expected);
    ann.patch(&group, json!({ "member_list_public": false })).await.expect(200);
    assert_eq!(told(&feed(&world.anonymous(), &begin).await.0), ["group created", "group member_list_switched"]);
}

async fn conversations_are_between_two(world: World) {
    let shop = shop(&world).await;
    let begin = now(&world).await;
    shop.fan.put(&format!("{}/followers/me", shop.page), ()).await.expect(200);
    shop.write(&shop.fan, "Open on Sunday?").await.expect(201);
    shop.send(&shop.agent, &shop.fan, "Yes").await.expect(201);
    shop.agent.post(&format!("{}/done", shop.with(&shop.fan)), ()).await.expect(200);
    let wrote = ["conversation person_wrote", "conversation page_wrote"];
    let (own, _) = feed(&shop.fan, &begin).await;
    assert_eq!(told(&own), ["page followed", wrote[0], wrote[1]]);
    assert_eq!(own[2]["actor"], json!({ "kind": "page", "id": id(&shop.page) }));
    for staff in [&shop.agent, &shop.owner] {
        let (items, _) = feed(staff, &begin).await;
        assert_eq!(told(&items), [wrote[0], wrote[1], "conversation marked_done"]);
        assert_eq!((&items[0]["id"], &items[0]["page_id"]), (&json!(shop.fan.id()), &id(&shop.page)));
    }
    for other in [&shop.editor, &world.stranger("zoe"), &world.anonymous()] {
        assert_eq!(feed(other, &begin).await.0, Vec::<Value>::new());
    }
}

async fn whoever_waits_is_woken(world: World) {
    let ann = world.person("Ann").await;
    let begin = now(&world).await;
    let path = format!("/v1/changes?after={begin}&wait=20");
    let asked = Instant::now();
    let (woken, group) = tokio::join!(ann.get(&path), found(&ann, "public", "open"));
    assert_eq!(woken.expect(200).items()[0]["id"], id(&group));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // What there is already is not waited for.
    let asked = Instant::now();
    assert_eq!(ann.get(&path).await.expect(200).items()[0]["kind"], "group");
    assert!(asked.elapsed() < Duration::from_secs(10));
}

async fn hidden_changes_wake_nobody(world: World) {
    let ann = world.person("Ann").await;
    let begin = now(&world).await;
    let path = format!("/v1/changes?after={begin}&wait=1");
    let (anonymous, asked) = (world.anonymous(), Instant::now());
    let (waited, _) = tokio::join!(anonymous.get(&path), found(&ann, "secret", "invite_only"));
    assert!(asked.elapsed() >= Duration::from_secs(1));
    let waited = waited.expect(200).expect_json(json!({ "items": [] })).json();
    assert!(position_of(waited["next"].as_str().unwrap()) > position_of(&begin));
}

async fn a_stream_resumes_where_it_broke_off(world: World) {
    let ann = world.person("Ann").await;
    let begin = now(&world).await;
    let group = found(&ann, "public", "open").await;
    let mut live = ann.listen(&format!("/v1/changes?after={begin}")).await;
    let (first, change) = live.change().await;
    assert_eq!((change["id"].clone(), change["place"].as_str()), (id(&group), Some(&*first)));
    let mut received = vec![change, live.change().await.1];
    write(&ann, &group, "live").await;
    let (last, change) = live.change().await;
    assert_eq!(change["action"], "written");
    received.push(change);
    // The connection breaks; what happens meanwhile is not lost, nor is anything told twice.
    drop(live);
    write(&ann, &group, "unheard").await;
    let resumed = ann.with("last-event-id", &last);
    let mut live = resumed.listen(&format!("/v1/changes?after={begin}")).await;
    received.push(live.change().await.1);
    let now = write(&ann, &group, "heard").await;
    let (_, change) = live.change().await;
    assert_eq!(change["id"], id(&now));
    received.push(change);
    assert_eq!(received, feed(&ann, &begin).await.0);
    // Rights are those of the moment: once removed, one hears no more.
    let bea = world.person("Bea").await;
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let mut hers = bea.listen("/v1/changes").await;
    hers.next().await.unwrap();
    ann.patch(&group, json!({ "privacy": "closed" })).await.expect(200);
    assert_eq!(hers.change().await.1["action"], "privacy_changed");
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    assert_eq!(hers.change().await.1["action"], "left");
    write(&ann, &group, "among us").await;
    let other = found(&ann, "public", "open").await;
    assert_eq!(hers.change().await.1["id"], id(&other));
}

async fn a_stream_ends_when_the_server_stops(world: World) {
    let ann = world.person("Ann").await;
    let mut live = ann.listen("/v1/changes").await;
    live.next().await.unwrap();
    let waiting = ann.get("/v1/changes?wait=20");
    let (asked, stop) = (Instant::now(), async { world.app().stop_listening() });
    let (waited, ()) = tokio::join!(waiting, stop);
    waited.expect(200).expect_json(json!({ "items": [] }));
    while live.next().await.is_some() {}
    assert!(asked.elapsed() < Duration::from_secs(10));
}

async fn bad_places_are_refused(world: World) {
    let ann = world.person("Ann").await;
    for bad in ["-1", "+1", "x", "", "1", "1.5", "1-", "1-x", "0-0000000000000000", "9223372036854775808-0000000000000000"] {
        ann.get(&format!("/v1/changes?after={}", bad.replace('+', "%2B"))).await.expect(400);
        if !bad.is_empty() {
            ann.with("last-event-id", bad).get("/v1/changes").await.expect_problem(400, "bad_position");
        }
    }
    let beyond = position(&ann.post("/v1/groups", json!({ "name": "Alps", "privacy": "public", "membership": "open" })).await) + 1_000_000;
    ann.get(&format!("/v1/changes?after={beyond}-0123456789abcdef")).await.expect_problem(400, "ahead_of_log");
    for bad in ["wait=31", "wait=-1", "limit=0", "limit=101", "until=1"] {
        ann.get(&format!("/v1/changes?{bad}")).await.expect(400);
    }
}

async fn a_place_of_another_history_is_refused_and_where_to_begin_again_is_told(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let (here, first) = (now(&world).await, feed(&ann, "0").await.0[0]["place"].as_str().unwrap().to_owned());
    let mut other = here.clone();
    other.replace_range(other.len() - 1.., if here.ends_with('0') { "1" } else { "0" });
    // The mark of an event stands for its own position alone.
    let elsewhere = here.replace(&format!("{}-", position_of(&here)), &format!("{}-", position_of(&first)));
    for foreign in [&other, &elsewhere] {
        for refused in [ann.get(&format!("/v1/changes?after={foreign}")).await, ann.with("last-event-id", foreign).get("/v1/changes").await]
        {
            assert_eq!(refused.expect_problem(409, "other_history").json()["details"]["next"], json!(here));
        }
        let live = ann.with("accept", "text/event-stream").with("last-event-id", foreign).get("/v1/changes").await;
        live.expect_problem(409, "other_history");
    }
    let post = write(&ann, &group, "Snow").await;
    assert_eq!(feed(&ann, &here).await.0[0]["id"], id(&post));
}

/// What was looked up for what is not told must not outlive what changes it.
async fn who_listens_is_let_in_and_taken_out_as_it_happens(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    world.settled().await;
    let mut hers = bea.listen("/v1/changes").await;
    let mut never = vec![];
    let mut told = async |post: &str, never: &[Value]| loop {
        let (_, change) = hers.change().await;
        assert!(!never.contains(&change["id"]), "{change}");
        if change["id"] == id(post) {
            break;
        }
    };
    // Each time she is let in again after something was passed over by rights that were looked up before.
    for _ in 0..2 {
        write(&ann, &group, "before her time").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        admit(&ann, &group, &bea).await;
        told(&write(&ann, &group, "for her").await, &never).await;
        ann.delete(&format!("{group}/members/{}", bea.id())).await.expect(200);
    }
    // Then the clock ends a ban, and what was written meanwhile stays among members.
    let end = world.clock().now().plus(Span::hours(1));
    ann.put(&format!("{group}/bans/{}", bea.id()), json!({ "reason": "spam", "until": end })).await.expect(200);
    for _ in 0..3 {
        never.push(id(&write(&ann, &group, "among members").await));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    world.clock().advance(Span::days(2));
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    told(&write(&ann, &group, "for everyone").await, &never).await;
}
