//! Read model `feed_items_v1`: one row for everything that appears in feeds, of whatever kind, by who may read it.

use crate::audience::Readable;
use crate::{Db, DbError, Fold, Keys, Projection, Row, listings, posts, projection, questions, record, row};
use circolo_domain::access::Key;
use circolo_domain::{Decider, Event, ThingKind, Timestamp};
use circolo_events::Recorded;

/// What an event means for a thing's place in feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InFeeds {
    /// It appears, at the place of this event, for those who may read what is written in its scope.
    Enters,
    /// It is shown, or is not for now and may come back to its place.
    Shown(bool),
    /// It is gone.
    Leaves,
}

/// A kind of thing that appears in feeds.
struct Entry {
    kind: ThingKind,
    /// Whose events say so; the key of the stream is the thing.
    category: &'static str,
    means: fn(&Event) -> Option<InFeeds>,
}

macro_rules! kinds {
    ($($kind:ident: $state:path => $means:path),* $(,)?) => {
        const KINDS: &[Entry] = &[$(Entry { kind: ThingKind::$kind, category: <$state as Decider>::CATEGORY, means: $means }),*];
        const CATEGORIES: &[&str] = &[$(<$state as Decider>::CATEGORY),*];
    };
}

// One line per kind, sorted. A new one is no new version of the table.
kinds! {
    Listing: circolo_domain::listing::Listing => listings::in_feeds,
    Post: circolo_domain::post::Post => posts::in_feeds,
    Question: circolo_domain::question::Question => questions::in_feeds,
}

/// What an event means for which kind of thing.
fn means(event: &Recorded) -> Option<(ThingKind, InFeeds)> {
    let of = KINDS.iter().find(|of| of.category == event.event.category())?;
    Some((of.kind, (of.means)(&event.event)?))
}

/// Is this a program of the next version? Only one test builds it: see docs/adr/0007-a-next-version-for-one-test.md.
const NEXT: bool = cfg!(feature = "next");
/// The table that queries read. The next version has one of its own.
const TABLE: &str = if NEXT { "feed_items_v2" } else { FeedItemRow::TABLE.name };

row! {
    /// A thing of any kind that feeds show.
    pub struct FeedItemRow in "feed_items_v1" {
        /// Its id.
        pub id: String,
        /// What it is, as a word.
        pub kind: String,
        /// Who may read it: the group or page and the privacy era it was written in.
        pub audience: String,
        /// Whether feeds show it. What may come back stays here meanwhile.
        pub shown: bool,
        /// When it was written.
        pub written: Timestamp,
        /// Place in the log of its writing; feeds are ordered by it.
        pub position: i64,
    }
    index "by_audience" (audience, shown, position, written);
    index "by_time" (audience, written, position);
}

impl Fold for FeedItemRow {
    fn keys(event: &Recorded) -> Keys {
        if means(event).is_some() { Keys::from(event.stream.key()) } else { Keys::NONE }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Some((kind, means)) = means(event) else { return row };
        match (means, row) {
            (InFeeds::Leaves, _) => None,
            (InFeeds::Shown(shown), row) => row.map(|row| Self { shown, ..row }),
            (InFeeds::Enters, Some(row)) => Some(row),
            (InFeeds::Enters, None) => Some(Self {
                id: key.to_owned(),
                kind: kind.word().to_owned(),
                audience: event.metadata.scope?.audience(),
                // What makes the next version another one.
                shown: !(NEXT && kind == ThingKind::Question),
                written: event.recorded_at,
                position: event.position.0,
            }),
        }
    }
}

/// The projection of this file.
pub fn feeds() -> Projection {
    let feeds = projection("feeds", if NEXT { 2 } else { 1 }).reads(CATEGORIES);
    feeds.row_in::<FeedItemRow>(TABLE)
}

record! {
    /// What stands at one place of a feed; its content is read by its kind.
    pub struct FeedItem {
        /// What it is.
        pub kind: String,
        /// Its id.
        pub id: String,
        /// Its place.
        pub position: i64,
    }
}

/// What a reader with `keys` may read, newest first: of a group, of a page, or of all that somebody follows.
pub async fn newest(db: &Db, keys: &[Key], before: Option<i64>, limit: i64) -> Result<Vec<FeedItem>, DbError> {
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let items = Readable { table: TABLE, written: "written", filter: " AND t.shown = 1" };
    let (found, params) = items.newest_of_many(keys, "f.kind, f.id, f.position", before, limit);
    db.query(found.within(str::to_owned), params).await
}
