//! Read model `deadlines_v1`: what is to be looked at again, and when. One row per matter that waits; what does not wait has none.

use crate::{Db, DbError, Fold, Keys, Projection, Projector, params, projection, record, row};
use async_trait::async_trait;
use circolo_domain::deadline::{self, Deadline, Matter};
use circolo_domain::{StreamName, Timestamp};
use circolo_events::{
    Position, Recorded,
    consumers::ConsumerError,
    waking::{Deadlines, Due},
};
use std::{sync::Arc, time::Duration};

/// How long is waited until what was woken is folded; then it is woken once more, which changes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

row! {
    /// A matter that waits.
    pub struct DeadlineRow in "deadlines_v1" {
        /// The stream that is woken, and what it is about behind a space.
        pub id: String,
        /// The stream.
        pub stream: String,
        /// The matter, where a stream may have several.
        pub about: Option<String>,
        /// Until when it waits.
        pub due: Timestamp,
        /// The event that says so.
        pub event_id: String,
        /// Its place in the log.
        pub position: i64,
    }
    index "by_due" (due, id);
}

fn of(event: &Recorded) -> Vec<Deadline> {
    deadline::deadlines(&event.stream, &event.event, event.recorded_at)
}

impl Fold for DeadlineRow {
    fn keys(event: &Recorded) -> Keys {
        of(event).iter().map(|deadline| deadline.matter.to_string()).collect::<Vec<_>>().into()
    }

    fn fold(_: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        // Of several words on one matter the last counts.
        let deadline = of(event).into_iter().rfind(|deadline| deadline.matter.to_string() == key)?;
        let Matter { stream, about } = deadline.matter;
        Some(Self {
            id: key.to_owned(),
            stream: stream.to_string(),
            about: about.map(|about| about.to_string()),
            due: deadline.at?,
            event_id: event.id.to_string(),
            position: event.position.0,
        })
    }
}

/// The projection of this file. An aggregate that begins to set deadlines in events that there are already makes this a new version.
pub fn deadlines() -> Projection {
    projection("deadlines", 1).reads(deadline::CATEGORIES).row::<DeadlineRow>()
}

record! {
    struct WaitingRow { id: String, stream: String, about: Option<String>, due: Timestamp, event_id: String }
}

impl From<WaitingRow> for Due {
    fn from(row: WaitingRow) -> Self {
        let matter = Matter { stream: StreamName::stored(row.stream), about: row.about.and_then(|about| about.parse().ok()) };
        Self { key: row.id, matter, at: row.due, set_by: row.event_id.parse().unwrap_or_default() }
    }
}

/// What has waited until `until` at most, the oldest first, behind a moment and a key.
pub async fn due(db: &Db, until: Timestamp, after: Option<(Timestamp, &str)>, limit: i64) -> Result<Vec<Due>, DbError> {
    const SQL: &str = "SELECT d.id, d.stream, d.about, d.due, d.event_id FROM deadlines_v1 d \
                       WHERE d.due <= $1 AND (d.due, d.id) > ($2, $3) ORDER BY d.due, d.id LIMIT $4";
    let (since, key) = after.map_or((i64::MIN, ""), |(at, key)| (at.micros(), key));
    Ok(db.query::<WaitingRow>(SQL, params![until, since, key, limit]).await?.into_iter().map(Due::from).collect())
}

/// The moment until which the first of all waits.
pub async fn next(db: &Db) -> Result<Option<Timestamp>, DbError> {
    Ok(due(db, Timestamp::from_micros(i64::MAX), None, 1).await?.pop().map(|due| due.at))
}

/// What waits, for whoever wakes it.
pub struct Waiting {
    /// The read models.
    pub db: Db,
    /// Tells how far they are.
    pub projector: Arc<Projector>,
}

#[async_trait]
impl Deadlines for Waiting {
    async fn due(&self, now: Timestamp, after: Option<&Due>, limit: usize) -> Result<Vec<Due>, ConsumerError> {
        match due(&self.db, now, after.map(|due| (due.at, &*due.key)), i64::try_from(limit).unwrap_or(i64::MAX)).await {
            // Until it is known what waits, all of it does.
            Err(DbError::Building(_)) => Ok(vec![]),
            found => Ok(found?),
        }
    }

    async fn know(&self, position: Position) -> Result<(), ConsumerError> {
        // Who is behind is told elsewhere.
        let _ = self.projector.wait_for(position, PATIENCE).await;
        Ok(())
    }
}

#[cfg(test)]
#[path = "deadlines_tests.rs"]
mod tests;
