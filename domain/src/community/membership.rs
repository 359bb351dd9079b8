//! One person in one group: invited, requesting, a member (in episodes), banned.

use crate::access::{Action, Standing};
use crate::change::{Change, InGroup, Readers};
use crate::deadline::{Deadline, Deadlines, Matter, Wake};
use crate::flow::{Flow, FollowUp};
use crate::group::{self, Departure, Group};
use crate::notice::{Notice, NoticeKind, To};
use crate::stance::Rights;
use crate::stance::Voice;
use crate::thing::Thing;
use crate::weight;
use crate::{Context, Decider, GroupId, Named, PersonId, Personal, Reason, StreamName, TextOwner, Timestamp, Written};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

mod decisions;
mod error;

pub use error::Error;

/// What may be asked of a membership's stream; `by` is who asks, the stream is whom it is about.
#[derive(Debug, Clone)]
pub enum Command {
    /// Makes the founder a member; follows from the creation of the group.
    FoundGroup,
    /// Invites; or admits, if there is an open request that the inviter may approve.
    InviteMember {
        /// The inviter.
        by: Standing,
        /// Whom.
        who: Standing,
        /// Whether a place was taken in their [allowance](crate::allowance): nobody is invited without.
        counted: bool,
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
    /// Takes an invitation back that its maker could not make today.
    RevokeVoidInvitation {
        /// Whom it is about.
        who: Standing,
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
        /// Whether it takes the place of a ban that is longer.
        replace: bool,
    },
    /// Ends a ban.
    UnbanMember {
        /// A moderator.
        by: Standing,
    },
    /// Notes that a ban has run out; the server asks when it is so.
    EndBan {
        /// Whom it is about.
        who: Standing,
        /// When the ban ended.
        until: Timestamp,
    },
    /// Lets this episode end by way of the group's stream alone. That comes before its holder is given a role: who counts when
    /// another admin leaves must not be gone by then.
    BindMember {
        /// An admin; the server itself for a group that has none.
        by: Option<Standing>,
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
            Self::RevokeVoidInvitation { .. } => "RevokeVoidInvitation",
            Self::JoinGroup { .. } => "JoinGroup",
            Self::ApproveRequest { .. } => "ApproveRequest",
            Self::RefuseRequest { .. } => "RefuseRequest",
            Self::WithdrawRequest { .. } => "WithdrawRequest",
            Self::LeaveGroup { .. } => "LeaveGroup",
            Self::RemoveMember { .. } => "RemoveMember",
            Self::BanMember { .. } => "BanMember",
            Self::UnbanMember { .. } => "UnbanMember",
            Self::EndBan { .. } => "EndBan",
            Self::BindMember { .. } => "BindMember",
            Self::EndMembership { .. } => "EndMembership",
        }
    }
}

/// By which way somebody became a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The ban ran out, for nobody lifted it or put another in its place. Rights do not depend on this: the moment itself ends it.
    #[serde(rename = "membership.ban_ended.v1")]
    BanEnded {
        /// When.
        until: Timestamp,
    },
    /// This episode ends by way of the group's stream alone: its holder is to have a role there.
    #[serde(rename = "membership.bound.v1")]
    Bound {
        /// The present episode.
        episode: u32,
    },
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
    /// Whether the history says that it ran out.
    ban_ended: bool,
    /// The episode that ends by way of the group's stream alone.
    bound: Option<u32>,
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

/// Who owns the reasons of what is decided about the person of this stream.
fn about(stream: &StreamName) -> TextOwner {
    TextOwner::Decisions(ids(stream).map_or(Uuid::nil(), |(_, person)| person.0))
}

fn owned(reason: Option<&Reason>, context: &Context) -> Option<Personal<String>> {
    reason.map(|reason| reason.owned_by(about(context.stream)))
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

    /// Whether the present episode ends by way of the group's stream alone.
    pub fn is_bound(&self) -> bool {
        self.present().is_some_and(|episode| self.bound == Some(episode.number))
    }

    /// The invitation that stands, if any. Whether it lets anybody in, [`Standing::invitation`] tells.
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

    /// When a ban ends of which the history does not say that it has.
    pub fn ban_ends(&self) -> Option<Timestamp> {
        self.ban.filter(|_| !self.ban_ended)?.until
    }

    /// What an API consumer was told of it at that time; of the present, [`Standing::status`] tells.
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

impl Decider for Membership {
    const CATEGORY: &'static str = "membership";
    const STREAM: (&'static str, &'static str) = ("GROUP.PERSON", "a person in a group, from the first invitation or request on");
    const FLOW: Option<Flow<Self>> = Some(flow);
    const DEADLINES: Option<Deadlines<Self>> = Some(deadlines);
    const WAKE: Option<Wake<Self>> = Some(wake);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::FoundGroup | Command::EndMembership { .. } => vec![],
            Command::AcceptInvitation { by }
            | Command::DeclineInvitation { by }
            | Command::RevokeInvitation { by }
            | Command::RevokeVoidInvitation { who: by }
            | Command::EndBan { who: by, .. }
            | Command::JoinGroup { by }
            | Command::ApproveRequest { by }
            | Command::WithdrawRequest { by }
            | Command::LeaveGroup { by }
            | Command::UnbanMember { by } => vec![Rights::Group(by)],
            Command::RefuseRequest { by, .. } | Command::BindMember { by } => by.iter_mut().map(Rights::Group).collect(),
            Command::InviteMember { by, who, .. } | Command::RemoveMember { by, who, .. } | Command::BanMember { by, who, .. } => {
                vec![Rights::Group(by), Rights::Group(who)]
            }
        }
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::FoundGroup if self.episodes.is_empty() => Ok(vec![self.joined(0, Way::Founding, None)]),
            Command::FoundGroup => Ok(vec![]),
            Command::InviteMember { by, who, counted } => self.invite(by, who, *counted, context),
            Command::AcceptInvitation { by } => self.accept(by),
            Command::DeclineInvitation { by } => {
                by.may(Action::See)?;
                by.invitation().ok_or(Error::NoInvitation).map(|_| vec![Event::InvitationDeclined])
            }
            Command::RevokeInvitation { by } => {
                let person = by.may(Action::See)?;
                let invitation = self.invitation;
                if invitation.is_none_or(|invitation| invitation.inviter != person) {
                    by.may(Action::Moderate)?;
                }
                invitation.ok_or(Error::NoInvitation).map(|_| vec![Event::InvitationRevoked])
            }
            Command::RevokeVoidInvitation { who } => {
                let void = self.invitation.is_some() && who.invitation().is_none();
                Ok(if void { vec![Event::InvitationRevoked] } else { vec![] })
            }
            Command::JoinGroup { by } => self.join(by),
            Command::ApproveRequest { by } => self.decide_request(Some(by), true, None),
            Command::RefuseRequest { by, reason } => self.decide_request(by.as_ref(), false, owned(reason.as_ref(), context)),
            Command::WithdrawRequest { by } => {
                by.may(Action::See)?;
                if self.requested { Ok(vec![Event::RequestWithdrawn]) } else { Err(Error::NoRequest) }
            }
            Command::LeaveGroup { by } => {
                by.may(Action::See)?;
                let episode = self.present().ok_or(Error::NotAMember)?.number;
                self.role_first(by)?;
                Ok(vec![Event::Left { episode }])
            }
            Command::RemoveMember { by, who, reason } => self.remove(by, who, owned(reason.as_ref(), context)),
            Command::BanMember { by, who, reason, until, replace } => self.ban((by, who), reason, Ban { until: *until }, *replace, context),
            Command::UnbanMember { by } => {
                by.may(Action::Moderate)?;
                if self.banned(context.now) { Ok(vec![Event::Unbanned]) } else { Err(Error::NotBanned) }
            }
            Command::EndBan { until, .. } => Ok(self.end_ban(*until, context.now)),
            Command::BindMember { by } => self.bind(by.as_ref()),
            Command::EndMembership { episode, departure } => Ok(self.end(*episode, departure, context)),
        }
    }

    fn heap(&self) -> usize {
        weight::of_vec(&self.episodes)
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        match event {
            Event::RequestRefused { reason: Some(reason), .. }
            | Event::Removed { reason: Some(reason), .. }
            | Event::Banned { reason, .. } => reason.give(about(written.stream)),
            Event::Invited { .. }
            | Event::InvitationDeclined
            | Event::InvitationRevoked
            | Event::Requested
            | Event::RequestWithdrawn
            | Event::RequestRefused { reason: None, .. }
            | Event::Joined { .. }
            | Event::Left { .. }
            | Event::Removed { reason: None, .. }
            | Event::Unbanned
            | Event::BanEnded { .. }
            | Event::Bound { .. } => {}
        }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let (group, person) = ids(stream)?;
        let right = match event {
            Event::Joined { episode, .. } => InGroup::Member { person, episode: *episode, role: None },
            Event::Left { .. } | Event::Removed { .. } | Event::Banned { episode: Some(_), .. } => InGroup::Departed { person },
            Event::Invited { .. }
            | Event::InvitationDeclined
            | Event::InvitationRevoked
            | Event::Requested
            | Event::RequestWithdrawn
            | Event::RequestRefused { .. }
            | Event::Banned { episode: None, .. }
            | Event::Unbanned
            | Event::BanEnded { .. } => InGroup::Queue { person },
            // The role that it makes ready for is told as such.
            Event::Bound { .. } => return None,
        };
        Some(Change::of(Thing::Membership(group, person), Readers::Group(group, right)))
    }

    fn notices(stream: &StreamName, event: &Event) -> Vec<Notice> {
        let Some((group, person)) = ids(stream) else { return vec![] };
        let to = |kind| Notice::of(kind, To::Person(person), Thing::Group(group));
        match event {
            Event::Invited { inviter, .. } => vec![to(NoticeKind::Invited).by(Voice::Person(*inviter))],
            Event::Requested => {
                let about = Thing::Membership(group, person);
                vec![Notice::of(NoticeKind::Requested, To::Moderators(group), about).by(Voice::Person(person))]
            }
            Event::Joined { way: Way::Invitation | Way::Approval, .. } => vec![to(NoticeKind::Approved)],
            // Who decided so is told by those who did, if they want.
            Event::RequestRefused { .. } => vec![to(NoticeKind::Refused)],
            Event::Removed { .. } => vec![to(NoticeKind::Removed)],
            Event::Banned { .. } => vec![to(NoticeKind::Banned)],
            _ => vec![],
        }
    }

    fn concerns(&self, stream: &StreamName, _: &Event, _: Option<&Command>) -> Vec<PersonId> {
        ids(stream).map(|(_, person)| person).into_iter().collect()
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Membership(event) = event { Some(event) } else { None }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        match event {
            Event::Invited { inviter, may_approve } => self.invited(Invitation { inviter: *inviter, may_approve: *may_approve }, at),
            Event::InvitationDeclined | Event::InvitationRevoked => self.invitation = None,
            Event::Requested => (self.requested, self.decision) = (true, None),
            Event::RequestWithdrawn => self.requested = false,
            Event::RequestRefused { decided_by, .. } => {
                self.requested = false;
                self.decision = Some(Decision { by: *decided_by, approved: false });
            }
            Event::Joined { episode, era, way, admitted_by } => {
                if *way == Way::Founding {
                    self.bound = Some(*episode);
                }
                self.decision = self.requested.then_some(Decision { by: *admitted_by, approved: true });
                (self.requested, self.invitation, self.ban) = (false, None, None);
                self.episodes.push(Episode { number: *episode, era: *era, from: at, until: None });
            }
            Event::Left { .. } | Event::Removed { .. } => self.end_episode(at),
            Event::Banned { until, .. } => {
                self.end_episode(at);
                (self.requested, self.invitation) = (false, None);
                (self.ban, self.ban_ended) = (Some(Ban { until: *until }), false);
            }
            Event::Unbanned => self.ban = None,
            Event::BanEnded { .. } => self.ban_ended = true,
            Event::Bound { episode } => self.bound = Some(*episode),
        }
        self
    }
}

/// A role given while its holder was leaving must not outlive the episode it was given for.
fn flow(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
    match (ids(stream), event) {
        (
            Some((group, person)),
            Event::Left { episode } | Event::Removed { episode, .. } | Event::Banned { episode: Some(episode), .. },
        ) => vec![FollowUp::new::<Group>(group::stream(group), group::Command::DropRole { person, episode: *episode })],
        _ => vec![],
    }
}

/// The end of the ban that stands, if it has one.
fn deadlines(stream: &StreamName, event: &Event, _: Timestamp) -> Vec<Deadline> {
    let matter = Matter::from(stream);
    match event {
        Event::Banned { until: Some(until), .. } => vec![matter.until(*until)],
        Event::Banned { until: None, .. } | Event::Unbanned | Event::BanEnded { .. } | Event::Joined { .. } => vec![matter.over()],
        _ => vec![],
    }
}

fn wake(matter: &Matter, at: Timestamp) -> Option<Command> {
    let (group, person) = ids(&matter.stream)?;
    Some(Command::EndBan { who: Standing::new(Some(person), group, Arc::default(), Arc::default(), at), until: at })
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Invited { inviter: person(1), may_approve: true }
    InvitationDeclined {}
    InvitationRevoked {}
    Requested {}
    RequestWithdrawn {}
    RequestRefused { decided_by: Some(person(1)), reason: Some(text("we are full")) }
    Joined { episode: 2, era: 1, way: Way::Approval, admitted_by: Some(person(1)) }
    Left { episode: 2 }
    Removed { episode: 2, reason: Some(text("never came")) }
    Banned { episode: Some(2), reason: text("threw stones"), until: Some(NOON) }
    Unbanned {}
    BanEnded { until: NOON }
    Bound { episode: 2 }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
