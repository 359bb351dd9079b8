//! One batch in one transaction: rows and checkpoint of several builds that stand at one position.

use super::{
    care::Care,
    decode::{Readers, decode},
    fold::{fold_all, park_refused, stop, stop_readers},
    subscriber::Subscriber,
};
use crate::{
    db::{DbError, Urgency, Write},
    engine::{
        context::{error::EngineError, shared::Shared},
        tables::{build::Checkpoint, registry},
    },
};
use circolo_events::Position;

/// Builds that are fed together from one place of the log.
pub struct Subscription {
    /// The builds; all at `checkpoint`.
    pub subscribers: Vec<Subscriber>,
    /// Up to where they are folded and stored.
    pub checkpoint: Checkpoint,
    /// From where to read on: at the checkpoint, or behind it where the log holds nothing of interest.
    pub scanned: Position,
    /// The last step ended in an error.
    doubtful: bool,
    care: Care,
    /// Where steps were to lead of which it is not known that they were not stored: a commit may come late, after somebody looked.
    attempted: Vec<Checkpoint>,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many events were passed.
    Moved(usize),
    /// Some builds could not go on and left; nothing else happened.
    Stopped,
    /// There was nothing to do.
    Idle,
}

impl Subscription {
    /// Builds that all stand at `checkpoint`.
    pub fn new(subscribers: Vec<Subscriber>, checkpoint: Checkpoint) -> Self {
        let care = Care::default();
        Self { subscribers, checkpoint, scanned: checkpoint.position, doubtful: false, care, attempted: Vec::new() }
    }

    /// Moves all builds over the next events, at most `limit` and not beyond `until`.
    ///
    /// After an error nothing or everything was stored; the next step finds out which.
    pub async fn step(&mut self, shared: &Shared, limit: usize, until: Option<Position>, urgency: Urgency) -> Result<Step, EngineError> {
        loop {
            self.settle(shared).await?;
            self.doubtful = true;
            let taken = self.care.limit(limit);
            match self.attempt(shared, taken, until, urgency).await {
                Err(EngineError::Db(DbError::Unfit(reason))) if self.care.has_a_way(taken) => self.care.takes(taken, &reason.to_string()),
                outcome => {
                    let step = outcome?;
                    self.doubtful = false;
                    self.care.passed(limit);
                    return Ok(step);
                }
            }
        }
    }

    async fn attempt(&mut self, shared: &Shared, limit: usize, until: Option<Position>, urgency: Urgency) -> Result<Step, EngineError> {
        let page = shared.store.read_all(self.scanned, limit).await?;
        if page.events.is_empty() {
            self.scanned = until.map_or(page.scanned, |until| page.scanned.min(until)).max(self.scanned);
            return Ok(Step::Idle);
        }
        let decoded = decode(shared, &page, until, &Readers::of(&self.subscribers), urgency).await?;
        match (decoded.checkpoint, &decoded.poison) {
            (Some(to), _) => {
                self.care.meets(&decoded.events);
                park_refused(shared, &mut self.subscribers, self.care.refused()).await?;
                fold_all(shared, &mut self.subscribers, &decoded, urgency).await?;
                if !self.store(shared, to, limit, urgency).await? {
                    return Ok(Step::Stopped);
                }
                self.scanned = decoded.scanned.max(to.position);
                Ok(Step::Moved(decoded.count))
            }
            (None, Some(poison)) => {
                stop_readers(shared, &mut self.subscribers, poison).await?;
                Ok(Step::Stopped)
            }
            (None, None) => {
                self.scanned = decoded.scanned.max(self.scanned);
                Ok(Step::Idle)
            }
        }
    }

    /// Stores what is in memory of `taken` events and the checkpoint. If the database does not take what some builds hold, they have left instead.
    async fn store(&mut self, shared: &Shared, to: Checkpoint, taken: usize, urgency: Urgency) -> Result<bool, EngineError> {
        if self.subscribers.is_empty() {
            self.checkpoint = to;
            return Ok(true);
        }
        let mut parts: Vec<Vec<Write>> = Vec::with_capacity(self.subscribers.len());
        for subscriber in &mut self.subscribers {
            let mut part: Vec<Write> = subscriber.parks().collect();
            for mut pieces in subscriber.changes(to.position, false) {
                part.extend(std::iter::from_fn(|| pieces.next(usize::MAX)).flatten());
            }
            parts.push(part);
        }
        let mut writes = parts.concat();
        writes.push(registry::advance(self.subscribers.iter().map(|subscriber| &subscriber.id), self.checkpoint, to));
        let late = !self.attempted.is_empty();
        if !self.attempted.contains(&to) {
            self.attempted.push(to);
        }
        match shared.db.write(writes, urgency).await {
            Ok(()) => self.moved(to),
            Err(error @ DbError::Unfit(_)) if self.care.has_a_way(taken) => return Err(error.into()),
            Err(error) if error.is_lasting() => return self.part_with(shared, parts, error, urgency).await.map(|()| false),
            // It was most likely ourselves: the next step finds out.
            Err(DbError::Moved) if late => return Err(DbError::Failed("a step that seemed lost was stored after all".into()).into()),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// The database does not take what the builds hold together: those go from whom it does not take it alone. The error, if there
    /// is no such one.
    pub async fn part_with(
        &mut self,
        shared: &Shared,
        parts: Vec<Vec<Write>>,
        error: DbError,
        urgency: Urgency,
    ) -> Result<(), EngineError> {
        let mut found = Vec::new();
        for (at, part) in parts.into_iter().enumerate() {
            match shared.db.rehearse(part, urgency).await {
                Err(error) if error.is_lasting() => found.push((at, error)),
                outcome => outcome?,
            }
        }
        if found.is_empty() {
            return Err(error.into());
        }
        self.clear();
        for (at, error) in found.into_iter().rev() {
            stop(shared, &mut self.subscribers[at], &error.to_string()).await?;
            self.subscribers.remove(at);
        }
        Ok(())
    }

    fn moved(&mut self, to: Checkpoint) {
        self.checkpoint = to;
        self.attempted.clear();
        for subscriber in &mut self.subscribers {
            subscriber.checkpoint = to;
            subscriber.empty = false;
            subscriber.parks_stored();
        }
    }

    fn clear(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.clear();
        }
    }

    /// After an error: does the log still hold what was folded, and did the database take the last step or not?
    pub async fn settle(&mut self, shared: &Shared) -> Result<(), EngineError> {
        let Some(first) = self.subscribers.first().map(|subscriber| subscriber.id.clone()).filter(|_| self.doubtful) else { return Ok(()) };
        self.clear();
        let builds = registry::builds(&shared.db).await?;
        let stored = |subscriber: &Subscriber| builds.iter().find(|build| build.id == subscriber.id).map(|build| build.checkpoint);
        let Some(found) =
            stored(&self.subscribers[0]).filter(|found| self.subscribers.iter().all(|subscriber| stored(subscriber) == Some(*found)))
        else {
            return Err(DbError::Moved.into());
        };
        // Behind what was stored: the database crashed and lost its last commits, which is why rows and checkpoint go together.
        if self.attempted.contains(&found) || (found.log == self.checkpoint.log && found.position < self.checkpoint.position) {
            self.moved(found);
            self.scanned = found.position;
        } else if found != self.checkpoint {
            return Err(DbError::Moved.into());
        }
        if !self.checkpoint.matches(&*shared.store).await? {
            return Err(EngineError::Mismatch { id: first, position: self.checkpoint.position });
        }
        for subscriber in &mut self.subscribers {
            subscriber.leave_out(registry::parked(&shared.db, &subscriber.id).await?);
        }
        self.doubtful = false;
        Ok(())
    }
}
