//! Checkpoints of consumers that are no read models, such as reactions: kept beside the read models, never rebuilt.

use crate::{
    db::{Db, DbError, Urgency, Write},
    params,
};
use async_trait::async_trait;
use circolo_domain::Timestamp;
use circolo_events::{
    LogId, Position,
    consumers::{CheckpointStore, ConsumerError, Failure, Paused},
};

/// The checkpoints of one log's consumers.
#[derive(Clone)]
pub struct Checkpoints {
    db: Db,
    log: LogId,
}

impl Checkpoints {
    /// Of the consumers of `log`, in `db`.
    pub async fn open(db: Db, log: LogId) -> Result<Self, DbError> {
        super::registry::create_tables(&db).await?;
        Ok(Self::of(db, log))
    }

    /// The same, where the tables are there.
    pub const fn of(db: Db, log: LogId) -> Self {
        Self { db, log }
    }
}

crate::record! {
    struct PauseRow { name: String, since: Timestamp }
}

crate::record! {
    struct FailureRow { error: String, since: Timestamp, last: Timestamp, times: i64, lasting: bool }
}

#[async_trait]
impl CheckpointStore for Checkpoints {
    async fn load(&self, name: &str) -> Result<Option<Position>, ConsumerError> {
        const SQL: &str = "SELECT position FROM consumer_checkpoints WHERE name = $1 AND log_id = $2";
        Ok(self.db.one::<i64>(SQL, params![name, self.log]).await?.map(Position))
    }

    async fn save(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        const SQL: &str = "INSERT INTO consumer_checkpoints (name, log_id, position) VALUES ($1, $2, $3) \
                           ON CONFLICT (name) DO UPDATE SET log_id = excluded.log_id, position = excluded.position";
        Ok(self.db.write(vec![Write::run(SQL, params![name, self.log, position.0])], Urgency::Live).await?)
    }

    async fn failure(&self, name: &str) -> Result<Option<Failure>, ConsumerError> {
        const SQL: &str = "SELECT error, since, last, times, lasting FROM consumer_failures WHERE name = $1 AND log_id = $2";
        let found = self.db.one::<FailureRow>(SQL, params![name, self.log]).await?;
        Ok(found.map(|FailureRow { error, since, last, times, lasting }| Failure { error, since, last, times, lasting }))
    }

    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ConsumerError> {
        const SQL: &str = "INSERT INTO consumer_failures (name, log_id, error, since, last, times, lasting) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                           ON CONFLICT (name) DO UPDATE SET log_id = excluded.log_id, error = excluded.error, since = excluded.since, \
                           last = excluded.last, times = excluded.times, lasting = excluded.lasting";
        let Failure { error, since, last, times, lasting } = failure;
        // What no database keeps in a text is no reason to keep nothing.
        let error = error.replace('\0', "\u{fffd}");
        let params = params![name, self.log, error, *since, *last, *times, *lasting];
        Ok(self.db.write(vec![Write::run(SQL, params)], Urgency::Live).await?)
    }

    async fn aside(&self, name: &str) -> Result<Vec<Position>, ConsumerError> {
        const SQL: &str = "SELECT position FROM consumer_aside WHERE name = $1 AND log_id = $2 ORDER BY position";
        Ok(self.db.query::<i64>(SQL, params![name, self.log]).await?.into_iter().map(Position).collect())
    }

    async fn put_aside(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        const SQL: &str = "INSERT INTO consumer_aside (name, log_id, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        Ok(self.db.write(vec![Write::run(SQL, params![name, self.log, position.0])], Urgency::Live).await?)
    }

    async fn take_up(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        const SQL: &str = "DELETE FROM consumer_aside WHERE name = $1 AND log_id = $2 AND position = $3";
        Ok(self.db.write(vec![Write::run(SQL, params![name, self.log, position.0])], Urgency::Live).await?)
    }

    async fn paused(&self) -> Result<Paused, ConsumerError> {
        const SQL: &str = "SELECT name, since FROM consumer_pauses WHERE log_id = $1";
        let found = self.db.query::<PauseRow>(SQL, params![self.log]).await?;
        Ok(found.into_iter().map(|PauseRow { name, since }| (name, since)).collect())
    }

    async fn pause(&self, name: &str, at: Timestamp) -> Result<(), ConsumerError> {
        const SQL: &str = "INSERT INTO consumer_pauses (name, log_id, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        Ok(self.db.write(vec![Write::run(SQL, params![name, self.log, at])], Urgency::Live).await?)
    }

    async fn resume(&self, name: &str) -> Result<(), ConsumerError> {
        const SQL: &str = "DELETE FROM consumer_pauses WHERE name = $1 AND log_id = $2";
        Ok(self.db.write(vec![Write::run(SQL, params![name, self.log])], Urgency::Live).await?)
    }
}
