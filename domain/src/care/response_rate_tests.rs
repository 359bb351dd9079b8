//! The response rate clause by clause, and against a second reading of the rules that shares nothing with the first.

use super::*;
use crate::testing::NOON;
use proptest::prelude::*;

const MICRO: Span = Span::micros(1);

fn hours(n: i64) -> Timestamp {
    NOON.plus(Span::hours(n))
}

/// A first message, answered after so many minutes.
fn first(at: Timestamp, minutes: Option<i64>) -> Incoming {
    let replied = minutes.map(|minutes| at.plus(Span::minutes(minutes)));
    Incoming { at, position: at.micros(), previous: None, opener: Side::Person, away: false, spam: false, replied }
}

/// So many first messages, a day apart, the last one at noon; each answered after so many minutes.
fn daily(count: i64, minutes: Option<i64>) -> Vec<Incoming> {
    (0..count).map(|n| first(hours(-24 * n), minutes)).collect()
}

fn long_after() -> Timestamp {
    hours(100)
}

fn rate(messages: &[Incoming]) -> ResponseRate {
    ResponseRate::compute(messages.iter().copied(), long_after())
}

#[test]
fn a_message_counts_after_a_day_of_silence() {
    let after = |silence: Span, side| {
        let previous = Previous { at: NOON.minus(silence), side };
        judge(&Incoming { previous: Some(previous), opener: side, ..first(NOON, None) }, long_after())
    };
    assert_eq!(judge(&first(NOON, None), long_after()), Verdict::Counted(None));
    for side in [Side::Person, Side::Page] {
        assert_eq!(after(DAY, side), Verdict::Counted(None));
    }
    let one_less = Span::micros(DAY.as_micros() - 1);
    assert_eq!(after(one_less, Side::Person), Verdict::LeftOut(LeftOut::NotTheFirst));
    assert_eq!(after(one_less, Side::Page), Verdict::LeftOut(LeftOut::AnswersThePage));
}

#[test]
fn an_answer_comes_in_less_than_a_day() {
    let replied = |replied| judge(&Incoming { replied: Some(replied), ..first(NOON, None) }, long_after());
    assert_eq!(replied(NOON.plus(DAY).minus(MICRO)), Verdict::Counted(Some(Span::micros(DAY.as_micros() - 1))));
    assert_eq!(replied(NOON.plus(DAY)), Verdict::Counted(None));
    assert_eq!(replied(NOON.minus(MICRO)), Verdict::Counted(Some(Span::micros(0))), "clocks of two nodes may differ");
}

#[test]
fn what_may_still_be_answered_is_pending() {
    let at = |now| judge(&first(NOON, None), now);
    assert_eq!(at(NOON), Verdict::LeftOut(LeftOut::Pending));
    assert_eq!(at(NOON.plus(DAY).minus(MICRO)), Verdict::LeftOut(LeftOut::Pending));
    assert_eq!(at(NOON.plus(DAY)), Verdict::Counted(None));
    // Judged at a moment before the answer, it waits for it still.
    let answered = first(NOON, Some(60));
    assert_eq!(judge(&answered, hours(1).minus(MICRO)), Verdict::LeftOut(LeftOut::Pending));
    assert_eq!(judge(&answered, hours(1)), Verdict::Counted(Some(Span::hours(1))));
}

#[test]
fn spam_and_what_came_while_away_are_left_out() {
    let spam = Incoming { spam: true, ..first(NOON, Some(1)) };
    let away = Incoming { away: true, ..first(NOON, Some(1)) };
    assert_eq!(judge(&spam, long_after()), Verdict::LeftOut(LeftOut::Spam));
    assert_eq!(judge(&away, long_after()), Verdict::LeftOut(LeftOut::Away));
    let result = rate(&[spam, away]);
    assert_eq!((result.basis, result.counted, result.rate(), result.mean_seconds()), (Basis::Nothing, 0, None, None));
    assert_eq!(result.label(), Label::NotRated);
}

#[test]
fn the_window_is_thirty_days_that_end_with_the_last_counted_message() {
    let days = |n| NOON.minus(Span::days(n));
    let mut messages: Vec<_> = (0..9).map(|n| first(days(n), None)).collect();
    messages.push(first(days(30).plus(MICRO), None));
    messages.push(first(days(30), Some(1)));
    let result = rate(&messages);
    assert_eq!((result.basis, result.counted, result.answered), (Basis::Last30Days, 10, 0));
    assert_eq!(result.explain(&messages[9]), Verdict::Counted(None));
    assert_eq!(result.explain(&messages[10]), Verdict::LeftOut(LeftOut::BeforeTheWindow));
    // Without the tenth, the window is too thin: the last 10 are taken.
    messages.remove(9);
    let result = rate(&messages);
    assert_eq!((result.basis, result.counted, result.answered), (Basis::Last10, 10, 1));
    // A pending message does not move the window.
    messages.push(first(days(-40), None));
    let result = ResponseRate::compute(messages.iter().copied(), days(-40));
    assert_eq!((result.basis, result.counted, result.pending), (Basis::Last10, 10, 1));
    messages.truncate(9);
    assert_eq!((rate(&messages).basis, rate(&messages).counted), (Basis::All, 9));
}

#[test]
fn what_was_written_later_is_not_seen() {
    let messages = [first(NOON, Some(1)), first(hours(1), Some(1))];
    let result = ResponseRate::compute(messages, hours(1).minus(MICRO));
    assert_eq!((result.counted, result.answered, result.pending), (1, 1, 0));
}

#[test]
fn the_mean_time_is_that_of_the_fastest_nine_tenths() {
    let mean = |minutes: &[i64]| {
        let messages: Vec<_> = minutes.iter().zip(0..).map(|(minutes, n)| first(hours(-24 * n), Some(*minutes))).collect();
        rate(&messages).mean_seconds()
    };
    assert_eq!(mean(&[5]), Some(300.0));
    assert_eq!(mean(&[1, 3]), Some(120.0), "of 2 the 2 fastest");
    assert_eq!(mean(&[1, 2, 3, 4, 5, 6, 7, 8, 1000]), Some(1036.0 * 60.0 / 9.0), "of 9 all 9");
    assert_eq!(mean(&[1000, 1, 1, 1, 1, 1, 1, 1, 1, 10]), Some(120.0), "of 10 the 9 fastest");
    assert_eq!(mean(&[1000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 12]), Some(21.0 * 6.0), "of 11 the 10 fastest");
}

#[test]
fn labels_begin_where_they_say() {
    let label = |answered: i64, minutes: i64, unanswered: i64| {
        let all = (0..answered + unanswered).map(|n| first(hours(-24 * n), (n < answered).then_some(minutes)));
        rate(&all.collect::<Vec<_>>()).label()
    };
    assert_eq!(label(9, 15, 1), Label::VeryResponsive);
    assert_eq!(label(9, 16, 1), Label::Responsive);
    assert_eq!(label(8, 1, 1), Label::Responsive, "89 %");
    assert_eq!(label(3, 1439, 1), Label::Responsive, "75 %");
    assert_eq!(label(2, 1, 1), Label::Slow, "67 %");
    assert_eq!(label(0, 0, 3), Label::Slow);
    assert_eq!(label(2, 1, 0), Label::NotRated);
    assert_eq!(label(3, 15, 0), Label::VeryResponsive);
    // A microsecond above the limit is above it.
    let mut three = daily(3, Some(15));
    three[0].replied = three[0].replied.map(|at| at.plus(MICRO));
    assert_eq!(rate(&three).label(), Label::Responsive);
}

#[test]
fn words_for_machines_are_stable() {
    let bases = [Basis::Nothing, Basis::All, Basis::Last10, Basis::Last30Days].map(word);
    assert_eq!(bases, ["nothing", "all", "last_10", "last_30_days"]);
    let labels = [Label::VeryResponsive, Label::Responsive, Label::Slow, Label::NotRated].map(word);
    assert_eq!(labels, ["very_responsive", "responsive", "slow", "not_rated"]);
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

/// A message as somebody saw it go by.
#[derive(Debug, Clone, Copy)]
struct Seen {
    conversation: u8,
    minute: i64,
    who: Who,
    away: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Person,
    Staff,
    Automatic,
}

fn any_history() -> impl Strategy<Value = Vec<Seen>> {
    let who = prop_oneof![4 => Just(Who::Person), 3 => Just(Who::Staff), 1 => Just(Who::Automatic)];
    // Steps around the limits are frequent.
    let step = prop_oneof![0..40_i64, 700..1500_i64, Just(1439), Just(1440), Just(1441), 2000..12_000_i64];
    let message = (0..4_u8, step, who, prop::bool::weighted(0.05));
    prop::collection::vec(message, 0..90).prop_map(|messages| {
        let mut clocks = [0_i64; 4];
        let place = |(conversation, step, who, away): (u8, i64, Who, bool)| {
            let clock = &mut clocks[usize::from(conversation)];
            *clock += step;
            Seen { conversation, minute: *clock, who, away }
        };
        messages.into_iter().map(place).collect()
    })
}

/// The facts as the conversation writes them down and the read model joins them.
fn facts(history: &[Seen], spam: u8) -> Vec<Incoming> {
    let moment = |minute| NOON.plus(Span::minutes(minute));
    let mut found = vec![];
    for conversation in 0..4 {
        let messages: Vec<Seen> = history.iter().copied().filter(|m| m.conversation == conversation && m.who != Who::Automatic).collect();
        let mut opener = Side::Person;
        for (i, message) in messages.iter().enumerate() {
            let side = |seen: &Seen| if seen.who == Who::Person { Side::Person } else { Side::Page };
            let before = i.checked_sub(1).map(|i| messages[i]);
            if before.is_none_or(|before| message.minute - before.minute >= 1440) {
                opener = side(message);
            }
            if message.who == Who::Person {
                found.push(Incoming {
                    at: moment(message.minute),
                    position: i64::try_from(found.len()).unwrap(),
                    previous: before.map(|before| Previous { at: moment(before.minute), side: side(&before) }),
                    opener,
                    away: message.away,
                    spam: conversation == spam,
                    replied: messages[i..].iter().find(|m| m.who == Who::Staff).map(|m| moment(m.minute)),
                });
            }
        }
    }
    found
}

/// Counted, answered, pending, rate and mean seconds, straight from the rules of the product.
fn model(history: &[Seen], spam: u8, at: i64) -> (usize, usize, usize, Option<f64>, Option<f64>) {
    const DAY: i64 = 1440;
    let (mut counted, mut pending) = (vec![], 0);
    for (i, message) in history.iter().enumerate() {
        if message.who != Who::Person || message.conversation == spam || message.away || message.minute > at {
            continue;
        }
        let of_both = |other: &&Seen| other.conversation == message.conversation && other.who != Who::Automatic;
        let broken = history[..i].iter().filter(of_both).any(|other| message.minute < other.minute + DAY);
        if broken {
            continue;
        }
        let answers = history[i..].iter().filter(of_both).filter(|other| other.who == Who::Staff && other.minute <= at);
        let answer = answers.map(|other| other.minute - message.minute).filter(|after| *after < DAY).min();
        match answer {
            None if at < message.minute + DAY => pending += 1,
            answer => counted.push((message.minute, answer)),
        }
    }
    counted.sort_by_key(|(minute, _)| std::cmp::Reverse(*minute));
    let last = counted.first().map_or(0, |(minute, _)| *minute);
    let in_window = counted.iter().filter(|(minute, _)| *minute > last - 30 * DAY).count();
    counted.truncate(if in_window < 10 { 10 } else { in_window });
    let mut times: Vec<i64> = counted.iter().filter_map(|(_, answer)| *answer).collect();
    times.sort_unstable();
    let answered = times.len();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    let (rate, mean) = {
        times.truncate((answered as f64 * 0.9 - 1e-9).ceil() as usize);
        let mean = times.iter().sum::<i64>() as f64 * 60.0 / times.len() as f64;
        (answered as f64 / counted.len() as f64, mean)
    };
    (counted.len(), answered, pending, (!counted.is_empty()).then_some(rate), (answered > 0).then_some(mean))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn two_readings_of_the_rules_agree(history in any_history(), spam in 0..5_u8, at in 0..90_000_i64) {
        let mut history = history;
        // Messages of one moment may tie at the edge of the last 10; the model does not know the log's order.
        history.sort_by_key(|seen| seen.minute);
        let facts = facts(&history, spam);
        let result = ResponseRate::compute(facts.iter().copied(), NOON.plus(Span::minutes(at)));
        let (counted, answered, pending, rate, mean) = model(&history, spam, at);
        let moments: std::collections::BTreeSet<_> = facts.iter().map(|fact| fact.at).collect();
        prop_assert_eq!((result.counted, result.pending), (counted, pending));
        if moments.len() == facts.len() {
            prop_assert_eq!((result.answered, result.rate()), (answered, rate));
            match (result.mean_seconds(), mean) {
                (Some(found), Some(mean)) => prop_assert!((found - mean).abs() < 1e-6, "{found} {mean}"),
                (found, mean) => prop_assert_eq!(found, mean),
            }
        }
        // The explanation adds up to the result.
        let explained = facts.iter().filter(|fact| fact.at <= result.at).map(|fact| result.explain(fact)).collect::<Vec<_>>();
        prop_assert_eq!(explained.iter().filter(|verdict| matches!(verdict, Verdict::Counted(_))).count(), result.counted);
        prop_assert_eq!(explained.iter().filter(|verdict| matches!(verdict, Verdict::Counted(Some(_)))).count(), result.answered);
        prop_assert_eq!(explained.iter().filter(|verdict| **verdict == Verdict::LeftOut(LeftOut::Pending)).count(), result.pending);
    }
}
