//! A log moved into another one, perhaps on another engine: every event as it was, in the same order, and looked at again where
//! it arrived.
//!
//! The target is empty or holds the beginning of the source, from an earlier run: then the copy goes on behind it. Positions
//! are the target's own, so it is another log with an identity of its own, and checkpoints of the source mean nothing there.
//!
//! Boxes move as they are, and open with the same keys. Into a log behind its keys what stood plain is sealed on the way, and compared
//! once it is opened again.

use super::owning::Owning;
use crate::{
    Append, EventStore, Expected, Position, StoreError, Stored,
    sealing::{SealedLog, metadata::Parts},
};
use std::time::Duration;
use tokio::time::Instant;

/// Events read at once where they are compared.
const PAGE: usize = 4_000;
/// Events written in one go: few at first, more while that takes less than [`BRISK`], so that progress shows on any engine.
const FEW: usize = 64;
const MANY: usize = 65_536;
const BRISK: Duration = Duration::from_secs(1);
/// So many streams are remembered by their beginnings.
const STREAMS: usize = 500_000;
/// Bytes in one append: every version of every engine takes as much.
pub(super) const APPEND: usize = 512 << 10;

/// How much of what an earlier run copied is compared with the source again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// All of it.
    All,
    /// The last event: the earlier run compared everything before it, and nobody has written to the target since.
    Last,
}

/// Told as the copy moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Up to here in the source.
    pub position: Position,
    /// Events found in the target from earlier.
    pub found: u64,
    /// Events that this run wrote.
    pub written: u64,
}

/// What came of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Events that were compared and found equal where they were.
    pub found: u64,
    /// Events that this run wrote and compared.
    pub written: u64,
    /// Up to here in the source.
    pub end: Position,
    /// Where the target ends.
    pub head: Position,
}

/// Why a log is not copied, or no further.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Both are one, or one is a file that was copied from the other.
    #[error("source and target are the same log, {0}: a copy needs a place that holds no log yet")]
    Same(crate::LogId),
    /// There is nothing to copy.
    #[error("the source holds no events: is it the right place?")]
    Nothing,
    /// The target holds something else.
    #[error(
        "the target does not hold the beginning of the source: its event at position {position} differs in its {what}; nothing was \
         written by this run, choose a target that holds no log yet"
    )]
    Other {
        /// Where in the target.
        position: Position,
        /// What differs.
        what: &'static str,
    },
    /// The target holds all of the source, and more.
    #[error(
        "the target holds more than the source: it has been written to, at position {0}; nothing was written by this run, choose a \
         target that holds no log yet"
    )]
    More(Position),
    /// An event did not arrive as it was.
    #[error(
        "the event at position {position} of the source did not arrive as it was: its {what} differs; does anybody else write to the \
         target? Begin again with an empty one"
    )]
    Arrived {
        /// Where in the source.
        position: Position,
        /// What differs.
        what: &'static str,
    },
    /// The source cannot be read.
    #[error("the source cannot be read: {0}; run this again to go on")]
    Source(#[source] StoreError),
    /// The target cannot be read.
    #[error("the target cannot be read: {0}; run this again to go on")]
    Target(#[source] StoreError),
    /// The target cannot be marked.
    #[error("the target cannot be marked as holding a part only, which in Postgres the log's owner may (docs/postgres.md): {0}")]
    Mark(#[source] StoreError),
    /// The target takes no more.
    #[error("the event at position {position} of the source could not be written: {source}; run this again to go on")]
    Write {
        /// Where in the source.
        position: Position,
        /// Why.
        source: StoreError,
    },
}

/// Copies `from`, which is read as it is kept, up to and including `end` into `to`.
pub async fn copy(
    from: &dyn EventStore,
    to: &dyn EventStore,
    end: Position,
    again: Again,
    mut progress: impl FnMut(Progress),
) -> Result<Copied, CopyError> {
    if from.log_id() == to.log_id() {
        return Err(CopyError::Same(from.log_id()));
    }
    if end == Position::START {
        return Err(CopyError::Nothing);
    }
    let partial = to.is_partial().await.map_err(CopyError::Target)?;
    let seal = to.sealing();
    let kept = seal.map_or(to, |log| &**log.kept());
    let (source, target) = (Cursor::new(from, end), Cursor::new(kept, Position(i64::MAX)));
    let mut copy = Copy { source, target, seal, owning: Owning::default(), found: 0, written: 0 };
    if again == Again::Last {
        copy.pass_over().await?;
    }
    copy.compare(&mut progress).await?;
    copy.write(to, partial, &mut progress).await?;
    let head = copy.target.after;
    Ok(Copied { found: copy.found, written: copy.written, end, head })
}

/// Reads a log from where it was read to.
struct Cursor<'a> {
    store: &'a dyn EventStore,
    /// Up to here it was read.
    after: Position,
    end: Position,
}

impl<'a> Cursor<'a> {
    fn new(store: &'a dyn EventStore, end: Position) -> Self {
        Self { store, after: Position::START, end }
    }

    /// At most `limit` events; none at the end alone.
    async fn next(&mut self, limit: usize) -> Result<Vec<Stored>, StoreError> {
        while self.after < self.end {
            let mut page = self.store.read_all(self.after, limit).await?;
            if page.scanned <= self.after {
                break;
            }
            self.after = page.scanned;
            page.events.retain(|stored| stored.position <= self.end);
            if !page.events.is_empty() {
                return Ok(page.events);
            }
        }
        Ok(Vec::new())
    }
}

/// A copy on its way.
struct Copy<'a> {
    source: Cursor<'a>,
    target: Cursor<'a>,
    /// The target behind its keys, if what stands plain is to be sealed.
    seal: Option<&'a SealedLog>,
    owning: Owning,
    found: u64,
    written: u64,
}

impl Copy<'_> {
    /// Passes over what the target holds, on the word of its last event.
    async fn pass_over(&mut self) -> Result<(), CopyError> {
        let head = self.target.store.head().await.map_err(CopyError::Target)?;
        let Some(last) = self.target.store.at(head).await.map_err(CopyError::Target)? else { return Ok(()) };
        let source = self.source.store.read(&last.stream, last.revision, 1).await.map_err(CopyError::Source)?;
        let Some(first) = source.into_iter().next() else { return Err(CopyError::More(last.position)) };
        let (source, target) = (first.position, last.position);
        let wanted = self.wanted(vec![first]).await?;
        if let Some((_, what)) = self.differing(&wanted, &[last]).await? {
            return Err(CopyError::Other { position: target, what });
        }
        (self.source.after, self.target.after) = (source, target);
        Ok(())
    }

    /// Compares what the target holds with the beginning of the source.
    async fn compare(&mut self, progress: &mut impl FnMut(Progress)) -> Result<(), CopyError> {
        loop {
            let held = self.target.next(PAGE).await.map_err(CopyError::Target)?;
            let Some(last) = held.last().map(|stored| stored.position) else { return Ok(()) };
            let mut source = Vec::with_capacity(held.len());
            while source.len() < held.len() {
                let more = self.source.next(held.len() - source.len()).await.map_err(CopyError::Source)?;
                if more.is_empty() {
                    break;
                }
                source.extend(more);
            }
            let source = self.wanted(source).await?;
            if let Some((place, what)) = self.differing(&source, &held).await? {
                return Err(CopyError::Other { position: held[place].position, what });
            }
            if let Some(more) = held.get(source.len()) {
                return Err(CopyError::More(more.position));
            }
            self.found += held.len() as u64;
            self.target.after = last;
            progress(self.progress());
        }
    }

    /// Writes the rest of the source behind what the target holds, part by part, and reads each part there.
    /// While that goes on the target says of itself that it is a part only.
    async fn write(&mut self, to: &dyn EventStore, mut partial: bool, progress: &mut impl FnMut(Progress)) -> Result<(), CopyError> {
        let mut size = FEW;
        loop {
            let part = self.source.next(size).await.map_err(CopyError::Source)?;
            if part.is_empty() {
                return if partial { to.set_partial(false).await.map_err(CopyError::Mark) } else { Ok(()) };
            }
            if !partial {
                to.set_partial(true).await.map_err(CopyError::Mark)?;
                partial = true;
            }
            let began = Instant::now();
            let part = self.wanted(part).await?;
            append(to, &part).await?;
            self.check(&part).await?;
            size = if began.elapsed() < BRISK { (size * 2).min(MANY) } else { (size / 2).max(FEW) };
            self.written += part.len() as u64;
            progress(self.progress());
        }
    }

    /// Whether what stands behind the target's cursor is `part`.
    async fn check(&mut self, part: &[Stored]) -> Result<(), CopyError> {
        let mut rest = part;
        while let Some(wanted) = rest.first() {
            let arrived = self.target.next(rest.len().min(PAGE)).await.map_err(CopyError::Target)?;
            let Some(last) = arrived.last() else {
                return Err(CopyError::Arrived { position: wanted.position, what: "presence" });
            };
            // An engine's own records may stand behind it.
            self.target.after = last.position;
            if let Some((place, what)) = self.differing(rest, &arrived).await? {
                return Err(CopyError::Arrived { position: rest[place].position, what });
            }
            rest = &rest[arrived.len()..];
        }
        Ok(())
    }

    /// What is to arrive of events of the source: where it seals, those that stand plain with their texts named.
    async fn wanted(&mut self, events: Vec<Stored>) -> Result<Vec<Stored>, CopyError> {
        if self.seal.is_none() {
            return Ok(events);
        }
        let mut wanted = Vec::with_capacity(events.len());
        for stored in events {
            if is_sealed(&stored) {
                wanted.push(stored);
                continue;
            }
            if self.owning.len() >= STREAMS {
                self.owning.forget();
            }
            if stored.revision > 0 && !self.owning.knows(&stored.stream) {
                // Its beginning is sealed, or was copied by an earlier run, or is long ago.
                let first = self.source.store.read(&stored.stream, 0, 1).await.map_err(CopyError::Source)?;
                if let Some(first) = first.first() {
                    self.owning.begin(first);
                }
            }
            wanted.push(self.owning.own(stored));
        }
        Ok(wanted)
    }

    /// The first of `arrived` that is not what was wanted, and what differs: as it is kept, or once it is opened.
    async fn differing(&self, wanted: &[Stored], arrived: &[Stored]) -> Result<Option<(usize, &'static str)>, CopyError> {
        let pairs = || wanted.iter().zip(arrived).enumerate();
        let Some((first, what)) = pairs().find_map(|(place, (one, other))| Some((place, difference(one, other)?))) else {
            return Ok(None);
        };
        let Some(log) = self.seal else { return Ok(Some((first, what))) };
        let opened = log.opened(arrived.to_vec()).await.map_err(CopyError::Target)?;
        let differs = |(place, (one, other)): (usize, (&Stored, &Stored))| {
            let what = difference(one, other)?;
            let opened = &opened[place];
            if is_sealed(one) || opened.shut.is_some() { Some((place, what)) } else { Some((place, difference(one, opened)?)) }
        };
        Ok(pairs().find_map(differs))
    }

    fn progress(&self) -> Progress {
        Progress { position: self.source.after, found: self.found, written: self.written }
    }
}

/// Whether texts of an event lie in boxes.
fn is_sealed(stored: &Stored) -> bool {
    Parts::of(&stored.event.metadata).is_ok_and(|parts| parts.sealed.is_some())
}

async fn append(to: &dyn EventStore, part: &[Stored]) -> Result<(), CopyError> {
    let appends = appends(part);
    let firsts: Vec<usize> = appends
        .iter()
        .scan(0, |next, append| {
            let first = *next;
            *next += append.events.len();
            Some(first)
        })
        .collect();
    for (outcome, first) in to.append_many(appends).await.into_iter().zip(firsts) {
        outcome.map_err(|source| CopyError::Write { position: part[first].position, source })?;
    }
    Ok(())
}

/// Events of one stream that follow one another were mostly appended together, and are again.
fn appends(part: &[Stored]) -> Vec<Append> {
    let mut appends: Vec<Append> = Vec::new();
    let mut bytes = 0;
    for Stored { stream, revision, event, .. } in part {
        let size = event.data.len() + event.metadata.len() + 2 * event.event_type.len() + 64;
        match appends.last_mut() {
            Some(last) if last.stream == *stream && bytes + size <= APPEND => {
                bytes += size;
                last.events.push(event.clone());
            }
            _ => {
                bytes = size;
                appends.push(Append {
                    stream: stream.clone(),
                    expected: Expected::of(revision.checked_sub(1)),
                    events: vec![event.clone()],
                });
            }
        }
    }
    appends
}

/// What sets two events apart, but for their positions.
pub(super) fn difference(one: &Stored, other: &Stored) -> Option<&'static str> {
    let differs = [
        ("stream", one.stream != other.stream),
        ("revision", one.revision != other.revision),
        ("id", one.event.id != other.event.id),
        ("type", one.event.event_type != other.event.event_type),
        ("payload", one.event.data != other.event.data),
        ("metadata", one.event.metadata != other.event.metadata),
        ("time", one.event.recorded_at != other.event.recorded_at),
    ];
    differs.into_iter().find_map(|(what, differs)| differs.then_some(what))
}
