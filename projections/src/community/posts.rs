//! Read models `posts_v2` and `post_stats_v2`: posts as they stand, tombstones of removed ones, and their figures.

use crate::audience::Readable;
use crate::feeds::InFeeds;
use crate::figures::{self, ByEra, CAP, Counted, Rights, Thing, Viewer, era_of};
use crate::reactions::{self, Reacted};
use crate::veil::{Veil, strictness};
use crate::{Db, DbError, Fold, Keys, Projection, Value, projection, record, row};
use circolo_domain::access::{Key, Owner};
use circolo_domain::authored::Remover;
use circolo_domain::stance::Voice;
use circolo_domain::{Event, Personal, PostId, Timestamp, comment, post};
use circolo_events::Recorded;

row! {
    /// A post, or what is left of it.
    pub struct PostRow in "posts_v2" {
        /// The post's id.
        pub id: String,
        /// The group it was written in, if it was a group.
        pub group_id: Option<String>,
        /// The page it was written on, if it was a page.
        pub page_id: Option<String>,
        /// Who may read it: the group or page and the privacy era it was written in.
        pub audience: String,
        /// The person who wrote it.
        pub author: String,
        /// The page that speaks, if one does.
        pub as_page: Option<String>,
        /// How private the place was when it was written.
        pub strictness: i64,
        /// The words as everybody reads them who reads the post; gone with it.
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
            audience: scope.audience(),
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
            revision: 0,
            position: event.position.0,
        })
    }

    fn changed(mut self, change: &post::Event, event: &Recorded) -> Self {
        let at = Some(event.recorded_at);
        match change {
            post::Event::Edited { version, text } if self.veil.write("text", self.strictness, event, text.get(), Some(*version)) => {
                Self { text: text.get().cloned(), version: i64::from(*version), edited: at, ..self }
            }
            post::Event::Written { .. } | post::Event::Edited { .. } => self,
            post::Event::Removed { by, reason } => {
                self.veil = Veil::default();
                let reason = reason.as_ref().and_then(Personal::get);
                let open = self.veil.write("reason", self.strictness, event, reason, None);
                let removal_reason = reason.filter(|_| open).cloned();
                Self { text: None, removed: at, removed_by: Some(remover(*by)), removal_reason, ..self }
            }
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
            Some(row) => row.changed(change, event),
        };
        Some(Self { revision: i64::try_from(event.revision).unwrap_or(i64::MAX), ..row })
    }
}

row! {
    /// A post's figures, apart from its words: they change more often.
    pub struct PostStatsRow in "post_stats_v2" {
        /// The post's id.
        pub id: String,
        /// Comments that were not removed.
        pub comments: i64,
        /// Replies to comments that were not removed.
        pub replies: i64,
        /// The privacy era of the first.
        pub era: i64,
        /// Comments and replies by era, once there are several.
        pub by_era: Option<String>,
    }
}

impl PostStatsRow {
    /// After a comment, or with `reply` a reply to one, was written in `era`.
    fn written(mut self, era: u32, reply: bool) -> Self {
        let more = if reply { [0, 1] } else { [1, 0] };
        let first = u32::try_from(self.era).unwrap_or_default();
        self.by_era = ByEra::added(self.by_era.as_deref(), first, [self.comments, self.replies], era, more);
        Self { comments: self.comments + more[0], replies: self.replies + more[1], ..self }
    }

    fn removed(mut self, era: u32, reply: bool) -> Self {
        let less = if reply { [0, 1] } else { [1, 0] };
        self.by_era = ByEra::taken(self.by_era.as_deref(), era, less);
        Self { comments: self.comments - less[0], replies: self.replies - less[1], ..self }
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
        let era = event.metadata.scope.map_or(0, |scope| scope.era);
        let row = row.unwrap_or_else(|| Self { id: key.to_owned(), comments: 0, replies: 0, era: era.into(), by_era: None });
        Some(match &event.event {
            Event::Comment(comment::Event::Written { reply_to, .. }) => row.written(era, reply_to.is_some()),
            Event::Comment(comment::Event::Removed { reply_to, .. }) => row.removed(era, reply_to.is_some()),
            _ => row,
        })
    }
}

/// What an event of a post means for its place in feeds.
pub(crate) fn in_feeds(event: &Event) -> Option<InFeeds> {
    match event {
        Event::Post(post::Event::Written { .. }) => Some(InFeeds::Enters),
        Event::Post(post::Event::Removed { .. }) => Some(InFeeds::Leaves),
        _ => None,
    }
}

/// The projection of this file.
pub fn posts() -> Projection {
    projection("posts", 2).reads(&["post", "comment"]).row::<PostRow>().row::<PostStatsRow>()
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
        /// Comments, as far as the viewer may read them.
        pub comments: i64,
        /// Replies to them, as far as the viewer may read them.
        pub replies: i64,
        /// The privacy era of the first.
        pub era: Option<i64>,
        /// Both by era.
        pub by_era: Option<String>,
        /// Revision of its stream, for whom it tells nothing of what they may not read.
        pub revision: Option<i64>,
        veil: Veil,
    }
}

impl PostDetail {
    /// As a reader with `keys` reads it.
    fn unveil(&mut self, keys: &[Key]) {
        if let Some(later) = self.veil.lifted("text", keys) {
            (self.text, self.edited) = (later.value.clone(), Some(later.at));
            self.version = later.version.unwrap_or(self.version);
        }
        self.veil.lift("reason", keys, &mut self.removal_reason);
    }
}

impl Thing for PostDetail {
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

impl PostDetail {
    /// Comments and replies that `rights` open; `None` if they have to be counted.
    fn seen(&self, rights: &Rights<'_>) -> Option<[i64; 2]> {
        let first = self.era.and_then(|era| u32::try_from(era).ok()).unwrap_or_else(|| era_of(&self.audience));
        let totals = [self.comments, self.replies];
        ByEra::read(self.by_era.as_deref(), first, totals).seen(rights, self, totals, &[1])
    }
}

/// The posts of these ids for `viewer`, in no order: the caller has checked that they may read them.
pub async fn by_ids(db: &Db, ids: Vec<String>, viewer: Viewer<'_>) -> Result<Vec<Reacted<PostDetail>>, DbError> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!(
        "SELECT p.id, p.group_id, p.page_id, p.audience, p.author, p.as_page, COALESCE(g.name, a.display_name), p.text, p.written, p.edited, p.version, \
           p.removed, p.removed_by, p.removal_reason, COALESCE(s.comments, 0), COALESCE(s.replies, 0), s.era, s.by_era, p.revision, p.veil, {} \
         FROM posts_v2 p LEFT JOIN people_v1 a ON a.id = p.author LEFT JOIN pages_v1 g ON g.id = p.as_page \
           LEFT JOIN post_stats_v2 s ON s.id = p.id {} WHERE p.id = ANY($1)",
        reactions::DETAIL,
        reactions::join("p", 2)
    );
    let mut found: Vec<Reacted<PostDetail>> = db.lookup(sql, vec![Value::List(ids), reactions::reader(viewer.person)]).await?;
    let rights = Rights::of(viewer.keys);
    let unsettled: Vec<&PostDetail> = found.iter().map(|row| &row.thing).filter(|post| post.seen(&rights).is_none()).collect();
    let counted = count(db, viewer.keys, &unsettled).await?;
    for Reacted { thing: post, .. } in &mut found {
        post.unveil(viewer.keys);
        let seen = post.seen(&rights).or_else(|| counted.get(&post.id).copied()).unwrap_or_default();
        [post.comments, post.replies] = seen;
        post.revision = figures::told(&rights, figures::own(viewer.person, &post.author), post, post.revision);
    }
    reactions::settle(db, &rights, viewer.keys, &mut found).await?;
    Ok(found)
}

/// One post, or its tombstone.
pub async fn find(db: &Db, id: PostId, viewer: Viewer<'_>) -> Result<Option<Reacted<PostDetail>>, DbError> {
    Ok(by_ids(db, vec![id.to_string()], viewer).await?.pop())
}

/// Comments and replies one by one: a reply is read by who may read both it and what it is for.
async fn count(db: &Db, keys: &[Key], posts: &[&PostDetail]) -> Result<Counted<2>, DbError> {
    if posts.is_empty() {
        return Ok(Counted::new());
    }
    let keys = figures::keys_to(keys, posts.iter().copied());
    let mut params = vec![Value::List(posts.iter().map(|post| post.id.clone()).collect()), CAP.into()];
    let allowed = Readable { table: "comments_v2", written: "written", filter: "" }.allowed(&keys, &mut params);
    let sql = allowed.within(|allowed| format!(
        "SELECT p.id, (SELECT COUNT(*) FROM (SELECT t.id FROM comments_v2 t WHERE t.thread = p.id AND t.removed IS NULL AND {allowed} LIMIT $2) n), \
           (SELECT COUNT(*) FROM (SELECT t.id FROM comments_v2 t \
              WHERE t.thread IN (SELECT t.id FROM comments_v2 t WHERE t.thread = p.id AND {allowed}) \
                AND t.removed IS NULL AND {allowed} LIMIT $2) n) \
         FROM posts_v2 p WHERE p.id = ANY($1)"
    ));
    let counted: Vec<(String, i64, i64)> = db.query(sql, params).await?;
    Ok(counted.into_iter().map(|(id, comments, replies)| (id, [comments, replies])).collect())
}
