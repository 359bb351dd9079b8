//! Rows in memory while events are folded into them. One entry per key, whatever its type.

use super::sample::Sample;
use crate::{
    row::{Fold, Keys},
    value::{ColumnError, Value},
};
use circolo_events::{Position, Recorded};
use std::collections::HashMap;

/// One row while it is in memory.
struct Entry<R> {
    /// `None`: there is no such row. On the heap, so that the map stays small however many columns a row has.
    row: Option<Box<R>>,
    /// Events up to here are in it already (a build that was interrupted has rows ahead of its checkpoint).
    folded: Position,
    /// Does the database hold a row under this key?
    stored: bool,
    /// Must it be written?
    dirty: bool,
}

/// The rows of one table in memory, their type erased.
pub trait Rows: Send + Sync {
    /// Makes room for every key that `events` touch and that is in the sample, if there is one; the keys that are new here, sorted: they must be loaded.
    fn prepare(&mut self, events: &[&Recorded], sample: Option<&Sample>) -> Vec<String>;

    /// Takes rows that the database holds: the row's values and, last, the position it is folded to (negative: deleted).
    fn load(&mut self, rows: Vec<Vec<Value>>) -> Result<(), ColumnError>;

    /// Folds the events that were prepared last.
    fn fold(&mut self, events: &[&Recorded]);

    /// Roughly how many bytes the rows take.
    fn size(&self) -> usize;

    /// Forgets everything, and gives the changes in order of key.
    fn drain(&mut self) -> Box<dyn Iterator<Item = Change> + Send>;
}

/// One row to be written.
#[derive(Debug)]
pub enum Change {
    /// Insert or replace it.
    Upsert(Vec<Value>),
    /// Delete it.
    Delete(String),
}

/// The rows of one table in memory.
pub struct TypedRows<R> {
    entries: HashMap<String, Entry<R>>,
    /// Keys of the events that were prepared last.
    keys: Vec<Keys>,
    size: usize,
}

impl<R> Default for TypedRows<R> {
    fn default() -> Self {
        Self { entries: HashMap::new(), keys: Vec::new(), size: 0 }
    }
}

/// What an entry takes beside its row and the letters of its key: a slot of a map that is two thirds full, and what the allocator
/// adds to key and row.
const ENTRY: usize = 56 * 3 / 2 + 2 * 16;

impl<R: Fold> Rows for TypedRows<R> {
    fn prepare(&mut self, events: &[&Recorded], sample: Option<&Sample>) -> Vec<String> {
        let mut missing = Vec::new();
        self.keys = events.iter().map(|event| R::keys(event)).collect();
        if let Some(sample) = sample {
            self.keys.iter_mut().for_each(|keys| keys.retain(|key| sample.takes(key)));
        }
        for keys in &self.keys {
            for key in keys.as_slice() {
                if !self.entries.contains_key(key) {
                    self.size += ENTRY + key.len();
                    self.entries.insert(key.clone(), Entry { row: None, folded: Position::START, stored: false, dirty: false });
                    missing.push(key.clone());
                }
            }
        }
        missing.sort_unstable();
        missing
    }

    fn load(&mut self, rows: Vec<Vec<Value>>) -> Result<(), ColumnError> {
        for mut values in rows {
            let folded = match values.pop() {
                Some(Value::Int(position)) => position,
                other => return Err(ColumnError { column: values.len(), expected: "a position", found: format!("{other:?}") }),
            };
            let Some(Value::Text(key)) = values.first().cloned() else { continue };
            let row = if folded < 0 { None } else { Some(Box::new(R::from_values(values)?)) };
            self.size += row.as_deref().map_or(0, R::size);
            if let Some(entry) = self.entries.get_mut(&key) {
                *entry = Entry { row, folded: Position(folded.abs()), stored: true, dirty: false };
            }
        }
        Ok(())
    }

    fn fold(&mut self, events: &[&Recorded]) {
        for (event, keys) in events.iter().zip(&self.keys) {
            for key in keys.as_slice() {
                let Some(entry) = self.entries.get_mut(key) else { continue };
                if event.position <= entry.folded {
                    continue;
                }
                let before = entry.row.as_deref().map_or(0, R::size);
                let row = R::fold(entry.row.take().map(|row| *row), key, event);
                entry.dirty |= row.is_some() || before > 0;
                self.size = (self.size + row.as_ref().map_or(0, R::size)).saturating_sub(before);
                entry.row = row.map(Box::new);
            }
        }
    }

    fn size(&self) -> usize {
        self.size
    }

    fn drain(&mut self) -> Box<dyn Iterator<Item = Change> + Send> {
        self.size = 0;
        let entries = std::mem::take(&mut self.entries);
        let mut dirty = Vec::with_capacity(entries.values().filter(|entry| entry.dirty).count());
        dirty.extend(entries.into_iter().filter(|(_, entry)| entry.dirty));
        dirty.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Box::new(dirty.into_iter().filter_map(|(key, entry)| match entry.row {
            Some(row) => Some(Change::Upsert(row.into_values())),
            None if entry.stored => Some(Change::Delete(key)),
            None => None,
        }))
    }
}
