//! One person in one group: invited, requesting, a member (in episodes), banned.

use crate::access::{Action, Denied, Role, Standing};
use crate::group::{Departure, Policy};
use crate::{Context, Decider, GroupId, Kind, Named, PersonId, Personal, Reason, Rejection, StreamName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What may be asked of a membership's stream; `by` is who asks, the stream is whom it is about.
#[derive(Debug, Clone)]
pub enum Command {
    /// Makes the founder a member; follows from the creation of the group.
    FoundGroup,
    /// Invites; or admits, if there is an open request that the inviter may approve.
    InviteMember {
        /// The inviter.
        by: Standing,
    },
    /// Takes the invitation.
    AcceptInvitation {
        /// The invited person.
        by: Standing,
    },
    /// Turns the invitation down.
    DeclineInvitation {
        /// The invited person.
        by: Standing,
    },
    /// Takes the invitation back.
    RevokeInvitation {
        /// The inviter or a moderator.
        by: Standing,
    },
    /// Joins an open group, or asks to join.
    JoinGroup {
        /// Who wants in.
        by: Standing,
    },
    /// Lets somebody in who asked.
    ApproveRequest {
        /// A moderator.
        by: Standing,
    },
    /// Does not let them in.
    RefuseRequest {
        /// A moderator; the server itself where the group became secret.
        by: Option<Standing>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Takes one's own request back.
    WithdrawRequest {
        /// Who asked.
        by: Standing,
    },
    /// Leaves.
    LeaveGroup {
        /// Who leaves.
        by: Standing,
    },
    /// Takes somebody out; they may come back.
    RemoveMember {
        /// A moderator.
        by: Standing,
        /// Whom it is about.
        who: Standing,
        /// Why.
        reason: Option<Reason>,
    },
    /// Takes somebody out and closes every way in.
    BanMember {
        /// A moderator.
        by: Standing,
        /// Whom it is about.
        who: Standing,
        /// Why.
        reason: Reason,
        /// Until when; for good if absent.
        until: Option<Timestamp>,
    },
    /// Ends a ban.
    UnbanMember {
        /// A moderator.
        by: Standing,
    },
    /// Ends the membership of somebody whose role was taken for that purpose; follows from the group's stream.
    EndMembership {
        /// The episode the role counted for; a later one is left alone, except by a ban.
        episode: u32,
        /// How.
        departure: Departure,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::FoundGroup => "FoundGroup",
            Self::InviteMember { .. } => "InviteMember",
            Self::AcceptInvitation { .. } => "AcceptInvitation",
            Self::DeclineInvitation { .. } => "DeclineInvitation",
            Self::RevokeInvitation { .. } => "RevokeInvitation",
            Self::JoinGroup { .. } => "JoinGroup",
            Self::ApproveRequest { .. } => "ApproveRequest",
            Self::RefuseRequest { .. } => "RefuseRequest",
            Self::WithdrawRequest { .. } => "WithdrawRequest",
            Self::LeaveGroup { .. } => "LeaveGroup",
            Self::RemoveMember { .. } => "RemoveMember",
            Self::BanMember { .. } => "BanMember",
            Self::UnbanMember { .. } => "UnbanMember",
            Self::EndMembership { .. } => "EndMembership",
        }
    }
}

/// By which way somebody became a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// They created the group.
    Founding,
    /// The group is open.
    Joining,
    /// They accepted an invitation, or it met their request.
    Invitation,
    /// A moderator approved their request.
    Approval,
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Somebody invited them.
    #[serde(rename = "membership.invited.v1")]
    Invited {
        /// The inviter.
        inviter: PersonId,
        /// Whether the inviter could also have approved a request.
        may_approve: bool,
    },
    /// They turned the invitation down.
    #[serde(rename = "membership.invitation_declined.v1")]
    InvitationDeclined,
    /// The invitation was taken back.
    #[serde(rename = "membership.invitation_revoked.v1")]
    InvitationRevoked,
    /// They asked to join.
    #[serde(rename = "membership.requested.v1")]
    Requested,
    /// They took the request back.
    #[serde(rename = "membership.request_withdrawn.v1")]
    RequestWithdrawn,
    /// Their request was refused.
    #[serde(rename = "membership.request_refused.v1")]
    RequestRefused {
        /// Who decided; the server itself if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided_by: Option<PersonId>,
        /// Why.
        reason: Option<Personal<String>>,
    },
    /// They became a member.
    #[serde(rename = "membership.joined.v1")]
    Joined {
        /// Number of this episode of membership, from 1.
        episode: u32,
        /// The group's privacy era at that moment.
        era: u32,
        /// By which way.
        way: Way,
        /// Who let them in, if somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        admitted_by: Option<PersonId>,
    },
    /// They left.
    #[serde(rename = "membership.left.v1")]
    Left {
        /// The episode that ended.
        episode: u32,
    },
    /// They were removed.
    #[serde(rename = "membership.removed.v1")]
    Removed {
        /// The episode that ended.
        episode: u32,
        /// Why.
        reason: Option<Personal<String>>,
    },
    /// They were banned.
    #[serde(rename = "membership.banned.v1")]
    Banned {
        /// The episode that ended with it, if they were a member.
        episode: Option<u32>,
        /// Why.
        reason: Personal<String>,
        /// Until when; for good if absent.
        until: Option<Timestamp>,
    },
    /// The ban was lifted.
    #[serde(rename = "membership.unbanned.v1")]
    Unbanned,
}

/// One stretch of membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// From 1.
    pub number: u32,
    /// The group's privacy era when it began.
    pub era: u32,
    /// When it began.
    pub from: Timestamp,
    /// When it ended, if it has.
    pub until: Option<Timestamp>,
}

/// An invitation that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// The inviter.
    pub inviter: PersonId,
    /// Whether the inviter could also have approved a request.
    pub may_approve: bool,
}

/// How the latest request was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decision {
    by: Option<PersonId>,
    approved: bool,
}

/// A ban, for good or until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ban {
    until: Option<Timestamp>,
}

/// The fold of a membership's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    episodes: Vec<Episode>,
    invitation: Option<Invitation>,
    requested: bool,
    decision: Option<Decision>,
    /// A ban that nobody lifted; it may have run out.
    ban: Option<Ban>,
}

/// The stream of `person` in `group`.
pub fn stream(group: GroupId, person: PersonId) -> StreamName {
    crate::stream::<Membership>(format_args!("{group}.{person}"))
}

/// Group and person of a membership's stream.
pub fn ids(stream: &StreamName) -> Option<(GroupId, PersonId)> {
    let (group, person) = stream.key().split_once('.')?;
    Some((group.parse().ok()?, person.parse().ok()?))
}

impl Membership {
    /// All episodes of membership, oldest first.
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// The present episode, if they are a member.
    pub fn present(&self) -> Option<&Episode> {
        self.episodes.last().filter(|episode| episode.until.is_none())
    }

    /// The invitation that stands, if any.
    pub const fn invitation(&self) -> Option<Invitation> {
        self.invitation
    }

    /// Whether a request is open.
    pub const fn requested(&self) -> bool {
        self.requested
    }

    /// Whether a ban is in force at `now`.
    pub fn banned(&self, now: Timestamp) -> bool {
        self.ban.is_some_and(|ban| ban.until.is_none_or(|until| now < until))
    }

    /// What an API consumer is told of it: `member`, `requested`, `invited`, `banned` or `none`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        if self.present().is_some() {
            "member"
        } else if self.banned(now) {
            "banned"
        } else if self.requested {
            "requested"
        } else if self.invitation.is_some() {
            "invited"
        } else {
            "none"
        }
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// They are in.
    #[error("this person is a member already")]
    AlreadyMember,
    /// They are not in.
    #[error("this person is not a member of the group")]
    NotAMember,
    /// Nothing to accept, decline or revoke.
    #[error("there is no open invitation")]
    NoInvitation,
    /// Nothing to decide or withdraw.
    #[error("there is no open request")]
    NoRequest,
    /// Somebody else was first.
    #[error("somebody else decided this request: it was {}", if *approved { "approved" } else { "refused" })]
    AlreadyDecided {
        /// What they decided.
        approved: bool,
    },
    /// The group grows by invitation alone.
    #[error("one becomes a member of this group by invitation only")]
    InviteOnly,
    /// Whom it is about is banned.
    #[error("this person is banned from the group")]
    PersonBanned,
    /// Nothing to lift.
    #[error("this person is not banned")]
    NotBanned,
    /// Moderators do not act against admins.
    #[error("moderators may not act against admins")]
    NotAgainstAdmins,
    /// A ban ends in the future.
    #[error("a ban's end must lie in the future")]
    UntilInPast,
    /// Nobody removes or bans themselves; they leave.
    #[error("this cannot be done to oneself; leave instead")]
    NotYourself,
    /// Who holds a role departs by way of the group's stream.
    #[error("this person holds a role, which has to be taken first")]
    HoldsRole,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyMember => "already_member",
            Self::NotAMember => "not_a_member",
            Self::NoInvitation => "no_invitation",
            Self::NoRequest => "no_request",
            Self::AlreadyDecided { .. } => "already_decided",
            Self::InviteOnly => "invite_only",
            Self::PersonBanned => "person_banned",
            Self::NotBanned => "not_banned",
            Self::NotAgainstAdmins => "not_against_admins",
            Self::UntilInPast => "until_in_past",
            Self::NotYourself => "not_yourself",
            Self::HoldsRole => "holds_role",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::AlreadyMember | Self::AlreadyDecided { .. } | Self::PersonBanned | Self::NotYourself | Self::HoldsRole => Kind::Conflict,
            Self::NotAMember | Self::NoInvitation | Self::NoRequest | Self::NotBanned => Kind::NotFound,
            Self::InviteOnly | Self::NotAgainstAdmins => Kind::Forbidden,
            Self::UntilInPast => Kind::Invalid,
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::AlreadyDecided { approved } => Some(json!({ "outcome": if *approved { "approved" } else { "refused" } })),
            _ => None,
        }
    }
}

impl Decider for Membership {
    const CATEGORY: &'static str = "membership";
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::FoundGroup if self.episodes.is_empty() => Ok(vec![self.joined(0, Way::Founding, None)]),
            Command::FoundGroup => Ok(vec![]),
            Command::InviteMember { by } => self.invite(by, context),
            Command::AcceptInvitation { by } => self.accept(by),
            Command::DeclineInvitation { by } => {
                by.may(Action::See)?;
                self.invitation.ok_or(Error::NoInvitation).map(|_| vec![Event::InvitationDeclined])
            }
            Command::RevokeInvitation { by } => {
                let person = by.may(Action::See)?;
                let invitation = self.invitation;
                if invitation.is_none_or(|invitation| invitation.inviter != person) {
                    by.may(Action::Moderate)?;
                }
                invitation.ok_or(Error::NoInvitation).map(|_| vec![Event::InvitationRevoked])
            }
            Command::JoinGroup { by } => self.join(by),
            Command::ApproveRequest { by } => self.decide_request(Some(by), true, None),
            Command::RefuseRequest { by, reason } => self.decide_request(by.as_ref(), false, reason.as_ref()),
            Command::WithdrawRequest { by } => {
                by.may(Action::See)?;
                if self.requested { Ok(vec![Event::RequestWithdrawn]) } else { Err(Error::NoRequest) }
            }
            Command::LeaveGroup { by } => {
                by.may(Action::See)?;
                let episode = self.present().ok_or(Error::NotAMember)?.number;
                role_first(by)?;
                Ok(vec![Event::Left { episode }])
            }
            Command::RemoveMember { by, who, reason } => self.remove(by, who, reason.as_ref()),
            Command::BanMember { by, who, reason, until } => self.ban(by, who, reason, *until, context.now),
            Command::UnbanMember { by } => {
                by.may(Action::Moderate)?;
                if self.banned(context.now) { Ok(vec![Event::Unbanned]) } else { Err(Error::NotBanned) }
            }
            Command::EndMembership { episode, departure } => Ok(self.end(*episode, departure)),
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Membership(event) = event { Some(event) } else { None }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        match event {
            Event::Invited { inviter, may_approve } => self.invitation = Some(Invitation { inviter: *inviter, may_approve: *may_approve }),
            Event::InvitationDeclined | Event::InvitationRevoked => self.invitation = None,
            Event::Requested => (self.requested, self.decision) = (true, None),
            Event::RequestWithdrawn => self.requested = false,
            Event::RequestRefused { decided_by, .. } => {
                self.requested = false;
                self.decision = Some(Decision { by: *decided_by, approved: false });
            }
            Event::Joined { episode, era, admitted_by, .. } => {
                self.decision = self.requested.then_some(Decision { by: *admitted_by, approved: true });
                (self.requested, self.invitation, self.ban) = (false, None, None);
                self.episodes.push(Episode { number: *episode, era: *era, from: at, until: None });
            }
            Event::Left { .. } | Event::Removed { .. } => self.end_episode(at),
            Event::Banned { until, .. } => {
                self.end_episode(at);
                (self.requested, self.invitation, self.ban) = (false, None, Some(Ban { until: *until }));
            }
            Event::Unbanned => self.ban = None,
        }
        self
    }
}

impl Membership {
    fn end_episode(&mut self, at: Timestamp) {
        if let Some(episode) = self.episodes.last_mut().filter(|episode| episode.until.is_none()) {
            episode.until = Some(at);
            // What let them in then lets nobody in now.
            self.decision = None;
        }
    }

    fn joined(&self, era: u32, way: Way, admitted_by: Option<PersonId>) -> Event {
        let episode = self.episodes.last().map_or(1, |last| last.number + 1);
        Event::Joined { episode, era, way, admitted_by }
    }

    fn invite(&self, by: &Standing, context: &Context) -> Result<Vec<Event>, Error> {
        let inviter = by.may(Action::Invite)?;
        // In a secret group only admins invite, and they may approve: so whoever moderates may.
        let may_approve = by.allows(Action::Moderate).is_ok();
        if self.present().is_some() {
            return Err(Error::AlreadyMember);
        }
        if self.banned(context.now) {
            return Err(Error::PersonBanned);
        }
        if self.requested && may_approve {
            return Ok(vec![self.joined(by.group().era(), Way::Invitation, Some(inviter))]);
        }
        match self.invitation {
            // A second invitation counts only if it carries more weight than the first.
            Some(first) if first.may_approve || !may_approve => Ok(vec![]),
            _ => Ok(vec![Event::Invited { inviter, may_approve }]),
        }
    }

    fn accept(&self, by: &Standing) -> Result<Vec<Event>, Error> {
        by.may(Action::Join)?;
        match self.invitation {
            _ if self.present().is_some() => Ok(vec![]),
            Some(invitation) => Ok(vec![self.joined(by.group().era(), Way::Invitation, Some(invitation.inviter))]),
            None => Err(Error::NoInvitation),
        }
    }

    fn join(&self, by: &Standing) -> Result<Vec<Event>, Error> {
        by.may(Action::Join)?;
        let era = by.group().era();
        if self.present().is_some() {
            return Ok(vec![]);
        }
        match (by.group().settings().membership, self.invitation) {
            (Policy::InviteOnly, None) => Err(Error::InviteOnly),
            (Policy::Open, None) => Ok(vec![self.joined(era, Way::Joining, None)]),
            (Policy::Request, None) if self.requested => Ok(vec![]),
            (Policy::Request, None) => Ok(vec![Event::Requested]),
            (Policy::Request, Some(invitation)) if !invitation.may_approve => {
                Ok(if self.requested { vec![] } else { vec![Event::Requested] })
            }
            (_, Some(invitation)) => Ok(vec![self.joined(era, Way::Invitation, Some(invitation.inviter))]),
        }
    }

    fn decide_request(&self, by: Option<&Standing>, approved: bool, reason: Option<&Reason>) -> Result<Vec<Event>, Error> {
        let decider = by.map(|by| by.may(Action::Moderate)).transpose()?;
        if !self.requested {
            return match self.decision {
                Some(first) if first.by == decider && first.approved == approved => Ok(vec![]),
                Some(first) => Err(Error::AlreadyDecided { approved: first.approved }),
                None if by.is_none() => Ok(vec![]),
                None => Err(Error::NoRequest),
            };
        }
        Ok(match by {
            Some(by) if approved => vec![self.joined(by.group().era(), Way::Approval, decider)],
            _ => vec![Event::RequestRefused { decided_by: decider, reason: personal(reason) }],
        })
    }

    fn remove(&self, by: &Standing, who: &Standing, reason: Option<&Reason>) -> Result<Vec<Event>, Error> {
        may_act_against(by, who)?;
        let episode = self.present().ok_or(Error::NotAMember)?.number;
        role_first(who)?;
        Ok(vec![Event::Removed { episode, reason: personal(reason) }])
    }

    fn ban(&self, by: &Standing, who: &Standing, reason: &Reason, until: Option<Timestamp>, now: Timestamp) -> Result<Vec<Event>, Error> {
        may_act_against(by, who)?;
        if until.is_some_and(|until| until <= now) {
            return Err(Error::UntilInPast);
        }
        if self.banned(now) && self.ban == Some(Ban { until }) {
            return Ok(vec![]);
        }
        role_first(who)?;
        let episode = self.present().map(|episode| episode.number);
        Ok(vec![Event::Banned { episode, reason: reason.as_str().to_owned().into(), until }])
    }

    fn end(&self, of: u32, departure: &Departure) -> Vec<Event> {
        let present = self.present().map(|episode| episode.number);
        match departure {
            Departure::Banned { until, .. } if present.is_none() && self.ban == Some(Ban { until: *until }) => vec![],
            Departure::Banned { reason, until } => vec![Event::Banned { episode: present, reason: reason.clone(), until: *until }],
            _ if present != Some(of) => vec![],
            Departure::Left => vec![Event::Left { episode: of }],
            Departure::Removed { reason } => vec![Event::Removed { episode: of, reason: reason.clone() }],
        }
    }
}

fn may_act_against(by: &Standing, who: &Standing) -> Result<(), Error> {
    let person = by.may(Action::Moderate)?;
    match who.role() {
        _ if who.person() == Some(person) => Err(Error::NotYourself),
        Some(Role::Admin) if by.role() != Some(Role::Admin) => Err(Error::NotAgainstAdmins),
        _ => Ok(()),
    }
}

/// The group's stream decides on those who hold a role, by `Depart`: it alone knows who is the last admin.
fn role_first(who: &Standing) -> Result<(), Error> {
    if who.role() > Some(Role::Member) { Err(Error::HoldsRole) } else { Ok(()) }
}

fn personal(reason: Option<&Reason>) -> Option<Personal<String>> {
    reason.map(|reason| reason.as_str().to_owned().into())
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
