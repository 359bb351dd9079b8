//! Who learns of what, as tables.

use super::*;
use crate::group::{Event as GroupEvent, Policy};
use crate::membership::{Event as MembershipEvent, Way};
use crate::testing::stances::{AGENT, BANNED, EDITOR, MEMBER, MODERATOR, OTHER, PAGE, STRANGER, club, on_page};
use crate::testing::{Community, FOUNDER, GROUP, personal, samples};
use crate::{Span, stance::Stance};
use Privacy::{Closed, Public, Secret};

fn of(person: PersonId, event: MembershipEvent) -> InGroup {
    let found = change(&membership::stream(GROUP, person), &Event::Membership(event)).unwrap();
    let Readers::Group(GROUP, right) = found.readers else { panic!("{found:?}") };
    assert_eq!(found.thing, Thing::Membership(GROUP, person));
    right
}

fn shown(club: &Community, reader: Option<PersonId>, right: InGroup, then: Privacy, at: Timestamp) -> Shown {
    let standing = reader.map_or_else(|| club.anonymous(), |person| club.standing(person));
    let scope = standing.scope().map(|scope| Scope { privacy: then, ..scope });
    right.shows(&standing, &club.membership(right.person().unwrap_or(FOUNDER)), scope, at)
}

#[test]
fn every_event_is_a_change_or_nobodys_business() {
    let streams = |event: &Event| match event {
        Event::Membership(_) => membership::stream(GROUP, MEMBER),
        Event::Conversation(_) => conversation::stream(PAGE, MEMBER),
        Event::Fan(_) => fan::stream(PAGE, MEMBER),
        Event::Reaction(_) => reaction::stream(PAGE, Voice::Person(MEMBER)),
        other => StreamName::new(other.category(), PAGE),
    };
    for event in samples() {
        let found = change(&streams(&event), &event);
        assert_eq!(
            found.is_none(),
            matches!(
                event,
                Event::Allowance(_)
                    | Event::Salt(_)
                    | Event::Skip(_)
                    | Event::Unmasking(_)
                    | Event::Username(_)
                    | Event::Membership(MembershipEvent::Bound { .. })
                    | Event::Conversation(conversation::Event::PrivateReplyExpired { .. })
            ),
            "{event:?}"
        );
        // Words have an author in public; who reacts, follows or decides has none.
        let author = found.and_then(|change| change.author);
        let silent = matches!(event, Event::Group(_) | Event::Membership(_) | Event::Page(_) | Event::Fan(_) | Event::Reaction(_));
        assert!(!silent || author.is_none(), "{event:?}");
    }
}

#[test]
fn queues_are_for_who_keeps_order_and_for_the_person() {
    for event in [MembershipEvent::Requested, MembershipEvent::Invited { inviter: FOUNDER, may_approve: true }, MembershipEvent::Unbanned] {
        let right = of(STRANGER, event);
        for privacy in [Public, Closed] {
            let club = club(privacy);
            for (reader, expected) in [
                (Some(MODERATOR), Shown::Full),
                (Some(FOUNDER), Shown::Full),
                (Some(STRANGER), Shown::Full),
                (Some(MEMBER), Shown::Hidden),
                (Some(BANNED), Shown::Hidden),
                (None, Shown::Hidden),
            ] {
                assert_eq!(shown(&club, reader, right, privacy, club.now), expected, "{reader:?} {privacy:?}");
            }
        }
        // Of a secret group the person learns nothing once they see it no more.
        let club = club(Secret);
        assert_eq!(shown(&club, Some(STRANGER), right, Secret, club.now), Shown::Hidden);
        let invited = club.about(STRANGER, MembershipEvent::Invited { inviter: FOUNDER, may_approve: true });
        assert_eq!(shown(&invited, Some(STRANGER), right, Secret, invited.now), Shown::Full);
    }
}

#[test]
fn how_a_membership_ended_is_for_who_keeps_order_and_for_the_person() {
    for event in [
        MembershipEvent::Left { episode: 1 },
        MembershipEvent::Removed { episode: 1, reason: None },
        MembershipEvent::Banned { episode: Some(1), reason: personal("threw stones"), until: None },
    ] {
        let right = of(OTHER, event.clone());
        let club = club(Closed).later(Span::hours(1)).about(OTHER, event).later(Span::hours(1)).with_member(STRANGER);
        let then = club.now.minus(Span::hours(1));
        let see = |reader| shown(&club, reader, right, Closed, then);
        assert_eq!(see(Some(MODERATOR)), Shown::Full);
        assert_eq!(see(Some(OTHER)), Shown::Full);
        assert_eq!(see(Some(MEMBER)), Shown::Departure);
        // Who came later never saw them on the list.
        assert_eq!(see(Some(STRANGER)), Shown::Hidden);
        assert_eq!(see(None), Shown::Hidden);
    }
}

#[test]
fn who_is_on_the_list_is_told_to_whoever_reads_the_list() {
    let came = |episode| of(OTHER, MembershipEvent::Joined { episode, era: 0, way: Way::Approval, admitted_by: Some(FOUNDER) });
    let open = club(Closed);
    let shut = open.clone().in_group(GroupEvent::MemberListSwitched { public: false });
    assert_eq!(shown(&open, None, came(1), Closed, open.now), Shown::Full);
    assert_eq!(shown(&shut, None, came(1), Closed, open.now), Shown::Hidden);
    assert_eq!(shown(&shut, Some(MEMBER), came(1), Closed, open.now), Shown::Full);
    // An episode that is over is on no list.
    let left = open.later(Span::hours(1)).about(OTHER, MembershipEvent::Left { episode: 1 }).later(Span::hours(1)).with_member(STRANGER);
    let then = left.now.minus(Span::hours(2));
    assert_eq!(shown(&left, None, came(1), Closed, then), Shown::Hidden);
    assert_eq!(shown(&left, Some(STRANGER), came(1), Closed, then), Shown::Hidden);
    assert_eq!(shown(&left, Some(MEMBER), came(1), Closed, then), Shown::Full);
    // Where everyone could read the list then and now, everyone knows.
    let public = club(Public).later(Span::hours(1)).about(OTHER, MembershipEvent::Left { episode: 1 });
    assert_eq!(shown(&public, None, came(1), Public, public.now), Shown::Full);
    assert_eq!(shown(&public, None, of(OTHER, MembershipEvent::Left { episode: 1 }), Public, public.now), Shown::Departure);
    assert_eq!(shown(&public, None, came(1), Closed, public.now), Shown::Hidden);
}

#[test]
fn roles_are_told_while_they_are_on_the_list() {
    let given = |role| InGroup::Member { person: MODERATOR, episode: 1, role: Some(role) };
    let club = Community::founded(Closed, Policy::Request).with(MODERATOR, Role::Moderator).later(Span::hours(1)).with_member(MEMBER);
    let then = club.now.minus(Span::hours(1));
    assert_eq!(shown(&club, Some(MEMBER), given(Role::Moderator), Closed, then), Shown::Full);
    assert_eq!(shown(&club, Some(MEMBER), given(Role::Admin), Closed, then), Shown::Hidden);
    assert_eq!(shown(&club, Some(MEMBER), InGroup::Demoted { person: MODERATOR }, Closed, then), Shown::Hidden);
    assert_eq!(shown(&club, Some(MEMBER), InGroup::Demoted { person: MODERATOR }, Closed, club.now), Shown::Full);
}

#[test]
fn what_was_done_to_a_group_in_secret_is_told_to_who_read_it_then() {
    let club = club(Secret).later(Span::hours(1)).in_group(GroupEvent::PrivacyChanged { privacy: Closed });
    let then = club.now.minus(Span::hours(1));
    let see = |reader, privacy| {
        let standing = club.standing(reader);
        let scope = standing.scope().map(|scope| Scope { privacy, era: u32::from(privacy != Secret), ..scope });
        InGroup::Settings.shows(&standing, &Membership::default(), scope, then)
    };
    assert_eq!(see(MEMBER, Secret), Shown::Full);
    assert_eq!(see(STRANGER, Secret), Shown::Hidden);
    assert_eq!(see(STRANGER, Closed), Shown::Full);
    assert_eq!(shown(&club, Some(STRANGER), InGroup::Seen, Secret, then), Shown::Full);
}

#[test]
fn pages_tell_their_staff_more_than_the_public() {
    let see = |who: Option<PersonId>, event: Event, stream: &StreamName| {
        let Stance::Page(standing) = on_page(who) else { panic!("a page is expected") };
        change(stream, &event).unwrap().readers.of_page(&standing)
    };
    let conversation = conversation::stream(PAGE, MEMBER);
    let staff = || Event::Page(page::Event::StaffWithdrawn { person: OTHER });
    let renamed = || Event::Page(page::Event::Renamed { name: "Forno".to_owned() });
    let wrote = || samples().into_iter().find(|event| matches!(event, Event::Conversation(conversation::Event::PageWrote { .. }))).unwrap();
    let done = || Event::Conversation(conversation::Event::MarkedSpam);
    let of_page = page::stream(PAGE);
    for (who, expected) in [
        (None, [true, false, false, false]),
        (Some(STRANGER), [true, false, false, false]),
        (Some(MEMBER), [true, false, true, false]),
        (Some(OTHER), [true, true, false, false]),
        (Some(EDITOR), [true, true, false, false]),
        (Some(AGENT), [true, true, true, true]),
        (Some(FOUNDER), [true, true, true, true]),
    ] {
        let found =
            [see(who, renamed(), &of_page), see(who, staff(), &of_page), see(who, wrote(), &conversation), see(who, done(), &conversation)];
        assert_eq!(found, expected, "{who:?}");
    }
}
