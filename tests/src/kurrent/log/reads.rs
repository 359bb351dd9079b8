//! What the log gives: streams and all of it, both ways, through filters, page by page or followed.
#![expect(clippy::result_large_err, reason = "tonic's own status: refusals are sent as they are")]

use super::super::messages::{
    AllOptions, CaughtUp, CommitPosition, Confirmed, Count, Expression, Filter, FilterOn, FromPosition, FromRevision, NotFound, Part,
    ReadEvent, ReadOptions, ReadResp, Recorded, Source, StreamOptions,
};
use super::{ALL, Log, LogPosition, Record, Status, StreamIdentifier, Uuid, deleted, name};
use fancy_regex::Regex;
use tokio::sync::watch;

impl Log {
    /// The answer to a read of so many events: Services/Transport/Grpc/Streams.Read.cs.
    pub fn read(&self, options: &ReadOptions) -> Result<Vec<ReadResp>, Status> {
        let Some(Count::Count(count)) = options.count else { return Err(Status::invalid_argument("not a paged read")) };
        let (count, backwards) = (usize::try_from(count).unwrap_or(usize::MAX), options.direction == 1);
        match &options.source {
            Some(Source::Stream(stream)) => {
                let told = options.control.is_some_and(|control| control.compatibility >= 1);
                self.read_stream(stream, count, backwards, told)
            }
            Some(Source::All(all)) => self.read_all(all, options.filter.as_ref(), count, backwards),
            None => Err(Status::invalid_argument("neither a stream nor all")),
        }
    }

    /// The revision that is named is included. Services/Storage/ReaderIndex/IndexReader.cs, `ReadStreamEventsForwardInternal` and
    /// `...Backward...`; where the stream begins and ends is told to who asks for it, Enumerators of streams beside them in
    /// Services/Transport.
    fn read_stream(&self, options: &StreamOptions, count: usize, backwards: bool, told: bool) -> Result<Vec<ReadResp>, Status> {
        let stream = name(options.stream.as_ref())?;
        if self.tombstones.contains(&stream) {
            return Err(deleted(&stream));
        }
        let (first, places) = (self.first(&stream), self.streams.get(&stream));
        let Some(places) = places.filter(|_| first != ALL) else {
            return Ok(vec![part(Part::NotFound(NotFound { stream: options.stream.clone() }))]);
        };
        let last = places.len() as u64 - 1;
        let at = match &options.from {
            Some(FromRevision::Revision(revision)) => *revision,
            Some(FromRevision::End(())) => last,
            Some(FromRevision::Start(())) | None => 0,
        };
        let readable = places.iter().map(|place| &self.records[*place]).filter(|record| record.revision >= first);
        let found: Vec<&Record> = if backwards {
            readable.filter(|record| record.revision <= at).rev().take(count).collect()
        } else {
            readable.filter(|record| record.revision >= at).take(count).collect()
        };
        let mut answer: Vec<ReadResp> = found.into_iter().map(event).collect();
        if told && answer.is_empty() && !backwards && at != last + 1 {
            answer.push(part(Part::First(last + 1)));
        }
        answer.extend(told.then(|| part(Part::Last(last))));
        Ok(answer)
    }

    /// Services/Storage/ReaderIndex/AllReader.cs: forwards, positions are where records begin, and what begins there is included;
    /// backwards they are where records end, so that what begins there is not.
    fn read_all(&self, options: &AllOptions, filter: Option<&Filter>, count: usize, backwards: bool) -> Result<Vec<ReadResp>, Status> {
        let wanted = Wanted::new(filter)?;
        let at = match &options.from {
            Some(FromPosition::Position(at)) => Some(at.commit),
            Some(FromPosition::End(())) => Some(u64::MAX),
            Some(FromPosition::Start(())) | None => None,
        };
        let refused = |()| self.no_record(matches!(filter, Some(Filter::Filter(_))));
        if backwards {
            let end = self.ends_at(at.unwrap_or(0)).map_err(refused)?;
            return Ok(self.records[..end].iter().rev().filter(|record| wanted.is(record)).take(count).map(event).collect());
        }
        let begin = self.begins_at(at.unwrap_or(0)).map_err(refused)?;
        Ok(self.records[begin..].iter().filter(|record| wanted.is(record)).take(count).map(event).collect())
    }

    /// The first record to read forwards from `at`. Behind the place where the last one begins there is nothing, and no error
    /// (`LastIndexedPosition`). Between two records there is none; but a scavenged part of the log is read from the next that was left
    /// (TransactionLog/Chunks/TFChunk/TFChunkReadSide.cs, `TryReadClosestForward`).
    fn begins_at(&self, at: u64) -> Result<usize, ()> {
        let next = self.records.partition_point(|record| record.position < at);
        match self.records.get(next) {
            Some(record) if at == 0 || record.position == at || self.gone.contains(&at) => Ok(next),
            Some(_) => Err(()),
            None => Ok(next),
        }
    }

    /// Up to which record there are some that end at `at` or before. The end of the log may be named, what is behind it may not
    /// (TransactionLog/Chunks/TFChunkReader.cs, `TryReadPrevInternal`).
    fn ends_at(&self, at: u64) -> Result<usize, ()> {
        if at == u64::MAX || at == *self.end.borrow() {
            return Ok(self.records.len());
        }
        let next = self.records.partition_point(|record| record.position < at);
        match self.records.get(next) {
            Some(record) if at == 0 || record.position == at || self.gone.contains(&at) => Ok(next),
            _ => Err(()),
        }
    }

    /// A page cannot be read: Services/Storage/StorageReaderWorker.cs (`.All.cs` and `.AllFiltered.cs` since 25) makes `Error` of it up
    /// to 23.10 and `InvalidPosition` since; Enumerators of all in Services/Transport know neither, so that it ends as
    /// `UnknownError` of Services/Transport/Grpc/RpcExceptions.cs, since 25 with the reason.
    fn no_record(&self, filtered: bool) -> Status {
        let kind = if filtered { "FilteredReadAllResult" } else { "ReadAllResult" };
        let result = if self.version < (24, 10) { "Error" } else { "InvalidPosition" };
        let reason = if self.version < (25, 0) { "" } else { " >> Log record at actual pos has non-positive length." };
        Status::unknown(format!("Unexpected {kind}: {result}{reason}"))
    }

    /// Begins a subscription, exclusively: Enumerator.AllSubscription.cs, Enumerator.AllSubscriptionFiltered.cs and
    /// Enumerator.StreamSubscription.cs (in Services/Transport/Enumerators since 24.10, Services/Transport/Grpc before).
    pub fn subscribe(&self, options: &ReadOptions) -> Result<Subscription, Status> {
        let (stream, after) = match &options.source {
            Some(Source::All(all)) => (None, self.follows(all)?),
            Some(Source::Stream(of)) => {
                let stream = name(of.stream.as_ref())?;
                let after = match &of.from {
                    Some(FromRevision::Revision(revision)) => Some(*revision),
                    Some(FromRevision::End(())) => self.current(&stream),
                    Some(FromRevision::Start(())) | None => None,
                };
                (Some(stream), after)
            }
            None => return Err(Status::invalid_argument("neither a stream nor all")),
        };
        let wanted = Wanted::new(options.filter.as_ref())?;
        Ok(Subscription { stream, after, wanted, told: Told::Nothing, end: self.end.subscribe() })
    }

    /// Subscriptions alone say that a position is none: `InvalidPosition` there, `InvalidArgument` in RpcExceptions.cs; up to
    /// 23.10 it is the same Unknown as for pages.
    fn follows(&self, all: &AllOptions) -> Result<Option<u64>, Status> {
        let at = match &all.from {
            Some(FromPosition::Position(at)) => at.commit,
            Some(FromPosition::End(())) => return Ok(self.records.last().map(|record| record.position)),
            Some(FromPosition::Start(())) | None => return Ok(None),
        };
        match self.begins_at(at) {
            Ok(_) => Ok(Some(at)),
            Err(()) if self.version < (24, 10) => Err(self.no_record(false)),
            Err(()) => Err(Status::invalid_argument("Trying to read from an invalid position.")),
        }
    }
}

/// Somebody follows the log, or a stream.
#[derive(Debug)]
pub struct Subscription {
    stream: Option<String>,
    /// The last revision or position that was told.
    after: Option<u64>,
    wanted: Wanted,
    told: Told,
    end: watch::Receiver<u64>,
}

/// What a subscription has been told beside events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Confirmed,
    CaughtUp,
}

impl Subscription {
    /// What comes next, as far as it is there; the client waits for more at [`Self::more`].
    pub fn next(&mut self, log: &Log) -> Result<Vec<ReadResp>, Status> {
        if let Some(stream) = self.stream.as_ref().filter(|stream| log.tombstones.contains(*stream)) {
            return Err(deleted(stream));
        }
        let mut parts = Vec::new();
        if self.told == Told::Nothing {
            parts.push(part(Part::Confirmed(Confirmed { id: ::uuid::Uuid::from_u128(log.clock.into()).to_string() })));
            self.told = Told::Confirmed;
        }
        let place = |record: &Record| if self.stream.is_some() { record.revision } else { record.position };
        let of = |record: &&Record| self.stream.as_ref().is_none_or(|stream| record.stream == *stream);
        let fresh = log.records.iter().filter(of).filter(|record| self.after.is_none_or(|after| place(record) > after));
        let fresh: Vec<&Record> = fresh.filter(|record| self.stream.as_ref().is_none_or(|of| record.revision >= log.first(of))).collect();
        let last = fresh.last().map(|record| place(record));
        parts.extend(fresh.into_iter().filter(|record| self.wanted.is(record)).map(event));
        self.after = last.or(self.after);
        if self.told == Told::Confirmed {
            let here = self.after.map(|at| LogPosition { commit: at, prepare: at });
            if self.wanted.is_filter() {
                parts.extend(here.map(|here| part(Part::Checkpoint(here))));
            }
            let revision = self.stream.as_ref().and(self.after).map(u64::cast_signed);
            parts.push(part(Part::CaughtUp(CaughtUp { revision, position: here.filter(|_| self.stream.is_none()) })));
            self.told = Told::CaughtUp;
        }
        Ok(parts)
    }

    /// Returns when something was written, `false` if nothing ever will.
    pub async fn more(&mut self) -> bool {
        self.end.changed().await.is_ok()
    }
}

/// Which records pass a filter.
#[derive(Debug)]
enum Wanted {
    All,
    Stream(Names),
    Type(Names),
}

/// A regular expression wins over prefixes: Services/Transport/Grpc/Streams.Read.cs, `ConvertToEventFilter`.
#[derive(Debug)]
enum Names {
    Like(Box<Regex>),
    Begin(Vec<String>),
}

impl Wanted {
    fn new(filter: Option<&Filter>) -> Result<Self, Status> {
        let Some(Filter::Filter(filter)) = filter else { return Ok(Self::All) };
        match &filter.on {
            Some(FilterOn::Stream(expression)) => Ok(Self::Stream(names(expression)?)),
            Some(FilterOn::Type(expression)) => Ok(Self::Type(names(expression)?)),
            None => Err(Status::invalid_argument("a filter on nothing")),
        }
    }

    fn is_filter(&self) -> bool {
        !matches!(self, Self::All)
    }

    fn is(&self, record: &Record) -> bool {
        let (names, text) = match self {
            Self::All => return true,
            Self::Stream(names) => (names, &record.stream),
            Self::Type(names) => (names, &record.proposed.metadata["type"]),
        };
        match names {
            Names::Like(regex) => regex.is_match(text).unwrap_or(false),
            Names::Begin(prefixes) => prefixes.iter().any(|prefix| text.starts_with(prefix.as_str())),
        }
    }
}

fn names(expression: &Expression) -> Result<Names, Status> {
    if expression.regex.is_empty() {
        return Ok(Names::Begin(expression.prefixes.clone()));
    }
    match Regex::new(&expression.regex) {
        Ok(regex) => Ok(Names::Like(Box::new(regex))),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

fn part(part: Part) -> ReadResp {
    ReadResp { part: Some(part) }
}

fn event(record: &Record) -> ReadResp {
    let mut metadata = record.proposed.metadata.clone();
    metadata.insert("created".to_owned(), record.created.to_string());
    let recorded = Recorded {
        id: Some(Uuid::text(record.id)),
        stream: Some(StreamIdentifier { name: record.stream.clone().into() }),
        revision: record.revision,
        prepare: record.position,
        commit: record.position,
        metadata,
        custom: record.proposed.custom.clone(),
        data: record.proposed.data.clone(),
    };
    part(Part::Event(ReadEvent { event: Some(recorded), commit: Some(CommitPosition::Position(record.position)) }))
}
