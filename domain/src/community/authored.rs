//! Words of somebody, such as a post or a comment: whose they are, who may edit and who may remove them.

use crate::access::{Denied, Role, Standing};
use crate::page::StaffAct;
use crate::stance::{Stance, Voice};
use crate::{PersonId, Personal, TextOwner};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};

/// As what somebody removed a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Remover {
    /// Their own.
    Author,
    /// As one who keeps order; such a removal has a reason.
    Moderator,
}

impl Remover {
    /// Who owns the reason for removing what `owner` had said: they themselves if it is theirs, else it is a decision about them.
    #[must_use]
    pub const fn owner(self, owner: TextOwner) -> TextOwner {
        match self {
            Self::Author => owner,
            Self::Moderator => owner.decisions(),
        }
    }
}

/// Whose words they are and in which version, without the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authored {
    author: PersonId,
    voice: Voice,
    version: u32,
    /// Digest of the words, to know an edit that changes nothing. The words themselves would fill the cache of aggregates.
    digest: u64,
}

impl Authored {
    /// As they were written.
    pub fn new(author: PersonId, voice: Voice, text: &Personal<String>) -> Self {
        Self { author, voice, version: 1, digest: digest(text.get().map(String::as_str)) }
    }

    /// The person who wrote them, whoever speaks.
    pub const fn author(&self) -> PersonId {
        self.author
    }

    /// Who speaks.
    pub const fn voice(&self) -> Voice {
        self.voice
    }

    /// The caller, if these are their own words: those they wrote, or those of the page whose staff may do `act`.
    pub fn own(&self, by: &Stance, act: StaffAct) -> Result<PersonId, Denied> {
        let person = by.contributes()?;
        match self.voice {
            Voice::Person(author) if author == person => Ok(person),
            Voice::Person(_) => Err(Denied::NotTheAuthor),
            Voice::Page(page) => by.voice(Some(page), act).map(|_| person),
        }
    }

    /// Number of the version that an edit makes; `None` if these are the words already.
    pub fn edit(&self, by: &Stance, act: StaffAct, text: &str) -> Result<Option<u32>, Denied> {
        self.own(by, act)?;
        Ok((digest(Some(text)) != self.digest).then_some(self.version.saturating_add(1)))
    }

    /// The same words after an edit.
    #[must_use]
    pub fn edited(self, version: u32, text: &Personal<String>) -> Self {
        Self { version, digest: digest(text.get().map(String::as_str)), ..self }
    }

    /// Whether the caller may read all versions: the author's business as long as the words stand, and that of who keeps order.
    pub fn shows_versions(&self, by: &Stance, removed: bool) -> Result<(), Denied> {
        by.reads()?;
        if !removed && self.own(by, StaffAct::Reply).is_ok() { Ok(()) } else { by.moderates().map(drop) }
    }

    /// As what the caller may remove them. `author` is the author's standing in the group they were written in.
    pub fn remove(&self, by: &Stance, act: StaffAct, author: Option<&Standing>) -> Result<Remover, Denied> {
        match self.own(by, act) {
            Ok(_) => return Ok(Remover::Author),
            Err(Denied::NotTheAuthor) => by.moderates()?,
            Err(denied) => return Err(denied),
        };
        match by {
            Stance::Group(by) if by.role() < Some(Role::Admin) && author.and_then(Standing::role) == Some(Role::Admin) => {
                Err(Denied::NotAgainstAdmins)
            }
            _ => Ok(Remover::Moderator),
        }
    }
}

/// What a state keeps of a text.
pub(crate) fn digest(text: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
