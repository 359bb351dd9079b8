//! A log, looked at whole: whether the engine finds its pages as it wrote them, every event can be read, and nothing is missing
//! between them.

use crate::store::{Damage, EventStore, Page, Position, Revision, StoreError, Stored};
use crate::{Examination, Skips};
use circolo_domain::{DecodeError, StreamName, Timestamp};
use std::collections::{HashMap, HashSet};
use std::fmt;
use uuid::Uuid;

/// Events read at once.
const PAGE: usize = 2_000;

/// How many faults are told; all are counted.
pub const TOLD: usize = 100;

/// By so much a clock may go before ours, in microseconds: a day.
const AHEAD: i64 = 86_400_000_000;

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Damage,
    /// What.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        write!(f, "{}: {}", place.trim_start().trim_start_matches("at "), self.what)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many events could be read.
    pub events: u64,
    /// In how many streams.
    pub streams: usize,
    /// How many positions hold what cannot be read at all, and is lost here.
    pub lost: u64,
    /// How many events cannot be decoded, and nobody decided to pass over them.
    pub undecoded: u64,
    /// How many of those are of a type that is not known here; a newer program may know it.
    pub unknown: u64,
    /// How many are passed over, as somebody decided.
    pub skipped: u64,
    /// How many faults there are, beside what the engine finds.
    pub count: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
    /// What the engine finds.
    pub examination: Examination,
}

impl Found {
    /// Is the log as it was written, as far as this can tell?
    pub const fn is_whole(&self) -> bool {
        self.count == 0 && self.examination.faults.is_empty()
    }

    fn fault(&mut self, place: Damage, what: impl Into<String>) {
        self.count += 1;
        if self.faults.len() < TOLD {
            self.faults.push(Fault { place, what: what.into() });
        }
    }
}

/// What is known of the events before.
struct Before {
    found: Found,
    skips: Skips,
    last: Position,
    next: HashMap<StreamName, Revision>,
    ids: HashSet<Uuid>,
    latest: Timestamp,
}

/// Looks at all of `store`, up to where it ends now. `told` learns up to where.
pub async fn check(store: &dyn EventStore, now: Timestamp, mut told: impl FnMut(Position)) -> Result<Found, StoreError> {
    let examination = store.examine().await?;
    let head = store.head().await?;
    let skips = Skips::default();
    // What cannot be read of the decisions is found again where it stands.
    match skips.learn(store).await {
        Ok(_) | Err(StoreError::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    let latest = Timestamp::from_micros(now.micros().saturating_add(AHEAD));
    let found = Found { examination, ..Found::default() };
    let mut before = Before { found, skips, last: Position::START, next: HashMap::new(), ids: HashSet::new(), latest };
    let mut after = Position::START;
    while after < head {
        after = match store.read_all(after, PAGE).await {
            Ok(Page { events, scanned }) if scanned > after => {
                for stored in &events {
                    before.look(stored);
                }
                scanned
            }
            Ok(_) => break,
            Err(StoreError::Damaged { place, source }) => before.lost(after, place, &source.to_string()),
            Err(error) => return Err(error),
        };
        told(after);
    }
    before.found.streams = before.next.len();
    Ok(before.found)
}

impl Before {
    fn look(&mut self, stored: &Stored) {
        self.found.events += 1;
        let Stored { position, stream, revision, event, .. } = stored;
        let place = || Damage { position: Some(*position), stream: Some(stream.clone()), revision: Some(*revision) };
        if *position <= self.last {
            self.found.fault(place(), format!("stands behind position {}", self.last));
        }
        self.last = *position;
        let next = self.next.entry(stream.clone()).or_default();
        let expected = std::mem::replace(next, revision + 1);
        if expected != *revision {
            self.found.fault(place(), format!("revision {expected} of its stream is expected here"));
        }
        if event.id.is_nil() || !self.ids.insert(event.id) {
            self.found.fault(place(), format!("the id {} is no event's own", event.id));
        }
        // Outside of the years that can be written, a time is none.
        if event.recorded_at > self.latest || event.recorded_at.micros() < 0 {
            self.found.fault(place(), format!("the time {} cannot be right", event.recorded_at.micros()));
        }
        match stored.decode() {
            Ok(_) => {}
            Err(_) if self.skips.contains(event.id) => self.found.skipped += 1,
            Err(error) => {
                self.found.undecoded += 1;
                self.found.unknown += u64::from(matches!(error, DecodeError::UnknownType(_)));
                self.found.fault(place(), error.to_string());
            }
        }
    }

    /// One position is lost; from where to go on.
    fn lost(&mut self, after: Position, place: Damage, what: &str) -> Position {
        self.found.lost += 1;
        let position = place.position.unwrap_or(Position(after.0 + 1));
        if let (Some(stream), Some(revision)) = (&place.stream, place.revision) {
            // Told here, it need not be told again by the one behind it.
            self.next.insert(stream.clone(), revision + 1);
        }
        self.found.fault(Damage { position: Some(position), ..place }, format!("cannot be read: {what}"));
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Append, Expected, Memory, NewEvent};

    fn event(id: u128, event_type: &str, at: i64) -> NewEvent {
        let metadata = r#"{"command":"Test","command_id":"00000000-0000-0000-0000-000000000001","correlation":"00000000-0000-0000-0000-000000000001"}"#;
        let (event_type, metadata) = (event_type.to_owned(), metadata.to_owned());
        let recorded_at = Timestamp::from_micros(at);
        NewEvent { id: Uuid::from_u128(id), event_type, data: "{}".to_owned(), metadata, recorded_at, texts: vec![] }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_by_position_and_stream() {
        let store = Memory::new(Uuid::from_u128(1));
        let events =
            vec![event(1, "question.closed.v1", 5), event(2, "question.eaten.v9", 5), event(3, "question.closed.v1", i64::MAX / 2)];
        store.append(Append { stream: StreamName::stored("question-7".to_owned()), expected: Expected::NoStream, events }).await.unwrap();
        let mut seen = Position::START;
        let found = check(&store, Timestamp::from_micros(10), |position| seen = position).await.unwrap();
        assert_eq!((found.events, found.streams, found.undecoded, found.unknown, found.count), (3, 1, 1, 1, 2));
        assert!(!found.is_whole() && seen == store.head().await.unwrap());
        let told: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("position 2 in question-7 at revision 1: ") && told[0].contains("question.eaten.v9"), "{told:?}");
        assert!(told[1].contains("cannot be right"), "{told:?}");
    }
}
