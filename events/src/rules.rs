//! What all adapters check before they send an append, and compute alike.

use crate::store::{Append, NewEvent, Position, Revision, StoreError};
use std::{collections::HashSet, time::Duration};
use tokio::{sync::watch, time::timeout};

/// Longest stream name and event type in bytes: what an index entry of every database holds.
pub const MAX_NAME: usize = 500;

/// Refuses what no adapter may store. That the payload is a JSON object is the caller's duty.
pub fn check(append: &Append) -> Result<(), StoreError> {
    if append.events.is_empty() {
        return Err(StoreError::Invalid("there are no events"));
    }
    check_name(append.stream.as_str())?;
    for event in &append.events {
        check_name(&event.event_type)?;
        // Postgres cannot hold this character; a JSON text has it only in escaped form.
        if event.data.contains('\0') || event.metadata.contains('\0') {
            return Err(StoreError::Invalid("a payload contains the character NUL"));
        }
    }
    if has_twins(&append.events) {
        return Err(StoreError::Invalid("two events have the same id"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), StoreError> {
    if name.is_empty() {
        Err(StoreError::Invalid("a stream or an event type has no name"))
    } else if name.len() > MAX_NAME {
        Err(StoreError::Invalid("the name of a stream or an event type is longer than 500 bytes"))
    } else if name.contains('\0') {
        Err(StoreError::Invalid("the name of a stream or an event type contains the character NUL"))
    } else {
        Ok(())
    }
}

fn has_twins(events: &[NewEvent]) -> bool {
    if events.len() < 16 {
        return events.iter().enumerate().any(|(index, event)| events[..index].iter().any(|other| other.id == event.id));
    }
    let mut seen = HashSet::with_capacity(events.len());
    !events.iter().all(|event| seen.insert(event.id))
}

/// Roughly the bytes that an append takes in a transaction.
pub fn size(append: &Append) -> usize {
    let events = append.events.iter().map(|event| event.data.len() + event.metadata.len() + event.event_type.len() + 64);
    append.stream.as_str().len() * append.events.len() + events.sum::<usize>()
}

/// The first text behind all that begin with `prefix`, in the order of bytes; `None` if every text is before it.
pub fn prefix_end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Surrogates are no characters: their place in the order is skipped.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// As a database holds a revision. What is too large for it stands behind every event.
pub fn signed(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// A revision as a database holds it; there are no negative ones.
pub fn unsigned(revision: i64) -> Revision {
    revision.try_into().unwrap_or(0)
}

/// A limit as a database takes it.
pub fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Waits until the watched head is beyond `after`, at most `wait`; the head then.
pub async fn beyond(mut head: watch::Receiver<Position>, after: Position, wait: Duration) -> Position {
    // A closed channel means that nothing more will come: the last head is the answer, as after the time.
    let seen = timeout(wait, head.wait_for(|head| *head > after)).await;
    if let Ok(Ok(head)) = seen {
        return *head;
    }
    drop(seen);
    *head.borrow()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begin_with_it() {
        assert_eq!(prefix_end("group-"), Some("group.".to_owned()));
        assert_eq!(prefix_end("a\u{D7FF}"), Some("a\u{E000}".to_owned()));
        assert_eq!(prefix_end("a\u{10FFFF}"), Some("b".to_owned()));
        assert_eq!(prefix_end("\u{10FFFF}"), None);
        assert_eq!(prefix_end(""), None);
    }
}
