//! Places in the log, as clients follow it: a position, and a mark of the event that stands there.
//!
//! A log that was restored from an older copy goes on with other events at the positions of those it lost. Whoever followed it to one of
//! them would miss what came before: the mark tells the two histories apart.

use crate::{App, Problem};
use axum::http::StatusCode;
use circolo_events::{LogId, Position};
use serde::{Serialize, Serializer};
use serde_json::json;
use std::fmt;
use uuid::Uuid;

/// A place, as clients keep it: `0`, or position and mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where in the log.
    pub position: Position,
    mark: u64,
}

impl Place {
    /// Before the first event of any log.
    const START: Self = Self { position: Position::START, mark: 0 };

    /// Where `event` stands.
    pub fn of(log: LogId, position: Position, event: Uuid) -> Self {
        let (mark, _) = Uuid::new_v5(&log, &[&position.0.to_be_bytes()[..], event.as_bytes()].concat()).as_u64_pair();
        Self { position, mark }
    }

    /// A place as we write it.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::START);
        }
        let (position, mark) = text.split_once('-')?;
        let position = position.parse().ok().map(Position).filter(|position| *position > Position::START)?;
        let place = Self { position, mark: u64::from_str_radix(mark, 16).ok()? };
        (place.to_string() == text).then_some(place)
    }

    /// Where `position` is in the log of `app`; nowhere, if no event stands there.
    pub async fn at(app: &App, position: Position) -> Result<Option<Self>, Problem> {
        if position <= Position::START {
            return Ok(Some(Self::START));
        }
        let place = |mark| Self { position, mark };
        if let Some(mark) = app.places().get(&position) {
            return Ok(Some(place(mark)));
        }
        let found = app.store().at(position).await?;
        let found = found.map(|stored| Self::of(app.store().log_id(), position, stored.event.id));
        Ok(found.inspect(|place| place.remember(app)))
    }

    /// Spares the look-up when the client comes back with it.
    pub fn remember(self, app: &App) {
        app.places().insert(self.position, self.mark);
    }

    /// A refusal, unless the log of `app`, which ends at `head`, holds what the client followed it to.
    pub async fn check(self, app: &App, head: Position) -> Result<(), Problem> {
        if self.position > head {
            return Err(Problem::bad_request("ahead_of_log", "the log does not reach this position: it is another log, or an older copy"));
        }
        if Self::at(app, self.position).await? == Some(self) {
            return Ok(());
        }
        let detail = "something else stands at this place: it is another log, or it was restored from an older copy and has gone on; read \
                      anew what you keep, then follow from details.next";
        Err(Problem::new(StatusCode::CONFLICT, "other_history", detail).with_details(json!({ "next": Self::at(app, head).await? })))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::START { f.write_str("0") } else { write!(f, "{}-{:016x}", self.position, self.mark) }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_in_no_other_way() {
        let place = Place::of(Uuid::from_u128(1), Position(17), Uuid::from_u128(2));
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        assert_eq!(Place::parse("0"), Some(Place::START));
        let mark = format!("{:016x}", place.mark);
        for other in
            ["", "17", "-1", "x", "17-", "17-1", "0-0000000000000000", "+17-0000000000000001", &format!("017-{mark}"), &mark.to_uppercase()]
        {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_mark_is_that_of_one_event_at_one_position_of_one_log() {
        let of = |log, position, event| Place::of(Uuid::from_u128(log), Position(position), Uuid::from_u128(event)).mark;
        let marks = [of(1, 1, 1), of(2, 1, 1), of(1, 2, 1), of(1, 1, 2)];
        assert!(marks.iter().enumerate().all(|(at, mark)| !marks[..at].contains(mark)), "{marks:?}");
    }
}
