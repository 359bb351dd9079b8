//! Decisions of a group.

use super::*;
use crate::Span;
use crate::testing::{Community, FOUNDER, NOON, communal, given, person, personal, some_stream};
use proptest::prelude::*;

const BEN: PersonId = person(2);
const CLEO: PersonId = person(3);
const DAN: PersonId = person(4);

fn club() -> Community {
    Community::founded(Privacy::Closed, Policy::Request)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn create(privacy: Privacy, membership: Policy) -> Command {
    Command::CreateGroup { name: name("Alpine Club"), description: Comment::parse("Walks").ok(), privacy, membership }
}

fn created(privacy: Privacy, membership: Policy) -> Event {
    Event::Created { name: communal("Alpine Club"), description: Some(communal("Walks")), privacy, membership, founder: FOUNDER }
}

fn change(club: &Community, changes: Changes) -> Command {
    Command::ChangeGroup { by: club.standing(FOUNDER), changes }
}

fn give(club: &Community, by: PersonId, to: PersonId, role: Role) -> Command {
    Command::GiveRole { by: club.standing(by), to: club.standing(to), role }
}

fn depart(club: &Community, by: PersonId, who: PersonId, departure: Departure) -> Command {
    Command::Depart { by: club.standing(by), who: club.standing(who), departure }
}

fn banned(until: Option<Timestamp>) -> Departure {
    Departure::Banned { reason: personal("threw stones"), until }
}

fn removed() -> Departure {
    Departure::Removed { reason: Some(personal("never came")) }
}

fn withdrawn(person: PersonId, departure: Option<Departure>) -> Event {
    Event::RoleWithdrawn { person, episode: 1, departure }
}

#[test]
fn who_creates_a_group_is_its_first_admin() {
    given::<Group>([]).by(FOUNDER).when(create(Privacy::Public, Policy::Open)).then([created(Privacy::Public, Policy::Open)]);
    assert_eq!(club().standing(FOUNDER).role(), Some(Role::Admin));
}

#[test]
fn nobody_signed_in_creates_no_group() {
    given::<Group>([]).when(create(Privacy::Public, Policy::Open)).rejected(Denied::Anonymous.into());
}

#[test]
fn a_group_is_created_once() {
    let there = [created(Privacy::Public, Policy::Open)];
    given::<Group>(there).by(FOUNDER).when(create(Privacy::Public, Policy::Open)).rejected(Error::AlreadyExists);
}

#[test]
fn a_secret_group_is_created_invite_only_or_not_at_all() {
    for policy in [Policy::Open, Policy::Request] {
        given::<Group>([]).by(FOUNDER).when(create(Privacy::Secret, policy)).rejected(Error::SecretIsInviteOnly);
    }
    let secret = created(Privacy::Secret, Policy::InviteOnly);
    given::<Group>([]).by(FOUNDER).when(create(Privacy::Secret, Policy::InviteOnly)).then([secret]);
}

#[test]
fn every_setting_changes_by_an_event_of_its_own() {
    let changes = Changes {
        name: Some(name("Alpine Friends")),
        description: Some(Comment::parse("Huts").ok()),
        privacy: Some(Privacy::Public),
        membership: Some(Policy::Open),
        members_invite: Some(false),
        member_list_public: Some(false),
        history: Some(History::SinceJoining),
    };
    let expected = [
        Event::Renamed { name: communal("Alpine Friends") },
        Event::Described { description: Some(communal("Huts")) },
        Event::PrivacyChanged { privacy: Privacy::Public },
        Event::PolicyChanged { membership: Policy::Open },
        Event::MemberInvitationsSwitched { on: false },
        Event::MemberListSwitched { public: false },
        Event::HistoryChanged { history: History::SinceJoining },
    ];
    club().given_group().when(change(&club(), changes.clone())).then(expected.clone());
    let after = expected.into_iter().fold(club(), Community::in_group);
    after.given_group().when(change(&after, changes)).then_nothing();
    assert_eq!(
        (after.group.privacy(), after.group.era(), after.group.eras().of(0).map(|first| first.privacy)),
        (Privacy::Public, 1, Some(Privacy::Closed))
    );
}

#[test]
fn privacy_changes_once_a_day() {
    let to = |privacy| Changes { privacy: Some(privacy), ..Changes::default() };
    // What it was founded as is no change.
    let opened = Event::PrivacyChanged { privacy: Privacy::Public };
    club().given_group().when(change(&club(), to(Privacy::Public))).then([opened.clone()]);
    let open = club().in_group(opened);
    let (again, late) = (open.now.plus(PAUSE), open.clone().later(Span::micros(PAUSE.as_micros() - 1)));
    for early in [&open, &late] {
        let refusal = Error::PrivacyChangedRecently { again };
        early.given_group().when(change(early, Changes { name: Some(name("Andes")), ..to(Privacy::Closed) })).rejected(refusal);
        // What it is already is no change, and the rest of the settings has no part in it.
        early.given_group().when(change(early, to(Privacy::Public))).then_nothing();
        let renamed = Changes { name: Some(name("Andes")), ..to(Privacy::Public) };
        early.given_group().when(change(early, renamed)).then([Event::Renamed { name: communal("Andes") }]);
    }
    let next = open.later(PAUSE);
    next.given_group().when(change(&next, to(Privacy::Closed))).then([Event::PrivacyChanged { privacy: Privacy::Closed }]);
}

#[test]
fn a_description_is_taken_away_and_what_is_not_named_stays() {
    let described = club().in_group(Event::Described { description: Some(communal("Walks")) });
    let away = Changes { description: Some(None), ..Changes::default() };
    described.given_group().when(change(&described, away.clone())).then([Event::Described { description: None }]);
    club().given_group().when(change(&club(), away)).then_nothing();
    described.given_group().when(change(&described, Changes::default())).then_nothing();
}

#[test]
fn becoming_secret_makes_a_group_invite_only() {
    let becoming = |membership| Changes { privacy: Some(Privacy::Secret), membership, ..Changes::default() };
    let expected = [Event::PrivacyChanged { privacy: Privacy::Secret }, Event::PolicyChanged { membership: Policy::InviteOnly }];
    club().given_group().when(change(&club(), becoming(None))).then(expected.clone());
    club().given_group().when(change(&club(), becoming(Some(Policy::InviteOnly)))).then(expected);
    for policy in [Policy::Open, Policy::Request] {
        club().given_group().when(change(&club(), becoming(Some(policy)))).rejected(Error::SecretIsInviteOnly);
    }
}

#[test]
fn a_secret_group_stays_invite_only_until_it_is_no_longer_secret() {
    let secret = Community::founded(Privacy::Secret, Policy::InviteOnly);
    let open = |privacy| Changes { privacy, membership: Some(Policy::Open), ..Changes::default() };
    secret.given_group().when(change(&secret, open(None))).rejected(Error::SecretIsInviteOnly);
    secret.given_group().when(change(&secret, open(Some(Privacy::Secret)))).rejected(Error::SecretIsInviteOnly);
    let opened = [Event::PrivacyChanged { privacy: Privacy::Public }, Event::PolicyChanged { membership: Policy::Open }];
    secret.given_group().when(change(&secret, open(Some(Privacy::Public)))).then(opened);
}

#[test]
fn a_refused_change_changes_nothing_else_either() {
    let changes =
        Changes { name: Some(name("Other")), privacy: Some(Privacy::Secret), membership: Some(Policy::Open), ..Changes::default() };
    club().given_group().when(change(&club(), changes)).rejected(Error::SecretIsInviteOnly);
}

#[test]
fn only_admins_change_the_group_and_give_roles() {
    let club = club().with(BEN, Role::Moderator).with_member(CLEO);
    for (who, denied) in [(BEN, Denied::AdminsOnly), (CLEO, Denied::AdminsOnly), (DAN, Denied::AdminsOnly)] {
        let changes = Changes { name: Some(name("Other")), ..Changes::default() };
        club.given_group().when(Command::ChangeGroup { by: club.standing(who), changes }).rejected(denied.into());
        club.given_group().when(give(&club, who, CLEO, Role::Moderator)).rejected(denied.into());
    }
    let by = club.anonymous();
    club.given_group().when(Command::ChangeGroup { by, changes: Changes::default() }).rejected(Denied::Anonymous.into());
}

#[test]
fn of_a_secret_group_an_outsider_learns_nothing() {
    let secret = Community::founded(Privacy::Secret, Policy::InviteOnly).with_member(CLEO);
    secret.given_group().when(give(&secret, BEN, CLEO, Role::Admin)).rejected(Denied::Unknown.into());
    secret.given_group().when(depart(&secret, BEN, FOUNDER, removed())).rejected(Denied::Unknown.into());
    secret.given_group().when(depart(&secret, BEN, FOUNDER, Departure::Left)).rejected(Denied::Unknown.into());
}

#[test]
fn a_member_rises_and_falls_and_repeating_it_is_silent() {
    let plain = club().with_bound(BEN);
    for role in [Role::Moderator, Role::Admin] {
        let given = Event::RoleGiven { person: BEN, role, episode: 1 };
        plain.given_group().when(give(&plain, FOUNDER, BEN, role)).then([given.clone()]);
        let risen = plain.clone().in_group(given);
        assert_eq!(risen.standing(BEN).role(), Some(role));
        risen.given_group().when(give(&risen, FOUNDER, BEN, role)).then_nothing();
        risen.given_group().when(give(&risen, FOUNDER, BEN, Role::Member)).then([withdrawn(BEN, None)]);
    }
    plain.given_group().when(give(&plain, FOUNDER, BEN, Role::Member)).then_nothing();
}

#[test]
fn roles_are_for_members() {
    club().given_group().when(give(&club(), FOUNDER, BEN, Role::Moderator)).rejected(Error::NotAMember);
    let invited = club().about(BEN, crate::membership::Event::Invited { inviter: FOUNDER, may_approve: true });
    invited.given_group().when(give(&invited, FOUNDER, BEN, Role::Moderator)).rejected(Error::NotAMember);
}

#[test]
fn the_last_admin_can_neither_leave_nor_be_demoted() {
    let club = club().with(BEN, Role::Moderator);
    for role in [Role::Member, Role::Moderator] {
        club.given_group().when(give(&club, FOUNDER, FOUNDER, role)).rejected(Error::LastAdmin);
    }
    club.given_group().when(depart(&club, FOUNDER, FOUNDER, Departure::Left)).rejected(Error::LastAdmin);
    club.given_group().when(give(&club, FOUNDER, FOUNDER, Role::Admin)).then_nothing();
}

#[test]
fn one_of_two_admins_leaves_and_the_other_is_then_the_last() {
    let two = club().with(BEN, Role::Admin);
    let left = withdrawn(FOUNDER, Some(Departure::Left));
    two.given_group().when(depart(&two, FOUNDER, FOUNDER, Departure::Left)).then([left.clone()]);
    // Both at once: the second decides on what the first left behind, with a standing from before.
    let one = two.clone().in_group(left);
    one.given_group().when(depart(&two, BEN, BEN, Departure::Left)).rejected(Error::LastAdmin);
}

#[test]
fn departing_without_a_role_is_the_membership_s_own_business() {
    let plain = club().with_member(BEN);
    plain.given_group().when(depart(&plain, BEN, BEN, Departure::Left)).then_nothing();
    plain.given_group().when(depart(&plain, FOUNDER, BEN, banned(None))).then_nothing();
}

#[test]
fn moderators_remove_and_ban_moderators_but_not_admins() {
    let club = club().with(BEN, Role::Moderator).with(CLEO, Role::Moderator).with(DAN, Role::Admin);
    for departure in [removed(), banned(None)] {
        club.given_group().when(depart(&club, BEN, CLEO, departure.clone())).then([withdrawn(CLEO, Some(departure.clone()))]);
        club.given_group().when(depart(&club, BEN, DAN, departure.clone())).rejected(Error::NotAgainstAdmins);
        club.given_group().when(depart(&club, FOUNDER, DAN, departure.clone())).then([withdrawn(DAN, Some(departure))]);
    }
}

#[test]
fn members_and_outsiders_end_nobody_else_s_membership() {
    let club = club().with(BEN, Role::Moderator).with_member(CLEO);
    for who in [CLEO, DAN] {
        club.given_group().when(depart(&club, who, BEN, removed())).rejected(Denied::ModeratorsOnly.into());
        club.given_group().when(depart(&club, who, BEN, banned(None))).rejected(Denied::ModeratorsOnly.into());
        club.given_group().when(depart(&club, who, BEN, Departure::Left)).rejected(Denied::Unknown.into());
    }
}

#[test]
fn nobody_with_a_role_removes_or_bans_themselves() {
    let club = club().with(BEN, Role::Moderator).with(DAN, Role::Admin);
    for who in [BEN, DAN] {
        club.given_group().when(depart(&club, who, who, removed())).rejected(Error::NotYourself);
        club.given_group().when(depart(&club, who, who, banned(None))).rejected(Error::NotYourself);
    }
}

#[test]
fn a_ban_ends_strictly_in_the_future() {
    let club = club().with(BEN, Role::Moderator);
    let until = |at| banned(Some(at));
    club.given_group().when(depart(&club, FOUNDER, BEN, until(NOON))).rejected(Error::UntilInPast);
    let next = NOON.plus(Span::micros(1));
    club.given_group().when(depart(&club, FOUNDER, BEN, until(next))).then([withdrawn(BEN, Some(until(next)))]);
}

#[test]
fn a_role_counts_only_for_the_episode_it_was_given_in() {
    let left = club().with(BEN, Role::Admin).about(BEN, crate::membership::Event::Left { episode: 1 });
    assert_eq!(left.standing(BEN).role(), None);
    let back = left.with_bound(BEN);
    assert_eq!(back.standing(BEN).role(), Some(Role::Member));
    assert_eq!(back.group.role_of(BEN, 1), Some(Role::Admin));
    let again = Event::RoleGiven { person: BEN, role: Role::Admin, episode: 2 };
    back.given_group().when(give(&back, FOUNDER, BEN, Role::Admin)).then([again]);
}

#[test]
fn a_role_is_given_to_whoever_is_bound_and_not_on_their_way_out() {
    let member = club().with_member(BEN);
    for role in [Role::Moderator, Role::Admin] {
        member.given_group().when(give(&member, FOUNDER, BEN, role)).rejected(Error::NotBound);
    }
    let bound = club().with_bound(BEN);
    bound.given_group().when(depart(&bound, BEN, BEN, Departure::Left)).then([withdrawn(BEN, Some(Departure::Left))]);
    let leaving = bound.in_group(withdrawn(BEN, Some(Departure::Left)));
    leaving.given_group().when(give(&leaving, FOUNDER, BEN, Role::Admin)).rejected(Error::NotAMember);
    leaving.given_group().when(depart(&leaving, BEN, BEN, Departure::Left)).then_nothing();
}

#[test]
fn a_group_without_an_admin_gets_the_member_of_longest_standing() {
    let appoint =
        |club: &Community, who: &[PersonId]| Command::AppointAdmin { members: who.iter().map(|who| club.standing(*who)).collect() };
    let club = club().later(Span::hours(1)).with_bound(BEN).later(Span::hours(1)).with_bound(CLEO);
    club.given_group().when(appoint(&club, &[FOUNDER, CLEO, BEN])).then_nothing();
    let without = club.about(FOUNDER, crate::membership::Event::Left { episode: 1 });
    let given = Event::RoleGiven { person: BEN, role: Role::Admin, episode: 1 };
    without.given_group().when(appoint(&without, &[FOUNDER, CLEO, BEN])).then([withdrawn(FOUNDER, None), given]);
    without.given_group().when(appoint(&without, &[FOUNDER])).then_nothing();
}

#[test]
fn a_role_that_outlived_its_episode_is_dropped_once_and_a_newer_one_is_kept() {
    let drop = |episode| Command::DropRole { person: BEN, episode };
    let club = club().with(BEN, Role::Moderator);
    club.given_group().when(drop(1)).then([withdrawn(BEN, None)]);
    club.given_group().when(drop(2)).then_nothing();
    club.clone().in_group(withdrawn(BEN, None)).given_group().when(drop(1)).then_nothing();
    club.given_group().when(Command::DropRole { person: FOUNDER, episode: 1 }).then_nothing();
}

#[test]
fn refusals_speak_in_stable_codes() {
    let codes = [
        (Error::AlreadyExists, "already_exists", Kind::Conflict),
        (Error::SecretIsInviteOnly, "secret_is_invite_only", Kind::Invalid),
        (Error::LastAdmin, "last_admin", Kind::Conflict),
        (Error::NotAMember, "not_a_member", Kind::NotFound),
        (Error::NotAgainstAdmins, "not_against_admins", Kind::Forbidden),
        (Error::UntilInPast, "until_in_past", Kind::Invalid),
        (Error::NotYourself, "not_yourself", Kind::Conflict),
        (Denied::Unknown.into(), "not_found", Kind::NotFound),
    ];
    for (error, code, kind) in codes {
        assert_eq!((error.code(), error.kind()), (code, kind));
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let events = crate::testing::samples().into_iter().filter_map(|sample| match sample {
        crate::Event::Group(event) => Some(event),
        _ => None,
    });
    prop::sample::select(events.collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn no_history_however_odd_makes_a_group_panic(
        events in prop::collection::vec(any_event(), 0..12),
        who in 1..5_u128, whom in 1..5_u128, role in prop::sample::select(vec![Role::Member, Role::Moderator, Role::Admin]),
    ) {
        let odd = events.iter().fold(Group::default(), |group, event| group.evolve(event, NOON));
        let club = club().with(BEN, Role::Admin).with(CLEO, Role::Moderator);
        let (by, who) = (club.standing(person(who)), club.standing(person(whom)));
        let context = Context { stream: &some_stream::<Group>(), now: NOON, actor: by.person(), command_id: uuid::Uuid::nil() };
        let commands = [
            create(Privacy::Public, Policy::Open),
            Command::GiveRole { by: by.clone(), to: who.clone(), role },
            Command::Depart { by: by.clone(), who, departure: banned(None) },
            Command::DropRole { person: BEN, episode: 1 },
            Command::ChangeGroup { by, changes: Changes { privacy: Some(Privacy::Secret), ..Changes::default() } },
        ];
        for command in commands {
            let _ = odd.decide(&command, &context);
        }
    }
}
