//! Who may read which words: each marker is judged by the events that hold it.

use super::{
    facts::{Facts, Happened, Owner, Privacy, Thing, id_in},
    rights::Reader,
};
use uuid::Uuid;

/// Why words may not be read by somebody; the rule that their appearance breaks.
pub type Broken = &'static str;

impl Facts {
    /// `None` if somebody may read a marker; else the rule that it breaks.
    pub fn withholds(&self, marker: &str, reader: &Reader) -> Option<Broken> {
        let Some(events) = self.words.get(marker) else { return Some("words") };
        let broken: Vec<Broken> = events.iter().map(|number| self.judge_words(*number, marker, reader)).collect::<Option<_>>()?;
        // If it is only the era of an edit that forbids, that is the rule.
        Some(broken.iter().copied().find(|rule| *rule != "words").unwrap_or("words"))
    }

    fn judge_words(&self, number: usize, marker: &str, reader: &Reader) -> Option<Broken> {
        let event = &self.events[number];
        let (category, key) = event.stream.split_once('-').unwrap();
        let rule = |may: bool| if may { None } else { Some("words") };
        let pair = || key.split_once('.').map(|(one, other)| (one.parse::<Uuid>().unwrap(), other.parse::<Uuid>().unwrap())).unwrap();
        match category {
            "person" => {
                let person = key.parse().unwrap();
                rule(reader.registered || reader.is(person) || self.public_face(person))
            }
            "page" | "username" => None,
            "media" => {
                let media = key.parse().unwrap();
                rule(self.sees_media(media, reader) || self.keeps_media(media, reader))
            }
            "group" if event.kind == "group.role_withdrawn" => {
                let group = key.parse().unwrap();
                rule(self.moderates(group, reader) || id_in(&event.data, "person").is_some_and(|person| reader.is(person)))
            }
            "group" => rule(self.knows_label(key.parse().unwrap(), marker, reader)),
            "membership" => {
                let (group, person) = pair();
                rule(self.moderates(group, reader) || reader.is(person))
            }
            "conversation" => {
                let (page, person) = pair();
                rule(self.reads_messages(page, person, reader))
            }
            "unmasking" => rule(reader.has("analyst")),
            "post" | "comment" | "question" | "listing" => self.content(number, marker, key.parse().unwrap(), reader),
            other => panic!("the hunter does not know the words of {other}: teach it in leaks/words.rs"),
        }
    }

    /// A name or description of a group: as it is to all who see the group, as it was to those who may look back at a time when
    /// it was so.
    fn knows_label(&self, id: Uuid, marker: &str, reader: &Reader) -> bool {
        let group = &self.groups[&id];
        let open = |era: usize, from: i64, until: i64| match group.eras[era].privacy {
            Privacy::Secret => [from, until].into_iter().any(|at| self.reads(id, reader, era, at)),
            _ => true,
        };
        let shown = |from: i64, until: Option<i64>| {
            until.is_none()
                || (0..group.eras.len()).any(|era| {
                    let began = group.eras[era].began.at.max(from);
                    let ended = group.eras.get(era + 1).map_or(i64::MAX, |next| next.began.at).min(until.unwrap_or(i64::MAX));
                    began < ended && open(era, began, ended - 1)
                })
        };
        let labels = group.labels.iter().filter(|(_, text, _, _)| text.contains(marker));
        self.sees(id, reader) && labels.into_iter().any(|(_, _, from, until)| shown(from.at, until.map(|until| until.at)))
    }

    fn content(&self, number: usize, marker: &str, stream: Uuid, reader: &Reader) -> Option<Broken> {
        let event = &self.events[number];
        let id = if event.kind == "question.answered" { id_in(&event.data, "answer").unwrap() } else { stream };
        let thing = &self.things[&id];
        let keeps_order = match thing.owner {
            Owner::Group(group, _) => self.moderates(group, reader),
            Owner::Page(page) => self.staff(page, reader).is_some(),
        };
        let author = reader.is(thing.author);
        let shown = match event.kind.as_str() {
            "post.written" | "post.edited" | "comment.written" | "comment.edited" => match thing.removed {
                // What was taken away in times that they may not know of may still stand for them.
                Some(removal) if self.reads_event(thing, &self.events[removal], reader) => keeps_order,
                _ => keeps_order || author || self.stands(thing, number, reader),
            },
            // Under what it is found is told of what is withdrawn, too.
            "listing.posted" | "listing.edited" => keeps_order || author || !thing.withdrawn || event.data["details"]["category"] == marker,
            "listing.withdrawn" => keeps_order || author,
            "question.posted" | "question.answered" | "post.removed" | "comment.removed" => true,
            other => panic!("the hunter does not know the words of {other}: teach it in leaks/words.rs"),
        };
        match (self.reads_thing(id, reader) && shown, self.reads_event(thing, event, reader)) {
            (true, true) => None,
            (true, false) => Some("words of stricter times"),
            (false, _) => Some("words"),
        }
    }

    /// Whether an event's words are the last that they may read of a thing.
    fn stands(&self, thing: &Thing, number: usize, reader: &Reader) -> bool {
        let readable = thing.events.iter().rev().find(|event| {
            let event = &self.events[**event];
            Self::makes_words(event) && self.reads_event(thing, event, reader)
        });
        // If none of the later ones can be read, what was there before may be shown.
        readable == Some(&number) || !self.reads_event(thing, &self.events[number], reader)
    }

    fn makes_words(event: &Happened) -> bool {
        let (_, action) = event.kind.split_once('.').unwrap();
        matches!(action, "written" | "edited" | "posted")
    }
}
