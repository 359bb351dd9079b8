//! A build that is being moved: its tables, and rows in memory while a batch of events is folded into them.

use crate::{
    db::{Db, DbError, Urgency, Write},
    engine::{
        context::{backoff::Tries, error::EngineError},
        tables::{
            build::{Build, BuildId, Checkpoint, Limits, State, Switch},
            ddl::Physical,
            parked::{Parked, Poison},
            registry,
            rows::{Change, Rows},
            sample::Sample,
        },
    },
    projection::{OnPoison, Projection},
    value::Value,
};
use circolo_domain::{StreamName, Timestamp};
use circolo_events::{Position, Recorded};
use std::{collections::HashMap, iter::Peekable, panic::AssertUnwindSafe};

/// One build on its way along the log.
pub struct Subscriber {
    /// Which build.
    pub id: BuildId,
    /// What it is a build of.
    pub projection: Projection,
    /// Its state.
    pub state: State,
    /// When it is to replace the live build.
    pub switch: Switch,
    /// How fast it may go and how much memory it may take.
    pub limits: Limits,
    /// Are its indexes made?
    pub indexed: bool,
    /// Up to where it is folded and stored.
    pub checkpoint: Checkpoint,
    /// Nothing was ever stored in its tables, so nothing needs to be loaded from them.
    pub empty: bool,
    /// Its indexes were made before its rows.
    pub has_indexes: bool,
    /// Which rows it folds; `None`: all.
    pub sample: Option<Sample>,
    /// Streams that it leaves out, and from where on.
    parked: HashMap<StreamName, Position>,
    /// Those of them that the database does not know yet.
    unsaved: Vec<Parked>,
    tables: Vec<Part>,
}

/// A batch on its way into a build.
pub struct Prepared<'a> {
    /// The events that are new to it.
    news: Vec<&'a Recorded>,
    /// By table, the keys whose rows are not in memory.
    missing: Vec<Vec<String>>,
}

struct Part {
    physical: Physical,
    rows: Box<dyn Rows>,
}

impl Subscriber {
    /// A build of `projection`, as the registry knows it.
    pub fn new(projection: &Projection, build: &Build) -> Self {
        let tables = projection
            .tables
            .iter()
            .map(|fold| Part { physical: Physical::new(fold.table, build.id.build), rows: (fold.rows)() })
            .collect();
        Self {
            id: build.id.clone(),
            projection: projection.clone(),
            state: build.state,
            switch: build.switch,
            limits: build.limits,
            indexed: build.indexed,
            checkpoint: build.checkpoint,
            empty: false,
            has_indexes: false,
            sample: None,
            parked: HashMap::new(),
            unsaved: Vec::new(),
            tables,
        }
    }

    /// Does it read events of this category?
    pub fn reads(&self, category: &str) -> bool {
        self.projection.categories.contains(&category)
    }

    /// Leaves out what its build left out before.
    pub fn leave_out(&mut self, parked: Vec<Parked>) {
        self.unsaved.clear();
        self.parked = parked.into_iter().map(|parked| (parked.poison.stream, parked.poison.position)).collect();
    }

    /// A stream that it leaves out and `live` does not.
    pub fn lacks_beside(&self, live: &Self) -> Option<&StreamName> {
        self.parked.keys().find(|stream| !live.parked.contains_key(*stream))
    }

    /// Parks the streams of events that it would read and cannot.
    pub fn park(&mut self, poisons: &[Poison], now: Timestamp) {
        let parks = self.projection.on_poison == OnPoison::Park;
        for poison in poisons.iter().filter(|poison| parks && poison.position > self.checkpoint.position) {
            if self.reads(poison.stream.category()) && !self.parked.contains_key(&poison.stream) {
                tracing::warn!(projection = %self.id, reason = poison.reason(), "a stream is parked until the event can be read or is passed over");
                self.parked.insert(poison.stream.clone(), poison.position);
                self.unsaved.push(Parked { poison: poison.clone(), since: now });
            }
        }
    }

    /// What must be written for the streams that were parked since the last time.
    pub fn parks(&self) -> impl Iterator<Item = Write> + use<'_> {
        self.unsaved.iter().map(|parked| registry::park(&self.id, parked))
    }

    /// What was to be written for parked streams is stored.
    pub fn parks_stored(&mut self) {
        self.unsaved.clear();
    }

    fn is_left_out(&self, event: &Recorded) -> bool {
        !self.parked.is_empty() && self.parked.get(&event.stream).is_some_and(|from| event.position >= *from)
    }

    /// Are its indexes still to be made? A build that is only compared is read by key.
    pub fn lacks_indexes(&self) -> bool {
        !self.has_indexes && self.state != State::Checking
    }

    /// Its tables.
    pub fn tables(&self) -> impl Iterator<Item = &Physical> {
        self.tables.iter().map(|part| &part.physical)
    }

    /// Picks those of `events` that are new to it, and finds out which rows they touch that are not in memory.
    pub fn prepare<'a>(&mut self, events: &'a [Recorded]) -> Result<Prepared<'a>, FoldError> {
        let is_new = |event: &&Recorded| event.position > self.checkpoint.position && self.reads(event.stream.category());
        let news: Vec<&Recorded> = events.iter().filter(is_new).filter(|event| !self.is_left_out(event)).collect();
        let sample = self.sample.as_ref();
        let missing = self.tables.iter_mut().filter(|_| !news.is_empty()).map(|part| guarded(&news, || part.rows.prepare(&news, sample)));
        let missing = missing.collect::<Result<_, _>>()?;
        Ok(Prepared { news, missing })
    }

    /// Loads the rows that are not in memory.
    pub async fn load(&mut self, db: &Db, prepared: &mut Prepared<'_>, urgency: Urgency) -> Result<(), FoldError> {
        let missing = std::mem::take(&mut prepared.missing);
        for (part, missing) in self.tables.iter_mut().zip(missing).filter(|(_, missing)| !missing.is_empty() && !self.empty) {
            let mut tries = Tries::new();
            let stored = loop {
                match db.load(&part.physical.load, missing.clone(), urgency).await {
                    Ok(stored) => break stored,
                    Err(error) => tries.again(error).await?,
                }
            };
            part.rows.load(stored).map_err(|error| FoldError::Broken(format!("a row of {}: {error}", part.physical.name)))?;
        }
        Ok(())
    }

    /// Folds the events into the rows, which are all in memory.
    pub fn fold(&mut self, prepared: &Prepared<'_>) -> Result<(), FoldError> {
        let news = &prepared.news;
        self.tables.iter_mut().filter(|_| !news.is_empty()).try_for_each(|part| guarded(news, || part.rows.fold(news)))
    }

    /// Roughly how many bytes its rows in memory take.
    pub fn size(&self) -> usize {
        self.tables.iter().map(|part| part.rows.size()).sum()
    }

    /// Forgets the rows in memory.
    pub fn clear(&mut self) {
        for part in &mut self.tables {
            drop(part.rows.drain());
        }
        for parked in self.unsaved.drain(..) {
            self.parked.remove(&parked.poison.stream);
        }
    }

    /// What must be written to store the rows in memory as folded up to `to`; they are forgotten.
    pub fn changes(&mut self, to: Position, bury: bool) -> impl Iterator<Item = Pieces> + Send + use<> {
        let parts: Vec<_> = self.tables.iter_mut().map(|part| (part.physical.clone(), part.rows.drain())).collect();
        parts.into_iter().map(move |(physical, changes)| Pieces { physical, changes: changes.peekable(), to, bury })
    }
}

/// The changes of one table, to be taken piece by piece.
pub struct Pieces {
    physical: Physical,
    changes: Peekable<Box<dyn Iterator<Item = Change> + Send>>,
    to: Position,
    bury: bool,
}

impl Pieces {
    /// Statements for the next `limit` rows; `None` when there are no more.
    pub fn next(&mut self, limit: usize) -> Option<Vec<Write>> {
        self.changes.peek()?;
        let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
        for change in self.changes.by_ref().take(limit) {
            match change {
                Change::Upsert(row) => upserts.push(self.physical.stored(row, self.to.0)),
                Change::Delete(key) if self.bury => deletes.push(vec![Value::Text(key), Value::Int(-self.to.0)]),
                Change::Delete(key) => deletes.push(vec![Value::Text(key)]),
            }
        }
        let physical = &self.physical;
        let delete = if self.bury { &physical.bury } else { &physical.delete };
        let kinds = [crate::value::Kind::Text, crate::value::Kind::Int];
        let kinds = if self.bury { &kinds[..] } else { &kinds[..1] };
        let writes = [
            Write::Each { sql: physical.upsert.clone(), kinds: physical.kinds.clone(), rows: upserts },
            Write::Each { sql: delete.clone(), kinds: kinds.into(), rows: deletes },
        ];
        Some(writes.into_iter().filter(|write| !matches!(write, Write::Each { rows, .. } if rows.is_empty())).collect())
    }
}

/// Why a batch could not be folded.
#[derive(Debug)]
pub enum FoldError {
    /// The database or the log; may pass.
    Engine(EngineError),
    /// The fold itself panicked, or a stored row is not what it was: a reason to stop this projection alone.
    Broken(String),
}

impl From<DbError> for FoldError {
    fn from(error: DbError) -> Self {
        // What cannot be held cannot be asked for either: the event is found that it comes from.
        let broken = error.is_lasting() && !matches!(error, DbError::Unfit(_));
        if broken { Self::Broken(error.to_string()) } else { Self::Engine(error.into()) }
    }
}

impl From<EngineError> for FoldError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// Folds cannot fail; should one panic all the same, only its projection stops.
fn guarded<T>(events: &[&Recorded], fold: impl FnOnce() -> T) -> Result<T, FoldError> {
    std::panic::catch_unwind(AssertUnwindSafe(fold)).map_err(|_| {
        let span = events.first().zip(events.last()).map(|(first, last)| (first.position, last.position));
        FoldError::Broken(match span {
            Some((first, last)) => format!("the fold panicked between positions {first} and {last}"),
            None => "the fold panicked".to_owned(),
        })
    })
}
