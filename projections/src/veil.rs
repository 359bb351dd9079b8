//! Words that were written in stricter times than the thing they belong to, kept apart from those that all its readers read.
//!
//! The audience of words is the stricter of the thing's and of the edit's. The columns of a row hold what everybody reads who
//! reads the thing, so whatever knows nothing of this shows no more: lists, feeds, searches, files. What was written later
//! in stricter times lies beside it, behind the veil, and is laid over it for those whose keys open it.

use crate::value::{ColumnType, Kind, Value};
use circolo_domain::{Timestamp, access::Key};
use circolo_events::Recorded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value of a field that not all readers of the thing may read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Later {
    /// How private the place was; see [`strictness`].
    strictness: i64,
    /// The group and the privacy era it was written in.
    audience: String,
    /// When it was written.
    pub at: Timestamp,
    /// The value.
    pub value: Option<String>,
    /// Number of the version, where there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// What is behind the veil, by field; each later value is stricter than the one before, so there are two at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Veil(BTreeMap<String, Vec<Later>>);

/// How private the place was in which `event` happened: 0 public, 1 closed, 2 secret.
pub(crate) fn strictness(event: &Recorded) -> i64 {
    event.metadata.scope.map_or(0, |scope| scope.privacy as i64)
}

impl Veil {
    /// `event` gave `field` a value, of a thing that was written in times as strict as `thing`. `true` if all readers of the
    /// thing may read it; otherwise it is kept here.
    pub(crate) fn write(&mut self, field: &str, thing: i64, event: &Recorded, value: Option<&String>, version: Option<u32>) -> bool {
        let strictness = strictness(event);
        let Some(scope) = event.metadata.scope.filter(|_| strictness > thing) else {
            // Whoever read a stricter value before may read this one, too.
            self.0.remove(field);
            return true;
        };
        let kept = self.0.entry(field.to_owned()).or_default();
        kept.retain(|earlier| earlier.strictness < strictness);
        let version = version.map(i64::from);
        kept.push(Later { strictness, audience: scope.audience(), at: event.recorded_at, value: value.cloned(), version });
        false
    }

    /// `field` is no longer told to anybody.
    pub(crate) fn forget(&mut self, field: &str) {
        self.0.remove(field);
    }

    /// The newest value of `field`, where `open` is what all readers of the thing read.
    pub(crate) fn newest<'a>(&'a self, field: &str, open: Option<&'a String>) -> Option<&'a String> {
        self.0.get(field).and_then(|kept| kept.last()).map_or(open, |later| later.value.as_ref())
    }

    /// What a reader with `keys` reads of `field` instead of what all readers of the thing read.
    pub(crate) fn lifted(&self, field: &str, keys: &[Key]) -> Option<&Later> {
        let opens = |later: &&Later| keys.iter().any(|key| key.opens(&later.audience, later.at.micros()));
        self.0.get(field)?.iter().rev().find(opens)
    }

    /// Lays over `shown` what a reader with `keys` reads of `field` instead.
    pub(crate) fn lift(&self, field: &str, keys: &[Key], shown: &mut Option<String>) {
        if let Some(later) = self.lifted(field, keys) {
            shown.clone_from(&later.value);
        }
    }
}

impl ColumnType for Veil {
    const KIND: Kind = Kind::Text;
    const NULLABLE: bool = true;

    fn into_value(self) -> Value {
        if self.0.is_empty() { Value::Null } else { serde_json::to_string(&self).map_or(Value::Null, Value::Text) }
    }

    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::Text(json) => serde_json::from_str(&json).map_err(|_| Value::Text(json)),
            other => Err(other),
        }
    }

    fn heap(&self) -> usize {
        let later = |later: &Later| size_of::<Later>() + later.audience.heap() + later.value.heap();
        self.0.iter().map(|(field, kept)| field.heap() + kept.iter().map(later).sum::<usize>()).sum()
    }
}

#[cfg(test)]
#[path = "veil_tests.rs"]
mod tests;
