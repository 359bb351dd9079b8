//! Stories of notifications: who is told of what, and who is not.

use crate::care::pages::{hire, open_page};
use crate::given::{admit, answer, ask, ban, column, comment, found, invite, promote, up_to_date, write};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};

stories!(
    members_come_and_go,
    words_are_answered,
    pages_and_persons_write_to_each_other,
    nobody_is_told_of_their_own_doing_or_of_what_they_may_not_read,
    what_was_read_is_marked,
    kinds_are_chosen_and_switched_off,
    pages_of_the_list_go_on_behind_what_is_hidden,
    who_keeps_order_is_told_from_then_on,
);

fn id_in(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

async fn told(world: &World, who: &Actor, query: &str) -> Reply {
    up_to_date(world, who).await.get(&format!("/v1/me/notifications{query}")).await.expect(200)
}

async fn kinds(world: &World, who: &Actor) -> Vec<Value> {
    column(&told(world, who, "").await, "kind")
}

async fn members_come_and_go(world: World) {
    let (ann, bea, cem) = (world.person("Ann").await, world.person("Bea").await, world.person("Cem").await);
    let group = found(&ann, "closed", "request").await;
    invite(&ann, &group, &bea).await.expect(200);
    let place = json!({ "kind": "group", "id": id_in(&group), "name": "Alpine Club" });
    let first = told(&world, &bea, "").await.items().remove(0);
    assert!(first["id"].is_string());
    assert_eq!((&first["kind"], &first["at"], &first["read"]), (&json!("invited"), &json!(NOON.to_string()), &json!(false)));
    assert_eq!((&first["place"], &first["about"]), (&place, &json!({ "kind": "group", "id": id_in(&group) })));
    assert_eq!((&first["by"], &first["data"]), (&json!({ "kind": "person", "id": ann.id(), "name": "Ann" }), &json!({})));
    bea.post(&format!("{group}/invitations/{}/accept", bea.id()), ()).await.expect(200);
    promote(&ann, &group, &bea, "moderator").await;
    // Who keeps order hears of requests; who asked, how it was decided, and not by whom.
    cem.post(&format!("{group}/join"), ()).await.expect(200);
    for moderator in [&ann, &bea] {
        let asked = told(&world, moderator, "?kinds=requested").await.items().remove(0);
        assert_eq!((&asked["by"]["name"], &asked["about"]), (&json!("Cem"), &json!({ "kind": "membership", "id": cem.id() })));
        assert_eq!(asked["place"], place);
    }
    bea.post(&format!("{group}/requests/{}/refuse", cem.id()), ()).await.expect(200);
    cem.post(&format!("{group}/join"), ()).await.expect(200);
    bea.post(&format!("{group}/requests/{}/approve", cem.id()), ()).await.expect(200);
    bea.delete(&format!("{group}/members/{}", cem.id())).await.expect(200);
    ban(&bea, &group, &cem).await.expect(200);
    let of_cem = told(&world, &cem, "").await;
    assert_eq!(column(&of_cem, "kind"), ["banned", "removed", "approved", "refused"].map(Value::from));
    assert!(of_cem.items().iter().all(|item| item["by"].is_null() && item["place"] == place), "{of_cem}");
    let role = told(&world, &bea, "?kinds=role_given").await.items().remove(0);
    assert_eq!((&role["data"], &role["about"]["kind"]), (&json!({ "role": "moderator" }), &json!("group")));
}

async fn words_are_answered(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    let question = ask(&ann, &group, "Which hut?").await;
    let given = answer(&bea, &question, "The lower").await;
    ann.put(&format!("{question}/accepted"), json!({ "answer_id": given })).await.expect(200);
    let post = write(&ann, &group, "Fresh snow").await;
    let on_post = comment(&bea, &post, "How high?").await;
    let reply = json!({ "text": "A metre", "reply_to": on_post });
    let reply = ann.post(&format!("{post}/comments"), reply).await.expect(201).id();
    let of_ann = told(&world, &ann, "").await.items();
    assert_eq!(of_ann.iter().map(|item| &item["kind"]).collect::<Vec<_>>(), ["commented", "answered"]);
    assert_eq!(of_ann[0]["about"], json!({ "kind": "comment", "id": on_post }));
    assert_eq!(of_ann[0]["data"], json!({ "post_id": id_in(&post) }));
    assert_eq!(of_ann[1]["about"], json!({ "kind": "answer", "id": given }));
    assert_eq!(of_ann[1]["data"], json!({ "question_id": id_in(&question) }));
    let of_bea = told(&world, &bea, "").await.items();
    assert_eq!(of_bea.iter().map(|item| &item["kind"]).collect::<Vec<_>>(), ["replied", "accepted", "invited"]);
    assert_eq!(of_bea[0]["about"], json!({ "kind": "comment", "id": reply }));
    assert_eq!(of_bea[0]["data"], json!({ "post_id": id_in(&post), "reply_to": on_post }));
    assert_eq!((&of_bea[0]["by"]["name"], &of_bea[1]["by"]), (&json!("Ann"), &Value::Null));
}

async fn pages_and_persons_write_to_each_other(world: World) {
    let (ann, bea, cem) = (world.person("Ann").await, world.person("Bea").await, world.person("Cem").await);
    let page = open_page(&ann, "forno.roma").await;
    hire(&ann, &page, &bea, "care_agent").await.expect(200);
    let offered = told(&world, &bea, "").await.items();
    let about = json!({ "kind": "page", "id": id_in(&page) });
    let item = offered.iter().find(|item| item["kind"] == "invited").unwrap();
    assert_eq!((&item["about"], &item["data"], &item["place"]["kind"]), (&about, &json!({ "role": "care_agent" }), &json!("page")));
    let post = write(&ann, &page, "Fresh bread").await;
    let asked = comment(&cem, &post, "Until when?").await;
    cem.post(&format!("{page}/messages"), json!({ "text": "Open on Sunday?" })).await.expect(201);
    let answered = json!({ "text": "Until noon" });
    bea.post(&format!("{page}/conversations/{}/messages", cem.id()), answered).await.expect(201);
    for staff in [&ann, &bea] {
        let items = told(&world, staff, "?kinds=page_message,commented").await.items();
        let kinds: Vec<_> = items.iter().map(|item| item["kind"].clone()).collect();
        // What one of the staff wrote is for the person.
        let expected = if kinds.len() == 2 { ["page_message", "commented"] } else { panic!("{items:?}") };
        assert_eq!(kinds, expected.map(Value::from));
        assert_eq!(items[0]["about"], json!({ "kind": "conversation", "id": cem.id() }));
        assert_eq!(items[1]["about"], json!({ "kind": "comment", "id": asked }));
        assert_eq!(items[0]["by"]["name"], "Cem");
    }
    let message = told(&world, &cem, "").await.items().remove(0);
    assert_eq!((&message["kind"], &message["by"]["kind"], &message["by"]["id"]), (&json!("page_message"), &json!("page"), &about["id"]));
}

async fn nobody_is_told_of_their_own_doing_or_of_what_they_may_not_read(world: World) {
    let (ann, bea, cem) = (world.person("Ann").await, world.person("Bea").await, world.person("Cem").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    admit(&ann, &group, &cem).await;
    let question = ask(&bea, &group, "Which hut?").await;
    answer(&bea, &question, "I know it myself").await;
    let post = write(&bea, &group, "Fresh snow").await;
    comment(&bea, &post, "And ice").await;
    assert_eq!(kinds(&world, &bea).await, ["invited"]);
    assert_eq!(kinds(&world, &ann).await, [] as [&str; 0]);
    answer(&cem, &question, "The lower").await;
    comment(&cem, &post, "How high?").await;
    assert_eq!(kinds(&world, &bea).await, ["commented", "answered", "invited"]);
    ann.delete(&format!("{group}/members/{}", bea.id())).await.expect(200);
    // To who is out a secret group is unknown: all that came from it is gone, and that they were removed is not said either.
    assert_eq!(kinds(&world, &bea).await, [] as [&str; 0]);
    admit(&ann, &group, &bea).await;
    assert_eq!(kinds(&world, &bea).await, ["invited", "removed", "commented", "answered", "invited"]);
    let ghost = up_to_date(&world, &world.anonymous()).await;
    ghost.get("/v1/me/notifications").await.expect_problem(401, "unauthenticated");
    world.stranger("max").get("/v1/me/notifications").await.expect_problem(403, "not_registered");
}

async fn what_was_read_is_marked(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    let post = write(&ann, &group, "Fresh snow").await;
    for text in ["one", "two", "three"] {
        world.clock().advance(Span::minutes(1));
        comment(&bea, &post, text).await;
    }
    let items = told(&world, &ann, "").await.items();
    ann.put("/v1/me/notifications/read", json!({ "until": items[1]["at"] })).await.expect(200).expect_json(json!({ "revision": 0 }));
    assert_eq!(column(&told(&world, &ann, "").await, "read"), [false, true, true]);
    let unread = told(&world, &ann, "?unread=true").await.items();
    assert_eq!((unread.len(), &unread[0]["id"]), (1, &items[0]["id"]));
    // What was read stays so, and what is to come is not read.
    ann.put("/v1/me/notifications/read", json!({ "until": items[2]["at"] })).await.expect(200).expect_json(json!({ "revision": 0 }));
    ann.put("/v1/me/notifications/read", json!({ "until": "2999-01-01T00:00:00Z" })).await.expect(200);
    assert_eq!(told(&world, &ann, "?unread=true").await.items(), [] as [Value; 0]);
    world.clock().advance(Span::minutes(1));
    comment(&bea, &post, "four").await;
    assert_eq!(told(&world, &ann, "?unread=true").await.items().len(), 1);
    let before = world.store().head().await.unwrap();
    for body in [json!({}), json!({ "until": "yesterday" }), json!({ "until": 7 }), json!({ "till": "2026-01-01T00:00:00Z" })] {
        ann.put("/v1/me/notifications/read", body).await.expect_problem(422, "invalid_request");
    }
    assert_eq!(world.store().head().await.unwrap(), before);
}

async fn kinds_are_chosen_and_switched_off(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    let post = write(&ann, &group, "Fresh snow").await;
    comment(&bea, &post, "How high?").await;
    answer(&bea, &ask(&ann, &group, "Which hut?").await, "The lower").await;
    let all = ann.get("/v1/me/notification-preferences").await.expect(200).json();
    assert!(all.as_object().unwrap().values().all(|level| level == "all") && all.as_object().unwrap().len() > 10, "{all}");
    ann.put("/v1/me/notification-preferences", json!({ "commented": "none", "replied": "all" })).await.expect(200);
    assert_eq!(kinds(&world, &ann).await, ["answered"]);
    let set = ann.get("/v1/me/notification-preferences").await.expect(200).json();
    assert_eq!((&set["commented"], &set["answered"]), (&json!("none"), &json!("all")));
    assert_eq!(column(&told(&world, &ann, "?kinds=commented").await, "kind"), [] as [Value; 0]);
    // Of a kind that is not named one wants all, and what came meanwhile is there.
    ann.put("/v1/me/notification-preferences", json!({})).await.expect(200);
    assert_eq!(kinds(&world, &ann).await, ["answered", "commented"]);
    assert_eq!(column(&told(&world, &ann, "?kinds=commented,replied").await, "kind"), ["commented"]);
    for bad in ["kinds=tomato", "kinds=", "unread=perhaps", "limit=0", "after=x", "kind=commented"] {
        ann.get(&format!("/v1/me/notifications?{bad}")).await.expect(400);
    }
    for body in [json!({ "tomato": "all" }), json!({ "commented": "some" }), json!([]), json!({ "commented": 1 })] {
        ann.put("/v1/me/notification-preferences", body).await.expect_problem(422, "invalid_request");
    }
}

async fn pages_of_the_list_go_on_behind_what_is_hidden(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let (open, secret) = (found(&ann, "public", "open").await, found(&ann, "secret", "invite_only").await);
    admit(&ann, &secret, &bea).await;
    bea.post(&format!("{open}/join"), ()).await.expect(200);
    let posts = [write(&bea, &open, "Fresh snow").await, write(&bea, &secret, "Fresh ice").await];
    let mut shown = vec![];
    for number in 0..8 {
        let id = comment(&ann, &posts[usize::from(number % 4 != 0)], &format!("number {number}")).await;
        shown.extend((number % 4 == 0).then(|| json!(id)));
    }
    bea.post(&format!("{secret}/leave"), ()).await.expect(200);
    shown.reverse();
    for limit in 1..=3 {
        let (mut found, mut next) = (vec![], String::new());
        loop {
            let page = told(&world, &bea, &format!("?limit={limit}{next}")).await;
            assert!(page.items().len() <= limit);
            found.extend(page.items().iter().map(|item| item["about"]["id"].clone()));
            let Some(after) = page.json()["next"].as_str().map(str::to_owned) else { break };
            next = format!("&after={after}");
        }
        assert_eq!(found, shown, "{limit} at a time");
    }
}

async fn who_keeps_order_is_told_from_then_on(world: World) {
    let (ann, bea, cem) = (world.person("Ann").await, world.person("Bea").await, world.person("Cem").await);
    let group = found(&ann, "closed", "request").await;
    cem.post(&format!("{group}/join"), ()).await.expect(200);
    world.clock().advance(Span::hours(1));
    admit(&ann, &group, &bea).await;
    assert_eq!(kinds(&world, &bea).await, ["invited"], "a member keeps no order");
    promote(&ann, &group, &bea, "moderator").await;
    assert_eq!(kinds(&world, &bea).await, ["role_given", "invited"], "what was before they came is not for them");
    world.person("Dan").await.post(&format!("{group}/join"), ()).await.expect(200);
    assert_eq!(kinds(&world, &bea).await, ["requested", "role_given", "invited"]);
    promote(&ann, &group, &bea, "member").await;
    assert_eq!(kinds(&world, &bea).await, ["role_given", "invited"], "who keeps order no longer is told no longer");
}
