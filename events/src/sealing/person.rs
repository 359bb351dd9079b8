//! Ids of people: nobody who knows a sign-in name computes them without the log's salt.

use super::Secret;
use circolo_domain::PersonId;

/// The person who signs in as `subject` of `issuer`, after that sign-in was forgotten `forgotten` times: the first 16 bytes of
/// HMAC-SHA-256 under the salt of the log, of compact JSON `[issuer, subject, forgotten]`, as a `UUIDv8`.
pub fn person_id(salt: &Secret, issuer: &str, subject: &str, forgotten: u64) -> PersonId {
    let name = serde_json::json!([issuer, subject, forgotten]).to_string();
    let tag = salt.hmac(&[name.as_bytes()]);
    let (id, _) = tag.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    PersonId(uuid::Builder::from_custom_bytes(*id).into_uuid())
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
}
