//! An allowance: how often a day somebody may do what others feel, such as inviting them.
//!
//! A place is taken here first; the deed, in a stream of its own, comes second. So the bound holds whatever happens at one
//! moment, on whatever node: two takings are never both the last. A place that was taken for a deed that then did not happen
//! stays taken.

use crate::change::Change;
use crate::{Context, Decider, Kind, Named, Rejection, Span, StreamName, Timestamp, Written, stance::Rights, weight};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is counted, and how often it may be done in [`WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A person invites somebody, to whichever group.
    Invitation,
    /// A person creates a group.
    Group,
    /// A person creates a page.
    Page,
    /// A page takes another username; it keeps those it had.
    Username,
}

/// For how long what was done counts.
pub const WINDOW: Span = Span::hours(24);

impl Act {
    /// How often in [`WINDOW`].
    pub const fn most(self) -> usize {
        match self {
            Self::Invitation => 100,
            Self::Group => 50,
            Self::Page => 20,
            Self::Username => 5,
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Invitation => "invitations",
            Self::Group => "new groups",
            Self::Page => "new pages",
            Self::Username => "changes of a page's username",
        }
    }
}

/// What may be asked of this stream.
#[derive(Debug, Clone, Copy)]
pub enum Command {
    /// Takes a place, if there is one.
    TakePlace(Act),
    /// Takes room for so many bytes, if there is as much.
    TakeBytes {
        /// How many.
        bytes: u64,
        /// How many there may be.
        most: Room,
    },
    /// Gives room back that was taken; what was taken today stays so.
    GiveBytesBack {
        /// How many.
        bytes: u64,
    },
}

/// How many bytes of files a person may store. A setting: what was taken under another one stays taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In [`WINDOW`].
    pub per_day: u64,
    /// At a time.
    pub in_all: u64,
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::TakePlace(_) => "TakePlace",
            Self::TakeBytes { .. } => "TakeBytes",
            Self::GiveBytesBack { .. } => "GiveBytesBack",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// A place is taken: what it is taken for comes next, in another stream.
    #[serde(rename = "allowance.place_taken.v1")]
    PlaceTaken {
        /// What for.
        act: Act,
    },
    /// Room is taken: the file that it is taken for comes next, in another stream.
    #[serde(rename = "allowance.bytes_taken.v1")]
    BytesTaken {
        /// How much: at least 64 KiB for each file.
        bytes: u64,
    },
    /// A file is gone, and its room is free again.
    #[serde(rename = "allowance.bytes_given_back.v1")]
    BytesGivenBack {
        /// How much.
        bytes: u64,
    },
}

/// The fold of this stream: when places were taken, in order, as many as can still count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    taken: BTreeMap<Act, Vec<Timestamp>>,
    /// Bytes that were taken, as far as they can still count for the day.
    today: Vec<(Timestamp, u64)>,
    /// Bytes that are stored.
    stored: u64,
}

impl Allowance {
    fn take_bytes(&self, bytes: u64, most: Room, now: Timestamp) -> Result<Vec<Event>, Error> {
        let Room { per_day, in_all } = most;
        let counting: Vec<_> = self.today.iter().filter(|(at, _)| now < at.plus(WINDOW)).collect();
        let mut taken = counting.iter().fold(bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if taken > per_day {
            let mut until = None;
            for (at, bytes) in counting {
                taken -= bytes;
                if taken <= per_day {
                    until = Some(at.plus(WINDOW));
                    break;
                }
            }
            return Err(Error::TooManyBytesToday { per_day, until, wait: until.map(|until| until.since(now)) });
        }
        if self.stored.saturating_add(bytes) > in_all {
            return Err(Error::TooManyBytes { in_all, stored: self.stored });
        }
        Ok(vec![Event::BytesTaken { bytes }])
    }
}

/// The stream of whoever is counted: a person, or a page.
pub fn stream(whose: impl Into<Uuid>) -> StreamName {
    crate::stream::<Allowance>(whose.into())
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not so often.
    #[error("at most {} {} are possible in 24 hours", act.most(), act.plural())]
    TooMany {
        /// Of what.
        act: Act,
        /// When the next is possible.
        until: Timestamp,
        /// How long that is from now.
        wait: Span,
    },
    /// Not so much in a day.
    #[error("at most {per_day} bytes of files can be uploaded in 24 hours")]
    TooManyBytesToday {
        /// How many.
        per_day: u64,
        /// When there is room, if there ever is as much.
        until: Option<Timestamp>,
        /// How long that is from now.
        wait: Option<Span>,
    },
    /// Not so much at a time.
    #[error("at most {in_all} bytes of files can be stored, and {stored} are")]
    TooManyBytes {
        /// How many.
        in_all: u64,
        /// How many there are.
        stored: u64,
    },
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::TooMany { act: Act::Invitation, .. } => "too_many_invitations",
            Self::TooMany { act: Act::Group, .. } => "too_many_groups",
            Self::TooMany { act: Act::Page, .. } => "too_many_pages",
            Self::TooMany { act: Act::Username, .. } => "too_many_username_changes",
            Self::TooManyBytesToday { .. } => "media_quota_of_the_day",
            Self::TooManyBytes { .. } => "media_quota",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::TooMany { .. } | Self::TooManyBytesToday { .. } => Kind::TooMany,
            // Waiting does not help: something has to go first.
            Self::TooManyBytes { .. } => Kind::Conflict,
        }
    }

    fn details(&self) -> Option<Value> {
        Some(match self {
            Self::TooMany { until, .. } => json!({ "until": until }),
            Self::TooManyBytesToday { per_day, until, .. } => json!({ "per_day": per_day, "until": until }),
            Self::TooManyBytes { in_all, stored } => json!({ "in_all": in_all, "stored": stored }),
        })
    }

    fn wait(&self) -> Option<Span> {
        match self {
            Self::TooMany { wait, .. } => Some(*wait),
            Self::TooManyBytesToday { wait, .. } => *wait,
            Self::TooManyBytes { .. } => None,
        }
    }
}

impl Decider for Allowance {
    const CATEGORY: &'static str = "allowance";
    const STREAM: (&'static str, &'static str) =
        ("PERSON or PAGE", "what somebody did of the things that are bounded per day, and how much they store");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        let act = match *command {
            Command::TakePlace(act) => act,
            Command::TakeBytes { bytes, most } => return self.take_bytes(bytes, most, context.now),
            Command::GiveBytesBack { bytes: 0 } => return Ok(vec![]),
            Command::GiveBytesBack { bytes } => return Ok(vec![Event::BytesGivenBack { bytes }]),
        };
        let taken = self.taken.get(&act).map_or(&[][..], Vec::as_slice);
        // Clocks of nodes differ a little: what was taken in a moment to come counts, too.
        let mut counting = taken.iter().map(|at| at.plus(WINDOW)).filter(|end| context.now < *end);
        match counting.next() {
            Some(until) if counting.count() + 1 >= act.most() => Err(Error::TooMany { act, until, wait: until.since(context.now) }),
            _ => Ok(vec![Event::PlaceTaken { act }]),
        }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        match event {
            Event::PlaceTaken { act } => {
                let taken = self.taken.entry(*act).or_default();
                taken.insert(taken.partition_point(|before| *before <= at), at);
                if taken.len() > act.most() {
                    taken.remove(0);
                }
            }
            Event::BytesTaken { bytes } => {
                // Clocks of nodes differ a little: what is long over by the newest is over.
                self.today.retain(|(before, _)| at < before.plus(WINDOW).plus(WINDOW));
                self.today.insert(self.today.partition_point(|(before, _)| *before <= at), (at, *bytes));
                self.stored = self.stored.saturating_add(*bytes);
            }
            Event::BytesGivenBack { bytes } => self.stored = self.stored.saturating_sub(*bytes),
        }
        self
    }

    fn heap(&self) -> usize {
        weight::of_vec(&self.today) + weight::of_map(&self.taken) + self.taken.values().map(weight::of_vec).sum::<usize>()
    }

    /// No text in them is a person's.
    fn own_texts(_: &mut Event, _: &Written<'_>) {}

    // What places are taken for tells of itself.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Allowance(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    PlaceTaken { act: Act::Invitation }
    BytesTaken { bytes: 65_536 }
    BytesGivenBack { bytes: 65_536 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOON, some_stream};
    use proptest::prelude::*;

    const ACTS: [Act; 4] = [Act::Invitation, Act::Group, Act::Page, Act::Username];

    fn take(state: &Allowance, act: Act, now: Timestamp) -> Result<Vec<Event>, Error> {
        state.decide(&Command::TakePlace(act), &Context { stream: &some_stream::<Allowance>(), now, actor: None, command_id: Uuid::nil() })
    }

    #[test]
    fn there_are_so_many_places_and_the_first_comes_back_after_a_day() {
        for act in ACTS {
            let mut state = Allowance::default();
            let minute = |n: usize| NOON.plus(Span::minutes(i64::try_from(n).unwrap()));
            for n in 0..act.most() {
                let events = take(&state, act, minute(n)).unwrap();
                assert_eq!(events, [Event::PlaceTaken { act }]);
                state = state.evolve(&events[0], minute(n));
            }
            let until = NOON.plus(WINDOW);
            let last = until.minus(Span::micros(1));
            let refused = take(&state, act, last).unwrap_err();
            assert_eq!(refused, Error::TooMany { act, until, wait: Span::micros(1) });
            assert_eq!((refused.kind(), refused.details()), (Kind::TooMany, Some(json!({ "until": until }))));
            assert!(take(&state, act, until).is_ok());
            for other in ACTS.into_iter().filter(|other| *other != act) {
                assert!(take(&state, other, last).is_ok(), "{other:?} is counted apart from {act:?}");
            }
        }
    }

    #[test]
    fn a_day_has_so_much_room_and_so_has_all_of_it() {
        let room = Room { per_day: 100, in_all: 150 };
        let take = |state: &Allowance, bytes, now| {
            let context = Context { stream: &some_stream::<Allowance>(), now, actor: None, command_id: Uuid::nil() };
            state.decide(&Command::TakeBytes { bytes, most: room }, &context)
        };
        let mut state = Allowance::default();
        for (bytes, hour) in [(60, 0), (40, 1)] {
            let at = NOON.plus(Span::hours(hour));
            let events = take(&state, bytes, at).unwrap();
            assert_eq!(events, [Event::BytesTaken { bytes }]);
            state = state.evolve(&events[0], at);
        }
        let (until, last) = (NOON.plus(WINDOW), NOON.plus(WINDOW).minus(Span::micros(1)));
        let refused = take(&state, 1, last).unwrap_err();
        assert_eq!(refused, Error::TooManyBytesToday { per_day: 100, until: Some(until), wait: Some(Span::micros(1)) });
        assert_eq!(take(&state, 101, last).unwrap_err().wait(), None, "there never is as much");
        assert!(take(&state, 50, until).is_ok());
        assert_eq!(take(&state, 51, until).unwrap_err(), Error::TooManyBytes { in_all: 150, stored: 100 });
        state = state.evolve(&Event::BytesGivenBack { bytes: 60 }, until);
        assert!(take(&state, 51, until).is_ok());
    }

    proptest! {
        /// However it is asked, and though clocks of nodes differ a little.
        #[test]
        fn no_day_sees_more_than_there_are_places(steps in prop::collection::vec((0..4usize, -120..7_200i64), 1..600)) {
            let (mut state, mut now) = (Allowance::default(), NOON);
            let mut taken: BTreeMap<Act, Vec<Timestamp>> = BTreeMap::new();
            for (act, seconds) in steps {
                let act = ACTS[act];
                now = now.plus(Span::seconds(seconds));
                if let Ok(events) = take(&state, act, now) {
                    state = events.iter().fold(state, |state, event| state.evolve(event, now));
                    taken.entry(act).or_default().push(now);
                }
            }
            for (act, times) in taken {
                for from in &times {
                    let within = times.iter().filter(|at| *at >= from && **at < from.plus(WINDOW)).count();
                    prop_assert!(within <= act.most(), "{act:?}: {within}");
                }
            }
        }
    }
}
