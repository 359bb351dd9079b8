//! An event as others read it: one JSON object, on a line of its own.

use crate::{
    Metadata, NewEvent, Position, Revision, Stored,
    sealing::{
        Owner, Text,
        metadata::{Parts, with_sum},
    },
};
use circolo_domain::{Decider, Event, StreamName, Timestamp, masked, salt::Salt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
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
    /// Whose the texts are that lay sealed in the log, by JSON pointers into `data`. Only where they are not masked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<String, Owner>,
    /// What a masked line does not tell, as a hash, so that two logs can be compared: SHA-256 of the boxes as they are stored, a line
    /// feed and the fingerprint, as far as there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_sha256: Option<String>,
}

impl Line {
    /// The event, as it is or masked.
    pub fn new(stored: Stored, masked: bool) -> Self {
        if masked { Self::masked(stored) } else { Self::whole(stored) }
    }

    /// The event as a server tells it: the salt of person ids is told to nobody, whoever asks.
    pub fn told(stored: Stored, masked: bool) -> Self {
        let secret = is_of_salt(&stored);
        Self::new(stored, masked || secret)
    }

    /// The event with null for every personal text and what closed and secret groups say of themselves. What is masked is an event
    /// as its log keeps it, whose boxes are unopened: [`crate::store::kept`].
    pub fn masked(mut stored: Stored) -> Self {
        let data = masked_data(&mut stored.event);
        let parts = Parts::of(&stored.event.metadata).ok();
        let sealed_sha256 = parts.as_ref().and_then(Parts::sealed_sha256);
        let metadata = parts.and_then(|parts| one_line(parts.told));
        Self { sealed_sha256, ..Self::of(stored, data, metadata, true) }
    }

    /// The event as it is.
    pub fn whole(mut stored: Stored) -> Self {
        let data = one_line(std::mem::take(&mut stored.event.data));
        let metadata = one_line(std::mem::take(&mut stored.event.metadata));
        let owners = std::mem::take(&mut stored.event.texts).into_iter().map(|text| (text.at, text.of)).collect();
        Self { owners, ..Self::of(stored, data, metadata, false) }
    }

    fn of(stored: Stored, data: Option<Box<RawValue>>, metadata: Option<Box<RawValue>>, masked: bool) -> Self {
        let Stored { position, stream, revision, event: NewEvent { id, event_type, recorded_at, .. }, .. } = stored;
        let owners = BTreeMap::new();
        Self { position, id, stream, revision, event_type, data, recorded_at, metadata, masked, owners, sealed_sha256: None }
    }
}

impl From<Line> for Stored {
    fn from(line: Line) -> Self {
        let text = |raw: Option<Box<RawValue>>| raw.map_or_else(|| "null".to_owned(), |raw| Box::<str>::from(raw).into_string());
        let (data, mut metadata) = (text(line.data), text(line.metadata));
        // A masked line that is passed on tells what it told.
        if let Some(told) = line.sealed_sha256.and_then(|sum| with_sum(&metadata, &sum)) {
            metadata = told;
        }
        let texts = line.owners.into_iter().map(|(at, of)| Text { at, of, longest: None }).collect();
        let event = NewEvent { id: line.id, event_type: line.event_type, data, metadata, recorded_at: line.recorded_at, texts };
        Self { position: line.position, stream: line.stream, revision: line.revision, event, shut: None }
    }
}

/// Whether an event is about the salt of person ids, readable or not.
pub(super) fn is_of_salt(stored: &Stored) -> bool {
    let category = stored.event.event_type.split_once('.').map(|(category, _)| category);
    stored.stream.category() == Salt::CATEGORY || category == Some(Salt::CATEGORY)
}

/// The payload with null for every personal text, and for what a group says of itself unless it was public with this event. Where texts
/// are sealed it is as it is kept. `None` if they are not, and this binary does not know what is personal in it.
fn masked_data(event: &mut NewEvent) -> Option<Box<RawValue>> {
    if Parts::of(&event.metadata).is_ok_and(|parts| parts.sealed.is_some() || parts.sum.is_some()) {
        return one_line(std::mem::take(&mut event.data));
    }
    let known = Event::decode(&event.event_type, &event.data).ok()?;
    let scope = serde_json::from_str::<Metadata>(&event.metadata).ok().and_then(|metadata| metadata.scope);
    let mask = known.mask(scope);
    RawValue::from_string(masked(mask, || known.encode().data)).ok()
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
    use crate::sealing::secret::sha256_hex;

    fn stored(data: &str) -> Stored {
        let metadata = format!(r#"{{"command":"Ask","command_id":"{0}","correlation":"{0}","fingerprint":"f00"}}"#, Uuid::nil());
        let (id, event_type, recorded_at) = (Uuid::nil(), "question.posted.v1".to_owned(), Timestamp::from_micros(0));
        let event = NewEvent { id, event_type, data: data.to_owned(), metadata, recorded_at, texts: vec![] };
        Stored { position: Position(7), stream: StreamName::stored("question-1"), revision: 0, event, shut: None }
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
        let sum = sha256_hex(&[b"\nf00"]);
        assert!(!text.contains("f00") && text.ends_with(&format!(r#""masked":true,"sealed_sha256":"{sum}"}}"#)), "{text}");
        assert!(serde_json::to_string(&Line::masked(stored(r#"{"title":"T"}"#))).unwrap().contains(r#""data":null"#));
    }

    #[test]
    fn of_a_sealed_event_a_masked_line_is_what_is_kept_and_the_sum_of_the_rest_whatever_its_type() {
        let mut kept = stored(r#"{"words":null}"#);
        kept.event.event_type = "dream.dreamt.v7".to_owned();
        kept.event.metadata = r#"{"command":"Dream","sealed":[{"of":"x","key":1,"at":["/words"],"box":"AA"}]}"#.to_owned();
        let line = Line::masked(kept);
        assert_eq!(
            (line.data.as_ref().unwrap().get(), line.metadata.as_ref().unwrap().get()),
            (r#"{"words":null}"#, r#"{"command":"Dream"}"#)
        );
        let sum = sha256_hex(&[br#"[{"of":"x","key":1,"at":["/words"],"box":"AA"}]"#, b"\n"]);
        assert_eq!(line.sealed_sha256, Some(sum));
        let again = serde_json::to_value(Line::masked(line.clone().into())).unwrap();
        assert_eq!(again, serde_json::to_value(line).unwrap());
    }

    #[test]
    fn whose_texts_are_comes_back_too() {
        let mut event = stored(r#"{"title":"T"}"#);
        event.event.texts = vec![Text { at: "/title".to_owned(), of: Owner::new("person-ann").unwrap(), longest: None }];
        let line = serde_json::to_string(&Line::whole(event.clone())).unwrap();
        assert!(line.ends_with(r#""masked":false,"owners":{"/title":"person-ann"}}"#), "{line}");
        assert_eq!(Stored::from(serde_json::from_str::<Line>(&line).unwrap()), event);
    }

    #[test]
    fn what_a_server_tells_holds_no_salt_whatever_is_asked() {
        let told = |stream: &str, event_type: &str, data: &str, masked| {
            let mut event = stored(data);
            (event.stream, event.event.event_type) = (StreamName::stored(stream), event_type.to_owned());
            serde_json::to_value(Line::told(event, masked)).unwrap()
        };
        let salt = r#"{"salt":"QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8"}"#;
        for masked in [true, false] {
            let line = told("salt-people", "salt.drawn.v1", salt, masked);
            assert_eq!((&line["data"], &line["masked"]), (&serde_json::json!({ "salt": null }), &serde_json::json!(true)));
            // Of another version, and where it does not belong.
            for (stream, event_type) in [("salt-people", "salt.drawn.v2"), ("salt-people", "pepper.drawn.v1"), ("x-1", "salt.drawn.v7")] {
                let line = told(stream, event_type, salt, masked);
                assert_eq!((&line["data"], &line["masked"]), (&serde_json::Value::Null, &serde_json::json!(true)), "{stream} {event_type}");
            }
        }
        let question = r#"{"author":"00000000-0000-0000-0000-000000000000","title":"T","body":"B"}"#;
        assert_eq!(told("question-1", "question.posted.v1", question, false)["data"]["title"], "T", "all else is told to who may know it");
    }

    #[test]
    fn a_line_is_one_line() {
        let text = serde_json::to_string(&Line::whole(stored("{\n\"title\":\"a\\nb\"}"))).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r#""a\nb""#), "{text}");
    }
}
