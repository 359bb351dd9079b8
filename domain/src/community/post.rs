//! A post: written in a group, or on a page in the page's voice; edited with every version kept, removed leaving a tombstone.

use crate::access::{Denied, Standing};
use crate::authored::{Authored, Remover};
use crate::change::{Change, Content, Readers};
use crate::page::StaffAct;
use crate::stance::{Rights, Stance, Voice};
use crate::thing::Thing;
use crate::{
    Body, Context, Decider, Kind, Named, PageId, PersonId, Personal, PostId, Reason, Rejection, StreamName, TextOwner, Timestamp, Written,
};
use serde::{Deserialize, Serialize};

/// What may be asked of a post's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Writes it.
    WritePost {
        /// Who writes.
        by: Stance,
        /// In whose voice, if not their own.
        as_page: Option<PageId>,
        /// The words.
        text: Body,
    },
    /// Changes the words.
    EditPost {
        /// The author, or staff of the page that speaks.
        by: Stance,
        /// The new words.
        text: Body,
    },
    /// Takes it away.
    RemovePost {
        /// The author, or who keeps order.
        by: Stance,
        /// The author's standing, for a post in a group.
        author: Option<Standing>,
        /// Why; who removes what is not their own says so.
        reason: Option<Reason>,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::WritePost { .. } => "WritePost",
            Self::EditPost { .. } => "EditPost",
            Self::RemovePost { .. } => "RemovePost",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Somebody wrote it.
    #[serde(rename = "post.written.v1")]
    Written {
        /// The person.
        author: PersonId,
        /// Who speaks.
        voice: Voice,
        /// The words.
        text: Personal<String>,
    },
    /// The words changed.
    #[serde(rename = "post.edited.v1")]
    Edited {
        /// From 2.
        version: u32,
        /// The new words.
        text: Personal<String>,
    },
    /// It was taken away.
    #[serde(rename = "post.removed.v1")]
    Removed {
        /// As what somebody did so.
        by: Remover,
        /// Why.
        reason: Option<Personal<String>>,
    },
}

/// The fold of a post's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Post {
    /// Nobody wrote it.
    #[default]
    Absent,
    /// It is there to be read.
    Written(Authored),
    /// It was.
    Removed(Authored),
}

/// What others have to know of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Which.
    pub id: PostId,
    /// The person who wrote it.
    pub author: PersonId,
    /// Who speaks in it.
    pub voice: Voice,
    /// Whether it was taken away.
    pub removed: bool,
}

/// The stream of a post.
pub fn stream(id: PostId) -> StreamName {
    crate::stream::<Post>(id)
}

impl Post {
    /// What others have to know, if it was ever written.
    pub const fn facts(&self, id: PostId) -> Option<Facts> {
        match self {
            Self::Absent => None,
            Self::Written(words) => Some(Facts { id, author: words.author(), voice: words.voice(), removed: false }),
            Self::Removed(words) => Some(Facts { id, author: words.author(), voice: words.voice(), removed: true }),
        }
    }

    /// Whether the caller may read its versions.
    pub fn shows_versions(&self, by: &Stance) -> Result<(), Denied> {
        match self {
            Self::Absent => Err(Denied::Unknown),
            Self::Written(words) => words.shows_versions(by, false),
            Self::Removed(words) => words.shows_versions(by, true),
        }
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The id is taken by a post.
    #[error("this post exists already")]
    AlreadyExists,
    /// It was taken away.
    #[error("the post was removed")]
    Removed,
    /// Who removes what is not their own says why.
    #[error("a reason is needed to remove what somebody else wrote")]
    ReasonNeeded,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyExists => "already_exists",
            Self::Removed => "post_removed",
            Self::ReasonNeeded => "reason_needed",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::AlreadyExists | Self::Removed => Kind::Conflict,
            Self::ReasonNeeded => Kind::Invalid,
        }
    }
}

impl Decider for Post {
    const CATEGORY: &'static str = "post";
    const STREAM: (&'static str, &'static str) = ("POST", "a post in a group or on a page");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::WritePost { by, .. } | Command::EditPost { by, .. } => vec![by.rights()],
            Command::RemovePost { by, author, .. } => std::iter::once(by.rights()).chain(author.as_mut().map(Rights::Group)).collect(),
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Absent, Command::WritePost { by, as_page, text }) => {
                let author = by.contributes()?;
                let voice = by.voice(*as_page, StaffAct::Post)?;
                // Walls, where fans post on a page, come later.
                if let (Stance::Page(_), Voice::Person(_)) = (by, voice) {
                    return Err(Denied::StaffOnly.into());
                }
                Ok(vec![Event::Written { author, voice, text: text.owned_by(voice.owner()) }])
            }
            (_, Command::WritePost { .. }) => Err(Error::AlreadyExists),
            (Self::Absent, _) => Err(Denied::Unknown.into()),
            (Self::Written(words), Command::EditPost { by, text }) => {
                let version = words.edit(by, StaffAct::Post, text.as_str())?;
                Ok(version.map(|version| Event::Edited { version, text: text.owned_by(words.voice().owner()) }).into_iter().collect())
            }
            (Self::Removed(words), Command::EditPost { by, .. }) => {
                words.own(by, StaffAct::Post)?;
                Err(Error::Removed)
            }
            (Self::Written(words), Command::RemovePost { by, author, reason }) => {
                let by = words.remove(by, StaffAct::Post, author.as_ref())?;
                if by == Remover::Moderator && reason.is_none() {
                    return Err(Error::ReasonNeeded);
                }
                let owner = by.owner(words.voice().owner());
                Ok(vec![Event::Removed { by, reason: reason.as_ref().map(|reason| reason.owned_by(owner)) }])
            }
            (Self::Removed(words), Command::RemovePost { by, author, .. }) => {
                words.remove(by, StaffAct::Post, author.as_ref())?;
                Ok(vec![])
            }
        }
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        match event {
            Event::Written { voice, text, .. } => text.give(voice.owner()),
            Event::Edited { text, .. } => text.give(written.begun),
            Event::Removed { by, reason: Some(reason) } => reason.give(written.begun.map(|owner| by.owner(owner))),
            Event::Removed { reason: None, .. } => {}
        }
    }

    fn begins(event: &Event) -> Option<TextOwner> {
        if let Event::Written { voice, .. } = event { Some(voice.owner()) } else { None }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let id = PostId(stream.id()?);
        let change = Change::of(Thing::Post(id), Readers::Content(Content::Post(id))).revised();
        Some(match event {
            Event::Written { voice, .. } => change.by(*voice),
            Event::Edited { .. } => change.edited(),
            Event::Removed { .. } => change,
        })
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Post(event) = event { Some(event) } else { None }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match (self, event) {
            (Self::Absent, Event::Written { author, voice, text }) => Self::Written(Authored::new(*author, *voice, text)),
            (Self::Written(words), Event::Edited { version, text }) => Self::Written(words.edited(*version, text)),
            (Self::Written(words), Event::Removed { .. }) => Self::Removed(words),
            (state, _) => state,
        }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Written { author: person(1), voice: Voice::Page(PageId(id(0x50))), text: text("Fresh \"bread\"\nat six") }
    Edited { version: 2, text: text("Fresh bread at seven") }
    Removed { by: Remover::Author, reason: Some(text("sold out")) }
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
