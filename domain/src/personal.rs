//! Texts that are not for everyone, marked as such in every event, so that they can be masked for analysts: those of persons,
//! and names and descriptions of groups.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{cell::Cell, fmt};

/// What is written as `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mask {
    /// Texts of persons: every [`Personal`] value.
    Persons,
    /// Every [`Communal`] value as well: what a closed or secret group says of itself is not for everyone.
    PersonsAndGroup,
}

/// A value that belongs to a person's private sphere.
///
/// Stored as the plain value; `None` is what a masked history holds. Within [`masked`] it is written as `null`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(transparent)]
pub struct Personal<T>(Option<T>);

/// A value that is as open as the group it belongs to: its name, its description.
///
/// Stored like a [`Personal`] value; only within a mask of the group it is written as `null`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Communal<T>(Option<T>);

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
                Ok(Communal(None))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Communal::new(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Communal::new(text))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

thread_local! {
    static MASK: Cell<Option<Mask>> = const { Cell::new(None) };
}

/// Runs `write` with every value under `mask` that is serialised on this thread written as `null`.
pub fn masked<T>(mask: Mask, write: impl FnOnce() -> T) -> T {
    /// Restores the earlier state even when `write` panics.
    struct Reset(Option<Mask>);
    impl Drop for Reset {
        fn drop(&mut self) {
            MASK.set(self.0);
        }
    }
    let _reset = Reset(MASK.replace(Some(mask)));
    write()
}

macro_rules! maskable {
    ($name:ident, $mask:expr) => {
        impl<T> $name<T> {
            /// Marks a value.
            pub const fn new(value: T) -> Self {
                Self(Some(value))
            }

            /// The value, unless the history is a masked one.
            pub const fn get(&self) -> Option<&T> {
                self.0.as_ref()
            }
        }

        impl<T> From<T> for $name<T> {
            fn from(value: T) -> Self {
                Self::new(value)
            }
        }

        impl<T: Serialize> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match &self.0 {
                    Some(value) if MASK.get() < Some($mask) => serializer.serialize_some(value),
                    _ => serializer.serialize_none(),
                }
            }
        }
    };
}

maskable!(Personal, Mask::Persons);
maskable!(Communal, Mask::PersonsAndGroup);

impl From<&str> for Communal<String> {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_text_is_null_when_masked_and_itself_otherwise() {
        let name = Personal::new("Ann".to_owned());
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
        assert_eq!(masked(Mask::Persons, || serde_json::to_string(&name).unwrap()), "null");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
        assert_eq!(serde_json::from_str::<Personal<String>>("null").unwrap().get(), None);
    }

    #[test]
    fn what_a_group_says_of_itself_is_null_only_where_the_group_is_masked_too() {
        let both = (Personal::new("Ann"), Communal::new("Alpine Club"));
        let written = |mask| masked(mask, || serde_json::to_string(&both).unwrap());
        assert_eq!(written(Mask::Persons), r#"[null,"Alpine Club"]"#);
        assert_eq!(written(Mask::PersonsAndGroup), "[null,null]");
        assert_eq!(serde_json::from_str::<Communal<String>>("null").unwrap().get(), None);
    }
}
