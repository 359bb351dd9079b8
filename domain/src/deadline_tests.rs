//! Who is woken late, early, twice or for nothing decides the same.

use super::*;
use crate::access::Privacy;
use crate::conversation::{self, Conversation};
use crate::group::Policy;
use crate::membership::{self, Membership};
use crate::testing::{Community, Given, NOON, given, person, personal, some_stream};
use crate::{Command, CommentId, GroupId, PageId, PersonId, Span};

const ANN: PersonId = person(7);
const HOUR: Span = Span::hours(1);
const MICRO: Span = Span::micros(1);

fn banned(until: Option<Timestamp>) -> membership::Event {
    membership::Event::Banned { episode: None, reason: personal("threw stones"), until }
}

fn on_ban(of: Vec<membership::Event>) -> Given<Membership> {
    let club = Community::founded(Privacy::Public, Policy::Open);
    of.into_iter().fold(club, |club, event| club.about(ANN, event)).given(ANN)
}

fn end_ban(until: Timestamp) -> membership::Command {
    let matter = Matter::from(&some_stream::<Membership>());
    let Some(FollowUp { stream, command: Command::Membership(command) }) = wake(&matter, until) else { panic!("a membership is woken") };
    assert_eq!(stream, matter.stream);
    command
}

#[test]
fn a_ban_ends_at_its_moment_once_and_no_sooner() {
    let until = NOON.plus(HOUR);
    let ended = membership::Event::BanEnded { until };
    on_ban(vec![banned(Some(until))]).at(until.minus(MICRO)).when(end_ban(until)).then_nothing();
    for late in [Span::micros(0), MICRO, Span::days(30)] {
        on_ban(vec![banned(Some(until))]).at(until.plus(late)).when(end_ban(until)).then([ended.clone()]);
        on_ban(vec![banned(Some(until)), ended.clone()]).at(until.plus(late)).when(end_ban(until)).then_nothing();
    }
}

#[test]
fn a_ban_that_was_lengthened_replaced_or_lifted_meanwhile_does_not_end_then() {
    let until = NOON.plus(HOUR);
    let joined = membership::Event::Joined { episode: 1, era: 0, way: membership::Way::Joining, admitted_by: None };
    for meanwhile in [banned(Some(until.plus(HOUR))), banned(Some(until.minus(MICRO))), banned(None), membership::Event::Unbanned, joined] {
        on_ban(vec![banned(Some(until)), meanwhile]).at(until.plus(MICRO)).when(end_ban(until)).then_nothing();
    }
    on_ban(vec![]).at(until).when(end_ban(until)).then_nothing();
    // Another one after that ended has an end of its own.
    let again = vec![banned(Some(until)), membership::Event::BanEnded { until }, banned(Some(until.plus(HOUR)))];
    on_ban(again).at(until.plus(HOUR)).when(end_ban(until.plus(HOUR))).then([membership::Event::BanEnded { until: until.plus(HOUR) }]);
}

#[test]
fn rights_go_by_the_moment_whatever_the_history_says_of_it() {
    let until = NOON.plus(HOUR);
    let club = Community::founded(Privacy::Public, Policy::Open).about(ANN, banned(Some(until)));
    let told = club.clone().about(ANN, membership::Event::BanEnded { until });
    for club in [club, told] {
        assert!(club.membership(ANN).banned(until.minus(MICRO)) && !club.membership(ANN).banned(until));
    }
}

#[test]
fn a_private_reply_expires_in_the_conversation_if_there_was_none() {
    let (comment, other, ended) = (CommentId(Uuid::from_u128(1)), CommentId(Uuid::from_u128(2)), NOON.plus(Span::days(7)));
    let matter = Matter::about(some_stream::<Conversation>(), comment);
    let Some(FollowUp { command: Command::Conversation(command), .. }) = wake(&matter, ended) else { panic!("a conversation is woken") };
    let expired = |comment| conversation::Event::PrivateReplyExpired { comment, ended };
    let replied = conversation::Event::PageWrote {
        message: crate::MessageId(Uuid::from_u128(3)),
        author: person(2),
        bot: false,
        text: personal("Two euros"),
        purpose: crate::permit::Purpose::Reply,
        permit: crate::permit::Permit::PrivateReply { comment, ends: ended },
        previous: None,
        opening: conversation::Opening { message: crate::MessageId(Uuid::from_u128(3)), at: NOON, side: conversation::Side::Page },
        away: false,
    };
    given::<Conversation>([]).at(ended.minus(MICRO)).when(command.clone()).then_nothing();
    given::<Conversation>([]).at(ended).when(command.clone()).then([expired(comment)]);
    given::<Conversation>([expired(other)]).at(ended).when(command.clone()).then([expired(comment)]);
    for settled in [expired(comment), replied] {
        given::<Conversation>([settled]).at(ended).when(command.clone()).then_nothing();
    }
}

#[test]
fn what_has_no_deadlines_is_never_woken_and_a_key_names_one_matter() {
    let group = crate::group::stream(GroupId(Uuid::from_u128(1)));
    assert!(wake(&Matter::from(&group), NOON).is_none());
    assert!(wake(&Matter::from(&StreamName::stored("membership-of nobody")), NOON).is_none());
    let conversation = conversation::stream(PageId(Uuid::from_u128(1)), ANN);
    let about = Matter::about(conversation.clone(), Uuid::from_u128(2));
    assert_eq!(about.to_string(), format!("{conversation} {}", Uuid::from_u128(2)));
    assert_eq!(Matter::from(&conversation).to_string(), conversation.as_str());
    assert_eq!(CATEGORIES, ["comment", "conversation", "membership"]);
}
