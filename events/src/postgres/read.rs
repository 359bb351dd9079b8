//! The queries.

use crate::{
    rules::{count, prefix_end, signed, unsigned},
    store::{Appended, NewEvent, Page, Position, Revision, Stored, event_id},
};
use circolo_domain::{StreamName, Timestamp};
use sqlx::{
    PgConnection, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

/// Who asks for so many events of a prefix at once expects all there are.
const ALL_AT_ONCE: usize = 10_000;

/// A query over the columns that [`stored`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT position, stream, revision, event_id, type, data, metadata, recorded_at FROM log_events ", $rest)
    };
}

/// The last event.
pub async fn last(connection: &mut PgConnection) -> sqlx::Result<Option<(Position, Uuid)>> {
    let query = sqlx::query_as("SELECT position, event_id FROM log_events ORDER BY position DESC LIMIT 1");
    Ok(query.fetch_optional(connection).await?.map(|(position, event)| (Position(position), event)))
}

async fn head(connection: &mut PgConnection) -> sqlx::Result<Position> {
    Ok(last(connection).await?.map_or(Position::START, |(position, _)| position))
}

pub async fn stream(connection: &mut PgConnection, stream: &StreamName, from: Revision, limit: usize) -> sqlx::Result<Vec<Stored>> {
    let query = sqlx::query(select!("WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3"));
    query.bind(stream.as_str()).bind(signed(from)).bind(count(limit)).try_map(stored).fetch_all(connection).await
}

pub async fn all(connection: &mut PgConnection, after: Position, limit: usize) -> sqlx::Result<Page> {
    let query = sqlx::query(select!("WHERE position > $1 ORDER BY position LIMIT $2"));
    let events = query.bind(after.0).bind(count(limit)).try_map(stored).fetch_all(connection).await?;
    Ok(Page::new(events, limit, after, after))
}

pub async fn prefix(connection: &mut PgConnection, prefix: &str, after: Position, until: Position, limit: usize) -> sqlx::Result<Page> {
    // The head first: what is committed later has a higher position.
    let covered = until.min(head(&mut *connection).await?);
    // No stream's name holds this character, and the server takes no text that does.
    if prefix.contains('\0') {
        return Ok(Page::new(vec![], limit, after, covered));
    }
    let Some(end) = prefix_end(prefix) else {
        let query = sqlx::query(select!("WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3"));
        let events = query.bind(after.0).bind(until.0).bind(count(limit)).try_map(stored).fetch_all(connection).await?;
        return Ok(Page::new(events, limit, after, covered));
    };
    if limit >= ALL_AT_ONCE {
        // What is not sorted there comes, and is taken apart here, while the rest is looked for.
        let query = sqlx::query(select!("WHERE stream >= $4 AND stream < $5 AND position + 0 > $1 AND position + 0 <= $2 LIMIT $3"));
        let found = few(query, (prefix, &end), (after, until), limit, &mut *connection).await?;
        if found.len() < limit {
            return Ok(Page::new(sorted(found), limit, after, covered));
        }
    }
    // `+ 0` keeps the planner from walking the whole log by position: a prefix is small, such as one group's memberships.
    let query = sqlx::query(select!(
        "WHERE stream >= $4 AND stream < $5 AND position + 0 > $1 AND position + 0 <= $2 ORDER BY position + 0 LIMIT $3"
    ));
    let events = few(query, (prefix, &end), (after, until), limit, connection).await?;
    Ok(Page::new(events, limit, after, covered))
}

/// The events of a prefix that `query` finds, in its order.
async fn few(
    query: Query<'_, sqlx::Postgres, PgArguments>,
    (prefix, end): (&str, &str),
    (after, until): (Position, Position),
    limit: usize,
    connection: &mut PgConnection,
) -> sqlx::Result<Vec<Stored>> {
    let query = query.bind(after.0).bind(until.0).bind(count(limit)).bind(prefix.to_owned()).bind(end.to_owned());
    query.try_map(stored).fetch_all(connection).await
}

fn sorted(mut events: Vec<Stored>) -> Vec<Stored> {
    events.sort_unstable_by_key(|event| event.position);
    events
}

pub async fn find(connection: &mut PgConnection, stream: &StreamName, command_id: Uuid) -> sqlx::Result<Option<(Stored, Appended)>> {
    const STEP: usize = 16;
    let query = sqlx::query(select!("WHERE event_id = $1 AND stream = $2")).bind(event_id(command_id, 0)).bind(stream.as_str());
    let Some(first) = query.try_map(stored).fetch_optional(&mut *connection).await? else { return Ok(None) };
    let mut last = Appended { revision: first.revision, position: first.position };
    let following = "SELECT position, revision, event_id FROM log_events
                     WHERE stream = $1 AND revision > $2 ORDER BY revision LIMIT $3";
    let mut index = 1;
    loop {
        let query = sqlx::query_as(following).bind(stream.as_str()).bind(signed(last.revision)).bind(count(STEP));
        let rows: Vec<(i64, i64, Uuid)> = query.fetch_all(&mut *connection).await?;
        let full = rows.len() == STEP;
        for (position, revision, id) in rows {
            if id != event_id(command_id, index) {
                return Ok(Some((first, last)));
            }
            last = Appended { revision: unsigned(revision), position: Position(position) };
            index += 1;
        }
        if !full {
            return Ok(Some((first, last)));
        }
    }
}

pub async fn current(connection: &mut PgConnection, stream: &StreamName) -> sqlx::Result<Option<Revision>> {
    let query = sqlx::query_scalar("SELECT max(revision) FROM log_events WHERE stream = $1").bind(stream.as_str());
    query.fetch_one(connection).await.map(|revision: Option<i64>| revision.map(unsigned))
}

/// The columns of [`select!`]. Their types are those of our own table, whose version was checked: they are not checked for each row.
#[expect(clippy::needless_pass_by_value, reason = "the shape that try_map asks for")]
fn stored(row: PgRow) -> sqlx::Result<Stored> {
    Ok(Stored {
        position: Position(row.try_get_unchecked(0)?),
        stream: StreamName::stored(row.try_get_unchecked::<String, _>(1)?),
        revision: unsigned(row.try_get_unchecked(2)?),
        event: NewEvent {
            id: row.try_get_unchecked(3)?,
            event_type: row.try_get_unchecked(4)?,
            data: row.try_get_unchecked(5)?,
            metadata: row.try_get_unchecked(6)?,
            recorded_at: Timestamp::from_micros(row.try_get_unchecked(7)?),
            texts: vec![],
        },
        shut: None,
    })
}
