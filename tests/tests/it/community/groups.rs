//! Stories of groups: creating, finding, changing, and who holds which role.

use crate::given::{UNKNOWN, admit, column, found, invite, promote, up_to_date};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(
    who_creates_a_group_runs_it,
    the_directory_shows_what_one_may_see,
    the_directory_is_searched_by_words,
    settings_change_all_or_none,
    only_admins_change_settings,
    roles_come_and_go,
    the_last_admin_stays,
);

async fn who_creates_a_group_runs_it(world: World) {
    let ann = world.person("Ann").await;
    for (privacy, membership) in [("public", "open"), ("closed", "request"), ("secret", "invite_only")] {
        let body = json!({ "name": " Alpine\u{301} ", "description": "Up", "privacy": privacy, "membership": membership });
        let created = ann.post("/v1/groups", body).await.expect(201).expect_json(json!({ "revision": 0 }));
        let path = format!("/v1/groups/{}", created.id());
        assert_eq!((created.location(), created.header("etag")), (path.as_str(), "\"0\""));
        assert_eq!(created.header("circolo-position"), created.json()["position"].to_string());
        let group = ann.get(&path).await.expect(200).expect_json(json!({
            "id": created.id(), "name": "Alpiné", "description": "Up", "privacy": privacy, "membership": membership,
            "members_invite": true, "member_list_public": true, "history": "all", "created_at": NOON.to_string(),
            "members": 1, "questions": 0, "answers": 0, "status": "member", "role": "admin", "revision": 0,
        }));
        assert_eq!(group.header("etag"), "\"0\"");
        let members = ann.get(&format!("{path}/members")).await.expect(200);
        let founder = json!({ "person_id": ann.id(), "display_name": "Ann", "role": "admin", "since": NOON.to_string() });
        assert_eq!(members.items(), [founder]);
    }
    let open_secret = json!({ "name": "Alps", "privacy": "secret", "membership": "open" });
    ann.post("/v1/groups", open_secret).await.expect_problem(422, "secret_is_invite_only");
    let body = json!({ "name": "Alps", "privacy": "public", "membership": "open" });
    world.stranger("zoe").post("/v1/groups", body.clone()).await.expect_problem(403, "not_registered");
    world.anonymous().post("/v1/groups", body).await.expect_problem(401, "unauthenticated");
}

async fn names(world: &World, reader: &Actor, query: &str) -> Vec<Value> {
    column(&up_to_date(world, reader).await.get(&format!("/v1/groups?limit=50{query}")).await.expect(200), "name")
}

async fn create(admin: &Actor, name: &str, description: &str, privacy: &str) -> String {
    let body = json!({ "name": name, "description": description, "privacy": privacy, "membership": "invite_only" });
    admin.post("/v1/groups", body).await.expect(201).location().to_owned()
}

async fn the_directory_shows_what_one_may_see(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    create(&ann, "Public", "one", "public").await;
    let secret = create(&ann, "Secret", "two", "secret").await;
    create(&ann, "Closed", "three", "closed").await;
    assert_eq!(names(&world, &ann, "").await, ["Closed", "Secret", "Public"]);
    for outsider in [&bea, &cleo, &world.stranger("zoe"), &world.anonymous()] {
        assert_eq!(names(&world, outsider, "").await, ["Closed", "Public"]);
    }
    invite(&ann, &secret, &bea).await.expect(200);
    assert_eq!(names(&world, &bea, "").await, ["Closed", "Secret", "Public"], "the invited know of it");
    bea.post(&format!("{secret}/invitations/{}/decline", bea.id()), ()).await.expect(200);
    assert_eq!(names(&world, &bea, "").await, ["Closed", "Public"], "they declined");
    admit(&ann, &secret, &cleo).await;
    assert_eq!(names(&world, &cleo, "").await, ["Closed", "Secret", "Public"]);
    cleo.post(&format!("{secret}/leave"), ()).await.expect(200);
    assert_eq!(names(&world, &cleo, "").await, ["Closed", "Public"], "they left");
    ann.patch(&secret, json!({ "privacy": "closed" })).await.expect(200);
    assert_eq!(names(&world, &cleo, "").await, ["Closed", "Secret", "Public"], "it is no longer secret");
}

async fn the_directory_is_searched_by_words(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    create(&ann, "Bread bakers", "Sourdough and rye", "public").await;
    create(&ann, "Mountain bikers", "Up and down", "closed").await;
    let secret = create(&ann, "Bread thieves", "Rye at night", "secret").await;
    assert_eq!(names(&world, &ann, "&q=bread").await, ["Bread thieves", "Bread bakers"]);
    assert_eq!(names(&world, &bea, "&q=bread").await, ["Bread bakers"]);
    assert_eq!(names(&world, &world.anonymous(), "&q=RYE").await, ["Bread bakers"]);
    assert_eq!(names(&world, &bea, "&q=rye%20bread").await, ["Bread bakers"], "all words, in any order and column");
    assert_eq!(names(&world, &bea, "&q=mount").await, ["Mountain bikers"], "the last word may be a beginning");
    for nothing in ["bread%20bikers", "%22%27%2A%29", "thieves"] {
        assert!(names(&world, &bea, &format!("&q={nothing}")).await.is_empty(), "{nothing}");
    }
    ann.patch(&secret, json!({ "name": "Bikers at night" })).await.expect(200);
    assert_eq!(names(&world, &ann, "&q=bikers").await, ["Bikers at night", "Mountain bikers"], "a new name is found");
    assert_eq!(names(&world, &ann, "&q=bread").await, ["Bread bakers"], "an old one is not");
}

async fn settings_change_all_or_none(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let wanted = json!({
        "name": "Alps", "description": null, "privacy": "closed", "membership": "request",
        "members_invite": false, "member_list_public": false, "history": "since_joining",
    });
    let changed = ann.patch(&group, wanted.clone()).await.expect(200).expect_json(json!({ "revision": 7 }));
    assert_eq!((changed.header("etag"), changed.location()), ("\"7\"", ""));
    ann.get(&group).await.expect(200).expect_json(wanted.clone()).expect_json(json!({ "revision": 7 }));
    let head = world.store().head().await.unwrap();
    for nothing in [wanted, json!({}), json!({ "name": null })] {
        ann.patch(&group, nothing).await.expect(200).expect_json(json!({ "revision": 7 }));
    }
    ann.patch(&group, json!({ "name": "Andes", "privacy": "secret", "membership": "open" }))
        .await
        .expect_problem(422, "secret_is_invite_only");
    assert_eq!(world.store().head().await.unwrap(), head, "neither a no-op nor a refusal appends");
    ann.get(&group).await.expect(200).expect_json(json!({ "name": "Alps" }));
    let (again, privacy) = (world.clock().now().plus(Span::hours(24)), json!({ "privacy": "secret", "name": "Andes" }));
    world.clock().advance(Span::micros(24 * 3_600_000_000 - 1));
    let refusal = ann.patch(&group, privacy.clone()).await.expect_problem(409, "privacy_changed_recently").json();
    assert_eq!(refusal["details"], json!({ "again_at": again }));
    assert_eq!(world.store().head().await.unwrap(), head, "all or none");
    world.clock().advance(Span::micros(1));
    ann.patch(&group, privacy).await.expect(200);
    ann.get(&group).await.expect(200).expect_json(json!({ "privacy": "secret", "membership": "invite_only" }));
    ann.patch(&group, json!({ "membership": "request" })).await.expect_problem(422, "secret_is_invite_only");
}

async fn only_admins_change_settings(world: World) {
    let (ann, moderator, member) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &moderator).await;
    admit(&ann, &group, &member).await;
    promote(&ann, &group, &moderator, "moderator").await;
    let change = json!({ "name": "Alps" });
    for actor in [&moderator, &member, &world.person("Dora").await] {
        actor.patch(&group, change.clone()).await.expect_problem(403, "admins_only");
    }
    world.stranger("zoe").patch(&group, change.clone()).await.expect_problem(403, "not_registered");
    world.anonymous().patch(&group, change.clone()).await.expect_problem(401, "unauthenticated");
    ann.patch(&format!("/v1/groups/{UNKNOWN}"), change).await.expect_problem(404, "not_found");
    ann.get(&format!("/v1/groups/{UNKNOWN}")).await.expect_problem(404, "not_found");
}

async fn roles_come_and_go(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    let role_of = |person: &Actor| format!("{group}/members/{}/role", person.id());
    ann.put(&role_of(&bea), json!({ "role": "moderator" })).await.expect_problem(404, "not_a_member");
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    let given = ann.put(&role_of(&bea), json!({ "role": "moderator" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    assert_eq!(given.header("etag"), "\"1\"");
    ann.put(&role_of(&bea), json!({ "role": "moderator" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    up_to_date(&world, &bea).await.get(&group).await.expect(200).expect_json(json!({ "status": "member", "role": "moderator" }));
    bea.put(&role_of(&cleo), json!({ "role": "moderator" })).await.expect_problem(403, "admins_only");
    promote(&ann, &group, &bea, "admin").await;
    promote(&bea, &group, &cleo, "moderator").await;
    let members = up_to_date(&world, &ann).await.get(&format!("{group}/members")).await.expect(200);
    assert_eq!(column(&members, "role"), ["moderator", "admin", "admin"]);
    promote(&bea, &group, &ann, "member").await;
    ann.put(&role_of(&cleo), json!({ "role": "member" })).await.expect_problem(403, "admins_only");
    // A role counts for the episode of membership it was given in.
    cleo.post(&format!("{group}/leave"), ()).await.expect(200);
    cleo.post(&format!("{group}/join"), ()).await.expect(200);
    cleo.get(&group).await.expect(200).expect_json(json!({ "status": "member", "role": "member" }));
}

async fn the_last_admin_stays(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    ann.post(&format!("{group}/leave"), ()).await.expect_problem(409, "last_admin");
    ann.put(&format!("{group}/members/{}/role", ann.id()), json!({ "role": "member" })).await.expect_problem(409, "last_admin");
    admit(&ann, &group, &bea).await;
    promote(&ann, &group, &bea, "admin").await;
    let left = ann.post(&format!("{group}/leave"), ()).await.expect(200);
    left.expect_json(json!({ "id": ann.id(), "status": "none" }));
    bea.post(&format!("{group}/leave"), ()).await.expect_problem(409, "last_admin");
    up_to_date(&world, &bea).await.get(&group).await.expect(200).expect_json(json!({ "members": 1, "role": "admin" }));
}
