//! Decisions in a conversation: permits and their bounds, the inbox, and what is written down.

use super::*;
use crate::comment::{Facts, Place};
use crate::decider::Decider;
use crate::page::{self, Page, StaffRole};
use crate::testing::{Given, NOON, given, person, personal, some_stream};
use crate::{PostId, fan};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

const PAGE: PageId = PageId(Uuid::from_u128(0x50));
const OWNER: PersonId = person(1);
const AGENT: PersonId = person(2);
const EDITOR: PersonId = person(3);
const FAN: PersonId = person(9);
const COMMENT: CommentId = CommentId(Uuid::from_u128(0x71));
const OTHER: CommentId = CommentId(Uuid::from_u128(0x72));
/// The command id of [`given`].
const NEW: MessageId = MessageId(Uuid::from_u128(0xC0));
const DAY: Span = Span::hours(24);
const WEEK: Span = Span::days(7);
const MICRO: Span = Span::micros(1);

fn standing(who: PersonId) -> PageStanding {
    let created = page::Event::Created { name: "Forno".into(), username: "forno".into(), owner: OWNER };
    let staff = [(AGENT, StaffRole::CareAgent), (EDITOR, StaffRole::Editor)];
    let hired = staff.map(|(person, role)| page::Event::StaffGiven { person, role });
    let page = std::iter::once(created).chain(hired).fold(Page::default(), |page, event| page.evolve(&event, NOON));
    PageStanding::new(Some(who), false, PAGE, Arc::new(page), Arc::default())
}

fn anonymous() -> PageStanding {
    PageStanding::new(None, false, PAGE, Arc::new(standing(OWNER).page().clone()), Arc::default())
}

fn words() -> Message {
    Message::parse("Hello").unwrap()
}

fn text() -> Personal<String> {
    personal("Hello")
}

fn message(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(n))
}

/// A comment of the fan on a post of the page, written at noon.
fn comment(id: CommentId) -> CommentedOn {
    let place = Place { post: PostId(Uuid::from_u128(0x70)), reply_to: None, page_post: Some(PAGE) };
    CommentedOn { id, facts: Facts { place, author: FAN, voice: Voice::Person(FAN), removed: false }, written: NOON }
}

fn write() -> Command {
    Command::WriteToPage { by: standing(FAN), text: words() }
}

fn send(by: PersonId, permit: Claim) -> Command {
    Command::SendPageMessage { by: standing(by), to: Fan::default(), text: words(), purpose: Purpose::Reply, permit }
}

fn reply(id: CommentId) -> Command {
    send(AGENT, Claim::PrivateReply(comment(id)))
}

/// A conversation in which these commands were accepted at these moments.
fn after(history: impl IntoIterator<Item = (Timestamp, Command)>) -> Conversation {
    history.into_iter().zip(1..).fold(Conversation::default(), |state, ((now, command), n)| {
        let events = state
            .decide(&command, &Context { stream: &some_stream::<Conversation>(), now, actor: None, command_id: Uuid::from_u128(n) })
            .unwrap();
        events.iter().fold(state, |state, event| state.evolve(event, now))
    })
}

/// Asks `command` at `now` of a conversation with this history.
fn ask(history: Vec<(Timestamp, Command)>, now: Timestamp, command: &Command) -> Result<Vec<Event>, Error> {
    after(history).decide(command, &Context { stream: &some_stream::<Conversation>(), now, actor: None, command_id: NEW.0 })
}

fn permit(outcome: Result<Vec<Event>, Error>) -> Result<Permit, Error> {
    match outcome?.as_slice() {
        [Event::PageWrote { permit, .. }] => Ok(*permit),
        other => panic!("{other:?}"),
    }
}

fn first() -> Given<Conversation> {
    given::<Conversation>([])
}

#[test]
fn a_person_writes_and_the_facts_are_kept() {
    let opening = Opening { message: NEW, at: NOON, side: Side::Person };
    first().when(write()).then([Event::PersonWrote { message: NEW, text: text(), previous: None, opening, away: false }]);
    first().when(Command::WriteToPage { by: anonymous(), text: words() }).rejected(Denied::Anonymous.into());
}

#[test]
fn a_private_reply_keeps_its_permit_and_names_who_wrote() {
    let (permit, opening) =
        (Permit::PrivateReply { comment: COMMENT, ends: NOON.plus(WEEK) }, Opening { message: NEW, at: NOON, side: Side::Page });
    let (author, purpose) = (AGENT, Purpose::Reply);
    let wrote = Event::PageWrote { message: NEW, author, bot: false, text: text(), purpose, permit, previous: None, opening, away: false };
    first().when(reply(COMMENT)).then([wrote]);
}

#[test]
fn a_thread_ends_with_a_silence_of_a_day() {
    let at = |hours| NOON.plus(Span::hours(hours));
    let history = || vec![(at(0), reply(COMMENT)), (at(10), write())];
    let placed = |now, command| match ask(history(), now, &command).unwrap().as_slice() {
        [Event::PersonWrote { previous, opening, .. } | Event::PageWrote { previous, opening, .. }] => (*previous, *opening),
        other => panic!("{other:?}"),
    };
    let previous = Some(Previous { at: at(10), side: Side::Person });
    let of_the_page = Opening { message: message(1), at: at(0), side: Side::Page };
    assert_eq!(placed(at(34).minus(MICRO), write()), (previous, of_the_page));
    assert_eq!(placed(at(34), write()), (previous, Opening { message: NEW, at: at(34), side: Side::Person }));
    assert_eq!(placed(at(33), send(AGENT, Claim::Conversation)), (previous, of_the_page));
}

#[test]
fn a_private_reply_has_seven_days() {
    let ends = NOON.plus(WEEK);
    assert!(permit(ask(vec![], ends.minus(MICRO), &reply(COMMENT))).is_ok());
    assert_eq!(permit(ask(vec![], ends, &reply(COMMENT))), Err(Error::TooLate { ended: ends }));
}

#[test]
fn there_is_one_private_reply_to_a_comment() {
    let history = || vec![(NOON, reply(COMMENT)), (NOON, write())];
    // Whatever else has changed since, the second agent learns of the first one's message.
    let gone = CommentedOn { facts: Facts { removed: true, ..comment(COMMENT).facts }, ..comment(COMMENT) };
    for (now, claim) in [(NOON, comment(COMMENT)), (NOON.plus(WEEK), comment(COMMENT)), (NOON, gone)] {
        let outcome = ask(history(), now, &send(OWNER, Claim::PrivateReply(claim)));
        assert_eq!(outcome, Err(Error::AlreadyReplied { message: message(1) }));
    }
    assert_eq!(Error::AlreadyReplied { message: message(1) }.details(), Some(json!({ "message_id": message(1) })));
    assert!(permit(ask(history(), NOON, &reply(OTHER))).is_ok(), "another comment is another permit");
}

#[test]
fn one_private_reply_at_a_time_waits_for_an_answer() {
    let late = |id| send(AGENT, Claim::PrivateReply(CommentedOn { written: NOON.plus(WEEK), ..comment(id) }));
    let until = NOON.plus(WEEK);
    assert_eq!(permit(ask(vec![(NOON, reply(COMMENT))], NOON, &reply(OTHER))), Err(Error::ContactCap { until }));
    assert_eq!(permit(ask(vec![(NOON, reply(COMMENT))], until.minus(MICRO), &late(OTHER))), Err(Error::ContactCap { until }));
    assert!(permit(ask(vec![(NOON, reply(COMMENT))], until, &late(OTHER))).is_ok());
    assert!(permit(ask(vec![(NOON, reply(COMMENT)), (NOON, write())], NOON, &reply(OTHER))).is_ok(), "it was answered");
    let windowed = vec![(NOON, write()), (NOON, reply(COMMENT))];
    assert_eq!(permit(ask(windowed.clone(), NOON, &reply(OTHER))), Err(Error::ContactCap { until }));
    assert!(permit(ask(windowed, NOON, &send(AGENT, Claim::Conversation))).is_ok(), "the cap is one on private replies");
}

#[test]
fn a_private_reply_is_for_persons_who_commented_on_this_pages_own_post() {
    let with = |change: fn(&mut Facts)| {
        let mut commented = comment(COMMENT);
        change(&mut commented.facts);
        permit(ask(vec![], NOON, &send(AGENT, Claim::PrivateReply(commented))))
    };
    assert_eq!(with(|facts| facts.place.page_post = None), Err(Error::NotSupported));
    assert_eq!(with(|facts| facts.place.page_post = Some(PageId(Uuid::nil()))), Err(Denied::StaffOnly.into()));
    assert_eq!(with(|facts| facts.voice = Voice::Page(PAGE)), Err(Error::ToAPage));
    assert_eq!(with(|facts| facts.removed = true), Err(Error::CommentGone));
}

#[test]
fn the_window_is_open_for_a_day_after_the_persons_last_message() {
    let ends = NOON.plus(DAY);
    let send = || send(AGENT, Claim::Conversation);
    let open = Permit::ConversationWindow { opened: NOON, ends };
    assert_eq!(permit(ask(vec![(NOON, write())], ends.minus(MICRO), &send())), Ok(open));
    assert_eq!(permit(ask(vec![(NOON, write())], ends, &send())), Err(Error::WindowClosed { ended: Some(ends) }));
    assert_eq!(permit(ask(vec![], NOON, &send())), Err(Error::WindowClosed { ended: None }));
    // What the page writes opens nothing.
    assert_eq!(permit(ask(vec![(NOON, reply(COMMENT))], NOON, &send())), Err(Error::WindowClosed { ended: None }));
    let later = NOON.plus(Span::hours(23));
    let history = vec![(NOON, write()), (later, send())];
    assert_eq!(permit(ask(history, ends, &send())), Err(Error::WindowClosed { ended: Some(ends) }));
}

#[test]
fn care_is_for_owners_and_care_agents() {
    for (who, allowed) in [(OWNER, true), (AGENT, true), (EDITOR, false), (FAN, false)] {
        let by = || standing(who);
        let asked = [
            send(who, Claim::Conversation),
            send(who, Claim::PrivateReply(comment(COMMENT))),
            Command::MarkDone { by: by() },
            Command::MarkSpam { by: by() },
            Command::Reopen { by: by() },
        ];
        for command in asked {
            let outcome = ask(vec![(NOON, write())], NOON, &command);
            assert_eq!(outcome.is_ok(), allowed, "{command:?}: {outcome:?}");
            assert!(allowed || outcome == Err(Denied::StaffOnly.into()));
        }
    }
}

#[test]
fn a_page_that_is_blocked_writes_no_more() {
    let to = Fan::default().evolve(&fan::Event::Blocked, NOON);
    for permit in [Claim::Conversation, Claim::PrivateReply(comment(COMMENT))] {
        let command = Command::SendPageMessage { by: standing(AGENT), to: to.clone(), text: words(), purpose: Purpose::Care, permit };
        assert_eq!(ask(vec![(NOON, write())], NOON, &command), Err(Error::Blocked));
    }
}

#[test]
fn what_needs_another_permit_is_not_supported() {
    for purpose in [Purpose::Promotion, Purpose::Notice, Purpose::Warning] {
        let command =
            |by| Command::SendPageMessage { by: standing(by), to: Fan::default(), text: words(), purpose, permit: Claim::Conversation };
        assert_eq!(ask(vec![(NOON, write())], NOON, &command(AGENT)), Err(Error::NotSupported));
        assert_eq!(ask(vec![(NOON, write())], NOON, &command(FAN)), Err(Denied::StaffOnly.into()), "rights come first");
    }
}

#[test]
fn a_new_message_opens_what_was_done_and_not_what_is_spam() {
    let done = || (NOON, Command::MarkDone { by: standing(AGENT) });
    let spam = || (NOON, Command::MarkSpam { by: standing(AGENT) });
    let status = |history: Vec<_>| after(history).status();
    assert_eq!(status(vec![(NOON, write())]), Status::Open);
    assert_eq!(status(vec![(NOON, write()), done()]), Status::Done);
    assert_eq!(status(vec![(NOON, write()), done(), (NOON, send(AGENT, Claim::Conversation))]), Status::Done);
    assert_eq!(status(vec![(NOON, write()), done(), (NOON, write())]), Status::Open);
    assert_eq!(status(vec![(NOON, write()), spam(), (NOON, write())]), Status::Spam);
    assert_eq!(status(vec![(NOON, write()), spam(), (NOON, Command::Reopen { by: standing(AGENT) })]), Status::Open);
    assert_eq!(ask(vec![(NOON, write()), done()], NOON, &done().1), Ok(vec![]));
    assert_eq!(ask(vec![], NOON, &done().1), Err(Denied::Unknown.into()));
}

fn any_command() -> impl Strategy<Value = Command> {
    (0..6_u8, 1..4_u128, any::<bool>()).prop_map(|(which, who, other)| {
        let by = standing(person(who));
        match which {
            0 => write(),
            1 => send(person(who), Claim::Conversation),
            2 => send(person(who), Claim::PrivateReply(comment(if other { OTHER } else { COMMENT }))),
            3 => Command::MarkDone { by },
            4 => Command::MarkSpam { by },
            _ => Command::Reopen { by },
        }
    })
}

proptest! {
    /// Over any history: one private reply per comment, never two unanswered within the cap, every message under a permit
    /// that holds, and the facts are those that a second reading of the messages gives.
    #[test]
    fn no_history_breaks_the_rules(steps in prop::collection::vec((any_command(), 0..30_i64), 0..40)) {
        let (mut state, mut now, mut sent) = (Conversation::default(), NOON, Vec::new());
        for ((command, hours), n) in steps.into_iter().zip(1..) {
            now = now.plus(Span::hours(hours));
            let events = state.decide(&command, &Context { stream: &some_stream::<Conversation>(), now, actor: None, command_id: Uuid::from_u128(n) }).unwrap_or_default();
            state = events.iter().fold(state, |state, event| state.evolve(event, now));
            sent.extend(events.into_iter().map(|event| (now, event)));
        }
        let mut before: Vec<(Timestamp, Option<Permit>)> = vec![];
        for (at, event) in sent {
            let (permit, previous, opening) = match event {
                Event::PersonWrote { previous, opening, .. } => (None, previous, opening),
                Event::PageWrote { permit, previous, opening, .. } => (Some(permit), previous, opening),
                _ => continue,
            };
            prop_assert_eq!(previous.map(|previous| previous.at), before.last().map(|(at, _)| *at));
            let start = (0..before.len()).rev().find(|i| *i == 0 || before[*i].0 >= before[i - 1].0.plus(DAY));
            let begins = previous.is_none_or(|previous| at >= previous.at.plus(DAY));
            prop_assert_eq!(opening.at, if begins { at } else { before[start.unwrap_or(0)].0 });
            let person_wrote = before.iter().rev().find(|(_, permit)| permit.is_none()).map(|(at, _)| *at);
            match permit {
                None => {}
                Some(Permit::ConversationWindow { opened, ends }) => {
                    prop_assert_eq!((Some(opened), ends), (person_wrote, opened.plus(DAY)));
                    prop_assert!(at < ends);
                }
                Some(Permit::PrivateReply { comment, ends }) => {
                    let replies = before.iter().filter_map(|(at, permit)| match permit {
                        Some(Permit::PrivateReply { comment, .. }) => Some((*at, *comment)),
                        _ => None,
                    });
                    prop_assert!(at < ends && ends == NOON.plus(WEEK));
                    for (replied, other) in replies {
                        prop_assert!(other != comment);
                        prop_assert!(person_wrote.is_some_and(|wrote| wrote >= replied) || at >= replied.plus(WEEK));
                    }
                }
            }
            before.push((at, permit));
        }
    }
}
