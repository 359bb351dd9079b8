//! Health tells the truth: ready is whoever answers a query that is asked now, and what cannot go on is seen by operators.

use crate::engine::{PATIENCE, Views};
use circolo_events::{EventStore, Memory};
use circolo_tests::{
    actor::{Actor, Reply},
    gated::Gated,
    postgres::shared_by_nodes,
    server::{Server, Storage, binary},
    world::{World, sealed},
};
use serde_json::{Value, json};
use std::{process::Command, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// What keeps the database from taking a row of the first build of questions.
const TRIGGER: [(&str, &str); 2] = [
    ("sqlite", "CREATE TRIGGER refuse BEFORE INSERT ON questions_v2__g1 BEGIN SELECT RAISE(ABORT, 'no room for questions'); END"),
    (
        "postgres",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room for questions'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON questions_v2__g1 FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
];

/// A log that can be shut, read models in one of the databases, and what may be asked.
struct Place {
    log: Arc<Gated<Memory>>,
    /// The same behind its keys.
    store: Arc<dyn EventStore>,
    views: Views,
    trigger: &'static str,
    /// Keeps the read models of the world that wrote the log.
    _first: TempDir,
    questions: String,
}

impl Place {
    /// Ann has asked a question in her group; no read models are built.
    async fn new(backend: usize) -> Option<Self> {
        let (name, trigger) = TRIGGER[backend];
        let views = Views::new(name).await?;
        let log = Arc::new(Gated::new(Memory::new(Uuid::from_u128(0x11EA))));
        let first = TempDir::new().unwrap();
        let db = circolo_projections::Db::sqlite(first.path().join("views.sqlite")).await.unwrap();
        let store = sealed(log.clone(), first.path()).await;
        let world = World::over(store.clone(), db).await;
        let ann = world.person("ann").await;
        let group = ann.post("/v1/groups", json!({ "name": "Bakers", "privacy": "public", "membership": "open" })).await.expect(201).id();
        let questions = format!("/v1/groups/{group}/questions");
        ann.post(&questions, json!({ "title": "Rye?", "body": "Why?" })).await.expect(201);
        world.settled().await;
        Some(Self { log, store, views, trigger, _first: first, questions })
    }

    async fn world(&self) -> World {
        World::over(self.store.clone(), self.views.open().await).await
    }
}

async fn ready(nobody: &Actor) -> Reply {
    nobody.get("/health/ready").await
}

/// Asks until the answer has these words.
async fn says(nobody: &Actor, status: u16, words: &str) {
    let began = Instant::now();
    loop {
        let reply = ready(nobody).await;
        let body = reply.json();
        let said = format!("{} {}", body["status"], body["detail"]);
        if reply.status == status && said.contains(words) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "never {status} with {words}: {reply}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn measured(nobody: &Actor) -> String {
    String::from_utf8(nobody.get("/metrics").await.expect(200).bytes.to_vec()).unwrap()
}

/// The newest build of `name`.
async fn build(op: &Actor, name: &str) -> Value {
    let builds = op.get("/v1/operator/projections").await.expect(200).items();
    builds.into_iter().rfind(|build| build["name"] == name).unwrap()
}

/// How the reaction stands that refuses requests, once it is so.
async fn reaction_until(op: &Actor, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let list = op.get("/v1/operator/projections").await.expect(200).json();
        let found = list["reactions"].as_array().unwrap().iter().find(|reaction| reaction["name"] == "refuse_requests").unwrap();
        if is_so(found) {
            return found.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{found}");
        sleep(Duration::from_millis(50)).await;
    }
}

macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(place) = super::Place::new(0).await {
                    Box::pin(super::$case(place)).await;
                }
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(place) = super::Place::new(1).await {
                    Box::pin(super::$case(place)).await;
                }
            })*
        }
    };
}

on_both! {
    nobody_is_ready_while_a_read_model_is_built_or_cannot_be,
    what_the_database_refuses_stops_one_read_model_alone,
    nobody_is_ready_while_the_read_models_do_not_follow,
    a_reaction_that_fails_is_seen,
}

async fn nobody_is_ready_while_a_read_model_is_built_or_cannot_be(place: Place) {
    place.log.shut(true);
    let world = place.world().await;
    let (ann, op, nobody) = (world.stranger("ann"), world.signed_in("op", "operator"), world.anonymous());
    says(&nobody, 503, "is being built").await;
    ann.get(&place.questions).await.expect_problem(503, "projection_building");
    place.views.tamper(place.trigger).await;
    place.log.shut(false);
    says(&nobody, 503, "projection questions could not be built").await;
    ann.get(&place.questions).await.expect_problem(503, "projection_failed");
    // All others are there, and why this one is not is told everywhere.
    ann.get("/v1/groups").await.expect(200);
    let failed = build(&op, "questions").await;
    assert_eq!((&failed["state"], &failed["incomplete"]), (&json!("failed"), &json!(true)), "{failed}");
    assert!(failed["reason"].as_str().unwrap().contains("no room for questions"), "{failed}");
    let figures = measured(&nobody).await;
    assert!(figures.contains(r#"circolo_projection_state{projection="questions",version="2",build="1",state="failed"} 1"#), "{figures}");
    assert!(!figures.contains(r#"circolo_projection_progress{projection="questions""#), "what gave up is no rebuild that stands still");
    // Mended, and built.
    op.post("/v1/operator/projections/questions/rebuild", ()).await.expect(202);
    says(&nobody, 200, "ready").await;
    assert_eq!(ann.get(&place.questions).await.expect(200).items().len(), 1);
    assert!(!measured(&nobody).await.contains(r#"state="failed""#));
}

async fn what_the_database_refuses_stops_one_read_model_alone(place: Place) {
    let world = place.world().await;
    let (ann, op, nobody) = (world.stranger("ann"), world.signed_in("op", "operator"), world.anonymous());
    says(&nobody, 200, "ready").await;
    place.views.tamper(place.trigger).await;
    ann.post(&place.questions, json!({ "title": "Wheat?", "body": "Why?" })).await.expect(201);
    let group = ann.post("/v1/groups", json!({ "name": "Millers", "privacy": "public", "membership": "open" })).await.expect(201).id();
    ann.get(&format!("/v1/groups/{group}")).await.expect(200);
    let names = ann.get("/v1/groups").await.expect(200).items();
    assert!(names.iter().any(|group| group["name"] == "Millers"), "{names:?}");
    let stopped = build(&op, "questions").await;
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert!(stopped["reason"].as_str().unwrap().contains("no room for questions"), "{stopped}");
    says(&nobody, 200, "ready").await;
    op.post("/v1/operator/projections/questions/rebuild", ()).await.expect(202);
    world.app().projector().settled().await;
    assert_eq!(ann.get(&place.questions).await.expect(200).items().len(), 2);
}

async fn nobody_is_ready_while_the_read_models_do_not_follow(place: Place) {
    let world = place.world().await;
    let (ann, nobody) = (world.stranger("ann"), world.anonymous());
    says(&nobody, 200, "ready").await;
    place.log.shut(true);
    // Who waits for the gate now sees no more than this.
    let asked = ann.with("prefer", "return=minimal").post(&place.questions, json!({ "title": "Wheat?", "body": "Why?" })).await.expect(201);
    says(&nobody, 503, "do not follow the log").await;
    place.log.shut(false);
    says(&nobody, 200, "ready").await;
    ann.with("circolo-min-position", asked.header("circolo-position")).get(&place.questions).await.expect(200);
}

async fn a_reaction_that_fails_is_seen(place: Place) {
    let world = place.world().await;
    let (ann, op, nobody) = (world.stranger("ann"), world.signed_in("op", "operator"), world.anonymous());
    let group = place.questions.strip_suffix("/questions").unwrap();
    world.settled().await;
    place.log.fail(true);
    ann.patch(group, json!({ "privacy": "secret", "membership": "invite_only" })).await.expect(200);
    let failing = reaction_until(&op, |found| found["failing"] == true && found["failure"]["times"].as_i64() > Some(1)).await;
    assert!(failing["lag_events"].as_i64() > Some(0) && failing["position"].as_i64() < failing["head"].as_i64(), "{failing}");
    assert_eq!(failing["failure"]["error"], "the log cannot be reached: the index is away");
    let figures = measured(&nobody).await;
    for figure in
        [r#"failing{reaction="refuse_requests"} 1"#, r#"failing{reaction="complete_flows"} 0"#, r#"failures{reaction="refuse_requests"}"#]
    {
        assert!(figures.contains(&format!("circolo_reaction_{figure}")), "{figure}: {figures}");
    }
    // Queries are answered all the same.
    says(&nobody, 200, "ready").await;
    place.log.fail(false);
    let over = reaction_until(&op, |found| found["failing"] == false && found["lag_events"] == 0).await;
    assert_eq!(over["failure"]["error"], failing["failure"]["error"], "the last failure is remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_misspells_a_projection_is_told_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let server = Server::start(&storage).await;
    let token = storage.token("otto", "operator");
    for verb in ["rebuild", "verify", "pause", "resume", "switch", "rollback", "cancel", "drop", "parked"] {
        let asked =
            Command::new(binary()).args(["projections", verb, "nothing", "--url", server.url(), "--token", &token]).output().unwrap();
        let complaint = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(!asked.status.success() && complaint.contains("no projection is called nothing"), "{verb}: {complaint}");
    }
    let listed = Command::new(binary()).args(["projections", "list", "--url", server.url(), "--token", &token]).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("complete_flows"));
    server.stop().await;
    // Without a server the same are named.
    assert!(storage.run(&["projections", "list"]).contains("complete_flows"));
}

/// A node is killed that moved the read models: until another one moves them, it is not ready for what was written meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_ready_once_somebody_moves_the_read_models() {
    let Some(url) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(url) };
    let first = Server::start(&storage).await;
    let second = Server::start(&storage).await;
    let (client, token) = (reqwest::Client::new(), storage.token("ann", ""));
    let ask = async |path: &str, position: &str| {
        let request = client.get(format!("{}{path}", second.url())).bearer_auth(&token).header("circolo-min-position", position);
        request.send().await.unwrap().status().as_u16()
    };
    let write = async |path: &str, body: Value| {
        let request = client.post(format!("{}{path}", second.url())).bearer_auth(&token).header("prefer", "return=minimal").json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.headers()["circolo-position"].to_str().unwrap().to_owned()
    };
    write("/v1/people", json!({ "display_name": "Ann" })).await;
    let becomes_ready = async || while ask("/health/ready", "0").await != 200 {};
    timeout(PATIENCE, becomes_ready()).await.unwrap();
    first.kill().await;
    let position = write("/v1/groups", json!({ "name": "Bakers", "privacy": "public", "membership": "open" })).await;
    // The lease of the killed one still holds, and whoever asks is told so.
    let told = ask("/health/ready", "0").await;
    assert_eq!(told, 503, "nobody moves the read models");
    timeout(PATIENCE, becomes_ready()).await.unwrap();
    let began = Instant::now();
    assert_eq!(ask("/v1/groups", &position).await, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
