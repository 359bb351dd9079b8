//! The double's log: what the server's rules say of appends and reads.
#![expect(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "what a test cannot go on without fails it; the status is what the protocol gives"
)]

use super::messages::{AllOptions, AppendPart, Count, StreamOptions};
use super::messages::{
    AppendReq, AppendResp, AppendResult, AppendedPosition, AppendedRevision, CommitPosition, CurrentRevision, Expected, Expression, Filter,
    FilterOn, FromPosition, FromRevision, LogPosition, NotFound, Part, Proposed, ReadEvent, ReadOptions, ReadResp, Recorded, Source,
    StreamIdentifier, Success, Uuid, Wrong, WrongExpected,
};
use prost::{Message, bytes::Bytes};
use std::collections::{HashMap, HashSet, VecDeque};
use tonic::{Code, Status};

/// Ids that appends without an expectation remember, at most.
const REMEMBERED: usize = 1_000;

/// A record of the log.
#[derive(Debug, Clone)]
struct Record {
    position: u64,
    stream: String,
    revision: u64,
    id: ::uuid::Uuid,
    proposed: Proposed,
    created: u64,
}

/// One ordered log.
#[derive(Debug)]
pub struct Log {
    /// Most bytes in one append, and in one event.
    limits: (usize, usize),
    records: Vec<Record>,
    /// Where a stream's events stand in `records`.
    streams: HashMap<String, Vec<usize>>,
    tombstones: HashSet<String>,
    recent: VecDeque<(String, ::uuid::Uuid, u64)>,
    /// Where the next record begins.
    end: u64,
    appends: u64,
    clock: u64,
}

impl Log {
    /// The log of a server that was just installed: its own records are there already.
    pub fn new(limits: (usize, usize)) -> Self {
        let mut log = Self {
            limits,
            records: Vec::new(),
            streams: HashMap::new(),
            tombstones: HashSet::new(),
            recent: VecDeque::new(),
            end: 1_411,
            appends: 0,
            clock: 17_000_000_000_000_000,
        };
        for (stream, event_type) in [("$$$ops", "$metadata"), ("$user-admin", "$UserCreated"), ("$$$settings", "$metadata")] {
            log.own(stream, event_type);
        }
        log
    }

    /// Writes a record of the server's own, as it does now and then.
    pub fn own(&mut self, stream: &str, event_type: &str) {
        let metadata =
            HashMap::from([("type".to_owned(), event_type.to_owned()), ("content-type".to_owned(), "application/json".to_owned())]);
        let id = ::uuid::Uuid::new_v5(&::uuid::Uuid::NAMESPACE_OID, &self.end.to_be_bytes());
        let proposed = Proposed { id: None, metadata, custom: Bytes::new(), data: Bytes::from_static(b"{}") };
        self.write(stream, id, proposed);
    }

    /// Deletes a stream for ever.
    pub fn tombstone(&mut self, stream: &str) {
        self.own(stream, "$streamDeleted");
        self.tombstones.insert(stream.to_owned());
    }

    /// Removes the server's own statistics, as it does after a day.
    pub fn scavenge(&mut self) {
        self.streams.retain(|stream, _| !stream.starts_with("$stats-"));
        self.records.retain(|record| !record.stream.starts_with("$stats-"));
        for places in self.streams.values_mut() {
            places.clear();
        }
        for (place, record) in self.records.iter().enumerate() {
            self.streams.entry(record.stream.clone()).or_default().push(place);
        }
    }

    /// Drops the last records, with as many events among them: as a backup would have it, or a node that had to catch up.
    pub fn lose(&mut self, events: usize) {
        let mut lost = 0;
        while lost < events {
            let record = self.records.pop().unwrap();
            lost += usize::from(!record.stream.starts_with('$'));
            self.end = record.position;
            let places = self.streams.get_mut(&record.stream).unwrap();
            places.pop();
            if places.is_empty() {
                self.streams.remove(&record.stream);
            }
        }
        self.recent.clear();
    }

    fn write(&mut self, stream: &str, id: ::uuid::Uuid, proposed: Proposed) {
        let size = 137 + stream.len() + proposed.encoded_len();
        let places = self.streams.entry(stream.to_owned()).or_default();
        let revision = places.len() as u64;
        places.push(self.records.len());
        self.clock += 1_234_567;
        self.records.push(Record { position: self.end, stream: stream.to_owned(), revision, id, proposed, created: self.clock });
        // Positions are places in a file: neither dense nor evenly spaced.
        self.end += size as u64;
    }

    /// One append: the options, then the events.
    pub fn append(&mut self, request: Vec<AppendReq>) -> Result<AppendResp, Status> {
        let mut parts = request.into_iter().filter_map(|request| request.part);
        let Some(AppendPart::Options(options)) = parts.next() else { return Err(Status::invalid_argument("no options")) };
        let proposed: Vec<Proposed> = parts
            .filter_map(|part| match part {
                AppendPart::Proposed(proposed) => Some(proposed),
                AppendPart::Options(_) => None,
            })
            .collect();
        let stream = name(options.stream.as_ref())?;
        let expected = options.expected.ok_or_else(|| Status::invalid_argument("no expectation"))?;
        self.check(&stream, &proposed)?;
        let ids: Vec<::uuid::Uuid> = proposed.iter().map(|proposed| proposed.id.as_ref().map(Uuid::id).unwrap_or_default()).collect();
        let current = self.streams.get(&stream).and_then(|places| (places.len() as u64).checked_sub(1));
        let matches = match expected {
            Expected::Revision(revision) => current == Some(revision),
            Expected::NoStream(()) => current.is_none(),
            Expected::Exists(()) => current.is_some(),
            Expected::Any(()) => true,
        };
        let repeated = match expected {
            Expected::Revision(revision) => revision.checked_add(1).and_then(|first| self.stands(&stream, first, &ids)),
            Expected::NoStream(()) => self.stands(&stream, 0, &ids),
            Expected::Any(()) | Expected::Exists(()) => self.remembered(&stream, &ids),
        };
        if let Some(revision) = repeated {
            return Ok(success(revision, None));
        }
        if !matches {
            return Ok(wrong(current, expected));
        }
        self.appends += 1;
        if self.appends.is_multiple_of(5) {
            self.own("$stats-127.0.0.1:2113", "$statsCollected");
        }
        for (id, proposed) in ids.into_iter().zip(proposed) {
            self.write(&stream, id, proposed);
            let revision = self.records.last().unwrap().revision;
            self.recent.push_back((stream.clone(), id, revision));
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
        let last = self.streams.get(&stream).and_then(|places| places.last()).map(|place| &self.records[*place]);
        Ok(last.map_or_else(|| success(0, None), |last| success(last.revision, Some(last.position))))
    }

    fn check(&self, stream: &str, proposed: &[Proposed]) -> Result<(), Status> {
        if self.tombstones.contains(stream) {
            return Err(deleted());
        }
        let untyped = |proposed: &Proposed| proposed.metadata.get("type").is_none_or(String::is_empty);
        let nameless = |proposed: &Proposed| proposed.id.as_ref().is_none_or(|id| id.id().is_nil());
        if stream.is_empty() || stream == "$$" || proposed.iter().any(|event| untyped(event) || nameless(event)) {
            return Err(Status::unknown("Unexpected exception was thrown by handler."));
        }
        let size = |event: &Proposed| event.data.len() + event.custom.len() + 2 * event.metadata["type"].chars().count();
        let (most, largest) = self.limits;
        if proposed.iter().map(size).sum::<usize>() > most || proposed.iter().any(|event| size(event) > largest) {
            return Err(with_exception(Code::InvalidArgument, "Maximum Append Size Exceeded.", "maximum-append-size-exceeded"));
        }
        Ok(())
    }

    /// The last revision of an append that is there, event by event, where it would go. Only ids are compared.
    fn stands(&self, stream: &str, first: u64, ids: &[::uuid::Uuid]) -> Option<u64> {
        let places = self.streams.get(stream)?;
        let first = usize::try_from(first).ok()?;
        let there = places.get(first..first.checked_add(ids.len())?)?;
        let same = there.iter().map(|place| self.records[*place].id).eq(ids.iter().copied());
        (same && !ids.is_empty()).then(|| (first + ids.len() - 1) as u64)
    }

    fn remembered(&self, stream: &str, ids: &[::uuid::Uuid]) -> Option<u64> {
        let revision = |id| self.recent.iter().find(|(of, known, _)| of == stream && known == id).map(|(_, _, revision)| *revision);
        ids.iter().map(revision).collect::<Option<Vec<u64>>>()?.last().copied()
    }

    /// The answer to a read.
    pub fn read(&self, options: &ReadOptions) -> Result<Vec<ReadResp>, Status> {
        let Some(Count::Count(count)) = options.count else { return Err(Status::unimplemented("the double has no subscriptions")) };
        let (count, backwards) = (usize::try_from(count).unwrap_or(usize::MAX), options.direction == 1);
        match &options.source {
            Some(Source::Stream(stream)) => self.read_stream(stream, count, backwards),
            Some(Source::All(all)) => self.read_all(all, options.filter.as_ref(), count, backwards),
            None => Err(Status::invalid_argument("neither a stream nor all")),
        }
    }

    fn read_stream(&self, options: &StreamOptions, count: usize, backwards: bool) -> Result<Vec<ReadResp>, Status> {
        let stream = name(options.stream.as_ref())?;
        if self.tombstones.contains(&stream) {
            return Err(deleted());
        }
        let Some(places) = self.streams.get(&stream) else {
            return Ok(vec![part(Part::NotFound(NotFound { stream: options.stream.clone() }))]);
        };
        let at = match &options.from {
            Some(FromRevision::Revision(revision)) => usize::try_from(*revision).unwrap_or(usize::MAX),
            Some(FromRevision::End(())) => places.len() - 1,
            Some(FromRevision::Start(())) | None => 0,
        };
        let found = slice(places, at, backwards).map(|place| &self.records[*place]).take(count);
        let mut answer: Vec<ReadResp> = found.map(event).collect();
        if answer.is_empty() {
            answer.push(part(Part::First(0)));
        }
        answer.push(part(Part::Last(places.len() as u64 - 1)));
        Ok(answer)
    }

    fn read_all(&self, options: &AllOptions, filter: Option<&Filter>, count: usize, backwards: bool) -> Result<Vec<ReadResp>, Status> {
        let filtered = matches!(filter, Some(Filter::Filter(_)));
        let at = match &options.from {
            // Behind the end nobody has written yet; anything else must be where a record begins.
            Some(FromPosition::Position(at)) if at.commit >= self.end => self.records.len(),
            Some(FromPosition::Position(at)) => {
                let found = self.records.binary_search_by_key(&at.commit, |record| record.position);
                found.map_err(
                    |_| if filtered { Status::unknown("invalid position") } else { Status::invalid_argument("invalid position") },
                )?
            }
            Some(FromPosition::End(())) if backwards => self.records.len(),
            Some(FromPosition::End(())) => return Ok(Vec::new()),
            Some(FromPosition::Start(())) | None => 0,
        };
        let wanted = wanted(filter)?;
        Ok(slice(&self.records, at, backwards).filter(|record| wanted(record)).take(count).map(event).collect())
    }
}

/// From `at` on, or back from it; what is at `at` is included.
fn slice<T>(all: &[T], at: usize, backwards: bool) -> Box<dyn Iterator<Item = &T> + '_> {
    if backwards {
        let end = at.saturating_add(1).min(all.len());
        Box::new(all[..end].iter().rev())
    } else {
        Box::new(all[at.min(all.len())..].iter())
    }
}

type Wanted<'a> = Box<dyn Fn(&Record) -> bool + 'a>;

fn wanted(filter: Option<&Filter>) -> Result<Wanted<'_>, Status> {
    let Some(Filter::Filter(filter)) = filter else { return Ok(Box::new(|_| true)) };
    let begins = |expression: &Expression, text: &str| expression.prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()));
    match &filter.on {
        Some(FilterOn::Stream(expression) | FilterOn::Type(expression)) if !expression.regex.is_empty() => {
            Err(Status::unimplemented("the double has no regular expressions"))
        }
        Some(FilterOn::Stream(expression)) => Ok(Box::new(move |record| begins(expression, &record.stream))),
        Some(FilterOn::Type(expression)) => Ok(Box::new(move |record| begins(expression, &record.proposed.metadata["type"]))),
        None => Ok(Box::new(|_| true)),
    }
}

fn name(stream: Option<&StreamIdentifier>) -> Result<String, Status> {
    let name = stream.map(|stream| stream.name.to_vec()).unwrap_or_default();
    String::from_utf8(name).map_err(|_| Status::invalid_argument("a name is not UTF-8"))
}

fn with_exception(code: Code, message: &str, exception: &'static str) -> Status {
    let mut status = Status::new(code, message);
    status.metadata_mut().insert("exception", exception.parse().unwrap());
    status
}

fn deleted() -> Status {
    with_exception(Code::FailedPrecondition, "the stream is deleted", "stream-deleted")
}

fn part(part: Part) -> ReadResp {
    ReadResp { part: Some(part) }
}

fn event(record: &Record) -> ReadResp {
    let mut metadata = record.proposed.metadata.clone();
    metadata.insert("created".to_owned(), record.created.to_string());
    let recorded = Recorded {
        id: Some(Uuid::text(record.id)),
        stream: Some(StreamIdentifier { name: Bytes::from(record.stream.clone()) }),
        revision: record.revision,
        prepare: record.position,
        commit: record.position,
        metadata,
        custom: record.proposed.custom.clone(),
        data: record.proposed.data.clone(),
    };
    part(Part::Event(ReadEvent { event: Some(recorded), commit: Some(CommitPosition::Position(record.position)) }))
}

fn success(revision: u64, position: Option<u64>) -> AppendResp {
    let position = position.map_or(AppendedPosition::None(()), |at| AppendedPosition::Position(LogPosition { commit: at, prepare: at }));
    let success = Success { revision: Some(AppendedRevision::Revision(revision)), position: Some(position) };
    AppendResp { result: Some(AppendResult::Success(success)) }
}

fn wrong(current: Option<u64>, expected: Expected) -> AppendResp {
    let expected = match expected {
        Expected::Revision(revision) => WrongExpected::Revision(revision),
        Expected::NoStream(()) => WrongExpected::NoStream(()),
        Expected::Any(()) => WrongExpected::Any(()),
        Expected::Exists(()) => WrongExpected::Exists(()),
    };
    let current = current.map_or(CurrentRevision::NoStream(()), CurrentRevision::Revision);
    AppendResp { result: Some(AppendResult::Wrong(Wrong { current: Some(current), expected: Some(expected) })) }
}
