//! Judges an answer: its status, each word, each id and each figure in it.

use super::{
    counts::{Bound, REACTIONS},
    facts::{Facts, Privacy, Role, markers},
    findings::Findings,
    requests::{Asked, MADE_UP, is_of_its_sort},
    rights::Reader,
};
use circolo_domain::Timestamp;
use circolo_tests::actor::{Actor, Reply};
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Somebody who asks.
#[derive(Clone)]
pub struct Caller {
    pub name: String,
    pub actor: Actor,
    pub reader: Reader,
}

/// What happened, and what was found.
pub struct Judge<'a> {
    pub facts: &'a Facts,
    pub found: Findings,
}

/// An answer under judgement.
pub struct Answer<'a> {
    pub caller: &'a Caller,
    pub asked: &'a Asked,
    pub reply: &'a Reply,
}

impl Answer<'_> {
    fn describe(&self, what: &str) -> String {
        format!("{what} for {}: {}", self.caller.name, self.reply)
    }

    /// The moment of the past that is asked for.
    fn at(&self) -> Option<i64> {
        Some(Timestamp::parse(self.asked.query("as_of")?).unwrap().micros())
    }
}

impl<'a> Judge<'a> {
    pub fn new(facts: &'a Facts) -> Self {
        Self { facts, found: Findings::default() }
    }

    /// Which ids of a request are as unknown to the reader as made-up ones.
    pub fn hidden(&self, asked: &Asked, reader: &Reader) -> Vec<bool> {
        let facts = self.facts;
        let Some(id) = asked.id() else { return asked.ids.iter().map(|_| false).collect() };
        let first = match asked.template.split('/').nth(2).unwrap() {
            _ if !is_of_its_sort(facts, &asked.template, id) => true,
            // What is refused today is refused of whatever time.
            "groups" => match asked.query("as_of") {
                Some(at) if !asked.template.ends_with("/members") || facts.reads_members(id, reader) => {
                    facts.hidden_then(id, reader, Timestamp::parse(at).unwrap().micros())
                }
                _ => !facts.sees(id, reader),
            },
            "people" => !reader.registered,
            "me" => !reader.person.is_some_and(|person| facts.messages.values().any(|between| *between == (id, person))),
            "pages" => false,
            "media" => !facts.sees_media(id, reader) && !facts.keeps_media(id, reader),
            _ => !facts.knows_thing(id, reader),
        };
        let others = asked.ids.iter().skip(1).map(|person| {
            let between = (id, person.parse().unwrap());
            !facts.cares(id, reader) || !facts.messages.values().any(|pair| *pair == between)
        });
        std::iter::once(first).chain(others).collect()
    }

    /// Whether a request must be answered, must not be, or may be either way.
    pub fn open(&self, asked: &Asked, reader: &Reader) -> Option<bool> {
        let facts = self.facts;
        let id = asked.id().unwrap_or(MADE_UP);
        let past = asked.query("as_of").is_some() || asked.query("at").is_some();
        let unless_past = |open: bool| if open && past { None } else { Some(open) };
        if asked.id().is_some() && self.hidden(asked, reader).contains(&true) {
            return Some(false);
        }
        let in_queue = asked.query("status").is_some_and(|status| status != "member");
        let open = match asked.template.as_str() {
            "/v1/groups" | "/v1/pages" | "/v1/pages/{id}" | "/v1/pages/{id}/feed" | "/v1/changes" => true,
            "/v1/pages/{id}/response-rate" => return unless_past(true),
            "/v1/groups/{id}" => return unless_past(facts.sees(id, reader)),
            "/v1/groups/{id}/members" if in_queue => return unless_past(facts.moderates(id, reader)),
            "/v1/groups/{id}/members" => return unless_past(facts.reads_members(id, reader)),
            "/v1/groups/{id}/questions" | "/v1/groups/{id}/feed" | "/v1/groups/{id}/catalogue" => facts.reads_group(id, reader),
            "/v1/posts/{id}/comments" if asked.query("reply_to").is_some() => {
                return if facts.reads_thing(id, reader) { None } else { Some(false) };
            }
            "/v1/posts/{id}" | "/v1/posts/{id}/comments" | "/v1/questions/{id}" | "/v1/listings/{id}/history" => {
                facts.reads_thing(id, reader)
            }
            "/v1/listings/{id}" => return unless_past(facts.reads_thing(id, reader)),
            "/v1/posts/{id}/versions" => facts.reads_thing(id, reader) && self.reads_versions(id, reader),
            "/v1/pages/{id}/conversations" | "/v1/pages/{id}/expiring-replies" | "/v1/pages/{id}/conversations/{person}/messages" => {
                facts.cares(id, reader)
            }
            "/v1/pages/{id}/unanswered-comments" => facts.staff(id, reader).is_some(),
            "/v1/pages/{id}/response-rate/messages" => return if facts.staff(id, reader).is_some() { None } else { Some(false) },
            // For a day it is who uploaded it that may read it.
            "/v1/media/{id}" if facts.keeps_media(id, reader) => return None,
            "/v1/media/{id}" => facts.sees_media(id, reader),
            "/v1/me" => reader.person.is_some(),
            "/v1/people/{id}"
            | "/v1/people/{id}/catalogue"
            | "/v1/me/feed"
            | "/v1/me/invitations"
            | "/v1/me/notification-preferences"
            | "/v1/me/notifications"
            | "/v1/me/staff-offers"
            | "/v1/me/conversations/{page}/messages" => reader.registered,
            "/v1/events" if asked.query("unmask") == Some("true") => reader.has("analyst:unmask"),
            "/v1/events" => reader.has("analyst"),
            operator if operator.starts_with("/v1/operator/") => return if reader.has("operator") { None } else { Some(false) },
            other => panic!("who may ask for {other}? say in leaks/judge.rs"),
        };
        Some(open)
    }

    fn reads_versions(&self, id: Uuid, reader: &Reader) -> bool {
        let thing = &self.facts.things[&id];
        match thing.owner {
            super::facts::Owner::Group(group, _) => {
                let author = thing.removed.is_none() && reader.is(thing.author) && self.facts.role(group, reader).is_some();
                author || self.facts.moderates(group, reader)
            }
            super::facts::Owner::Page(page) => self.facts.staff(page, reader).is_some(),
        }
    }

    /// Judges an answer by itself.
    pub fn judge(&mut self, answer: &Answer<'_>) {
        self.found.requests += 1;
        let status = answer.reply.status.as_u16();
        let open = self.open(answer.asked, &answer.caller.reader);
        self.found.check("faults", status < 500, || answer.describe("a fault"));
        self.found.check("closed doors", open != Some(false) || status != 200, || answer.describe("not to be answered"));
        self.found.check("open doors", open != Some(true) || status == 200, || answer.describe("to be answered"));
        let reader = &answer.caller.reader;
        let template = answer.asked.template.as_str();
        if (reader.has("analyst") && template == "/v1/events") || (reader.has("operator") && template.starts_with("/v1/operator/")) {
            return self.log(answer);
        }
        self.words(answer);
        if status == 200 {
            let body: Value = serde_json::from_slice(&answer.reply.bytes).unwrap_or_default();
            // An entity tag tells as much as the revision that it is made of.
            let tag = answer.reply.header("etag").trim_matches(['W', '/', '"']);
            if let (Some(id), Ok(revision)) = (answer.asked.id(), tag.parse()) {
                self.figure(answer, Some(revision), Some(id), "revision");
            }
            self.list(answer, &body);
            self.walk(answer, &body, None, "");
        }
    }

    fn words(&mut self, answer: &Answer<'_>) {
        let headers = answer.reply.headers.iter().filter(|(name, _)| *name != "link");
        let headers = headers.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let text = String::from_utf8_lossy(&answer.reply.bytes);
        let texts: Vec<String> = headers.chain([text.into_owned()]).collect();
        let found: BTreeSet<&str> = texts.iter().flat_map(|text| markers(text)).collect();
        for marker in found {
            self.found.markers += 1;
            if let Some(rule) = self.facts.withholds(marker, &answer.caller.reader) {
                self.found.broken(rule, answer.describe(marker));
            }
        }
    }

    /// The log as analysts and operators get it: no words of persons, and no names of what was not public.
    fn log(&mut self, answer: &Answer<'_>) {
        if answer.caller.reader.has("analyst:unmask") && answer.asked.query("unmask") == Some("true") {
            return;
        }
        let text = String::from_utf8_lossy(&answer.reply.bytes).into_owned();
        for marker in markers(&text) {
            self.found.markers += 1;
            let mut events = self.facts.words[marker].iter().map(|number| &self.facts.events[*number]);
            let public = |event: &super::facts::Happened| match event.stream.split('-').next().unwrap() {
                "page" | "username" => true,
                "group" => event.place.is_some_and(|(group, era)| self.facts.groups[&group].eras[era].privacy == Privacy::Public),
                // A category is a slug of the catalogue, and nobody's words.
                "listing" => event.data["details"]["category"] == *marker,
                _ => false,
            };
            self.found.check("masks", !answer.caller.reader.has("operator") && events.any(public), || answer.describe(marker));
        }
    }

    /// What an answer is as a whole.
    fn list(&mut self, answer: &Answer<'_>, body: &Value) {
        let (facts, reader, asked) = (self.facts, &answer.caller.reader, answer.asked);
        let ids = |field: &str| {
            let items = body["items"].as_array().into_iter().flatten();
            items.filter_map(|item| item[field].as_str()?.parse::<Uuid>().ok()).collect::<Vec<_>>()
        };
        match asked.template.as_str() {
            "/v1/groups/{id}/members" if asked.query("status").is_none_or(|status| status == "member") => {
                let members = facts.members(asked.id().unwrap(), answer.at());
                let strangers = ids("person_id").into_iter().filter(|person| !members.contains(person)).count();
                self.found.check("list of members", strangers == 0, || answer.describe("somebody who is no member"));
            }
            "/v1/groups" => {
                if let Some(marker) = asked.query("q").filter(|_| !ids("id").is_empty()) {
                    self.found.check("search", facts.withholds(marker, reader).is_none(), || answer.describe("found by hidden words"));
                }
            }
            "/v1/me/invitations" => {
                let invited = |group: &Uuid| facts.memberships.get(&(*group, reader.person.unwrap())).is_some_and(|one| one.invited);
                self.found.check("invitations", ids("group_id").iter().all(invited), || answer.describe("not invited"));
            }
            "/v1/me/staff-offers" => {
                let own = |person: &Uuid| reader.is(*person);
                self.found.check("offers", ids("person_id").iter().all(own), || answer.describe("offered to somebody else"));
            }
            "/v1/me/feed" => {
                let member = |group: &Uuid| facts.role(*group, reader) >= Some(Role::Member);
                self.found.check("own feed", ids("group_id").iter().all(member), || answer.describe("no member there"));
            }
            "/v1/pages/{id}/response-rate/messages" => {
                let cares = facts.cares(asked.id().unwrap(), reader);
                self.found.check("who wrote to a page", cares || ids("person_id").is_empty(), || answer.describe("persons who wrote"));
            }
            _ => {}
        }
    }

    /// Each field of an answer, with the thing that it is about.
    fn walk(&mut self, answer: &Answer<'_>, value: &Value, subject: Option<Uuid>, field: &str) {
        match value {
            Value::Object(fields) => {
                let own = fields.get("id").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok());
                // What hangs below an object is about it, unless it is something by itself.
                let inherited = subject.filter(|_| REACTIONS.iter().all(|kind| fields.contains_key(*kind)));
                let known = |id: &Uuid| {
                    self.facts.things.contains_key(id) || self.facts.groups.contains_key(id) || self.facts.pages.contains_key(id)
                };
                let subject = own.filter(known).or(inherited);
                for (name, value) in fields {
                    self.guarded(answer, name, value, subject);
                    self.walk(answer, value, subject, name);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(answer, item, subject, field)),
            Value::Number(number) => self.figure(answer, number.as_i64(), subject, field),
            Value::String(text) => {
                if let Ok(id) = text.parse::<Uuid>() {
                    self.id(answer, id, field);
                }
                if field == "edited_at"
                    && let Some(subject) = subject
                {
                    self.edited(answer, subject, text);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn figure(&mut self, answer: &Answer<'_>, number: Option<i64>, subject: Option<Uuid>, field: &str) {
        self.found.counts += 1;
        let bound = self.facts.bound(subject, field, &answer.caller.reader, answer.at());
        // As it was is told by today's rights; how often a listing had changed by then is not bounded here but by them.
        if let (Some(Bound(rule, most)), Some(number)) = (bound, number) {
            self.found.check(rule, number <= most, || answer.describe(&format!("{field} of {subject:?} is {number}, not {most} at most")));
        }
    }

    /// When something was edited is when it was in times that the reader may know of.
    fn edited(&mut self, answer: &Answer<'_>, subject: Uuid, text: &str) {
        let (facts, at) = (self.facts, Timestamp::parse(text).unwrap().micros());
        let thing = &facts.things[&subject];
        let mut events = thing.events.iter().map(|event| &facts.events[*event]);
        let known = events.any(|event| event.when.at == at && facts.counts_event(thing, event, &answer.caller.reader));
        self.found.check("versions", known, || answer.describe("edited in times that are hidden"));
    }

    /// Fields that are for some alone.
    fn guarded(&mut self, answer: &Answer<'_>, name: &str, value: &Value, subject: Option<Uuid>) {
        if value.is_null() {
            return;
        }
        let (facts, reader) = (self.facts, &answer.caller.reader);
        let page = |id: Uuid| match facts.things.get(&id).map(|thing| thing.owner) {
            Some(super::facts::Owner::Page(page)) => Some(page),
            Some(super::facts::Owner::Group(..)) => None,
            None => Some(id),
        };
        let may = match (name, subject) {
            ("staff" | "answered_privately", Some(subject)) => page(subject).is_some_and(|page| facts.staff(page, reader).is_some()),
            ("to" | "sold_to", _) => {
                let buyer = value.as_str().and_then(|id| id.parse().ok()).is_some_and(|buyer| reader.is(buyer));
                let listing = answer.asked.id().filter(|id| facts.things.contains_key(id)).or(subject);
                buyer || listing.is_none_or(|id| facts.things.get(&id).is_some_and(|thing| reader.is(thing.author)))
            }
            _ => true,
        };
        self.found.check("fields for some", may, || answer.describe(name));
    }

    /// An id tells that something exists.
    fn id(&mut self, answer: &Answer<'_>, id: Uuid, field: &str) {
        self.found.ids += 1;
        let (facts, reader) = (self.facts, &answer.caller.reader);
        let of_message = facts.messages.get(&id);
        let told = field == "id" && answer.asked.template == "/v1/me/notifications" && !facts.names(id);
        let (rule, may) = if facts.things.contains_key(&id) {
            (if field == "accepted" { "accepted" } else { "ids" }, facts.reads_thing(id, reader))
        } else if facts.groups.contains_key(&id) {
            ("ids", facts.sees(id, reader))
        } else if facts.people.contains(&id) {
            ("people", reader.registered || facts.public_face(id))
        } else if facts.media.contains_key(&id) {
            // The id of a picture that was shown once opens nothing.
            ("ids", answer.at().is_some() || facts.sees_media(id, reader) || facts.keeps_media(id, reader))
        } else if let Some((page, person)) = of_message {
            (if field == "message_id" { "who wrote to a page" } else { "ids" }, facts.reads_messages(*page, *person, reader))
        } else if told {
            // A notification has an id of its own, which names nothing else.
            ("unknown ids", true)
        } else {
            ("unknown ids", facts.pages.contains_key(&id) || reader.is(id))
        };
        self.found.check(rule, may, || answer.describe(&format!("{field} {id}")));
    }
}
