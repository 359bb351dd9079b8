//! A comment under a post, or a reply to such a comment.

use crate::access::{Denied, Standing};
use crate::authored::{Authored, Remover};
use crate::change::{Change, Content, Readers};
use crate::conversation;
use crate::deadline::{Deadline, Deadlines, Matter};
use crate::notice::{Notice, NoticeKind, To};
use crate::page::StaffAct;
use crate::permit::META;
use crate::post;
use crate::stance::{Rights, Stance, Voice};
use crate::thing::Thing;
use crate::{
    Comment as Words, CommentId, Context, Decider, Kind, Named, PageId, PersonId, Personal, PostId, Reason, Rejection, StreamName,
    TextOwner, Timestamp, Written,
};
use serde::{Deserialize, Serialize};

/// What may be asked of a comment's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Writes it.
    WriteComment {
        /// Who writes.
        by: Stance,
        /// In whose voice, if not their own.
        as_page: Option<PageId>,
        /// Under which post.
        post: post::Facts,
        /// To which comment, for a reply.
        reply_to: Option<ReplyTo>,
        /// The words.
        text: Words,
    },
    /// Changes the words.
    EditComment {
        /// The author, or staff of the page that speaks.
        by: Stance,
        /// The new words.
        text: Words,
    },
    /// Takes it away.
    RemoveComment {
        /// The author, or who keeps order.
        by: Stance,
        /// The author's standing, for a comment in a group.
        author: Option<Standing>,
        /// Why; who removes what is not their own says so.
        reason: Option<Reason>,
    },
}

/// The comment that a reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The id as it was asked for.
    pub id: CommentId,
    /// The comment, if the caller may read one of that id.
    pub found: Option<Facts>,
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::WriteComment { .. } => "WriteComment",
            Self::EditComment { .. } => "EditComment",
            Self::RemoveComment { .. } => "RemoveComment",
        }
    }
}

/// Where a comment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The post.
    pub post: PostId,
    /// The comment it replies to, if it is a reply.
    pub reply_to: Option<CommentId>,
    /// The page, where the post is the page's own on the page itself.
    pub page_post: Option<PageId>,
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Somebody wrote it.
    #[serde(rename = "comment.written.v1")]
    Written {
        /// Under which post.
        post: PostId,
        /// To which comment, if it is a reply.
        reply_to: Option<CommentId>,
        /// The page, where the post is the page's own on the page itself.
        page_post: Option<PageId>,
        /// The person.
        author: PersonId,
        /// Who speaks.
        voice: Voice,
        /// The words.
        text: Personal<String>,
    },
    /// The words changed.
    #[serde(rename = "comment.edited.v1")]
    Edited {
        /// From 2.
        version: u32,
        /// The new words.
        text: Personal<String>,
    },
    /// It was taken away.
    #[serde(rename = "comment.removed.v1")]
    Removed {
        /// Under which post.
        post: PostId,
        /// To which comment, if it is a reply.
        reply_to: Option<CommentId>,
        /// The page, where the post is the page's own on the page itself.
        page_post: Option<PageId>,
        /// Who spoke.
        voice: Voice,
        /// As what somebody did so.
        by: Remover,
        /// Why.
        reason: Option<Personal<String>>,
    },
}

/// The fold of a comment's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Comment {
    /// Nobody wrote it.
    #[default]
    Absent,
    /// It is there to be read.
    Written(Place, Authored),
    /// It was.
    Removed(Place, Authored),
}

/// What others have to know of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Where it stands.
    pub place: Place,
    /// The person who wrote it.
    pub author: PersonId,
    /// Who speaks in it.
    pub voice: Voice,
    /// Whether it was taken away.
    pub removed: bool,
}

/// The stream of a comment.
pub fn stream(id: CommentId) -> StreamName {
    crate::stream::<Comment>(id)
}

impl Comment {
    /// What others have to know, if it was ever written.
    pub const fn facts(&self) -> Option<Facts> {
        match self {
            Self::Absent => None,
            Self::Written(place, words) => Some(Facts { place: *place, author: words.author(), voice: words.voice(), removed: false }),
            Self::Removed(place, words) => Some(Facts { place: *place, author: words.author(), voice: words.voice(), removed: true }),
        }
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The id is taken by a comment.
    #[error("this comment exists already")]
    AlreadyExists,
    /// The post was taken away.
    #[error("the post was removed")]
    PostRemoved,
    /// It, or what it replies to, was taken away.
    #[error("the comment was removed")]
    Removed,
    /// A reply is for a comment of the same post that is no reply itself.
    #[error("a reply has to be for a comment of this post that is no reply itself")]
    RepliesNestOnce,
    /// Who removes what is not their own says why.
    #[error("a reason is needed to remove what somebody else wrote")]
    ReasonNeeded,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyExists => "already_exists",
            Self::PostRemoved => "post_removed",
            Self::Removed => "comment_removed",
            Self::RepliesNestOnce => "replies_nest_once",
            Self::ReasonNeeded => "reason_needed",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::AlreadyExists | Self::PostRemoved | Self::Removed => Kind::Conflict,
            Self::RepliesNestOnce | Self::ReasonNeeded => Kind::Invalid,
        }
    }
}

impl Decider for Comment {
    const CATEGORY: &'static str = "comment";
    const STREAM: (&'static str, &'static str) = ("COMMENT", "a comment or a reply");
    const DEADLINES: Option<Deadlines<Self>> = Some(deadlines);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::WriteComment { by, .. } | Command::EditComment { by, .. } => vec![by.rights()],
            Command::RemoveComment { by, author, .. } => std::iter::once(by.rights()).chain(author.as_mut().map(Rights::Group)).collect(),
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Absent, Command::WriteComment { by, as_page, post, reply_to, text }) => {
                let author = by.contributes()?;
                let voice = by.voice(*as_page, StaffAct::Reply)?;
                let Place { post, reply_to, page_post } = place(by, post, reply_to.as_ref())?;
                Ok(vec![Event::Written { post, reply_to, page_post, author, voice, text: text.owned_by(voice.owner()) }])
            }
            (_, Command::WriteComment { .. }) => Err(Error::AlreadyExists),
            (Self::Absent, _) => Err(Denied::Unknown.into()),
            (Self::Written(_, words), Command::EditComment { by, text }) => {
                let version = words.edit(by, StaffAct::Reply, text.as_str())?;
                Ok(version.map(|version| Event::Edited { version, text: text.owned_by(words.voice().owner()) }).into_iter().collect())
            }
            (Self::Removed(_, words), Command::EditComment { by, .. }) => {
                words.own(by, StaffAct::Reply)?;
                Err(Error::Removed)
            }
            (Self::Written(place, words), Command::RemoveComment { by, author, reason }) => {
                let by = words.remove(by, StaffAct::Reply, author.as_ref())?;
                if by == Remover::Moderator && reason.is_none() {
                    return Err(Error::ReasonNeeded);
                }
                let owner = by.owner(words.voice().owner());
                let reason = reason.as_ref().map(|reason| reason.owned_by(owner));
                let Place { post, reply_to, page_post } = *place;
                Ok(vec![Event::Removed { post, reply_to, page_post, voice: words.voice(), by, reason }])
            }
            (Self::Removed(_, words), Command::RemoveComment { by, author, .. }) => {
                words.remove(by, StaffAct::Reply, author.as_ref())?;
                Ok(vec![])
            }
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        match event {
            Event::Written { voice, text, .. } => text.give(voice.owner()),
            Event::Edited { text, .. } => text.give(written.begun),
            Event::Removed { voice, by, reason: Some(reason), .. } => reason.give(by.owner(voice.owner())),
            Event::Removed { reason: None, .. } => {}
        }
    }

    fn begins(event: &Event) -> Option<TextOwner> {
        if let Event::Written { voice, .. } = event { Some(voice.owner()) } else { None }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let id = CommentId(stream.id()?);
        let change = Change::of(Thing::Comment(id), Readers::Content(Content::Comment(id))).revised();
        Some(match event {
            Event::Written { voice, .. } => change.by(*voice),
            Event::Edited { .. } => change.edited(),
            Event::Removed { .. } => change,
        })
    }

    fn notices(stream: &StreamName, event: &Event) -> Vec<Notice> {
        let (Some(id), Event::Written { post, reply_to, page_post, voice, .. }) = (stream.id().map(CommentId), event) else {
            return vec![];
        };
        let of = |kind, to| {
            let notice = Notice::of(kind, to, Thing::Comment(id)).by(*voice).with("post_id", post);
            match reply_to {
                Some(comment) => notice.with("reply_to", comment),
                None => notice,
            }
        };
        let answered = of(if reply_to.is_some() { NoticeKind::Replied } else { NoticeKind::Commented }, To::Concerned);
        // A page is told of everything that others say under its posts.
        let page = page_post.filter(|page| *voice != Voice::Page(*page)).map(|page| of(NoticeKind::Commented, To::Care(page)));
        std::iter::once(answered).chain(page).collect()
    }

    /// Whose words it answers: where a page spoke, its staff is told, and nobody of them by name.
    fn concerns(&self, _: &StreamName, event: &Event, command: Option<&Command>) -> Vec<PersonId> {
        let spoken = |voice: Voice| if let Voice::Person(person) = voice { Some(person) } else { None };
        let concerned = match (event, command) {
            (Event::Written { .. }, Some(Command::WriteComment { post, reply_to: None, .. })) => spoken(post.voice),
            (Event::Written { .. }, Some(Command::WriteComment { reply_to: Some(reply_to), .. })) => {
                reply_to.found.and_then(|comment| spoken(comment.voice))
            }
            (Event::Removed { voice, .. }, _) => spoken(*voice),
            _ => None,
        };
        concerned.into_iter().collect()
    }

    fn answers(event: &Event) -> Option<StreamName> {
        match event {
            Event::Written { reply_to: Some(comment), .. } => Some(stream(*comment)),
            Event::Written { post, .. } => Some(post::stream(*post)),
            Event::Edited { .. } | Event::Removed { .. } => None,
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Comment(event) = event { Some(event) } else { None }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match (self, event) {
            (Self::Absent, Event::Written { post, reply_to, page_post, author, voice, text }) => {
                let place = Place { post: *post, reply_to: *reply_to, page_post: *page_post };
                Self::Written(place, Authored::new(*author, *voice, text))
            }
            (Self::Written(place, words), Event::Edited { version, text }) => Self::Written(place, words.edited(*version, text)),
            (Self::Written(place, words), Event::Removed { .. }) => Self::Removed(place, words),
            (state, _) => state,
        }
    }
}

/// Where a new comment comes to stand, if it may.
fn place(by: &Stance, post: &post::Facts, reply_to: Option<&ReplyTo>) -> Result<Place, Error> {
    if post.removed {
        return Err(Error::PostRemoved);
    }
    if let Some(ReplyTo { found, .. }) = reply_to {
        let parent = found.filter(|parent| parent.place.post == post.id && parent.place.reply_to.is_none());
        if parent.ok_or(Error::RepliesNestOnce)?.removed {
            return Err(Error::Removed);
        }
    }
    let page_post = match by {
        Stance::Page(standing) if post.voice == Voice::Page(standing.page_id()) => Some(standing.page_id()),
        _ => None,
    };
    Ok(Place { post: post.id, reply_to: reply_to.map(|reply_to| reply_to.id), page_post })
}

/// The page may answer in private what a person wrote under its own post, for a time. Whether it did their conversation knows.
fn deadlines(stream: &StreamName, event: &Event, at: Timestamp) -> Vec<Deadline> {
    let matter = |page, person| stream.id().map(|comment| Matter::about(conversation::stream(page, person), comment));
    match event {
        Event::Written { page_post: Some(page), voice: Voice::Person(person), .. } => {
            matter(*page, *person).map(|matter| matter.until(at.plus(META.private_reply))).into_iter().collect()
        }
        Event::Removed { page_post: Some(page), voice: Voice::Person(person), .. } => {
            matter(*page, *person).map(Matter::over).into_iter().collect()
        }
        _ => vec![],
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Written {
        post: PostId(id(0x70)),
        reply_to: Some(CommentId(id(0x71))),
        page_post: Some(PageId(id(0x50))),
        author: person(2),
        voice: Voice::Person(person(2)),
        text: text("How \"high\"?"),
    }
    Edited { version: 2, text: text("How high\nis it?") }
    Removed {
        post: PostId(id(0x70)),
        reply_to: Some(CommentId(id(0x71))),
        page_post: Some(PageId(id(0x50))),
        voice: Voice::Person(person(2)),
        by: Remover::Moderator,
        reason: Some(text("asked before")),
    }
}

#[cfg(test)]
#[path = "comment_tests.rs"]
mod tests;
