//! One batch in one transaction: rows and checkpoint of several builds that stand at one position.

use super::{
    care::Care,
    compute::compute,
    context::{error::EngineError, shared::Shared},
    decode::{Decoded, Readers, decode},
    member::{FoldError, Member},
    tables::{
        build::{Checkpoint, State},
        parked::Poison,
        registry,
    },
};
use crate::{
    db::{DbError, Urgency, Write},
    projection::OnPoison,
};
use circolo_events::Position;
use futures::{FutureExt, StreamExt, stream};

/// So many builds ask at a time for the rows that they are about to change.
const SIDE_BY_SIDE: usize = 4;

/// Builds that move together.
pub struct Convoy {
    /// The builds; all at `checkpoint`.
    pub members: Vec<Member>,
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

impl Convoy {
    /// Builds that all stand at `checkpoint`.
    pub fn new(members: Vec<Member>, checkpoint: Checkpoint) -> Self {
        let care = Care::default();
        Self { members, checkpoint, scanned: checkpoint.position, doubtful: false, care, attempted: Vec::new() }
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
        let decoded = decode(shared, &page, until, &Readers::of(&self.members), urgency).await?;
        match (decoded.checkpoint, &decoded.poison) {
            (Some(to), _) => {
                self.care.meets(&decoded.events);
                park_refused(shared, &mut self.members, self.care.refused()).await?;
                fold_all(shared, &mut self.members, &decoded, urgency).await?;
                if !self.store(shared, to, limit, urgency).await? {
                    return Ok(Step::Stopped);
                }
                self.scanned = decoded.scanned.max(to.position);
                Ok(Step::Moved(decoded.count))
            }
            (None, Some(poison)) => {
                stop_readers(shared, &mut self.members, poison).await?;
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
        if self.members.is_empty() {
            self.checkpoint = to;
            return Ok(true);
        }
        let mut parts: Vec<Vec<Write>> = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            let mut part: Vec<Write> = member.parks().collect();
            for mut pieces in member.changes(to.position, false) {
                part.extend(std::iter::from_fn(|| pieces.next(usize::MAX)).flatten());
            }
            parts.push(part);
        }
        let mut writes = parts.concat();
        writes.push(registry::advance(self.members.iter().map(|member| &member.id), self.checkpoint, to));
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
            stop(shared, &mut self.members[at], &error.to_string()).await?;
            self.members.remove(at);
        }
        Ok(())
    }

    fn moved(&mut self, to: Checkpoint) {
        self.checkpoint = to;
        self.attempted.clear();
        for member in &mut self.members {
            member.checkpoint = to;
            member.empty = false;
            member.parks_stored();
        }
    }

    fn clear(&mut self) {
        for member in &mut self.members {
            member.clear();
        }
    }

    /// After an error: does the log still hold what was folded, and did the database take the last step or not?
    pub async fn settle(&mut self, shared: &Shared) -> Result<(), EngineError> {
        let Some(first) = self.members.first().map(|member| member.id.clone()).filter(|_| self.doubtful) else { return Ok(()) };
        self.clear();
        let builds = registry::builds(&shared.db).await?;
        let stored = |member: &Member| builds.iter().find(|build| build.id == member.id).map(|build| build.checkpoint);
        let Some(found) = stored(&self.members[0]).filter(|found| self.members.iter().all(|member| stored(member) == Some(*found))) else {
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
        for member in &mut self.members {
            member.leave_out(registry::parked(&shared.db, &member.id).await?);
        }
        self.doubtful = false;
        Ok(())
    }
}

/// Folds into the memory of all `members`; those that are broken leave.
pub async fn fold_all(shared: &Shared, members: &mut Vec<Member>, decoded: &Decoded, urgency: Urgency) -> Result<(), EngineError> {
    let now = (shared.options.clock)();
    for member in members.iter_mut() {
        member.park(&decoded.poisons, now);
    }
    let prepared: Vec<_> = compute(urgency, || members.iter_mut().map(|member| member.prepare(&decoded.events)).collect());
    let loads = members.iter_mut().zip(prepared).map(|(member, prepared)| {
        let load = async move {
            let mut prepared = prepared?;
            member.load(&shared.db, &mut prepared, urgency).await?;
            Ok::<_, FoldError>(prepared)
        };
        load.boxed()
    });
    let loaded: Vec<_> = stream::iter(loads.collect::<Vec<_>>()).buffered(SIDE_BY_SIDE).collect().await;
    let folded: Vec<_> = compute(urgency, || {
        members.iter_mut().zip(loaded).map(|(member, prepared)| prepared.and_then(|prepared| member.fold(&prepared))).collect()
    });
    let mut at = 0;
    for outcome in folded {
        match outcome {
            Ok(()) => at += 1,
            Err(FoldError::Broken(reason)) => {
                stop(shared, &mut members[at], &reason).await?;
                members.remove(at);
            }
            Err(FoldError::Engine(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Parks what the database cannot hold, in all who read it; those who stop at such leave.
pub async fn park_refused(shared: &Shared, members: &mut Vec<Member>, refused: &[Poison]) -> Result<(), EngineError> {
    let now = (shared.options.clock)();
    for poison in refused {
        stop_readers(shared, members, poison).await?;
        for member in members.iter_mut() {
            member.park(std::slice::from_ref(poison), now);
        }
    }
    Ok(())
}

/// Takes those out of `members` who read what cannot be read.
pub async fn stop_readers(shared: &Shared, members: &mut Vec<Member>, poison: &Poison) -> Result<(), EngineError> {
    let stops = |member: &Member| member.projection.on_poison == OnPoison::Stop && member.reads(poison.stream.category());
    while let Some(at) = members.iter().position(stops) {
        stop(shared, &mut members[at], &poison.reason()).await?;
        members.remove(at);
    }
    Ok(())
}

/// Notes that a build cannot go on.
pub async fn stop(shared: &Shared, member: &mut Member, reason: &str) -> Result<(), EngineError> {
    member.clear();
    let state = if matches!(member.state, State::Live | State::Stopped) { State::Stopped } else { State::Failed };
    tracing::error!(projection = %member.id, %reason, "a projection stopped; mend it and rebuild");
    shared.db.write(vec![registry::set_state(&member.id, state, Some(reason))], Urgency::Lane).await?;
    member.state = state;
    shared.gave_up(&member.projection);
    shared.steering.changed();
    Ok(())
}
