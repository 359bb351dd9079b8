//! The reads. The server reads from a position on, that position included, and takes only positions of records; backwards it
//! leaves the record at the position out.

use super::{
    end::Seen,
    envelope::{LOG_STREAM, is_hidden, position, stored},
    link::{Failure, Link},
    places::Places,
};
use crate::store::{Appended, Page, Position, Revision, StoreError, Stored, event_id};
use ::kurrentdb::{Client, Error, ReadAllOptions, ReadStream, ReadStreamOptions, RecordedEvent, StreamPosition, SubscriptionFilter};
use circolo_domain::StreamName;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// How many events of a stream are searched for a command.
const SEARCHED: usize = 1_000;
/// Records per page when the log is read backwards to find a position's place.
const MANY: usize = 1_000;
/// For so long nobody else asks for a position after one that was none.
const BREATH: Duration = Duration::from_millis(250);

/// Reads through a link.
#[derive(Clone)]
pub struct Reader {
    pub(super) link: Arc<Link>,
    pub(super) seen: Arc<Mutex<Seen>>,
    places: Arc<Places>,
}

impl Reader {
    pub fn new(link: Arc<Link>) -> Self {
        Self { link, seen: Arc::default(), places: Arc::default() }
    }

    /// All that a read gives, each part in time.
    async fn collect(&self, mut reading: ReadStream, failed: fn(Error) -> Failure) -> Result<Vec<RecordedEvent>, Failure> {
        let mut records = Vec::new();
        while let Some(found) = timeout(self.link.patience, reading.next()).await.map_err(|_| Failure::Silence)?.map_err(failed)? {
            records.extend(found.event.or(found.link));
        }
        Ok(records)
    }

    async fn opened<F>(&self, opening: F, failed: fn(Error) -> Failure) -> Result<Vec<RecordedEvent>, Failure>
    where
        F: Future<Output = Result<ReadStream, Error>>,
    {
        match timeout(self.link.patience, opening).await {
            Ok(reading) => self.collect(reading.map_err(failed)?, failed).await,
            Err(_) => Err(Failure::Silence),
        }
    }

    async fn of_stream(&self, stream: &str, options: ReadStreamOptions, limit: usize) -> Result<Vec<RecordedEvent>, Failure> {
        let mut options = options.max_count(limit);
        if let Some(credentials) = self.link.credentials() {
            options = options.authenticated(credentials);
        }
        let options = &options;
        let asked = |client: Client| async move { self.opened(client.read_stream(stream, options), Failure::Client).await };
        match self.link.ask(asked).await {
            Err(Failure::Client(Error::ResourceNotFound)) => Ok(Vec::new()),
            found => found,
        }
    }

    pub(super) async fn of_all(&self, options: ReadAllOptions, limit: usize) -> Result<Vec<RecordedEvent>, Failure> {
        let mut options = options.max_count(limit);
        if let Some(credentials) = self.link.credentials() {
            options = options.authenticated(credentials);
        }
        let options = &options;
        self.link.ask(|client: Client| async move { self.opened(client.read_all(options), Failure::of_all).await }).await
    }

    /// Events of a stream, forwards.
    pub async fn stream(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        // What is larger would mean something else to the server.
        if limit == 0 || i64::try_from(from).is_err() {
            return Ok(Vec::new());
        }
        let options = ReadStreamOptions::default().position(StreamPosition::Position(from));
        let records = self.of_stream(stream.as_str(), options, limit).await?;
        records.iter().map(stored).collect()
    }

    /// The last events of a stream, the last first.
    pub async fn last(&self, stream: &str, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let options = ReadStreamOptions::default().position(StreamPosition::End);
        let records = self.of_stream(stream, options, limit).await?;
        records.iter().map(stored).collect()
    }

    pub async fn current(&self, stream: &StreamName) -> Result<Option<Revision>, StoreError> {
        Ok(self.last(stream.as_str(), 1).await?.first().map(|event| event.revision))
    }

    pub async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        let mut events = self.last(stream.as_str(), SEARCHED).await?;
        events.reverse();
        let mut events = events.into_iter().skip_while(|stored| stored.event.id != event_id(command_id, 0)).enumerate();
        let Some((_, first)) = events.next() else { return Ok(None) };
        let rest = events.take_while(|(index, stored)| stored.event.id == event_id(command_id, *index));
        let last = rest.last().map_or((first.revision, first.position), |(_, stored)| (stored.revision, stored.position));
        Ok(Some((first, Appended { revision: last.0, position: last.1 })))
    }

    /// The log behind `after`, unfiltered: the checkpoint passes over the database's own records too.
    pub async fn all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.scan(after, limit, None).await
    }

    /// A scan without a filter ends at the last record that was looked at, one with a filter at the last that matched.
    async fn scan(&self, after: Position, limit: usize, prefix: Option<&str>) -> Result<Page, StoreError> {
        let mut page = Page { events: Vec::new(), scanned: after };
        while page.events.len() < limit {
            let wanted = (limit - page.events.len()).saturating_add(1);
            let records = self.forwards(page.scanned, wanted, prefix).await?;
            let full = records.len() >= wanted;
            for record in records {
                let position = position(record.position.commit)?;
                if position <= page.scanned {
                    continue;
                }
                if page.events.len() == limit {
                    break;
                }
                page.scanned = position;
                if !is_hidden(record.stream_id(), &record.event_type) {
                    page.events.push(stored(&record)?);
                }
            }
            if !full {
                break;
            }
        }
        Ok(page)
    }

    /// Records behind `after` and perhaps the one at it. Where no record begins the server reads nothing: then they are read from the
    /// last record before.
    async fn forwards(&self, after: Position, limit: usize, prefix: Option<&str>) -> Result<Vec<RecordedEvent>, StoreError> {
        if !self.places.is_none(after) {
            match self.of_all(options(after, prefix), limit).await {
                Err(Failure::NoRecord) => self.places.note(after, None),
                records => return Ok(records?),
            }
        }
        let place = self.place(after).await?;
        Ok(self.of_all(options(place, prefix), limit).await?)
    }

    /// The record that begins at `at`. Anybody may name a position, so few are looked up at once, and none that is known to be none.
    pub(super) async fn record(&self, at: Position) -> Result<Option<RecordedEvent>, StoreError> {
        let _turn = self.places.turn().await;
        if at <= Position::START || self.places.is_none(at) {
            return Ok(None);
        }
        match self.of_all(options(at, None), 1).await {
            Err(Failure::NoRecord) => {
                self.places.note(at, None);
                sleep(BREATH).await;
                Ok(None)
            }
            // Behind the end there is nothing, and of what was cleaned up the next that was left.
            records => Ok(records?.into_iter().next().filter(|record| position(record.position.commit).is_ok_and(|found| found == at))),
        }
    }

    /// The event at `at`.
    pub async fn at(&self, at: Position) -> Result<Option<Stored>, StoreError> {
        let record = self.record(at).await?.filter(|record| !is_hidden(record.stream_id(), &record.event_type));
        record.as_ref().map(stored).transpose()
    }

    /// The position of the record before the one at `at`: backwards the server leaves that one out.
    pub async fn before(&self, at: Position) -> Result<Position, StoreError> {
        if at > self.head().await? {
            return self.head().await;
        }
        if at <= Position::START {
            return Ok(Position::START);
        }
        if !self.places.is_none(at) {
            match self.of_all(options(at, None).backwards(), 1).await {
                Err(Failure::NoRecord) => self.places.note(at, None),
                records => return records?.first().map_or(Ok(Position::START), |record| position(record.position.commit)),
            }
        }
        self.place(at).await
    }

    /// The position behind which the last `count` events stand.
    pub async fn back(&self, count: usize) -> Result<Position, StoreError> {
        let (mut from, mut left) = (StreamPosition::End, count);
        loop {
            let records = self.of_all(ReadAllOptions::default().backwards().position(from), MANY).await?;
            for record in &records {
                if left == 0 {
                    return position(record.position.commit);
                }
                left -= usize::from(!is_hidden(record.stream_id(), &record.event_type));
            }
            match records.last().filter(|_| records.len() == MANY) {
                Some(last) => from = StreamPosition::Position(last.position),
                None => return Ok(Position::START),
            }
        }
    }

    /// The last record at or before `after`, where none begins: looked for from the end of the log on, once.
    async fn place(&self, after: Position) -> Result<Position, StoreError> {
        let _turn = self.places.turn().await;
        if let Some(place) = self.places.of(after) {
            return Ok(place);
        }
        let place = self.search(after).await?;
        self.places.note(after, Some(place));
        Ok(place)
    }

    async fn search(&self, after: Position) -> Result<Position, StoreError> {
        let mut from = StreamPosition::End;
        loop {
            let records = self.of_all(ReadAllOptions::default().backwards().position(from), MANY).await?;
            for record in &records {
                let position = position(record.position.commit)?;
                if position <= after {
                    return Ok(position);
                }
            }
            match records.last().filter(|_| records.len() == MANY) {
                Some(last) => from = StreamPosition::Position(last.position),
                None => return Ok(Position::START),
            }
        }
    }

    /// Events of the streams that begin with `prefix`; the server filters.
    pub async fn prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        // The head first: what is committed later has a higher position.
        let covered = until.min(self.head().await?);
        if after >= covered || limit == 0 || prefix.starts_with('$') {
            return Ok(Page::new(Vec::new(), limit, after, covered));
        }
        // An empty prefix is no filter to the server.
        let mut page = self.scan(after, limit, Some(prefix).filter(|prefix| !prefix.is_empty())).await?;
        let found = page.events.len();
        page.events.retain(|stored| stored.position <= until);
        let limit = if page.events.len() < found { usize::MAX } else { limit };
        Ok(Page::new(page.events, limit, after, covered))
    }

    /// What the log's own stream holds.
    pub async fn identity(&self) -> Result<Option<String>, StoreError> {
        Ok(self.stream(&StreamName::stored(LOG_STREAM), 0, 1).await?.into_iter().next().map(|stored| stored.event.data))
    }
}

pub(super) fn options(from: Position, prefix: Option<&str>) -> ReadAllOptions {
    let at = match u64::try_from(from.0) {
        Ok(at) if at > 0 => StreamPosition::Position(::kurrentdb::Position { commit: at, prepare: at }),
        _ => StreamPosition::Start,
    };
    let options = ReadAllOptions::default().position(at);
    match prefix {
        // The window is what the server looks at in one go.
        Some(prefix) => options.filter(SubscriptionFilter::on_stream_name().add_prefix(prefix).max(1_000)),
        None => options,
    }
}
