//! What holds for every endpoint: `If-Match`, `Idempotency-Key`, positions, pages.

use crate::given::{admit, ask, column, found, invite, promote, up_to_date};
use axum::http::Method;
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};

stories!(
    a_stale_revision_is_refused,
    a_repeat_has_the_first_outcome,
    a_key_is_for_one_request,
    refusals_are_not_remembered,
    one_reads_what_one_wrote,
    a_position_is_waited_for,
    pages_neither_skip_nor_repeat,
    every_list_has_pages,
);

async fn a_stale_revision_is_refused(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "request").await;
    let question = ask(&ann, &group, "Which?").await;
    let seen = |revision: &str| ann.with("if-match", &format!("\"{revision}\""));
    for (path, body) in [(&group, json!({ "name": "Alps" })), (&question, json!({}))] {
        let method = if *path == group { Method::PATCH } else { Method::POST };
        let target = if *path == group { path.clone() } else { format!("{path}/close") };
        let refused = seen("7").send(method.clone(), &target, body.clone()).await.expect_problem(412, "revision_changed");
        assert_eq!(refused.json()["details"], json!({ "revision": 0 }));
        let tag = ann.get(path).await.expect(200).header("etag").to_owned();
        ann.with("if-match", &tag).send(method.clone(), &target, body.clone()).await.expect(200).expect_json(json!({ "revision": 1 }));
        // Also what would change nothing is refused to who has not seen the present state.
        ann.with("if-match", &tag).send(method, &target, body).await.expect_problem(412, "revision_changed");
    }
    // Rights come before the precondition, the precondition before the decision.
    bea.with("if-match", "\"7\"").patch(&group, json!({ "name": "Andes" })).await.expect_problem(403, "admins_only");
    seen("7").post(&format!("{group}/leave"), ()).await.expect_problem(412, "revision_changed");
    seen("1").post(&format!("{group}/leave"), ()).await.expect_problem(409, "last_admin");
    // The revision of a membership is that of the membership, not of the group.
    ann.patch(&group, json!({ "name": "Andes", "description": null, "history": "since_joining" })).await.expect(200);
    let join = bea.post(&format!("{group}/join"), ()).await.expect(200).header("etag").to_owned();
    let approve = format!("{group}/requests/{}/approve", bea.id());
    seen("5").post(&approve, ()).await.expect_problem(412, "revision_changed");
    let approved = ann.with("if-match", &join).post(&approve, ()).await.expect(200);
    let tag = approved.header("etag").to_owned();
    for key in ["a", "b"] {
        let stale = bea.with("if-match", "\"0\"").with("idempotency-key", key);
        stale.post(&format!("{group}/leave"), ()).await.expect_problem(412, "revision_changed");
    }
    bea.with("if-match", &tag).with("idempotency-key", "c").post(&format!("{group}/leave"), ()).await.expect(200);
    for bad in ["1", "*", "W/\"1\"", "\"one\""] {
        ann.with("if-match", bad).patch(&group, json!({})).await.expect_problem(400, "bad_if_match");
    }
}

/// One command of each kind, in an order in which each is accepted; who sends it, and how.
fn commands(group: &str, ann: &Actor, bea: &Actor) -> Vec<(Actor, Method, String, Value)> {
    let (ann, bea, id) = (|| ann.clone(), || bea.clone(), bea.id());
    let of = |path: &str| format!("{group}/{path}");
    let reason = json!({ "reason": "spam" });
    vec![
        (ann(), Method::PATCH, group.to_owned(), json!({ "name": "Alps", "description": "High" })),
        (ann(), Method::POST, of("invitations"), json!({ "person_id": id })),
        (bea(), Method::POST, of(&format!("invitations/{id}/decline")), Value::Null),
        (ann(), Method::POST, of("invitations"), json!({ "person_id": id })),
        (ann(), Method::DELETE, of(&format!("invitations/{id}")), Value::Null),
        (ann(), Method::POST, of("invitations"), json!({ "person_id": id })),
        (bea(), Method::POST, of(&format!("invitations/{id}/accept")), Value::Null),
        (ann(), Method::PUT, of(&format!("members/{id}/role")), json!({ "role": "moderator" })),
        (bea(), Method::POST, of("leave"), Value::Null),
        (bea(), Method::POST, of("join"), Value::Null),
        (bea(), Method::DELETE, of("requests/me"), Value::Null),
        (bea(), Method::POST, of("join"), Value::Null),
        (ann(), Method::POST, of(&format!("requests/{id}/refuse")), reason.clone()),
        (bea(), Method::POST, of("join"), Value::Null),
        (ann(), Method::POST, of(&format!("requests/{id}/approve")), Value::Null),
        (ann(), Method::DELETE, of(&format!("members/{id}?reason=spam")), Value::Null),
        (ann(), Method::PUT, of(&format!("bans/{id}")), reason),
        (ann(), Method::DELETE, of(&format!("bans/{id}")), Value::Null),
        (bea(), Method::POST, of("join"), Value::Null),
        (ann(), Method::POST, of(&format!("requests/{id}/approve")), Value::Null),
        (bea(), Method::POST, of("leave"), Value::Null),
        (ann(), Method::POST, of("questions"), json!({ "title": "Which?", "body": "?" })),
    ]
}

async fn send(actor: &Actor, method: &Method, path: &str, body: &Value) -> Reply {
    if body.is_null() { actor.send(method.clone(), path, ()).await } else { actor.send(method.clone(), path, body.clone()).await }
}

/// What a repeat must answer again.
fn outcome(reply: &Reply) -> (u16, Value, Vec<String>) {
    let headers = ["location", "etag", "circolo-position"].map(|name| reply.header(name).to_owned());
    (reply.status.as_u16(), reply.json(), headers.to_vec())
}

async fn a_repeat_has_the_first_outcome(world: World) {
    let (ann, bea) = (world.stranger("Ann"), world.stranger("Bea"));
    let mut asked = Vec::new();
    let mut at = |actor: &Actor, method, path: &str, body| {
        asked.push(());
        (actor.with("idempotency-key", &format!("key-{}", asked.len())), method, path.to_owned(), body)
    };
    let mut commands: Vec<_> =
        [&ann, &bea].map(|actor| at(actor, Method::POST, "/v1/people", json!({ "display_name": "Somebody" }))).into();
    commands.push(at(&ann, Method::POST, "/v1/groups", json!({ "name": "Alps", "privacy": "closed", "membership": "request" })));
    for (actor, method, path, body) in &commands {
        repeat(&world, actor, method, path, body).await;
    }
    let group = repeat(&world, &commands[2].0, &Method::POST, "/v1/groups", &commands[2].3).await.location().to_owned();
    let mut question = String::new();
    for (actor, method, path, body) in self::commands(&group, &ann, &bea) {
        let (actor, method, path, body) = at(&actor, method, &path, body);
        repeat(&world, &actor, &method, &path, &body).await.location().clone_into(&mut question);
    }
    let (actor, method, path, body) = at(&ann, Method::POST, &format!("{question}/answers"), json!({ "body": "This" }));
    let answer = repeat(&world, &actor, &method, &path, &body).await.id();
    for (method, path, body) in [
        (Method::PUT, "accepted", json!({ "answer_id": answer })),
        (Method::DELETE, "accepted", Value::Null),
        (Method::POST, "close", Value::Null),
        (Method::POST, "reopen", Value::Null),
    ] {
        let (actor, method, path, body) = at(&ann, method, &format!("{question}/{path}"), body);
        repeat(&world, &actor, &method, &path, &body).await;
    }
}

/// Sends a request twice: the second time nothing happens, and the answer is the same.
async fn repeat(world: &World, actor: &Actor, method: &Method, path: &str, body: &Value) -> Reply {
    let first = send(actor, method, path, body).await;
    assert!(first.status.is_success(), "{first}");
    let head = world.store().head().await.unwrap();
    let second = send(actor, method, path, body).await;
    assert_eq!(outcome(&second), outcome(&first), "{second}");
    assert_eq!(world.store().head().await.unwrap(), head, "a repeat appends nothing: {second}");
    second
}

async fn a_key_is_for_one_request(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let (keyed, questions) = (ann.with("idempotency-key", "k"), format!("{group}/questions"));
    let body = json!({ "title": "Which?", "body": "This one" });
    let first = keyed.post(&questions, body.clone()).await.expect(201);
    let head = world.store().head().await.unwrap();
    keyed.post(&questions, json!({ "title": "Which?", "body": "That one" })).await.expect_problem(409, "key_reused");
    assert_eq!(world.store().head().await.unwrap(), head);
    // The order of the fields is no other request.
    let request = axum::http::Request::post(&questions).header("content-type", "application/json");
    let other_order = keyed.raw(request.body(r#"{ "body": "This one", "title": "Which?" }"#.into()).unwrap()).await.expect(201);
    assert_eq!(other_order.bytes, first.bytes);
    // Nor is another spelling of the group another target.
    let id = group.rsplit('/').next().unwrap();
    for spelt in [id.to_uppercase(), id.replace('-', ""), format!("%7B{id}%7D"), format!("urn:uuid:{id}"), id.replace('-', "%2D")] {
        let again = keyed.post(&format!("/v1/groups/{spelt}/questions"), body.clone()).await.expect(201);
        assert_eq!(again.bytes, first.bytes, "{spelt}");
    }
    // The same key on another target, by another person, or for something else is another key.
    let other = found(&keyed, "public", "open").await;
    assert_ne!(keyed.post(&format!("{other}/questions"), body.clone()).await.expect(201).id(), first.id());
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    assert_ne!(bea.with("idempotency-key", "k").post(&questions, body).await.expect(201).id(), first.id());
    // The reason in the query counts as the body does.
    let remove = format!("{group}/members/{}", bea.id());
    keyed.delete(&format!("{remove}?reason=loud")).await.expect(200);
    keyed.delete(&format!("{remove}?reason=quiet")).await.expect_problem(409, "key_reused");
    for bad in ["", "a b", &"x".repeat(256)] {
        ann.with("idempotency-key", bad).patch(&group, json!({})).await.expect_problem(400, "bad_idempotency_key");
    }
}

async fn refusals_are_not_remembered(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "invite_only").await;
    let keyed = bea.with("idempotency-key", "k");
    keyed.post(&format!("{group}/join"), ()).await.expect_problem(403, "invite_only");
    ann.patch(&group, json!({ "membership": "open" })).await.expect(200);
    keyed.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "member" }));
}

async fn one_reads_what_one_wrote(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    for number in 1..=20 {
        let name = format!("Club {number}");
        ann.patch(&group, json!({ "name": name })).await.expect(200);
        ann.get(&group).await.expect(200).expect_json(json!({ "name": name, "revision": number }));
        let question = ask(&ann, &group, &name).await;
        ann.get(&question).await.expect(200).expect_json(json!({ "title": name }));
        assert_eq!(column(&ann.get(&format!("{group}/questions?limit=1")).await.expect(200), "title"), [name]);
    }
}

async fn a_position_is_waited_for(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    for number in 1..=20 {
        let position = ann.patch(&group, json!({ "name": format!("Club {number}") })).await.expect(200);
        let bea = bea.with("circolo-min-position", position.header("circolo-position"));
        bea.get(&group).await.expect(200).expect_json(json!({ "name": format!("Club {number}") }));
    }
    for bad in ["-1", "x", "1.5", "99999999999999999999"] {
        ann.with("circolo-min-position", bad).get(&group).await.expect_problem(400, "bad_min_position");
    }
}

async fn pages_neither_skip_nor_repeat(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    for number in 0..7 {
        ask(&ann, &group, &format!("old {number}")).await;
    }
    let (mut titles, mut path) = (Vec::new(), format!("{group}/questions?limit=3&status=all"));
    loop {
        let page = ann.get(&path).await.expect(200);
        titles.extend(column(&page, "title"));
        // New things arrive, older ones change.
        ask(&ann, &group, &format!("new {}", titles.len())).await;
        let link = page.header("link").to_owned();
        let next = page.json()["next"].as_str().map(str::to_owned);
        let Some(next) = next else { break assert_eq!(link, "") };
        path = format!("{group}/questions?limit=3&status=all&after={next}");
        assert_eq!(link, format!("<{path}>; rel=\"next\""));
    }
    let expected: Vec<Value> = (0..7).rev().map(|number| json!(format!("old {number}"))).collect();
    assert_eq!(titles, expected);
}

async fn every_list_has_pages(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "request").await;
    let question = ask(&ann, &group, "Which?").await;
    for number in 0..3 {
        let person = world.person(&format!("Person {number}")).await;
        admit(&ann, &group, &person).await;
        person.post(&format!("{question}/answers"), json!({ "body": number.to_string() })).await.expect(201);
        promote(&ann, &group, &person, "admin").await;
        let other = found(&person, "public", "open").await;
        invite(&person, &other, &ann).await.expect(200);
        for list in ["join", "invite"] {
            let guest = world.person(&format!("Guest {number} to {list}")).await;
            match list {
                "join" => guest.post(&format!("{group}/join"), ()).await,
                _ => invite(&ann, &group, &guest).await,
            }
            .expect(200);
        }
        let outcast = world.person(&format!("Outcast {number}")).await;
        crate::given::ban(&ann, &group, &outcast).await.expect(200);
        ask(&ann, &group, &format!("And {number}?")).await;
    }
    let members = |status: &str| format!("{group}/members?status={status}&limit=");
    let paths = [
        ("/v1/groups?limit=".to_owned(), 4),
        ("/v1/me/invitations?limit=".to_owned(), 3),
        (members("member"), 4),
        (members("invited"), 3),
        (members("requested"), 3),
        (members("banned"), 3),
        (format!("{group}/questions?limit="), 4),
    ];
    let ann = up_to_date(&world, &ann).await;
    for (path, count) in &paths {
        let all = ann.get(&format!("{path}100")).await.expect(200);
        assert_eq!((all.items().len(), all.header("link")), (*count, ""), "{all}");
        assert_eq!(paged(&ann, &format!("{path}1"), Value::clone).await, all.items(), "{path}");
        // A cursor is for its own list.
        let cursor = ann.get(&format!("{path}1")).await.expect(200).json()["next"].as_str().unwrap().to_owned();
        let other = if path.contains("questions") { "/v1/groups?".to_owned() } else { format!("{group}/questions?") };
        ann.get(&format!("{other}after={cursor}")).await.expect_problem(400, "bad_cursor");
    }
    let answers = paged(&ann, &format!("{question}?limit=1"), |page| page["answers"].clone()).await;
    let bodies: Vec<_> = answers.iter().map(|answer| answer["body"].clone()).collect();
    assert_eq!(bodies, ["0", "1", "2"], "oldest first");
    for bad in ["0", "101", "-1", "x", "", "%2B1"] {
        ann.get(&format!("/v1/groups?limit={bad}")).await.expect_problem(400, "bad_query");
    }
}

/// All items of a list, page by page; `list` finds the list in the body.
async fn paged(reader: &Actor, path: &str, list: impl Fn(&Value) -> Value) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let page = list(&reader.get(&format!("{path}{next}")).await.expect(200).json());
        items.extend(page["items"].as_array().cloned().unwrap());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&after={cursor}"),
            None => return items,
        }
    }
}
