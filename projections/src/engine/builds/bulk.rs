//! Builds under construction: batches as large as memory allows, written in many short transactions.
//!
//! A row carries the position it is folded to, so an interrupted write loses nothing: on the way from the checkpoint, a
//! row that is ahead of it skips what it holds already. A row that was deleted stays as a marker until the build is
//! complete, for the same reason.

use super::{
    care::Care,
    compute::compute,
    decode::{Decoded, Readers, decode},
    fold::{fold_all, park_refused, stop, stop_readers},
    lifecycle,
    pace::{self, Pace},
    subscriber::Subscriber,
};
use crate::{
    db::{DbError, Dialect, Sql, Urgency, Write},
    engine::{
        context::{backoff::Tries, error::EngineError, shared::Shared},
        tables::{build::Checkpoint, ddl::FOLDED, parked::Poison, registry},
    },
    params,
    value::{FromValues, Kind, Value},
};
use circolo_events::Position;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Of so many bytes of memory, one event that was read ahead may take a share.
const EVENT_SHARE: usize = 16 << 10;
/// Events read at once, however little memory there is.
const FEWEST: usize = 64;
/// Pages that are read and decoded ahead of the fold.
const AHEAD: usize = 2;
/// How long one transaction should take.
const TRANSACTION: Duration = Duration::from_millis(5);
/// The same where a live subscription has to wait for it.
const BESIDE_LIVE: Duration = Duration::from_micros(1_500);
/// Rows in the first transaction of a table, at most; how long it takes sets the number for the next.
const FIRST_PIECE: usize = 50;
/// Rows in any transaction, at most.
const LAST_PIECE: usize = 8_000;

/// Builds under construction that share one read of the log.
pub struct Bulk {
    /// The builds; all at `checkpoint`.
    pub subscribers: Vec<Subscriber>,
    /// Up to where they are folded and stored.
    pub checkpoint: Checkpoint,
    pace: Pace,
    care: Care,
    /// Events that were folded and are not stored.
    taken: usize,
    /// The fold ended before its end.
    careful: bool,
    /// Somebody is served from the same SQLite file, which has one writer.
    beside_live: bool,
}

impl Bulk {
    /// Builds that all stand at `checkpoint`.
    pub fn new(subscribers: Vec<Subscriber>, checkpoint: Checkpoint) -> Self {
        Self { subscribers, checkpoint, pace: Pace::default(), care: Care::default(), taken: 0, careful: false, beside_live: false }
    }

    /// Folds everything up to `until` and stores it. Builds that cannot go on, or were given up, are gone afterwards.
    pub async fn run(&mut self, shared: &Arc<Shared>, until: Position) -> Result<(), EngineError> {
        self.find_empty(shared).await?;
        self.beside_live = shared.db.dialect() == Dialect::Sqlite
            && shared.options.serving
            && registry::builds(&shared.db).await?.iter().any(|build| build.state.is_live());
        self.make_indexes_early(shared).await?;
        loop {
            let (send, mut pages) = mpsc::channel(AHEAD);
            let range = (self.checkpoint.position, until);
            let reader = tokio::spawn(read(Arc::clone(shared), range, self.page(shared), Readers::of(&self.subscribers), send));
            let outcome = self.fold_pages(shared, &mut pages, until).await;
            // Ends the reader, if something left it behind.
            drop(pages);
            let _ = reader.await;
            match outcome {
                Ok(None) if self.begins_again(until) => {}
                Ok(None) => return Ok(()),
                // The reader ended there; those who do not read it go on behind it.
                Ok(Some(poison)) => stop_readers(shared, &mut self.subscribers, &poison).await?,
                Err(error) => {
                    self.subscribers.iter_mut().for_each(Subscriber::clear);
                    let taken = std::mem::take(&mut self.taken);
                    match error {
                        EngineError::Db(DbError::Unfit(reason)) if self.care.has_a_way(taken) => {
                            self.care.takes(taken, &reason.to_string());
                        }
                        error => return Err(error),
                    }
                }
            }
        }
    }

    /// Was a part of the way only folded, with care?
    fn begins_again(&mut self, until: Position) -> bool {
        std::mem::take(&mut self.careful) && self.checkpoint.position < until && !self.subscribers.is_empty()
    }

    /// How many events are read at once: few enough for the rate, and to take little of the memory.
    fn page(&self, shared: &Shared) -> usize {
        let page = shared.options.build_page.min((pace::memory(shared, &self.subscribers) / EVENT_SHARE).max(FEWEST));
        self.care.limit(Pace::page(pace::rate(shared, &self.subscribers), page))
    }

    /// Notes which builds have nothing stored, not even by an interrupted flush: until the first flush, their rows are new.
    async fn find_empty(&mut self, shared: &Shared) -> Result<(), EngineError> {
        for subscriber in &mut self.subscribers {
            let mut stored = false;
            for physical in subscriber.tables() {
                let sql = format!("SELECT {} FROM {} LIMIT 1", physical.table.key(), physical.name);
                stored |= !shared.db.long_query(sql, vec![]).await?.is_empty();
            }
            subscriber.empty = !stored;
        }
        Ok(())
    }

    /// Where somebody is served from the same SQLite file, indexes are made while the tables are empty. That costs the build more
    /// than making them at its end; but there each would keep the file's one writer for as long as it takes to read a whole table.
    async fn make_indexes_early(&mut self, shared: &Shared) -> Result<(), EngineError> {
        let early = self.beside_live;
        for subscriber in self.subscribers.iter_mut().filter(|subscriber| early && subscriber.empty && subscriber.lacks_indexes()) {
            let indexes = subscriber.tables().flat_map(|physical| physical.create_indexes(shared.db.dialect()));
            let indexes = indexes.map(|sql| Write::run(sql, vec![])).collect();
            may_go_on(shared)?;
            shared.db.write(indexes, Urgency::Build).await?;
            subscriber.has_indexes = true;
        }
        Ok(())
    }

    /// Folds page after page; the poison that ended it, if one did.
    async fn fold_pages(
        &mut self,
        shared: &Arc<Shared>,
        pages: &mut mpsc::Receiver<Result<Decoded, EngineError>>,
        until: Position,
    ) -> Result<Option<Poison>, EngineError> {
        let (mut to, mut poison) = (self.checkpoint, None);
        while let Some(page) = pages.recv().await {
            let decoded = page?;
            self.remove_cancelled(shared).await?;
            if pace::is_asked(shared, &self.subscribers) {
                // Who is left behind must stand where it is stored.
                self.flush(shared, to).await?;
                self.subscribers.retain(|subscriber| !shared.let_go(&subscriber.id));
            }
            if self.subscribers.is_empty() {
                return Ok(None);
            }
            self.taken += decoded.count;
            self.care.meets(&decoded.events);
            park_refused(shared, &mut self.subscribers, self.care.refused()).await?;
            fold_all(shared, &mut self.subscribers, &decoded, Urgency::Build).await?;
            to = decoded.checkpoint.unwrap_or(to);
            pace::note(shared, &self.subscribers, to.position, decoded.count, until);
            let full = self.subscribers.iter().map(Subscriber::size).sum::<usize>() > pace::memory(shared, &self.subscribers);
            let enough = self.care.is_enough(self.taken);
            if full || enough {
                self.flush(shared, to).await?;
            }
            if enough && decoded.poison.is_none() {
                // The next batch may be larger, and so may what is read for it.
                self.careful = true;
                return Ok(None);
            }
            poison = decoded.poison;
            self.pace.keep(shared, &self.subscribers, decoded.count).await?;
        }
        self.flush(shared, to).await?;
        Ok(poison)
    }

    /// Stores what is in memory, in pieces, and then the checkpoint.
    async fn flush(&mut self, shared: &Shared, to: Checkpoint) -> Result<(), EngineError> {
        if to == self.checkpoint || self.subscribers.is_empty() {
            return Ok(());
        }
        // Before the rows: who finds them after a crash must know what they lack.
        let parks: Vec<Write> = self.subscribers.iter().flat_map(Subscriber::parks).collect();
        if !parks.is_empty() {
            self.write_whole(shared, parks).await?;
            self.subscribers.iter_mut().for_each(Subscriber::parks_stored);
        }
        let mut at = 0;
        while at < self.subscribers.len() {
            self.subscribers[at].empty = false;
            let stored = self.flush_member(shared, at, to.position).await;
            if matches!(stored, Err(EngineError::Db(DbError::Unfit(_)))) && self.care.has_a_way(self.taken) {
                return stored;
            }
            if !self.leaves(shared, at, &stored).await? {
                stored?;
                at += 1;
            }
        }
        self.write_whole(shared, vec![registry::advance(self.subscribers.iter().map(|subscriber| &subscriber.id), self.checkpoint, to)])
            .await?;
        self.checkpoint = to;
        for subscriber in &mut self.subscribers {
            subscriber.checkpoint = to;
        }
        self.taken = 0;
        self.care.passed(shared.options.build_page);
        Ok(())
    }

    async fn flush_member(&mut self, shared: &Shared, at: usize, to: Position) -> Result<(), EngineError> {
        for mut pieces in self.subscribers[at].changes(to, true) {
            // Rows of one table say nothing of those of another, which may be ten times as large.
            let mut piece = shared.options.build_page.min(FIRST_PIECE);
            while let Some(writes) = compute(Urgency::Build, || pieces.next(piece)) {
                piece = self.write(shared, writes, piece).await?;
            }
        }
        Ok(())
    }

    /// Lets one build go whose own tables the database does not take, now or later; the others go on.
    async fn leaves(&mut self, shared: &Shared, at: usize, outcome: &Result<(), EngineError>) -> Result<bool, EngineError> {
        match outcome {
            Err(error) if error.is_lasting() => {
                stop(shared, &mut self.subscribers[at], &error.to_string()).await?;
                self.subscribers.remove(at);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// One short transaction of `piece` rows; the size of the next follows from the time it takes.
    async fn write(&self, shared: &Shared, writes: Vec<Write>, piece: usize) -> Result<usize, EngineError> {
        let begun = Instant::now();
        self.write_whole(shared, writes).await?;
        let (took, aim) = (begun.elapsed(), if self.beside_live { BESIDE_LIVE } else { TRANSACTION });
        let next = if took > aim {
            piece / 2
        } else if took < aim / 2 {
            piece * 2
        } else {
            piece
        };
        Ok(next.clamp(1, LAST_PIECE))
    }

    async fn write_whole(&self, shared: &Shared, writes: Vec<Write>) -> Result<(), EngineError> {
        let mut tries = Tries::new();
        loop {
            may_go_on(shared)?;
            match shared.db.write(writes.clone(), Urgency::Build).await {
                Ok(()) => return Ok(()),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// Takes those out that operators gave up.
    async fn remove_cancelled(&mut self, shared: &Shared) -> Result<(), EngineError> {
        while let Some(at) = self.subscribers.iter().position(|subscriber| shared.steering.is_cancelled(&subscriber.id)) {
            lifecycle::discard(shared, &self.subscribers[at]).await?;
            self.subscribers.remove(at);
        }
        Ok(())
    }

    /// Removes the markers of deleted rows, makes the secondary indexes, and notes that both is done.
    pub async fn complete(&mut self, shared: &Shared) -> Result<(), EngineError> {
        self.remove_cancelled(shared).await?;
        let mut at = 0;
        while at < self.subscribers.len() {
            let completed = self.complete_member(shared, at).await;
            if !self.leaves(shared, at, &completed).await? {
                completed?;
                at += 1;
            }
        }
        Ok(())
    }

    async fn complete_member(&mut self, shared: &Shared, at: usize) -> Result<(), EngineError> {
        let subscriber = &self.subscribers[at];
        for physical in subscriber.tables() {
            remove_markers(shared, &physical.name, physical.table.key(), &physical.delete).await?;
            let indexes = if subscriber.lacks_indexes() { physical.create_indexes(shared.db.dialect()) } else { vec![] };
            for sql in indexes {
                self.write_whole(shared, vec![Write::run(sql, vec![])]).await?;
            }
        }
        self.write_whole(shared, vec![registry::set_indexed(&subscriber.id)]).await?;
        self.subscribers[at].indexed = true;
        Ok(())
    }
}

/// Deletes the markers of deleted rows, some at a time.
async fn remove_markers(shared: &Shared, table: &str, key: &str, delete: &Sql) -> Result<(), EngineError> {
    const SOME: usize = 1_000;
    let sql = format!("SELECT {key} FROM {table} WHERE {FOLDED} < 0 AND {key} > $1 ORDER BY {key} LIMIT {SOME}");
    let mut after = String::new();
    loop {
        let found = shared.db.long_query(sql.clone(), params![&after]).await?;
        let keys: Vec<String> = found.into_iter().map(String::from_values).collect::<Result<_, _>>().map_err(crate::DbError::from)?;
        let Some(last) = keys.last().cloned() else { return Ok(()) };
        let rows = keys.into_iter().map(|key| vec![Value::Text(key)]).collect();
        may_go_on(shared)?;
        shared.db.write(vec![Write::Each { sql: delete.clone(), kinds: [Kind::Text].into(), rows }], Urgency::Build).await?;
        after = last;
    }
}

/// An error if the projector shuts down, or a test wants a crash here.
fn may_go_on(shared: &Shared) -> Result<(), EngineError> {
    if shared.is_down() {
        return Err(EngineError::Down);
    }
    match &shared.options.interrupt {
        Some(interrupt) if interrupt() => Err(EngineError::Down),
        _ => Ok(()),
    }
}

/// Reads and decodes ahead of the fold, until `until`, a poison, an error, or until nobody listens any more.
async fn read(
    shared: Arc<Shared>,
    (mut after, until): (Position, Position),
    size: usize,
    readers: Readers,
    pages: mpsc::Sender<Result<Decoded, EngineError>>,
) {
    while after < until {
        let decoded = match shared.store.read_all(after, size).await {
            Ok(page) if page.events.is_empty() && page.scanned <= after => return,
            Ok(page) => decode(&shared, &page, Some(until), &readers, Urgency::Build).await,
            Err(error) => Err(error.into()),
        };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return drop(pages.send(Err(error)).await),
        };
        after = decoded.scanned;
        let last = decoded.poison.is_some();
        if pages.send(Ok(decoded)).await.is_err() || last {
            return;
        }
    }
}
