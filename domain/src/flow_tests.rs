//! A small world: one group, its people, and whatever they ask for, with all that follows.

use super::*;
use crate::access::{Privacy, Role, Standing};
use crate::group::{Changes, Departure, Event as GroupEvent, Policy};
use crate::membership::{Event as MembershipEvent, Way};
use crate::testing::{Community, FOUNDER, GROUP, NOON, communal, of_group, of_member, person, personal};
use crate::{Comment, Name, PersonId, Reason, Span, group, membership};
use proptest::prelude::*;

const BEN: PersonId = person(2);

fn follow(stream: &StreamName, event: impl Into<Event>) -> Vec<String> {
    follow_ups(stream, &event.into()).iter().map(|next| format!("{next:?}")).collect()
}

#[test]
fn the_founder_becomes_a_member_when_the_group_is_created() {
    let mut nothing = Community { group: group::Group::default(), memberships: std::collections::BTreeMap::new(), now: NOON };
    let (name, privacy, membership) = (Name::parse("Alpine Club").unwrap(), Privacy::Secret, Policy::InviteOnly);
    let create = group::Command::CreateGroup { name, description: Comment::parse("Walks").ok(), privacy, membership };
    assert_eq!(nothing.ask(&of_group(create)).map(|events| events.len()), Ok(1));
    assert_eq!(nothing.standing(FOUNDER).role(), Some(Role::Admin));
}

#[test]
fn an_admin_leaves_by_giving_up_the_role_first() {
    let mut club = Community::founded(Privacy::Closed, Policy::Request).with(BEN, Role::Admin);
    let leave = |club: &Community| depart(club, FOUNDER, FOUNDER, Departure::Left);
    assert!(club.ask(&leave(&club)).is_ok());
    assert!(club.membership(FOUNDER).present().is_none() && !club.group.holds_role(FOUNDER));
    assert_eq!(club.ask(&depart(&club, BEN, BEN, Departure::Left)), Err("last_admin"));
}

#[test]
fn a_ban_takes_the_role_and_then_the_membership() {
    let mut club = Community::founded(Privacy::Closed, Policy::Request).with(BEN, Role::Moderator);
    let ban = depart(&club, FOUNDER, BEN, banned(None));
    assert!(club.ask(&ban).is_ok());
    assert_eq!((club.membership(BEN).status(club.now), club.group.holds_role(BEN)), ("banned", false));
}

#[test]
fn a_role_given_while_its_holder_was_leaving_does_not_outlive_the_membership() {
    let mut club = Community::founded(Privacy::Closed, Policy::Request).with_member(BEN);
    // As an older version gave roles: to whoever was a member, bound or not.
    club = club.in_group(GroupEvent::RoleGiven { person: BEN, role: Role::Admin, episode: 1 });
    let left = MembershipEvent::Left { episode: 1 };
    club = club.about(BEN, left.clone());
    for next in follow_ups(&membership::stream(GROUP, BEN), &left.into()) {
        assert!(club.ask(&next).is_ok());
    }
    assert!(!club.group.holds_role(BEN));
}

#[test]
fn a_departure_is_completed_for_the_episode_it_was_about() {
    let about = GroupEvent::RoleWithdrawn { person: BEN, episode: 1, departure: Some(Departure::Left) };
    let [next] = &follow_ups(&group::stream(GROUP), &about.into())[..] else { panic!("one follow-up") };
    assert_eq!(next.stream, membership::stream(GROUP, BEN));
    let Command::Membership(command) = &next.command else { panic!("for a membership") };
    assert!(matches!(command, membership::Command::EndMembership { episode: 1, departure: Departure::Left }));
}

#[test]
fn nothing_follows_from_what_stays_in_its_stream() {
    let membership = membership::stream(GROUP, BEN);
    assert!(follow(&group::stream(GROUP), GroupEvent::RoleWithdrawn { person: BEN, episode: 1, departure: None }).is_empty());
    assert!(follow(&group::stream(GROUP), GroupEvent::Renamed { name: communal("Other") }).is_empty());
    assert!(follow(&membership, MembershipEvent::Requested).is_empty());
    assert!(follow(&membership, MembershipEvent::Joined { episode: 1, era: 0, way: Way::Joining, admitted_by: None }).is_empty());
    let outsider = MembershipEvent::Banned { episode: None, reason: personal("spam"), until: None };
    assert!(follow(&membership, outsider).is_empty());
    assert!(follow(&StreamName::stored("group-of-nobody"), GroupEvent::Renamed { name: communal("Other") }).is_empty());
    assert!(follow(&StreamName::stored("membership-x.y"), MembershipEvent::Left { episode: 1 }).is_empty());
}

// Any world.

fn banned(until: Option<crate::Timestamp>) -> Departure {
    Departure::Banned { reason: personal("threw stones"), until }
}

fn depart(club: &Community, by: PersonId, who: PersonId, departure: Departure) -> FollowUp {
    of_group(group::Command::Depart { by: club.standing(by), who: club.standing(who), departure })
}

/// What somebody asks for; `on` whom is often themselves.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Invite,
    Accept,
    Decline,
    Revoke,
    Join,
    Approve,
    Refuse,
    Withdraw,
    Leave,
    Remove,
    Ban(Option<i64>),
    Unban,
    Give(Role),
    Become(Privacy),
    Grow(Policy),
}

fn wish() -> impl Strategy<Value = Wish> {
    use Wish::{Accept, Approve, Ban, Become, Decline, Give, Grow, Invite, Join, Leave, Refuse, Remove, Revoke, Unban, Withdraw};
    let common = vec![
        Invite,
        Accept,
        Decline,
        Revoke,
        Join,
        Join,
        Join,
        Approve,
        Approve,
        Refuse,
        Withdraw,
        Leave,
        Leave,
        Remove,
        Ban(None),
        Unban,
        Give(Role::Member),
        Give(Role::Moderator),
        Give(Role::Admin),
        Give(Role::Admin),
        Become(Privacy::Public),
        Become(Privacy::Closed),
        Become(Privacy::Secret),
        Grow(Policy::Open),
        Grow(Policy::Request),
        Grow(Policy::InviteOnly),
    ];
    prop_oneof![9 => prop::sample::select(common), 1 => (-1..4_i64).prop_map(|hours| Ban(Some(hours)))]
}

/// The commands a wish comes to, in order: where a role is at stake, the group's stream decides first.
fn commands(club: &Community, by: PersonId, on: PersonId, wish: Wish) -> Vec<FollowUp> {
    use membership::Command as M;
    let standing = |who| -> Standing { club.standing(who) };
    let reason = || Reason::parse("threw stones").unwrap();
    let until = |hours: Option<i64>| hours.map(|hours| club.now.plus(Span::hours(hours)));
    let own = |command| vec![of_member(by, command)];
    let other = |command| vec![of_member(on, command)];
    let ending = |who, departure, command| {
        let by_group = club.group.holds_role(who) || club.membership(who).is_bound();
        let role = by_group.then(|| depart(club, by, who, departure));
        role.into_iter().chain([of_member(who, command)]).collect()
    };
    let change = |changes| vec![of_group(group::Command::ChangeGroup { by: standing(by), changes })];
    match wish {
        Wish::Invite => other(M::InviteMember { by: standing(by), who: standing(on), counted: true }),
        Wish::Accept => own(M::AcceptInvitation { by: standing(by) }),
        Wish::Decline => own(M::DeclineInvitation { by: standing(by) }),
        Wish::Revoke => other(M::RevokeInvitation { by: standing(by) }),
        Wish::Join => own(M::JoinGroup { by: standing(by) }),
        Wish::Approve => other(M::ApproveRequest { by: standing(by) }),
        Wish::Refuse => other(M::RefuseRequest { by: Some(standing(by)), reason: None }),
        Wish::Withdraw => own(M::WithdrawRequest { by: standing(by) }),
        Wish::Leave => ending(by, Departure::Left, M::LeaveGroup { by: standing(by) }),
        Wish::Remove => {
            let command = M::RemoveMember { by: standing(by), who: standing(on), reason: None };
            ending(on, Departure::Removed { reason: None }, command)
        }
        Wish::Ban(hours) => {
            let command = M::BanMember { by: standing(by), who: standing(on), reason: reason(), until: until(hours), replace: false };
            ending(on, banned(until(hours)), command)
        }
        Wish::Unban => other(M::UnbanMember { by: standing(by) }),
        Wish::Give(role) => {
            let bind = (role != Role::Member).then(|| of_member(on, M::BindMember { by: Some(standing(by)) }));
            let give = of_group(group::Command::GiveRole { by: standing(by), to: standing(on), role });
            bind.into_iter().chain([give]).collect()
        }
        Wish::Become(privacy) => change(Changes { privacy: Some(privacy), ..Changes::default() }),
        Wish::Grow(membership) => change(Changes { membership: Some(membership), ..Changes::default() }),
    }
}

/// Asks for it as the API does: what the group's stream decided or refused is the answer, else the membership's.
fn fulfil(club: &mut Community, asked: &[FollowUp]) -> Result<Vec<Event>, &'static str> {
    for command in asked {
        let events = club.ask(command)?;
        // Whoever is given a role is bound first.
        let makes_ready = matches!(command.command, Command::Membership(membership::Command::BindMember { .. }));
        if !events.is_empty() && !makes_ready {
            return Ok(events);
        }
    }
    Ok(vec![])
}

fn check(club: &Community) -> Result<(), TestCaseError> {
    let admins = club.memberships.keys().filter(|who| club.standing(**who).role() == Some(Role::Admin)).count();
    prop_assert!(admins > 0, "nobody is admin");
    if club.group.privacy() == Privacy::Secret {
        prop_assert_eq!(club.group.settings().membership, Policy::InviteOnly);
    }
    for (who, membership) in &club.memberships {
        let present = membership.present().is_some();
        prop_assert!(!(present && membership.banned(club.now)), "{who} is member and banned");
        prop_assert!(!(present && (membership.requested() || membership.invitation().is_some())), "{who} is member and waiting");
        prop_assert!(present || !club.group.holds_role(*who), "{who} holds a role and is no member");
        let episodes = membership.episodes();
        prop_assert!(episodes.iter().zip(1..).all(|(episode, number)| episode.number == number));
        prop_assert!(episodes.iter().all(|episode| episode.until.is_none_or(|until| episode.from <= until)));
        prop_assert!(
            episodes.windows(2).all(|pair| pair[0].until.is_some_and(|until| until <= pair[1].from) && pair[0].era <= pair[1].era)
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_people_ask_for_a_group_keeps_its_shape(
        policy in prop::sample::select(vec![Policy::Open, Policy::Request]),
        wishes in prop::collection::vec((1..6_u128, 1..6_u128, wish(), 0..2_i64), 1..60),
    ) {
        let mut club = Community::founded(Privacy::Public, policy);
        for (by, on, wish, hours) in wishes {
            club = club.later(Span::hours(hours));
            let asked = commands(&club, person(by), person(on), wish);
            if fulfil(&mut club, &asked).is_ok() {
                check(&club)?;
                // The same command again, as it was and on a fresh standing: nothing, or a refusal.
                let before = (club.group.clone(), club.memberships.clone());
                let mut as_it_was = fulfil(&mut club.clone(), &asked).unwrap_or_default();
                as_it_was.retain(|event| !matches!(event, Event::Membership(MembershipEvent::Invited { may_approve: false, .. })));
                prop_assert!(as_it_was.is_empty(), "{wish:?}: {as_it_was:?}");
                let afresh = commands(&club, person(by), person(on), wish);
                let mut again = fulfil(&mut club, &afresh).unwrap_or_default();
                // Who may not see the queues is not told whether anything came of it.
                again.retain(|event| !matches!(event, Event::Membership(MembershipEvent::Invited { may_approve: false, .. })));
                prop_assert!(again.is_empty(), "{wish:?}: {again:?}");
                prop_assert_eq!(before.0, club.group.clone());
            }
        }
    }
}
