//! Bad input: each kind answered with its own code, nothing appended, nothing private in the server's own log.

use crate::given::{UNKNOWN, ask, found};
use axum::{
    body::Body,
    http::{Method, Request, header},
};
use circolo::{auth::Claims, keys::Keys};
use circolo_domain::Span;
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::{Backend, World},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use tracing::instrument::WithSubscriber;

stories!(
    bodies_that_break_rules_name_their_fields,
    bodies_that_cannot_be_read,
    names_that_stand_twice,
    paths_queries_and_headers_that_cannot_be_read,
    times_at_the_ends_of_the_calendar,
    lines_end_as_here_and_names_in_what_is_seen,
    tokens_that_do_not_hold,
);

/// What must not be told to anybody, in bodies, queries and tokens.
const PRIVATE: &str = "hunter2";

/// A world with a group and a question in it, and somebody who may do everything there.
async fn place(world: &World) -> (Actor, String, String) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "closed", "request").await;
    let question = ask(&ann, &group, "Which?").await;
    (ann, group, question)
}

/// Sends a body; the answer must be a 422 that names this field and code.
async fn invalid(actor: &Actor, method: Method, path: &str, body: Value, field: &str, code: &str) {
    let reply = actor.send(method, path, body).await.expect_problem(422, "invalid_request");
    let named = &reply.json()["fields"][0];
    assert_eq!((named["field"].as_str(), named["code"].as_str()), (Some(field), Some(code)), "{reply}");
    assert!(!reply.to_string().contains(PRIVATE), "values are not repeated: {reply}");
}

/// Bodies that are in order, by endpoint, with what may be done wrong in them.
fn bodies(group: &str, question: &str) -> Vec<(Method, String, Value)> {
    let of_group = |path: &str| format!("{group}/{path}");
    vec![
        (Method::POST, "/v1/people".to_owned(), json!({ "display_name": "Ann", "locale": "it" })),
        (Method::POST, "/v1/groups".to_owned(), json!({ "name": "Alps", "description": "Up", "privacy": "public", "membership": "open" })),
        (
            Method::PATCH,
            group.to_owned(),
            json!({
                "name": "Alps", "description": "Up", "privacy": "public", "membership": "open", "members_invite": true,
                "member_list_public": true, "history": "all",
            }),
        ),
        (Method::PUT, of_group(&format!("members/{UNKNOWN}/role")), json!({ "role": "admin" })),
        (Method::POST, of_group("invitations"), json!({ "person_id": UNKNOWN })),
        (Method::POST, of_group(&format!("requests/{UNKNOWN}/refuse")), json!({ "reason": "Full" })),
        (Method::PUT, of_group(&format!("bans/{UNKNOWN}")), json!({ "reason": "spam", "until": "2099-01-01T00:00:00Z" })),
        (Method::POST, of_group("questions"), json!({ "title": "Which?", "body": "?" })),
        (Method::POST, format!("{question}/answers"), json!({ "body": "!" })),
        (Method::PUT, format!("{question}/accepted"), json!({ "answer_id": UNKNOWN })),
    ]
}

/// Times that are none in UTC, and are none of the calendar's.
const BEYOND: [&str; 2] = ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"];

/// Values that no field of this kind takes, each with the code that says so.
fn wrong_values(field: &str) -> Vec<(Value, &'static str)> {
    let long = |most: usize| Value::from("x".repeat(most + 1));
    let text = |most: usize| {
        let (control, turned) = (format!("{PRIVATE}\u{0}"), format!("{PRIVATE}\u{202e}"));
        let blank = [" \n ", "\u{200b}", "\u{3164}", "\u{2800}", "\u{e0041}\u{e007f}"].map(|blank| (json!(blank), "empty"));
        let others =
            vec![(json!(7), "wrong_type"), (json!(control), "control_character"), (json!(turned), "invisible"), (long(most), "too_long")];
        [blank.to_vec(), others].concat()
    };
    match field {
        "display_name" => text(80),
        "name" => [text(80), vec![(json!("x"), "too_short")]].concat(),
        "title" => text(200),
        "body" => text(10_000),
        "description" | "reason" => text(5_000),
        "locale" => vec![(json!(7), "wrong_type"), (json!(PRIVATE), "bad_locale")],
        "privacy" | "membership" | "history" | "role" => vec![(json!(PRIVATE), "unknown_value"), (json!(7), "wrong_type")],
        "members_invite" | "member_list_public" => vec![(json!(PRIVATE), "wrong_type"), (json!(1), "wrong_type")],
        "person_id" | "answer_id" => vec![(json!(PRIVATE), "bad_uuid"), (json!(7), "wrong_type"), (json!([]), "wrong_type")],
        "until" => {
            [vec![(json!(7), "wrong_type")], [PRIVATE, BEYOND[0], BEYOND[1]].map(|time| (json!(time), "bad_time")).to_vec()].concat()
        }
        other => panic!("{other} is new: say what it does not take"),
    }
}

async fn bodies_that_break_rules_name_their_fields(world: World) {
    let (ann, group, question) = place(&world).await;
    let head = world.store().head().await.unwrap();
    for (method, path, good) in bodies(&group, &question) {
        let mut unknown = good.clone();
        unknown["colour"] = json!(PRIVATE);
        invalid(&ann, method.clone(), &path, unknown, "colour", "unknown_field").await;
        for whole in [json!([PRIVATE]), json!(PRIVATE), Value::Null] {
            invalid(&ann, method.clone(), &path, whole, "", "wrong_type").await;
        }
        for field in good.as_object().unwrap().keys() {
            for (wrong, code) in wrong_values(field) {
                let mut body = good.clone();
                body[field] = wrong;
                invalid(&ann, method.clone(), &path, body, field, code).await;
            }
            let optional =
                ["locale", "description", "until"].contains(&field.as_str()) || method == Method::PATCH || path.contains("/refuse");
            if !optional {
                let mut body = good.clone();
                body.as_object_mut().unwrap().remove(field);
                invalid(&ann, method.clone(), &path, body, field, "missing").await;
            }
        }
    }
    assert_eq!(world.store().head().await.unwrap(), head);
}

async fn raw(actor: &Actor, path: &str, media_type: Option<&str>, body: impl Into<Body>) -> Reply {
    let mut request = Request::post(path);
    if let Some(media_type) = media_type {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    actor.raw(request.body(body.into()).unwrap()).await
}

async fn bodies_that_cannot_be_read(world: World) {
    let (ann, group, question) = place(&world).await;
    let head = world.store().head().await.unwrap();
    let json = Some("application/json");
    for path in ["/v1/groups".to_owned(), format!("{group}/questions"), format!("{question}/answers")] {
        let deep = "[".repeat(100_000);
        for broken in ["", "{", "{\"body\": \"hunter2", "nothing", "{} {}", "{\"body\": \"\\ud800\"}", &deep] {
            let reply = raw(&ann, &path, json, broken.to_owned()).await.expect_problem(400, "malformed_json");
            assert!(!reply.to_string().contains(PRIVATE), "{reply}");
        }
        raw(&ann, &path, json, b"{\"body\": \"\xff\"}".to_vec()).await.expect_problem(400, "malformed_json");
        let large = format!("{{\"body\": \"{}\"}}", "x".repeat(300_000));
        raw(&ann, &path, json, large).await.expect_problem(413, "body_too_large");
        for media_type in [None, Some("text/plain"), Some("application/jsonx"), Some("application/x-www-form-urlencoded")] {
            raw(&ann, &path, media_type, "{\"body\": \"hunter2\"}").await.expect_problem(415, "unsupported_media_type");
        }
    }
    raw(&ann, &format!("{question}/answers"), Some("application/json; charset=utf-8"), "{\"body\": \"!\"}").await.expect(201);
    assert_eq!(crate::backend::whole(&**world.store(), 1_000).await.iter().filter(|event| event.position > head).count(), 1);
}

async fn paths_queries_and_headers_that_cannot_be_read(world: World) {
    let (ann, group, question) = place(&world).await;
    let head = world.store().head().await.unwrap();
    for bad in ["x", "123", &PRIVATE.repeat(9), "%00", "%FF", "..%2F.."] {
        for path in ["/v1/people/{}", "/v1/groups/{}", "/v1/groups/{}/members", "/v1/groups/{}/questions", "/v1/questions/{}"] {
            ann.get(&path.replace("{}", bad)).await.expect_problem(400, "bad_path");
        }
        ann.post(&format!("/v1/groups/{bad}/join"), ()).await.expect_problem(400, "bad_path");
        ann.delete(&format!("{group}/members/{bad}")).await.expect_problem(400, "bad_path");
    }
    let (members, questions) = (format!("{group}/members"), format!("{group}/questions"));
    let all = world.signed_in("Ann", "analyst operator");
    all.post("/v1/operator/projections/groups/parked/%00/skip", json!({ "reason": "?" })).await.expect_problem(400, "bad_path");
    all.get("/v1/operator/projections/%00/parked").await.expect_problem(400, "bad_path");
    for (path, query, field) in [
        (&members, "status=hunter2", "status"),
        (&members, "limit=0", "limit"),
        (&members, "limit=hunter2", "limit"),
        (&members, "colour=hunter2", "colour"),
        (&questions, "status=hunter2", "status"),
        (&questions, "older_than_hours=-1", "older_than_hours"),
        (&questions, "older_than_hours=hunter2", "older_than_hours"),
        (&questions, "older_than_hours=1000001", "older_than_hours"),
        (&questions, "limit=1&limit=2", "limit"),
        (&question, "limit=101", "limit"),
        (&"/v1/groups".to_owned(), "colour=hunter2", "colour"),
        (&"/v1/groups".to_owned(), "q=hunter2%00", "q"),
        (&"/v1/events".to_owned(), "stream=%00", "stream"),
        (&"/v1/operator/events".to_owned(), "stream=group-%00&limit=1", "stream"),
    ] {
        let reply = all.get(&format!("{path}?{query}")).await.expect_problem(400, "bad_query");
        assert_eq!(reply.json()["fields"][0]["field"], field, "{reply}");
        assert!(!reply.json().to_string().contains(PRIVATE), "{reply}");
    }
    for path in [&members, &questions, &question, &"/v1/groups".to_owned(), &"/v1/me/invitations".to_owned()] {
        for cursor in ["x", "", "hunter2hunter2", "AAAAAAAAAAAA", &"A".repeat(5_000)] {
            ann.get(&format!("{path}?after={cursor}")).await.expect_problem(400, "bad_cursor");
        }
    }
    ann.get("/v1/tomatoes").await.expect_problem(404, "no_such_route");
    ann.delete("/v1/groups").await.expect_problem(405, "method_not_allowed");
    assert_eq!(world.store().head().await.unwrap(), head);
}

async fn names_that_stand_twice(world: World) {
    let (ann, group, question) = place(&world).await;
    let head = world.store().head().await.unwrap();
    let json = Some("application/json");
    for (path, body, field) in [
        (format!("{group}/questions"), r#"{"title":"hunter2","body":"?","title":"Which?"}"#, "title"),
        (format!("{question}/answers"), r#"{"body":"!","\u0062ody":"!"}"#, "body"),
        (
            format!("{group}/listings"),
            r#"{"title":"Skis","price":{"amount_minor":1,"amount_minor":2,"currency":"EUR"}}"#,
            "price.amount_minor",
        ),
    ] {
        let reply = raw(&ann, &path, json, body).await.expect_problem(422, "invalid_request");
        assert_eq!(
            (&reply.json()["fields"][0]["field"], &reply.json()["fields"][0]["code"]),
            (&json!(field), &json!("duplicate")),
            "{reply}"
        );
        assert!(!reply.to_string().contains(PRIVATE), "{reply}");
    }
    assert_eq!(world.store().head().await.unwrap(), head);
}

/// Every parameter of the description that is a time: where, and its name.
fn times() -> Vec<(String, String)> {
    let description: Value = serde_json::from_str(include_str!("../../../openapi.json")).unwrap();
    let mut found = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for parameter in operations["get"]["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" && parameter["schema"]["format"] == "date-time" {
                found.push((path.clone(), parameter["name"].as_str().unwrap().to_owned()));
            }
        }
    }
    found
}

async fn times_at_the_ends_of_the_calendar(world: World) {
    let (ann, group, _) = place(&world).await;
    let analyst = world.signed_in("Ann", "analyst operator");
    let times = times();
    assert!(times.len() >= 8, "{times:?}");
    for (path, parameter) in times {
        let path = path.replace("{id}", group.rsplit('/').next().unwrap());
        for beyond in BEYOND {
            let reply = analyst.get(&format!("{path}?{parameter}={beyond}")).await.expect_problem(400, "bad_query");
            assert_eq!(reply.json()["fields"][0]["code"], "bad_time", "{path}: {reply}");
        }
        for within in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999%2B14:00", "0001-01-01T00:00:00Z", "0000-12-31T23:59:59-23:59"]
        {
            let reply = analyst.get(&format!("{path}?{parameter}={within}")).await;
            assert!(!reply.status.is_server_error(), "{path}?{parameter}={within}: {reply}");
        }
    }
    for edge in ["from=9223372036854775807", "from=-9223372036854775808", "to=9223372036854775807", "to=-9223372036854775808"] {
        analyst.get(&format!("/v1/events?{edge}")).await.expect(200);
    }
    analyst.get("/v1/operator/events?after=9223372036854775807").await.expect(200);
    analyst.get("/v1/events?from=9223372036854775808").await.expect_problem(400, "bad_query");
    ann.with("if-match", "\"18446744073709551615\"").patch(&group, json!({ "name": "Alps" })).await.expect_problem(412, "revision_changed");
    ann.get(&format!("{group}/questions?older_than_hours=1000000")).await.expect(200);
}

async fn lines_end_as_here_and_names_in_what_is_seen(world: World) {
    let ann = world.person("\u{200b}Ann\u{3164}").await;
    ann.get(&format!("/v1/people/{}", ann.id())).await.expect(200).expect_json(json!({ "display_name": "Ann" }));
    let body = json!({ "name": "\u{2800}Alps\u{200d}", "description": "Up\r\nand\rdown\r\n", "privacy": "public", "membership": "open" });
    let group = ann.post("/v1/groups", body).await.expect(201).location().to_owned();
    ann.get(&group).await.expect(200).expect_json(json!({ "name": "Alps", "description": "Up\nand\ndown" }));
    let heart = "Io \u{2764}\u{fe0f}";
    ann.patch(&group, json!({ "name": heart })).await.expect(200);
    ann.get(&group).await.expect(200).expect_json(json!({ "name": heart }));
}

/// Tokens that must not be believed, all with [`PRIVATE`] in them.
fn bad_tokens(world: &World) -> Vec<String> {
    let now = world.clock().now().micros() / 1_000_000;
    let keys = world.app().auth().keys();
    let claims = Claims { sub: PRIVATE.to_owned(), exp: now + 60, ..Claims::default() };
    let good = keys.sign(&claims).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    vec![
        keys.sign(&Claims { exp: now, ..claims.clone() }).unwrap(),
        keys.sign(&Claims { nbf: Some(now + 30), ..claims.clone() }).unwrap(),
        Keys::from_seed(&[8; 32]).unwrap().sign(&claims).unwrap(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)),
        format!("{}.{}", parts[0], parts[1]),
        PRIVATE.to_owned(),
        String::new(),
        "x".repeat(10_000),
    ]
}

async fn tokens_that_do_not_hold(world: World) {
    let (ann, group, question) = place(&world).await;
    let head = world.store().head().await.unwrap();
    for token in bad_tokens(&world) {
        let actor = world.anonymous().with("authorization", &format!("Bearer {token}"));
        // Refused whatever is asked, also what is public or not there.
        for path in ["/v1/me", "/v1/groups", &group, &question, &format!("/v1/groups/{UNKNOWN}")] {
            let reply = actor.get(path).await.expect_problem(401, "bad_token");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
        actor.post("/v1/people", json!({ "display_name": "Mallory" })).await.expect_problem(401, "bad_token");
        actor.post(&format!("{group}/join"), ()).await.expect_problem(401, "bad_token");
    }
    for header in ["hunter2", "Basic aHVudGVyMg==", "Bearer"] {
        world.anonymous().with("authorization", header).get("/v1/me").await.expect_problem(401, "bad_token");
    }
    // What was believed a moment ago is not when its time is over.
    let exp = world.clock().now().micros() / 1_000_000 + 60;
    let token = world.app().auth().keys().sign(&Claims { sub: "Ann".to_owned(), exp, ..Claims::default() }).unwrap();
    let soon = world.anonymous().with("authorization", &format!("Bearer {token}"));
    soon.get("/v1/me").await.expect(200).expect_json(json!({ "id": ann.id() }));
    world.clock().advance(Span::seconds(60));
    soon.get("/v1/me").await.expect_problem(401, "bad_token");
    assert_eq!(world.store().head().await.unwrap(), head);
}

/// What the server writes into its own log, as text.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_private_is_logged() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    async {
        let world = World::start(Backend::Memory).await.unwrap();
        let (ann, group, question) = place(&world).await;
        for token in bad_tokens(&world) {
            world.anonymous().with("authorization", &format!("Bearer {token}")).get("/v1/me").await.expect(401);
        }
        for (method, path, good) in bodies(&group, &question) {
            for field in good.as_object().unwrap().keys() {
                let mut body = good.clone();
                body[field] = json!(PRIVATE);
                ann.send(method.clone(), &path, body).await;
            }
        }
        raw(&ann, "/v1/groups", Some("application/json"), "{\"name\": \"hunter2").await.expect(400);
        raw(&ann, "/v1/groups", Some("text/hunter2"), "hunter2").await.expect(415);
        ann.get("/v1/groups?q=hunter2&limit=hunter2").await.expect(400);
        ann.get("/v1/groups?q=hunter2").await.expect(200);
        ann.get("/v1/groups/hunter2").await.expect(400);
        ann.with("idempotency-key", PRIVATE).patch(&group, json!({ "description": PRIVATE })).await.expect(200);
    }
    .with_subscriber(subscriber)
    .await;
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("token refused"), "something is logged: {text}");
    let line = text.lines().find(|line| line.contains(PRIVATE));
    assert_eq!(line, None);
}
