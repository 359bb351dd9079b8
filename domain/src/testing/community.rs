//! A group and the people in it, held in memory: gives standings, and runs commands with what follows from them.
#![expect(clippy::needless_pass_by_value, reason = "a test reads better without ampersands")]

use crate::access::{Privacy, Role, Standing};
use crate::flow::{FollowUp, follow_ups};
use crate::group::{self, Group, Policy};
use crate::membership::{self, Membership, Way};
use crate::stance::Rights;
use crate::testing::{Given, NOON, assert_owned, communal, given_state, person};
use crate::{Command, Context, Decider, Event, GroupId, PersonId, Rejection, Span, StreamName, Timestamp};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// The group of every [`Community`].
pub const GROUP: GroupId = GroupId(Uuid::from_u128(0x6_2017));

/// Who founded every [`Community`].
pub const FOUNDER: PersonId = person(1);

/// Asks something of the [`GROUP`].
pub fn of_group(command: group::Command) -> FollowUp {
    FollowUp::new::<Group>(group::stream(GROUP), command)
}

/// Asks something of the membership of `person` in the [`GROUP`].
pub fn of_member(person: PersonId, command: membership::Command) -> FollowUp {
    FollowUp::new::<Membership>(membership::stream(GROUP, person), command)
}

/// The streams of one group, folded, and a clock.
#[derive(Debug, Clone)]
pub struct Community {
    /// The fold of the group's stream.
    pub group: Group,
    /// The folds of the memberships' streams.
    pub memberships: BTreeMap<PersonId, Membership>,
    /// The moment.
    pub now: Timestamp,
}

impl Community {
    /// Founded by [`FOUNDER`] at [`NOON`].
    pub fn founded(privacy: Privacy, membership: Policy) -> Self {
        let nothing = Self { group: Group::default(), memberships: BTreeMap::new(), now: NOON };
        let created = group::Event::Created { name: communal("Alpine Club"), description: None, privacy, membership, founder: FOUNDER };
        nothing.in_group(created).about(FOUNDER, membership::Event::Joined { episode: 1, era: 0, way: Way::Founding, admitted_by: None })
    }

    /// The same some time later.
    #[must_use]
    pub fn later(mut self, span: Span) -> Self {
        self.now = self.now.plus(span);
        self
    }

    /// The same after this happened to the group.
    #[must_use]
    pub fn in_group(mut self, event: group::Event) -> Self {
        self.group = self.group.evolve(&event, self.now);
        self
    }

    /// The same after this happened to `person` in it.
    #[must_use]
    pub fn about(mut self, person: PersonId, event: membership::Event) -> Self {
        let membership = self.memberships.entry(person).or_default();
        *membership = std::mem::take(membership).evolve(&event, self.now);
        self
    }

    /// The same with `person` as a member, from now on.
    #[must_use]
    pub fn with_member(self, person: PersonId) -> Self {
        let episode = self.membership(person).episodes().len();
        let (episode, era) = (u32::try_from(episode).unwrap_or(u32::MAX) + 1, self.group.era());
        self.about(person, membership::Event::Joined { episode, era, way: Way::Joining, admitted_by: None })
    }

    /// The same with `person` as a member who may be given a role.
    #[must_use]
    pub fn with_bound(self, person: PersonId) -> Self {
        let joined = self.with_member(person);
        let episode = joined.membership(person).present().map_or(0, |episode| episode.number);
        joined.about(person, membership::Event::Bound { episode })
    }

    /// The same with `person` as a member who holds a role.
    #[must_use]
    pub fn with(self, person: PersonId, role: Role) -> Self {
        let joined = self.with_bound(person);
        let episode = joined.membership(person).present().map_or(0, |episode| episode.number);
        joined.in_group(group::Event::RoleGiven { person, role, episode })
    }

    /// The membership of `person`.
    pub fn membership(&self, person: PersonId) -> Membership {
        self.memberships.get(&person).cloned().unwrap_or_default()
    }

    /// The standing of `person` now.
    pub fn standing(&self, person: PersonId) -> Standing {
        let membership = self.membership(person);
        let inviter = membership.invitation().map(|invitation| self.membership(invitation.inviter));
        let standing = Standing::new(Some(person), GROUP, Arc::new(self.group.clone()), Arc::new(membership), self.now);
        match inviter {
            Some(inviter) => standing.invited_by(Arc::new(inviter)),
            None => standing,
        }
    }

    /// The standing of somebody who is not signed in.
    pub fn anonymous(&self) -> Standing {
        Standing::new(None, GROUP, Arc::new(self.group.clone()), Arc::default(), self.now)
    }

    /// Decide on the group.
    pub fn given_group(&self) -> Given<Group> {
        given_state(self.group.clone(), group::stream(GROUP), None, self.now)
    }

    /// Decide on the membership of `person`.
    pub fn given(&self, person: PersonId) -> Given<Membership> {
        given_state(self.membership(person), membership::stream(GROUP, person), None, self.now)
    }

    /// Runs a command and what follows from its events; the events of its own stream, or the code of the refusal.
    pub fn ask(&mut self, asked: &FollowUp) -> Result<Vec<Event>, &'static str> {
        let mut asked = asked.clone();
        self.renew(&mut asked);
        let stream = &asked.stream;
        let events: Vec<Event> = match (&asked.command, membership::ids(stream)) {
            (Command::Group(command), _) => {
                let events = self.group.decide(command, &self.context(stream, Some(FOUNDER))).map_err(|refusal| refusal.code())?;
                assert_owned::<Group>(&events, stream, None, self.now);
                self.group = events.iter().fold(std::mem::take(&mut self.group), |group, event| group.evolve(event, self.now));
                events.into_iter().map(Event::from).collect()
            }
            (Command::Membership(command), Some((_, person))) => {
                let before = self.membership(person);
                let events = before.decide(command, &self.context(stream, None)).map_err(|refusal| refusal.code())?;
                assert_owned::<Membership>(&events, stream, None, self.now);
                self.memberships.insert(person, events.iter().fold(before, |membership, event| membership.evolve(event, self.now)));
                events.into_iter().map(Event::from).collect()
            }
            _ => return Err("not_here"),
        };
        for next in events.iter().flat_map(|event| follow_ups(stream, event)) {
            let followed = self.ask(&next);
            assert!(followed.is_ok(), "{next:?} follows from what was decided and is refused: {followed:?}");
        }
        Ok(events)
    }

    /// As the executor does before every decision.
    fn renew(&self, asked: &mut FollowUp) {
        let rights = match &mut asked.command {
            Command::Group(command) => Group::rights(command),
            Command::Membership(command) => Membership::rights(command),
            _ => vec![],
        };
        for rights in rights {
            if let Rights::Group(standing) = rights
                && let Some(person) = standing.person()
            {
                *standing = self.standing(person);
            }
        }
    }

    fn context<'a>(&self, stream: &'a StreamName, actor: Option<PersonId>) -> Context<'a> {
        Context { stream, now: self.now, actor, command_id: Uuid::from_u128(0xC0) }
    }
}
