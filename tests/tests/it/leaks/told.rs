//! The change feed: each change is judged by the event behind it; what is streamed is what is polled.

use super::{
    facts::{Facts, Happened, Owner, id_in},
    judge::{Caller, Judge},
    rights::Reader,
};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Judge<'_> {
    /// Follows all that a caller is told, and judges it.
    pub async fn told(&mut self, caller: &Caller, streams: bool) {
        let by_position: BTreeMap<i64, &Happened> = self.facts.events.iter().map(|event| (event.when.position, event)).collect();
        let (mut after, mut all) = ("0".to_owned(), vec![]);
        loop {
            let reply = caller.actor.get(&format!("/v1/changes?after={after}&limit=100")).await.expect(200);
            self.found.requests += 1;
            let body = reply.json();
            all.extend(body["items"].as_array().cloned().unwrap());
            let next = body["next"].as_str().unwrap().to_owned();
            if next == after {
                break;
            }
            after = next;
        }
        for item in &all {
            let event = by_position[&item["position"].as_i64().unwrap()];
            self.found.changes += 1;
            let describe = |what: &str| format!("{what} for {}: {item} of {event:?}", caller.name);
            if let Some(rule) = self.facts.untold(event, item, &caller.reader) {
                self.found.broken(rule, describe("told"));
            }
            for marker in super::facts::markers(&item.to_string()) {
                self.found.broken("words", describe(marker));
            }
        }
        if streams {
            self.streamed(caller, &all).await;
        }
    }

    async fn streamed(&mut self, caller: &Caller, polled: &[Value]) {
        let mut events = caller.actor.listen("/v1/changes?after=0").await;
        for item in polled {
            let (place, streamed) = events.change().await;
            let same = streamed == *item && item["place"] == place;
            self.found.check("streams", same, || format!("{}: {streamed} is streamed, {item} is polled", caller.name));
        }
    }
}

impl Facts {
    /// The rule that is broken when a reader is told of an event by this item; `None` if they may be.
    fn untold(&self, event: &Happened, item: &Value, reader: &Reader) -> Option<&'static str> {
        let (category, key) = event.stream.split_once('-').unwrap();
        let pair = || key.split_once('.').map(|(one, other)| (one.parse::<Uuid>().unwrap(), other.parse::<Uuid>().unwrap())).unwrap();
        let full = item["action"] != "departed";
        let may = match category {
            "person" => reader.registered,
            "page" => self.knows_of_page(key.parse().unwrap(), event, reader),
            "fan" => reader.is(pair().1),
            "conversation" => {
                let wrote = event.kind.ends_with("_wrote");
                self.cares(pair().0, reader) || (wrote && reader.is(pair().1))
            }
            "group" => self.told_of_group(key.parse().unwrap(), event, full, reader),
            "membership" => self.told_of_membership(pair(), event, full, reader),
            "post" | "comment" | "question" | "listing" | "reaction" => return self.told_of_content(event, item, reader),
            other => panic!("the hunter does not know who is told of {other}: teach it in leaks/told.rs"),
        };
        if !may {
            return Some("changes");
        }
        let revision = item["revision"].as_i64();
        let bound = match category {
            "group" => Some(("revision of a group", "group")),
            "page" => Some(("revision of a page", "page")),
            _ => None,
        };
        let (rule, _) = bound?;
        let most = self.bound(key.parse().ok(), "revision", reader, None)?.1;
        revision.filter(|revision| *revision > most).map(|_| rule)
    }

    fn told_of_group(&self, group: Uuid, event: &Happened, full: bool, reader: &Reader) -> bool {
        let person = id_in(&event.data, "person");
        let Some(person) = person else { return self.sees(group, reader) && self.knows_of_group(event, reader) };
        let stands = event.kind == "group.role_given" && self.holds(group, person, event);
        self.told_of_person(group, person, event, stands, full, reader)
    }

    /// Whether a role that was given is still held, by a member of the same episode.
    fn holds(&self, group: Uuid, person: Uuid, event: &Happened) -> bool {
        let role = self.role(group, &Reader { person: Some(person), ..Reader::default() });
        let given = if event.data["role"] == "admin" { super::facts::Role::Admin } else { super::facts::Role::Moderator };
        role == Some(given)
    }

    fn told_of_membership(&self, (group, person): (Uuid, Uuid), event: &Happened, full: bool, reader: &Reader) -> bool {
        let ended = matches!(event.kind.as_str(), "membership.left" | "membership.removed")
            || (event.kind == "membership.banned" && !event.data["episode"].is_null());
        if event.kind != "membership.joined" && !ended {
            return self.sees(group, reader) && (reader.is(person) || self.moderates(group, reader));
        }
        let last = self.memberships[&(group, person)].episodes.last().filter(|episode| episode.until.is_none());
        let stands = !ended && last.is_some_and(|episode| Some(episode.number) == event.data["episode"].as_i64());
        self.told_of_person(group, person, event, stands, full && ended, reader)
    }

    /// Of who is or was a member: whoever reads the list and finds them on it, or could at that time. How it ended is for those
    /// who keep order, and for the person.
    fn told_of_person(&self, group: Uuid, person: Uuid, event: &Happened, stands: bool, how: bool, reader: &Reader) -> bool {
        let Some((_, era)) = event.place else { return false };
        let inner = reader.is(person) || self.moderates(group, reader);
        let departed = event.kind.starts_with("membership.") && how;
        let listed = self.reads_members(group, reader) && (stands || self.witnessed(group, reader, era, event.when));
        self.sees(group, reader) && (inner || (listed && !departed))
    }

    fn told_of_content(&self, event: &Happened, item: &Value, reader: &Reader) -> Option<&'static str> {
        let id = id_in(item, "id").unwrap();
        let (stream, answer) = (event.stream.split_once('-').unwrap().1, id_in(&event.data, "answer"));
        let subject = if event.kind == "question.answered" { answer } else { stream.split('.').next().unwrap().parse().ok() };
        let Some(thing) = self.things.get(&id).filter(|_| subject == Some(id)) else { return Some("changes") };
        if !self.reads_thing(id, reader) {
            return Some("changes");
        }
        // A page's words are the page's, whoever wrote them.
        if let (Some(actor), Owner::Page(_)) = (id_in(&item["actor"], "id"), thing.owner)
            && actor != thing.as_page.unwrap_or(thing.author)
            && !reader.is(actor)
        {
            return Some("changes");
        }
        // An acceptance is told to who reads the answer.
        let accepted = answer.filter(|_| event.kind != "question.answered");
        let known = match accepted {
            Some(answer) => self.reads_thing(answer, reader),
            None => Self::of_state(event) || self.counts_event(thing, event, reader),
        };
        if !known {
            return Some(if event.kind.ends_with(".edited") { "changes of words of stricter times" } else { "changes in stricter times" });
        }
        // Answers tell the revision of their question.
        let revised = thing.parent.filter(|_| thing.kind == "answer").unwrap_or(id);
        let most = self.bound(Some(revised), "revision", reader, None)?.1;
        item["revision"].as_i64().filter(|revision| *revision > most).map(|_| "revision")
    }
}
