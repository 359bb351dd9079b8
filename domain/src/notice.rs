//! Notices: whom an event tells of something, and as what.
//!
//! An aggregate says in its own file which of its events notify whom ([`crate::Decider::notices`]), from the event alone. Persons are
//! named, or were concerned when it was decided ([`crate::Decider::concerns`]); who keeps order in a group or writes for a page is an
//! audience, and no list. Nobody is told of their own doing, nor of what they may not read now.

use crate::access::{Owner, Scope};
use crate::stance::Voice;
use crate::values::word::words;
use crate::{GroupId, PageId, PersonId, Thing};

words! {
    /// A sort of notice. More may come: whoever reads them passes over those they do not know.
    pub enum NoticeKind {
        /// Your answer was accepted.
        Accepted = "accepted",
        /// Your question was answered.
        Answered = "answered",
        /// You were let in.
        Approved = "approved",
        /// You were banned.
        Banned = "banned",
        /// Somebody commented on your post, or your page's.
        Commented = "commented",
        /// You were invited to a group, or to a page's staff.
        Invited = "invited",
        /// A page wrote to you, or somebody to a page you write for.
        PageMessage = "page_message",
        /// Your request was refused.
        Refused = "refused",
        /// You were removed.
        Removed = "removed",
        /// Somebody replied to your comment.
        Replied = "replied",
        /// Somebody asks to join a group in which you keep order.
        Requested = "requested",
        /// You have another role in a group, or on a page's staff.
        RoleGiven = "role_given",
    }
}

/// Whom a notice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// One person.
    Person(PersonId),
    /// Those whom the event concerns beside its actor.
    Concerned,
    /// Whoever keeps order in the group.
    Moderators(GroupId),
    /// Those of a page's staff who write to persons.
    Care(PageId),
}

/// Something that somebody is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Of what sort it is.
    pub kind: NoticeKind,
    /// Whom it is for.
    pub to: To,
    /// What it is about.
    pub about: Thing,
    /// Whose doing it was, where that may be told.
    pub by: Option<Voice>,
    /// What else helps to show it: ids and words of the slice.
    pub data: Vec<(&'static str, String)>,
}

impl Notice {
    /// A notice of this sort.
    pub const fn of(kind: NoticeKind, to: To, about: Thing) -> Self {
        Self { kind, to, about, by: None, data: vec![] }
    }

    /// With whose doing it was.
    #[must_use]
    pub fn by(self, voice: Voice) -> Self {
        Self { by: Some(voice), ..self }
    }

    /// With a fact beside.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.data.push((name, value.to_string()));
        self
    }

    /// Where it happened: in the scope of its event, or in what it is about.
    pub fn place(&self, scope: Option<Scope>) -> Option<Owner> {
        match self.about {
            Thing::Group(group) | Thing::Membership(group, _) => Some(Owner::Group(group)),
            Thing::Page(page) | Thing::Conversation(page, _) => Some(Owner::Page(page)),
            _ => scope.map(|scope| scope.owner),
        }
    }
}
