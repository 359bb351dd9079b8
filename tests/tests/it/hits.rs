//! Lists over a simulated history: each shows what its reader may read, all of it and nothing else.
//!
//! What a thing's own address answers is decided from the log, thing by thing; lists are made by SQL from audiences and
//! keys. The two must agree, whoever reads.

use circolo::auth::ISSUER;
use circolo_domain::Timestamp;
use circolo_events::{People, Position, simulate};
use circolo_tests::{actor::Actor, stories, world::World};
use std::collections::BTreeSet;

stories!(lists_show_exactly_what_may_be_read, feeds_show_exactly_what_may_be_read);

/// The lists of a group, where their hits can be read, and the events by which such a thing begins.
const LISTS: [(&str, &str, &str); 3] = [
    ("questions?", "/v1/questions", "question.posted."),
    ("catalogue?status=for_sale&", "/v1/listings", "listing.posted."),
    ("catalogue?status=sold&", "/v1/listings", "listing.posted."),
];

/// What a group's feed holds: where it can be read, and the events by which it begins.
const IN_FEED: [(&str, &str); 3] =
    [("/v1/posts", "post.written."), ("/v1/questions", "question.posted."), ("/v1/listings", "listing.posted.")];

/// A simulated community of 40 people, `person-1` and so on.
pub async fn history(world: &World) {
    let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let options = simulate::Options { people: 40, groups: 8, pages: 2, days: 30, events: 2_500, seed: 11, start };
    let person = |people: &People, n: usize| people.id(ISSUER, &format!("person-{}", n + 1), 0);
    simulate::simulate(&**world.store(), options, person, |_| ()).await.unwrap();
    world.settled().await;
}

/// Ids of all hits of a list, page by page; `None` if the caller may not read it.
async fn hits(reader: &Actor, path: &str) -> Option<BTreeSet<String>> {
    let (mut found, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = reader.get(&format!("{path}limit=100{after}")).await;
        if page.status != 200 {
            return None;
        }
        for item in page.items() {
            assert!(found.insert(item["id"].as_str().unwrap().to_owned()), "{path} shows a thing twice");
        }
        match page.json()["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Some(found),
        }
    }
}

/// Ids of what began in each group, from the log: (group, prefix of the event's type, id).
async fn things(world: &World) -> Vec<(String, String, String)> {
    let events = world.store().read_all(Position::START, 10_000).await.unwrap().events;
    let begun = events.iter().filter(|stored| IN_FEED.iter().any(|(_, begins)| stored.event.event_type.starts_with(begins)));
    begun
        .filter_map(|stored| {
            let group = stored.decode().unwrap().metadata.scope.and_then(|scope| scope.group())?;
            Some((group.to_string(), stored.event.event_type.clone(), stored.stream.key().to_owned()))
        })
        .collect()
}

async fn readers(world: &World) -> Vec<(String, Actor)> {
    let mut readers = vec![("nobody".to_owned(), world.anonymous()), ("a newcomer".to_owned(), world.person("newcomer").await)];
    readers.extend((1..=5).map(|n| format!("person-{n}")).map(|name| (name.clone(), world.stranger(&name))));
    readers
}

async fn lists_show_exactly_what_may_be_read(world: World) {
    history(&world).await;
    let things = things(&world).await;
    let groups: BTreeSet<&String> = things.iter().map(|(group, ..)| group).collect();
    let readers = readers(&world).await;
    let (mut shown, mut hidden) = (0, 0);
    for (name, reader) in &readers {
        for group in &groups {
            let mut listed = BTreeSet::new();
            for (list, _, _) in LISTS {
                listed.extend(hits(reader, &format!("/v1/groups/{group}/{list}")).await.unwrap_or_default());
            }
            for (_, event_type, id) in things.iter().filter(|(of, ..)| of == *group) {
                let Some((_, address, _)) = LISTS.iter().find(|(_, _, begins)| event_type.starts_with(begins)) else { continue };
                let answer = reader.get(&format!("{address}/{id}")).await;
                // What was withdrawn is in no catalogue; it may still be read.
                let withdrawn = answer.status == 200 && answer.json()["status"] == "withdrawn";
                assert_eq!(answer.status == 200 && !withdrawn, listed.contains(id), "{address}/{id} for {name}");
                if listed.contains(id) { shown += 1 } else { hidden += 1 }
            }
        }
    }
    assert!(shown > 100 && hidden > 100, "{shown} shown, {hidden} hidden: the history is too plain");
}

async fn feeds_show_exactly_what_may_be_read(world: World) {
    history(&world).await;
    let things = things(&world).await;
    let groups: BTreeSet<&String> = things.iter().map(|(group, ..)| group).collect();
    let (mut shown, mut hidden, mut at_home) = (0, 0, 0);
    for (name, reader) in &readers(&world).await {
        let home = hits(reader, "/v1/me/feed?").await.unwrap_or_default();
        let mut readable = BTreeSet::new();
        for group in &groups {
            let feed = hits(reader, &format!("/v1/groups/{group}/feed?")).await.unwrap_or_default();
            for (_, event_type, id) in things.iter().filter(|(of, ..)| of == *group) {
                let (address, _) = IN_FEED.iter().find(|(_, begins)| event_type.starts_with(begins)).unwrap();
                let answer = reader.get(&format!("{address}/{id}")).await;
                let gone = answer.status == 200 && (answer.json()["status"] == "withdrawn" || answer.json()["removal"].is_object());
                assert_eq!(answer.status == 200 && !gone, feed.contains(id), "{address}/{id} in the feed for {name}: {answer}");
                if feed.contains(id) { shown += 1 } else { hidden += 1 }
            }
            // At home is all of a group or nothing of it.
            let seen = feed.intersection(&home).count();
            assert!(seen == 0 || seen == feed.len(), "{seen} of {} of {group} at home for {name}", feed.len());
            at_home += seen;
            readable.extend(feed);
        }
        for id in home.difference(&readable) {
            // What is of no group is of a page, which everybody may read.
            world.anonymous().get(&format!("/v1/posts/{id}")).await.expect(200);
        }
    }
    assert!(shown > 100 && hidden > 100 && at_home > 100, "{shown} shown, {hidden} hidden, {at_home} at home: the history is too plain");
}
