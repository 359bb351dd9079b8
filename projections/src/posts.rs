//! Read models `posts_v1` and `post_stats_v1`: posts as they stand, tombstones of removed ones, and their figures.

use crate::reactions::{self, Reacted};
use crate::{Db, DbError, Fold, Keys, Projection, Value, projection, record, row};
use circolo_domain::access::Owner;
use circolo_domain::authored::Remover;
use circolo_domain::stance::Voice;
use circolo_domain::{Event, PersonId, Personal, PostId, Timestamp, comment, post};
use circolo_events::Recorded;

row! {
    /// A post, or what is left of it.
    pub struct PostRow in "posts_v1" {
        /// The post's id.
        pub id: String,
        /// The group it was written in, if it was a group.
        pub group_id: Option<String>,
        /// The page it was written on, if it was a page.
        pub page_id: Option<String>,
        /// The person who wrote it.
        pub author: String,
        /// The page that speaks, if one does.
        pub as_page: Option<String>,
        /// The words as they stand; gone with the post.
        pub text: Option<String>,
        /// When it was written.
        pub written: Timestamp,
        /// Number of the version, from 1.
        pub version: i64,
        /// When that was made, if it is not the first.
        pub edited: Option<Timestamp>,
        /// When it was removed, if it was.
        pub removed: Option<Timestamp>,
        /// By whom: `author` or `moderator`.
        pub removed_by: Option<String>,
        /// Why.
        pub removal_reason: Option<String>,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the log of its writing.
        pub position: i64,
    }
}

/// The page that speaks, if one does.
pub(crate) fn as_page(voice: Voice) -> Option<String> {
    match voice {
        Voice::Person(_) => None,
        Voice::Page(page) => Some(page.to_string()),
    }
}

/// The name of a remover as JSON has it.
pub(crate) fn remover(by: Remover) -> String {
    match by {
        Remover::Author => "author",
        Remover::Moderator => "moderator",
    }
    .to_owned()
}

impl PostRow {
    fn written(key: &str, event: &Recorded) -> Option<Self> {
        let (Event::Post(post::Event::Written { author, voice, text }), Some(scope)) = (&event.event, event.metadata.scope) else {
            return None;
        };
        let (group_id, page_id) = match scope.owner {
            Owner::Group(group) => (Some(group.to_string()), None),
            Owner::Page(page) => (None, Some(page.to_string())),
        };
        Some(Self {
            id: key.to_owned(),
            group_id,
            page_id,
            author: author.to_string(),
            as_page: as_page(*voice),
            text: text.get().cloned(),
            written: event.recorded_at,
            version: 1,
            edited: None,
            removed: None,
            removed_by: None,
            removal_reason: None,
            revision: 0,
            position: event.position.0,
        })
    }

    fn changed(self, change: &post::Event, at: Timestamp) -> Self {
        match change {
            post::Event::Written { .. } => self,
            post::Event::Edited { version, text } => {
                Self { text: text.get().cloned(), version: i64::from(*version), edited: Some(at), ..self }
            }
            post::Event::Removed { by, reason } => Self {
                text: None,
                removed: Some(at),
                removed_by: Some(remover(*by)),
                removal_reason: reason.as_ref().and_then(Personal::get).cloned(),
                ..self
            },
        }
    }
}

impl Fold for PostRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Post(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Post(change) = &event.event else { return row };
        let row = match row {
            None => Self::written(key, event)?,
            Some(row) => row.changed(change, event.recorded_at),
        };
        Some(Self { revision: i64::try_from(event.revision).unwrap_or(i64::MAX), ..row })
    }
}

row! {
    /// A post's figures, apart from its words: they change more often.
    pub struct PostStatsRow in "post_stats_v1" {
        /// The post's id.
        pub id: String,
        /// Comments and replies that were not removed.
        pub comments: i64,
    }
}

impl Fold for PostStatsRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Comment(comment::Event::Written { post, .. } | comment::Event::Removed { post, .. }) => Keys::one(post),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let mut row = row.unwrap_or_else(|| Self { id: key.to_owned(), comments: 0 });
        match &event.event {
            Event::Comment(comment::Event::Written { .. }) => row.comments += 1,
            Event::Comment(comment::Event::Removed { .. }) => row.comments -= 1,
            _ => {}
        }
        Some(row)
    }
}

/// The projection of this file.
pub fn posts() -> Projection {
    projection("posts", 1).reads(&["post", "comment"]).row::<PostRow>().row::<PostStatsRow>()
}

record! {
    /// A post in a feed or on its page.
    pub struct PostDetail {
        /// The post's id.
        pub id: String,
        /// The group it was written in, if it was a group.
        pub group_id: Option<String>,
        /// The page it was written on, if it was a page.
        pub page_id: Option<String>,
        /// The person who wrote it.
        pub author: String,
        /// The page that speaks, if one does.
        pub as_page: Option<String>,
        /// How others see whoever speaks.
        pub speaker_name: Option<String>,
        /// The words as they stand.
        pub text: Option<String>,
        /// When it was written.
        pub written: Timestamp,
        /// When it was last edited.
        pub edited: Option<Timestamp>,
        /// Number of the version.
        pub version: i64,
        /// When it was removed.
        pub removed: Option<Timestamp>,
        /// By whom.
        pub removed_by: Option<String>,
        /// Why.
        pub removal_reason: Option<String>,
        /// Comments and replies.
        pub comments: i64,
        /// Revision of its stream.
        pub revision: i64,
    }
}

/// The posts of these ids with what `reader` feels about them, in no order: the caller has checked who may read them.
pub async fn by_ids(db: &Db, ids: Vec<String>, reader: Option<PersonId>) -> Result<Vec<Reacted<PostDetail>>, DbError> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!(
        "SELECT p.id, p.group_id, p.page_id, p.author, p.as_page, COALESCE(g.name, a.display_name), p.text, p.written, p.edited, p.version, \
           p.removed, p.removed_by, p.removal_reason, COALESCE(s.comments, 0), p.revision, {} \
         FROM posts_v1 p LEFT JOIN people_v1 a ON a.id = p.author LEFT JOIN pages_v1 g ON g.id = p.as_page \
           LEFT JOIN post_stats_v1 s ON s.id = p.id {} WHERE p.id = ANY($1)",
        reactions::DETAIL,
        reactions::join("p", 2)
    );
    db.lookup(sql, vec![Value::List(ids), reactions::reader(reader)]).await
}

/// One post, or its tombstone.
pub async fn find(db: &Db, id: PostId, reader: Option<PersonId>) -> Result<Option<Reacted<PostDetail>>, DbError> {
    Ok(by_ids(db, vec![id.to_string()], reader).await?.pop())
}
