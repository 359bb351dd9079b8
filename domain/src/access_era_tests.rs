//! Who may read what was written when: what changes of privacy and comings and goings do to the past.

use super::*;
use crate::group::History;
use proptest::prelude::*;

/// What is written in the group at this moment.
fn written(club: &Community) -> Origin {
    Origin { scope: club.standing(FOUNDER).scope().unwrap(), at: club.now }
}

fn becomes(club: Community, privacy: Privacy) -> Community {
    club.later(Span::hours(1)).in_group(GroupEvent::PrivacyChanged { privacy }).later(Span::hours(1))
}

#[track_caller]
fn reads(club: &Community, thing: Origin, expected: &[(&str, char)]) {
    for (name, letter) in expected {
        let expected = if *letter == 't' { Err(Denied::BeforeYourTime) } else { told(*letter) };
        assert_eq!(who(club, name).towards(thing).allows(Action::Read), expected, "{name}");
    }
}

#[test]
fn opening_a_closed_group_opens_nothing_that_was_written_before() {
    let closed = everybody(Closed);
    let old = written(&closed);
    let open = becomes(closed, Public).with_member(STRANGER);
    let new = written(&open);
    reads(&open, old, &[("anonymous", 's'), ("invited", 'm'), ("former", 'm'), ("banned", 'b'), ("stranger", 't')]);
    reads(&open, old, &[("member", '+'), ("moderator", '+'), ("admin", '+')]);
    reads(&open, new, &[("anonymous", '+'), ("invited", '+'), ("former", '+'), ("banned", '+'), ("stranger", '+'), ("member", '+')]);
    // Who came after the opening and keeps order now reads it too.
    let risen = open.clone().in_group(GroupEvent::RoleGiven { person: STRANGER, role: Role::Moderator, episode: 1 });
    reads(&risen, old, &[("stranger", '+')]);
    // Leaving and coming back is coming after the opening.
    let back = open.about(MEMBER, MembershipEvent::Left { episode: 1 }).with_member(MEMBER);
    reads(&back, old, &[("member", 't')]);
}

#[test]
fn opening_a_secret_group_proves_nothing_that_was_written_before() {
    let secret = everybody(Secret);
    let old = written(&secret);
    reads(&secret, old, &[("anonymous", '?'), ("stranger", '?'), ("invited", '?'), ("banned", '?'), ("member", '+')]);
    for privacy in [Closed, Public] {
        let open = becomes(secret.clone(), privacy).with_member(STRANGER);
        let nobody = [("anonymous", '?'), ("invited", '?'), ("former", '?'), ("requesting", '?'), ("banned", '?'), ("stranger", '?')];
        reads(&open, old, &nobody);
        reads(&open, old, &[("member", '+'), ("moderator", '+'), ("admin", '+')]);
    }
}

#[test]
fn closing_a_group_leaves_it_to_its_members_the_later_ones_too() {
    let public = everybody(Public);
    let old = written(&public);
    for (privacy, stranger, anonymous) in [(Closed, 'm', 's'), (Secret, '?', '?')] {
        let closed = becomes(public.clone(), privacy);
        reads(&closed, old, &[("anonymous", anonymous), ("stranger", stranger), ("former", stranger), ("member", '+'), ("admin", '+')]);
        reads(&closed.with_member(STRANGER), old, &[("stranger", '+')]);
    }
}

#[test]
fn what_was_public_then_and_is_public_now_is_public() {
    let public = everybody(Public);
    let first = written(&public);
    let closed = becomes(public, Closed);
    let second = written(&closed);
    let again = becomes(closed, Public);
    reads(&again, first, &[("anonymous", '+'), ("stranger", '+'), ("banned", '+')]);
    reads(&again, second, &[("anonymous", 's'), ("stranger", 'm'), ("member", '+')]);
}

#[test]
fn closing_again_does_not_hand_the_first_era_to_those_who_came_while_it_was_open() {
    let first = everybody(Closed);
    let old = written(&first);
    let open = becomes(first, Public).with_member(STRANGER);
    let between = written(&open);
    let closed = becomes(open, Closed).with_member(REQUESTING);
    reads(&closed, old, &[("member", '+'), ("stranger", 't'), ("requesting", 't')]);
    reads(&closed, between, &[("member", '+'), ("stranger", '+'), ("requesting", '+'), ("former", 'm')]);
}

#[test]
fn each_loosening_counts_from_secret_by_way_of_closed_to_public() {
    let secret = everybody(Secret);
    let first = written(&secret);
    let closed = becomes(secret, Closed).with_member(STRANGER);
    let second = written(&closed);
    let public = becomes(closed, Public).with_member(REQUESTING);
    let third = written(&public);
    reads(&public, first, &[("member", '+'), ("stranger", '?'), ("requesting", '?'), ("anonymous", '?')]);
    reads(&public, second, &[("member", '+'), ("stranger", '+'), ("requesting", 't'), ("anonymous", 's')]);
    reads(&public, third, &[("member", '+'), ("stranger", '+'), ("requesting", '+'), ("anonymous", '+')]);
}

#[test]
fn since_joining_a_member_reads_what_was_written_while_they_were_one() {
    let hour = Span::hours(1);
    let before = Span::micros(-1);
    let club = everybody(Closed).in_group(GroupEvent::HistoryChanged { history: History::SinceJoining }).later(hour);
    let at = |n: i64, moment: Span| Origin { at: NOON.plus(Span::hours(n)).plus(moment), ..written(&club) };
    let stays = |club: Community| club.with_member(STRANGER).later(hour).about(STRANGER, MembershipEvent::Left { episode: 1 }).later(hour);
    let back = stays(club.clone()).with_member(STRANGER).later(hour);
    let zero = Span::micros(0);
    // A member in [1 h, 2 h) and again from 3 h on.
    reads(&back, at(1, before), &[("stranger", 't')]);
    reads(&back, at(1, zero), &[("stranger", '+')]);
    reads(&back, at(2, before), &[("stranger", '+')]);
    reads(&back, at(2, zero), &[("stranger", 't')]);
    reads(&back, at(3, before), &[("stranger", 't')]);
    reads(&back, at(3, zero), &[("stranger", '+')]);
    reads(&stays(club.clone()), at(1, zero), &[("stranger", 'm')]);
    // Who keeps order reads all; with all of the history open, everybody in it does.
    let risen = back.clone().in_group(GroupEvent::RoleGiven { person: STRANGER, role: Role::Moderator, episode: 2 });
    reads(&risen, at(0, zero), &[("stranger", '+')]);
    reads(&back.in_group(GroupEvent::HistoryChanged { history: History::All }), at(0, zero), &[("stranger", '+')]);
}

#[test]
fn since_joining_binds_nobody_in_a_public_group() {
    let club = everybody(Public).in_group(GroupEvent::HistoryChanged { history: History::SinceJoining });
    let old = written(&club);
    let later = club.later(Span::hours(1)).with_member(STRANGER);
    reads(&later, old, &[("stranger", '+'), ("anonymous", '+')]);
    // Once it is closed, it does.
    reads(&becomes(later, Closed), old, &[("stranger", 't'), ("member", '+')]);
}

#[test]
fn a_thousand_changes_and_three_hundred_returns_make_few_keys() {
    for history in [History::All, History::SinceJoining] {
        let mut club = everybody(Closed).in_group(GroupEvent::HistoryChanged { history });
        for n in 0..300 {
            club = club.with_member(STRANGER).later(Span::minutes(1));
            club = club.about(STRANGER, MembershipEvent::Left { episode: n + 1 }).later(Span::minutes(1));
        }
        club = club.with_member(STRANGER);
        for n in 0..1_000 {
            let next = [Public, Closed, Secret, Closed][n % 4];
            club = becomes(club, next);
        }
        for standing in [club.anonymous(), club.standing(FOUNDER), club.standing(MEMBER), club.standing(STRANGER)] {
            assert!(standing.keys().len() <= 200, "{:?}: {}", standing.person(), standing.keys().len());
        }
        assert_eq!(club.standing(FOUNDER).keys(), [Key::always(Owner::Group(GROUP).place(), 0, 1_000)]);
    }
}

#[test]
fn the_last_stays_count_and_what_joins_without_a_gap_is_one() {
    let hour = Span::hours(1);
    let mut club = everybody(Closed).in_group(GroupEvent::HistoryChanged { history: History::SinceJoining });
    let begun = club.now;
    // They go and come back at the same moment, many times over.
    for n in 0..50 {
        club = club.with_member(STRANGER).later(hour).about(STRANGER, MembershipEvent::Left { episode: n + 1 });
    }
    club = club.with_member(STRANGER);
    let place = Owner::Group(GROUP).place();
    let all = Key { since: begun.micros(), ..Key::always(place, 0, 0) };
    assert_eq!(club.standing(STRANGER).keys(), [all]);
    for n in 50..70 {
        club = club.later(hour).about(STRANGER, MembershipEvent::Left { episode: n + 1 }).later(hour).with_member(STRANGER);
    }
    let keys = club.standing(STRANGER).keys();
    assert_eq!((keys.len(), keys.last().unwrap().until), (20, i64::MAX));
    assert!(keys[0].since > begun.micros(), "the first of 21 stays no longer counts");
}

#[test]
fn words_of_an_edit_have_the_stricter_audience_of_both() {
    let public = everybody(Public);
    let thing = written(&public);
    let closed = becomes(public, Closed);
    let edit = written(&closed);
    let again = becomes(closed, Public).with_member(STRANGER);
    let reads = |name: &str, thing: Origin, edit: Origin| who(&again, name).towards(thing).reads_edit(edit);
    for (name, expected) in [("anonymous", false), ("stranger", false), ("former", false), ("member", true), ("moderator", true)] {
        assert_eq!(reads(name, thing, edit), expected, "{name}");
        let opened = who(&again, name).keys().iter().any(|key| key.opens(&edit.scope.audience(), edit.at.micros()));
        assert_eq!(opened, expected, "{name}");
        // What is edited in times no stricter is for all who read the thing.
        assert!(reads(name, thing, written(&again)) && reads(name, edit, edit), "{name}");
    }
}

#[test]
fn an_era_that_this_node_has_not_heard_of_is_read_by_nobody() {
    let club = everybody(Public);
    let ahead = Origin { scope: Scope { era: 1, ..written(&club).scope }, ..written(&club) };
    reads(&club, ahead, &[("anonymous", 's'), ("stranger", 'm'), ("admin", 't')]);
}

#[test]
fn an_audience_names_group_and_era() {
    let scope = written(&everybody(Closed)).scope;
    assert_eq!(scope.audience(), format!("group:{GROUP}:0"));
    assert_eq!((scope.group(), scope.privacy), (Some(GROUP), Closed));
    let stored = serde_json::json!({ "owner": { "group": GROUP }, "privacy": "closed", "era": 0 });
    assert_eq!(serde_json::to_value(scope).unwrap(), stored);
}

// Any history.

#[derive(Debug, Clone)]
enum Step {
    Write,
    Becomes(Privacy),
    History(History),
    JoinsOrLeaves(u128),
    Banned(u128, Option<i64>),
    Role(u128, Role),
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let privacy = prop::sample::select(vec![Public, Closed, Secret]);
    let history = prop::sample::select(vec![History::All, History::SinceJoining]);
    let step = prop_oneof![
        4 => Just(Step::Write),
        3 => privacy.prop_map(Step::Becomes),
        1 => history.prop_map(Step::History),
        4 => (2..6_u128).prop_map(Step::JoinsOrLeaves),
        1 => (2..6_u128, prop::option::of(0..9_i64)).prop_map(|(who, hours)| Step::Banned(who, hours)),
        1 => (2..6_u128, prop::sample::select(vec![Role::Moderator, Role::Admin])).prop_map(|(who, role)| Step::Role(who, role)),
    ];
    (0..3_i64, step)
}

/// The group after these steps, and what was written in it.
fn after(steps: &[(i64, Step)]) -> (Community, Vec<Origin>) {
    let (mut club, mut things) = (Community::founded(Closed, Policy::Request), vec![]);
    for (hours, step) in steps {
        club = club.later(Span::hours(*hours));
        club = match step {
            Step::Write => {
                things.push(written(&club));
                club
            }
            Step::Becomes(privacy) if *privacy == club.group.privacy() => club,
            Step::Becomes(privacy) => club.in_group(GroupEvent::PrivacyChanged { privacy: *privacy }),
            Step::History(history) => club.in_group(GroupEvent::HistoryChanged { history: *history }),
            Step::JoinsOrLeaves(who) => match club.membership(person(*who)).present() {
                Some(episode) => club.about(person(*who), MembershipEvent::Left { episode: episode.number }),
                None => club.with_member(person(*who)),
            },
            Step::Banned(who, hours) => {
                let until = hours.map(|hours| club.now.plus(Span::hours(hours)));
                club.about(person(*who), banned(until))
            }
            Step::Role(who, role) => match club.membership(person(*who)).present().map(|episode| episode.number) {
                Some(episode) => club.in_group(GroupEvent::RoleGiven { person: person(*who), role: *role, episode }),
                None => club,
            },
        };
    }
    (club, things)
}

fn all(club: &Community) -> Vec<Standing> {
    (1..8).map(|n| club.standing(person(n))).chain([club.anonymous()]).collect()
}

fn reads_it(standing: &Standing, thing: Origin) -> bool {
    standing.clone().towards(thing).allows(Action::Read).is_ok()
}

proptest! {
    #[test]
    fn keys_open_exactly_what_may_be_read(steps in prop::collection::vec(step(), 0..24)) {
        let (club, things) = after(&steps);
        for standing in all(&club) {
            let keys = standing.keys();
            prop_assert_eq!(standing.allows(Action::Read).is_ok(), !keys.is_empty());
            for thing in &things {
                let opened = keys.iter().any(|key| key.opens(&thing.scope.audience(), thing.at.micros()));
                prop_assert_eq!(reads_it(&standing, *thing), opened, "{:?} {:?}", standing.person(), thing);
            }
        }
    }

    #[test]
    fn no_change_of_privacy_gives_what_was_written_before_a_new_reader(
        steps in prop::collection::vec(step(), 0..24), next in prop::sample::select(vec![Public, Closed, Secret]),
    ) {
        let (before, things) = after(&steps);
        let after = before.clone().in_group(GroupEvent::PrivacyChanged { privacy: next });
        for (then, now) in all(&before).into_iter().zip(all(&after)) {
            for thing in &things {
                // What was written in public is public again when the group is: the stricter of then and now.
                let public_again = thing.scope.privacy == Public && next == Public;
                prop_assert!(public_again || reads_it(&then, *thing) || !reads_it(&now, *thing), "{:?} {:?}", now.person(), thing);
            }
        }
    }

    #[test]
    fn coming_back_never_shows_more_than_staying_would_have(steps in prop::collection::vec(step(), 0..24), who in 2..6_u128) {
        let (club, things) = after(&steps);
        let who = person(who);
        if let Some(episode) = club.membership(who).present().map(|episode| episode.number) {
            let gone = club.clone().about(who, MembershipEvent::Left { episode }).later(Span::hours(1));
            let gap = written(&gone);
            let back = gone.later(Span::hours(1)).with_member(who);
            for thing in &things {
                prop_assert!(!reads_it(&back.standing(who), *thing) || reads_it(&club.standing(who), *thing));
            }
            let open = club.group.settings().history == History::All || club.group.privacy() == Public;
            prop_assert_eq!(reads_it(&back.standing(who), gap), open);
        }
    }
}
