//! The request headers that mean something here, checked: `If-Match`, `Idempotency-Key`, `Circolo-Min-Position`.

use crate::Problem;
use axum::http::{HeaderMap, HeaderName, header};
use circolo_events::{Position, Revision};

/// `Idempotency-Key`: the same key and request happen once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `Last-Event-ID`: the place up to which a stream of changes was received.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// `Circolo-Min-Position`: answer only when the read models have come this far.
pub const MIN_POSITION: HeaderName = HeaderName::from_static("circolo-min-position");
/// `Circolo-Position`: where the last event of a command stands.
pub const POSITION: HeaderName = HeaderName::from_static("circolo-position");
/// `Circolo-Log`: the identity of the log that positions belong to.
pub const LOG: HeaderName = HeaderName::from_static("circolo-log");
/// `X-Request-Id`: names a request in the logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The revision that `If-Match` names: an entity tag as it was given, such as `"3"`.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    one(headers, &header::IF_MATCH, "bad_if_match", "If-Match takes one entity tag as it was given, such as \"3\"", |text| {
        digits(text.strip_prefix('"')?.strip_suffix('"')?)
    })
}

/// The caller's key for this request.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    one(headers, &IDEMPOTENCY_KEY, "bad_idempotency_key", "Idempotency-Key takes 1 to 255 visible ASCII characters", visible::<255>)
}

/// How far the read models have to be.
pub fn min_position(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    one(headers, &MIN_POSITION, "bad_min_position", "Circolo-Min-Position takes a position as it was given", position)
}

/// Where a stream of changes broke off.
pub fn last_event_id<T>(headers: &HeaderMap, place: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    one(headers, &LAST_EVENT_ID, "bad_position", "Last-Event-ID takes the id of an event as it was given", place)
}

/// A position as we write it.
pub fn position(text: &str) -> Option<Position> {
    digits(text).and_then(|position| i64::try_from(position).ok()).map(Position)
}

/// The caller's id for this request, if it is one that may stand in a log.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    visible::<128>(headers.get(REQUEST_ID)?.to_str().ok()?)
}

/// `1*MAX` visible ASCII characters.
fn visible<const MAX: usize>(text: &str) -> Option<String> {
    ((1..=MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}

/// A number as we write it: no sign, no spaces.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn one<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    code: &'static str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str().ok().and_then(read) {
            Some(read) => Ok(Some(read)),
            None => Err(Problem::bad_request(code, expected)),
        },
        (Some(_), Some(_)) => Err(Problem::bad_request(code, expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn if_match_takes_one_strong_tag() {
        assert_eq!(if_match(&with(&header::IF_MATCH, &["\"3\""])).unwrap(), Some(3));
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        for bad in ["3", "*", "W/\"3\"", "\"3\", \"4\"", "\"-3\"", "\"\"", "\"99999999999999999999\""] {
            assert_eq!(if_match(&with(&header::IF_MATCH, &[bad])).unwrap_err().code(), "bad_if_match", "{bad}");
        }
        assert!(if_match(&with(&header::IF_MATCH, &["\"3\"", "\"3\""])).is_err());
    }

    #[test]
    fn an_idempotency_key_is_bounded_and_visible() {
        assert_eq!(idempotency_key(&with(&IDEMPOTENCY_KEY, &["a-1"])).unwrap().as_deref(), Some("a-1"));
        for bad in [String::new(), "a b".to_owned(), "x".repeat(256)] {
            assert!(idempotency_key(&with(&IDEMPOTENCY_KEY, &[&bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_position_is_a_number_as_we_write_it() {
        assert_eq!(min_position(&with(&MIN_POSITION, &["17"])).unwrap(), Some(Position(17)));
        for bad in ["", "+17", "-1", "9223372036854775808", "x"] {
            assert!(min_position(&with(&MIN_POSITION, &[bad])).is_err(), "{bad}");
        }
    }
}
