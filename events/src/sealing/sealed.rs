//! An event whose texts lie in boxes: `data` holds null where they stand, `sealed` in the metadata the boxes, one per owner.

use super::{
    Current, Found, Owner, Random, Versions,
    boxed::{self, BoxError, Label},
    metadata::with_boxes,
    places::{self, NoPlace},
};
use crate::NewEvent;
use circolo_domain::{Apart, TextOwner};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Range};

const NULL: &str = "null";

/// A box of an event, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Whose texts are in it.
    pub of: Owner,
    /// The version of their key.
    pub key: u32,
    /// Where the texts stand: JSON pointers into `data`, in its order.
    pub at: Vec<String>,
    /// The box.
    #[serde(rename = "box")]
    pub boxed: String,
}

/// A text of an event that is to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where it stands in `data`.
    pub at: String,
    /// Whose it is.
    pub of: Owner,
    /// The most bytes that the array of all texts of this owner could take here, where nobody must see how long they are.
    pub longest: Option<usize>,
}

impl From<Apart> for Text {
    /// What nobody owns, which no decision makes, still is not for everyone.
    fn from(text: Apart) -> Self {
        Self { at: text.at, of: text.owner.unwrap_or(TextOwner::Installation).into(), longest: None }
    }
}

/// Why an event cannot be sealed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A text does not stand where it should.
    #[error("the texts of an event are not where they should be: {0}")]
    Place(#[from] NoPlace),
    /// There are boxes already.
    #[error("the event is sealed already")]
    Sealed,
    /// Nothing can be written for this owner any more.
    #[error("the key of {0} was destroyed, and nothing is sealed under it any more")]
    Destroyed(Owner),
    /// The keys that were given lack one.
    #[error("there is no key of {0} that opens")]
    NoKey(Owner),
    /// There is no box.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// The metadata are no object.
    #[error("the metadata of an event are broken")]
    Metadata,
}

/// Why a sealed event cannot be read. That a key was destroyed is no reason: what it sealed is null.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The metadata hold no boxes as they should be.
    #[error("the boxes of the event are broken")]
    Broken,
    /// The payload has no room for what is in them.
    #[error("the boxes of the event do not belong to its payload: {0}")]
    Place(#[from] NoPlace),
    /// A text stands where only null may stand.
    #[error("{0} of the event is sealed, and something stands there")]
    Taken(String),
    /// The key store never had the key.
    #[error("the key store has no version {1} of the key of {0}: it is not the one that belongs to this log, or an old backup of it")]
    Unknown(Owner, u32),
    /// The key does not open.
    #[error("version {1} of the key of {0} does not open: it is broken in the key store, or another installation key wrapped it")]
    KeyShut(Owner, u32),
    /// A box does not open.
    #[error("a box of {0} does not open: it was changed or moved, or another key made it")]
    Shut(Owner),
}

/// A sealed event, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// The payload with the texts in place; null where they are forgotten.
    pub data: String,
    /// The texts that are there, in the order of the boxes.
    pub texts: Vec<Text>,
    /// How many texts are forgotten.
    pub forgotten: usize,
}

/// What of an owner goes into one box.
#[derive(Default)]
struct Content<'a> {
    at: Vec<String>,
    values: Vec<&'a str>,
    longest: Option<usize>,
}

/// Seals `texts` of an event under the keys that `keys` has of their owners. Where null stands, nothing was said and nothing is
/// sealed.
pub fn seal(event: NewEvent, texts: &[Text], keys: &Current, random: &Random) -> Result<NewEvent, SealError> {
    if !entries(&event.metadata).map_err(|_| SealError::Metadata)?.is_empty() {
        return Err(SealError::Sealed);
    }
    let pointers: Vec<&str> = texts.iter().map(|text| text.at.as_str()).collect();
    let places = places::find(&event.data, &pointers)?;
    let mut said: Vec<(Range<usize>, &Text)> =
        places.into_iter().zip(texts).filter(|(place, _)| &event.data[place.clone()] != NULL).collect();
    if said.is_empty() {
        return Ok(event);
    }
    said.sort_by_key(|(place, _)| place.start);
    let mut contents = BTreeMap::<&Owner, Content<'_>>::new();
    for (place, text) in &said {
        let content = contents.entry(&text.of).or_default();
        content.at.push(text.at.clone());
        content.values.push(&event.data[place.clone()]);
        content.longest = content.longest.max(text.longest);
    }
    let sealed = contents.into_iter().map(|(of, content)| entry(&event, of, content, keys, random)).collect::<Result<Vec<_>, _>>()?;
    let sealed = serde_json::to_string(&sealed).map_err(|_| SealError::Metadata)?;
    let metadata = with_boxes(&event.metadata, &sealed).ok_or(SealError::Metadata)?;
    let data = places::replaced(&event.data, said.into_iter().map(|(place, _)| (place, NULL)).collect());
    Ok(NewEvent { data, metadata, ..event })
}

fn entry(event: &NewEvent, of: &Owner, content: Content<'_>, keys: &Current, random: &Random) -> Result<Entry, SealError> {
    let key = match keys.get(of) {
        Some(Found::Key(key)) => key,
        Some(Found::Destroyed) => return Err(SealError::Destroyed(of.clone())),
        Some(Found::Unknown | Found::Shut) | None => return Err(SealError::NoKey(of.clone())),
    };
    let label = Label { id: event.id, event_type: &event.event_type, of, key: key.version, at: &content.at };
    let boxed = boxed::seal(&key.secret, label, &content.values, content.longest, random)?;
    Ok(Entry { of: of.clone(), key: key.version, at: content.at, boxed })
}

/// The boxes that stand in `metadata`; none if the event is plain.
pub fn entries(metadata: &str) -> Result<Vec<Entry>, UnsealError> {
    #[derive(Deserialize)]
    struct Sealed {
        #[serde(default)]
        sealed: Vec<Entry>,
    }
    let Sealed { sealed } = serde_json::from_str(metadata).map_err(|_| UnsealError::Broken)?;
    Ok(sealed)
}

/// Opens what `entries` hold of an event with the keys that `keys` has of them.
pub fn unseal(event: &NewEvent, entries: &[Entry], keys: &Versions) -> Result<Unsealed, UnsealError> {
    let pointers: Vec<&str> = entries.iter().flat_map(|entry| entry.at.iter().map(String::as_str)).collect();
    let places = places::find(&event.data, &pointers)?;
    if let Some((_, at)) = places.iter().zip(&pointers).find(|(place, _)| &event.data[(*place).clone()] != NULL) {
        return Err(UnsealError::Taken((*at).to_owned()));
    }
    let (mut values, mut texts, mut forgotten) = (Vec::with_capacity(places.len()), Vec::with_capacity(places.len()), 0);
    for entry in entries {
        if let Some(opened) = open(event, entry, keys)? {
            values.extend(opened.into_iter().map(Some));
            texts.extend(entry.at.iter().map(|at| Text { at: at.clone(), of: entry.of.clone(), longest: None }));
        } else {
            forgotten += entry.at.len();
            values.extend(entry.at.iter().map(|_| None));
        }
    }
    let values = places.into_iter().zip(&values).filter_map(|(place, value)| Some((place, value.as_deref()?))).collect();
    Ok(Unsealed { data: places::replaced(&event.data, values), texts, forgotten })
}

/// What is in a box; `None` if its key was destroyed.
fn open(event: &NewEvent, entry: &Entry, keys: &Versions) -> Result<Option<Vec<String>>, UnsealError> {
    match keys.get(&(entry.of.clone(), entry.key)) {
        Some(Found::Key(key)) => {
            let label = Label { id: event.id, event_type: &event.event_type, of: &entry.of, key: entry.key, at: &entry.at };
            boxed::open(&key.secret, label, &entry.boxed).map(Some).map_err(|_| UnsealError::Shut(entry.of.clone()))
        }
        Some(Found::Destroyed) => Ok(None),
        Some(Found::Shut) => Err(UnsealError::KeyShut(entry.of.clone(), entry.key)),
        Some(Found::Unknown) | None => Err(UnsealError::Unknown(entry.of.clone(), entry.key)),
    }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
