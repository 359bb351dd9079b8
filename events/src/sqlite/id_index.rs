//! The index over event ids while a new log is filled in bulk: left out, and made at the end.
//!
//! Ids are random, so each event of a bulk write touches a page of its own; sorted at the end, the index takes a tenth of the time.
//! Until then the ids are held in memory, for the log never takes one twice. After a crash, whoever opens the log makes the index.

use crate::batch::Batch;
use rusqlite::Connection;
use std::collections::HashSet;
use uuid::Uuid;

/// The index; what makes it does nothing if it is there.
pub const MAKE: &str = "CREATE UNIQUE INDEX IF NOT EXISTS events_by_id ON events (event_id)";
/// So many ids are held in memory at most: some 70 MiB.
const MOST: usize = 2_000_000;

/// Where the ids of the log are known.
pub enum IdIndex {
    /// In the file's index.
    Made,
    /// Here, all of them: the index is not there.
    Left(HashSet<Uuid>),
}

impl IdIndex {
    /// Leaves the index out if an empty log is about to be filled in bulk; makes it if that is over, or if ids may come again.
    pub fn before(&mut self, connection: &Connection, batch: &Batch, bulk: bool, empty: bool) -> rusqlite::Result<()> {
        match self {
            Self::Made if bulk && empty => {
                connection.execute_batch("DROP INDEX events_by_id")?;
                *self = Self::Left(HashSet::new());
            }
            Self::Left(_) if !bulk => self.make(connection)?,
            Self::Made | Self::Left(_) => {}
        }
        let Self::Left(known) = self else { return Ok(()) };
        let ids = batch.appends().flat_map(|append| &append.events).map(|event| event.id);
        // Appends that come to nothing leave their ids here: then the index is made, and decides.
        let fresh = ids.map(|id| known.insert(id)).fold(true, |all, fresh| all & fresh);
        if !fresh || known.len() > MOST {
            self.make(connection)?;
        }
        Ok(())
    }

    /// Makes the index if it was left out.
    pub fn make(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if matches!(self, Self::Left(_)) {
            connection.execute_batch(MAKE)?;
            *self = Self::Made;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Append, EventStore, Expected, NewEvent, StoreError};
    use crate::{LogId, Sqlite, sqlite::Options};
    use circolo_domain::{StreamName, Timestamp};
    use std::path::Path;
    use uuid::Uuid;

    /// More than make a bulk write.
    const MANY: u128 = 3_000;

    fn open(path: &Path) -> Sqlite {
        Sqlite::open(path, &Options::default(), LogId::from_u128(1)).unwrap()
    }

    fn first(stream: u128, id: u128) -> Append {
        let event = NewEvent {
            id: Uuid::from_u128(id),
            event_type: "thing.made.v1".into(),
            data: "{}".into(),
            metadata: "{}".into(),
            recorded_at: Timestamp::from_micros(1),
            texts: vec![],
        };
        Append { stream: StreamName::new("thing", Uuid::from_u128(stream)), expected: Expected::NoStream, events: vec![event] }
    }

    fn has_index(path: &Path) -> bool {
        let connection = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = 'events_by_id'";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 1
    }

    #[tokio::test]
    async fn it_is_left_out_while_an_empty_log_is_filled_and_made_with_the_next_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        let log = open(&path);
        let written = log.append_many((0..MANY).map(|n| first(n, n)).collect()).await;
        assert!(written.iter().all(Result::is_ok) && !has_index(&path));
        assert!(log.append(first(MANY, MANY)).await.is_ok() && has_index(&path));
        // Only an empty log is filled without it.
        log.append_many((MANY + 1..3 * MANY).map(|n| first(n, n)).collect()).await;
        assert!(has_index(&path));
    }

    #[tokio::test]
    async fn an_id_that_comes_again_is_refused_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        let log = open(&path);
        // Once within the first transaction, and once in the next.
        for from in [0, MANY] {
            let mut appends: Vec<_> = (from..from + MANY).map(|n| first(n, n)).collect();
            appends.push(first(from + MANY + 7, from.saturating_sub(MANY) + 5));
            let written = log.append_many(appends).await;
            let refused: Vec<_> = written.iter().filter(|outcome| outcome.is_err()).collect();
            assert!(matches!(refused[..], [Err(StoreError::Conflict { .. })]), "{refused:?}");
        }
        assert!(has_index(&path));
    }

    #[tokio::test]
    async fn it_is_made_at_the_end_and_by_whoever_comes_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        let log = open(&path);
        log.append_many((0..MANY).map(|n| first(n, n)).collect()).await;
        drop(log);
        assert!(has_index(&path));
        rusqlite::Connection::open(&path).unwrap().execute_batch("DROP INDEX events_by_id").unwrap();
        drop(open(&path));
        assert!(has_index(&path));
    }
}
