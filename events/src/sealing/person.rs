//! Ids of people: nobody who knows a sign-in name computes them without the log's salt.

use super::Secret;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use circolo_domain::{PersonId, salt::EncodedSalt};
use zeroize::Zeroizing;

/// The person who signs in as `subject` of `issuer`, after that sign-in was forgotten `forgotten` times: the first 16 bytes of
/// HMAC-SHA-256 under the salt of the log, of compact JSON `[issuer, subject, forgotten]`, as a `UUIDv8`.
pub fn person_id(salt: &Secret, issuer: &str, subject: &str, forgotten: u64) -> PersonId {
    let name = serde_json::json!([issuer, subject, forgotten]).to_string();
    let tag = salt.hmac(&[name.as_bytes()]);
    let (id, _) = tag.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    PersonId(uuid::Builder::from_custom_bytes(*id).into_uuid())
}

/// The salt as an event holds it.
pub fn write_salt(salt: &Secret) -> EncodedSalt {
    EncodedSalt(BASE64_URL_SAFE_NO_PAD.encode(salt.bytes()))
}

/// The salt that an event holds, if it is one.
pub fn read_salt(EncodedSalt(text): &EncodedSalt) -> Option<Secret> {
    let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?);
    Secret::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_a_sign_in_under_a_salt_until_it_is_forgotten() {
        let salt = Secret::new([1; 32]);
        let ann = person_id(&salt, "circolo", "ann", 0);
        assert_eq!(ann, person_id(&salt, "circolo", "ann", 0));
        assert_eq!(ann.0.get_version_num(), 8);
        for other in [
            person_id(&salt, "circolo", "ann", 1),
            person_id(&salt, "circolo\",\"ann", "", 0),
            person_id(&salt, "circol", "oann", 0),
            person_id(&Secret::new([2; 32]), "circolo", "ann", 0),
        ] {
            assert_ne!(ann, other);
        }
    }

    #[test]
    fn a_salt_is_read_as_it_was_written_and_in_no_other_way() {
        let salt = Secret::new(*b"@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_");
        let EncodedSalt(text) = write_salt(&salt);
        assert_eq!(text, "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8");
        assert_eq!(read_salt(&EncodedSalt(text.clone())), Some(salt));
        for other in
            ["", &text[1..], &text[..42], &format!("{text}="), &format!("{text}A"), &format!("{text}QEFC"), &text.replace('Q', "+")]
        {
            assert_eq!(read_salt(&EncodedSalt(other.to_owned())), None, "{other}");
        }
    }
}
