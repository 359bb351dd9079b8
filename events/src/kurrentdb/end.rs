//! The log's end as it moves, and the proof that it is still the log that was read before.
//!
//! A backup that was restored, or a node that had to truncate what it alone held, lacks the last events. Positions would then be given
//! twice, and whoever reads on from a checkpoint would miss events. So the event that was seen last is looked for whenever the end
//! has moved; once it is gone, nothing is read or written any more.

use super::{
    envelope::{is_hidden, position},
    read::Reader,
};
use crate::store::{Position, StoreError};
use ::kurrentdb::{ReadAllOptions, StreamPosition};
use std::sync::{MutexGuard, PoisonError};
use tokio::time::Instant;
use uuid::Uuid;

/// Records per page when the log is read backwards.
const FEW: usize = 32;

/// What is known of the log's end, so that the database's own records are passed over once only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Up to here the log was looked at.
    until: Position,
    /// The last event up to there.
    head: Option<(Position, Uuid)>,
    /// Since when the log has been found to end before it.
    short: Option<Instant>,
}

impl Seen {
    fn head(&self) -> Position {
        self.head.map_or(Position::START, |(position, _)| position)
    }

    /// Whether this record proves that the log is what it was; `None` if it says nothing of that.
    fn proves(&self, at: Position, id: Uuid) -> Option<bool> {
        match self.head {
            Some((head, last)) if at == head => Some(id == last),
            // It should have been met before.
            Some((head, _)) if at < head => Some(false),
            _ => (at == self.until).then_some(true),
        }
    }

    /// What it means that the last event is not where it was, in a log that ends at `end`.
    fn missed(&self, end: Position) -> End {
        if end < self.head() { End::Short } else { End::Changed }
    }
}

/// What a look at the end has found.
enum End {
    /// The log goes on from where it was.
    At(Seen),
    /// It ends before.
    Short,
    /// Something else stands there.
    Changed,
}

impl Reader {
    /// Position of the last event that is not the database's own.
    pub async fn head(&self) -> Result<Position, StoreError> {
        let known = *self.seen();
        match self.look_back(known).await? {
            End::At(found) => {
                let mut seen = self.seen();
                if found.until >= seen.until {
                    *seen = found;
                }
                Ok(found.head())
            }
            // A node that follows may lag behind the one that was asked before.
            End::Short if !self.link.reads_the_leader() => Ok(known.head()),
            End::Short => Err(self.short()),
            End::Changed => Err(self.link.lose().into()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A leader that was just elected may have to catch up for a moment; one that still lacks events then has lost them.
    fn short(&self) -> StoreError {
        let since = *self.seen().short.get_or_insert_with(Instant::now);
        if since.elapsed() < self.link.patience {
            return StoreError::Unavailable("the log ends before events that were read in it".into());
        }
        self.link.lose().into()
    }

    /// An error if the log was found to end before what was read in it.
    pub fn is_whole(&self) -> Result<(), StoreError> {
        let short = self.seen().short.is_some();
        if short { Err(self.short()) } else { Ok(()) }
    }

    async fn look_back(&self, known: Seen) -> Result<End, StoreError> {
        let (mut until, mut head, mut from) = (None, None, StreamPosition::End);
        loop {
            let records = self.of_all(ReadAllOptions::default().backwards().position(from), FEW).await?;
            for record in &records {
                let at = position(record.position.commit)?;
                let end = *until.get_or_insert(at);
                match known.proves(at, record.id) {
                    Some(true) => return Ok(End::At(Seen { until: end.max(known.until), head: head.or(known.head), short: None })),
                    Some(false) => return Ok(known.missed(end)),
                    None if head.is_none() && !is_hidden(record.stream_id(), &record.event_type) => head = Some((at, record.id)),
                    None => {}
                }
            }
            let end = until.unwrap_or_default();
            match (records.last().filter(|_| records.len() == FEW), known.head) {
                (Some(last), _) if head.is_none() => from = StreamPosition::Position(last.position),
                // Much was written meanwhile: it is asked for by its place.
                (Some(_), Some((at, id))) if !self.stands(at, id).await? => return Ok(End::Changed),
                // The beginning of the log was reached.
                (None, Some(_)) => return Ok(known.missed(end)),
                _ => return Ok(End::At(Seen { until: end, head, short: None })),
            }
        }
    }

    /// Whether this event stands there.
    async fn stands(&self, at: Position, id: Uuid) -> Result<bool, StoreError> {
        Ok(self.record(at).await?.is_some_and(|record| record.id == id))
    }
}
