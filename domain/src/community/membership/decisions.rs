//! How each wish about a membership is decided.

use super::{Ban, Error, Event, Invitation, Membership, Way, about};
use crate::access::{Action, Role, Standing};
use crate::group::{Departure, Policy};
use crate::{Context, PersonId, Personal, Reason, Timestamp};

impl Membership {
    pub(super) fn end_episode(&mut self, at: Timestamp) {
        if let Some(episode) = self.episodes.last_mut().filter(|episode| episode.until.is_none()) {
            episode.until = Some(at);
            // What let them in then lets nobody in now.
            self.decision = None;
        }
    }

    pub(super) fn joined(&self, era: u32, way: Way, admitted_by: Option<PersonId>) -> Event {
        let episode = self.episodes.last().map_or(1, |last| last.number + 1);
        Event::Joined { episode, era, way, admitted_by }
    }

    /// What an invitation does. Of several the one with most weight stands, of equal ones the last; to whoever is banned it does
    /// nothing, then or later.
    pub(super) fn invited(&mut self, invitation: Invitation, at: Timestamp) {
        let stands = self.invitation.filter(|first| first.may_approve && !invitation.may_approve);
        if !self.banned(at) {
            self.invitation = stands.or(Some(invitation));
        }
    }

    /// Who may not see the queues does not learn of them by inviting: whatever stands there, they have invited.
    pub(super) fn invite(&self, by: &Standing, who: &Standing, counted: bool, context: &Context) -> Result<Vec<Event>, Error> {
        let inviter = by.may(Action::Invite)?;
        // In a secret group only admins invite, and they may approve: so whoever moderates may.
        let may_approve = by.allows(Action::Moderate).is_ok();
        if self.present().is_some() {
            return Err(Error::AlreadyMember);
        }
        let invite = |events| if counted { Ok(events) } else { Err(Error::NotCounted) };
        let stands = who.invitation();
        let void = (self.invitation.is_some() && stands.is_none()).then_some(Event::InvitationRevoked);
        let events = void.into_iter().chain([Event::Invited { inviter, may_approve }]).collect();
        if !may_approve {
            let again = stands.is_some_and(|first| first.inviter == inviter && !first.may_approve);
            return if again { Ok(vec![]) } else { invite(events) };
        }
        if self.banned(context.now) {
            return Err(Error::PersonBanned);
        }
        if self.requested {
            return Ok(vec![self.joined(by.group().era(), Way::Invitation, Some(inviter))]);
        }
        // A second invitation counts only if it carries more weight than the first.
        if stands.is_some_and(|first| first.may_approve) { Ok(vec![]) } else { invite(events) }
    }

    pub(super) fn accept(&self, by: &Standing) -> Result<Vec<Event>, Error> {
        by.may(Action::Join)?;
        match by.invitation() {
            _ if self.present().is_some() => Ok(vec![]),
            Some(invitation) => Ok(vec![self.joined(by.group().era(), Way::Invitation, Some(invitation.inviter))]),
            None => Err(Error::NoInvitation),
        }
    }

    pub(super) fn join(&self, by: &Standing) -> Result<Vec<Event>, Error> {
        by.may(Action::Join)?;
        let era = by.group().era();
        if self.present().is_some() {
            return Ok(vec![]);
        }
        match (by.group().settings().membership, by.invitation()) {
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

    /// The group's stream decides on those who hold a role, by `Depart`: it alone knows who is the last admin.
    pub(super) fn role_first(&self, who: &Standing) -> Result<(), Error> {
        if self.is_bound() || who.role() > Some(Role::Member) { Err(Error::HoldsRole) } else { Ok(()) }
    }

    pub(super) fn bind(&self, by: Option<&Standing>) -> Result<Vec<Event>, Error> {
        by.map(|by| by.may(Action::Administer)).transpose()?;
        let episode = self.present().ok_or(Error::NotAMember)?.number;
        Ok(if self.is_bound() { vec![] } else { vec![Event::Bound { episode }] })
    }

    pub(super) fn decide_request(
        &self,
        by: Option<&Standing>,
        approved: bool,
        reason: Option<Personal<String>>,
    ) -> Result<Vec<Event>, Error> {
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
            _ => vec![Event::RequestRefused { decided_by: decider, reason }],
        })
    }

    pub(super) fn remove(&self, by: &Standing, who: &Standing, reason: Option<Personal<String>>) -> Result<Vec<Event>, Error> {
        may_act_against(by, who)?;
        let episode = self.present().ok_or(Error::NotAMember)?.number;
        self.role_first(who)?;
        Ok(vec![Event::Removed { episode, reason }])
    }

    pub(super) fn ban(
        &self,
        (by, who): (&Standing, &Standing),
        reason: &Reason,
        ban: Ban,
        replace: bool,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        may_act_against(by, who)?;
        let now = context.now;
        if ban.until.is_some_and(|until| until <= now) {
            return Err(Error::UntilInPast);
        }
        if self.outlasts(ban, now) && (!replace || self.ban == Some(ban)) {
            return Ok(vec![]);
        }
        self.role_first(who)?;
        let episode = self.present().map(|episode| episode.number);
        Ok(vec![Event::Banned { episode, reason: reason.owned_by(about(context.stream)), until: ban.until }])
    }

    /// Only of the ban that stands: one that was lengthened, replaced or lifted meanwhile did not end then.
    pub(super) fn end_ban(&self, until: Timestamp, now: Timestamp) -> Vec<Event> {
        if self.ban_ends() == Some(until) && now >= until { vec![Event::BanEnded { until }] } else { vec![] }
    }

    /// Whether a ban is in force that ends no sooner than `other`.
    fn outlasts(&self, other: Ban, now: Timestamp) -> bool {
        let end = |ban: Ban| ban.until.map_or(i64::MAX, Timestamp::micros);
        self.banned(now) && self.ban.is_some_and(|ban| end(ban) >= end(other))
    }

    pub(super) fn end(&self, of: u32, departure: &Departure, context: &Context) -> Vec<Event> {
        let present = self.present().map(|episode| episode.number);
        match departure.owned_by(about(context.stream)) {
            Departure::Banned { until, .. } if present.is_none() && self.outlasts(Ban { until }, context.now) => vec![],
            Departure::Banned { reason, until } => vec![Event::Banned { episode: present, reason, until }],
            _ if present != Some(of) => vec![],
            Departure::Left => vec![Event::Left { episode: of }],
            Departure::Removed { reason } => vec![Event::Removed { episode: of, reason }],
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
