//! Typed identifiers: UUIDs that cannot be mistaken for one another, and names of streams.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A registered person; derived from (issuer, subject) of their token.
    PersonId,
    /// A group.
    GroupId,
    /// A listing.
    ListingId,
    /// A question.
    QuestionId,
    /// An answer to a question.
    AnswerId,
    /// A page.
    PageId,
    /// A message of a conversation with a page.
    MessageId,
    /// A post.
    PostId,
    /// A comment.
    CommentId,
    /// A file that somebody uploaded.
    MediaId,
}

/// The name of a stream: its category, a hyphen, and the key within the category.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamName(String);

impl StreamName {
    /// The stream of `key` in `category`.
    pub fn new(category: &str, key: impl fmt::Display) -> Self {
        Self(format!("{category}-{key}"))
    }

    /// A name as it was stored.
    pub fn stored(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The text as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first hyphen.
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(&self.0, |(category, _)| category)
    }

    /// What stands behind the first hyphen.
    pub fn key(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, key)| key)
    }

    /// The key as a UUID, for streams that are named by one.
    pub fn id(&self) -> Option<Uuid> {
        self.key().parse().ok()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_stream_falls_apart_at_its_first_hyphen() {
        let id = Uuid::from_u128(7);
        let name = StreamName::new("group", GroupId(id));
        assert_eq!((name.category(), name.key(), name.id()), ("group", id.to_string().as_str(), Some(id)));
        assert_eq!(StreamName::stored(name.as_str()), name);
        let odd = StreamName::stored("nonsense");
        assert_eq!((odd.category(), odd.key(), odd.id()), ("nonsense", "", None));
    }
}
