//! How memberships end: leaving, removal, bans, and what follows from the group's stream.

use super::*;
use crate::access::Denied;
use crate::group::Policy;

#[test]
fn a_member_leaves_once_and_may_come_back_as_a_new_episode() {
    let open = of(Privacy::Public, Policy::Open)
        .about(ANN, joined(Way::Joining, None))
        .in_group(crate::group::Event::PrivacyChanged { privacy: Privacy::Closed });
    open.given(ANN).when(leave(&open, ANN)).then([Event::Left { episode: 1 }]);
    let left = open.later(Span::days(1)).about(ANN, Event::Left { episode: 1 });
    left.given(ANN).when(leave(&left, ANN)).rejected(Error::NotAMember);
    left.given(ANN).when(join(&left)).then([Event::Joined { episode: 2, era: 1, way: Way::Joining, admitted_by: None }]);
    let back = left.later(Span::days(1)).with_member(ANN);
    let day = |n| NOON.plus(Span::days(n));
    let first = Episode { number: 1, era: 0, from: NOON, until: Some(day(1)) };
    assert_eq!(back.membership(ANN).episodes(), [first, Episode { number: 2, era: 1, from: day(2), until: None }]);
}

#[test]
fn a_removed_member_may_come_back_and_is_not_removed_twice() {
    let club = club();
    let removed = Event::Removed { episode: 1, reason: Some(personal("threw stones")) };
    club.given(MEMBER).when(remove(&club, MOD, MEMBER)).then([removed.clone()]);
    let gone = club.about(MEMBER, removed);
    gone.given(MEMBER).when(remove(&gone, MOD, MEMBER)).rejected(Error::NotAMember);
    gone.given(MEMBER).when(Command::JoinGroup { by: gone.standing(MEMBER) }).then([Event::Requested]);
}

#[test]
fn only_moderators_remove_ban_and_unban_and_never_themselves() {
    let club = club();
    for (who, denied) in [(MEMBER, Denied::ModeratorsOnly), (ANN, Denied::ModeratorsOnly)] {
        club.given(MOD).when(remove(&club, who, MOD)).rejected(denied.into());
        club.given(MOD).when(ban(&club, who, MOD, None)).rejected(denied.into());
        club.given(MOD).when(unban(&club, who)).rejected(denied.into());
    }
    club.given(MOD).when(remove(&club, MOD, MOD)).rejected(Error::NotYourself);
    club.given(MOD).when(ban(&club, MOD, MOD, None)).rejected(Error::NotYourself);
}

#[test]
fn moderators_act_not_against_admins() {
    let club = club();
    club.given(FOUNDER).when(remove(&club, MOD, FOUNDER)).rejected(Error::NotAgainstAdmins);
    club.given(FOUNDER).when(ban(&club, MOD, FOUNDER, None)).rejected(Error::NotAgainstAdmins);
}

#[test]
fn who_holds_a_role_departs_by_way_of_the_group_s_stream() {
    let club = club();
    club.given(FOUNDER).when(leave(&club, FOUNDER)).rejected(Error::HoldsRole);
    club.given(MOD).when(leave(&club, MOD)).rejected(Error::HoldsRole);
    club.given(MOD).when(remove(&club, OTHER_MOD, MOD)).rejected(Error::HoldsRole);
    club.given(MOD).when(ban(&club, OTHER_MOD, MOD, None)).rejected(Error::HoldsRole);
}

#[test]
fn a_ban_takes_membership_request_and_invitation_with_it() {
    let club = club();
    club.given(MEMBER).when(ban(&club, MOD, MEMBER, None)).then([banned(Some(1), None)]);
    club.given(ANN).when(ban(&club, MOD, ANN, None)).then([banned(None, None)]);
    let after = club.about(ANN, Event::Requested).about(ANN, invited(MEMBER)).about(ANN, banned(None, None));
    let membership = after.membership(ANN);
    assert_eq!((membership.requested(), membership.invitation(), membership.status(NOON)), (false, None, "banned"));
    after.given(ANN).when(approve(&after, MOD)).rejected(Error::NoRequest);
}

#[test]
fn every_way_in_is_refused_to_the_banned() {
    for (privacy, policy, denied) in [
        (Privacy::Public, Policy::Open, Denied::Banned),
        (Privacy::Closed, Policy::Request, Denied::Banned),
        (Privacy::Secret, Policy::InviteOnly, Denied::Unknown),
    ] {
        let club = of(privacy, policy).about(ANN, banned(None, None));
        for command in [join(&club), accept(&club)] {
            club.given(ANN).when(command).rejected(denied.into());
        }
        club.given(ANN).when(invite(&club, FOUNDER)).rejected(Error::PersonBanned);
    }
}

#[test]
fn a_ban_ends_strictly_in_the_future_and_by_the_clock() {
    let club = of(Privacy::Public, Policy::Open);
    let hour = NOON.plus(Span::hours(1));
    club.given(ANN).when(ban(&club, MOD, ANN, Some(NOON))).rejected(Error::UntilInPast);
    club.given(ANN).when(ban(&club, MOD, ANN, Some(NOON.plus(Span::micros(1))))).then([banned(None, Some(NOON.plus(Span::micros(1))))]);
    let until = |now: Timestamp| club.clone().about(ANN, banned(None, Some(hour))).later(now.since(NOON));
    let last = until(hour.minus(Span::micros(1)));
    last.given(ANN).when(join(&last)).rejected(Denied::Banned.into());
    assert_eq!(last.membership(ANN).status(last.now), "banned");
    let over = until(hour);
    over.given(ANN).when(join(&over)).then([joined(Way::Joining, None)]);
    over.given(ANN).when(invite(&over, MEMBER)).then([invited(MEMBER)]);
    over.given(ANN).when(unban(&over, MOD)).rejected(Error::NotBanned);
    assert_eq!(over.membership(ANN).status(over.now), "none");
}

#[test]
fn the_same_ban_again_is_silent_and_another_one_replaces_it() {
    let hour = Some(NOON.plus(Span::hours(1)));
    let club = club().about(ANN, banned(None, hour));
    club.given(ANN).when(ban(&club, MOD, ANN, hour)).then_nothing();
    club.given(ANN).when(ban(&club, MOD, ANN, None)).then([banned(None, None)]);
}

#[test]
fn an_unbanned_person_may_come_back() {
    let banned = club().about(ANN, banned(None, None));
    banned.given(ANN).when(unban(&banned, MOD)).then([Event::Unbanned]);
    let lifted = banned.about(ANN, Event::Unbanned);
    lifted.given(ANN).when(unban(&lifted, MOD)).rejected(Error::NotBanned);
    lifted.given(ANN).when(join(&lifted)).then([Event::Requested]);
}

// What follows from the group's stream.

#[test]
fn a_membership_ends_as_the_departure_says_and_once() {
    let end = |departure: &Departure| Command::EndMembership { episode: 1, departure: departure.clone() };
    let removed = Departure::Removed { reason: None };
    let by_ban = Departure::Banned { reason: personal("threw stones"), until: None };
    let ends = [
        (Departure::Left, Event::Left { episode: 1 }),
        (removed, Event::Removed { episode: 1, reason: None }),
        (by_ban, banned(Some(1), None)),
    ];
    for (departure, expected) in ends {
        let member = [joined(Way::Joining, None)];
        given::<Membership>(member.clone()).when(end(&departure)).then([expected.clone()]);
        given::<Membership>(member.into_iter().chain([expected])).when(end(&departure)).then_nothing();
    }
}

#[test]
fn a_belated_departure_leaves_a_later_episode_alone_unless_it_is_a_ban() {
    let back = || club().with_member(ANN).about(ANN, Event::Left { episode: 1 }).with_member(ANN);
    let end = |departure| Command::EndMembership { episode: 1, departure };
    back().given(ANN).when(end(Departure::Left)).then_nothing();
    back().given(ANN).when(end(Departure::Removed { reason: None })).then_nothing();
    let by_ban = Departure::Banned { reason: personal("threw stones"), until: None };
    back().given(ANN).when(end(by_ban)).then([banned(Some(2), None)]);
}
