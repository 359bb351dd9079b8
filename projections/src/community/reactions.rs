//! Read models `reactions_v2` and `reaction_counts_v2`: the reactions that stand, and how many of each a thing has.

use crate::audience::Readable;
use crate::figures::{self, ByEra, Counted, Rights, Thing};
use crate::{ColumnError, Db, DbError, Fold, FromValues, Keys, Projection, Value, projection, record, row};
use circolo_domain::access::Key;
use circolo_domain::reaction::{self, Kind};
use circolo_domain::{Event, PersonId, Timestamp};
use circolo_events::Recorded;

row! {
    /// A reaction that stands.
    pub struct ReactionRow in "reactions_v2" {
        /// What it is for and whose it is, a person's or a page's, with a dot between.
        pub id: String,
        /// How they feel.
        pub kind: String,
        /// Who may know of it, if they may read the thing: the place and the privacy era it was given in.
        pub audience: String,
        /// When.
        pub given: Timestamp,
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
            Event::Reaction(reaction::Event::Given { kind, .. }) => {
                let audience = event.metadata.scope.map(|scope| scope.audience()).unwrap_or_default();
                Some(Self { id: key.to_owned(), kind: word(*kind).to_owned(), audience, given: event.recorded_at })
            }
            Event::Reaction(reaction::Event::Withdrawn { .. }) => None,
            _ => row,
        }
    }
}

row! {
    /// How many reactions of each kind a thing has.
    pub struct ReactionCountsRow in "reaction_counts_v2" {
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
        /// The privacy era of the first.
        pub era: i64,
        /// All of them by era, once there are several.
        pub by_era: Option<String>,
    }
}

/// How many of each kind, in the order of [`Kind::ALL`].
type Counts = [i64; 6];

fn one(kind: Kind) -> Counts {
    Kind::ALL.map(|of| i64::from(of == kind))
}

impl ReactionCountsRow {
    fn new(key: &str, era: u32) -> Self {
        Self { id: key.to_owned(), likes: 0, loves: 0, cares: 0, laughs: 0, wows: 0, sads: 0, era: era.into(), by_era: None }
    }

    const fn counts(&self) -> Counts {
        [self.likes, self.loves, self.cares, self.laughs, self.wows, self.sads]
    }

    fn changed(&mut self, kind: Kind, by: i64) {
        let mut counts = self.counts();
        counts.iter_mut().zip(one(kind)).for_each(|(count, one)| *count += one * by);
        [self.likes, self.loves, self.cares, self.laughs, self.wows, self.sads] = counts;
    }

    fn given(&mut self, kind: Kind, era: u32) {
        let first = u32::try_from(self.era).unwrap_or_default();
        self.by_era = ByEra::added(self.by_era.as_deref(), first, self.counts(), era, one(kind));
        self.changed(kind, 1);
    }

    fn withdrawn(&mut self, kind: Kind, era: u32) {
        self.by_era = ByEra::taken(self.by_era.as_deref(), era, one(kind));
        self.changed(kind, -1);
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
        let era = event.metadata.scope.map_or(0, |scope| scope.era);
        let mut row = row.unwrap_or_else(|| Self::new(key, era));
        let (given, withdrawn) = match change {
            reaction::Event::Given { kind, previous, .. } => (Some(*kind), *previous),
            reaction::Event::Withdrawn { previous, .. } => (None, Some(*previous)),
        };
        if let Some(kind) = withdrawn {
            row.withdrawn(kind, era);
        }
        if let Some(kind) = given {
            row.given(kind, era);
        }
        Some(row)
    }
}

/// The projection of this file.
pub fn reactions() -> Projection {
    projection("reactions", 2).reads(&["reaction"]).row::<ReactionRow>().row::<ReactionCountsRow>()
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
        /// The privacy era of the first.
        pub era: Option<i64>,
        /// All of them by era.
        pub by_era: Option<String>,
        /// What the reader feels, if they said so.
        pub mine: Option<String>,
    }
}

impl Reactions {
    /// How many of each kind `rights` open; `None` if they have to be counted.
    fn seen(&self, rights: &Rights<'_>, thing: &impl Thing) -> Option<Counts> {
        let totals = [self.likes, self.loves, self.cares, self.laughs, self.wows, self.sads];
        let Some(first) = self.era.and_then(|era| u32::try_from(era).ok()) else { return Some([0; 6]) };
        ByEra::read(self.by_era.as_deref(), first, totals).seen(rights, thing, totals, &[])
    }
}

/// How many columns [`Reactions`] has.
const COLUMNS: usize = 9;

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
                                 COALESCE(n.sads, 0), n.era, n.by_era, r.kind";

/// Joins the reactions to the things in `alias`; parameter `n` is [`reader`].
pub(crate) fn join(alias: &str, n: usize) -> String {
    format!("LEFT JOIN reaction_counts_v2 n ON n.id = {alias}.id LEFT JOIN reactions_v2 r ON r.id = {alias}.id || ${n}")
}

/// The end of the keys of a reader's own reactions; of nobody's for nobody.
pub(crate) fn reader(person: Option<PersonId>) -> Value {
    person.map_or_else(String::new, |person| format!(".{person}")).into()
}

/// Leaves of the totals what `keys` open, which have these `rights`.
pub(crate) async fn settle<T: Thing>(db: &Db, rights: &Rights<'_>, keys: &[Key], found: &mut [Reacted<T>]) -> Result<(), DbError> {
    let unsettled: Vec<&T> = found.iter().filter(|row| row.reactions.seen(rights, &row.thing).is_none()).map(|row| &row.thing).collect();
    let counted = count(db, keys, &unsettled).await?;
    for Reacted { thing, reactions } in found {
        let seen = reactions.seen(rights, thing).or_else(|| counted.get(thing.id()).copied()).unwrap_or_default();
        [reactions.likes, reactions.loves, reactions.cares, reactions.laughs, reactions.wows, reactions.sads] = seen;
    }
    Ok(())
}

/// The reactions that stand, one by one.
async fn count<T: Thing>(db: &Db, keys: &[Key], things: &[&T]) -> Result<Counted<6>, DbError> {
    if things.is_empty() {
        return Ok(Counted::new());
    }
    let keys = figures::keys_to(keys, things.iter().copied());
    let mut params = vec![Value::List(things.iter().map(|thing| thing.id().to_owned()).collect())];
    let allowed = Readable { table: "reactions_v2", written: "given", filter: "" }.allowed(&keys, &mut params);
    // All keys of a thing's reactions: a slash comes right after a dot.
    let sql = allowed.within(|allowed| {
        format!(
            "SELECT n.id, t.kind, COUNT(*) FROM reaction_counts_v2 n JOIN reactions_v2 t ON t.id > n.id || '.' AND t.id < n.id || '/' \
             WHERE n.id = ANY($1) AND {allowed} GROUP BY n.id, t.kind"
        )
    });
    let mut counted = Counted::new();
    for (id, kind, count) in db.query::<(String, String, i64)>(sql, params).await? {
        let counts = counted.entry(id).or_insert([0; 6]);
        if let Some(place) = Kind::ALL.iter().position(|of| word(*of) == kind) {
            counts[place] = count;
        }
    }
    Ok(counted)
}
