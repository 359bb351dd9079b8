//! What an event comes to where logs are compared: a text of digests that whoever has a masked line makes again, and its hash.

use super::{
    metadata::Parts,
    places::NoPlace,
    secret::{digest, sha256_hex},
};
use crate::Stored;

/// The text of an event's leaf: each part with a line feed behind it. Of what is not told only the digest is in it, an empty line
/// where there is none.
pub fn text(stored: &Stored) -> Result<String, NoPlace> {
    let event = &stored.event;
    let parts = Parts::of(&event.metadata)?;
    Ok(format!(
        "circolo-event/1\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
        event.id,
        stored.stream.as_str(),
        stored.revision,
        event.event_type,
        event.recorded_at,
        sha256_hex(&[event.data.as_bytes()]),
        sha256_hex(&[parts.told.as_bytes()]),
        parts.sealed_sha256().unwrap_or_default(),
    ))
}

/// The hash of a leaf: SHA-256 of a zero byte and its text. The byte keeps leaves apart from nodes (RFC 9162).
pub fn hash(text: &str) -> [u8; 32] {
    digest(&[&[0], text.as_bytes()])
}
