//! Events that a consumer put aside: they cannot be read, or what follows from them is about something that cannot be read.
//!
//! All others go on meanwhile. What is put aside is kept beside the checkpoint, so that it is taken up again by whoever can read it:
//! after a decision to pass over what stood in the way, or by a newer program.

use super::{CheckpointStore, Consumer, ConsumerError};
use crate::execute::{Executor, LoadError};
use crate::{Position, Unreadable, end::Kept};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two tries, where nothing says that it is worth another.
const PAUSE: Duration = Duration::from_secs(5);
/// Events that are tried at once; the next time others have their turn.
const AT_ONCE: usize = 200;

/// What a consumer put aside.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Where the events stand, once it is known.
    known: Option<BTreeSet<Position>>,
    tried: Option<Instant>,
    /// The last of them that was tried.
    last: Position,
}

/// What became of an event.
enum Outcome {
    Done,
    Unreadable(Arc<Unreadable>),
}

impl Aside {
    /// Something may be readable now that was not.
    pub const fn is_due(&mut self) {
        self.tried = None;
    }

    /// Gives the consumer an event, or puts it aside. Everything else that goes wrong is an error, to be tried again.
    pub async fn take(
        &mut self,
        consumer: &dyn Consumer,
        executor: &Executor,
        checkpoints: &dyn CheckpointStore,
        kept: &Kept,
    ) -> Result<(), ConsumerError> {
        let Outcome::Unreadable(unread) = attempt(consumer, executor, kept).await? else { return Ok(()) };
        let stored = &kept.stored;
        tracing::error!(consumer = %consumer.name(), position = stored.position.0, %unread, "a consumer puts an event aside");
        checkpoints.put_aside(consumer.name().as_str(), stored.position).await?;
        if let Some(known) = &mut self.known {
            known.insert(stored.position);
        }
        Ok(())
    }

    /// Tries what was put aside once more, now and then.
    pub async fn retry(
        &mut self,
        consumer: &dyn Consumer,
        executor: &Executor,
        checkpoints: &dyn CheckpointStore,
    ) -> Result<(), ConsumerError> {
        if self.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return Ok(());
        }
        let known = match self.known.take() {
            Some(known) => known,
            None => checkpoints.aside(consumer.name().as_str()).await?.into_iter().collect(),
        };
        let behind = known.range((Bound::Excluded(self.last), Bound::Unbounded));
        let turn: Vec<Position> = behind.chain(known.range(..=self.last)).take(AT_ONCE).copied().collect();
        self.known = Some(known);
        for position in turn {
            // A log that lost its last commits does not hold it any more.
            let done = match executor.store().at(position).await? {
                Some(stored) if consumer.reads(stored.stream.category()) => {
                    matches!(attempt(consumer, executor, &Kept::new(stored)).await?, Outcome::Done)
                }
                _ => true,
            };
            if done {
                checkpoints.take_up(consumer.name().as_str(), position).await?;
                self.known.get_or_insert_default().remove(&position);
            }
            self.last = position;
        }
        self.tried = Some(Instant::now());
        Ok(())
    }
}

async fn attempt(consumer: &dyn Consumer, executor: &Executor, kept: &Kept) -> Result<Outcome, ConsumerError> {
    let stored = &kept.stored;
    let outcome = match kept.recorded() {
        Ok(event) => consumer.consume(event, executor).await,
        // Nothing is passed over unless somebody decided so.
        Err(_) if executor.skips().pass_over(&**executor.store(), stored.event.id).await? => Ok(()),
        Err(error) => return Ok(Outcome::Unreadable(Arc::new(Unreadable::new(stored, error)))),
    };
    match outcome {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => match error.downcast::<LoadError>() {
            Ok(error) => match *error {
                LoadError::Unreadable(unread) => Ok(Outcome::Unreadable(unread)),
                LoadError::Store(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        },
    }
}
