//! A person's attention: up to when they have read their notices, and of which kinds they want none.

use crate::change::Change;
use crate::notice::NoticeKind;
use crate::stance::Rights;
use crate::{Context, Decider, Named, PersonId, StreamName, Timestamp, Written};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::convert::Infallible;

/// What may be asked of the stream of a person's attention.
#[derive(Debug, Clone)]
pub enum Command {
    /// Marks everything up to a moment as read. What lies ahead of now is not there yet.
    MarkRead {
        /// The moment of the last notice that was read.
        until: Timestamp,
    },
    /// Says of which kinds the person wants no notices.
    SetPreferences {
        /// These; of all others they want them.
        none: BTreeSet<NoticeKind>,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::MarkRead { .. } => "MarkRead",
            Self::SetPreferences { .. } => "SetPreferences",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Notices were read.
    #[serde(rename = "attention.read.v1")]
    Read {
        /// Up to this moment, inclusive.
        until: Timestamp,
    },
    /// The person wants other notices.
    #[serde(rename = "attention.preferences_set.v1")]
    PreferencesSet {
        /// Of these kinds none; of all others all.
        none: BTreeSet<NoticeKind>,
    },
}

/// The fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attention {
    read_until: Option<Timestamp>,
    none: BTreeSet<NoticeKind>,
}

/// The stream of a person's attention.
pub fn stream(person: PersonId) -> StreamName {
    crate::stream::<Attention>(person)
}

impl Attention {
    /// Up to when everything was read.
    pub const fn read_until(&self) -> Option<Timestamp> {
        self.read_until
    }

    /// Whether the person wants notices of this kind.
    pub fn wants(&self, kind: NoticeKind) -> bool {
        !self.none.contains(&kind)
    }
}

impl Decider for Attention {
    const CATEGORY: &'static str = "attention";
    const STREAM: (&'static str, &'static str) = ("PERSON", "what a person has read of their notifications, and of which they want none");
    type Command = Command;
    type Event = Event;
    type Error = Infallible;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Infallible> {
        Ok(match command {
            Command::MarkRead { until } => {
                let until = (*until).min(context.now);
                if self.read_until >= Some(until) { vec![] } else { vec![Event::Read { until }] }
            }
            Command::SetPreferences { none } if *none == self.none => vec![],
            Command::SetPreferences { none } => vec![Event::PreferencesSet { none: none.clone() }],
        })
    }

    fn evolve(self, event: &Event, _: Timestamp) -> Self {
        match event {
            Event::Read { until } => Self { read_until: Some(*until), ..self },
            Event::PreferencesSet { none } => Self { none: none.clone(), ..self },
        }
    }

    fn own_texts(_: &mut Event, _: &Written<'_>) {}

    /// What somebody has read is nobody's business.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Attention(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Read { until: NOON }
    PreferencesSet { none: [NoticeKind::Commented, NoticeKind::Requested].into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;
    use crate::testing::{NOON, given};

    #[test]
    fn what_was_read_stays_read_and_nothing_is_read_ahead() {
        let read = |until| Command::MarkRead { until };
        let (before, later) = (NOON.minus(Span::hours(1)), NOON.plus(Span::hours(1)));
        given::<Attention>([]).when(read(before)).then([Event::Read { until: before }]);
        given::<Attention>([]).when(read(later)).then([Event::Read { until: NOON }]);
        given::<Attention>([Event::Read { until: NOON }]).when(read(before)).then_nothing();
        given::<Attention>([Event::Read { until: NOON }]).when(read(NOON)).then_nothing();
    }

    #[test]
    fn preferences_are_set_as_a_whole() {
        let none = |kinds: &[NoticeKind]| kinds.iter().copied().collect::<BTreeSet<_>>();
        let (some, other) = (none(&[NoticeKind::Commented]), none(&[NoticeKind::Requested]));
        let set = Event::PreferencesSet { none: some.clone() };
        given::<Attention>([]).when(Command::SetPreferences { none: some.clone() }).then([set.clone()]);
        given::<Attention>([set.clone()]).when(Command::SetPreferences { none: some }).then_nothing();
        given::<Attention>([set]).when(Command::SetPreferences { none: other.clone() }).then([Event::PreferencesSet { none: other }]);
        given::<Attention>([]).when(Command::SetPreferences { none: none(&[]) }).then_nothing();
    }
}
