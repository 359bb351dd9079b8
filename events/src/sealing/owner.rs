//! Whose a text is: a purpose and, for most, an id.

use circolo_domain::TextOwner;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// The longest name of an owner, in bytes.
const LONGEST: usize = 200;

/// The owner of a text, under whose key it is sealed: `person-` and a UUID, `audit-2026`, `installation`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(Arc<str>);

/// What is no owner.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an owner: a purpose of small letters is expected and, behind a hyphen, letters, digits, '-', '.' and '_'")]
pub struct NotAnOwner(String);

impl Owner {
    /// The owner of that name. What stands in what is authenticated line by line must not hold a line feed, nor anything like it.
    pub fn new(name: &str) -> Result<Self, NotAnOwner> {
        let (purpose, key) = name.split_once('-').map_or((name, None), |(purpose, key)| (purpose, Some(key)));
        let is_purpose = !purpose.is_empty() && purpose.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_key = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if name.len() <= LONGEST && is_purpose && key.is_none_or(is_key) { Ok(Self(name.into())) } else { Err(NotAnOwner(name.to_owned())) }
    }

    /// Its name, as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first hyphen.
    pub fn purpose(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl From<TextOwner> for Owner {
    /// Every owner that the domain has is written as one.
    fn from(owner: TextOwner) -> Self {
        Self(owner.to_string().into())
    }
}

impl TryFrom<String> for Owner {
    type Error = NotAnOwner;

    fn try_from(name: String) -> Result<Self, NotAnOwner> {
        Self::new(&name)
    }
}

impl std::str::FromStr for Owner {
    type Err = NotAnOwner;

    fn from_str(name: &str) -> Result<Self, NotAnOwner> {
        Self::new(name)
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.as_str().to_owned()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_purpose_and_mostly_an_id() {
        for name in ["installation", "audit-2026", "person-610b9eed-09a8-8a98-85c8-1d8b0a8ce85f", "decisions-x", "page-a.b_C"] {
            let owner = Owner::new(name).unwrap();
            assert_eq!(owner.as_str(), name);
            assert_eq!(owner.purpose(), name.split('-').next().unwrap());
            assert_eq!(serde_json::from_str::<Owner>(&serde_json::to_string(&owner).unwrap()).unwrap(), owner);
        }
        let ann = TextOwner::Person(circolo_domain::testing::person(1));
        assert_eq!(Owner::from(ann), Owner::new(&ann.to_string()).unwrap());
        for name in ["", "-", "person-", "-x", "Person-x", "person-x\n1", "person-ä", "per son", "person-a b", &"p".repeat(201)] {
            assert!(Owner::new(name).is_err(), "{name:?}");
            assert!(serde_json::from_value::<Owner>(name.into()).is_err(), "{name:?}");
        }
    }
}
