//! Read model `page_comments_v1`: what persons wrote under a page's own posts, and whether the page answered.

use crate::{Db, DbError, Fold, Keys, Projection, projection, record, row};
use circolo_domain::permit::Permit;
use circolo_domain::stance::Voice;
use circolo_domain::{CommentId, Event, PageId, Timestamp, comment, conversation, post};
use circolo_events::Recorded;

row! {
    /// A comment of a person, or a reply of theirs, under a post of the page.
    pub struct PageCommentRow in "page_comments_v1" {
        /// The comment's id.
        pub id: String,
        /// The page.
        pub page_id: String,
        /// The post.
        pub post_id: String,
        /// The comment it replies to, if it is a reply.
        pub reply_to: Option<String>,
        /// Who wrote it.
        pub author: String,
        /// The words.
        pub text: Option<String>,
        /// When it was written.
        pub written: Timestamp,
        /// Whether it was taken away.
        pub removed: bool,
        /// Replies in the page's voice.
        pub public_answers: i64,
        /// The page's private reply.
        pub private_reply: Option<String>,
        /// Whether it waits for any answer. A reply does not: it belongs to the thread of its comment.
        pub unanswered: bool,
        /// Whether a private reply to it is still to be had, as far as the comment itself decides that.
        pub private_open: bool,
        /// Place in the log.
        pub position: i64,
    }
    index "unanswered" (page_id, unanswered, position);
    index "expiring" (page_id, private_open, written, position);
}

impl PageCommentRow {
    fn judged(mut self) -> Self {
        self.private_open = !self.removed && self.private_reply.is_none();
        self.unanswered = self.private_open && self.public_answers == 0 && self.reply_to.is_none();
        self
    }

    fn commented(row: Option<Self>, key: &str, event: &Recorded, change: &comment::Event) -> Option<Self> {
        let its_own = event.stream.key() == key;
        match (change, row) {
            (comment::Event::Written { post, reply_to, page_post: Some(page), author, text, .. }, None) if its_own => Some(Self {
                id: key.to_owned(),
                page_id: page.to_string(),
                post_id: post.to_string(),
                reply_to: reply_to.map(|parent| parent.to_string()),
                author: author.to_string(),
                text: text.get().cloned(),
                written: event.recorded_at,
                removed: false,
                public_answers: 0,
                private_reply: None,
                unanswered: false,
                private_open: false,
                position: event.position.0,
            }),
            (comment::Event::Edited { text, .. }, Some(row)) => Some(Self { text: text.get().cloned(), ..row }),
            (comment::Event::Removed { .. }, Some(row)) if its_own => Some(Self { removed: true, text: None, ..row }),
            (comment::Event::Written { .. }, Some(row)) => Some(Self { public_answers: row.public_answers + 1, ..row }),
            (comment::Event::Removed { .. }, Some(row)) => Some(Self { public_answers: row.public_answers - 1, ..row }),
            (_, row) => row,
        }
    }
}

/// The comment whose answers a comment of this place and voice changes: the page's reply to it.
fn answered(reply_to: Option<CommentId>, voice: Voice) -> Option<CommentId> {
    reply_to.filter(|_| matches!(voice, Voice::Page(_)))
}

impl Fold for PageCommentRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Comment(
                comment::Event::Written { page_post: Some(_), reply_to, voice, .. }
                | comment::Event::Removed { page_post: Some(_), reply_to, voice, .. },
            ) => match voice {
                Voice::Person(_) => Keys::from(event.stream.key()),
                Voice::Page(_) => Keys::from(answered(*reply_to, *voice).map(|parent| parent.to_string())),
            },
            Event::Comment(comment::Event::Edited { .. }) => Keys::from(event.stream.key()),
            Event::Conversation(conversation::Event::PageWrote { permit: Permit::PrivateReply { comment, .. }, .. }) => Keys::one(comment),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let row = match &event.event {
            Event::Comment(change) => Self::commented(row, key, event, change)?,
            Event::Conversation(conversation::Event::PageWrote { message, .. }) => {
                Self { private_reply: Some(message.to_string()), ..row? }
            }
            _ => return row,
        };
        Some(row.judged())
    }
}

row! {
    /// A post of a page that was taken away, and its comments with it.
    pub struct RemovedPostRow in "removed_page_posts_v1" {
        /// The post's id.
        pub id: String,
    }
}

impl Fold for RemovedPostRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Post(post::Event::Removed { .. }) if event.metadata.scope.is_some_and(|scope| scope.group().is_none()) => {
                Keys::from(event.stream.key())
            }
            _ => Keys::NONE,
        }
    }

    fn fold(_: Option<Self>, key: &str, _: &Recorded) -> Option<Self> {
        Some(Self { id: key.to_owned() })
    }
}

/// The projection of this file.
pub fn page_comments() -> Projection {
    projection("page_comments", 1).reads(&["comment", "conversation", "post"]).row::<PageCommentRow>().row::<RemovedPostRow>()
}

record! {
    /// A comment, as the page's staff see it.
    pub struct PageCommentDetail {
        /// The comment's id.
        pub id: String,
        /// The post.
        pub post_id: String,
        /// The comment it replies to, if it is a reply.
        pub reply_to: Option<String>,
        /// Who wrote it.
        pub author: String,
        /// How others see them.
        pub author_name: Option<String>,
        /// The words.
        pub text: Option<String>,
        /// When it was written.
        pub written: Timestamp,
        /// Replies in the page's voice.
        pub public_answers: i64,
        /// The page's private reply.
        pub private_reply: Option<String>,
        /// Place in the log.
        pub position: i64,
    }
}

const DETAIL: &str =
    "c.id, c.post_id, c.reply_to, c.author, p.display_name, c.text, c.written, c.public_answers, c.private_reply, c.position";

/// Comments on a page's own posts that the page answered neither in public nor in private, newest first.
pub async fn unanswered(db: &Db, page: PageId, before: Option<i64>, limit: i64) -> Result<Vec<PageCommentDetail>, DbError> {
    let sql = format!(
        "SELECT {DETAIL} FROM page_comments_v1 c LEFT JOIN people_v1 p ON p.id = c.author \
         WHERE c.page_id = $1 AND c.unanswered = 1 AND c.position < $2 \
           AND NOT EXISTS (SELECT 1 FROM removed_page_posts_v1 r WHERE r.id = c.post_id) ORDER BY c.position DESC LIMIT $3"
    );
    db.query(sql, vec![page.into(), before.unwrap_or(i64::MAX).into(), limit.into()]).await
}

/// When comments were written that a list is to hold.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// After this moment.
    pub after: Timestamp,
    /// At this moment or before.
    pub until: Timestamp,
}

/// Comments that the page may still answer in private and that were written in these bounds, the oldest first: persons who
/// block the page are left out. `after` is moment and place in the log.
pub async fn to_answer_in_private(
    db: &Db,
    page: PageId,
    written: Written,
    after: Option<(i64, i64)>,
    limit: i64,
) -> Result<Vec<PageCommentDetail>, DbError> {
    let (since, position) = after.unwrap_or_default().max((written.after.micros(), i64::MAX));
    // Said in a way that lets no database expect few rows and therefore read and sort all of them: scalar subqueries, and no `=`.
    let sql = format!(
        "SELECT {DETAIL} FROM page_comments_v1 c LEFT JOIN people_v1 p ON p.id = c.author \
         WHERE c.page_id = $1 AND c.private_open = 1 AND c.written >= $2 AND c.written <= $3 AND (c.written > $2 OR c.position > $4) \
           AND COALESCE((SELECT f.blocks FROM fans_v1 f WHERE f.id = c.page_id || '.' || c.author), 0) <> 1 \
           AND COALESCE((SELECT 1 FROM removed_page_posts_v1 r WHERE r.id = c.post_id), 0) <> 1 \
         ORDER BY c.written, c.position LIMIT $5"
    );
    let params = vec![page.into(), since.into(), written.until.into(), position.into(), limit.into()];
    db.query(sql, params).await
}

/// Of these comments, those that the page answered in private.
pub async fn answered_in_private(db: &Db, comments: Vec<String>) -> Result<Vec<String>, DbError> {
    let sql = "SELECT c.id FROM page_comments_v1 c WHERE c.private_reply IS NOT NULL AND c.id = ANY($1)";
    db.query(sql, vec![comments.into()]).await
}
