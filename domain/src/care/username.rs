//! A page's username: claimed once, by whoever comes first, and kept for redirects for ever.

use crate::access::Denied;
use crate::change::Change;
use crate::flow::{Flow, FollowUp};
use crate::page::{self, Founding, Page, PageStanding, StaffAct};
use crate::stance::Rights;
use crate::{Context, Decider, Kind, Named, PageId, Rejection, StreamName, Timestamp, Written};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;

/// 5 to 50 ASCII letters, digits or dots, as its owner writes it. Case and dots do not tell two names apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Applies the rules.
    pub fn parse(raw: &str) -> Option<Self> {
        let shaped = (5..=50).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        // Without its dots it must still be a name.
        (shaped && normalised(raw).len() >= 5).then(|| Self(raw.to_owned()))
    }

    /// As its owner writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique.
    pub fn normalised(&self) -> String {
        normalised(&self.0)
    }
}

fn normalised(raw: &str) -> String {
    raw.bytes().filter(|b| *b != b'.').map(|b| char::from(b.to_ascii_lowercase())).collect()
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&raw).ok_or_else(|| de::Error::custom("bad_username: 5 to 50 letters, digits or dots are expected"))
    }
}

/// What may be asked of a username's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Claims the name for a new page.
    ClaimForNewPage {
        /// The page to be.
        page: PageId,
        /// The name as it is to be written.
        username: Name,
        /// What the page begins with.
        founding: Founding,
    },
    /// Claims the name for a page that has another one.
    ClaimUsername {
        /// An owner.
        by: PageStanding,
        /// The name as it is to be written.
        username: Name,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::ClaimForNewPage { .. } => "CreatePage",
            Self::ClaimUsername { .. } => "ClaimUsername",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// A page has the name, or had it and is still found by it.
    #[serde(rename = "username.claimed.v1")]
    Claimed {
        /// The page.
        page: PageId,
        /// The name as it is written.
        username: String,
        /// What the page begins with, if it begins with this.
        founding: Option<Founding>,
    },
}

/// The fold of a username's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Username {
    page: Option<PageId>,
}

/// The stream of a username.
pub fn stream(name: &Name) -> StreamName {
    crate::stream::<Username>(name.normalised())
}

impl Username {
    /// The page that is found by this name.
    pub const fn page(&self) -> Option<PageId> {
        self.page
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Another page has or had it.
    #[error("this username is taken")]
    Taken,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Taken => "username_taken",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Taken => Kind::Conflict,
        }
    }
}

impl Decider for Username {
    const CATEGORY: &'static str = "username";
    const STREAM: (&'static str, &'static str) = ("NAME", "a page's name: in lower case, without its dots");
    const FLOW: Option<Flow<Self>> = Some(flow);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::ClaimForNewPage { .. } => vec![],
            Command::ClaimUsername { by, .. } => vec![Rights::Page(by)],
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        let (page, username, founding) = match command {
            Command::ClaimForNewPage { page, username, founding } => (*page, username, Some(founding.clone())),
            Command::ClaimUsername { by, username } => {
                by.may(StaffAct::Own)?;
                (by.page_id(), username, None)
            }
        };
        match self.page {
            Some(owner) if owner != page => Err(Error::Taken),
            // A page may go back to a name it had, or write it differently.
            Some(_) if founding.is_some() => Ok(vec![]),
            _ => Ok(vec![Event::Claimed { page, username: username.as_str().to_owned(), founding }]),
        }
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Claimed { page, .. } => Self { page: Some(*page) },
        }
    }

    /// No text in them is a person's.
    fn own_texts(_: &mut Event, _: &Written<'_>) {}

    // The page tells of its names.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Username(event) = event { Some(event) } else { None }
    }
}

/// Whoever has claimed the name gets the page, or the page its new name.
fn flow(_: &StreamName, event: &Event) -> Vec<FollowUp> {
    let Event::Claimed { page, username, founding } = event;
    let username = username.clone();
    let command = match founding {
        Some(founding) => page::Command::CreatePage { username, founding: founding.clone() },
        None => page::Command::TakeUsername { username },
    };
    vec![FollowUp::new::<Page>(page::stream(*page), command)]
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Claimed {
        page: PageId(id(0x50)),
        username: "forno.roma".to_owned(),
        founding: Some(Founding { name: "Forno".to_owned(), owner: person(1) }),
    }
}
