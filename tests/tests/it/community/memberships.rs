//! Stories of coming in: invitations, requests, open doors, and meeting halfway.

use crate::given::{UNKNOWN, admit, ban, column, found, invite, listed, promote, up_to_date};
use circolo_domain::testing::NOON;
use circolo_tests::{stories, world::World};
use serde_json::json;

stories!(
    an_invitation_is_accepted,
    an_invitation_is_declined_or_revoked,
    only_the_invited_answer_an_invitation,
    who_may_invite,
    one_joins_an_open_group,
    a_request_is_approved,
    a_request_is_refused_or_withdrawn,
    invitation_and_request_meet_halfway,
    inviting_tells_a_member_nothing_of_the_queues,
    an_invitation_is_worth_what_its_maker_could_do_today,
    a_repeat_tells_what_the_first_time_told,
    the_queues_are_for_moderators,
    the_member_list_is_public_or_not,
);

async fn an_invitation_is_accepted(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    let invited = invite(&ann, &group, &bea).await.expect(200);
    let invited = invited.expect_json(json!({ "id": bea.id(), "revision": 0, "status": "invited" }));
    assert_eq!((invited.header("etag"), invited.location()), ("\"0\"", ""));
    assert_eq!(invited.header("circolo-position"), invited.json()["position"].to_string());
    let again = invite(&ann, &group, &bea).await.expect(200);
    assert_eq!(again.bytes, invited.bytes, "there is nothing to add to an invitation");

    let bea = up_to_date(&world, &bea).await;
    let mine = bea.get("/v1/me/invitations").await.expect(200);
    let expected = json!({
        "group_id": group.rsplit('/').next(), "name": "Alpine Club", "description": "Up and down", "privacy": "closed",
        "inviter": ann.id(), "inviter_name": "Ann", "invited_at": NOON.to_string(),
    });
    assert_eq!(mine.items(), [expected]);
    bea.get(&group).await.expect(200).expect_json(json!({ "status": "invited", "members": 1 }));
    assert_eq!(listed(&world, &ann, &group, &bea).await, ["invited"]);

    let accept = format!("{group}/invitations/{}/accept", bea.id());
    bea.post(&accept, ()).await.expect(200).expect_json(json!({ "id": bea.id(), "revision": 1, "status": "member" }));
    bea.post(&accept, ()).await.expect(200).expect_json(json!({ "revision": 1, "status": "member" }));
    assert_eq!(listed(&world, &ann, &group, &bea).await, ["member"]);
    bea.get(&group).await.expect(200).expect_json(json!({ "status": "member", "role": "member", "members": 2 }));
    assert!(bea.get("/v1/me/invitations").await.expect(200).items().is_empty());
    invite(&ann, &group, &bea).await.expect_problem(409, "already_member");
}

async fn an_invitation_is_declined_or_revoked(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &cleo).await;
    let invitation = format!("{group}/invitations/{}", bea.id());
    invite(&ann, &group, &bea).await.expect(200);
    bea.post(&format!("{invitation}/decline"), ()).await.expect(200).expect_json(json!({ "status": "none" }));
    for path in ["decline", "accept"] {
        bea.post(&format!("{invitation}/{path}"), ()).await.expect_problem(404, "no_invitation");
    }
    assert!(listed(&world, &ann, &group, &bea).await.is_empty());

    invite(&ann, &group, &bea).await.expect(200);
    cleo.delete(&invitation).await.expect_problem(403, "moderators_only");
    bea.delete(&invitation).await.expect_problem(403, "moderators_only");
    ann.delete(&invitation).await.expect(200).expect_json(json!({ "id": bea.id(), "status": "none" }));
    ann.delete(&invitation).await.expect_problem(404, "no_invitation");
    bea.post(&format!("{invitation}/accept"), ()).await.expect_problem(404, "no_invitation");

    // The inviter may take back what they gave.
    invite(&cleo, &group, &bea).await.expect(200).expect_json(json!({ "status": "invited" }));
    cleo.delete(&invitation).await.expect(200);
}

async fn only_the_invited_answer_an_invitation(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "invite_only").await;
    invite(&ann, &group, &bea).await.expect(200);
    for answer in ["accept", "decline"] {
        let path = format!("{group}/invitations/{}/{answer}", bea.id());
        cleo.post(&path, ()).await.expect_problem(403, "not_yours");
        world.stranger("zoe").post(&path, ()).await.expect_problem(403, "not_registered");
        world.anonymous().post(&path, ()).await.expect_problem(401, "unauthenticated");
        cleo.post(&format!("{group}/invitations/{}/{answer}", cleo.id()), ()).await.expect_problem(404, "no_invitation");
    }
    assert_eq!(listed(&world, &ann, &group, &bea).await, ["invited"]);
}

async fn who_may_invite(world: World) {
    let (ann, member, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "request").await;
    invite(&member, &group, &cleo).await.expect_problem(403, "members_only");
    admit(&ann, &group, &member).await;
    invite(&member, &group, &cleo).await.expect(200);
    ann.patch(&group, json!({ "members_invite": false })).await.expect(200);
    invite(&member, &group, &world.person("Dora").await).await.expect_problem(403, "moderators_only");
    promote(&ann, &group, &member, "moderator").await;
    invite(&member, &group, &world.person("Elsa").await).await.expect(200);
    ann.patch(&group, json!({ "privacy": "secret" })).await.expect(200);
    invite(&member, &group, &world.person("Flora").await).await.expect_problem(403, "admins_only");

    let refused = invite(&ann, &group, &world.stranger("zoe")).await.expect_problem(422, "invalid_request");
    assert_eq!(refused.json()["fields"][0]["code"], "unknown_person");
    let outcast = world.person("Gina").await;
    ban(&ann, &group, &outcast).await.expect(200);
    invite(&ann, &group, &outcast).await.expect_problem(409, "person_banned");
}

async fn one_joins_an_open_group(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let joined = bea.post(&format!("{group}/join"), ()).await.expect(200);
    let joined = joined.expect_json(json!({ "id": bea.id(), "revision": 0, "status": "member" }));
    let again = bea.post(&format!("{group}/join"), ()).await.expect(200);
    assert_eq!(again.bytes, joined.bytes);
    bea.get(&group).await.expect(200).expect_json(json!({ "status": "member", "members": 2 }));
    assert_eq!(listed(&world, &ann, &group, &bea).await, ["member"]);
    world.stranger("zoe").post(&format!("{group}/join"), ()).await.expect_problem(403, "not_registered");
    world.anonymous().post(&format!("{group}/join"), ()).await.expect_problem(401, "unauthenticated");
    bea.post(&format!("/v1/groups/{UNKNOWN}/join"), ()).await.expect_problem(404, "not_found");
    let by_invitation = found(&ann, "public", "invite_only").await;
    bea.post(&format!("{by_invitation}/join"), ()).await.expect_problem(403, "invite_only");
}

async fn a_request_is_approved(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    let asked = bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "revision": 0, "status": "requested" }));
    assert_eq!(bea.post(&format!("{group}/join"), ()).await.expect(200).bytes, asked.bytes);
    bea.get(&group).await.expect(200).expect_json(json!({ "status": "requested", "members": 1 }));
    assert_eq!(listed(&world, &ann, &group, &bea).await, ["requested"]);

    let approve = format!("{group}/requests/{}/approve", bea.id());
    bea.post(&approve, ()).await.expect_problem(403, "moderators_only");
    ann.post(&approve, ()).await.expect(200).expect_json(json!({ "id": bea.id(), "revision": 1, "status": "member" }));
    ann.post(&approve, ()).await.expect(200).expect_json(json!({ "revision": 1, "status": "member" }));
    assert_eq!(listed(&world, &ann, &group, &bea).await, ["member"]);
    ann.post(&format!("{group}/requests/{UNKNOWN}/approve"), ()).await.expect_problem(404, "no_request");
}

async fn a_request_is_refused_or_withdrawn(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "request").await;
    let refuse = format!("{group}/requests/{}/refuse", bea.id());
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    ann.post(&refuse, json!({ "reason": "Full" })).await.expect(200).expect_json(json!({ "revision": 1, "status": "none" }));
    assert!(listed(&world, &ann, &group, &bea).await.is_empty());
    // Nothing keeps them from asking again; a refusal needs no reason.
    bea.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "requested" }));
    ann.post(&refuse, ()).await.expect(200);
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    bea.delete(&format!("{group}/requests/me")).await.expect(200).expect_json(json!({ "id": bea.id(), "status": "none" }));
    bea.delete(&format!("{group}/requests/me")).await.expect_problem(404, "no_request");
    ann.post(&refuse, ()).await.expect_problem(404, "no_request");
}

async fn invitation_and_request_meet_halfway(world: World) {
    let (ann, member) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &member).await;
    let join = format!("{group}/join");

    // Whoever may approve admits by inviting.
    let cleo = world.person("Cleo").await;
    cleo.post(&join, ()).await.expect(200);
    invite(&ann, &group, &cleo).await.expect(200).expect_json(json!({ "status": "member" }));

    // A member's invitation does not: both stay open until somebody who may approve decides.
    let dora = world.person("Dora").await;
    dora.post(&join, ()).await.expect(200);
    invite(&member, &group, &dora).await.expect(200).expect_json(json!({ "status": "invited", "revision": null }));
    assert_eq!(listed(&world, &ann, &group, &dora).await, ["invited", "requested"]);
    ann.post(&format!("{group}/requests/{}/approve", dora.id()), ()).await.expect(200).expect_json(json!({ "status": "member" }));

    // Joining while invited by somebody who may approve is accepting.
    let elsa = world.person("Elsa").await;
    invite(&ann, &group, &elsa).await.expect(200);
    elsa.post(&join, ()).await.expect(200).expect_json(json!({ "status": "member" }));

    // Joining while invited by a member is asking.
    let flora = world.person("Flora").await;
    invite(&member, &group, &flora).await.expect(200);
    flora.post(&join, ()).await.expect(200).expect_json(json!({ "status": "requested" }));
    assert_eq!(listed(&world, &ann, &group, &flora).await, ["invited", "requested"]);
}

async fn inviting_tells_a_member_nothing_of_the_queues(world: World) {
    let (ann, member) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &member).await;
    let join = format!("{group}/join");
    let mut answers = vec![];
    for state in ["unknown", "requested", "refused", "invited", "banned"] {
        let guest = world.person(state).await;
        match state {
            "requested" => drop(guest.post(&join, ()).await.expect(200)),
            "refused" => {
                guest.post(&join, ()).await.expect(200);
                ann.post(&format!("{group}/requests/{}/refuse", guest.id()), ()).await.expect(200);
            }
            "invited" => drop(invite(&ann, &group, &guest).await.expect(200)),
            "banned" => drop(ban(&ann, &group, &guest).await.expect(200)),
            _ => {}
        }
        for _ in 0..2 {
            let answer = invite(&member, &group, &guest).await.expect(200);
            let answer = answer.expect_json(json!({ "id": guest.id(), "status": "invited", "revision": null }));
            assert!(answer.headers.get("etag").is_none(), "{answer}");
            let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            answers.push((answer.status, names));
        }
        member
            .with("if-match", "\"0\"")
            .post(&format!("{group}/invitations"), json!({ "person_id": guest.id() }))
            .await
            .expect_problem(412, "revision_changed");
        // Nothing came of it for whoever is banned, now or later.
        if state == "banned" {
            guest.get(&group).await.expect(200).expect_json(json!({ "status": "banned" }));
            ann.delete(&format!("{group}/bans/{}", guest.id())).await.expect(200);
            guest.get(&group).await.expect(200).expect_json(json!({ "status": "none" }));
            assert!(guest.get("/v1/me/invitations").await.expect(200).items().is_empty());
        }
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

async fn an_invitation_is_worth_what_its_maker_could_do_today(world: World) {
    let (ann, member) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &member).await;
    let (cleo, dora) = (world.person("Cleo").await, world.person("Dora").await);
    for guest in [&cleo, &dora] {
        invite(&member, &group, guest).await.expect(200);
    }
    ann.patch(&group, json!({ "members_invite": false })).await.expect(200);
    cleo.post(&format!("{group}/invitations/{}/accept", cleo.id()), ()).await.expect_problem(404, "no_invitation");
    world.settled().await;
    assert!(cleo.get("/v1/me/invitations").await.expect(200).items().is_empty());
    ann.patch(&group, json!({ "members_invite": true })).await.expect(200);
    cleo.post(&format!("{group}/invitations/{}/accept", cleo.id()), ()).await.expect(200).expect_json(json!({ "status": "member" }));
    // In a secret group only admins invite: who was invited by a member knows of it no longer.
    ann.patch(&group, json!({ "privacy": "secret" })).await.expect(200);
    let made_up = dora.get(&format!("/v1/groups/{UNKNOWN}")).await.expect_problem(404, "not_found");
    world.settled().await;
    assert!(dora.get("/v1/groups").await.expect(200).items().is_empty());
    assert!(dora.get("/v1/me/invitations").await.expect(200).items().is_empty());
    assert_eq!(dora.get(&group).await.visible(), made_up.visible());
    for action in ["join".to_owned(), format!("invitations/{}/accept", dora.id()), format!("invitations/{}/decline", dora.id())] {
        assert_eq!(dora.post(&format!("{group}/{action}"), ()).await.visible(), made_up.visible(), "{action}");
    }
    invite(&ann, &group, &dora).await.expect(200).expect_json(json!({ "status": "invited" }));
    dora.get(&group).await.expect(200).expect_json(json!({ "status": "invited" }));
}

async fn a_repeat_tells_what_the_first_time_told(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    invite(&ann, &group, &bea).await.expect(200);
    let join = bea.with("idempotency-key", "join");
    let first = join.post(&format!("{group}/join"), ()).await.expect(200);
    let leave = bea.with("idempotency-key", "leave");
    let left = leave.post(&format!("{group}/leave"), ()).await.expect(200);
    ban(&ann, &group, &bea).await.expect(200);
    // Of a secret group they are banned from they learn nothing new.
    bea.get(&group).await.expect_problem(404, "not_found");
    assert_eq!(join.post(&format!("{group}/join"), ()).await.visible(), first.visible());
    assert_eq!(leave.post(&format!("{group}/leave"), ()).await.visible(), left.visible());
}

async fn the_queues_are_for_moderators(world: World) {
    let (ann, moderator, member) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    for person in [&moderator, &member] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    promote(&ann, &group, &moderator, "moderator").await;
    for status in ["invited", "requested", "banned"] {
        let queue = format!("{group}/members?status={status}");
        moderator.get(&queue).await.expect(200);
        member.get(&queue).await.expect_problem(403, "moderators_only");
        world.person(&format!("outsider of {status}")).await.get(&queue).await.expect_problem(403, "moderators_only");
        world.anonymous().get(&queue).await.expect_problem(401, "unauthenticated");
        world.stranger("zoe").get(&queue).await.expect_problem(403, "not_registered");
    }
}

async fn the_member_list_is_public_or_not(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let public = found(&ann, "public", "open").await;
    let closed = found(&ann, "closed", "open").await;
    let anonymous = up_to_date(&world, &world.anonymous()).await;
    for group in [&public, &closed] {
        assert_eq!(column(&anonymous.get(&format!("{group}/members")).await.expect(200), "display_name"), ["Ann"]);
        ann.patch(group, json!({ "member_list_public": false })).await.expect(200);
    }
    anonymous.get(&format!("{public}/members")).await.expect(200);
    anonymous.get(&format!("{closed}/members")).await.expect_problem(401, "unauthenticated");
    bea.get(&format!("{closed}/members")).await.expect_problem(403, "members_only");
    let seen = up_to_date(&world, &bea).await.get(&closed).await.expect(200);
    assert!(seen.json().get("members").is_none(), "a number tells of the list, too: {seen}");
    bea.post(&format!("{closed}/join"), ()).await.expect(200);
    assert_eq!(column(&bea.get(&format!("{closed}/members")).await.expect(200), "display_name"), ["Bea", "Ann"]);
}
