//! How private a group was and is: its privacy eras, of which only so many are told apart.
//!
//! A change of privacy begins an era and what is written keeps its number for ever, so rights have to be known for each of
//! them. The last of them stand for themselves; those before are one, read by whoever may read the strictest of them.

use crate::access::Privacy;
use crate::{Span, Timestamp};

/// So many stretches of eras are told apart.
pub const APART: usize = 20;

/// For so long privacy stays as it is after a change.
pub const PAUSE: Span = Span::hours(24);

/// Eras in a row that are read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// How private the group was; of several, in the strictest of them.
    pub privacy: Privacy,
    /// The first era after one of them that was less private than it.
    pub loosened: Option<u32>,
}

impl Stretch {
    const fn of(era: u32, privacy: Privacy) -> Self {
        Self { first: era, last: era, privacy, loosened: None }
    }

    /// Read by whoever may read the strictest of both.
    fn with(self, next: Self) -> Self {
        let loosened = self.loosened.into_iter().chain(next.loosened).min();
        Self { first: self.first, last: next.last, privacy: self.privacy.max(next.privacy), loosened }
    }
}

/// The privacy eras of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Eras {
    /// Oldest first; none before the group exists.
    stretches: Vec<Stretch>,
    /// When privacy changed the last time.
    changed: Option<Timestamp>,
}

impl Eras {
    /// Bytes that they take on the heap, roughly.
    pub(super) fn heap(&self) -> usize {
        crate::weight::of_vec(&self.stretches)
    }

    /// Those of a group that comes to be.
    pub(super) fn beginning(privacy: Privacy) -> Self {
        Self { stretches: vec![Stretch::of(0, privacy)], changed: None }
    }

    /// After a change of privacy.
    pub(super) fn change(&mut self, privacy: Privacy, at: Timestamp) {
        let era = self.last().map_or(0, |last| last.last.saturating_add(1));
        for stretch in self.stretches.iter_mut().filter(|stretch| stretch.privacy > privacy) {
            stretch.loosened.get_or_insert(era);
        }
        match self.stretches.last_mut() {
            Some(last) if last.privacy == privacy => last.last = era,
            _ => self.stretches.push(Stretch::of(era, privacy)),
        }
        if self.stretches.len() > APART {
            let oldest = self.stretches.remove(0);
            self.stretches[0] = oldest.with(self.stretches[0]);
        }
        self.changed = Some(at);
    }

    /// When privacy may change again, if not at once. Its first choice is no change.
    pub fn again(&self) -> Option<Timestamp> {
        self.changed.map(|changed| changed.plus(PAUSE))
    }

    /// All of them, oldest first.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The stretch that `era` lies in.
    pub fn of(&self, era: u32) -> Option<&Stretch> {
        let after = self.stretches.partition_point(|stretch| stretch.last < era);
        self.stretches.get(after)
    }

    /// The present one.
    pub fn last(&self) -> Option<&Stretch> {
        self.stretches.last()
    }
}

#[cfg(test)]
#[path = "eras_tests.rs"]
mod tests;
