//! Metadata of an event and what in them is not for everybody: the boxes, and the fingerprint, which confirms a guess.

use super::{
    places::{Member, NoPlace, members},
    secret::{Secret, sha256_hex},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// Stored metadata, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// All but the boxes and the fingerprint, as it is written: what a masked line tells.
    pub told: String,
    /// The boxes, as they are written.
    pub sealed: Option<&'a str>,
    /// The fingerprint.
    pub fingerprint: Option<String>,
    /// In those of a masked line that came from elsewhere: what its boxes and its fingerprint came to there.
    pub sum: Option<String>,
}

/// Under this name a masked line tells the sum of what it does not tell.
const SUM: &str = "sealed_sha256";

impl<'a> Parts<'a> {
    /// The parts of `metadata`.
    pub fn of(metadata: &'a str) -> Result<Self, NoPlace> {
        let (mut told, mut sealed, mut fingerprint, mut sum) = (vec![], None, None, None);
        let text = |member: &Member<'_>| serde_json::from_str(member.value).map_err(|_| NoPlace::Missing(format!("/{}", member.name)));
        for member in members(metadata)? {
            match &*member.name {
                "sealed" => sealed = Some(member.value),
                "fingerprint" => fingerprint = text(&member)?,
                SUM => sum = text(&member)?,
                _ => told.push(member.whole),
            }
        }
        Ok(Self { told: format!("{{{}}}", told.join(",")), sealed, fingerprint, sum })
    }

    /// SHA-256 of what is not told, so that it can be compared without being read: of the boxes as they are written, a line feed and
    /// the fingerprint, as far as there are any. Absent where there is neither.
    pub fn sealed_sha256(&self) -> Option<String> {
        if self.sealed.is_none() && self.fingerprint.is_none() {
            return self.sum.clone();
        }
        let part = |text: Option<&'a str>| text.unwrap_or_default().as_bytes();
        Some(sha256_hex(&[part(self.sealed), b"\n", self.fingerprint.as_deref().unwrap_or_default().as_bytes()]))
    }
}

/// `metadata`, a JSON object, without `sealed`; all else as it is written.
pub(super) fn without_boxes(metadata: &str) -> Result<String, NoPlace> {
    let members = members(metadata)?.into_iter().filter(|member| member.name != "sealed").map(|member| member.whole);
    Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

/// `metadata`, a JSON object, with `sealed` (JSON) behind all that it has.
pub(super) fn with_boxes(metadata: &str, sealed: &str) -> Option<String> {
    with(metadata, "sealed", sealed)
}

/// `metadata` of a masked line with the sum of what it does not tell, so that it is told again when the line is written again.
pub(crate) fn with_sum(metadata: &str, sum: &str) -> Option<String> {
    with(metadata, SUM, &format!("\"{sum}\""))
}

fn with(metadata: &str, name: &str, value: &str) -> Option<String> {
    let open = metadata.trim_end().strip_suffix('}')?.trim_end();
    let comma = if open.ends_with('{') { "" } else { "," };
    Some(format!("{open}{comma}\"{name}\":{value}}}"))
}

/// Fingerprint of what a caller asked for, `parts` one behind the other: `VERSION:` and base64url of the first 16 bytes of
/// HMAC-SHA-256, keyed by what is derived from version `version` of the caller's key. Without that nobody can tell whether they
/// guessed what was asked.
pub fn fingerprint(version: u32, caller: &Secret, parts: &[&[u8]]) -> String {
    let tag = caller.derive("fingerprint").hmac(parts);
    format!("{version}:{}", BASE64_URL_SAFE_NO_PAD.encode(&tag[..16]))
}

/// The version of the caller's key that a fingerprint was made with; `None` of one that was made without.
pub fn fingerprint_version(fingerprint: &str) -> Option<u32> {
    fingerprint.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_fall_apart_and_what_is_told_stays_as_it_is_written() {
        let parts = Parts::of(r#"{"sealed":[{"x": 1}],"command":"Ask", "n":1.0,"fingerprint":"1:x","z":null}"#).unwrap();
        assert_eq!(parts.told, r#"{"command":"Ask","n":1.0,"z":null}"#);
        assert_eq!((parts.sealed, parts.fingerprint.as_deref()), (Some(r#"[{"x": 1}]"#), Some("1:x")));
        let without = Parts::of(r#"{"command":"Ask"}"#).unwrap();
        assert_eq!((without.told.as_str(), without.sealed_sha256()), (r#"{"command":"Ask"}"#, None));
        assert_eq!(Parts::of("{}").unwrap().told, "{}");
        assert!(Parts::of("[]").is_err() && Parts::of(r#"{"fingerprint":1}"#).is_err());
    }

    #[test]
    fn each_part_that_is_not_told_counts() {
        let sum = |text: &str| Parts::of(text).unwrap().sealed_sha256();
        let sums = [r#"{"sealed":[]}"#, r#"{"sealed":[ ]}"#, r#"{"fingerprint":"a"}"#, r#"{"sealed":[],"fingerprint":"a"}"#].map(sum);
        for (index, one) in sums.iter().enumerate() {
            assert!(one.is_some() && !sums[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn boxes_are_put_behind_all_else() {
        assert_eq!(with_boxes(r#"{"a":1}"#, "[]").unwrap(), r#"{"a":1,"sealed":[]}"#);
        assert_eq!(with_boxes("{ }\n", "[]").unwrap(), r#"{"sealed":[]}"#);
        assert!(with_boxes("null", "[]").is_none());
        for without in [r#"{"a":1,"fingerprint":"1:x"}"#, "{}"] {
            assert_eq!(without_boxes(&with_boxes(without, r#"[{"of":"x"}]"#).unwrap()).unwrap(), without);
        }
    }

    #[test]
    fn a_fingerprint_names_the_key_it_was_made_with() {
        let secret = Secret::new([1; 32]);
        let made = fingerprint(12, &secret, &[b"a", b"\n", b"b"]);
        assert_eq!(made, fingerprint(12, &secret, &[b"a\nb"]));
        assert_eq!(fingerprint_version(&made), Some(12));
        assert_ne!(made, fingerprint(12, &Secret::new([2; 32]), &[b"a\nb"]));
        assert_eq!(fingerprint_version("d2a84f4b8b650937ec8f73cd8be2c74add5a911ba64df27458ed8229da804a26"), None);
    }
}
