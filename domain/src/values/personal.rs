//! Texts that are not for everyone, marked as such in every event, so that they can be masked for analysts: those of persons,
//! and names and descriptions of groups.

use crate::TextOwner;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{cell::RefCell, fmt};

/// What is written as `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mask {
    /// Texts of persons: every [`Personal`] value.
    Persons,
    /// Every [`Communal`] value as well: what a closed or secret group says of itself is not for everyone.
    PersonsAndGroup,
}

/// A value that belongs to a person's private sphere, or was said in confidence, with whom it belongs to.
///
/// Stored as the plain value, without its owner; `None` is what a masked history holds. One that was read from a history has no
/// owner until [`crate::Decider::own_texts`] gives it one. Within [`masked`] it is written as `null`. Two of them are equal if they
/// say the same.
#[derive(Debug, Clone)]
pub struct Personal<T> {
    value: Option<T>,
    owner: Option<TextOwner>,
}

/// A value that is as open as the group it belongs to: its name, its description.
///
/// Stored like a [`Personal`] value; only within a mask of the group it is written as `null`.
#[derive(Debug, Clone)]
pub struct Communal<T> {
    value: Option<T>,
    owner: Option<TextOwner>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { value: Option::deserialize(deserializer)?, owner: None })
    }
}

/// A `null` is a masked value; what is not there at all is broken.
impl<'de> Deserialize<'de> for Communal<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl de::Visitor<'_> for Read {
            type Value = Communal<String>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Communal { value: None, owner: None })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                self.visit_string(text.to_owned())
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Communal { value: Some(text), owner: None })
            }
        }
        deserializer.deserialize_any(Read)
    }
}

thread_local! {
    static MASKING: RefCell<Option<Masking>> = const { RefCell::new(None) };
}

/// What is being masked on this thread.
struct Masking {
    mask: Mask,
    /// Whose the values are that were written as `null` so far.
    owners: Vec<Option<TextOwner>>,
}

/// Runs `write` with every value under `mask` that is serialised on this thread written as `null`.
pub fn masked<T>(mask: Mask, write: impl FnOnce() -> T) -> T {
    taking(mask, write).0
}

/// The same, and whose the values are that were written as `null`, in the order of writing.
pub(crate) fn taking<T>(mask: Mask, write: impl FnOnce() -> T) -> (T, Vec<Option<TextOwner>>) {
    /// Restores the earlier state even when `write` panics.
    struct Reset(Option<Masking>);
    impl Drop for Reset {
        fn drop(&mut self) {
            MASKING.replace(self.0.take());
        }
    }
    let _reset = Reset(MASKING.replace(Some(Masking { mask, owners: vec![] })));
    let written = write();
    let owners = MASKING.with_borrow_mut(|masking| masking.as_mut().map(|masking| std::mem::take(&mut masking.owners)));
    (written, owners.unwrap_or_default())
}

/// Whether a value under `mask` is to be hidden now; if so, its owner is remembered.
fn hides(mask: Mask, owner: Option<TextOwner>) -> bool {
    MASKING.with_borrow_mut(|masking| {
        let masking = masking.as_mut().filter(|masking| masking.mask >= mask);
        masking.map(|masking| masking.owners.push(owner)).is_some()
    })
}

macro_rules! maskable {
    ($name:ident, $mask:expr) => {
        impl<T> $name<T> {
            /// A value and whose it is.
            pub const fn new(value: T, owner: TextOwner) -> Self {
                Self { value: Some(value), owner: Some(owner) }
            }

            /// The value, unless the history is a masked one.
            pub const fn get(&self) -> Option<&T> {
                self.value.as_ref()
            }

            /// Whose it is; `None` if it was read from a history and nobody has said so yet.
            pub const fn owner(&self) -> Option<TextOwner> {
                self.owner
            }

            /// The same as a text of `owner`'s.
            #[must_use]
            pub fn owned_by(&self, owner: TextOwner) -> Self
            where
                T: Clone,
            {
                Self { value: self.value.clone(), owner: Some(owner) }
            }

            /// Gives it to `owner`, if there is one, unless it belongs to somebody.
            pub fn give(&mut self, owner: impl Into<Option<TextOwner>>) {
                self.owner = self.owner.or(owner.into());
            }
        }

        impl<T: PartialEq> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.value == other.value
            }
        }

        impl<T: Eq> Eq for $name<T> {}

        impl<T: Serialize> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match &self.value {
                    Some(value) if !hides($mask, self.owner) => serializer.serialize_some(value),
                    _ => serializer.serialize_none(),
                }
            }
        }
    };
}

maskable!(Personal, Mask::Persons);
maskable!(Communal, Mask::PersonsAndGroup);

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: TextOwner = TextOwner::Installation;

    #[test]
    fn personal_text_is_null_when_masked_and_itself_otherwise() {
        let name = Personal::new("Ann".to_owned(), OWNER);
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
        assert_eq!(masked(Mask::Persons, || serde_json::to_string(&name).unwrap()), "null");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
        assert_eq!(serde_json::from_str::<Personal<String>>("null").unwrap().get(), None);
    }

    #[test]
    fn what_a_group_says_of_itself_is_null_only_where_the_group_is_masked_too() {
        let both = (Personal::new("Ann", OWNER), Communal::new("Alpine Club", OWNER));
        let written = |mask| masked(mask, || serde_json::to_string(&both).unwrap());
        assert_eq!(written(Mask::Persons), r#"[null,"Alpine Club"]"#);
        assert_eq!(written(Mask::PersonsAndGroup), "[null,null]");
        assert_eq!(serde_json::from_str::<Communal<String>>("null").unwrap().get(), None);
    }

    #[test]
    fn a_value_keeps_the_owner_it_has_and_says_the_same_whoever_that_is() {
        let mut read = serde_json::from_str::<Personal<String>>("\"Ann\"").unwrap();
        assert_eq!((read.owner(), &read), (None, &Personal::new("Ann".to_owned(), OWNER)));
        read.give(TextOwner::Audit(2026));
        read.give(OWNER);
        assert_eq!(read.owner(), Some(TextOwner::Audit(2026)));
        let (json, owners) = taking(Mask::Persons, || serde_json::to_string(&[&read, &Personal::new("Eve".to_owned(), OWNER)]).unwrap());
        assert_eq!((json.as_str(), owners), ("[null,null]", vec![Some(TextOwner::Audit(2026)), Some(OWNER)]));
    }
}
