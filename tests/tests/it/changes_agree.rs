//! The change feed and the things' own addresses agree, whoever reads: what is told of can be read, and of everything that
//! can be read it was told when it came to be.

use crate::changes::feed;
use crate::given::{admit, answer, ask, ban, comment, found, invite, offer, promote, write};
use crate::hits::history;
use circolo_events::Position;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

stories!(every_role_in_every_era_is_told_what_it_reads, a_simulated_community_is_told_what_it_reads);

/// What one reader reads at addresses, each asked once.
struct Addresses<'a> {
    reader: &'a Actor,
    known: BTreeMap<String, bool>,
    /// Comments and answers, by what they are under.
    under: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Addresses<'a> {
    fn of(reader: &'a Actor) -> Self {
        Self { reader, known: BTreeMap::new(), under: BTreeMap::new() }
    }

    async fn reads(&mut self, path: String) -> bool {
        if let Some(known) = self.known.get(&path) {
            return *known;
        }
        let reads = self.reader.get(&path).await.status == 200;
        self.known.insert(path, reads);
        reads
    }

    /// Ids of all items of a list and, for comments, of the replies.
    async fn list(&self, path: &str, items: fn(&Value) -> &Value) -> Vec<String> {
        let (mut found, mut after) = (vec![], String::new());
        loop {
            let page = self.reader.get(&format!("{path}limit=100{after}")).await;
            if page.status != 200 {
                return vec![];
            }
            let body = page.json();
            let list = items(&body);
            found.extend(list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match list["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    }

    async fn holds(&mut self, kind: &str, parent: &str, id: &str) -> bool {
        if !self.under.contains_key(parent) {
            let mut found = BTreeSet::new();
            if kind == "comment" {
                let comments = format!("/v1/posts/{parent}/comments?");
                for comment in self.list(&comments, |body| body).await {
                    found.extend(self.list(&format!("{comments}reply_to={comment}&"), |body| body).await);
                    found.insert(comment);
                }
            } else {
                found.extend(self.list(&format!("/v1/questions/{parent}?"), |body| &body["answers"]).await);
            }
            self.under.insert(parent.to_owned(), found);
        }
        self.under[parent].contains(id)
    }

    /// Whether the thing of a change can be read.
    async fn reach(&mut self, item: &Value) -> bool {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let (kind, id, parent) = (text("kind"), text("id"), text("parent_id"));
        let own = self.own(&id);
        match kind.as_str() {
            "answer" | "comment" => self.holds(&kind, &parent, &id).await,
            "conversation" if own => self.reads(format!("/v1/me/conversations/{}/messages", text("page_id"))).await,
            "conversation" => self.reads(format!("/v1/pages/{}/conversations/{id}/messages", text("page_id"))).await,
            "membership" if own => self.reads(format!("/v1/groups/{}", text("group_id"))).await,
            "membership" => {
                let list = match text("action").as_str() {
                    "joined" | "departed" | "left" | "removed" | "role_given" | "role_withdrawn" => "member",
                    "banned" | "unbanned" => "banned",
                    _ => "requested",
                };
                self.reads(format!("/v1/groups/{}/members?status={list}", text("group_id"))).await
            }
            "person" => self.reads(format!("/v1/people/{id}")).await,
            kind => self.reads(format!("/v1/{kind}s/{id}")).await,
        }
    }

    fn own(&self, id: &str) -> bool {
        self.reader.known_id().is_some_and(|own| own.to_string() == id)
    }
}

/// What came to be, from the log, as the items that would tell of it.
async fn begun(world: &World) -> Vec<Value> {
    let events = world.store().read_all(Position::START, 100_000).await.unwrap().events;
    let of = |stored: &circolo_events::Stored| {
        let data: Value = serde_json::from_str(&stored.event.data).unwrap();
        let kind = match stored.event.event_type.as_str() {
            "group.created.v1" => "group",
            "page.created.v1" => "page",
            "person.registered.v1" => "person",
            "post.written.v1" => "post",
            "question.posted.v1" => "question",
            "listing.posted.v1" => "listing",
            "comment.written.v1" => "comment",
            "question.answered.v1" => "answer",
            _ => return None,
        };
        let key = stored.stream.key();
        let (id, parent) = match kind {
            "answer" => (data["answer"].clone(), json!(key)),
            "comment" => (json!(key), data["post"].clone()),
            _ => (json!(key), Value::Null),
        };
        Some(json!({ "position": stored.position.0, "kind": kind, "id": id, "parent_id": parent }))
    };
    events.iter().filter_map(of).collect()
}

/// Fails unless the feed of each reader is exactly what they can read; how much was told and how much was not.
async fn agree(world: &World, readers: &[(String, Actor)]) -> (usize, usize) {
    world.settled().await;
    let begun = begun(world).await;
    let (mut told, mut hidden) = (0, 0);
    for (name, reader) in readers {
        let mut addresses = Addresses::of(reader);
        let (items, _) = feed(reader, "0").await;
        let positions: Vec<i64> = items.iter().map(|item| item["position"].as_i64().unwrap()).collect();
        assert!(positions.is_sorted_by(|one, other| one < other), "{name}");
        for item in &items {
            assert!(addresses.reach(item).await, "{name} is told of what they cannot read: {item}");
        }
        for thing in &begun {
            let was_told = positions.binary_search(&thing["position"].as_i64().unwrap()).is_ok();
            assert_eq!(addresses.reach(thing).await, was_told, "{name} and {thing}");
            if was_told { told += 1 } else { hidden += 1 }
        }
    }
    (told, hidden)
}

/// One of everything that members write.
async fn everything(member: &Actor, group: &str, what: &str) {
    let question = ask(member, group, what).await;
    answer(member, &question, what).await;
    offer(member, group, what, 80).await;
    let post = write(member, group, what).await;
    let first = comment(member, &post, what).await;
    member.post(&format!("{post}/comments"), json!({ "text": what, "reply_to": first })).await.expect(201);
    member.put(&format!("/v1/comments/{first}/reaction"), json!({ "kind": "like" })).await.expect(200);
    member.patch(&post, json!({ "text": format!("{what}, edited") })).await.expect(200);
    member.delete(&format!("/v1/comments/{first}")).await.expect(200);
}

async fn every_role_in_every_era_is_told_what_it_reads(world: World) {
    let names = ["Ann", "Mona", "Max", "Nina", "Fritz", "Bob", "Ida", "Rita", "Sam"];
    let mut people = vec![];
    for name in names {
        people.push((name.to_owned(), world.person(name).await));
    }
    let [ann, mona, max, nina, fritz, bob, ida, rita, _] = std::array::from_fn(|n| people[n].1.clone());
    people.push(("nobody".to_owned(), world.anonymous()));
    // Every way from one privacy to another, in groups side by side.
    let ways = [("secret", "closed"), ("closed", "public"), ("public", "closed"), ("public", "secret"), ("secret", "public")];
    let mut groups = vec![];
    for (privacy, next) in ways {
        let group = found(&ann, privacy, "invite_only").await;
        for person in [&mona, &max, &fritz, &bob] {
            admit(&ann, &group, person).await;
        }
        promote(&ann, &group, &mona, "moderator").await;
        everything(&max, &group, "first").await;
        fritz.post(&format!("{group}/leave"), ()).await.expect(200);
        ban(&mona, &group, &bob).await.expect(200);
        invite(&ann, &group, &ida).await.expect(200);
        groups.push((group, privacy, next));
    }
    agree(&world, &people).await;
    for (group, _, next) in &groups {
        ann.patch(group, json!({ "privacy": next })).await.expect(200);
        if *next != "secret" {
            ann.patch(group, json!({ "membership": "request" })).await.expect(200);
            rita.post(&format!("{group}/join"), ()).await.expect(200);
        }
        admit(&ann, group, &nina).await;
        everything(&nina, group, "second").await;
    }
    agree(&world, &people).await;
    world.clock().advance(circolo_domain::Span::days(1));
    for (group, privacy, _) in &groups {
        ann.patch(group, json!({ "history": "since_joining", "privacy": privacy })).await.expect(200);
        everything(&nina, group, "third").await;
    }
    let (told, hidden) = agree(&world, &people).await;
    assert!(told > 200 && hidden > 200, "{told} told, {hidden} hidden");
}

async fn a_simulated_community_is_told_what_it_reads(world: World) {
    history(&world).await;
    let mut readers = vec![("nobody".to_owned(), world.anonymous()), ("a newcomer".to_owned(), world.person("newcomer").await)];
    readers.extend((1..=4).map(|n| format!("person-{n}")).map(|name| (name.clone(), world.stranger(&name))));
    let (told, hidden) = agree(&world, &readers).await;
    assert!(told > 1_000 && hidden > 500, "{told} told, {hidden} hidden: the history is too plain");
}
