//! Whose a text is: what it is kept for, and of whom. Each owner's texts have a key of their own, so that they can be forgotten together.

use crate::{GroupId, PageId, PersonId, StreamName, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};
use uuid::Uuid;

/// The owner of a text, written as `person-65a5...`, `audit-2026` or `installation`: a purpose and an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextOwner {
    /// What a person says as themselves; both sides of a conversation with a page, which is about the person.
    Person(PersonId),
    /// What is said as a page.
    Page(PageId),
    /// What a group says of itself, while it is not for everyone.
    Group(GroupId),
    /// Why something or somebody was removed, refused, banned: the person, or the page, whom it is about.
    Decisions(Uuid),
    /// Names and addresses of orders: the buyer.
    Orders(PersonId),
    /// Choices in a poll.
    Poll(Uuid),
    /// Who read what, who passed over what, and why: the year in which that was recorded.
    Audit(u16),
    /// What belongs to nobody but the installation.
    Installation,
}

/// A text that names no owner as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the owner of a text, such as person-UUID, audit-YEAR or installation")]
pub struct NoOwner;

impl TextOwner {
    /// The owner of what is recorded at `at` for whoever looks after this installation.
    pub fn audit(at: Timestamp) -> Self {
        Self::Audit(at.year())
    }

    /// Who owns the reasons of what was decided about the words, or the deeds, of this owner.
    #[must_use]
    pub const fn decisions(self) -> Self {
        match self {
            Self::Person(PersonId(id)) | Self::Page(PageId(id)) => Self::Decisions(id),
            other => other,
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Page(_) => "page",
            Self::Group(_) => "group",
            Self::Decisions(_) => "decisions",
            Self::Orders(_) => "orders",
            Self::Poll(_) => "poll",
            Self::Audit(_) => "audit",
            Self::Installation => "installation",
        }
    }

    fn read(text: &str) -> Option<Self> {
        if text == Self::Installation.purpose() {
            return Some(Self::Installation);
        }
        let (purpose, key) = text.split_once('-')?;
        let id = || Uuid::try_parse(key).ok();
        match purpose {
            "person" => id().map(|id| Self::Person(PersonId(id))),
            "page" => id().map(|id| Self::Page(PageId(id))),
            "group" => id().map(|id| Self::Group(GroupId(id))),
            "decisions" => id().map(Self::Decisions),
            "orders" => id().map(|id| Self::Orders(PersonId(id))),
            "poll" => id().map(Self::Poll),
            "audit" => key.parse().ok().map(Self::Audit),
            _ => None,
        }
    }
}

impl fmt::Display for TextOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = self.purpose();
        match self {
            Self::Person(PersonId(id))
            | Self::Page(PageId(id))
            | Self::Group(GroupId(id))
            | Self::Decisions(id)
            | Self::Orders(PersonId(id))
            | Self::Poll(id) => write!(f, "{purpose}-{id}"),
            Self::Audit(year) => write!(f, "{purpose}-{year:04}"),
            Self::Installation => f.write_str(purpose),
        }
    }
}

/// As it is written here and in no other way: keys are found by this text.
impl FromStr for TextOwner {
    type Err = NoOwner;

    fn from_str(text: &str) -> Result<Self, NoOwner> {
        Self::read(text).filter(|owner| owner.to_string() == text).ok_or(NoOwner)
    }
}

impl Serialize for TextOwner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TextOwner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Where an event stands, for those whose texts have no owner yet.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Its stream.
    pub stream: &'a StreamName,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whose the thing is that its stream is about, as the stream's first event tells: [`crate::Event::begins`]. An edit does not.
    pub begun: Option<TextOwner>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "610b9eed-09a8-8a98-85c8-1d8b0a8ce85f";

    #[test]
    fn an_owner_is_read_as_it_is_written() {
        let id: Uuid = ID.parse().unwrap();
        for (owner, text) in [
            (TextOwner::Person(PersonId(id)), format!("person-{ID}")),
            (TextOwner::Page(PageId(id)), format!("page-{ID}")),
            (TextOwner::Group(GroupId(id)), format!("group-{ID}")),
            (TextOwner::Decisions(id), format!("decisions-{ID}")),
            (TextOwner::Orders(PersonId(id)), format!("orders-{ID}")),
            (TextOwner::Poll(id), format!("poll-{ID}")),
            (TextOwner::Audit(2026), "audit-2026".to_owned()),
            (TextOwner::Audit(7), "audit-0007".to_owned()),
            (TextOwner::Installation, "installation".to_owned()),
        ] {
            assert_eq!((owner.to_string(), text.parse()), (text.clone(), Ok(owner)));
            assert_eq!(serde_json::from_str::<TextOwner>(&serde_json::to_string(&owner).unwrap()).unwrap(), owner);
        }
        assert_eq!(TextOwner::audit(crate::testing::NOON), TextOwner::Audit(2026));
    }

    #[test]
    fn what_is_written_otherwise_is_no_owner() {
        let odd = [ID.to_uppercase(), ID.replace('-', ""), String::new(), "7".to_owned(), format!("{{{ID}}}"), format!("{ID} ")];
        for text in odd.iter().map(|id| format!("person-{id}")).chain(
            ["", "person", "audit", "audit-", "audit-26", "audit-+2026", "audit-02026", "audit-99999", "installation-", "Installation"]
                .map(str::to_owned),
        ) {
            assert_eq!(text.parse::<TextOwner>(), Err(NoOwner), "{text}");
        }
        assert!(format!("nobody-{ID}").parse::<TextOwner>().is_err());
    }
}
