//! Who may do and read what: the one pure place that decides it.
//!
//! Two computations meet. The *audience* of a thing is a key that never changes: the group it was written in and the
//! privacy era it was written in. The *keys* of a reader follow from their standing today: for each era of a group,
//! whether they may read what was written then. Queries only intersect the two, so a change of privacy rewrites no row.

use crate::group::{Group, History, Stretch};
use crate::membership::{Invitation, Membership};
use crate::values::word::words;
use crate::{Decider, GroupId, Kind, PageId, PersonId, Rejection, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod keys;
mod unread;

pub use keys::Key;
use keys::{ALWAYS, Windows, stays};
pub use unread::{Gap, Unread};

/// How private a group is, from open to hidden; the order is that of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Privacy {
    /// Everyone finds it and reads it.
    #[default]
    Public,
    /// Everyone finds it; members read it.
    Closed,
    /// Members and invited people alone know that it exists.
    Secret,
}

words! {
    /// What a member is in a group; the order is that of rights.
    pub enum Role {
        /// Takes part.
        Member = "member",
        /// Keeps order.
        Moderator = "moderator",
        /// Decides on the group itself.
        Admin = "admin",
    }
}

/// Whose place a thing was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A group's.
    Group(GroupId),
    /// A page's; pages are public and have one era.
    Page(PageId),
}

impl Owner {
    /// The place as audiences begin with it.
    pub fn place(&self) -> String {
        match self {
            Self::Group(group) => format!("group:{group}"),
            Self::Page(page) => format!("page:{page}"),
        }
    }
}

/// Where and under which privacy something happened. Stored with every event under a group or page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Whose place it is.
    pub owner: Owner,
    /// How private it was at the decision.
    pub privacy: Privacy,
    /// Which privacy era that was, from 0; a change of privacy begins the next.
    pub era: u32,
}

impl Scope {
    /// The audience of what is written in this scope, as stored beside it: the place, a colon and the era.
    pub fn audience(&self) -> String {
        format!("{}:{}", self.owner.place(), self.era)
    }

    /// The group it happened in, if it was a group.
    pub const fn group(&self) -> Option<GroupId> {
        match self.owner {
            Owner::Group(group) => Some(group),
            Owner::Page(_) => None,
        }
    }
}

/// Scope and moment of a thing's first event: what decides who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Where it was written.
    pub scope: Scope,
    /// When it was written.
    pub at: Timestamp,
}

/// What somebody may want to do in a group, as far as rights differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Know that the group exists.
    See,
    /// Read the list of members.
    ReadMembers,
    /// Read what was written here: the thing the standing is for.
    Read,
    /// Ask to join, or join if it is open.
    Join,
    /// Invite somebody.
    Invite,
    /// Post, ask, answer.
    Contribute,
    /// Approve, refuse, remove, ban, close; read the queues that go with it.
    Moderate,
    /// Settings, privacy, roles.
    Administer,
}

/// Why an action is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It does not exist, or the caller may not know that it does.
    #[error("there is nothing here under this id")]
    Unknown,
    /// Somebody who is signed in might; nobody is.
    #[error("sign in to see this")]
    Anonymous,
    /// The caller is banned.
    #[error("you are banned from this group")]
    Banned,
    /// For members.
    #[error("only members may do this")]
    MembersOnly,
    /// For moderators and admins.
    #[error("only moderators and admins may do this")]
    ModeratorsOnly,
    /// For admins.
    #[error("only admins may do this")]
    AdminsOnly,
    /// Written before the caller could read here.
    #[error("this was written before you could read here")]
    BeforeYourTime,
    /// For those of a page's staff whose role covers it.
    #[error("only staff of this page with the right role may do this")]
    StaffOnly,
    /// For a page's owners.
    #[error("only owners of this page may do this")]
    OwnersOnly,
    /// For whoever wrote it.
    #[error("only the author may do this")]
    NotTheAuthor,
    /// Moderators do not act against admins.
    #[error("moderators may not act against admins")]
    NotAgainstAdmins,
    /// Linked pages come later.
    #[error("pages cannot speak in groups yet")]
    NotSupported,
    /// What decides it cannot be read: see [`Unread`].
    #[error("what decides this cannot be read at the moment")]
    Unreadable,
}

impl Rejection for Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "not_found",
            Self::Anonymous => "unauthenticated",
            Self::Banned => "banned",
            Self::MembersOnly => "members_only",
            Self::ModeratorsOnly => "moderators_only",
            Self::AdminsOnly => "admins_only",
            Self::BeforeYourTime => "before_your_time",
            Self::StaffOnly => "staff_only",
            Self::OwnersOnly => "owners_only",
            Self::NotTheAuthor => "not_the_author",
            Self::NotAgainstAdmins => "not_against_admins",
            Self::NotSupported => "not_supported",
            Self::Unreadable => "unreadable",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::Anonymous => Kind::Unauthenticated,
            Self::NotSupported => Kind::Invalid,
            Self::Unreadable => Kind::Unavailable,
            _ => Kind::Forbidden,
        }
    }
}

/// What a person is to a group, folded from the group's stream and from theirs within it.
#[derive(Debug, Clone)]
pub struct Standing {
    person: Option<PersonId>,
    group_id: GroupId,
    group: Arc<Group>,
    membership: Arc<Membership>,
    /// The membership of whoever invited them; see [`Standing::invitation`].
    inviter: Option<Arc<Membership>>,
    now: Timestamp,
    origin: Option<Origin>,
    unread: Unread,
}

impl Standing {
    /// The standing of `person` (or of nobody signed in) at `now`.
    pub const fn new(person: Option<PersonId>, group_id: GroupId, group: Arc<Group>, membership: Arc<Membership>, now: Timestamp) -> Self {
        Self { person, group_id, group, membership, inviter: None, now, origin: None, unread: Unread::NOTHING }
    }

    /// The same standing of somebody who was invited by a person of this membership.
    #[must_use]
    pub fn invited_by(mut self, inviter: Arc<Membership>) -> Self {
        self.inviter = Some(inviter);
        self
    }

    /// The same standing, of which something cannot be read.
    #[must_use]
    pub const fn without(mut self, unread: Unread) -> Self {
        self.unread = unread;
        self
    }

    /// Takes on how things are at `now`: the group, the membership, that of whoever invited, and what of them cannot be read.
    pub fn renew(
        &mut self,
        group: Arc<Group>,
        membership: Arc<Membership>,
        inviter: Option<Arc<Membership>>,
        unread: Unread,
        now: Timestamp,
    ) {
        (self.group, self.membership, self.inviter, self.unread, self.now) = (group, membership, inviter, unread, now);
    }

    /// The same standing towards a thing that was written in the group.
    #[must_use]
    pub const fn towards(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Who it is, if somebody is signed in.
    pub const fn person(&self) -> Option<PersonId> {
        self.person
    }

    /// Scope and moment of the thing it is towards.
    pub const fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The group's id.
    pub const fn group_id(&self) -> GroupId {
        self.group_id
    }

    /// Their membership in it.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The invitation that lets them in: one that its maker could make today, by what they are and by the group's settings, and
    /// that carries no more weight than one of today's. Any other is as if it had been revoked.
    pub fn invitation(&self) -> Option<Invitation> {
        self.whole().ok().and_then(|()| self.last_invitation())
    }

    fn last_invitation(&self) -> Option<Invitation> {
        let invitation = self.membership.invitation().filter(|_| !self.banned() && self.membership.present().is_none())?;
        let maker = Self::new(Some(invitation.inviter), self.group_id, self.group.clone(), self.inviter.clone()?, self.now);
        let may_approve = invitation.may_approve && maker.has(Action::Moderate);
        maker.has(Action::Invite).then_some(Invitation { may_approve, ..invitation })
    }

    /// What an API consumer is told of their membership: `member`, `requested`, `invited`, `banned` or `none`.
    pub fn status(&self) -> &'static str {
        if self.membership.present().is_some() {
            "member"
        } else if self.banned() {
            "banned"
        } else if self.membership.requested() {
            "requested"
        } else if self.invitation().is_some() {
            "invited"
        } else {
            "none"
        }
    }

    /// The scope of what is written now.
    pub fn scope(&self) -> Option<Scope> {
        self.group.scope(&self.group_id.to_string())
    }

    /// Their role, if they are a member. A role counts only for the episode of membership it was given in.
    pub fn role(&self) -> Option<Role> {
        self.whole().ok()?;
        let episode = self.membership.present()?;
        let given = self.person.and_then(|person| self.group.role_of(person, episode.number));
        Some(given.unwrap_or(Role::Member))
    }

    /// The id of the caller, if they may do `action`.
    pub fn may(&self, action: Action) -> Result<PersonId, Denied> {
        self.allows(action)?;
        self.person.ok_or(Denied::Anonymous)
    }

    /// Whether `action` is allowed; for reading, nobody needs to be signed in.
    pub fn allows(&self, action: Action) -> Result<(), Denied> {
        if !self.sees() {
            return Err(Denied::Unknown);
        }
        match action {
            Action::Read => self.reads(self.role()).map_err(|denied| self.unless_unread(denied)),
            Action::See => Ok(()),
            _ if self.whole().is_err() => Err(Denied::Unreadable),
            _ if self.has(action) => Ok(()),
            _ => Err(self.denied(action, self.role())),
        }
    }

    /// The table of rights, for whoever sees the group.
    fn has(&self, action: Action) -> bool {
        let role = self.role();
        let privacy = self.group.privacy();
        match action {
            Action::See => true,
            Action::Join => self.person.is_some() && !self.banned(),
            Action::ReadMembers => {
                role.is_some() || privacy == Privacy::Public || (privacy == Privacy::Closed && self.group.settings().member_list_public)
            }
            Action::Read => self.reads(role).is_ok(),
            Action::Invite if privacy == Privacy::Secret => role >= Some(Role::Admin),
            Action::Invite => role >= Some(Role::Moderator) || (role.is_some() && self.group.settings().members_invite),
            Action::Contribute => role.is_some(),
            Action::Moderate => role >= Some(Role::Moderator),
            Action::Administer => role >= Some(Role::Admin),
        }
    }

    /// Whether `action` is allowed on the group as it was `at` a moment: by today's rights, and for outsiders also by the settings
    /// of then. What was secret then stays unknown to whoever may not read what was written in secret.
    pub fn allows_as_of(&self, action: Action, then: &Arc<Group>, at: Timestamp) -> Result<(), Denied> {
        self.allows(action)?;
        let scope = then.scope(&self.group_id.to_string()).ok_or(Denied::Unknown)?;
        // First of all: who is refused learns that there was something.
        if self.clone().towards(Origin { scope, at }).reads(self.role()) == Err(Denied::Unknown) {
            return Err(Denied::Unknown);
        }
        if self.role().is_none() {
            Self { group: Arc::clone(then), ..self.clone() }.allows(action)?;
        }
        Ok(())
    }

    fn denied(&self, action: Action, role: Option<Role>) -> Denied {
        if self.person.is_none() {
            return Denied::Anonymous;
        }
        if self.banned() {
            return Denied::Banned;
        }
        match action {
            Action::Moderate => Denied::ModeratorsOnly,
            Action::Administer => Denied::AdminsOnly,
            Action::Invite if self.group.privacy() == Privacy::Secret => Denied::AdminsOnly,
            Action::Invite if role.is_some() => Denied::ModeratorsOnly,
            _ => Denied::MembersOnly,
        }
    }

    fn sees(&self) -> bool {
        match (self.group.exists(), self.strictest()) {
            (false, _) => false,
            (true, Privacy::Public | Privacy::Closed) => true,
            (true, Privacy::Secret) => self.membership.present().is_some() || self.last_invitation().is_some(),
        }
    }

    /// Whether a ban is in force.
    pub fn banned(&self) -> bool {
        self.membership.banned(self.now)
    }

    fn reads(&self, role: Option<Role>) -> Result<(), Denied> {
        let Some(origin) = self.origin else {
            return if self.keys().is_empty() { Err(self.denied(Action::Read, role)) } else { Ok(()) };
        };
        let stretch = self.group.eras().of(origin.scope.era);
        let windows = stretch.map(|stretch| self.windows(stretch, role)).unwrap_or_default();
        let at = origin.at.micros();
        match windows.iter().any(|(since, until)| (*since..*until).contains(&at)) {
            true => Ok(()),
            // What was written in secret stays unknown to whoever may not read it, also when the group itself no longer is.
            false if stretch.is_some_and(|stretch| stretch.privacy == Privacy::Secret) => Err(Denied::Unknown),
            false if role.is_some() => Err(Denied::BeforeYourTime),
            false => Err(self.denied(Action::Read, role)),
        }
    }

    /// Whether this reader of a thing may also read the words that an edit of it made. If times were no stricter than when it
    /// was written, they may; else it takes the right to read what was written at that moment.
    pub fn reads_edit(&self, edit: Origin) -> bool {
        self.origin.is_some_and(|thing| edit.scope.privacy <= thing.scope.privacy)
            || self.clone().towards(edit).allows(Action::Read).is_ok()
    }

    /// The keys of this reader for everything in the group: what may be read alike is one of them.
    pub fn keys(&self) -> Vec<Key> {
        let (place, role) = (Owner::Group(self.group_id).place(), self.role());
        let mut alike: Vec<(u32, u32, Windows)> = vec![];
        for stretch in self.group.eras().stretches() {
            let windows = self.windows(stretch, role);
            match alike.last_mut() {
                Some((_, last, before)) if *before == windows => *last = stretch.last,
                _ => alike.push((stretch.first, stretch.last, windows)),
            }
        }
        let keys = |(first, last, windows): (u32, u32, Windows)| {
            let key = |(since, until)| Key { place: place.clone(), first, last, since, until };
            windows.into_iter().map(key).collect::<Vec<_>>()
        };
        alike.into_iter().flat_map(keys).collect()
    }

    /// Between which moments somebody of `role` may read what was written in `stretch`.
    ///
    /// The audience of a thing is the stricter of then and now, and a loosening opens nothing that was written before:
    /// only who was a member already then keeps reading it, and who keeps order.
    fn windows(&self, stretch: &Stretch, role: Option<Role>) -> Windows {
        if self.whole().is_err() {
            return if self.reads_as_anybody(stretch) { vec![ALWAYS] } else { vec![] };
        }
        if stretch.privacy.max(self.group.privacy()) == Privacy::Public || role >= Some(Role::Moderator) {
            return vec![ALWAYS];
        }
        let Some(episode) = self.membership.present() else { return vec![] };
        if stretch.loosened.is_some_and(|loosened| episode.era >= loosened) {
            return vec![];
        }
        match self.group.settings().history {
            History::All => vec![ALWAYS],
            History::SinceJoining => stays(self.membership.episodes()),
        }
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "access_unread_tests.rs"]
mod unread_tests;
