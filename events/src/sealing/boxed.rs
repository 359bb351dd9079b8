//! A box: values of an event under one key of their owner, bound to the place where they stand.
//!
//! What is sealed is the JSON array of the values, then spaces to a multiple of 32 bytes, so that its length tells little.
//! What is authenticated with it says where it belongs, so that a box that was moved opens nowhere.

use super::{
    Owner,
    secret::{NoRandomness, Random, Secret},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use std::fmt::Write;
use uuid::Uuid;

/// Lengths of what is sealed are multiples of this.
const BLOCK: usize = 32;

/// Where a box belongs.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The event's id.
    pub id: Uuid,
    /// The event's type.
    pub event_type: &'a str,
    /// Whose key it is.
    pub of: &'a Owner,
    /// The version of the key.
    pub key: u32,
    /// Where the values stand.
    pub at: &'a [String],
}

/// Why there is no box.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// Type or pointer hold a line feed, by which the parts of the label are told apart.
    #[error("a type or a pointer with a line feed cannot be sealed")]
    LineFeed,
    /// More was said than may be.
    #[error("the values take {found} bytes, and {longest} are the most")]
    TooLong {
        /// What they take.
        found: usize,
        /// What was said.
        longest: usize,
    },
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// The box is broken, was moved, or another key made it; or what was in it is not what its label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the box does not open: it was changed or moved, or another key made it")]
pub struct Shut;

impl Label<'_> {
    /// What is authenticated: each part with a line feed behind it. `None` where that could be read in two ways.
    fn text(&self) -> Option<String> {
        if self.event_type.contains('\n') || self.at.iter().any(|pointer| pointer.contains('\n')) {
            return None;
        }
        let mut text = String::with_capacity(128);
        // Writing to a string does not fail.
        let _ = write!(text, "{}\n{}\n{}\n{}\n", self.id, self.event_type, self.of, self.key);
        for pointer in self.at {
            text.push_str(pointer);
            text.push('\n');
        }
        Some(text)
    }
}

/// Seals `values`, each of them JSON. Where others must not see how long they are, `longest` is the most bytes that their array
/// could take: then every box is as long.
pub fn seal(secret: &Secret, label: Label<'_>, values: &[&str], longest: Option<usize>, random: &Random) -> Result<String, BoxError> {
    let associated = label.text().ok_or(BoxError::LineFeed)?;
    let mut text = padded(values, longest)?.into_bytes();
    Ok(BASE64_URL_SAFE_NO_PAD.encode(secret.encrypt(&mut text, &associated, random)?))
}

/// The values, each as JSON: as many as the label has pointers.
pub fn open(secret: &Secret, label: Label<'_>, text: &str) -> Result<Vec<String>, Shut> {
    let associated = label.text().ok_or(Shut)?;
    let mut sealed = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Shut)?;
    let values: Vec<&RawValue> = serde_json::from_slice(secret.decrypt(&mut sealed, &associated).ok_or(Shut)?).map_err(|_| Shut)?;
    if values.len() != label.at.len() {
        return Err(Shut);
    }
    Ok(values.into_iter().map(|value| value.get().to_owned()).collect())
}

/// The array of the values and the spaces behind it.
fn padded(values: &[&str], longest: Option<usize>) -> Result<String, BoxError> {
    let mut text = format!("[{}]", values.join(","));
    let found = text.len();
    if let Some(longest) = longest.filter(|longest| found > *longest) {
        return Err(BoxError::TooLong { found, longest });
    }
    let length = longest.unwrap_or(found).next_multiple_of(BLOCK);
    text.extend(std::iter::repeat_n(' ', length - found));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new([7; 32])
    }

    fn at(pointers: &[&str]) -> Vec<String> {
        pointers.iter().map(|pointer| (*pointer).to_owned()).collect()
    }

    #[test]
    fn a_box_that_was_moved_opens_nowhere() {
        let (ann, bob) = (Owner::new("person-ann").unwrap(), Owner::new("person-bob").unwrap());
        let here = at(&["/title", "/body"]);
        let label = Label { id: Uuid::from_u128(1), event_type: "question.posted.v1", of: &ann, key: 1, at: &here };
        let text = seal(&secret(), label, &["\"a\"", "\"b\""], None, &Random::system()).unwrap();
        assert_eq!(open(&secret(), label, &text).unwrap(), ["\"a\"", "\"b\""]);
        let elsewhere = [at(&["/body", "/title"]), at(&["/title"]), at(&["/title", "/body", "/x"]), at(&["/title", "/bodi"])];
        let moved = [
            Label { id: Uuid::from_u128(2), ..label },
            Label { event_type: "question.edited.v1", ..label },
            Label { of: &bob, ..label },
            Label { key: 2, ..label },
        ];
        for label in moved.into_iter().chain(elsewhere.iter().map(|at| Label { at, ..label })) {
            assert_eq!(open(&secret(), label, &text), Err(Shut), "{label:?}");
        }
        assert_eq!(open(&Secret::new([8; 32]), label, &text), Err(Shut));
        for broken in ["", "A", "!!!!", &text[1..], &text[..text.len() - 4], &format!("{text}=")] {
            assert_eq!(open(&secret(), label, broken), Err(Shut), "{broken}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_sealed() {
        let of = Owner::new("person-ann").unwrap();
        let (plain, lines) = (at(&["/a"]), at(&["/a\n/b"]));
        for (event_type, at) in [("a\nb", &plain), ("a", &lines)] {
            let label = Label { id: Uuid::nil(), event_type, of: &of, key: 1, at };
            assert_eq!(seal(&secret(), label, &["1"], None, &Random::system()), Err(BoxError::LineFeed));
            assert_eq!(open(&secret(), label, "AAAA"), Err(Shut));
        }
    }

    #[test]
    fn lengths_tell_little_and_nothing_where_the_longest_is_known() {
        let length = |value: &str, longest| padded(&[value], longest).map(|text| text.len());
        for (said, takes) in [(0, 32), (30, 32), (31, 64), (62, 64), (63, 96)] {
            assert_eq!(length(&"1".repeat(said), None), Ok(takes), "{said}");
        }
        for said in [0, 1, 50, 68] {
            assert_eq!(length(&"1".repeat(said), Some(70)), Ok(96), "{said}");
        }
        assert_eq!(length(&"1".repeat(69), Some(70)), Err(BoxError::TooLong { found: 71, longest: 70 }));
    }
}
