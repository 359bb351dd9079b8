//! How much a figure may tell: never of more than the reader may know of.

use super::{
    facts::{Facts, Happened, Owner, Privacy, Thing, id_in},
    rights::Reader,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Figures that are about nothing that is hidden from who gets them.
const FREE: &[&str] = &[
    "amount_minor",
    "seconds_on_offer",
    "episode",
    "status",
    "seconds",
    "rate",
    "mean_seconds",
    "counted",
    "answered",
    "pending",
    "formula",
    "position",
    "next",
    "after",
    "head",
];
/// Figures that operators get of projections.
const OF_PROJECTIONS: &[&str] = &[
    "build",
    "lag_events",
    "parked_streams",
    "version",
    "lag_seconds",
    "progress",
    "eta_seconds",
    "rows",
    "compared",
    "different",
    "seed",
    "memory",
];
/// Kinds of reactions.
pub const REACTIONS: &[&str] = &["like", "love", "care", "laugh", "wow", "sad"];

/// What may be told of a figure at most, and the rule that more breaks.
pub struct Bound(pub &'static str, pub i64);

fn count(all: impl Iterator<Item = bool>) -> i64 {
    i64::try_from(all.filter(|counts| *counts).count()).unwrap()
}

impl Facts {
    /// How high the figure `field` of `subject` may be for a reader; `None` for what tells nothing. A figure of a new name fails.
    pub fn bound(&self, subject: Option<Uuid>, field: &str, reader: &Reader, at: Option<i64>) -> Option<Bound> {
        if FREE.contains(&field) {
            return None;
        }
        let Some(subject) = subject else {
            let told = OF_PROJECTIONS.contains(&field) || ["revision", "version"].contains(&field);
            assert!(told, "the hunter does not know the figure {field}: say in leaks/counts.rs how high it may be");
            return None;
        };
        if let Some(thing) = self.things.get(&subject) {
            return Some(self.figure_of(subject, thing, field, reader));
        }
        let group = self.groups.contains_key(&subject);
        Some(match field {
            "members" if group => Bound("members", i64::try_from(self.members(subject, at).len()).unwrap()),
            "questions" | "answers" if group => Bound("questions and answers", self.asked(subject, field, reader)),
            "revision" if group => Bound("revision of a group", self.group_revision(subject, reader)),
            "followers" => Bound("followers", self.pages[&subject].followers),
            "revision" => Bound("revision of a page", self.page_revision(subject, reader)),
            other => panic!("the hunter does not know the figure {other}: say in leaks/counts.rs how high it may be"),
        })
    }

    fn figure_of(&self, id: Uuid, thing: &Thing, field: &str, reader: &Reader) -> Bound {
        let under = |of: fn(&Thing) -> Option<Uuid>| {
            let all = self.things.iter().filter(move |(_, other)| of(other) == Some(id));
            count(all.map(|(below, other)| self.counts_below(thing, *below, other, reader)))
        };
        let events = || thing.events.iter().map(|event| &self.events[*event]);
        match field {
            "comment_count" => Bound("comment count", under(|other| other.parent)),
            "reply_count" => Bound("reply count", under(|other| other.reply_to)),
            "answer_count" => Bound("answer count", under(|other| other.parent)),
            // The author is told of all that was done to their own.
            "revision" if thing.kind != "question" && reader.is(thing.author) => Bound("revision", count(events().map(|_| true)) - 1),
            "revision" => {
                let known = events().map(|event| Self::of_state(event) || self.counts_event(thing, event, reader));
                Bound("revision", count(known) - 1)
            }
            "version" => {
                let known = events().filter(|event| self.counts_event(thing, event, reader));
                Bound("versions", known.filter_map(|event| event.data["version"].as_i64()).max().unwrap_or(1))
            }
            kind if REACTIONS.contains(&kind) => Bound("reactions", self.reacted(thing, kind, reader)),
            other => panic!("the hunter does not know the figure {other}: say in leaks/counts.rs how high it may be"),
        }
    }

    /// Whether something under a thing may count; what was removed counts for those who may not know of the removal.
    fn counts_below(&self, thing: &Thing, id: Uuid, below: &Thing, reader: &Reader) -> bool {
        let removed = below.removed.is_some_and(|event| self.counts_event(thing, &self.events[event], reader));
        let replied = below.reply_to.is_none_or(|comment| self.counts_thing(thing, comment, reader));
        !removed && replied && self.counts_thing(thing, id, reader)
    }

    /// How many reacted so, as far as the reader may know: by the last that each did in an era that they may read.
    fn reacted(&self, thing: &Thing, kind: &str, reader: &Reader) -> i64 {
        let mut last: BTreeMap<&str, &Happened> = BTreeMap::new();
        for event in thing.reactions.iter().map(|event| &self.events[*event]) {
            if self.counts_event(thing, event, reader) {
                last.insert(&event.stream, event);
            }
        }
        count(last.values().map(|event| event.kind == "reaction.given" && event.data["kind"] == kind))
    }

    fn asked(&self, group: Uuid, field: &str, reader: &Reader) -> i64 {
        let kind = if field == "questions" { "question" } else { "answer" };
        let open = |thing: &Thing| matches!(thing.owner, Owner::Group(of, era) if of == group && self.opens(group, reader, era));
        let of_kind = self.things.values().filter(|thing| thing.kind == kind);
        count(of_kind.map(|thing| open(thing) && thing.parent.is_none_or(|question| open(&self.things[&question]))))
    }

    /// What they may know of happened to a group: its settings outside of secret times, and roles if they could see the list.
    pub fn knows_of_group(&self, event: &Happened, reader: &Reader) -> bool {
        let Some((group, era)) = event.place else { return false };
        let own = id_in(&event.data, "person").is_some_and(|person| reader.is(person));
        let of_a_role = event.kind.starts_with("group.role_");
        match self.groups[&group].eras[era].privacy {
            _ if event.kind == "group.created" || own || self.moderates(group, reader) => true,
            _ if of_a_role => self.reads_members(group, reader) && self.opens(group, reader, era),
            Privacy::Secret => self.reads(group, reader, era, event.when.at),
            _ => true,
        }
    }

    fn group_revision(&self, group: Uuid, reader: &Reader) -> i64 {
        let stream = format!("group-{group}");
        count(self.events.iter().filter(|event| event.stream == stream).map(|event| self.knows_of_group(event, reader))) - 1
    }

    /// Who is on the staff is told to the staff, and to who it is about.
    pub fn knows_of_page(&self, page: Uuid, event: &Happened, reader: &Reader) -> bool {
        let of_staff = event.kind.starts_with("page.staff_");
        !of_staff || self.staff(page, reader).is_some() || id_in(&event.data, "person").is_some_and(|person| reader.is(person))
    }

    fn page_revision(&self, page: Uuid, reader: &Reader) -> i64 {
        let events = self.pages[&page].events.iter().map(|event| &self.events[*event]);
        count(events.map(|event| self.knows_of_page(page, event, reader))) - 1
    }
}
