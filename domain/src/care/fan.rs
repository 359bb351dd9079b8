//! One person and one page: whether they follow it, and whether they let it write to them.

use crate::access::Denied;
use crate::change::{Change, Readers};
use crate::page::PageStanding;
use crate::stance::Rights;
use crate::thing::Thing;
use crate::{Context, Decider, Kind, Named, PageId, PersonId, Rejection, StreamName, Timestamp, Written};
use serde::{Deserialize, Serialize};

/// What may be asked of this stream; always by the person it is about.
#[derive(Debug, Clone)]
pub enum Command {
    /// Follows the page.
    FollowPage {
        /// The person.
        by: PageStanding,
    },
    /// Follows it no longer.
    UnfollowPage {
        /// The person.
        by: PageStanding,
    },
    /// Lets the page write no more.
    BlockPage {
        /// The person.
        by: PageStanding,
    },
    /// Lets it write again.
    UnblockPage {
        /// The person.
        by: PageStanding,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::FollowPage { .. } => "FollowPage",
            Self::UnfollowPage { .. } => "UnfollowPage",
            Self::BlockPage { .. } => "BlockPage",
            Self::UnblockPage { .. } => "UnblockPage",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// They follow the page.
    #[serde(rename = "fan.followed.v1")]
    Followed,
    /// They follow it no longer.
    #[serde(rename = "fan.unfollowed.v1")]
    Unfollowed,
    /// The page may write to them no more.
    #[serde(rename = "fan.blocked.v1")]
    Blocked,
    /// It may again.
    #[serde(rename = "fan.unblocked.v1")]
    Unblocked,
}

/// The fold of this stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fan {
    follows: bool,
    blocks: bool,
}

/// The stream of `person` with `page`.
pub fn stream(page: PageId, person: PersonId) -> StreamName {
    crate::stream::<Fan>(format_args!("{page}.{person}"))
}

/// Page and person of this stream.
pub fn ids(stream: &StreamName) -> Option<(PageId, PersonId)> {
    let (page, person) = stream.key().split_once('.')?;
    Some((page.parse().ok()?, person.parse().ok()?))
}

impl Fan {
    /// Whether they follow the page.
    pub const fn follows(&self) -> bool {
        self.follows
    }

    /// Whether they let it write no more.
    pub const fn blocks(&self) -> bool {
        self.blocks
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
        }
    }
}

impl Decider for Fan {
    const CATEGORY: &'static str = "fan";
    const STREAM: (&'static str, &'static str) = ("PAGE.PERSON", "what a person is to a page as one of the public: follows, blocks");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::FollowPage { by } | Command::UnfollowPage { by } | Command::BlockPage { by } | Command::UnblockPage { by } => {
                vec![Rights::Page(by)]
            }
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        let (by, event) = match command {
            Command::FollowPage { by } => (by, (!self.follows).then_some(Event::Followed)),
            Command::UnfollowPage { by } => (by, self.follows.then_some(Event::Unfollowed)),
            Command::BlockPage { by } => (by, (!self.blocks).then_some(Event::Blocked)),
            Command::UnblockPage { by } => (by, self.blocks.then_some(Event::Unblocked)),
        };
        by.as_fan()?;
        Ok(event.into_iter().collect())
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Followed => Self { follows: true, ..self },
            Event::Unfollowed => Self { follows: false, ..self },
            Event::Blocked => Self { blocks: true, ..self },
            Event::Unblocked => Self { blocks: false, ..self },
        }
    }

    /// No text in them is a person's.
    fn own_texts(_: &mut Event, _: &Written<'_>) {}

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let (page, person) = ids(stream)?;
        match event {
            // Not even the page's staff is told who follows or blocks it.
            Event::Followed | Event::Unfollowed | Event::Blocked | Event::Unblocked => {
                Some(Change::of(Thing::Page(page), Readers::Person(person)))
            }
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Fan(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Followed {}
    Unfollowed {}
    Blocked {}
    Unblocked {}
}
