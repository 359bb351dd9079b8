//! Decisions of a question.

use super::*;
use crate::Span;
use crate::access::{Origin, Privacy};
use crate::group::{Event as GroupEvent, History, Policy};
use crate::membership::Event as MembershipEvent;
use crate::testing::{Community, FOUNDER, Given, NOON, given, person, personal, some_stream};
use proptest::prelude::*;
use uuid::Uuid;

const ASKER: PersonId = person(2);
const MEMBER: PersonId = person(3);
const MODERATOR: PersonId = person(4);
const BANNED: PersonId = person(5);
const STRANGER: PersonId = person(9);
const FIRST: AnswerId = AnswerId(Uuid::from_u128(0xA1));
const SECOND: AnswerId = AnswerId(Uuid::from_u128(0xA2));

fn of(privacy: Privacy) -> Community {
    let reason = personal("threw stones");
    Community::founded(privacy, Policy::Request)
        .with_member(ASKER)
        .with_member(MEMBER)
        .with(MODERATOR, Role::Moderator)
        .about(BANNED, MembershipEvent::Banned { episode: None, reason, until: None })
}

fn club() -> Community {
    of(Privacy::Closed)
}

/// The standing of `who` towards the question, which was asked at noon in the first era.
fn towards(club: &Community, who: PersonId) -> Standing {
    let scope = crate::access::Scope { era: 0, ..club.standing(who).scope().unwrap() };
    club.standing(who).towards(Origin { scope, at: NOON })
}

fn posted() -> Event {
    Event::Posted { author: ASKER, title: personal("Which hut?"), body: personal("For two nights.") }
}

fn answered(answer: AnswerId) -> Event {
    Event::Answered { answer, author: MEMBER, body: personal("The lower one") }
}

fn accepted(answer: AnswerId, previous: Option<AnswerId>) -> Event {
    Event::AnswerAccepted { answer, previous }
}

fn with_answers(more: impl IntoIterator<Item = Event>) -> Given<Question> {
    given::<Question>([posted(), answered(FIRST), answered(SECOND)].into_iter().chain(more))
}

fn post(by: Standing) -> Command {
    Command::PostQuestion { by, title: Title::parse(" Which hut? ").unwrap(), body: Body::parse("For two nights.").unwrap() }
}

fn answer(by: Standing) -> Command {
    Command::PostAnswer { by, body: Comment::parse("The lower one").unwrap() }
}

fn accept(by: PersonId, answer: AnswerId) -> Command {
    Command::AcceptAnswer { by: towards(&club(), by), answer }
}

fn withdraw(by: PersonId) -> Command {
    Command::WithdrawAcceptance { by: towards(&club(), by) }
}

fn close(by: PersonId) -> Command {
    Command::CloseQuestion { by: towards(&club(), by) }
}

fn reopen(by: PersonId) -> Command {
    Command::ReopenQuestion { by: towards(&club(), by) }
}

#[test]
fn members_ask_and_nobody_else() {
    let club = club();
    given::<Question>([]).when(post(club.standing(ASKER))).then([posted()]);
    given::<Question>([]).when(post(club.standing(STRANGER))).rejected(Denied::MembersOnly.into());
    given::<Question>([]).when(post(club.standing(BANNED))).rejected(Denied::Banned.into());
    given::<Question>([]).when(post(club.anonymous())).rejected(Denied::Anonymous.into());
    let secret = of(Privacy::Secret);
    given::<Question>([]).when(post(secret.standing(STRANGER))).rejected(Denied::Unknown.into());
}

#[test]
fn a_question_is_asked_once() {
    given::<Question>([posted()]).when(post(club().standing(ASKER))).rejected(Error::AlreadyExists);
}

#[test]
fn members_answer_under_the_id_of_their_command() {
    given::<Question>([posted()]).command_id(FIRST.0).when(answer(towards(&club(), MEMBER))).then([answered(FIRST)]);
    // Another command is another answer, even with the same words by the same person.
    given::<Question>([posted(), answered(FIRST)]).command_id(SECOND.0).when(answer(towards(&club(), MEMBER))).then([answered(SECOND)]);
}

#[test]
fn who_reads_without_being_a_member_does_not_answer() {
    let public = of(Privacy::Public);
    given::<Question>([posted()]).when(answer(towards(&public, STRANGER))).rejected(Denied::MembersOnly.into());
    given::<Question>([posted()]).when(answer(towards(&public, BANNED))).rejected(Denied::Banned.into());
    given::<Question>([posted()]).when(answer(public.anonymous())).rejected(Denied::Anonymous.into());
}

#[test]
fn nobody_answers_what_they_may_not_read() {
    let later = club().in_group(GroupEvent::HistoryChanged { history: History::SinceJoining }).later(Span::hours(1)).with_member(STRANGER);
    given::<Question>([posted()]).when(answer(towards(&later, STRANGER))).rejected(Denied::BeforeYourTime.into());
    given::<Question>([posted()]).when(answer(towards(&later, MEMBER))).then([Event::Answered {
        answer: AnswerId(Uuid::from_u128(0xC0)),
        author: MEMBER,
        body: personal("The lower one"),
    }]);
    let secret = of(Privacy::Secret);
    given::<Question>([posted()]).when(answer(towards(&secret, STRANGER))).rejected(Denied::Unknown.into());
}

#[test]
fn of_a_question_nobody_asked_there_is_nothing() {
    for command in [answer(towards(&club(), MEMBER)), accept(ASKER, FIRST), withdraw(ASKER), close(ASKER), reopen(MODERATOR)] {
        given::<Question>([]).when(command).rejected(Denied::Unknown.into());
    }
}

#[test]
fn the_asker_or_who_keeps_order_accepts_an_answer() {
    for who in [ASKER, MODERATOR, FOUNDER] {
        with_answers([]).when(accept(who, FIRST)).then([accepted(FIRST, None)]);
    }
    with_answers([]).when(accept(MEMBER, FIRST)).rejected(Error::NotTheAsker);
    with_answers([]).when(accept(STRANGER, FIRST)).rejected(Denied::MembersOnly.into());
}

#[test]
fn a_changed_choice_leaves_its_trail() {
    let once = [accepted(FIRST, None)];
    with_answers(once.clone()).when(accept(ASKER, FIRST)).then_nothing();
    with_answers(once.clone()).when(accept(MODERATOR, SECOND)).then([accepted(SECOND, Some(FIRST))]);
    with_answers(once.clone()).when(withdraw(ASKER)).then([Event::AcceptanceWithdrawn { answer: FIRST }]);
    let withdrawn = once.into_iter().chain([Event::AcceptanceWithdrawn { answer: FIRST }]);
    with_answers(withdrawn.clone()).when(withdraw(ASKER)).rejected(Error::NothingAccepted);
    with_answers(withdrawn).when(accept(ASKER, SECOND)).then([accepted(SECOND, None)]);
}

#[test]
fn only_an_answer_to_this_question_is_accepted() {
    given::<Question>([posted(), answered(FIRST)]).when(accept(ASKER, SECOND)).rejected(Error::NoSuchAnswer);
}

#[test]
fn a_closed_question_takes_no_answers_until_it_is_opened_again() {
    with_answers([]).when(close(ASKER)).then([Event::Closed]);
    with_answers([Event::Closed]).when(answer(towards(&club(), MEMBER))).rejected(Error::Closed);
    with_answers([Event::Closed]).when(close(MODERATOR)).then_nothing();
    with_answers([Event::Closed]).when(reopen(ASKER)).then([Event::Reopened]);
    let again = [Event::Closed, Event::Reopened];
    with_answers(again.clone()).when(reopen(ASKER)).then_nothing();
    with_answers(again).command_id(FIRST.0).when(answer(towards(&club(), MEMBER))).then([answered(FIRST)]);
}

#[test]
fn an_answer_of_a_closed_question_may_still_be_accepted() {
    with_answers([Event::Closed]).when(accept(ASKER, SECOND)).then([accepted(SECOND, None)]);
}

#[test]
fn the_asker_or_who_keeps_order_closes_and_opens() {
    for who in [ASKER, MODERATOR, FOUNDER] {
        with_answers([]).when(close(who)).then([Event::Closed]);
        with_answers([Event::Closed]).when(reopen(who)).then([Event::Reopened]);
    }
    with_answers([]).when(close(MEMBER)).rejected(Error::NotTheAsker);
    with_answers([Event::Closed]).when(reopen(MEMBER)).rejected(Error::NotTheAsker);
    with_answers([accepted(FIRST, None)]).when(withdraw(MEMBER)).rejected(Error::NotTheAsker);
}

#[test]
fn an_asker_who_left_no_longer_decides() {
    let left = club().about(ASKER, MembershipEvent::Left { episode: 1 });
    with_answers([]).when(Command::CloseQuestion { by: towards(&left, ASKER) }).rejected(Denied::MembersOnly.into());
    let public = of(Privacy::Public).about(ASKER, MembershipEvent::Left { episode: 1 });
    with_answers([]).when(Command::CloseQuestion { by: towards(&public, ASKER) }).rejected(Denied::MembersOnly.into());
}

#[test]
fn refusals_speak_in_stable_codes() {
    let codes = [
        (Error::AlreadyExists, "already_exists", Kind::Conflict),
        (Error::Closed, "question_closed", Kind::Conflict),
        (Error::NoSuchAnswer, "no_such_answer", Kind::Invalid),
        (Error::NothingAccepted, "nothing_accepted", Kind::NotFound),
        (Error::NotTheAsker, "not_the_asker", Kind::Forbidden),
        (Denied::BeforeYourTime.into(), "before_your_time", Kind::Forbidden),
    ];
    for (error, code, kind) in codes {
        assert_eq!((error.code(), error.kind()), (code, kind));
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let answers = prop::sample::select(vec![FIRST, SECOND, AnswerId(Uuid::nil())]);
    (0..6_u8, 1..6_u128, answers).prop_map(|(which, who, answer_id)| {
        let by = towards(&club(), person(who));
        match which {
            0 => post(by),
            1 => answer(by),
            2 => Command::AcceptAnswer { by, answer: answer_id },
            3 => Command::WithdrawAcceptance { by },
            4 => Command::CloseQuestion { by },
            _ => Command::ReopenQuestion { by },
        }
    })
}

proptest! {
    #[test]
    fn asking_again_for_what_was_accepted_changes_nothing(commands in prop::collection::vec((any_command(), 0xA0..0xA4_u128), 0..24)) {
        let mut question = Question::default();
        for (command, id) in commands {
            let context = Context { stream: &some_stream::<Question>(), now: NOON, actor: None, command_id: Uuid::from_u128(id) };
            if let Ok(events) = question.decide(&command, &context) {
                question = events.iter().fold(question, |question, event| question.evolve(event, NOON));
                let again = question.decide(&command, &context).unwrap_or_default();
                let after = again.iter().fold(question.clone(), |question, event| question.evolve(event, NOON));
                // An answer given again under the same command id is the same answer; the log knows that it has it.
                prop_assert!(again.is_empty() || matches!(command, Command::PostAnswer { .. }), "{command:?}: {again:?}");
                prop_assert_eq!(&after, &question);
            }
            if let Question::Asked { answers, accepted, .. } = &question {
                prop_assert!(accepted.is_none_or(|accepted| answers.contains_key(&accepted)));
            }
        }
    }

    #[test]
    fn no_history_however_odd_makes_a_question_panic(picks in prop::collection::vec(0..6_usize, 0..12), command in any_command()) {
        let samples: Vec<Event> = crate::testing::samples()
            .into_iter()
            .filter_map(|sample| if let crate::Event::Question(event) = sample { Some(event) } else { None })
            .collect();
        let odd = picks.iter().fold(Question::default(), |question, pick| question.evolve(&samples[pick % samples.len()], NOON));
        let _ = odd.decide(&command, &Context { stream: &some_stream::<Question>(), now: NOON, actor: None, command_id: Uuid::nil() });
    }
}
