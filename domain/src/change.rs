//! The change feed: what an event is about, and who may learn of it.
//!
//! A change carries no words: it names a thing and what happened to it, so that a client can read the thing anew. Nobody
//! learns of a change to something that they could not read at its own address at this moment. Every aggregate says in its own
//! file what its events tell ([`crate::Decider::change`]).

use crate::access::{Action, Origin, Privacy, Role, Scope, Standing};
use crate::membership::Membership;
use crate::page::StaffAct;
use crate::stance::Voice;
use crate::thing::Thing;
use crate::{CommentId, GroupId, ListingId, PageId, PersonId, PostId, QuestionId, Timestamp, page};

/// Who may learn of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everyone who is registered.
    Registered,
    /// This person.
    Person(PersonId),
    /// Whoever sees the page: everyone.
    Page(PageId),
    /// Its staff, and the person.
    Staff(PageId, PersonId),
    /// Those of its staff who write to persons, and the person, if one is given.
    Care(PageId, Option<PersonId>),
    /// Some of those who see the group.
    Group(GroupId, InGroup),
    /// Whoever may read the thing at its own address.
    Content(Content),
}

/// Things with words, at whose addresses it is decided who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Content {
    Comment(CommentId),
    Listing(ListingId),
    Post(PostId),
    Question(QuestionId),
}

/// Who in a group may learn of a change to the group or to a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InGroup {
    /// Whoever sees the group.
    Seen,
    /// Whoever sees the group, unless it was secret then: whoever reads what was written at that time.
    Settings,
    /// Whoever reads the list of members, of somebody who came or has another role.
    Member {
        /// Whom it is about.
        person: PersonId,
        /// Their episode of membership.
        episode: u32,
        /// The role that was given, if it was about that.
        role: Option<Role>,
    },
    /// Whoever reads the list of members and could know that the person was on it. Only who keeps order learns how it came.
    Departed {
        /// Whom it is about.
        person: PersonId,
    },
    /// The same, of somebody who has a role no longer.
    Demoted {
        /// Whom it is about.
        person: PersonId,
    },
    /// Who keeps order, and the person.
    Queue {
        /// Whom it is about.
        person: PersonId,
    },
}

/// An event as a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub thing: Thing,
    /// Who may learn of it.
    pub readers: Readers,
    /// Whose words they are, if that is what the event is: as everyone sees it who reads them.
    pub author: Option<Voice>,
    /// Whether the event's revision is that of the thing, which those who read the thing know.
    pub revised: bool,
    /// Whether it gave the thing other words: only who may read these learns of it.
    pub edited: bool,
}

/// How much of a change somebody may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// Nothing.
    Hidden,
    /// That a membership ended, not how.
    Departure,
    /// All there is.
    Full,
}

impl Change {
    /// A change of a thing for some, of which no more is told.
    pub const fn of(thing: Thing, readers: Readers) -> Self {
        Self { thing, readers, author: None, revised: false, edited: false }
    }

    /// With whose words it is.
    #[must_use]
    pub const fn by(self, author: Voice) -> Self {
        Self { author: Some(author), ..self }
    }

    /// Whose event's revision is that of the thing.
    #[must_use]
    pub const fn revised(self) -> Self {
        Self { revised: true, ..self }
    }

    /// That gave the thing other words.
    #[must_use]
    pub const fn edited(self) -> Self {
        Self { edited: true, ..self }
    }
}

impl Readers {
    /// Whether `reader` may learn of a change on their page.
    pub fn of_page(&self, reader: &page::PageStanding) -> bool {
        let is = |person: &PersonId| reader.person() == Some(*person);
        match self {
            Self::Page(_) => reader.sees().is_ok(),
            Self::Staff(_, person) => reader.role().is_some() || (is(person) && reader.sees().is_ok()),
            Self::Care(_, person) => reader.may(StaffAct::Care).is_ok() || person.as_ref().is_some_and(is),
            Self::Registered | Self::Person(_) | Self::Group(..) | Self::Content(_) => false,
        }
    }
}

impl InGroup {
    /// Whose membership it is about, if it is about one.
    pub const fn person(self) -> Option<PersonId> {
        match self {
            Self::Seen | Self::Settings => None,
            Self::Member { person, .. } | Self::Departed { person } | Self::Demoted { person } | Self::Queue { person } => Some(person),
        }
    }

    /// How much `reader` may learn of a change at `at` in `scope` that concerned the membership of `subject`.
    pub fn shows(self, reader: &Standing, subject: &Membership, scope: Option<Scope>, at: Timestamp) -> Shown {
        if reader.allows(Action::See).is_err() {
            return Shown::Hidden;
        }
        let own = reader.person().is_some() && reader.person() == self.person();
        let full = |may: bool| if may { Shown::Full } else { Shown::Hidden };
        match self {
            Self::Seen => Shown::Full,
            Self::Settings => full(scope.is_some_and(|scope| {
                let towards = || reader.clone().towards(Origin { scope, at });
                scope.privacy != Privacy::Secret || towards().allows(Action::Read).is_ok()
            })),
            _ if own || reader.allows(Action::Moderate).is_ok() => Shown::Full,
            Self::Queue { .. } => Shown::Hidden,
            _ if reader.allows(Action::ReadMembers).is_err() => Shown::Hidden,
            Self::Member { person, episode, role } => {
                let member = subject.present().is_some_and(|present| present.number == episode);
                let stands = member && role.is_none_or(|role| reader.group().role_of(person, episode) == Some(role));
                full(stands || witnessed(reader, scope, at))
            }
            Self::Demoted { .. } => full(witnessed(reader, scope, at)),
            Self::Departed { .. } => full(witnessed(reader, scope, at)).min(Shown::Departure),
        }
    }
}

/// Whether the reader could read the list of members at that moment: as a member, or because the group was public then as
/// it is now.
fn witnessed(reader: &Standing, scope: Option<Scope>, at: Timestamp) -> bool {
    let then = scope.map_or(Privacy::Secret, |scope| scope.privacy);
    let episodes = reader.membership().episodes().iter();
    then.max(reader.group().privacy()) == Privacy::Public
        || episodes.into_iter().any(|episode| episode.from <= at && episode.until.is_none_or(|until| at <= until))
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
