//! How each wish about a membership is decided.

use super::{Ban, Error, Event, Membership, Way};
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

    pub(super) fn invite(&self, by: &Standing, context: &Context) -> Result<Vec<Event>, Error> {
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

    pub(super) fn accept(&self, by: &Standing) -> Result<Vec<Event>, Error> {
        by.may(Action::Join)?;
        match self.invitation {
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

    pub(super) fn decide_request(&self, by: Option<&Standing>, approved: bool, reason: Option<&Reason>) -> Result<Vec<Event>, Error> {
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

    pub(super) fn remove(&self, by: &Standing, who: &Standing, reason: Option<&Reason>) -> Result<Vec<Event>, Error> {
        may_act_against(by, who)?;
        let episode = self.present().ok_or(Error::NotAMember)?.number;
        role_first(who)?;
        Ok(vec![Event::Removed { episode, reason: personal(reason) }])
    }

    pub(super) fn ban(
        &self,
        by: &Standing,
        who: &Standing,
        reason: &Reason,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Error> {
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

    pub(super) fn end(&self, of: u32, departure: &Departure) -> Vec<Event> {
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
pub(super) fn role_first(who: &Standing) -> Result<(), Error> {
    if who.role() > Some(Role::Member) { Err(Error::HoldsRole) } else { Ok(()) }
}

fn personal(reason: Option<&Reason>) -> Option<Personal<String>> {
    reason.map(|reason| reason.as_str().to_owned().into())
}
