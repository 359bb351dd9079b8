//! Where somebody stands towards content, whether it lives in a group or on a page, and in whose voice they speak there.

use crate::access::{Action, Denied, Key, Origin, Scope, Standing};
use crate::page::{PageStanding, StaffAct};
use crate::{PageId, PersonId, TextOwner};
use serde::{Deserialize, Serialize};

/// Towards a place and what is written there.
#[derive(Debug, Clone)]
pub enum Stance {
    /// In a group.
    Group(Standing),
    /// On a page.
    Page(PageStanding),
}

/// A standing within a command, to be renewed before it is decided: see [`crate::Decider::rights`].
#[derive(Debug)]
pub enum Rights<'a> {
    /// In a group.
    Group(&'a mut Standing),
    /// On a page.
    Page(&'a mut PageStanding),
}

impl Rights<'_> {
    /// Whether all that they are folded from can be read.
    pub fn whole(&self) -> Result<(), Denied> {
        match self {
            Self::Group(standing) => standing.whole(),
            Self::Page(standing) => standing.whole(),
        }
    }

    /// Whether whoever has them may not know of what they are towards.
    pub fn hides(&self) -> bool {
        match self {
            Self::Group(standing) => standing.hides(),
            Self::Page(standing) => standing.sees().is_err(),
        }
    }

    /// The scope of what is done with these rights now.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Group(standing) => standing.scope(),
            Self::Page(standing) => Some(standing.scope()),
        }
    }
}

/// Whose words readers see. The log keeps the person either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// The person's own.
    Person(PersonId),
    /// The page's, through one of its staff.
    Page(PageId),
}

impl Voice {
    /// Who owns what is said in this voice.
    pub const fn owner(self) -> TextOwner {
        match self {
            Self::Person(person) => TextOwner::Person(person),
            Self::Page(page) => TextOwner::Page(page),
        }
    }
}

impl Stance {
    /// The standing, to be renewed.
    pub const fn rights(&mut self) -> Rights<'_> {
        match self {
            Self::Group(standing) => Rights::Group(standing),
            Self::Page(standing) => Rights::Page(standing),
        }
    }

    /// Who it is, if somebody is signed in.
    pub const fn person(&self) -> Option<PersonId> {
        match self {
            Self::Group(standing) => standing.person(),
            Self::Page(standing) => standing.person(),
        }
    }

    /// The scope of what is written here now.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Group(standing) => standing.scope(),
            Self::Page(standing) => Some(standing.scope()),
        }
    }

    /// The keys to what may be read here.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Self::Group(standing) => standing.keys(),
            Self::Page(standing) => standing.keys(),
        }
    }

    /// Whether the caller may not know of it.
    pub fn hides(&self) -> bool {
        match self {
            Self::Group(standing) => standing.hides(),
            Self::Page(standing) => standing.sees().is_err(),
        }
    }

    /// Whether the caller may know of it.
    pub fn sees(&self) -> Result<(), Denied> {
        match self {
            Self::Group(standing) => standing.allows(Action::See),
            Self::Page(standing) => standing.sees(),
        }
    }

    /// Whether the caller may read it.
    pub fn reads(&self) -> Result<(), Denied> {
        match self {
            Self::Group(standing) => standing.allows(Action::Read),
            Self::Page(standing) => standing.sees(),
        }
    }

    /// Whether the caller, who may read the thing, may also read the words that an edit of it made.
    pub fn reads_edit(&self, edit: Option<Origin>) -> bool {
        match (self, edit) {
            (Self::Group(standing), Some(edit)) => standing.reads_edit(edit),
            (Self::Group(_), None) => false,
            (Self::Page(_), _) => true,
        }
    }

    /// The caller as somebody who takes part: comments, reacts.
    pub fn contributes(&self) -> Result<PersonId, Denied> {
        match self {
            Self::Group(standing) => {
                standing.may(Action::Read)?;
                standing.may(Action::Contribute)
            }
            Self::Page(standing) => standing.as_fan(),
        }
    }

    /// The caller as somebody who keeps order here.
    pub fn moderates(&self) -> Result<PersonId, Denied> {
        match self {
            Self::Group(standing) => standing.may(Action::Moderate),
            Self::Page(standing) => standing.may(StaffAct::Reply),
        }
    }

    /// In whose voice the caller speaks: their own, or that of `as_page`, if this is its place and their role covers `act`.
    pub fn voice(&self, as_page: Option<PageId>, act: StaffAct) -> Result<Voice, Denied> {
        let person = self.contributes()?;
        match (as_page, self) {
            (None, _) => Ok(Voice::Person(person)),
            (Some(page), Self::Page(standing)) if page == standing.page_id() => standing.may(act).map(|_| Voice::Page(page)),
            (Some(_), Self::Group(_)) => Err(Denied::NotSupported),
            (Some(_), Self::Page(_)) => Err(Denied::StaffOnly),
        }
    }
}
