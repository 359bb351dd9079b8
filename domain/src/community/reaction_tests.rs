//! Decisions of a reaction.

use super::*;
use crate::access::Privacy;
use crate::testing::stances::{AGENT, MEMBER, PAGE, STRANGER, club, in_club, on_page, towards};
use crate::testing::{NOON, given, some_stream};
use crate::{PersonId, PostId};
use proptest::prelude::*;

const THERE: Target = Target { kind: TargetKind::Post, removed: false };
const GONE: Target = Target { kind: TargetKind::Post, removed: true };
const MINE: Voice = Voice::Person(MEMBER);

fn react(by: Stance, as_page: Option<PageId>, kind: Kind) -> Command {
    Command::React { by, as_page, target: THERE, kind }
}

fn withdraw(by: Stance, as_page: Option<PageId>) -> Command {
    Command::WithdrawReaction { by, as_page, target: THERE }
}

fn reacted(voice: Voice, kind: Kind, previous: Option<Kind>) -> Event {
    Event::Given { target: TargetKind::Post, voice, kind, previous }
}

#[test]
fn one_reaction_stands_and_remembers_the_one_before() {
    given::<Reaction>([]).when(react(in_club(MEMBER), None, Kind::Like)).then([reacted(MINE, Kind::Like, None)]);
    let liked = || given::<Reaction>([reacted(MINE, Kind::Like, None)]);
    liked().when(react(in_club(MEMBER), None, Kind::Like)).then_nothing();
    liked().when(react(in_club(MEMBER), None, Kind::Sad)).then([reacted(MINE, Kind::Sad, Some(Kind::Like))]);
    let withdrawn = Event::Withdrawn { target: TargetKind::Post, voice: MINE, previous: Kind::Like };
    liked().when(withdraw(in_club(MEMBER), None)).then([withdrawn.clone()]);
    given::<Reaction>([reacted(MINE, Kind::Like, None), withdrawn]).when(withdraw(in_club(MEMBER), None)).then_nothing();
}

#[test]
fn who_may_not_take_part_does_not_react() {
    for asked in [react(in_club(STRANGER), None, Kind::Like), withdraw(in_club(STRANGER), None)] {
        given::<Reaction>([]).when(asked).rejected(Denied::MembersOnly.into());
    }
    let secret = towards(&club(Privacy::Secret), STRANGER);
    given::<Reaction>([]).when(react(secret, None, Kind::Like)).rejected(Denied::Unknown.into());
    given::<Reaction>([]).when(react(on_page(None), None, Kind::Like)).rejected(Denied::Anonymous.into());
}

#[test]
fn the_page_likes_through_its_staff() {
    let by_page = reacted(Voice::Page(PAGE), Kind::Love, None);
    given::<Reaction>([]).when(react(on_page(AGENT), Some(PAGE), Kind::Love)).then([by_page]);
    given::<Reaction>([]).when(react(on_page(MEMBER), Some(PAGE), Kind::Love)).rejected(Denied::StaffOnly.into());
    given::<Reaction>([]).when(react(in_club(MEMBER), Some(PAGE), Kind::Love)).rejected(Denied::NotSupported.into());
}

#[test]
fn what_was_removed_gets_no_reaction_and_loses_those_it_has() {
    let react = Command::React { by: in_club(MEMBER), as_page: None, target: GONE, kind: Kind::Like };
    given::<Reaction>([]).when(react).rejected(Error::TargetRemoved);
    let withdraw = Command::WithdrawReaction { by: in_club(MEMBER), as_page: None, target: GONE };
    let withdrawn = Event::Withdrawn { target: TargetKind::Post, voice: MINE, previous: Kind::Wow };
    given::<Reaction>([reacted(MINE, Kind::Wow, None)]).when(withdraw).then([withdrawn]);
}

#[test]
fn a_person_and_a_page_react_in_streams_of_their_own() {
    let id = PostId(Uuid::from_u128(1));
    let (person, page) = (Voice::Person(PersonId(PAGE.0)), Voice::Page(PageId(Uuid::from_u128(2))));
    assert_ne!(stream(id, person), stream(id, page));
    assert_eq!(stream(id, page).as_str(), "reaction-00000000-0000-0000-0000-000000000001.00000000-0000-0000-0000-000000000002");
}

proptest! {
    #[test]
    fn at_most_one_stands_and_every_event_says_which_one_did(asked in prop::collection::vec(prop::option::of(0..6_usize), 0..24)) {
        let context = Context { stream: &some_stream::<Reaction>(), now: NOON, actor: None, command_id: Uuid::nil() };
        let (mut reaction, mut counts) = (Reaction::default(), [0_i64; 6]);
        for kind in asked {
            let command = kind.map_or_else(|| withdraw(in_club(MEMBER), None), |kind| react(in_club(MEMBER), None, Kind::ALL[kind]));
            for event in reaction.decide(&command, &context).unwrap() {
                let (up, down) = match event {
                    Event::Given { kind, previous, .. } => (Some(kind), previous),
                    Event::Withdrawn { previous, .. } => (None, Some(previous)),
                };
                for (kind, by) in [(up, 1), (down, -1)] {
                    counts.iter_mut().zip(Kind::ALL).filter(|(_, each)| Some(*each) == kind).for_each(|(count, _)| *count += by);
                }
                reaction = reaction.evolve(&event, NOON);
            }
            prop_assert_eq!(reaction.standing(), kind.map(|kind| Kind::ALL[kind]));
            prop_assert_eq!(counts.iter().sum::<i64>(), i64::from(kind.is_some()));
        }
    }
}
