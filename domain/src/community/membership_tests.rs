//! Decisions of a membership.

#[path = "membership_departure_tests.rs"]
mod departures;

use super::*;
use crate::Rejection;
use crate::Span;
use crate::access::Privacy;
use crate::access::{Denied, Role};
use crate::group::Policy;
use crate::testing::{Community, FOUNDER, NOON, given, person, personal, some_stream};
use proptest::prelude::*;
use serde_json::json;

const MOD: PersonId = person(2);
const OTHER_MOD: PersonId = person(3);
const MEMBER: PersonId = person(4);
/// Whose stream it is.
const ANN: PersonId = person(9);

/// A closed group by request with a founder, two moderators and a member; Ann is a stranger to it.
fn club() -> Community {
    of(Privacy::Closed, Policy::Request)
}

fn of(privacy: Privacy, policy: Policy) -> Community {
    Community::founded(privacy, policy).with(MOD, Role::Moderator).with(OTHER_MOD, Role::Moderator).with_member(MEMBER)
}

fn invited(inviter: PersonId) -> Event {
    Event::Invited { inviter, may_approve: inviter != MEMBER }
}

fn joined(way: Way, admitted_by: Option<PersonId>) -> Event {
    Event::Joined { episode: 1, era: 0, way, admitted_by }
}

fn refused(by: Option<PersonId>) -> Event {
    Event::RequestRefused { decided_by: by, reason: None }
}

fn reason() -> Reason {
    Reason::parse("threw stones").unwrap()
}

fn banned(episode: Option<u32>, until: Option<Timestamp>) -> Event {
    Event::Banned { episode, reason: personal("threw stones"), until }
}

fn invite(club: &Community, by: PersonId) -> Command {
    invite_whom(club, by, ANN)
}
fn invite_whom(club: &Community, by: PersonId, who: PersonId) -> Command {
    Command::InviteMember { by: club.standing(by), who: club.standing(who), counted: true }
}
fn accept(club: &Community) -> Command {
    Command::AcceptInvitation { by: club.standing(ANN) }
}
fn decline(club: &Community) -> Command {
    Command::DeclineInvitation { by: club.standing(ANN) }
}
fn revoke(club: &Community, by: PersonId) -> Command {
    Command::RevokeInvitation { by: club.standing(by) }
}
fn join(club: &Community) -> Command {
    Command::JoinGroup { by: club.standing(ANN) }
}
fn approve(club: &Community, by: PersonId) -> Command {
    Command::ApproveRequest { by: club.standing(by) }
}
fn refuse(club: &Community, by: PersonId) -> Command {
    Command::RefuseRequest { by: Some(club.standing(by)), reason: None }
}
fn withdraw(club: &Community) -> Command {
    Command::WithdrawRequest { by: club.standing(ANN) }
}
fn leave(club: &Community, who: PersonId) -> Command {
    Command::LeaveGroup { by: club.standing(who) }
}
fn remove(club: &Community, by: PersonId, who: PersonId) -> Command {
    Command::RemoveMember { by: club.standing(by), who: club.standing(who), reason: Some(reason()) }
}
fn ban(club: &Community, by: PersonId, who: PersonId, until: Option<Timestamp>) -> Command {
    Command::BanMember { by: club.standing(by), who: club.standing(who), reason: reason(), until, replace: false }
}
fn unban(club: &Community, by: PersonId) -> Command {
    Command::UnbanMember { by: club.standing(by) }
}

#[test]
fn the_founder_is_a_member_from_the_first_and_once() {
    given::<Membership>([]).when(Command::FoundGroup).then([joined(Way::Founding, None)]);
    given::<Membership>([joined(Way::Founding, None)]).when(Command::FoundGroup).then_nothing();
}

// Invitations.

#[test]
fn an_invited_person_accepts_and_is_a_member() {
    let club = club();
    club.given(ANN).when(invite(&club, MEMBER)).then([invited(MEMBER)]);
    let club = club.about(ANN, invited(MEMBER));
    club.given(ANN).when(accept(&club)).then([joined(Way::Invitation, Some(MEMBER))]);
    let club = club.about(ANN, joined(Way::Invitation, Some(MEMBER)));
    club.given(ANN).when(accept(&club)).then_nothing();
    assert!(club.membership(ANN).invitation().is_none());
}

#[test]
fn an_invitation_is_declined_or_revoked_once() {
    let open = club().about(ANN, invited(MEMBER));
    open.given(ANN).when(decline(&open)).then([Event::InvitationDeclined]);
    for who in [MEMBER, MOD, FOUNDER] {
        open.given(ANN).when(revoke(&open, who)).then([Event::InvitationRevoked]);
    }
    for gone in [Event::InvitationDeclined, Event::InvitationRevoked] {
        let gone = open.clone().about(ANN, gone);
        gone.given(ANN).when(accept(&gone)).rejected(Error::NoInvitation);
        gone.given(ANN).when(decline(&gone)).rejected(Error::NoInvitation);
        gone.given(ANN).when(revoke(&gone, MOD)).rejected(Error::NoInvitation);
        gone.given(ANN).when(invite(&gone, MEMBER)).then([invited(MEMBER)]);
    }
}

#[test]
fn a_member_revokes_no_invitation_of_somebody_else() {
    let open = club().about(ANN, invited(MOD));
    open.given(ANN).when(revoke(&open, MEMBER)).rejected(Denied::ModeratorsOnly.into());
}

#[test]
fn a_second_invitation_counts_only_if_it_carries_more_weight() {
    let by_member = club().about(ANN, invited(MEMBER));
    by_member.given(ANN).when(invite(&by_member, MEMBER)).then_nothing();
    by_member.given(ANN).when(invite(&by_member, MOD)).then([invited(MOD)]);
    let by_moderator = club().about(ANN, invited(MOD));
    for who in [MOD, FOUNDER] {
        by_moderator.given(ANN).when(invite(&by_moderator, who)).then_nothing();
    }
    let both = by_moderator.about(ANN, invited(MEMBER));
    assert_eq!(both.standing(ANN).invitation(), Some(Invitation { inviter: MOD, may_approve: true }));
}

#[test]
fn who_may_not_see_the_queues_learns_nothing_of_them_by_inviting() {
    let asked = club().about(ANN, Event::Requested);
    let by_moderator = club().about(ANN, invited(MOD));
    let banned = club().about(ANN, banned(None, None));
    let stranger = club();
    for club in [asked, by_moderator, banned, stranger] {
        club.given(ANN).when(invite(&club, MEMBER)).then([invited(MEMBER)]);
    }
}

#[test]
fn inviting_who_is_banned_does_nothing_then_or_later() {
    let barred = club().about(ANN, banned(None, None)).about(ANN, invited(MEMBER));
    assert_eq!(barred.standing(ANN).status(), "banned");
    let free = barred.about(ANN, Event::Unbanned);
    assert_eq!((free.standing(ANN).status(), free.standing(ANN).invitation()), ("none", None));
    free.given(ANN).when(accept(&free)).rejected(Error::NoInvitation);
}

#[test]
fn an_invitation_lets_in_only_while_its_maker_could_make_it_today() {
    let open = club().about(ANN, invited(MEMBER));
    let switched_off = open.clone().in_group(crate::group::Event::MemberInvitationsSwitched { on: false });
    let maker_left = open.clone().about(MEMBER, Event::Left { episode: 1 });
    let secret = open.in_group(crate::group::Event::PrivacyChanged { privacy: Privacy::Secret });
    for (club, as_if_revoked) in [(switched_off, Error::NoInvitation), (maker_left, Error::NoInvitation), (secret, Denied::Unknown.into())]
    {
        for command in [accept(&club), decline(&club)] {
            club.given(ANN).when(command).rejected(as_if_revoked.clone());
        }
        assert_eq!(club.standing(ANN).status(), "none");
        club.given(ANN).when(Command::RevokeVoidInvitation { who: club.standing(ANN) }).then([Event::InvitationRevoked]);
        club.given(ANN).when(invite(&club, FOUNDER)).then([Event::InvitationRevoked, invited(FOUNDER)]);
    }
}

#[test]
fn an_invitation_carries_no_more_weight_than_its_maker_has_today() {
    let demoted = club().about(ANN, invited(MOD)).in_group(crate::group::Event::RoleWithdrawn { person: MOD, episode: 1, departure: None });
    assert_eq!(demoted.standing(ANN).invitation(), Some(Invitation { inviter: MOD, may_approve: false }));
    demoted.given(ANN).when(join(&demoted)).then([Event::Requested]);
    demoted.given(ANN).when(Command::RevokeVoidInvitation { who: demoted.standing(ANN) }).then_nothing();
}

#[test]
fn only_an_admin_binds_a_member_and_once() {
    let club = club();
    let bind = |by: PersonId| Command::BindMember { by: Some(club.standing(by)) };
    club.given(MEMBER).when(bind(MOD)).rejected(Denied::AdminsOnly.into());
    club.given(ANN).when(bind(FOUNDER)).rejected(Error::NotAMember);
    club.given(MEMBER).when(bind(FOUNDER)).then([Event::Bound { episode: 1 }]);
    let bound = club.about(MEMBER, Event::Bound { episode: 1 });
    bound.given(MEMBER).when(Command::BindMember { by: None }).then_nothing();
    bound.given(MEMBER).when(leave(&bound, MEMBER)).rejected(Error::HoldsRole);
    let back = bound.about(MEMBER, Event::Left { episode: 1 }).with_member(MEMBER);
    back.given(MEMBER).when(leave(&back, MEMBER)).then([Event::Left { episode: 2 }]);
}

#[test]
fn members_invite_unless_the_switch_is_off() {
    let off = club().in_group(crate::group::Event::MemberInvitationsSwitched { on: false });
    off.given(ANN).when(invite(&off, MEMBER)).rejected(Denied::ModeratorsOnly.into());
    off.given(ANN).when(invite(&off, MOD)).then([invited(MOD)]);
    off.given(person(8)).when(invite(&off, ANN)).rejected(Denied::MembersOnly.into());
}

#[test]
fn in_a_secret_group_only_admins_invite() {
    let secret = of(Privacy::Secret, Policy::InviteOnly);
    secret.given(ANN).when(invite(&secret, FOUNDER)).then([invited(FOUNDER)]);
    for who in [MEMBER, MOD] {
        secret.given(ANN).when(invite(&secret, who)).rejected(Denied::AdminsOnly.into());
    }
    secret.given(person(8)).when(invite(&secret, ANN)).rejected(Denied::Unknown.into());
}

#[test]
fn an_invited_person_takes_part_in_a_secret_group_and_others_do_not_know_of_it() {
    let secret = of(Privacy::Secret, Policy::InviteOnly);
    for command in [join(&secret), accept(&secret), decline(&secret), withdraw(&secret), leave(&secret, ANN)] {
        secret.given(ANN).when(command).rejected(Denied::Unknown.into());
    }
    let invited = secret.about(ANN, invited(FOUNDER));
    for command in [join(&invited), accept(&invited)] {
        invited.given(ANN).when(command).then([joined(Way::Invitation, Some(FOUNDER))]);
    }
    invited.given(ANN).when(decline(&invited)).then([Event::InvitationDeclined]);
}

#[test]
fn a_member_cannot_be_invited() {
    let club = club();
    club.given(MEMBER).when(invite_whom(&club, MOD, MEMBER)).rejected(Error::AlreadyMember);
}

// Joining and requests.

#[test]
fn an_open_group_is_joined_at_once_a_closed_door_takes_a_request_and_the_third_an_invitation() {
    let open = of(Privacy::Public, Policy::Open);
    open.given(ANN).when(join(&open)).then([joined(Way::Joining, None)]);
    let request = of(Privacy::Public, Policy::Request);
    request.given(ANN).when(join(&request)).then([Event::Requested]);
    let invite_only = of(Privacy::Public, Policy::InviteOnly);
    invite_only.given(ANN).when(join(&invite_only)).rejected(Error::InviteOnly);
}

#[test]
fn joining_and_asking_twice_is_silent() {
    let member = of(Privacy::Public, Policy::Open).about(ANN, joined(Way::Joining, None));
    member.given(ANN).when(join(&member)).then_nothing();
    let asked = club().about(ANN, Event::Requested);
    asked.given(ANN).when(join(&asked)).then_nothing();
}

#[test]
fn nobody_signed_in_joins_nothing() {
    let open = of(Privacy::Public, Policy::Open);
    open.given(ANN).when(Command::JoinGroup { by: open.anonymous() }).rejected(Denied::Anonymous.into());
}

#[test]
fn a_request_is_approved_refused_or_withdrawn() {
    let asked = club().about(ANN, Event::Requested);
    asked.given(ANN).when(approve(&asked, MOD)).then([joined(Way::Approval, Some(MOD))]);
    let because = Command::RefuseRequest { by: Some(asked.standing(MOD)), reason: Some(reason()) };
    let expected = Event::RequestRefused { decided_by: Some(MOD), reason: Some(personal("threw stones")) };
    asked.given(ANN).when(because).then([expected]);
    asked.given(ANN).when(withdraw(&asked)).then([Event::RequestWithdrawn]);
    for who in [MEMBER, ANN] {
        asked.given(ANN).when(approve(&asked, who)).rejected(Denied::ModeratorsOnly.into());
        asked.given(ANN).when(refuse(&asked, who)).rejected(Denied::ModeratorsOnly.into());
    }
}

#[test]
fn of_two_moderators_the_first_decides_and_the_second_learns_the_outcome() {
    let asked = club().about(ANN, Event::Requested);
    let approved = asked.clone().about(ANN, joined(Way::Approval, Some(MOD)));
    approved.given(ANN).when(approve(&approved, MOD)).then_nothing();
    for command in [approve(&approved, OTHER_MOD), refuse(&approved, OTHER_MOD), refuse(&approved, MOD)] {
        approved.given(ANN).when(command).rejected(Error::AlreadyDecided { approved: true });
    }
    let refused = asked.about(ANN, refused(Some(MOD)));
    refused.given(ANN).when(refuse(&refused, MOD)).then_nothing();
    for command in [approve(&refused, OTHER_MOD), refuse(&refused, OTHER_MOD), approve(&refused, MOD)] {
        refused.given(ANN).when(command).rejected(Error::AlreadyDecided { approved: false });
    }
    assert_eq!(Error::AlreadyDecided { approved: true }.details(), Some(json!({ "outcome": "approved" })));
    assert_eq!(Error::AlreadyDecided { approved: false }.details(), Some(json!({ "outcome": "refused" })));
    assert_eq!(Error::NoRequest.details(), None);
}

#[test]
fn what_was_decided_on_one_request_does_not_speak_for_the_next() {
    let refused = club().about(ANN, Event::Requested).about(ANN, refused(Some(MOD)));
    refused.given(ANN).when(join(&refused)).then([Event::Requested]);
    let again = refused.clone().about(ANN, Event::Requested);
    again.given(ANN).when(approve(&again, OTHER_MOD)).then([joined(Way::Approval, Some(OTHER_MOD))]);
    let withdrawn = again.about(ANN, Event::RequestWithdrawn);
    withdrawn.given(ANN).when(approve(&withdrawn, MOD)).rejected(Error::NoRequest);
    withdrawn.given(ANN).when(withdraw(&withdrawn)).rejected(Error::NoRequest);
    let invited = refused.about(ANN, invited(MOD)).about(ANN, joined(Way::Invitation, Some(MOD)));
    invited.given(ANN).when(refuse(&invited, MOD)).rejected(Error::NoRequest);
}

#[test]
fn an_approval_is_spent_when_the_membership_it_led_to_ends() {
    let member = club().about(ANN, Event::Requested).about(ANN, joined(Way::Approval, Some(MOD)));
    for end in [Event::Left { episode: 1 }, Event::Removed { episode: 1, reason: None }, banned(Some(1), None)] {
        let ended = member.clone().about(ANN, end);
        ended.given(ANN).when(approve(&ended, MOD)).rejected(Error::NoRequest);
        ended.given(ANN).when(approve(&ended, OTHER_MOD)).rejected(Error::NoRequest);
    }
}

#[test]
fn the_server_refuses_the_open_requests_of_a_group_that_became_secret() {
    let by_server = || Command::RefuseRequest { by: None, reason: None };
    let asked = club().about(ANN, Event::Requested).in_group(crate::group::Event::PrivacyChanged { privacy: Privacy::Secret });
    asked.given(ANN).when(by_server()).then([refused(None)]);
    let done = asked.about(ANN, refused(None));
    done.given(ANN).when(by_server()).then_nothing();
    done.given(ANN).when(approve(&done, MOD)).rejected(Error::AlreadyDecided { approved: false });
    given::<Membership>([]).when(by_server()).then_nothing();
}

#[test]
fn a_group_that_opens_lets_in_who_had_asked() {
    let opened = club().about(ANN, Event::Requested).in_group(crate::group::Event::PolicyChanged { membership: Policy::Open });
    opened.given(ANN).when(join(&opened)).then([joined(Way::Joining, None)]);
    let member = opened.about(ANN, joined(Way::Joining, None));
    member.given(ANN).when(approve(&member, MOD)).rejected(Error::AlreadyDecided { approved: true });
}

// Meeting halfway.

#[test]
fn inviting_who_has_asked_admits_them_if_the_inviter_may_approve() {
    let asked = club().about(ANN, Event::Requested);
    for who in [MOD, FOUNDER] {
        asked.given(ANN).when(invite(&asked, who)).then([joined(Way::Invitation, Some(who))]);
    }
    let admitted = asked.clone().about(ANN, joined(Way::Invitation, Some(MOD)));
    admitted.given(ANN).when(approve(&admitted, OTHER_MOD)).rejected(Error::AlreadyDecided { approved: true });
}

#[test]
fn inviting_who_has_asked_lets_both_stay_if_the_inviter_may_not_approve() {
    let asked = club().about(ANN, Event::Requested);
    asked.given(ANN).when(invite(&asked, MEMBER)).then([invited(MEMBER)]);
    let both = asked.about(ANN, invited(MEMBER));
    assert!(both.membership(ANN).requested() && both.membership(ANN).invitation().is_some());
    both.given(ANN).when(approve(&both, MOD)).then([joined(Way::Approval, Some(MOD))]);
    both.given(ANN).when(accept(&both)).then([joined(Way::Invitation, Some(MEMBER))]);
    both.given(ANN).when(join(&both)).then_nothing();
    let done = both.about(ANN, joined(Way::Approval, Some(MOD)));
    assert!(!done.membership(ANN).requested() && done.membership(ANN).invitation().is_none());
}

#[test]
fn asking_while_invited_by_somebody_who_may_approve_admits() {
    let by_moderator = club().about(ANN, invited(MOD));
    by_moderator.given(ANN).when(join(&by_moderator)).then([joined(Way::Invitation, Some(MOD))]);
    let by_member = club().about(ANN, invited(MEMBER));
    by_member.given(ANN).when(join(&by_member)).then([Event::Requested]);
}

#[test]
fn the_name_of_a_stream_tells_group_and_person() {
    let name = stream(crate::testing::GROUP, ANN);
    assert_eq!(ids(&name), Some((crate::testing::GROUP, ANN)));
    assert_eq!(ids(&crate::question::stream(crate::QuestionId(uuid::Uuid::nil()))), None);
}

proptest! {
    #[test]
    fn no_history_however_odd_makes_a_membership_panic(
        picks in prop::collection::vec((0..12_usize, 0..3_i64), 0..16), who in 1..10_u128,
    ) {
        let samples: Vec<Event> =
            crate::testing::samples().into_iter().filter_map(|sample| if let crate::Event::Membership(event) = sample { Some(event) } else { None }).collect();
        let odd = picks.iter().fold(club(), |club, (pick, hours)| club.later(Span::hours(*hours)).about(ANN, samples[pick % samples.len()].clone()));
        let who = person(who);
        let commands = [
            Command::FoundGroup, invite(&odd, who), accept(&odd), decline(&odd), revoke(&odd, who), join(&odd), approve(&odd, who), refuse(&odd, who),
            Command::RefuseRequest { by: None, reason: None }, withdraw(&odd), leave(&odd, ANN), remove(&odd, who, ANN), ban(&odd, who, ANN, None),
            unban(&odd, who), Command::BindMember { by: None }, Command::RevokeVoidInvitation { who: odd.standing(ANN) }, Command::EndMembership { episode: 2, departure: Departure::Left },
        ];
        for command in commands {
            let context = Context { stream: &some_stream::<Membership>(), now: odd.now, actor: None, command_id: uuid::Uuid::nil() };
            let _ = odd.membership(ANN).decide(&command, &context);
        }
    }
}
