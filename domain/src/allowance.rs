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
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::TakePlace(_) => "TakePlace",
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
}

/// The fold of this stream: when places were taken, in order, as many as can still count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    taken: BTreeMap<Act, Vec<Timestamp>>,
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
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        let Self::TooMany { act, .. } = self;
        match act {
            Act::Invitation => "too_many_invitations",
            Act::Group => "too_many_groups",
            Act::Page => "too_many_pages",
            Act::Username => "too_many_username_changes",
        }
    }

    fn kind(&self) -> Kind {
        Kind::TooMany
    }

    fn details(&self) -> Option<Value> {
        let Self::TooMany { until, .. } = self;
        Some(json!({ "until": until }))
    }

    fn wait(&self) -> Option<Span> {
        let Self::TooMany { wait, .. } = self;
        Some(*wait)
    }
}

impl Decider for Allowance {
    const CATEGORY: &'static str = "allowance";
    const STREAM: (&'static str, &'static str) = ("PERSON or PAGE", "what somebody did of the things that are bounded per day");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        let Command::TakePlace(act) = *command;
        let taken = self.taken.get(&act).map_or(&[][..], Vec::as_slice);
        // Clocks of nodes differ a little: what was taken in a moment to come counts, too.
        let mut counting = taken.iter().map(|at| at.plus(WINDOW)).filter(|end| context.now < *end);
        match counting.next() {
            Some(until) if counting.count() + 1 >= act.most() => Err(Error::TooMany { act, until, wait: until.since(context.now) }),
            _ => Ok(vec![Event::PlaceTaken { act }]),
        }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        let Event::PlaceTaken { act } = event;
        let taken = self.taken.entry(*act).or_default();
        taken.insert(taken.partition_point(|before| *before <= at), at);
        if taken.len() > act.most() {
            taken.remove(0);
        }
        self
    }

    fn heap(&self) -> usize {
        weight::of_map(&self.taken) + self.taken.values().map(weight::of_vec).sum::<usize>()
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
