//! Events as the database holds them: payload and metadata are JSON, so that its own pages show them.

use super::unavailable;
use crate::store::{NewEvent, Position, StoreError, Stored};
use ::kurrentdb::{EventData, RecordedEvent};
use circolo_domain::{StreamName, Timestamp};
use serde_json::value::RawValue;

/// The stream that holds the log's identity; not part of the log itself.
pub const LOG_STREAM: &str = "circolo-log";
/// The stream whose last record says who uses the log; no part of it either.
pub const CLAIM_STREAM: &str = "circolo-claims";

/// The stream whose last record says whether the log holds a part only of what is brought into it.
pub const PARTIAL_STREAM: &str = "circolo-partial";

/// The moment stands first in the metadata: the database's own clock says something else.
const RECORDED_AT: &str = "{\"recorded_at\":";

/// Whether a record is none of the log's events: the database's own, the log's identity, or a claim.
pub fn is_hidden(stream: &str, event_type: &str) -> bool {
    stream.starts_with('$') || is_kept(stream) || event_type.starts_with('$')
}

/// Whether the adapter keeps a stream for itself.
pub fn is_kept(stream: &str) -> bool {
    [LOG_STREAM, CLAIM_STREAM, PARTIAL_STREAM].contains(&stream)
}

/// The event as the client takes it. Its texts are written as they stand.
pub fn event_data(event: &NewEvent) -> Result<EventData, StoreError> {
    let Some(rest) = event.metadata.strip_prefix('{') else { return Err(StoreError::Invalid("metadata are not a JSON object")) };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let metadata = format!("{RECORDED_AT}{}{comma}{rest}", event.recorded_at.micros());
    let json: Option<&RawValue> = serde_json::from_str(&event.data).ok();
    let Some(json) = json.filter(|json| json.get().len() == event.data.len()) else {
        return Err(StoreError::Invalid("a payload is not JSON"));
    };
    let data = EventData::json(&event.event_type, &json).map_err(|_| StoreError::Invalid("a payload is not JSON"))?;
    Ok(data.id(event.id).metadata(metadata.into()))
}

/// Roughly the bytes that the server counts for an event.
pub fn size(event: &NewEvent) -> usize {
    event.data.len() + event.metadata.len() + RECORDED_AT.len() + 24 + 2 * event.event_type.len()
}

/// The event as the port gives it.
pub fn stored(record: &RecordedEvent) -> Result<Stored, StoreError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(unavailable);
    let metadata = text(&record.custom_metadata)?;
    let (recorded_at, metadata) = match split(&metadata) {
        Some((micros, rest)) => (micros, rest),
        // Written by somebody else: the database's clock, in ticks of 100 ns, is all there is.
        None => (record.metadata.get("created").and_then(|ticks| ticks.parse::<i64>().ok()).unwrap_or(0) / 10, metadata),
    };
    let event = NewEvent {
        id: record.id,
        data: text(&record.data)?,
        metadata,
        recorded_at: Timestamp::from_micros(recorded_at),
        event_type: record.event_type.clone(),
        texts: vec![],
    };
    let stream = StreamName::stored(record.stream_id());
    Ok(Stored { position: position(record.position.commit)?, stream, revision: record.revision, event, shut: None })
}

/// The moment, and the metadata as they were before it was put in front.
fn split(metadata: &str) -> Option<(i64, String)> {
    let rest = metadata.strip_prefix(RECORDED_AT)?;
    let (micros, rest) = rest.split_at(rest.find(|letter: char| letter != '-' && !letter.is_ascii_digit())?);
    let micros = micros.parse().ok()?;
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    Some((micros, format!("{{{rest}")))
}

/// A commit position as the port counts. Events written through the client have equal commit and prepare positions.
pub fn position(commit: u64) -> Result<Position, StoreError> {
    i64::try_from(commit).map(Position).map_err(unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_goes_in_front_of_the_metadata_and_comes_off_again() {
        for rest in ["{}", "{ }", r#"{"a":"}"}"#, r#"{"recorded_at":7,"b":1}"#] {
            let comma = if rest[1..].trim_start().starts_with('}') { "" } else { "," };
            for micros in [0, -1, i64::MIN, i64::MAX] {
                let written = format!("{RECORDED_AT}{micros}{comma}{}", &rest[1..]);
                assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{written}");
                assert_eq!(split(&written), Some((micros, rest.to_owned())));
            }
        }
        assert_eq!(split(r#"{"a":1}"#), None);
    }

    #[test]
    fn what_is_not_of_the_log_is_hidden() {
        assert!(is_hidden("$stats-1", "$statsCollected") && is_hidden("$$note-1", "$metadata"));
        assert!(is_hidden(LOG_STREAM, "x") && is_hidden(CLAIM_STREAM, "x"));
        assert!(is_hidden("note-1", "$streamDeleted"));
        assert!(!is_hidden("note-$1", "note.written.v1"));
    }
}
