//! The reaction of one person, or of one page, to one thing: at most one stands.

use crate::access::Denied;
use crate::change::{Change, Content, Readers};
use crate::page::StaffAct;
use crate::stance::{Rights, Stance, Voice};
use crate::thing::Thing;
use crate::{CommentId, ListingId, PostId, QuestionId};
use crate::{Context, Decider, Kind as Sort, Named, PageId, Rejection, StreamName, Timestamp, Written};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What one may feel about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Like,
    Love,
    Care,
    Laugh,
    Wow,
    Sad,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Like, Self::Love, Self::Care, Self::Laugh, Self::Wow, Self::Sad];
}

/// What sort of thing a reaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TargetKind {
    Post,
    Comment,
    Question,
    Answer,
    Listing,
}

/// What may be asked of this stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Reacts, or reacts otherwise than before.
    React {
        /// Who reacts.
        by: Stance,
        /// As whom, if not as themselves.
        as_page: Option<PageId>,
        /// To what.
        target: Target,
        /// How.
        kind: Kind,
    },
    /// Takes the reaction back.
    WithdrawReaction {
        /// Who reacted.
        by: Stance,
        /// As whom, if not as themselves.
        as_page: Option<PageId>,
        /// To what.
        target: Target,
    },
}

/// The thing that a reaction is for. Its id is part of the stream's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// What sort of thing.
    pub kind: TargetKind,
    /// Whether it was taken away.
    pub removed: bool,
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::React { .. } => "React",
            Self::WithdrawReaction { .. } => "WithdrawReaction",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The reaction that stands now.
    #[serde(rename = "reaction.given.v1")]
    Given {
        /// What sort of thing it is for.
        target: TargetKind,
        /// Who reacts.
        voice: Voice,
        /// How.
        kind: Kind,
        /// How it was before.
        previous: Option<Kind>,
    },
    /// None stands.
    #[serde(rename = "reaction.withdrawn.v1")]
    Withdrawn {
        /// What sort of thing it was for.
        target: TargetKind,
        /// Who reacted.
        voice: Voice,
        /// How.
        previous: Kind,
    },
}

/// The fold of this stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    standing: Option<Kind>,
}

/// The stream of the reactions of `voice` to the thing with this id.
pub fn stream(target: impl Into<Uuid>, voice: Voice) -> StreamName {
    let target = target.into();
    match voice {
        Voice::Person(person) => crate::stream::<Reaction>(format_args!("{target}.{person}")),
        Voice::Page(page) => crate::stream::<Reaction>(format_args!("{target}.{page}")),
    }
}

impl Reaction {
    /// The one that stands.
    pub const fn standing(&self) -> Option<Kind> {
        self.standing
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What it is for was taken away.
    #[error("this was removed")]
    TargetRemoved,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::TargetRemoved => "target_removed",
        }
    }

    fn kind(&self) -> Sort {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::TargetRemoved => Sort::Conflict,
        }
    }
}

impl Decider for Reaction {
    const CATEGORY: &'static str = "reaction";
    const STREAM: (&'static str, &'static str) = ("TARGET.PERSON or TARGET.PAGE", "how somebody, or a page, reacts to a thing");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::React { by, .. } | Command::WithdrawReaction { by, .. } => vec![by.rights()],
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::React { by, as_page, target, kind } => {
                let voice = by.voice(*as_page, StaffAct::Reply)?;
                match self.standing {
                    _ if target.removed => Err(Error::TargetRemoved),
                    Some(standing) if standing == *kind => Ok(vec![]),
                    previous => Ok(vec![Event::Given { target: target.kind, voice, kind: *kind, previous }]),
                }
            }
            Command::WithdrawReaction { by, as_page, target } => {
                let voice = by.voice(*as_page, StaffAct::Reply)?;
                let withdrawn = |previous| Event::Withdrawn { target: target.kind, voice, previous };
                Ok(self.standing.map(withdrawn).into_iter().collect())
            }
        }
    }

    /// No text in them is a person's.
    fn own_texts(_: &mut Event, _: &Written<'_>) {}

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        // The thing has other counts. Who reacted is told to nobody else, as at the thing's address.
        let (Event::Given { target, .. } | Event::Withdrawn { target, .. }) = event;
        let id = stream.key().split_once('.')?.0.parse().ok()?;
        let (thing, content) = match target {
            TargetKind::Post => (Thing::Post(PostId(id)), Content::Post(PostId(id))),
            TargetKind::Comment => (Thing::Comment(CommentId(id)), Content::Comment(CommentId(id))),
            TargetKind::Question => (Thing::Question(QuestionId(id)), Content::Question(QuestionId(id))),
            TargetKind::Listing => (Thing::Listing(ListingId(id)), Content::Listing(ListingId(id))),
            // Nobody can react to answers yet, and the id alone does not lead to the question.
            TargetKind::Answer => return None,
        };
        Some(Change::of(thing, Readers::Content(content)))
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Reaction(event) = event { Some(event) } else { None }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Given { kind, .. } => Self { standing: Some(*kind) },
            Event::Withdrawn { .. } => Self { standing: None },
        }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Given { target: TargetKind::Post, voice: Voice::Person(person(2)), kind: Kind::Love, previous: Some(Kind::Like) }
    Withdrawn { target: TargetKind::Comment, voice: Voice::Page(PageId(id(0x50))), previous: Kind::Sad }
}

#[cfg(test)]
#[path = "reaction_tests.rs"]
mod tests;
