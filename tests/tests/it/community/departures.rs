//! Stories of going: leaving, being removed, bans and their end.

use crate::given::{UNKNOWN, admit, ban, column, found, invite, listed, promote, up_to_date};
use circolo_domain::Span;
use circolo_tests::{stories, world::World};
use serde_json::json;

stories!(
    one_leaves_and_comes_back,
    a_member_is_removed_and_may_come_back,
    moderators_do_not_act_against_admins,
    a_ban_closes_every_way_in,
    a_ban_ends_by_the_clock,
    of_two_bans_the_longer_stands,
    a_role_ends_with_the_membership,
    a_repeat_does_not_end_a_later_membership,
);

async fn one_leaves_and_comes_back(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    bea.post(&format!("{group}/leave"), ()).await.expect_problem(404, "not_a_member");
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    bea.post(&format!("{group}/leave"), ()).await.expect(200).expect_json(json!({ "id": bea.id(), "revision": 1, "status": "none" }));
    bea.post(&format!("{group}/leave"), ()).await.expect_problem(404, "not_a_member");
    bea.get(&group).await.expect(200).expect_json(json!({ "status": "none", "members": 1 }));
    assert!(listed(&world, &ann, &group, &bea).await.is_empty());
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "revision": 2, "status": "member" }));
    bea.get(&group).await.expect(200).expect_json(json!({ "members": 2 }));
}

async fn a_member_is_removed_and_may_come_back(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "open").await;
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    let of = |id| format!("{group}/members/{id}");
    bea.delete(&of(cleo.id())).await.expect_problem(403, "moderators_only");
    ann.delete(&of(UNKNOWN)).await.expect_problem(404, "not_a_member");
    ann.delete(&of(ann.id())).await.expect_problem(409, "not_yourself");
    let removed = ann.delete(&format!("{}?reason=Too%20loud", of(bea.id()))).await.expect(200);
    removed.expect_json(json!({ "id": bea.id(), "revision": 1, "status": "none" }));
    ann.delete(&of(bea.id())).await.expect_problem(404, "not_a_member");
    bea.get(&format!("{group}/questions")).await.expect_problem(403, "members_only");
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "member" }));
}

async fn moderators_do_not_act_against_admins(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "request").await;
    for person in [&bea, &cleo] {
        admit(&ann, &group, person).await;
        promote(&ann, &group, person, "moderator").await;
    }
    bea.delete(&format!("{group}/members/{}", ann.id())).await.expect_problem(403, "not_against_admins");
    ban(&bea, &group, &ann).await.expect_problem(403, "not_against_admins");
    ban(&bea, &group, &bea).await.expect_problem(409, "not_yourself");
    bea.delete(&format!("{group}/members/{}", cleo.id())).await.expect(200).expect_json(json!({ "status": "none" }));
    ban(&ann, &group, &bea).await.expect(200).expect_json(json!({ "status": "banned" }));
}

async fn a_ban_closes_every_way_in(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let closed = found(&ann, "closed", "open").await;
    let public = found(&ann, "public", "open").await;
    let secret = found(&ann, "secret", "invite_only").await;
    for group in [&closed, &public, &secret] {
        invite(&ann, group, &bea).await.expect(200);
        let banned = ban(&ann, group, &bea).await.expect(200).expect_json(json!({ "id": bea.id(), "status": "banned" }));
        assert_eq!(ban(&ann, group, &bea).await.expect(200).bytes, banned.bytes, "a second ban of the same kind adds nothing");
        assert_eq!(listed(&world, &ann, group, &bea).await, ["banned"], "the invitation is gone");
        invite(&ann, group, &bea).await.expect_problem(409, "person_banned");
        let accept = format!("{group}/invitations/{}/accept", bea.id());
        let (status, code) = if *group == secret { (404, "not_found") } else { (403, "banned") };
        bea.post(&accept, ()).await.expect_problem(status, code);
        bea.post(&format!("{group}/join"), ()).await.expect_problem(status, code);
        bea.post(&format!("{group}/questions"), json!({ "title": "May I?", "body": "?" })).await.expect_problem(status, code);
    }
    bea.get(&secret).await.expect_problem(404, "not_found");
    bea.get(&closed).await.expect(200).expect_json(json!({ "status": "banned" }));
    bea.get(&format!("{closed}/questions")).await.expect_problem(403, "banned");
    bea.get(&format!("{public}/questions")).await.expect(200);

    let shown = up_to_date(&world, &ann).await.get(&format!("{closed}/members?status=banned")).await.expect(200);
    assert_eq!(shown.items(), [json!({ "person_id": bea.id(), "display_name": "Bea", "reason": "spam" })]);
    let lift = format!("{closed}/bans/{}", bea.id());
    bea.delete(&lift).await.expect_problem(403, "banned");
    ann.delete(&lift).await.expect(200).expect_json(json!({ "status": "none" }));
    ann.delete(&lift).await.expect_problem(404, "not_banned");
    bea.post(&format!("{closed}/join"), ()).await.expect(200).expect_json(json!({ "status": "member" }));
    let strange = format!("{closed}/bans/{UNKNOWN}");
    ann.put(&strange, json!({ "reason": "spam" })).await.expect_problem(404, "not_found");
    ann.put(&format!("{closed}/bans/{}", ann.id()), json!({ "reason": "spam" })).await.expect_problem(409, "not_yourself");
}

async fn a_ban_ends_by_the_clock(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let end = world.clock().now().plus(Span::hours(2));
    let bans = format!("{group}/bans/{}", bea.id());
    let now = world.clock().now();
    ann.put(&bans, json!({ "reason": "spam", "until": now })).await.expect_problem(422, "until_in_past");
    ann.put(&bans, json!({ "reason": "spam", "until": end })).await.expect(200).expect_json(json!({ "status": "banned" }));
    let shown = up_to_date(&world, &ann).await.get(&format!("{group}/members?status=banned")).await.expect(200);
    assert_eq!(column(&shown, "until"), [json!(end)]);
    world.clock().advance(Span::micros(Span::hours(2).as_micros() - 1));
    bea.post(&format!("{group}/join"), ()).await.expect_problem(403, "banned");
    world.clock().advance(Span::micros(1));
    assert!(listed(&world, &ann, &group, &bea).await.is_empty(), "the list follows the clock, too");
    ann.delete(&bans).await.expect_problem(404, "not_banned");
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "member" }));
}

async fn a_role_ends_with_the_membership(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    for way in ["leave", "removal", "ban"] {
        bea.post(&format!("{group}/join"), ()).await.expect(200);
        promote(&ann, &group, &bea, "moderator").await;
        let (gone, status) = match way {
            "leave" => (bea.post(&format!("{group}/leave"), ()).await, "none"),
            "removal" => (ann.delete(&format!("{group}/members/{}", bea.id())).await, "none"),
            _ => (ban(&ann, &group, &bea).await, "banned"),
        };
        let gone = gone.expect(200).expect_json(json!({ "id": bea.id(), "status": status }));
        let head = world.store().head().await.unwrap();
        assert_eq!(gone.header("circolo-position"), head.0.to_string(), "the answer carries the position of the last append");
        assert!(!listed(&world, &ann, &group, &bea).await.contains(&"member"));
        up_to_date(&world, &ann).await.get(&group).await.expect(200).expect_json(json!({ "members": 1 }));
        if way == "ban" {
            ann.delete(&format!("{group}/bans/{}", bea.id())).await.expect(200);
        }
        bea.post(&format!("{group}/join"), ()).await.expect(200);
        bea.get(&group).await.expect(200).expect_json(json!({ "role": "member" }));
        bea.post(&format!("{group}/leave"), ()).await.expect(200);
    }
}

async fn a_repeat_does_not_end_a_later_membership(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let (join, leave) = (format!("{group}/join"), format!("{group}/leave"));
    let mut first = Vec::new();
    // With a role one leaves through the group's stream, without one through one's own.
    for role in ["member", "moderator", "member"] {
        bea.post(&join, ()).await.expect(200);
        promote(&ann, &group, &bea, role).await;
        let keyed = bea.with("idempotency-key", &format!("{} of {role}", first.len()).replace(' ', "-"));
        first.push((keyed.clone(), keyed.post(&leave, ()).await.expect(200).header("circolo-position").to_owned()));
    }
    for role in ["member", "moderator"] {
        bea.post(&join, ()).await.expect(200);
        promote(&ann, &group, &bea, role).await;
        for (keyed, position) in &first {
            assert_eq!(keyed.post(&leave, ()).await.expect(200).header("circolo-position"), position);
        }
        up_to_date(&world, &bea).await.get(&group).await.expect(200).expect_json(json!({ "status": "member", "role": role }));
        bea.post(&leave, ()).await.expect(200);
    }
}

async fn of_two_bans_the_longer_stands(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let bans = format!("{group}/bans/{}", bea.id());
    let until = |hours| world.clock().now().plus(Span::hours(hours)).to_string();
    ann.put(&bans, json!({ "reason": "threw stones", "until": until(48) })).await.expect(200).expect_json(json!({ "revision": 0 }));
    // Shorter: the first stands, and nothing is appended. Longer: the second does.
    ann.put(&bans, json!({ "reason": "again", "until": until(24) })).await.expect(200).expect_json(json!({ "revision": 0 }));
    ann.put(&bans, json!({ "reason": "again", "until": until(72) })).await.expect(200).expect_json(json!({ "revision": 1 }));
    ann.put(&bans, json!({ "reason": "for good" })).await.expect(200).expect_json(json!({ "revision": 2 }));
    ann.put(&bans, json!({ "reason": "a day", "until": until(24) })).await.expect(200).expect_json(json!({ "revision": 2 }));
    ann.put(&bans, json!({ "reason": "a day", "until": until(24), "replace": true }))
        .await
        .expect(200)
        .expect_json(json!({ "revision": 3 }));
    ann.put(&bans, json!({ "reason": "a day", "until": until(24), "replace": true }))
        .await
        .expect(200)
        .expect_json(json!({ "revision": 3 }));
    ann.put(&bans, json!({ "reason": "a day", "replace": 1 })).await.expect_problem(422, "invalid_request");
    world.clock().advance(Span::hours(24));
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "member" }));
}
