//! Any order: what several people ask for at once, step by step, each on a view of the other streams that may be old.
//!
//! A step decides on its own stream as it stands, for the append proves that; what it knows of other streams is as old as the
//! moment at which its command was made. Follow-ups come whenever they come, but they come.

use super::*;
use crate::access::{Privacy, Role, Standing};
use crate::group::{Departure, Group, Policy};
use crate::membership::Membership;
use crate::stance::Rights;
use crate::testing::{Community, FOUNDER, of_group, of_member, person, personal};
use crate::{Context, PersonId, Reason, group, membership};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

const BEN: PersonId = person(2);
const CLEO: PersonId = person(3);
const PEOPLE: [PersonId; 3] = [FOUNDER, BEN, CLEO];

/// What somebody asks for, to whom.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Leave(PersonId),
    Give(PersonId, PersonId, Role),
    Remove(PersonId, PersonId),
    Ban(PersonId, PersonId),
    Join(PersonId),
}

fn wish() -> impl Strategy<Value = Wish> {
    let who = || prop::sample::select(PEOPLE.to_vec());
    let role = prop::sample::select(vec![Role::Admin, Role::Admin, Role::Moderator, Role::Member]);
    prop_oneof![
        3 => who().prop_map(Wish::Leave),
        4 => (who(), who(), role).prop_map(|(by, on, role)| Wish::Give(by, on, role)),
        1 => (who(), who()).prop_map(|(by, on)| Wish::Remove(by, on)),
        1 => (who(), who()).prop_map(|(by, on)| Wish::Ban(by, on)),
        1 => who().prop_map(Wish::Join),
    ]
}

/// The commands a wish comes to, as the API makes them from what it sees now.
fn commands(club: &Community, wish: Wish) -> Vec<FollowUp> {
    use membership::Command as M;
    let standing = |who| club.standing(who);
    let on = |who, command| of_member(who, command);
    let ending = |by, who, departure, command| {
        let by_group = club.group.holds_role(who) || club.membership(who).is_bound();
        let depart = by_group.then(|| of_group(group::Command::Depart { by: standing(by), who: standing(who), departure }));
        depart.into_iter().chain([on(who, command)]).collect()
    };
    match wish {
        Wish::Leave(who) => ending(who, who, Departure::Left, M::LeaveGroup { by: standing(who) }),
        Wish::Join(who) => vec![on(who, M::JoinGroup { by: standing(who) })],
        Wish::Remove(by, who) => {
            let command = M::RemoveMember { by: standing(by), who: standing(who), reason: None };
            ending(by, who, Departure::Removed { reason: None }, command)
        }
        Wish::Ban(by, who) => {
            let departure = Departure::Banned { reason: personal("threw stones"), until: None };
            let reason = Reason::parse("threw stones").unwrap();
            let command = M::BanMember { by: standing(by), who: standing(who), reason, until: None, replace: false };
            ending(by, who, departure, command)
        }
        Wish::Give(by, to, role) => {
            let bind = (role != Role::Member).then(|| on(to, M::BindMember { by: Some(standing(by)) }));
            let give = of_group(group::Command::GiveRole { by: standing(by), to: standing(to), role });
            bind.into_iter().chain([give]).collect()
        }
    }
}

/// One append: what it led to in its stream, and what follows in others.
fn step(club: &mut Community, mut asked: FollowUp) -> Option<(bool, Vec<FollowUp>)> {
    let now = club.now;
    let stream = asked.stream.clone();
    let context = Context { stream: &stream, now, actor: None, command_id: Uuid::nil() };
    let events: Vec<Event> = match (&mut asked.command, membership::ids(&stream)) {
        (Command::Group(command), _) => {
            let own = Arc::new(club.group.clone());
            renew(Group::rights(command), |standing| {
                let membership = Arc::new(standing.membership().clone());
                standing.renew(own.clone(), membership, None, crate::access::Unread::NOTHING, now);
            });
            let events = club.group.decide(command, &context).ok()?;
            club.group = events.iter().fold(std::mem::take(&mut club.group), |group, event| group.evolve(event, now));
            events.into_iter().map(Event::from).collect()
        }
        (Command::Membership(command), Some((_, person))) => {
            let own = club.membership(person);
            renew(Membership::rights(command), |standing| {
                if standing.person() == Some(person) {
                    let group = Arc::new(standing.group().clone());
                    standing.renew(group, Arc::new(own.clone()), None, crate::access::Unread::NOTHING, now);
                }
            });
            let events = own.decide(command, &context).ok()?;
            club.memberships.insert(person, events.iter().fold(own, |membership, event| membership.evolve(event, now)));
            events.into_iter().map(Event::from).collect()
        }
        _ => unreachable!("there are a group and its people here"),
    };
    let follow = events.iter().flat_map(|event| follow_ups(&stream, event)).collect();
    Some((!events.is_empty(), follow))
}

fn renew(rights: Vec<Rights<'_>>, with: impl Fn(&mut Standing)) {
    for rights in rights {
        if let Rights::Group(standing) = rights {
            with(standing);
        }
    }
}

/// Somebody's wish on its way.
struct Asker {
    wish: Wish,
    commands: Option<Vec<FollowUp>>,
}

impl Asker {
    /// Sees how things are, or takes the next step on what was seen; whether there is more to do.
    fn go_on(&mut self, club: &mut Community, follow: &mut Vec<FollowUp>) -> bool {
        let Some(commands) = &mut self.commands else {
            self.commands = Some(commands(club, self.wish));
            return true;
        };
        if commands.is_empty() {
            return false;
        }
        let next = commands.remove(0);
        let makes_ready = matches!(next.command, Command::Membership(membership::Command::BindMember { .. }));
        match step(club, next) {
            Some((changed, more)) => {
                follow.extend(more);
                !changed || makes_ready
            }
            None => false,
        }
    }
}

fn admins(club: &Community) -> usize {
    PEOPLE.iter().filter(|who| club.standing(**who).role() == Some(Role::Admin)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_order_of_what_people_ask_for_leaves_a_group_without_an_admin(
        wishes in prop::collection::vec(wish(), 2..6),
        order in prop::collection::vec(0..8_usize, 0..60),
    ) {
        let mut club = Community::founded(Privacy::Public, Policy::Open).with_member(BEN).with(CLEO, Role::Moderator);
        let mut askers: Vec<Asker> = wishes.into_iter().map(|wish| Asker { wish, commands: None }).collect();
        let mut follow = vec![];
        // In any order first, then whatever is left.
        for pick in order.into_iter().chain([0; 60]) {
            let (people, waiting) = (askers.len(), follow.len());
            match pick % (people + waiting).max(1) {
                n if n < people => {
                    let more = askers[n].go_on(&mut club, &mut follow);
                    if !more {
                        askers.remove(n);
                    }
                }
                n if n < people + waiting => {
                    let next = follow.remove(n - people);
                    follow.extend(step(&mut club, next).map(|(_, more)| more).unwrap_or_default());
                }
                _ => {}
            }
        }
        prop_assert!(askers.is_empty() && follow.is_empty());
        prop_assert!(admins(&club) > 0, "nobody is admin: {:?}", club.group);
        for who in PEOPLE {
            prop_assert!(club.membership(who).present().is_some() || !club.group.holds_role(who), "{who} holds a role and is no member");
        }
    }
}
