//! Words that were written in stricter times than the thing they belong to: the audience of words is the stricter of the
//! thing's and of the edit's. Who may not read an edit reads what stood before it, wherever the thing is read.

use crate::changes::feed;
use crate::given::{admit, comment, found, listing, promote, up_to_date, write};
use circolo_domain::Span;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(
    who_may_not_read_an_edit_reads_what_stood_before,
    what_an_edit_says_again_keeps_its_readers,
    reasons_of_stricter_times_are_told_to_those_of_these_times,
    an_edit_in_anothers_absence_is_not_theirs,
);

/// How private a group is when a thing is written, when it is edited and when it is read.
const TIMES: [[&str; 3]; 8] = [
    ["public", "closed", "public"],
    ["public", "secret", "public"],
    ["public", "secret", "closed"],
    ["closed", "secret", "closed"],
    ["closed", "secret", "public"],
    ["secret", "closed", "public"],
    ["closed", "public", "closed"],
    ["public", "closed", "secret"],
];

/// Since when somebody is what they are in the group, as the number of the era.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Outsider,
    Member(usize),
    Moderator,
}

fn strictness(privacy: &str) -> usize {
    ["public", "closed", "secret"].iter().position(|known| *known == privacy).unwrap()
}

/// Whether somebody reads what was written in `era`: the rule once more, apart from the code that serves.
fn reads(times: [&str; 3], who: Is, era: usize) -> bool {
    let strict = times.map(strictness);
    match who {
        _ if strict[era].max(strict[2]) == 0 => true,
        Is::Outsider => false,
        Is::Moderator => true,
        Is::Member(since) => !(era + 1..=2).any(|later| strict[later] < strict[era] && since >= later),
    }
}

fn reads_edit(times: [&str; 3], who: Is) -> bool {
    let strict = times.map(strictness);
    reads(times, who, 0) && (strict[1] <= strict[0] || reads(times, who, 1))
}

async fn becomes(world: &World, admin: &Actor, group: &str, privacy: &str) {
    world.clock().advance(Span::days(1));
    admin.patch(group, json!({ "privacy": privacy })).await.expect(200);
}

/// A post with a comment, and a listing.
struct Things {
    post: String,
    comment: String,
    listing: String,
}

impl Things {
    async fn written(author: &Actor, group: &str) -> Self {
        let post = write(author, group, "post at first").await;
        let comment = format!("/v1/comments/{}", comment(author, &post, "comment at first").await);
        let offer = author.post(&format!("{group}/listings"), details("at first")).await.expect(201);
        Self { post, comment, listing: offer.location().to_owned() }
    }

    async fn edit(&self, author: &Actor) {
        author.patch(&self.post, json!({ "text": "post later" })).await.expect(200);
        author.patch(&self.comment, json!({ "text": "comment later" })).await.expect(200);
        let mut later = details("later");
        (later["category"], later["condition"]) = (json!("later"), json!("new"));
        later.as_object_mut().unwrap().remove("price");
        author.patch(&self.listing, later).await.expect(200);
    }
}

fn details(when: &str) -> Value {
    let text = |what: &str| format!("{what} {when}");
    let mut offer = listing(&text("title"), 80);
    for field in ["description", "pickup", "delivery"] {
        offer[field] = json!(text(field));
    }
    offer["category"] = json!("at-first");
    offer
}

/// Everything that an answer says in words of the things.
fn said(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) if text.ends_with("first") || text.ends_with("later") => vec![text],
        Value::Array(items) => items.iter().flat_map(said).collect(),
        Value::Object(fields) => fields.values().flat_map(said).collect(),
        _ => vec![],
    }
}

/// Fails unless `path` says exactly `count` words, all of them of `when`.
async fn says(reader: &Actor, path: &str, when: &str, count: usize, name: &str) {
    let body = reader.get(path).await.expect(200).json();
    let found = said(&body);
    assert!(found.iter().all(|text| text.ends_with(when)), "{name}: {path} {when}: {body}");
    assert_eq!(found.len(), count, "{name}: {path} {when}: {body}");
}

/// A group in its third times, with one of each sort: name, person, what they are there.
async fn staged(world: &World, number: usize, times: [&str; 3]) -> (String, Things, Vec<(String, Actor, Is)>) {
    let named = |name: &str| format!("{name}-{number}");
    let mut people = vec![];
    for name in ["Ann", "Mona", "Max", "Olga", "Mia", "Nina", "Otto", "Lea"] {
        people.push(world.person(&named(name)).await);
    }
    let [ann, mona, max, olga, mia, nina, _, lea] = std::array::from_fn(|n| people[n].clone());
    let group = found(&ann, times[0], "invite_only").await;
    for person in [&mona, &max, &olga, &lea] {
        admit(&ann, &group, person).await;
    }
    promote(&ann, &group, &mona, "moderator").await;
    let things = Things::written(&max, &group).await;
    becomes(world, &ann, &group, times[1]).await;
    admit(&ann, &group, &mia).await;
    world.clock().advance(Span::minutes(1));
    things.edit(&max).await;
    becomes(world, &ann, &group, times[2]).await;
    admit(&ann, &group, &nina).await;
    // Who leaves and comes back begins anew.
    lea.post(&format!("{group}/leave"), ()).await.expect(200);
    admit(&ann, &group, &lea).await;
    let mut who = vec![("nobody".to_owned(), world.anonymous(), Is::Outsider)];
    let roles = [Is::Moderator, Is::Moderator, Is::Member(0), Is::Member(0), Is::Member(1), Is::Member(2), Is::Outsider, Is::Member(2)];
    for ((person, is), name) in people.into_iter().zip(roles).zip(["Ann", "Mona", "Max", "Olga", "Mia", "Nina", "Otto", "Lea"]) {
        who.push((named(name), person, is));
    }
    (group, things, who)
}

async fn who_may_not_read_an_edit_reads_what_stood_before(world: World) {
    let (mut veiled, mut shown) = (0, 0);
    for (number, times) in TIMES.into_iter().enumerate() {
        let (group, things, people) = staged(&world, number, times).await;
        world.settled().await;
        for (name, reader, is) in people {
            let name = format!("{times:?}: {name}");
            let reader = up_to_date(&world, &reader).await;
            let edit = reads_edit(times, is);
            told(&reader, &things, edit, &name).await;
            if !reads(times, is, 0) {
                for path in [&things.post, &things.listing, &format!("{}/comments", things.post)] {
                    assert_ne!(reader.get(path).await.status.as_u16(), 200, "{name}: {path}");
                }
                continue;
            }
            *(if edit { &mut shown } else { &mut veiled }) += 1;
            everywhere(&world, &reader, &group, &things, if edit { "later" } else { "first" }, &name).await;
            if is == Is::Moderator || name.contains("Max") {
                versions(&reader, &things, edit, &name).await;
            }
        }
    }
    assert!(veiled >= 12 && shown >= 24, "{veiled} veiled, {shown} shown");
    for projection in ["posts", "comments", "listings"] {
        assert_eq!(world.app().projector().verify(projection).await.unwrap().different, 0, "{projection}");
    }
}

async fn everywhere(world: &World, reader: &Actor, group: &str, things: &Things, when: &str, name: &str) {
    const OFFER: usize = 5;
    let (posts, listings) = (things.post.clone(), things.listing.clone());
    says(reader, &posts, when, 1, name).await;
    says(reader, &format!("{posts}/comments"), when, 1, name).await;
    says(reader, &listings, when, OFFER, name).await;
    if reader.known_id().is_some() {
        says(reader, &format!("{listings}?as_of={}", world.clock().now()), when, OFFER, name).await;
    }
    says(reader, &format!("{group}/feed"), when, 1 + OFFER, name).await;
    says(reader, &format!("{group}/catalogue"), when, OFFER, name).await;
    if reader.known_id().is_some() {
        let seller = reader.get(&listings).await.json()["seller"]["id"].as_str().unwrap().to_owned();
        says(reader, &format!("/v1/people/{seller}/catalogue"), when, OFFER, name).await;
    }
    let post = reader.get(&posts).await.json();
    let comment = reader.get(&format!("{posts}/comments")).await.items().remove(0);
    for words in [post, comment] {
        let version = (words["version"].as_i64().unwrap(), words.get("edited_at").is_some());
        assert_eq!(version, if when == "later" { (2, true) } else { (1, false) }, "{name}: {words}");
    }
    let condition = reader.get(&listings).await.json()["condition"].clone();
    assert_eq!(condition, if when == "later" { json!("new") } else { json!("used") }, "{name}");
}

async fn versions(reader: &Actor, things: &Things, edit: bool, name: &str) {
    let found: Vec<Value> = reader.get(&format!("{}/versions", things.post)).await.expect(200).items();
    let numbers: Vec<i64> = found.iter().map(|version| version["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, if edit { vec![1, 2] } else { vec![1] }, "{name}");
}

/// The change feed tells of edits to those who read them.
async fn told(reader: &Actor, things: &Things, edit: bool, name: &str) {
    let (items, _) = feed(reader, "0").await;
    for path in [&things.post, &things.comment, &things.listing] {
        let id = path.rsplit('/').next().unwrap();
        let edits = items.iter().filter(|item| item["id"] == id && item["action"] == "edited").count();
        assert_eq!(edits, usize::from(edit), "{name}: {path}");
    }
}

async fn what_an_edit_says_again_keeps_its_readers(world: World) {
    let (group, things, people) = staged(&world, 0, TIMES[0]).await;
    let (_, max, _) = people.iter().find(|(name, ..)| name.starts_with("Max")).unwrap();
    max.patch(&things.listing, json!({ "title": "in the open" })).await.expect(200);
    for (name, reader, is) in &people {
        let reader = up_to_date(&world, reader).await;
        let when = if reads_edit(TIMES[0], *is) { "later" } else { "first" };
        says(&reader, &things.listing, when, 4, name).await;
        says(&reader, &format!("{group}/catalogue"), when, 4, name).await;
        assert_eq!(reader.get(&things.listing).await.json()["title"], "in the open", "{name}");
    }
    // What is said otherwise is said to all.
    max.patch(&things.listing, json!({ "pickup": "here, for all to know" })).await.expect(200);
    for (name, reader, _) in &people {
        let seen = up_to_date(&world, reader).await.get(&things.listing).await.json();
        assert_eq!(seen["pickup"], "here, for all to know", "{name}");
    }
}

async fn reasons_of_stricter_times_are_told_to_those_of_these_times(world: World) {
    let (ann, max, otto) = (world.person("Ann").await, world.person("Max").await, world.person("Otto").await);
    let group = found(&ann, "public", "open").await;
    max.post(&format!("{group}/join"), ()).await.expect(200);
    let (things, other) = (Things::written(&max, &group).await, write(&max, &group, "another at first").await);
    becomes(&world, &ann, &group, "closed").await;
    ann.delete(&format!("{}?reason=told%20later", things.comment)).await.expect(200);
    ann.delete(&format!("{other}?reason=told%20later")).await.expect(200);
    ann.post(&format!("{}/withdraw", things.listing), json!({ "reason": "told later" })).await.expect(200);
    becomes(&world, &ann, &group, "public").await;
    let fritz = world.person("Fritz").await;
    fritz.post(&format!("{group}/join"), ()).await.expect(200);
    for (reader, reason) in [(&ann, json!("told later")), (&max, json!("told later")), (&otto, Value::Null), (&fritz, Value::Null)] {
        let reader = up_to_date(&world, reader).await;
        for removed in [reader.get(&format!("{}/comments", things.post)).await.items().remove(0), reader.get(&other).await.json()] {
            assert_eq!((&removed["text"], &removed["removal"]["reason"]), (&Value::Null, &reason), "{removed}");
        }
        let listing = reader.get(&things.listing).await.json();
        assert_eq!(listing["withdrawal"]["reason"], reason);
    }
    // Of the seller who comes back after the opening it is none of their business either.
    for step in ["leave", "join"] {
        max.post(&format!("{group}/{step}"), ()).await.expect(200);
    }
    let listing = up_to_date(&world, &max).await.get(&things.listing).await.json();
    assert_eq!((&listing["title"], &listing["withdrawal"]["reason"]), (&json!("title at first"), &Value::Null));
}

async fn an_edit_in_anothers_absence_is_not_theirs(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    ann.patch(&group, json!({ "history": "since_joining" })).await.expect(200);
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let things = Things::written(&ann, &group).await;
    becomes(&world, &ann, &group, "closed").await;
    for step in ["leave", "join"] {
        bea.post(&format!("{group}/{step}"), ()).await.expect(200);
        world.clock().advance(Span::minutes(1));
        if step == "leave" {
            things.edit(&ann).await;
            world.clock().advance(Span::minutes(1));
        }
    }
    let reader = up_to_date(&world, &bea).await;
    everywhere(&world, &reader, &group, &things, "first", "Bea").await;
    ann.patch(&things.post, json!({ "text": "once more, later" })).await.expect(200);
    says(&up_to_date(&world, &bea).await, &things.post, "later", 1, "Bea, who is back").await;
}
