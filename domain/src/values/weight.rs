//! What a state takes in memory beside its own size, roughly: the cache of aggregates has a budget.

use std::collections::{BTreeMap, BTreeSet};

/// What the allocator adds to each piece, roughly.
const PIECE: usize = 16;

/// A text of so many bytes.
pub const fn of_text(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + PIECE }
}

/// A vector of plain values.
pub const fn of_vec<T>(vec: &Vec<T>) -> usize {
    if vec.capacity() == 0 { 0 } else { vec.capacity() * size_of::<T>() + PIECE }
}

/// A map of plain values.
pub fn of_map<K, V>(map: &BTreeMap<K, V>) -> usize {
    // Nodes are between half full and full.
    map.len() * (size_of::<K>() + size_of::<V>() + PIECE) * 3 / 2
}

/// A set of plain values.
pub fn of_set<T>(set: &BTreeSet<T>) -> usize {
    set.len() * (size_of::<T>() + PIECE) * 3 / 2
}
