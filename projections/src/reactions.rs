//! Read models `reactions_v1` and `reaction_counts_v1`: the reactions that stand, and how many of each a thing has.

use crate::{ColumnError, Fold, FromValues, Keys, Projection, Value, projection, record, row};
use circolo_domain::reaction::{self, Kind};
use circolo_domain::{Event, PersonId};
use circolo_events::Recorded;

row! {
    /// A reaction that stands.
    pub struct ReactionRow in "reactions_v1" {
        /// What it is for and whose it is, a person's or a page's, with a dot between.
        pub id: String,
        /// How they feel.
        pub kind: String,
    }
}

/// The name of a kind as JSON has it.
const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Like => "like",
        Kind::Love => "love",
        Kind::Care => "care",
        Kind::Laugh => "laugh",
        Kind::Wow => "wow",
        Kind::Sad => "sad",
    }
}

impl Fold for ReactionRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Reaction(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match &event.event {
            Event::Reaction(reaction::Event::Given { kind, .. }) => Some(Self { id: key.to_owned(), kind: word(*kind).to_owned() }),
            Event::Reaction(reaction::Event::Withdrawn { .. }) => None,
            _ => row,
        }
    }
}

row! {
    /// How many reactions of each kind a thing has.
    pub struct ReactionCountsRow in "reaction_counts_v1" {
        /// The thing's id.
        pub id: String,
        /// `like`.
        pub likes: i64,
        /// `love`.
        pub loves: i64,
        /// `care`.
        pub cares: i64,
        /// `laugh`.
        pub laughs: i64,
        /// `wow`.
        pub wows: i64,
        /// `sad`.
        pub sads: i64,
    }
}

impl ReactionCountsRow {
    fn count(&mut self, kind: Kind, by: i64) {
        *match kind {
            Kind::Like => &mut self.likes,
            Kind::Love => &mut self.loves,
            Kind::Care => &mut self.cares,
            Kind::Laugh => &mut self.laughs,
            Kind::Wow => &mut self.wows,
            Kind::Sad => &mut self.sads,
        } += by;
    }
}

impl Fold for ReactionCountsRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Reaction(_) => event.stream.key().split_once('.').map(|(target, _)| target.to_owned()).into(),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Reaction(change) = &event.event else { return row };
        let mut row = row.unwrap_or_else(|| Self { id: key.to_owned(), likes: 0, loves: 0, cares: 0, laughs: 0, wows: 0, sads: 0 });
        let (up, down) = match change {
            reaction::Event::Given { kind, previous, .. } => (Some(*kind), *previous),
            reaction::Event::Withdrawn { previous, .. } => (None, Some(*previous)),
        };
        for (kind, by) in [(up, 1), (down, -1)] {
            if let Some(kind) = kind {
                row.count(kind, by);
            }
        }
        Some(row)
    }
}

/// The projection of this file.
pub fn reactions() -> Projection {
    projection("reactions", 1).reads(&["reaction"]).row::<ReactionRow>().row::<ReactionCountsRow>()
}

record! {
    /// What people feel about a thing.
    pub struct Reactions {
        /// `like`.
        pub likes: i64,
        /// `love`.
        pub loves: i64,
        /// `care`.
        pub cares: i64,
        /// `laugh`.
        pub laughs: i64,
        /// `wow`.
        pub wows: i64,
        /// `sad`.
        pub sads: i64,
        /// What the reader feels, if they said so.
        pub mine: Option<String>,
    }
}

/// How many columns [`Reactions`] has.
const COLUMNS: usize = 7;

/// A thing in a list, with what people feel about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reacted<T> {
    /// The thing.
    pub thing: T,
    /// What they feel.
    pub reactions: Reactions,
}

impl<T: FromValues> FromValues for Reacted<T> {
    fn from_values(mut values: Vec<Value>) -> Result<Self, ColumnError> {
        let reactions = values.split_off(values.len().saturating_sub(COLUMNS));
        Ok(Self { thing: T::from_values(values)?, reactions: Reactions::from_values(reactions)? })
    }
}

/// The last columns of a query for [`Reacted`] things, with [`join`].
pub(crate) const DETAIL: &str = "COALESCE(n.likes, 0), COALESCE(n.loves, 0), COALESCE(n.cares, 0), COALESCE(n.laughs, 0), COALESCE(n.wows, 0), \
                                 COALESCE(n.sads, 0), r.kind";

/// Joins the reactions to the things in `alias`; parameter `n` is [`reader`].
pub(crate) fn join(alias: &str, n: usize) -> String {
    format!("LEFT JOIN reaction_counts_v1 n ON n.id = {alias}.id LEFT JOIN reactions_v1 r ON r.id = {alias}.id || ${n}")
}

/// The end of the keys of a reader's own reactions; of nobody's for nobody.
pub(crate) fn reader(person: Option<PersonId>) -> Value {
    person.map_or_else(String::new, |person| format!(".{person}")).into()
}
