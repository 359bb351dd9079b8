//! A file is read by who sees what shows it.

use super::{document, path, picture, send, upload};
use crate::given::{UNKNOWN, admit, ban, found};
use circolo_tests::{actor::Actor, stories, world::World};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

stories!(
    an_avatar_is_seen_by_the_registered,
    the_picture_of_a_secret_group_is_for_who_sees_it,
    the_picture_of_a_page_is_for_everyone,
    only_own_pictures_are_shown,
    of_pictures_that_are_set_at_one_moment_one_is_shown,
);

/// Fails unless the file answers as one that never was.
async fn is_unknown(to: &Actor, id: Uuid) {
    for query in ["", "?size=small"] {
        let made_up = to.get(&format!("{}{query}", path(UNKNOWN))).await.visible();
        assert_eq!(to.get(&format!("{}{query}", path(id))).await.visible(), made_up);
        assert_eq!(made_up.0, 404);
        let part = to.with("range", "bytes=0-9").with("if-none-match", "*");
        assert_eq!(part.get(&format!("{}{query}", path(id))).await.visible(), made_up);
    }
}

async fn an_avatar_is_seen_by_the_registered(world: World) {
    let (ann, bea, zoe, nobody) = (world.person("Ann").await, world.person("Bea").await, world.stranger("zoe"), world.anonymous());
    let (one, other) = (upload(&ann, &picture(20, 20)).await, upload(&ann, &picture(30, 30)).await);
    ann.get(&path(one)).await.expect(200);
    for stranger in [&bea, &zoe, &nobody] {
        is_unknown(stranger, one).await;
    }
    let person = format!("/v1/people/{}", ann.id());
    ann.get(&person).await.expect(200).expect_json(json!({ "avatar": null }));
    let set = ann.put("/v1/me/avatar", json!({ "media_id": one })).await.expect(200).expect_json(json!({ "id": ann.id(), "revision": 1 }));
    ann.put("/v1/me/avatar", json!({ "media_id": one })).await.expect(200).expect_json(json!({ "revision": 1 }));
    let bea = bea.with("circolo-min-position", set.header("circolo-position"));
    bea.get(&person).await.expect(200).expect_json(json!({ "avatar": one }));
    assert_eq!(ann.get("/v1/me").await.expect(200).json()["person"]["avatar"], json!(one));
    bea.get(&path(one)).await.expect(200);
    for stranger in [&zoe, &nobody] {
        is_unknown(stranger, one).await;
    }
    // Another one takes its place, and it is its uploader's alone again.
    ann.put("/v1/me/avatar", json!({ "media_id": other })).await.expect(200);
    bea.get(&path(other)).await.expect(200);
    is_unknown(&bea, one).await;
    ann.get(&path(one)).await.expect(200);
    ann.delete("/v1/me/avatar").await.expect(200).expect_json(json!({ "revision": 3 }));
    ann.delete("/v1/me/avatar").await.expect(200).expect_json(json!({ "revision": 3 }));
    is_unknown(&bea, other).await;
    ann.get(&person).await.expect(200).expect_json(json!({ "avatar": null }));
    // And back again.
    ann.put("/v1/me/avatar", json!({ "media_id": one })).await.expect(200);
    bea.get(&path(one)).await.expect(200);
}

async fn the_picture_of_a_secret_group_is_for_who_sees_it(world: World) {
    let (ann, bea, eve) = (world.person("Ann").await, world.person("Bea").await, world.person("Eve").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    let id = upload(&ann, &picture(400, 300)).await;
    let at = format!("{group}/picture");
    bea.put(&at, json!({ "media_id": id })).await.expect_problem(403, "admins_only");
    bea.delete(&at).await.expect_problem(403, "admins_only");
    eve.put(&at, json!({ "media_id": id })).await.expect_problem(404, "not_found");
    ann.get(&group).await.expect(200).expect_json(json!({ "picture": null }));
    ann.put(&at, json!({ "media_id": id })).await.expect(200).expect_json(json!({ "revision": 1 }));
    let bea = crate::given::up_to_date(&world, &bea).await;
    bea.get(&group).await.expect(200).expect_json(json!({ "picture": id }));
    bea.get(&path(id)).await.expect(200);
    bea.get(&format!("{}?size=small", path(id))).await.expect(200);
    for stranger in [&eve, &world.anonymous()] {
        is_unknown(stranger, id).await;
    }
    ban(&ann, &group, &bea).await.expect(200);
    is_unknown(&bea, id).await;
    // Everyone finds a closed group, and whoever does sees its picture.
    ann.patch(&group, json!({ "privacy": "closed" })).await.expect(200);
    eve.get(&path(id)).await.expect(200);
    world.anonymous().get(&path(id)).await.expect(200);
    ann.with("if-match", "\"0\"").delete(&at).await.expect_problem(412, "revision_changed");
    ann.delete(&at).await.expect(200);
    is_unknown(&eve, id).await;
}

async fn the_picture_of_a_page_is_for_everyone(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let page = ann.post("/v1/pages", json!({ "name": "Forno", "username": "forno.vecchio" })).await.expect(201).location().to_owned();
    let (id, at) = (upload(&ann, &picture(20, 20)).await, format!("{page}/picture"));
    bea.put(&at, json!({ "media_id": id })).await.expect_problem(403, "owners_only");
    bea.delete(&at).await.expect_problem(403, "owners_only");
    ann.put(&at, json!({ "media_id": id })).await.expect(200);
    ann.get(&page).await.expect(200).expect_json(json!({ "picture": id }));
    world.anonymous().get(&path(id)).await.expect(200);
    // It may be shown in two places, and is there as long as one of them shows it.
    ann.put("/v1/me/avatar", json!({ "media_id": id })).await.expect(200);
    ann.delete(&at).await.expect(200);
    bea.get(&path(id)).await.expect(200);
    is_unknown(&world.anonymous(), id).await;
}

async fn only_own_pictures_are_shown(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let page = ann.post("/v1/pages", json!({ "name": "Forno", "username": "forno.vecchio" })).await.expect(201).location().to_owned();
    let beas = upload(&bea, &picture(20, 20)).await;
    let minutes = send(&ann, "application/pdf", &document("minutes"), "").await.expect(201).id();
    for place in ["/v1/me/avatar".to_owned(), format!("{group}/picture"), format!("{page}/picture")] {
        for id in [beas, minutes, UNKNOWN] {
            let refused = ann.put(&place, json!({ "media_id": id })).await.expect_problem(422, "unknown_media");
            assert_eq!(refused.json()["fields"][0]["field"], "media_id");
        }
        for body in [json!({}), json!({ "media_id": "x" }), json!({ "media_id": beas, "colour": 1 }), json!({ "media_id": Value::Null })] {
            ann.put(&place, body).await.expect_problem(422, "invalid_request");
        }
    }
}

async fn of_pictures_that_are_set_at_one_moment_one_is_shown(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let mut pictures = vec![];
    for side in 10..16 {
        pictures.push(upload(&ann, &picture(side, side)).await);
    }
    for place in ["/v1/me/avatar".to_owned(), format!("{group}/picture")] {
        join_all(pictures.iter().map(async |id| ann.put(&place, json!({ "media_id": id })).await.expect(200))).await;
    }
    world.settled().await;
    let person = ann.get(&format!("/v1/people/{}", ann.id())).await.expect(200).json()["avatar"].clone();
    let of_group = ann.get(&group).await.expect(200).json()["picture"].clone();
    // Whatever is shown nowhere in the end is swept, and nothing else.
    let shown: std::collections::BTreeSet<String> = [person, of_group].iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    world.clock().advance(circolo_domain::Span::hours(25));
    assert_eq!(world.app().sweep(false).await.unwrap().unused, pictures.len() - shown.len());
    for id in pictures {
        ann.get(&path(id)).await.expect(if shown.contains(&id.to_string()) { 200 } else { 404 });
    }
}
