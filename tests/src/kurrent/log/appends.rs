//! What the log takes: appends, one by one or in a batch, and deletions.
#![expect(clippy::result_large_err, reason = "tonic's own status: refusals are sent as they are")]

use super::super::messages::{
    Any, AppendPart, AppendReq, AppendResp, AppendResult, AppendedPosition, AppendedRevision, BatchAppendReq, BatchAppendResp, BatchBad,
    BatchDeleted, BatchResult, BatchTooLarge, BatchWrong, CurrentRevision, DeleteReq, DeleteResp, Expected, Refusal, Success, Wrong,
    WrongExpected,
};
use super::{
    ALL, AppendOptions, Code, Log, LogPosition, Message, Proposed, Status, StreamIdentifier, Uuid, deleted, json, name, unexpected,
};

/// Ids that appends without an expectation remember, at most. The server counts bytes: `_committedEvents` in
/// Services/Storage/ReaderIndex/IndexWriter.cs.
const REMEMBERED: usize = 1_000;

/// Where an append came to stand.
struct Done {
    revision: Option<u64>,
    position: Option<u64>,
}

/// Why nothing was appended.
enum Refused {
    /// The stream looks otherwise.
    Wrong(Option<u64>),
    /// It is deleted for ever.
    Deleted,
    /// All events together.
    TooLarge(usize),
    /// One event: its id, its size and what the server takes.
    EventTooLarge(::uuid::Uuid, usize, usize),
    /// What the server chokes on.
    Unexpected(&'static str),
}

impl Log {
    /// One append: the options, then the events. Services/Transport/Grpc/Streams.Append.cs.
    pub fn append(&mut self, request: Vec<AppendReq>) -> Result<AppendResp, Status> {
        let mut parts = request.into_iter().filter_map(|request| request.part);
        let Some(AppendPart::Options(options)) = parts.next() else { return Err(unexpected()) };
        let proposed: Vec<Proposed> = parts
            .filter_map(|part| match part {
                AppendPart::Proposed(proposed) => Some(proposed),
                AppendPart::Options(_) => None,
            })
            .collect();
        let (stream, expected) = place(&options)?;
        match self.take(&stream, expected, proposed) {
            Ok(done) => Ok(AppendResp { result: Some(AppendResult::Success(success(&done))) }),
            // In the body, not as a status.
            Err(Refused::Wrong(current)) => Ok(wrong(current, expected)),
            Err(refused) => Err(refused.status(&stream)),
        }
    }

    /// One append of a batch, all parts of it: Services/Transport/Grpc/Streams.BatchAppend.cs. Every refusal is in the body.
    pub fn append_of_batch(&mut self, options: &AppendOptions, request: BatchAppendReq) -> BatchAppendResp {
        let result = match place(options) {
            Err(status) => refusal(Code::InvalidArgument, "BadRequest", &BatchBad { message: status.message().to_owned() }),
            Ok((stream, expected)) => match self.take(&stream, expected, request.proposed) {
                Ok(done) => BatchResult::Success(success(&done)),
                Err(refused) => refused.in_a_batch(&stream),
            },
        };
        BatchAppendResp { correlation: request.correlation, result: Some(result), stream: options.stream.clone() }
    }

    /// Services/Storage/StorageWriterService.cs, `WritePrepares`: the check, then the records, then what undoes a deletion.
    fn take(&mut self, stream: &str, expected: Expected, proposed: Vec<Proposed>) -> Result<Done, Refused> {
        self.check(stream, &proposed)?;
        let ids: Vec<::uuid::Uuid> = proposed.iter().map(id).collect();
        if let Some(revision) = self.commit(stream, expected, &ids)? {
            return Ok(Done { revision: Some(revision), position: self.position(stream, revision) });
        }
        let current = self.current(stream);
        self.appends += 1;
        if self.appends.is_multiple_of(5) {
            self.own("$stats-127.0.0.1:2113", "$statsCollected", &json!({}));
        }
        let mut position = None;
        for (id, proposed) in ids.into_iter().zip(proposed) {
            position = Some(self.write(stream, id, proposed));
            let revision = self.records.last().unwrap().revision;
            self.recent.push_back((stream.to_owned(), id, revision));
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
        if self.is_deleted(stream) {
            let mut metadata = self.metadata[stream].clone();
            metadata["$tb"] = current.map_or(0, |current| current + 1).into();
            self.own(&format!("$${stream}"), "$metadata", &metadata);
        }
        Ok(Done { revision: self.current(stream), position })
    }

    fn position(&self, stream: &str, revision: u64) -> Option<u64> {
        // What is hidden is not found: then there is none.
        let places = self.streams.get(stream).filter(|_| revision >= self.first(stream))?;
        let place = *places.get(usize::try_from(revision).ok()?)?;
        Some(self.records[place].position)
    }

    /// Data/Event.cs: an event without an id or a type is an exception nobody expects, and its size is that of data, metadata and
    /// twice its type's characters. What is larger than the limits: Services/Transport/Grpc/Streams.Append.cs.
    fn check(&self, stream: &str, proposed: &[Proposed]) -> Result<(), Refused> {
        if stream.is_empty() || stream == "$$" {
            return Err(Refused::Unexpected("no stream"));
        }
        let (most, largest) = self.limits;
        let mut total = 0;
        for event in proposed {
            if event.metadata.get("type").is_none_or(String::is_empty) {
                return Err(Refused::Unexpected("Empty eventType provided."));
            }
            if id(event).is_nil() {
                return Err(Refused::Unexpected("Empty eventId provided."));
            }
            let size = event.data.len() + event.custom.len() + 2 * event.metadata["type"].encode_utf16().count();
            if size > largest {
                return Err(Refused::EventTooLarge(id(event), size, largest));
            }
            total += size;
        }
        if total > most { Err(Refused::TooLarge(most)) } else { Ok(()) }
    }

    /// Services/Storage/ReaderIndex/IndexWriter.cs, `CheckCommit`. The last revision if all is in the log already; that a repeat
    /// is answered with the position of its last event stands there too.
    fn commit(&self, stream: &str, expected: Expected, ids: &[::uuid::Uuid]) -> Result<Option<u64>, Refused> {
        if self.tombstones.contains(stream) {
            return Err(Refused::Deleted);
        }
        let current = self.current(stream);
        let wrong = Err(Refused::Wrong(current));
        let next = match expected {
            Expected::Any(()) => return self.remembered(stream, ids).map_err(|()| Refused::Wrong(current)),
            Expected::Exists(()) if self.is_deleted(stream) || (current.is_none() && !self.metadata.contains_key(stream)) => return wrong,
            Expected::Exists(()) => return self.remembered(stream, ids).map_err(|()| Refused::Wrong(current)),
            Expected::NoStream(()) => 0,
            // What is above the signed numbers stands for something else there.
            Expected::Revision(revision) if i64::try_from(revision).is_err() => return Err(Refused::Unexpected("revision")),
            Expected::Revision(revision) => revision + 1,
        };
        let following = current.map_or(0, |current| current + 1);
        if next >= following {
            return if next == following { Ok(None) } else { wrong };
        }
        let places = &self.streams[stream][usize::try_from(next).unwrap_or(usize::MAX)..];
        let known = ids.iter().zip(places).take_while(|(id, place)| self.records[**place].id == **id).count();
        if known == ids.len() && known > 0 {
            return Ok(Some(next + known as u64 - 1));
        }
        // A part of an append is no repeat of it; a stream that was deleted begins anew.
        if known == 0 && matches!(expected, Expected::NoStream(())) && self.is_deleted(stream) { Ok(None) } else { wrong }
    }

    /// The last revision if all are among the last that were written, nothing if the first is not; an error if they are mixed.
    fn remembered(&self, stream: &str, ids: &[::uuid::Uuid]) -> Result<Option<u64>, ()> {
        let revision = |id| self.recent.iter().find(|(of, known, _)| of == stream && known == id).map(|(_, _, revision)| *revision);
        let known: Vec<u64> = ids.iter().map_while(revision).collect();
        if known.len() == ids.len() || known.is_empty() { Ok(known.last().copied()) } else { Err(()) }
    }

    /// Deletes a stream: Services/Storage/StorageWriterService.cs, `WriteDelete`. For ever, by a tombstone; else by metadata that
    /// hide what is there, and what is appended later goes on behind it. 26.0.3 refuses to delete what was never there; older ones do not.
    pub fn delete(&mut self, request: &DeleteReq, for_ever: bool) -> Result<DeleteResp, Status> {
        let (stream, expected) = place(request.options.as_ref().ok_or_else(unexpected)?)?;
        let refused = |refused: Refused| refused.of_a_deletion(&stream, expected);
        self.commit(&stream, expected, &[::uuid::Uuid::max()]).map_err(refused)?;
        let position = if for_ever {
            let position = self.own(&stream, "$streamDeleted", &json!({}));
            self.tombstones.insert(stream);
            position
        } else {
            if self.version >= (26, 0) && self.current(&stream).is_none() && !self.metadata.contains_key(&stream) {
                return Err(refused(Refused::Wrong(None)));
            }
            self.own(&format!("$${stream}"), "$metadata", &json!({ "$tb": ALL }))
        };
        Ok(DeleteResp { position: Some(LogPosition { commit: position, prepare: position }) })
    }

    /// Deletes a stream for ever.
    pub fn tombstone(&mut self, stream: &str) {
        let stream = StreamIdentifier { name: stream.to_owned().into() };
        let options = AppendOptions { stream: Some(stream), expected: Some(Expected::Any(())) };
        self.delete(&DeleteReq { options: Some(options) }, true).unwrap();
    }
}

impl Refused {
    /// Services/Transport/Grpc/RpcExceptions.cs.
    fn status(self, stream: &str) -> Status {
        let too_large = |message: String, exception: &'static str| {
            let mut status = Status::new(Code::InvalidArgument, message);
            status.metadata_mut().insert("exception", exception.parse().unwrap());
            status
        };
        match self {
            Self::Deleted => deleted(stream),
            Self::TooLarge(most) => too_large(format!("Maximum Append Size of {most} Exceeded."), "maximum-append-size-exceeded"),
            Self::EventTooLarge(id, size, most) => too_large(
                format!("Event with Id: {id}, Size: {size}, exceeds Maximum Append Event Size of {most}."),
                "maximum-append-event-size-exceeded",
            ),
            Self::Wrong(_) | Self::Unexpected(_) => unexpected(),
        }
    }

    /// `WrongExpectedVersion` in RpcExceptions.cs: a status here, where an append tells it in its answer.
    fn of_a_deletion(self, stream: &str, expected: Expected) -> Status {
        let Self::Wrong(current) = self else { return self.status(stream) };
        let expected = match expected {
            Expected::Revision(revision) => revision.cast_signed(),
            Expected::NoStream(()) => -1,
            Expected::Any(()) => -2,
            Expected::Exists(()) => -4,
        };
        let actual = current.map_or(-1, u64::cast_signed);
        let message =
            format!("Delete failed due to WrongExpectedVersion. Stream: {stream}, Expected version: {expected}, Actual version: {actual}");
        let mut status = Status::new(Code::FailedPrecondition, message);
        let metadata = status.metadata_mut();
        metadata.insert("exception", "wrong-expected-version".parse().unwrap());
        metadata.insert("expected-version", expected.to_string().parse().unwrap());
        metadata.insert("actual-version", actual.to_string().parse().unwrap());
        if let Ok(name) = stream.parse() {
            metadata.insert("stream-name", name);
        }
        status
    }

    /// Services/Transport/Grpc/Status.cs.
    fn in_a_batch(self, stream: &str) -> BatchResult {
        match self {
            Self::Wrong(revision) => {
                let details = BatchWrong { revision, no_stream: revision.is_none().then_some(()) };
                refusal(Code::AlreadyExists, "WrongExpectedVersion", &details)
            }
            Self::Deleted => {
                let details = BatchDeleted { stream: Some(StreamIdentifier { name: stream.to_owned().into() }) };
                refusal(Code::NotFound, "StreamDeleted", &details)
            }
            Self::TooLarge(limit) | Self::EventTooLarge(_, _, limit) => {
                let details = BatchTooLarge { limit: u32::try_from(limit).unwrap_or(u32::MAX) };
                refusal(Code::InvalidArgument, "MaximumAppendSizeExceeded", &details)
            }
            Self::Unexpected(message) => refusal(Code::InvalidArgument, "BadRequest", &BatchBad { message: message.to_owned() }),
        }
    }
}

fn refusal(code: Code, kind: &str, details: &impl Message) -> BatchResult {
    let details = Any { url: format!("type.googleapis.com/event_store.client.{kind}"), value: details.encode_to_vec().into() };
    BatchResult::Error(Refusal { code: code as i32, message: kind.to_owned(), details: Some(details) })
}

fn id(proposed: &Proposed) -> ::uuid::Uuid {
    proposed.id.as_ref().map(Uuid::id).unwrap_or_default()
}

fn place(options: &AppendOptions) -> Result<(String, Expected), Status> {
    let expected = options.expected.ok_or_else(|| Status::invalid_argument("no expectation"))?;
    Ok((name(options.stream.as_ref())?, expected))
}

fn success(done: &Done) -> Success {
    let position =
        done.position.map_or(AppendedPosition::None(()), |at| AppendedPosition::Position(LogPosition { commit: at, prepare: at }));
    let revision = done.revision.map_or(AppendedRevision::NoStream(()), AppendedRevision::Revision);
    Success { revision: Some(revision), position: Some(position) }
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
