//! Standings of which something cannot be read: what is safe all the same (docs/adr/0019-what-cannot-be-read.md).
//!
//! Whoever may not know of a group is told nothing by it. Whoever may is refused everything, except to read what everybody may: as
//! somebody who is nothing to the group, and only as far as the envelopes of what cannot be read show that it is public still.

use super::{Denied, Privacy, Scope, Standing};
use crate::group::Stretch;

/// What is known of a stream's events from the first on that cannot be read: their envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The strictest privacy that one of them names.
    strictest: Privacy,
    /// Whether each of them names one.
    told: bool,
}

impl Gap {
    /// Before the first of them.
    pub const NOTHING: Self = Self { strictest: Privacy::Public, told: true };

    /// With one event more, which was recorded in `scope`.
    #[must_use]
    pub fn and(self, scope: Option<Scope>) -> Self {
        let strictest = scope.map_or(self.strictest, |scope| scope.privacy.max(self.strictest));
        Self { strictest, told: self.told && scope.is_some() }
    }
}

/// What of a standing cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    /// The group's stream, from some event on.
    pub group: Option<Gap>,
    /// The person's within it.
    pub membership: bool,
}

impl Unread {
    /// All is read.
    pub const NOTHING: Self = Self { group: None, membership: false };
}

impl Standing {
    /// Whether all that it is folded from can be read.
    pub fn whole(&self) -> Result<(), Denied> {
        if self.unread == Unread::NOTHING { Ok(()) } else { Err(Denied::Unreadable) }
    }

    /// Whether the group, whatever the person is to it, can be read.
    pub const fn whole_group(&self) -> Result<(), Denied> {
        if self.unread.group.is_some() { Err(Denied::Unreadable) } else { Ok(()) }
    }

    /// Whether the caller may not know of the group, or of the thing that the standing is towards.
    pub fn hides(&self) -> bool {
        self.allows(super::Action::Read) == Err(Denied::Unknown)
    }

    /// How private the group may be by all that is known.
    pub(super) fn strictest(&self) -> Privacy {
        self.unread.group.map_or(Privacy::Public, |gap| gap.strictest).max(self.group.privacy())
    }

    /// Whether it is certain that everybody reads what was written in `stretch`, members or not.
    pub(super) fn reads_as_anybody(&self, stretch: &Stretch) -> bool {
        self.strictest().max(stretch.privacy) == Privacy::Public && self.unread.group.is_none_or(|gap| gap.told)
    }

    /// A refusal to read, where it may be due to what cannot be read. What was written in secret is unknown to whoever could not read
    /// it before.
    pub(super) fn unless_unread(&self, denied: Denied) -> Denied {
        if self.whole().is_ok() {
            return denied;
        }
        let before = self.clone().without(Unread::NOTHING);
        let secret = self.origin.is_some_and(|origin| origin.scope.privacy == Privacy::Secret);
        match before.allows(super::Action::Read) {
            Err(Denied::Unknown) => Denied::Unknown,
            Err(_) if secret && before.role().is_none() => Denied::Unknown,
            _ => Denied::Unreadable,
        }
    }
}
