//! A saved item: something that a person wants to find again, with a note of their own.

use crate::change::Change;
use crate::stance::Rights;
use crate::{Context, Decider, Named, PersonId, Personal, StreamName, Text, TextOwner, ThingKind, Timestamp, Written};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use uuid::Uuid;

/// What a person writes to a thing that they save.
pub type Note = Text<1, 500>;

/// What may be asked of a saved item's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Saves it, or changes the note.
    SaveItem {
        /// What sort of thing it is; that the person may read it is made sure of by whoever asks.
        kind: ThingKind,
        /// What to remember of it.
        note: Option<Note>,
    },
    /// Saves it no longer.
    ForgetItem,
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::SaveItem { .. } => "SaveItem",
            Self::ForgetItem => "ForgetItem",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// It was saved, or has another note.
    #[serde(rename = "saved_item.saved.v1")]
    Saved {
        /// What sort of thing it is.
        kind: ThingKind,
        /// What to remember of it.
        note: Option<Personal<String>>,
    },
    /// It is saved no longer.
    #[serde(rename = "saved_item.forgotten.v1")]
    Forgotten,
}

/// The fold of a saved item's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SavedItem {
    /// It is not saved.
    #[default]
    Absent,
    /// It is, with this note.
    Saved(Option<String>),
}

/// The stream of what `person` saves of `thing`.
pub fn stream(person: PersonId, thing: Uuid) -> StreamName {
    crate::stream::<SavedItem>(format_args!("{person}.{thing}"))
}

/// Person and thing of a saved item's stream.
pub fn ids(stream: &StreamName) -> Option<(PersonId, Uuid)> {
    let (person, thing) = stream.key().split_once('.')?;
    Some((person.parse().ok()?, thing.parse().ok()?))
}

fn owner(stream: &StreamName) -> TextOwner {
    TextOwner::Person(ids(stream).map_or(PersonId(Uuid::nil()), |(person, _)| person))
}

impl Decider for SavedItem {
    const CATEGORY: &'static str = "saved_item";
    const STREAM: (&'static str, &'static str) = ("PERSON.THING", "that a person saved a thing, and their note");
    type Command = Command;
    type Event = Event;
    /// Whoever may read a thing may save it, and forget it whatever became of it.
    type Error = Infallible;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Infallible> {
        Ok(match (self, command) {
            (Self::Saved(now), Command::SaveItem { note, .. }) if now.as_deref() == note.as_ref().map(Note::as_str) => vec![],
            (_, Command::SaveItem { kind, note }) => {
                vec![Event::Saved { kind: *kind, note: note.as_ref().map(|note| note.owned_by(owner(context.stream))) }]
            }
            (Self::Saved(_), Command::ForgetItem) => vec![Event::Forgotten],
            (Self::Absent, Command::ForgetItem) => vec![],
        })
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Saved { note, .. } => Self::Saved(note.as_ref().and_then(|note| note.get().cloned())),
            Event::Forgotten => Self::Absent,
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        if let Event::Saved { note: Some(note), .. } = event {
            note.give(owner(written.stream));
        }
    }

    fn heap(&self) -> usize {
        if let Self::Saved(Some(note)) = self { note.len() } else { 0 }
    }

    /// Who saves what is nobody's business, and who does reads their own list.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::SavedItem(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Saved { kind: ThingKind::Post, note: Some(text("for \"Sunday\"")) }
    Forgotten {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, personal};

    fn save(note: Option<&str>) -> Command {
        Command::SaveItem { kind: ThingKind::Post, note: note.map(|note| Note::parse(note).unwrap()) }
    }

    fn saved(note: Option<&str>) -> Event {
        Event::Saved { kind: ThingKind::Post, note: note.map(personal) }
    }

    #[test]
    fn a_thing_is_saved_once_and_its_note_may_change() {
        given::<SavedItem>([]).when(save(None)).then([saved(None)]);
        given::<SavedItem>([saved(None)]).when(save(None)).then_nothing();
        given::<SavedItem>([saved(None)]).when(save(Some("later"))).then([saved(Some("later"))]);
        given::<SavedItem>([saved(Some("later"))]).when(save(Some(" later "))).then_nothing();
        given::<SavedItem>([saved(Some("later"))]).when(save(None)).then([saved(None)]);
    }

    #[test]
    fn what_is_not_saved_need_not_be_forgotten() {
        given::<SavedItem>([]).when(Command::ForgetItem).then_nothing();
        given::<SavedItem>([saved(None)]).when(Command::ForgetItem).then([Event::Forgotten]);
        given::<SavedItem>([saved(None), Event::Forgotten]).when(Command::ForgetItem).then_nothing();
        given::<SavedItem>([saved(Some("later")), Event::Forgotten]).when(save(None)).then([saved(None)]);
    }
}
