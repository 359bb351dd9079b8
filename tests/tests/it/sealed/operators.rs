//! Operators look after the keys of a running server: over the API, and with `circolo keys --url`.

use crate::backend::whole;
use circolo_domain::Span;
use circolo_events::store::kept;
use circolo_tests::{
    server::{Server, Storage, binary},
    stories,
    world::World,
};
use serde_json::{Value, json};
use std::process::Command;

stories!(keys_are_counted_rotated_and_wrapped_anew_while_people_are_served);

/// The line of one purpose and version: generation, alive, destroyed.
fn line(view: &Value, purpose: &str, version: u64) -> (u64, u64, u64) {
    let items = view["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["purpose"] == purpose && item["version"] == version);
    let found = found.unwrap_or_else(|| panic!("no {purpose} {version} in {view}"));
    let number = |name: &str| found[name].as_u64().unwrap();
    (number("generation"), number("alive"), number("destroyed"))
}

async fn keys_are_counted_rotated_and_wrapped_anew_while_people_are_served(world: World) {
    let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
    let operator = world.signed_in("otto", "operator");
    for nobody in [&ann, &world.anonymous()] {
        let status = if nobody.known_id().is_some() { 403 } else { 401 };
        nobody.get("/v1/operator/keys").await.expect(status);
        nobody.post("/v1/operator/keys/rotate", json!({})).await.expect(status);
        nobody.post("/v1/operator/keys/rewrap", ()).await.expect(status);
    }
    let view = operator.get("/v1/operator/keys").await.expect(200).json();
    assert_eq!((view["generation"].as_u64(), line(&view, "person", 1)), (Some(1), (1, 2, 0)));
    // One owner, at once.
    let owner = format!("person-{}", ann.id());
    let rotated = operator.post("/v1/operator/keys/rotate", json!({ "owner": owner })).await.expect(200).json();
    assert_eq!((&rotated["version"], &rotated["rotated"], &rotated["more"]), (&json!(2), &json!(1), &json!(false)));
    let group = json!({ "name": "Bakers", "privacy": "closed", "membership": "request" });
    let group = ann.post("/v1/groups", group).await.expect(201).location().to_owned();
    ann.post(&format!("{group}/posts"), json!({ "text": "Fresh." })).await.expect(201);
    let all = whole(&*kept(world.store()), 100).await;
    let post = all.iter().rfind(|stored| stored.event.event_type == "post.written.v1").unwrap();
    assert!(post.event.metadata.contains(&format!(r#""sealed":[{{"of":"{owner}","key":2,"#)), "{}", post.event.metadata);
    world.clock().advance(Span::seconds(1));
    // Everybody, and then under a new generation of the installation key.
    let rotated = operator.post("/v1/operator/keys/rotate", ()).await.expect(200).json();
    assert!(rotated["rotated"].as_u64().unwrap() >= 3 && rotated["more"] == false && rotated["before"].is_string(), "{rotated}");
    let rewrapped = operator.post("/v1/operator/keys/rewrap", ()).await.expect(200).json();
    assert_eq!((&rewrapped["generation"], &rewrapped["left"]), (&json!(2), &json!(0)));
    let carl = world.person("Carl").await;
    let view = operator.get("/v1/operator/keys").await.expect(200).json();
    assert!(view["items"].as_array().unwrap().iter().all(|item| item["generation"] == 2), "what is made now, too: {view}");
    assert_eq!((line(&view, "person", 1).1, line(&view, "person", 3)), (3, (2, 1, 0)));
    // What there is no key for is not told from what never was; who was forgotten gets no other one.
    operator.post("/v1/operator/keys/rotate", json!({ "owner": "person-nobody" })).await.expect_problem(404, "not_found");
    operator.post("/v1/operator/keys/rotate", json!({ "owner": "Nobody!" })).await.expect(422);
    operator.post("/v1/operator/keys/rotate", json!({ "key": 1 })).await.expect(422);
    let keys = world.store().sealing().unwrap().keys();
    keys.destroy(format!("person-{}", bob.id()).parse().unwrap()).await.unwrap();
    operator.post("/v1/operator/keys/rotate", json!({ "owner": format!("person-{}", bob.id()) })).await.expect_problem(409, "forgotten");
    // All that was said before and meanwhile opens.
    world.settled().await;
    for who in [&ann, &carl] {
        assert!(ann.get(&format!("/v1/people/{}", who.id())).await.expect(200).json()["display_name"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_asks_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    storage.run(&["simulate", "--people", "20", "--groups", "2", "--days", "5", "--events", "300"]);
    // Else the server may be stopped while it builds them.
    storage.run(&["projections", "build"]);
    let server = Server::start(&storage).await;
    let token = storage.token("otto", "operator");
    let keys = |arguments: &[&str]| {
        let output = Command::new(binary()).arg("keys").args(arguments).args(["--url", server.url(), "--token", &token]).output().unwrap();
        let all = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), all)
    };
    let (ok, status) = keys(&["status"]);
    assert!(ok && status.contains("at generation 1") && status.contains(" alive, 0 destroyed"), "{status}");
    let (ok, rotated) = keys(&["rotate"]);
    assert!(ok && rotated.contains("owners have a new version"), "{rotated}");
    let (ok, refused) = keys(&["rotate", "person-nobody"]);
    assert!(!ok && refused.contains("404"), "{refused}");
    let (ok, rewrapped) = keys(&["rewrap"]);
    assert!(ok && rewrapped.contains("all are under generation 2"), "{rewrapped}");
    let (ok, status) = keys(&["status"]);
    assert!(ok && status.contains("at generation 2") && status.contains("in 0 texts stand plain"), "{status}");
    server.stop().await;
    let offline = storage.run(&["keys", "status"]);
    assert!(offline.contains("at generation 2") && !offline.contains("older generation"), "{offline}");
    storage.run(&["projections", "verify", "--all"]);
}
