//! Stories of pages: usernames, staff, followers, blocks.

use circolo_domain::Span;
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

stories!(
    a_page_is_created_found_and_changed,
    a_username_leads_to_the_page_for_ever,
    a_username_is_claimed_once_under_any_race,
    the_same_key_creates_one_page,
    a_stale_change_is_refused_as_a_whole,
    staff_come_and_go_and_the_last_owner_stays,
    a_place_on_the_staff_is_offered_and_taken_or_not,
    people_follow_and_block,
    what_does_not_exist_is_unknown,
);

/// Creates a page; its path.
pub async fn open_page(owner: &Actor, username: &str) -> String {
    let body = json!({ "name": "Forno", "username": username });
    owner.post("/v1/pages", body).await.expect(201).location().to_owned()
}

/// Offers somebody a place on a page's staff, or changes what they are there.
pub async fn offer(owner: &Actor, page: &str, person: &Actor, role: &str) -> Reply {
    owner.put(&format!("{page}/staff/{}", person.id()), json!({ "role": role })).await
}

/// Takes somebody on a page's staff, who is glad to come.
pub async fn hire(owner: &Actor, page: &str, person: &Actor, role: &str) -> Reply {
    let offered = offer(owner, page, person, role).await;
    if offered.status == 200 && offered.json()["status"] == "offered" {
        return person.post(&format!("{page}/staff/{}/accept", person.id()), ()).await;
    }
    offered
}

async fn found(reader: &Actor, username: &str) -> Vec<Value> {
    reader.get(&format!("/v1/pages?username={username}")).await.expect(200).items()
}

async fn a_page_is_created_found_and_changed(world: World) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let page = open_page(&ann, "Forno.Roma").await;
    let seen = ann.get(&page).await.expect(200);
    seen.clone().expect_json(json!({
        "name": "Forno", "username": "Forno.Roma", "followers": 0, "revision": 0, "following": false, "blocked": false, "role": "owner",
        "staff": [{ "person_id": ann.id(), "display_name": "ann", "role": "owner" }],
    }));
    world.settled().await;
    let nobody = world.anonymous().get(&page).await.expect(200).json();
    for hidden in ["following", "blocked", "role", "staff"] {
        assert_eq!(nobody.get(hidden), None, "{hidden}");
    }
    assert_eq!(world.anonymous().get("/v1/pages").await.expect(200).items()[0]["id"], seen.json()["id"]);
    // How often the staff changed is the staff's business, and counts in the revision.
    for reader in [&bob, &world.anonymous()] {
        let read = reader.get(&page).await.expect(200);
        assert_eq!((read.json().get("revision"), read.header("etag")), (None, ""));
    }
    bob.patch(&page, json!({ "name": "Bob's" })).await.expect_problem(403, "owners_only");
    world.anonymous().patch(&page, json!({ "name": "Bob's" })).await.expect_problem(401, "unauthenticated");
    world.stranger("cy").patch(&page, json!({ "name": "Bob's" })).await.expect_problem(403, "not_registered");
    ann.patch(&page, json!({ "name": "Forno Vecchio" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    ann.patch(&page, json!({})).await.expect(200).expect_json(json!({ "revision": 1 }));
    let both = ann.patch(&page, json!({ "name": "Forno Nuovo", "username": "forno.nuovo" })).await.expect(200);
    assert_eq!(both.header("etag"), "\"3\"");
    ann.get(&page).await.expect(200).expect_json(json!({ "name": "Forno Nuovo", "username": "forno.nuovo", "revision": 3 }));
    for (body, field, code) in [
        (json!({ "name": "a", "username": "abcde" }), "name", "too_short"),
        (json!({ "name": "ab" }), "username", "missing"),
        (json!({ "name": "ab", "username": "abcd" }), "username", "bad_username"),
        (json!({ "name": "ab", "username": "ab cd ef" }), "username", "bad_username"),
    ] {
        let problem = ann.post("/v1/pages", body).await.expect_problem(422, "invalid_request");
        assert_eq!((&problem.json()["fields"][0]["field"], &problem.json()["fields"][0]["code"]), (&json!(field), &json!(code)));
    }
}

async fn a_username_leads_to_the_page_for_ever(world: World) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let page = open_page(&ann, "forno.roma").await;
    bob.post("/v1/pages", json!({ "name": "Copy", "username": "Forno.ROMA" })).await.expect_problem(409, "username_taken");
    bob.post("/v1/pages", json!({ "name": "Copy", "username": "fornoroma" })).await.expect_problem(409, "username_taken");
    ann.patch(&page, json!({ "username": "forno.vecchio" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    for name in ["forno.roma", "FORNO.roma", "fornovecchio"] {
        let items = found(&ann, name).await;
        assert_eq!((items.len(), &items[0]["username"]), (1, &json!("forno.vecchio")), "{name}");
    }
    bob.post("/v1/pages", json!({ "name": "Copy", "username": "forno.roma" })).await.expect_problem(409, "username_taken");
    // Back to the first one, written differently.
    ann.patch(&page, json!({ "username": "Forno.Roma" })).await.expect(200).expect_json(json!({ "revision": 2 }));
    ann.patch(&page, json!({ "username": "Forno.Roma" })).await.expect(200).expect_json(json!({ "revision": 2 }));
    assert_eq!(found(&ann, "forno.vecchio").await[0]["username"], json!("Forno.Roma"));
    assert_eq!(found(&ann, "nobody.here").await, Vec::<Value>::new());
    ann.get("/v1/pages?username=no").await.expect_problem(400, "bad_query");
}

async fn a_username_is_claimed_once_under_any_race(world: World) {
    let actors = [world.person("ann").await, world.person("bob").await, world.person("cy").await];
    for round in 0..50 {
        world.clock().advance(Span::hours(2));
        let body = json!({ "name": "Forno", "username": format!("forno.{round:03}") });
        let replies = join_all(actors.iter().map(|actor| actor.post("/v1/pages", body.clone()))).await;
        let won: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
        assert_eq!(won.len(), 1, "round {round}: {replies:?}");
        for lost in replies.iter().filter(|reply| reply.status != 201) {
            lost.clone().expect_problem(409, "username_taken");
        }
        world.settled().await;
        actors[0].get(won[0].location()).await.expect(200);
    }
    world.settled().await;
    // Every page that there is was won by somebody.
    let pages: i64 = world.db().one("SELECT COUNT(*) FROM pages_v1", vec![]).await.unwrap().unwrap();
    assert_eq!(pages, 50);
}

async fn the_same_key_creates_one_page(world: World) {
    let ann = world.person("ann").await.with("idempotency-key", "one");
    let body = json!({ "name": "Forno", "username": "forno" });
    let first = ann.post("/v1/pages", body.clone()).await.expect(201);
    let again = ann.post("/v1/pages", body).await.expect(201);
    assert_eq!((first.location(), &first.json()["revision"]), (again.location(), &again.json()["revision"]));
    ann.post("/v1/pages", json!({ "name": "Forno", "username": "forna" })).await.expect_problem(409, "key_reused");
    ann.post("/v1/pages", json!({ "name": "Other", "username": "forno" })).await.expect_problem(409, "key_reused");
    assert_eq!(found(&ann, "forna").await, Vec::<Value>::new());
    let change = json!({ "name": "Forno Vecchio", "username": "forno.vecchio" });
    let first = ann.patch(first.location(), change.clone()).await.expect(200);
    let page = format!("/v1/pages/{}", first.id());
    let again = ann.patch(&page, change).await.expect(200);
    assert_eq!(first.json()["revision"], again.json()["revision"]);
}

async fn a_stale_change_is_refused_as_a_whole(world: World) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let page = open_page(&ann, "forno").await;
    open_page(&bob, "taken").await;
    let stale = ann.with("if-match", "\"7\"");
    stale.patch(&page, json!({ "username": "forna" })).await.expect_problem(412, "revision_changed");
    stale.patch(&page, json!({ "name": "Forna" })).await.expect_problem(412, "revision_changed");
    bob.with("if-match", "\"7\"").patch(&page, json!({ "name": "Forna" })).await.expect_problem(403, "owners_only");
    ann.patch(&page, json!({ "name": "Forna", "username": "taken" })).await.expect_problem(409, "username_taken");
    ann.get(&page).await.expect(200).expect_json(json!({ "name": "Forno", "username": "forno", "revision": 0 }));
    let fresh = ann.with("if-match", "\"0\"");
    fresh.patch(&page, json!({ "name": "Forna", "username": "forna" })).await.expect(200).expect_json(json!({ "revision": 2 }));
}

async fn staff_come_and_go_and_the_last_owner_stays(world: World) {
    let (ann, bob, cy) = (world.person("ann").await, world.person("bob").await, world.person("cy").await);
    let page = open_page(&ann, "forno").await;
    hire(&bob, &page, &cy, "editor").await.expect_problem(403, "owners_only");
    hire(&ann, &page, &bob, "boss").await.expect_problem(422, "invalid_request");
    hire(&ann, &page, &world.stranger("dee"), "editor").await.expect_problem(404, "not_found");
    hire(&ann, &page, &bob, "editor").await.expect(200).expect_json(json!({ "revision": 2, "status": "staff" }));
    hire(&ann, &page, &bob, "editor").await.expect(200).expect_json(json!({ "revision": 2, "status": "staff" }));
    hire(&bob, &page, &cy, "editor").await.expect_problem(403, "owners_only");
    hire(&ann, &page, &cy, "care_agent").await.expect(200);
    world.settled().await;
    let staff = cy.get(&page).await.expect(200).expect_json(json!({ "role": "care_agent" })).json()["staff"].clone();
    let roles: Vec<_> = staff.as_array().unwrap().iter().map(|person| person["role"].clone()).collect();
    assert_eq!(roles, ["owner", "editor", "care_agent"]);
    hire(&ann, &page, &ann, "editor").await.expect_problem(409, "last_owner");
    let off = |who: &Actor| format!("{page}/staff/{}", who.id());
    ann.delete(&off(&ann)).await.expect_problem(409, "last_owner");
    bob.delete(&off(&cy)).await.expect_problem(403, "owners_only");
    bob.delete(&off(&bob)).await.expect(200);
    bob.delete(&off(&bob)).await.expect_problem(404, "not_on_staff");
    assert_eq!(bob.get(&page).await.expect(200).json().get("staff"), None);
    hire(&ann, &page, &cy, "owner").await.expect(200);
    ann.delete(&off(&ann)).await.expect(200);
    world.settled().await;
    cy.get(&page).await.expect(200).expect_json(json!({ "staff": [{ "person_id": cy.id(), "display_name": "cy", "role": "owner" }] }));
}

async fn a_place_on_the_staff_is_offered_and_taken_or_not(world: World) {
    let (ann, bob, cy) = (world.person("ann").await, world.person("bob").await, world.person("cy").await);
    let page = open_page(&ann, "forno").await;
    let id = page.rsplit('/').next().unwrap();
    let of = |who: &Actor, what: &str| format!("{page}/staff/{}/{what}", who.id());
    offer(&ann, &page, &bob, "owner").await.expect(200).expect_json(json!({ "status": "offered", "revision": 1 }));
    offer(&ann, &page, &bob, "owner").await.expect(200).expect_json(json!({ "status": "offered", "revision": 1 }));
    world.settled().await;
    // An offer gives no right.
    bob.patch(&page, json!({ "name": "Mine" })).await.expect_problem(403, "owners_only");
    let mine = bob.get("/v1/me/staff-offers").await.expect(200).items();
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert_eq!((&mine[0]["page_id"], &mine[0]["role"], &mine[0]["page_name"]), (&json!(id), &json!("owner"), &json!("Forno")));
    bob.get(&page).await.expect(200).expect_json(json!({ "offered_role": "owner" }));
    let shown = ann.get(&page).await.expect(200).json();
    assert_eq!((shown["offers"].as_array().unwrap().len(), shown["staff"].as_array().unwrap().len()), (1, 1));
    assert_eq!(cy.get(&page).await.expect(200).json().get("offers"), None);
    cy.post(&of(&bob, "accept"), ()).await.expect_problem(403, "not_yours");
    cy.post(&of(&cy, "accept"), ()).await.expect_problem(404, "no_offer");
    bob.post(&of(&bob, "decline"), ()).await.expect(200).expect_json(json!({ "status": "none" }));
    bob.post(&of(&bob, "accept"), ()).await.expect_problem(404, "no_offer");
    // Taken back, by the owner.
    offer(&ann, &page, &bob, "editor").await.expect(200);
    ann.delete(&format!("{page}/staff/{}", bob.id())).await.expect(200);
    bob.post(&of(&bob, "accept"), ()).await.expect_problem(404, "no_offer");
    // What an owner offered who is none any more is void.
    offer(&ann, &page, &bob, "owner").await.expect(200);
    hire(&ann, &page, &cy, "owner").await.expect(200);
    cy.put(&format!("{page}/staff/{}", ann.id()), json!({ "role": "editor" })).await.expect(200).expect_json(json!({ "status": "staff" }));
    world.settled().await;
    bob.post(&of(&bob, "accept"), ()).await.expect_problem(404, "no_offer");
    assert!(bob.get("/v1/me/staff-offers").await.expect(200).items().is_empty());
    assert!(cy.get(&page).await.expect(200).json()["offers"].as_array().unwrap().is_empty());
}

async fn people_follow_and_block(world: World) {
    let (ann, bob, cy) = (world.person("ann").await, world.person("bob").await, world.person("cy").await);
    let page = open_page(&ann, "forno").await;
    let (follow, block) = (format!("{page}/followers/me"), format!("{page}/blocks/me"));
    world.anonymous().put(&follow, ()).await.expect_problem(401, "unauthenticated");
    for fan in [&bob, &cy, &bob] {
        fan.put(&follow, ()).await.expect(200).expect_json(json!({ "revision": 0 }));
    }
    world.settled().await;
    bob.get(&page).await.expect(200).expect_json(json!({ "followers": 2, "following": true, "blocked": false }));
    let followed = circolo_projections::pages::followed_by(world.db(), circolo_domain::PersonId(bob.id())).await.unwrap();
    assert_eq!(followed, [page.rsplit('/').next().unwrap()]);
    bob.put(&block, ()).await.expect(200).expect_json(json!({ "revision": 1 }));
    bob.get(&page).await.expect(200).expect_json(json!({ "followers": 2, "following": true, "blocked": true }));
    bob.delete(&follow).await.expect(200);
    bob.delete(&follow).await.expect(200).expect_json(json!({ "revision": 2 }));
    bob.delete(&block).await.expect(200).expect_json(json!({ "revision": 3 }));
    bob.get(&page).await.expect(200).expect_json(json!({ "followers": 1, "following": false, "blocked": false }));
}

async fn what_does_not_exist_is_unknown(world: World) {
    let ann = world.person("ann").await;
    let page = format!("/v1/pages/{}", Uuid::from_u128(7));
    let missing = ann.get(&page).await.expect_problem(404, "not_found");
    for reply in [
        ann.patch(&page, json!({ "name": "Forno" })).await,
        ann.patch(&page, json!({ "username": "forno" })).await,
        ann.put(&format!("{page}/staff/{}", ann.id()), json!({ "role": "owner" })).await,
        ann.delete(&format!("{page}/staff/{}", ann.id())).await,
        ann.put(&format!("{page}/followers/me"), ()).await,
        ann.delete(&format!("{page}/blocks/me")).await,
    ] {
        assert_eq!(reply.visible(), missing.visible(), "{reply}");
    }
    ann.get("/v1/pages/7").await.expect_problem(400, "bad_path");
    ann.get("/v1/pages?after=x").await.expect_problem(400, "bad_cursor");
}
