//! Sends pairs of commands at one moment, and in both orders to other copies of the same thing, and compares what came of it.

use super::table::{Act, Copy, TABLES, Table};
use crate::given::{admit, found, promote, up_to_date};
use circolo_domain::{Span, Timestamp};
use circolo_tests::{
    actor::{Actor, Reply},
    world::World,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};
use tokio::sync::Barrier;

/// Everybody who acts.
pub type People = BTreeMap<&'static str, Actor>;

/// A pair that came to what no order comes to: its name, and what it came to.
pub type Lost = (String, String);

/// The cast of all races.
pub async fn people(world: &World) -> People {
    let mut people = People::from([("nobody", world.anonymous())]);
    for name in ["ann", "bea", "mona", "max", "sue"] {
        people.insert(name, world.person(name).await);
    }
    people
}

/// How far copies are apart: nobody invites or founds more in a day than they may.
const APART: Span = Span::hours(3);

/// A group as all races in groups begin with it.
pub async fn group(world: &World, people: &People) -> Copy {
    world.clock().advance(APART);
    let ann = &people["ann"];
    let group = found(ann, "public", "request").await;
    for name in ["bea", "mona", "max"] {
        admit(ann, &group, &people[name]).await;
    }
    promote(ann, &group, &people["bea"], "admin").await;
    promote(ann, &group, &people["mona"], "moderator").await;
    within(people, [("group", group)])
}

/// A page as all races on pages begin with it.
pub async fn page(world: &World, people: &People, number: usize) -> Copy {
    world.clock().advance(APART);
    let (ann, username) = (&people["ann"], format!("page{number:06}"));
    let page = ann.post("/v1/pages", json!({ "name": "Forno", "username": username })).await.expect(201).location().to_owned();
    let bea = &people["bea"];
    ann.put(&format!("{page}/staff/{}", bea.id()), json!({ "role": "owner" })).await.expect(200);
    bea.post(&format!("{page}/staff/{}/accept", bea.id()), ()).await.expect(200);
    within(people, [("page", page), ("username", username)])
}

fn within<const N: usize>(people: &People, places: [(&'static str, String); N]) -> Copy {
    let mut copy = Copy::default();
    copy.places.extend(places);
    let ids = people.iter().filter_map(|(name, actor)| Some((*name, actor.known_id()?.to_string())));
    copy.places.extend(ids);
    copy
}

/// What a pair came to: its answers, and what can be read then.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    answers: [String; 2],
    reads: Vec<String>,
}

struct Race<'a> {
    world: &'a World,
    people: &'a People,
    copies: usize,
}

/// Pairs of all tables, each or every so many; those that were lost.
pub async fn all(world: &World, every: usize, rounds: usize) -> Vec<Lost> {
    let people = people(world).await;
    let mut race = Race { world, people: &people, copies: 0 };
    let (mut lost, mut judged) = (vec![], 0);
    for table in TABLES {
        for pair in race.pairs(table).await.into_iter().step_by(every) {
            judged += 1;
            lost.extend(race.pair(table, pair, rounds).await);
        }
    }
    println!("judged: {judged} pairs of commands, {} lost", lost.len());
    for (name, _) in &lost {
        println!("  lost: {name}");
    }
    lost
}

/// The name of a pair.
fn name(table: &Table, acts: [Act; 2]) -> String {
    let name = |Act(who, operation, how): Act| format!("{who} {operation} {how:?}");
    format!("{}: {} | {}", table.name, name(acts[0]), name(acts[1]))
}

impl Race<'_> {
    async fn pair(&mut self, table: &Table, acts: [Act; 2], rounds: usize) -> Option<Lost> {
        let orders = [self.in_order(table, acts, [0, 1]).await, self.in_order(table, acts, [1, 0]).await];
        for round in 0..rounds {
            let copy = self.before(table).await;
            let answers = self.at_once(&copy, acts, round).await;
            let outcome = self.outcome(table, &copy, answers).await;
            if !orders.contains(&outcome) {
                let mut text = format!("{:?}", outcome.answers);
                for order in &orders {
                    let _ = write!(text, ", an order: {:?}", order.answers);
                    let differing = outcome.reads.iter().zip(&order.reads).find(|(one, other)| one != other);
                    let _ = write!(text, " {differing:?}");
                }
                return Some((name(table, acts), text));
            }
        }
        None
    }

    async fn before(&mut self, table: &Table) -> Copy {
        self.copies += 1;
        let on_page = table.reads.iter().any(|(_, path)| path.contains("{page}"));
        let Self { world, people, .. } = *self;
        let mut copy = if on_page { page(world, people, self.copies).await } else { group(world, people).await };
        for act in table.before {
            let reply = copy.send(&self.people[act.0], *act).await;
            assert!(reply.status.is_success(), "{}: {reply}", table.name);
            copy.remember(*act, &reply);
        }
        copy
    }

    /// Two of a table's commands each. Where neither is accepted alone nothing happens, and nothing races.
    async fn pairs(&mut self, table: &Table) -> Vec<[Act; 2]> {
        let mut accepted = vec![];
        for act in table.acts {
            let copy = self.before(table).await;
            accepted.push(copy.send(&self.people[act.0], *act).await.status.is_success());
        }
        let numbers = 0..table.acts.len();
        let pairs = numbers.clone().flat_map(|one| numbers.clone().skip(one).map(move |other| (one, other)));
        pairs.filter(|(one, other)| accepted[*one] || accepted[*other]).map(|(one, other)| [table.acts[one], table.acts[other]]).collect()
    }

    async fn in_order(&mut self, table: &Table, acts: [Act; 2], order: [usize; 2]) -> Outcome {
        let copy = self.before(table).await;
        let mut replies: [Option<Reply>; 2] = [None, None];
        for number in order {
            replies[number] = Some(copy.send(&self.people[acts[number].0], acts[number]).await);
        }
        self.outcome(table, &copy, replies.map(Option::unwrap)).await
    }

    /// Both at one moment: by turns on one thread, which leaves each where it first waits, or on two threads.
    async fn at_once(&self, copy: &Copy, acts: [Act; 2], round: usize) -> [Reply; 2] {
        let [one, other] = acts.map(|act| (self.people[act.0].clone(), act));
        let yields = round / 2;
        if round.is_multiple_of(2) {
            let late = async {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                copy.send(&other.0, other.1).await
            };
            let (one, other) = tokio::join!(copy.send(&one.0, one.1), late);
            return [one, other];
        }
        let start = Arc::new(Barrier::new(2));
        let tasks = [one, other].map(|(actor, act)| {
            let (start, copy) = (start.clone(), copy.clone());
            tokio::spawn(async move {
                start.wait().await;
                copy.send(&actor, act).await
            })
        });
        let [one, other] = tasks;
        [one.await.unwrap(), other.await.unwrap()]
    }

    async fn outcome(&self, table: &Table, copy: &Copy, answers: [Reply; 2]) -> Outcome {
        self.world.settled().await;
        let mut reads = vec![];
        for (who, path) in table.reads {
            let reader = up_to_date(self.world, &self.people[who]).await;
            let reply = reader.get(&copy.fill(path)).await;
            reads.push(format!("{who} {path}: {}", bare(&reply, copy, self.world.clock().now(), table.followed)));
        }
        Outcome { answers: answers.map(|reply| code(&reply, table.followed)), reads }
    }
}

/// What an answer says of a command. How the thing stands is told by what is read then. Between the two appends of a flow somebody
/// who goes is a plain member for a moment: they may not, and why not is told by what they are then (docs/adr/0003).
fn code(reply: &Reply, followed: bool) -> String {
    let body: Value = serde_json::from_slice(&reply.bytes).unwrap_or_default();
    if followed && reply.status == 403 {
        return reply.status.as_u16().to_string();
    }
    let revision = if followed { &Value::Null } else { &body["revision"] };
    format!("{} {} {revision}", reply.status.as_u16(), body["code"])
}

/// An answer at `now` without what tells one copy from another.
fn bare(reply: &Reply, copy: &Copy, now: Timestamp, followed: bool) -> String {
    let text = String::from_utf8_lossy(&reply.bytes).into_owned();
    let ids = copy.places.iter().map(|(name, place)| (name, place.rsplit('/').next().unwrap()));
    let text = ids.fold(text, |text, (name, id)| text.replace(id, &format!("{{{name}}}")));
    let mut body: Value = serde_json::from_str(&text).unwrap_or_default();
    strip(&mut body, now);
    if followed && let Some(fields) = body.as_object_mut() {
        fields.remove("revision");
    }
    format!("{} {body}", reply.status.as_u16())
}

/// Takes away positions, ids and times that only this copy has.
fn strip(value: &mut Value, now: Timestamp) {
    match value {
        Value::Object(fields) => {
            fields.remove("position");
            fields.remove("next");
            fields.values_mut().for_each(|value| strip(value, now));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| strip(value, now)),
        Value::String(text) if text.parse::<uuid::Uuid>().is_ok() => "an id".clone_into(text),
        Value::String(text) => {
            if let Some(away) = Timestamp::parse(text).map(|at| at.since(now)) {
                *text = format!("{away:?} away");
            }
        }
        _ => {}
    }
}
