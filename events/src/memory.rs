//! The reference adapter: everything in memory.

use crate::{
    rules::{check, prefix_end},
    store::{Append, Appended, EventStore, Expected, LogId, NewEvent, Page, Position, Revision, StoreError, Stored, event_id},
};
use async_trait::async_trait;
use circolo_domain::StreamName;
use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use uuid::Uuid;

/// A log that lives as long as the process.
#[derive(Debug)]
pub struct Memory {
    id: LogId,
    log: RwLock<Log>,
    head: watch::Sender<Position>,
    partial: AtomicBool,
}

#[derive(Debug, Default)]
struct Log {
    /// Event number `n` stands at position `n + 1`.
    events: Vec<Stored>,
    /// Where the events of a stream stand in `events`, by revision.
    streams: BTreeMap<String, Vec<usize>>,
    ids: HashSet<Uuid>,
}

impl Default for Memory {
    /// An empty log, always with the same id.
    fn default() -> Self {
        Self::new(Uuid::nil())
    }
}

impl Memory {
    /// An empty log with the identity `id`.
    pub fn new(id: LogId) -> Self {
        Self { id, log: RwLock::default(), head: watch::Sender::new(Position::START), partial: AtomicBool::default() }
    }

    // A panic cannot leave half an append behind: `Log::append` checks everything before it changes anything.
    fn read(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Log> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn append(&mut self, append: Append) -> Result<Appended, StoreError> {
        check(&append)?;
        let current = self.current(&append.stream);
        let known = append.events.iter().any(|event| self.ids.contains(&event.id));
        if Expected::of(current) != append.expected || known {
            return Err(StoreError::Conflict { stream: append.stream, current });
        }
        let places = self.streams.entry(append.stream.as_str().to_owned()).or_default();
        for event in append.events {
            let event = NewEvent { texts: vec![], ..event };
            let (place, revision) = (self.events.len(), places.len() as Revision);
            self.ids.insert(event.id);
            places.push(place);
            self.events.push(Stored { position: position(place), stream: append.stream.clone(), revision, event, shut: None });
        }
        Ok(Appended { revision: places.len() as Revision - 1, position: self.head() })
    }

    fn current(&self, stream: &StreamName) -> Option<Revision> {
        self.streams.get(stream.as_str()).and_then(|places| places.len().checked_sub(1)).map(|last| last as Revision)
    }

    fn head(&self) -> Position {
        self.events.last().map_or(Position::START, |event| event.position)
    }

    fn stream(&self, stream: &StreamName) -> impl Iterator<Item = &Stored> {
        self.streams.get(stream.as_str()).into_iter().flatten().map(|&place| &self.events[place])
    }

    /// Places of all events in streams that begin with `prefix`, sorted.
    fn places(&self, prefix: &str) -> Vec<usize> {
        let end = prefix_end(prefix);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let streams = self.streams.range::<str, _>((Bound::Included(prefix), upper));
        let mut places: Vec<usize> = streams.flat_map(|(_, places)| places).copied().collect();
        places.sort_unstable();
        places
    }
}

fn position(place: usize) -> Position {
    Position(i64::try_from(place + 1).unwrap_or(i64::MAX))
}

#[async_trait]
impl EventStore for Memory {
    fn log_id(&self) -> LogId {
        self.id
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let mut log = self.write();
        let appended = log.append(append)?;
        self.head.send_replace(log.head());
        Ok(appended)
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        let mut log = self.write();
        let outcomes = appends.into_iter().map(|append| log.append(append)).collect();
        self.head.send_replace(log.head());
        outcomes
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(Self::read(self).stream(stream).skip(from).take(limit).cloned().collect())
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        let log = Self::read(self);
        let places = log.places(prefix).into_iter();
        let events = places.map(|place| &log.events[place]).skip_while(|event| event.position <= after);
        let events: Vec<Stored> = events.take_while(|event| event.position <= until).take(limit).cloned().collect();
        Ok(Page::new(events, limit, after, until.min(log.head())))
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        let log = Self::read(self);
        let from = usize::try_from(after.0).unwrap_or(0);
        let events: Vec<Stored> = log.events.iter().skip(from).take(limit).cloned().collect();
        Ok(Page::new(events, limit, after, log.head()))
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(Self::read(self).head())
    }

    async fn is_partial(&self) -> Result<bool, StoreError> {
        Ok(self.partial.load(Ordering::Acquire))
    }

    async fn set_partial(&self, partial: bool) -> Result<(), StoreError> {
        self.partial.store(partial, Ordering::Release);
        Ok(())
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        let log = Self::read(self);
        let mut events = log.stream(stream).skip_while(|stored| stored.event.id != event_id(command_id, 0)).enumerate();
        let Some((_, first)) = events.next() else { return Ok(None) };
        let rest = events.take_while(|(index, stored)| stored.event.id == event_id(command_id, *index));
        let last = rest.last().map_or(first, |(_, stored)| stored);
        Ok(Some((first.clone(), Appended { revision: last.revision, position: last.position })))
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        Ok(crate::rules::beyond(self.head.subscribe(), after, wait).await)
    }
}
