//! Read model `comments_v2`: comments and replies under posts, for their threads and for those who answer for a page.

use crate::audience::Readable;
use crate::figures::{self, ByEra, CAP, Counted, Rights, Thing, Viewer, era_of};
use crate::posts::{as_page, remover};
use crate::reactions::{self, Reacted};
use crate::veil::{Veil, strictness};
use crate::{Db, DbError, Fold, Keys, Projection, Value, projection, record, row};
use circolo_domain::access::Key;
use circolo_domain::stance::Voice;
use circolo_domain::{CommentId, Event, Personal, PostId, Timestamp, comment};
use circolo_events::Recorded;

row! {
    /// A comment, or what is left of it.
    pub struct CommentRow in "comments_v2" {
        /// The comment's id.
        pub id: String,
        /// The post.
        pub post_id: String,
        /// The comment it replies to, if it is a reply.
        pub reply_to: Option<String>,
        /// Whose list it is in: the post's, or for a reply that of the comment it replies to.
        pub thread: String,
        /// The page, where the post is the page's own on the page itself.
        pub page_post: Option<String>,
        /// Who may read it, if they may read the post: the group or page and the privacy era it was written in.
        pub audience: String,
        /// The person who wrote it.
        pub author: String,
        /// The page that speaks, if one does.
        pub as_page: Option<String>,
        /// How private the place was when it was written.
        pub strictness: i64,
        /// The words as everybody reads them who reads the comment; gone with it.
        pub text: Option<String>,
        /// What was written in stricter times.
        pub veil: Veil,
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
        /// Replies that were not removed.
        pub replies: i64,
        /// Those among them in which a page speaks.
        pub page_replies: i64,
        /// Whether there are such.
        pub answered_publicly: bool,
        /// Both numbers by era, once there are others than the comment's own.
        pub by_era: Option<String>,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the log of its writing; lists are ordered by it.
        pub position: i64,
    }
    index "by_thread" (thread, position);
    index "of_page" (page_post, answered_publicly, position);
}

impl CommentRow {
    fn written(key: &str, event: &Recorded) -> Option<Self> {
        let Event::Comment(comment::Event::Written { post, reply_to, page_post, author, voice, text }) = &event.event else { return None };
        let (post_id, reply_to) = (post.to_string(), reply_to.map(|parent| parent.to_string()));
        Some(Self {
            id: key.to_owned(),
            thread: reply_to.clone().unwrap_or_else(|| post_id.clone()),
            post_id,
            reply_to,
            page_post: page_post.map(|page| page.to_string()),
            audience: event.metadata.scope?.audience(),
            author: author.to_string(),
            as_page: as_page(*voice),
            strictness: strictness(event),
            text: text.get().cloned(),
            veil: Veil::default(),
            written: event.recorded_at,
            version: 1,
            edited: None,
            removed: None,
            removed_by: None,
            removal_reason: None,
            replies: 0,
            page_replies: 0,
            answered_publicly: false,
            by_era: None,
            revision: 0,
            position: event.position.0,
        })
    }

    /// After one of its own events.
    fn changed(mut self, change: &comment::Event, event: &Recorded) -> Self {
        self.revision = i64::try_from(event.revision).unwrap_or(i64::MAX);
        let at = Some(event.recorded_at);
        match change {
            comment::Event::Edited { version, text } if self.veil.write("text", self.strictness, event, text.get(), Some(*version)) => {
                Self { text: text.get().cloned(), version: i64::from(*version), edited: at, ..self }
            }
            comment::Event::Written { .. } | comment::Event::Edited { .. } => self,
            comment::Event::Removed { by, reason, .. } => {
                self.veil = Veil::default();
                let reason = reason.as_ref().and_then(Personal::get);
                let open = self.veil.write("reason", self.strictness, event, reason, None);
                let removal_reason = reason.filter(|_| open).cloned();
                Self { text: None, removed: at, removed_by: Some(remover(*by)), removal_reason, ..self }
            }
        }
    }

    /// After a reply to it came in `era`, or went.
    fn replied(mut self, voice: Voice, era: u32, came: bool) -> Self {
        let reply = [1, i64::from(matches!(voice, Voice::Page(_)))];
        self.by_era = if came {
            ByEra::added(self.by_era.as_deref(), era_of(&self.audience), [self.replies, self.page_replies], era, reply)
        } else {
            ByEra::taken(self.by_era.as_deref(), era, reply)
        };
        let by = if came { 1 } else { -1 };
        (self.replies, self.page_replies) = (self.replies + by * reply[0], self.page_replies + by * reply[1]);
        Self { answered_publicly: self.page_replies > 0, ..self }
    }
}

impl Fold for CommentRow {
    fn keys(event: &Recorded) -> Keys {
        let Event::Comment(change) = &event.event else { return Keys::NONE };
        match change {
            comment::Event::Written { reply_to: Some(parent), .. } | comment::Event::Removed { reply_to: Some(parent), .. } => {
                Keys::from(vec![event.stream.key().to_owned(), parent.to_string()])
            }
            _ => Keys::from(event.stream.key()),
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Comment(change) = &event.event else { return row };
        if key == event.stream.key() {
            return match row {
                None => Self::written(key, event),
                Some(row) => Some(row.changed(change, event)),
            };
        }
        let era = event.metadata.scope.map_or(0, |scope| scope.era);
        match change {
            comment::Event::Written { voice, .. } => row.map(|row| row.replied(*voice, era, true)),
            comment::Event::Removed { voice, .. } => row.map(|row| row.replied(*voice, era, false)),
            comment::Event::Edited { .. } => row,
        }
    }
}

/// The projection of this file.
pub fn comments() -> Projection {
    projection("comments", 2).reads(&["comment"]).row::<CommentRow>()
}

record! {
    /// A comment in its thread.
    pub struct CommentDetail {
        /// The comment's id.
        pub id: String,
        /// The post.
        pub post_id: String,
        /// The comment it replies to, if it is a reply.
        pub reply_to: Option<String>,
        /// Who may read it.
        pub audience: String,
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
        /// Replies that were not removed, as far as the viewer may read them.
        pub replies: i64,
        /// Those among them in which a page speaks.
        pub page_replies: i64,
        /// Both by era.
        pub by_era: Option<String>,
        /// Revision of its stream, for whom it tells nothing of what they may not read.
        pub revision: Option<i64>,
        /// Place in this list.
        pub position: i64,
        veil: Veil,
    }
}

impl CommentDetail {
    /// As a reader with `keys` reads it.
    fn unveil(&mut self, keys: &[Key]) {
        if let Some(later) = self.veil.lifted("text", keys) {
            (self.text, self.edited) = (later.value.clone(), Some(later.at));
            self.version = later.version.unwrap_or(self.version);
        }
        self.veil.lift("reason", keys, &mut self.removal_reason);
    }
}

impl Thing for CommentDetail {
    fn id(&self) -> &str {
        &self.id
    }

    fn audience(&self) -> &str {
        &self.audience
    }

    fn written(&self) -> Timestamp {
        self.written
    }
}

impl CommentDetail {
    /// Replies that `rights` open; `None` if they have to be counted.
    fn seen(&self, rights: &Rights<'_>) -> Option<[i64; 2]> {
        let totals = [self.replies, self.page_replies];
        ByEra::read(self.by_era.as_deref(), era_of(&self.audience), totals).seen(rights, self, totals, &[])
    }
}

/// Which page of which thread.
#[derive(Debug, Clone)]
pub struct List {
    /// The post.
    pub post: PostId,
    /// The comment whose replies are wanted; none for the comments on the post itself.
    pub reply_to: Option<CommentId>,
    /// Only what stands behind this position.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// A thread, oldest first, as far as `viewer` may read it, who may read the post.
pub async fn list(db: &Db, viewer: Viewer<'_>, page: &List) -> Result<Vec<Reacted<CommentDetail>>, DbError> {
    let thread = page.reply_to.map_or_else(|| page.post.to_string(), |comment| comment.to_string());
    let mut params = vec![thread.into(), page.after.unwrap_or(0).into(), page.limit.into(), reactions::reader(viewer.person)];
    let allowed = Readable { table: "comments_v2", written: "written", filter: "" }.allowed(viewer.keys, &mut params);
    let sql = allowed.within(|allowed| format!(
        "SELECT t.id, t.post_id, t.reply_to, t.audience, t.author, t.as_page, COALESCE(g.name, a.display_name), t.text, t.written, t.edited, t.version, \
           t.removed, t.removed_by, t.removal_reason, t.replies, t.page_replies, t.by_era, t.revision, t.position, t.veil, {} \
         FROM comments_v2 t LEFT JOIN people_v1 a ON a.id = t.author LEFT JOIN pages_v1 g ON g.id = t.as_page {} \
         WHERE t.thread = $1 AND t.position > $2 AND {allowed} ORDER BY t.position LIMIT $3",
        reactions::DETAIL,
        reactions::join("t", 4)
    ));
    let mut found: Vec<Reacted<CommentDetail>> = db.query(sql, params).await?;
    let rights = Rights::of(viewer.keys);
    let unsettled: Vec<&CommentDetail> = found.iter().map(|row| &row.thing).filter(|comment| comment.seen(&rights).is_none()).collect();
    let counted = count(db, viewer.keys, &unsettled).await?;
    for Reacted { thing: comment, .. } in &mut found {
        comment.unveil(viewer.keys);
        let seen = comment.seen(&rights).or_else(|| counted.get(&comment.id).copied()).unwrap_or_default();
        [comment.replies, comment.page_replies] = seen;
        comment.revision = figures::told(&rights, figures::own(viewer.person, &comment.author), comment, comment.revision);
    }
    reactions::settle(db, &rights, viewer.keys, &mut found).await?;
    Ok(found)
}

/// Replies one by one.
async fn count(db: &Db, keys: &[Key], comments: &[&CommentDetail]) -> Result<Counted<2>, DbError> {
    if comments.is_empty() {
        return Ok(Counted::new());
    }
    let keys = figures::keys_to(keys, comments.iter().copied());
    let mut params = vec![Value::List(comments.iter().map(|comment| comment.id.clone()).collect()), CAP.into()];
    let allowed = Readable { table: "comments_v2", written: "written", filter: "" }.allowed(&keys, &mut params);
    let sql = allowed.within(|allowed| {
        let replies = format!("SELECT t.id FROM comments_v2 t WHERE t.thread = c.id AND t.removed IS NULL AND {allowed}");
        format!(
            "SELECT c.id, (SELECT COUNT(*) FROM ({replies} LIMIT $2) n), (SELECT COUNT(*) FROM ({replies} AND t.as_page IS NOT NULL LIMIT $2) n) \
             FROM comments_v2 c WHERE c.id = ANY($1)"
        )
    });
    let counted: Vec<(String, i64, i64)> = db.query(sql, params).await?;
    Ok(counted.into_iter().map(|(id, replies, of_pages)| (id, [replies, of_pages])).collect())
}
