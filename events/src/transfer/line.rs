//! An event as others read it: one JSON object, on a line of its own.

use crate::{Metadata, NewEvent, Position, Revision, Stored};
use circolo_domain::{Event, StreamName, Timestamp, masked};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// An event of a log, to be sent or kept elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the log it comes from.
    pub position: Position,
    /// Its id.
    pub id: Uuid,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The facts; null where they had to be masked and could not, because their type is unknown.
    pub data: Option<Box<RawValue>>,
    /// When.
    pub recorded_at: Timestamp,
    /// What is known beside the facts: [`Metadata`].
    pub metadata: Option<Box<RawValue>>,
    /// Whether personal texts were replaced by null.
    pub masked: bool,
}

impl Line {
    /// The event, as it is or masked.
    pub fn new(stored: Stored, masked: bool) -> Self {
        if masked { Self::masked(stored) } else { Self::whole(stored) }
    }

    /// The event with null for every personal text and what closed and secret groups say of themselves.
    pub fn masked(stored: Stored) -> Self {
        let data = masked_data(&stored.event);
        let metadata = masked_metadata(&stored.event);
        Self::of(stored, data, metadata, true)
    }

    /// The event as it is.
    pub fn whole(mut stored: Stored) -> Self {
        let data = one_line(std::mem::take(&mut stored.event.data));
        let metadata = one_line(std::mem::take(&mut stored.event.metadata));
        Self::of(stored, data, metadata, false)
    }

    fn of(stored: Stored, data: Option<Box<RawValue>>, metadata: Option<Box<RawValue>>, masked: bool) -> Self {
        let Stored { position, stream, revision, event: NewEvent { id, event_type, recorded_at, .. } } = stored;
        Self { position, id, stream, revision, event_type, data, recorded_at, metadata, masked }
    }
}

impl From<Line> for Stored {
    fn from(line: Line) -> Self {
        let text = |raw: Option<Box<RawValue>>| raw.map_or_else(|| "null".to_owned(), |raw| Box::<str>::from(raw).into_string());
        let (data, metadata) = (text(line.data), text(line.metadata));
        let event = NewEvent { id: line.id, event_type: line.event_type, data, metadata, recorded_at: line.recorded_at };
        Self { position: line.position, stream: line.stream, revision: line.revision, event }
    }
}

/// The payload with null for every personal text, and for what a group says of itself unless it was public with this event;
/// `None` if this binary does not know what is personal in it.
pub fn masked_data(event: &NewEvent) -> Option<Box<RawValue>> {
    let known = Event::decode(&event.event_type, &event.data).ok()?;
    let scope = serde_json::from_str::<Metadata>(&event.metadata).ok().and_then(|metadata| metadata.scope);
    let mask = known.mask(scope);
    RawValue::from_string(masked(mask, || known.encode().data)).ok()
}

/// The metadata without what could tell that somebody wrote a certain text: a fingerprint confirms a guess.
pub fn masked_metadata(event: &NewEvent) -> Option<Box<RawValue>> {
    let metadata: Metadata = serde_json::from_str(&event.metadata).ok()?;
    serde_json::value::to_raw_value(&Metadata { fingerprint: None, ..metadata }).ok()
}

/// Stored JSON as it is; only line breaks between its parts, which nobody here writes, are taken out.
fn one_line(json: String) -> Option<Box<RawValue>> {
    // Within a string of JSON there is no line break as such.
    let json = if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ") } else { json };
    RawValue::from_string(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(data: &str) -> Stored {
        let metadata = format!(r#"{{"command":"Ask","command_id":"{0}","correlation":"{0}","fingerprint":"f00"}}"#, Uuid::nil());
        let (id, event_type, recorded_at) = (Uuid::nil(), "question.posted.v1".to_owned(), Timestamp::from_micros(0));
        let event = NewEvent { id, event_type, data: data.to_owned(), metadata, recorded_at };
        Stored { position: Position(7), stream: StreamName::stored("question-1"), revision: 0, event }
    }

    #[test]
    fn a_line_comes_back_as_the_event_it_was() {
        let event = stored(r#"{"author":"00000000-0000-0000-0000-000000000000", "title":"T","body":"B"}"#);
        let line = serde_json::to_string(&Line::whole(event.clone())).unwrap();
        assert_eq!(Stored::from(serde_json::from_str::<Line>(&line).unwrap()), event);
    }

    #[test]
    fn a_masked_line_holds_no_text_and_no_fingerprint() {
        let line = Line::masked(stored(r#"{"author":"00000000-0000-0000-0000-000000000000","title":"T","body":"B"}"#));
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.contains(r#""title":null,"body":null"#), "{text}");
        assert!(!text.contains("f00") && text.ends_with(r#""masked":true}"#), "{text}");
        assert!(serde_json::to_string(&Line::masked(stored(r#"{"title":"T"}"#))).unwrap().contains(r#""data":null"#));
    }

    #[test]
    fn a_line_is_one_line() {
        let text = serde_json::to_string(&Line::whole(stored("{\n\"title\":\"a\\nb\"}"))).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r#""a\nb""#), "{text}");
    }
}
