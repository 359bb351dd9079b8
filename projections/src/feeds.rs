//! Read model `feed_items_v1`: one row for everything that appears in feeds, of whatever kind, by who may read it.

use crate::audience::Readable;
use crate::{Db, DbError, Fold, Keys, Projection, Row, projection, record, row};
use circolo_domain::access::Key;
use circolo_domain::{Event, Timestamp, listing, post, question};
use circolo_events::Recorded;

/// [`FeedItemRow::kind`] of posts.
pub const POST: &str = "post";
/// [`FeedItemRow::kind`] of questions.
pub const QUESTION: &str = "question";
/// [`FeedItemRow::kind`] of listings.
pub const LISTING: &str = "listing";

/// Is this a program of the next version? Only one test builds it: see docs/adr/0007-a-next-version-for-one-test.md.
const NEXT: bool = cfg!(feature = "next");
/// The table that queries read. The next version has one of its own.
const TABLE: &str = if NEXT { "feed_items_v2" } else { FeedItemRow::TABLE.name };

row! {
    /// A post, a question or a listing.
    pub struct FeedItemRow in "feed_items_v1" {
        /// Its id.
        pub id: String,
        /// What it is: `post`, `question` or `listing`.
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
        match &event.event {
            Event::Post(post::Event::Written { .. } | post::Event::Removed { .. })
            | Event::Question(question::Event::Posted { .. })
            | Event::Listing(listing::Event::Posted { .. } | listing::Event::Withdrawn { .. } | listing::Event::MadeAvailable { .. }) => {
                Keys::from(event.stream.key())
            }
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let kind = match &event.event {
            Event::Post(post::Event::Written { .. }) => POST,
            Event::Question(question::Event::Posted { .. }) => QUESTION,
            Event::Listing(listing::Event::Posted { .. }) => LISTING,
            Event::Post(post::Event::Removed { .. }) => return None,
            Event::Listing(listing::Event::Withdrawn { .. }) => return row.map(|row| Self { shown: false, ..row }),
            Event::Listing(listing::Event::MadeAvailable { .. }) => return row.map(|row| Self { shown: true, ..row }),
            _ => return row,
        };
        let (None, Some(scope)) = (&row, event.metadata.scope) else { return row };
        Some(Self {
            id: key.to_owned(),
            kind: kind.to_owned(),
            audience: scope.audience(),
            // What makes the next version another one.
            shown: !(NEXT && kind == QUESTION),
            written: event.recorded_at,
            position: event.position.0,
        })
    }
}

/// The projection of this file.
pub fn feeds() -> Projection {
    let feeds = projection("feeds", if NEXT { 2 } else { 1 }).reads(&["listing", "post", "question"]);
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
