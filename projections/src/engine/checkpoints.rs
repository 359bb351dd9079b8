//! Checkpoints of consumers that are no read models, such as reactions: kept beside the read models, never rebuilt.

use crate::{
    db::{Db, DbError, Urgency, Write},
    params,
};
use async_trait::async_trait;
use circolo_events::{
    LogId, Position,
    reactions::{CheckpointStore, ReactionError},
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

#[async_trait]
impl CheckpointStore for Checkpoints {
    async fn load(&self, name: &str) -> Result<Option<Position>, ReactionError> {
        const SQL: &str = "SELECT position FROM consumer_checkpoints WHERE name = $1 AND log_id = $2";
        Ok(self.db.one::<i64>(SQL, params![name, self.log]).await?.map(Position))
    }

    async fn save(&self, name: &str, position: Position) -> Result<(), ReactionError> {
        const SQL: &str = "INSERT INTO consumer_checkpoints (name, log_id, position) VALUES ($1, $2, $3) \
                           ON CONFLICT (name) DO UPDATE SET log_id = excluded.log_id, position = excluded.position";
        Ok(self.db.write(vec![Write::run(SQL, params![name, self.log, position.0])], Urgency::Lane).await?)
    }
}
