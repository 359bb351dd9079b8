//! Names and free text of persons, marked as such in every event, so that they can be masked for analysts.

use serde::{Deserialize, Serialize, Serializer};
use std::cell::Cell;

/// A value that belongs to a person's private sphere.
///
/// Stored as the plain value; `None` is what a masked history holds. Within [`masked`] it is written as `null`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(transparent)]
pub struct Personal<T>(Option<T>);

thread_local! {
    static MASKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `write` with every [`Personal`] value that is serialised on this thread written as `null`.
pub fn masked<T>(write: impl FnOnce() -> T) -> T {
    /// Restores the earlier state even when `write` panics.
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            MASKING.set(self.0);
        }
    }
    let _reset = Reset(MASKING.replace(true));
    write()
}

impl<T> Personal<T> {
    /// Marks a value as personal.
    pub const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value, unless the history is a masked one.
    pub const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) if !MASKING.get() => serializer.serialize_some(value),
            _ => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_text_is_null_when_masked_and_itself_otherwise() {
        let name = Personal::new("Ann".to_owned());
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
        assert_eq!(masked(|| serde_json::to_string(&name).unwrap()), "null");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
        assert_eq!(serde_json::from_str::<Personal<String>>("null").unwrap().get(), None);
    }
}
