//! That the hunter is not blind: leaks that are planted into answers are found, each under its rule.

use super::{
    facts::Facts,
    hunt::everybody,
    judge::{Answer, Caller, Judge},
    requests::Asked,
    stage::Stage,
};
use circolo_tests::{
    actor::Reply,
    world::{Backend, World},
};
use serde_json::{Value, json};

/// A closed group, in which something was written, and then a public one.
async fn small() -> Stage {
    let mut stage = Stage::new(World::start(Backend::Memory).await.unwrap());
    for name in ["ann", "bea"] {
        stage.enter(name).await;
    }
    let body = json!({ "name": stage.mark(), "privacy": "secret", "membership": "invite_only" });
    let group = stage.post("ann", "/v1/groups", body).await.expect(201).location().to_owned();
    let text = json!({ "text": stage.mark() });
    let post = stage.post("ann", &format!("{group}/posts"), text).await.expect(201).location().to_owned();
    let text = json!({ "text": stage.mark() });
    stage.post("ann", &format!("{post}/comments"), text).await.expect(201);
    let body = json!({ "name": stage.mark(), "privacy": "public", "membership": "open" });
    let group = stage.post("ann", "/v1/groups", body).await.expect(201).location().to_owned();
    let text = json!({ "text": stage.mark() });
    stage.post("ann", &format!("{group}/posts"), text).await.expect(201);
    stage.world.settled().await;
    stage
}

/// The rules that an answer breaks when something else is in it than was sent.
async fn planted(stage: &Stage, facts: &Facts, path: &str, by: &str, plant: impl FnOnce(&mut Value)) -> Vec<&'static str> {
    let callers = everybody(stage, facts);
    let caller: &Caller = callers.iter().find(|caller| caller.name == by).unwrap();
    let mut reply: Reply = caller.actor.get(path).await.expect(200);
    let mut body = reply.json();
    plant(&mut body);
    reply.bytes = body.to_string().into();
    let asked = asked(path);
    let mut judge = Judge::new(facts);
    judge.judge(&Answer { caller, asked: &asked, reply: &reply });
    judge.found.rules()
}

fn asked(path: &str) -> Asked {
    let mut parts: Vec<&str> = path.split('/').collect();
    let mut ids = vec![];
    if let Some(part) = parts.get_mut(3) {
        ids.push(std::mem::replace(part, "{id}").to_owned());
    }
    Asked { template: parts.join("/"), ids, query: String::new(), paged: false }
}

#[tokio::test]
async fn what_is_planted_is_found() {
    let stage = small().await;
    let facts = Facts::of(&stage.world).await;
    let public = |reader: &super::rights::Reader, kind: &str| {
        let found = facts.things.iter().find(|(id, thing)| thing.kind == kind && facts.reads_thing(**id, reader));
        found.map(|(id, _)| *id)
    };
    let nobody = super::rights::Reader::default();
    let bea = super::rights::Reader { person: Some(stage.actor("bea").id()), registered: true, ..nobody.clone() };
    let post = public(&nobody, "post").unwrap();
    let hidden = facts.things.iter().find(|(id, _)| !facts.reads_thing(**id, &nobody)).map(|(id, _)| *id).unwrap();
    let path = format!("/v1/posts/{post}");
    let secret = facts.words.keys().find(|marker| facts.withholds(marker, &bea).is_some()).unwrap();
    let quiet = planted(&stage, &facts, &path, "bea", |_| {}).await;
    assert!(quiet.is_empty(), "an answer as it is: {quiet:?}");
    for (rule, field, value) in [
        ("words", "text", json!(secret)),
        ("ids", "id", json!(hidden)),
        ("unknown ids", "group_id", json!(uuid::Uuid::from_u128(5))),
        ("comment count", "comment_count", json!(1)),
        ("revision", "revision", json!(1)),
        ("versions", "version", json!(2)),
        ("versions", "edited_at", json!("2026-01-31T12:00:00.000000Z")),
        ("fields for some", "answered_privately", json!(false)),
    ] {
        let broken = planted(&stage, &facts, &path, "bea", |body| body[field] = value).await;
        assert!(broken.contains(&rule), "{field} was planted, and {broken:?} found");
    }
    let broken = planted(&stage, &facts, &path, "bea", |body| body["reactions"]["like"] = json!(1)).await;
    assert_eq!(broken, ["reactions"]);
    let broken = planted(&stage, &facts, "/v1/groups", "nobody", |body| body["items"][0]["description"] = json!(secret)).await;
    assert_eq!(broken, ["words"]);
}

#[tokio::test]
#[should_panic(expected = "the hunter does not know the figure likes_in_secret")]
async fn a_figure_that_is_new_fails_by_its_name() {
    let stage = small().await;
    let facts = Facts::of(&stage.world).await;
    planted(&stage, &facts, "/v1/groups", "nobody", |body| body["items"][0]["likes_in_secret"] = json!(3)).await;
}
