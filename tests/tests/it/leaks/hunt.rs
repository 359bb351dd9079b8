//! The hunt: everybody asks everything, and all answers are judged.

use super::{
    facts::Facts,
    findings::Findings,
    judge::{Answer, Caller, Judge},
    requests::{self, Asked, Breadth, MADE_UP},
    rights::Reader,
    stage::Stage,
};
use axum::body::Bytes;
use circolo_tests::{
    actor::{Actor, Reply},
    world::World,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Everybody on a stage, and those who are nobody there.
pub fn everybody(stage: &Stage, facts: &Facts) -> Vec<Caller> {
    let world = &stage.world;
    let caller = |name: &str, actor: Actor, scopes: &'static str| {
        let person = actor.known_id();
        let registered = person.is_some_and(|person| facts.people.contains(&person));
        Caller { name: name.to_owned(), actor, reader: Reader { person, registered, scopes } }
    };
    let strangers = [
        caller("nobody", world.anonymous(), ""),
        caller("a stranger", world.stranger("stranger"), ""),
        caller("an analyst", world.signed_in("analyst", "analyst"), "analyst"),
        caller("one who unmasks", world.signed_in("unmasker", "analyst analyst:unmask"), "analyst analyst:unmask"),
        caller("an operator", world.signed_in("operator", "operator"), "operator"),
    ];
    let cast = stage.cast.iter().map(|(name, actor)| caller(name, actor.clone(), ""));
    strangers.into_iter().chain(cast).collect()
}

/// Names of all projections.
async fn projections(world: &World) -> Vec<String> {
    let list = world.signed_in("operator", "operator").get("/v1/operator/projections").await.expect(200);
    list.items().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// Hunts through a world that stands still.
pub async fn hunt(stage: &Stage, breadth: Breadth) -> Findings {
    let facts = Facts::of(&stage.world).await;
    let asked = requests::all(&facts, breadth, projections(&stage.world).await);
    let mut judge = Judge::new(&facts);
    for caller in everybody(stage, &facts) {
        let mut unknown = BTreeMap::new();
        for asked in &asked {
            ask(&mut judge, &caller, asked, &mut unknown).await;
        }
        judge.told(&caller, caller.reader.person.is_none() || caller.reader.registered).await;
        lines(&mut judge, &caller).await;
    }
    judge.found
}

/// What must be equal where answers must not be told apart: also the order of headers.
type Visible = (u16, Vec<(String, Bytes)>, String);

fn visible(reply: &Reply, ids: &[String]) -> Visible {
    let passing = ["date", "x-request-id", "ratelimit", "ratelimit-policy", "retry-after"];
    let headers = reply.headers.iter().filter(|(name, _)| !passing.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes())));
    let text = String::from_utf8_lossy(&reply.bytes).into_owned();
    let text = ids.iter().fold(text, |text, id| text.replace(id.as_str(), &MADE_UP.to_string()));
    (reply.status.as_u16(), headers.collect(), text)
}

async fn ask(judge: &mut Judge<'_>, caller: &Caller, asked: &Asked, unknown: &mut BTreeMap<String, Visible>) {
    let reply = caller.actor.get(&asked.path()).await;
    judge.judge(&Answer { caller, asked, reply: &reply });
    if asked.query("as_of").is_some() && !caller.reader.registered {
        judge.found.check("past for the registered", reply.status.is_client_error(), || format!("{}: {reply}", caller.name));
    }
    let mut hidden = judge.hidden(asked, &caller.reader);
    let mut made_up = asked.clone();
    if let Some(comment) = asked.query("reply_to").and_then(|id| id.parse().ok())
        && !judge.facts.knows_thing(comment, &caller.reader)
    {
        made_up.query = format!("reply_to={MADE_UP}");
        hidden.push(true);
    }
    if hidden.contains(&true) {
        judge.found.hidden += 1;
        let path = made_up.made_up(&hidden);
        let ids: Vec<String> = asked.ids.iter().cloned().chain(asked.query("reply_to").map(str::to_owned)).collect();
        if !unknown.contains_key(&path) {
            unknown.insert(path.clone(), visible(&caller.actor.get(&path).await, &ids));
        }
        let (of_hidden, of_unknown) = (visible(&reply, &ids), &unknown[&path]);
        let invited = asked.query("as_of").is_some()
            && asked.id().is_some_and(|id| judge.facts.groups.contains_key(&id) && judge.facts.sees(id, &caller.reader));
        let rule = if invited { "times of secrecy" } else { "unknown is unknown" };
        // Who is not registered is told so of every time, whatever the group was then.
        let alike = if invited && !caller.reader.registered { matches!(of_hidden.0, 401 | 403) } else { of_hidden == *of_unknown };
        judge.found.check(rule, alike, || format!("{}: {reply} {of_hidden:?} but {path} is {of_unknown:?}", caller.name));
    }
    if asked.paged && asked.query.is_empty() && reply.status == 200 {
        turn_pages(judge, caller, asked).await;
    }
}

/// Reads a list to its end, a few at a time.
async fn turn_pages(judge: &mut Judge<'_>, caller: &Caller, asked: &Asked) {
    let mut after = String::new();
    loop {
        let asked = Asked { query: format!("limit=3{after}"), ..asked.clone() };
        let reply = caller.actor.get(&asked.path()).await;
        judge.judge(&Answer { caller, asked: &asked, reply: &reply });
        let body = reply.json();
        let list = if body["items"].is_null() { &body["answers"] } else { &body };
        let (items, next) = (list["items"].as_array().map_or(0, Vec::len), &list["next"]);
        let next = match next {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        // Who follows the log or the feed gets a place to go on from even where it ends.
        let follows = ["/v1/events", "/v1/operator/events", "/v1/changes"].contains(&asked.template.as_str());
        judge.found.check("pages", items > 0 || follows, || format!("{}: nothing, but more: {reply}", caller.name));
        if after == format!("&after={next}") || (follows && items == 0) {
            return;
        }
        after = format!("&after={next}");
    }
}

/// The log line by line, as analysts export it.
async fn lines(judge: &mut Judge<'_>, caller: &Caller) {
    let asked = Asked { template: "/v1/events".to_owned(), ids: vec![], query: String::new(), paged: false };
    let reply = caller.actor.with("accept", "application/x-ndjson").get("/v1/events").await;
    judge.judge(&Answer { caller, asked: &asked, reply: &reply });
}
