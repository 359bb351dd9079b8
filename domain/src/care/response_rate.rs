//! How reliably and how fast a page answers: formula version 2, computed from facts, at a moment, with a reason per message.
//!
//! The formula looks at what persons wrote. What it leaves out, it leaves out before the window is chosen.

use crate::conversation::{Previous, Side};
use crate::{Span, Timestamp};
use serde::Serialize;

/// The version of the formula; results of an older one stay readable beside it.
pub const FORMULA: u32 = 2;

/// A message counts if nobody had written for so long, and is answered if a reply comes sooner than so long after it.
pub const DAY: Span = Span::hours(24);
/// The window ends with the last counted message and is so long.
pub const WINDOW: Span = Span::days(30);
/// With fewer than so many in the window, the last so many are taken.
pub const ENOUGH: usize = 10;
/// With fewer than so many counted, there is no label.
const RATED: usize = 3;
/// The longest mean time of a page that answers very quickly.
const QUICK: Span = Span::minutes(15);

/// What is known of a message of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// When it was written.
    pub at: Timestamp,
    /// Its place in the log; tells messages of the same moment apart.
    pub position: i64,
    /// The message before it in the conversation, of either side. Automatic messages are nobody's.
    pub previous: Option<Previous>,
    /// Who began the thread that it belongs to.
    pub opener: Side,
    /// Whether the page had said that it is away.
    pub away: bool,
    /// Whether its conversation is marked as spam now.
    pub spam: bool,
    /// When staff wrote next in the conversation, human or bot. Automatic messages are no reply.
    pub replied: Option<Timestamp>,
}

/// Why a message is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Its conversation is spam.
    Spam,
    /// The page had said that it is away.
    Away,
    /// It answers, within 24 hours, a thread that the page began.
    AnswersThePage,
    /// Somebody had written in the 24 hours before.
    NotTheFirst,
    /// It has no answer yet, and there is still time for one.
    Pending,
    /// It was written before the window.
    BeforeTheWindow,
}

/// What the formula makes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts, and was answered after so long, if it was.
    Counted(Option<Span>),
    /// It does not count.
    LeftOut(LeftOut),
}

/// Which messages a result is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// None: nothing counted.
    Nothing,
    /// All that ever counted: fewer than 10.
    All,
    /// The last 10, as there were fewer in the 30 days.
    #[serde(rename = "last_10")]
    Last10,
    /// Those of 30 days.
    #[serde(rename = "last_30_days")]
    Last30Days,
}

/// What everyone may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// At least 90 % answered, in at most 15 minutes.
    VeryResponsive,
    /// At least 75 % answered.
    Responsive,
    /// Fewer.
    Slow,
    /// Fewer than 3 messages counted.
    NotRated,
}

/// A page's response rate and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseRate {
    /// The moment it was computed at.
    pub at: Timestamp,
    /// Which messages it is based on.
    pub basis: Basis,
    /// How many counted.
    pub counted: usize,
    /// How many of them were answered.
    pub answered: usize,
    /// How many wait for their answer; they are not counted.
    pub pending: usize,
    /// How many answers the mean time is taken of, and their sum in microseconds.
    time: Option<(i64, i64)>,
    /// Moment and place of the first message that counted.
    first: Option<(Timestamp, i64)>,
}

/// Whether a message counts at `at`, apart from the window.
pub fn judge(message: &Incoming, at: Timestamp) -> Verdict {
    let out = Verdict::LeftOut;
    let silence = message.previous.map(|previous| message.at.since(previous.at));
    if message.spam {
        return out(LeftOut::Spam);
    }
    if message.away {
        return out(LeftOut::Away);
    }
    if silence.is_some_and(|silence| silence < DAY) {
        return out(if message.opener == Side::Page { LeftOut::AnswersThePage } else { LeftOut::NotTheFirst });
    }
    // Clocks of two nodes may differ a little; no answer comes before its question.
    let reply = message.replied.filter(|replied| *replied <= at).map(|replied| replied.since(message.at).max(Span::micros(0)));
    match reply.filter(|after| *after < DAY) {
        Some(after) => Verdict::Counted(Some(after)),
        None if at < message.at.plus(DAY) => out(LeftOut::Pending),
        None => Verdict::Counted(None),
    }
}

impl ResponseRate {
    /// Computes it at `at`. `messages` holds those of the page that were written until then, in any order; what the formula
    /// cannot look at may be missing: before the last 10 that count, what is older than 30 days before the last of them.
    pub fn compute(messages: impl IntoIterator<Item = Incoming>, at: Timestamp) -> Self {
        let (mut counted, mut pending) = (Vec::new(), 0);
        for message in messages.into_iter().filter(|message| message.at <= at) {
            match judge(&message, at) {
                Verdict::Counted(after) => counted.push((message.at, message.position, after)),
                Verdict::LeftOut(LeftOut::Pending) => pending += 1,
                Verdict::LeftOut(_) => {}
            }
        }
        counted.sort_unstable_by_key(|(written, position, _)| (*written, *position));
        let since = counted.last().map(|(last, ..)| last.minus(WINDOW));
        let within = counted.iter().filter(|(written, ..)| Some(*written) > since).count();
        let (basis, taken) = match counted.len() {
            0 => (Basis::Nothing, 0),
            _ if within >= ENOUGH => (Basis::Last30Days, within),
            all if all >= ENOUGH => (Basis::Last10, ENOUGH),
            all => (Basis::All, all),
        };
        let counted = &counted[counted.len() - taken..];
        let mut times: Vec<i64> = counted.iter().filter_map(|(_, _, after)| after.map(Span::as_micros)).collect();
        times.sort_unstable();
        let first = counted.first().map(|(written, position, _)| (*written, *position));
        Self { at, basis, counted: taken, answered: times.len(), pending, time: fastest(&times), first }
    }

    /// The share of counted messages that were answered; `None` if nothing counted.
    #[expect(clippy::cast_precision_loss, reason = "nobody is written to 2^52 times")]
    pub fn rate(&self) -> Option<f64> {
        (self.counted > 0).then(|| self.answered as f64 / self.counted as f64)
    }

    /// The mean time in seconds of the fastest nine tenths of the answers; `None` without an answer.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of answers within 24 hours, and their number, are small enough")]
    pub fn mean_seconds(&self) -> Option<f64> {
        self.time.map(|(number, sum)| sum as f64 / number as f64 / 1_000_000.0)
    }

    /// What everyone may know.
    pub fn label(&self) -> Label {
        let quick = self.time.is_some_and(|(number, sum)| sum <= number.saturating_mul(QUICK.as_micros()));
        // An answer takes less than 24 hours by definition, so the mean time says no more about `responsive`.
        match (self.answered, self.counted) {
            (_, counted) if counted < RATED => Label::NotRated,
            (answered, counted) if answered * 10 >= counted * 9 && quick => Label::VeryResponsive,
            (answered, counted) if answered * 4 >= counted * 3 => Label::Responsive,
            _ => Label::Slow,
        }
    }

    /// What this result makes of a message.
    pub fn explain(&self, message: &Incoming) -> Verdict {
        match judge(message, self.at) {
            Verdict::Counted(_) if Some((message.at, message.position)) < self.first => Verdict::LeftOut(LeftOut::BeforeTheWindow),
            verdict => verdict,
        }
    }
}

/// How many answers are the fastest nine tenths, rounded up, and their sum.
fn fastest(sorted: &[i64]) -> Option<(i64, i64)> {
    let taken = &sorted[..(sorted.len() * 9).div_ceil(10)];
    let number = i64::try_from(taken.len()).ok().filter(|number| *number > 0)?;
    Some((number, taken.iter().sum()))
}

#[cfg(test)]
#[path = "response_rate_tests.rs"]
mod tests;
