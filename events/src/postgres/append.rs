//! One batch of appends as one call of `log_append`.

use crate::{
    batch::Outcome,
    rules::signed,
    store::{Append, Appended, Expected, Position, StoreError},
};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The arguments of one call, column by column.
#[derive(Default)]
pub struct Call<'a> {
    appends: &'a [&'a Append],
    streams: Vec<&'a str>,
    slots: Vec<i32>,
    expected: Vec<i64>,
    counts: Vec<i64>,
    entries: Vec<i32>,
    names: Vec<&'a str>,
    revisions: Vec<i64>,
    ids: Vec<Uuid>,
    types: Vec<&'a str>,
    data: Vec<&'a str>,
    metadata: Vec<&'a str>,
    times: Vec<i64>,
}

const SQL: &str = "SELECT o_accepted, o_current, o_base FROM log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

impl<'a> Call<'a> {
    /// The call for entries that passed `rules::check`.
    pub fn new(appends: &'a [&'a Append]) -> Self {
        let mut call = Self { appends, ..Self::default() };
        let mut slots: HashMap<&str, i32> = HashMap::with_capacity(appends.len());
        for (entry, append) in (1..).zip(appends) {
            let name = append.stream.as_str();
            let slot = *slots.entry(name).or_insert_with(|| {
                call.streams.push(name);
                number(call.streams.len())
            });
            call.slots.push(slot);
            call.expected.push(match append.expected {
                Expected::NoStream => -1,
                Expected::Exact(revision) => signed(revision),
            });
            call.counts.push(signed(append.events.len() as u64));
            call.add_events(entry, append);
        }
        call
    }

    fn add_events(&mut self, entry: i32, append: &'a Append) {
        let first = match append.expected {
            Expected::NoStream => 0,
            // What is refused anyway may as well overflow.
            Expected::Exact(revision) => revision.wrapping_add(1),
        };
        for (index, event) in (0..).zip(&append.events) {
            self.entries.push(entry);
            self.names.push(append.stream.as_str());
            self.revisions.push(signed(first.wrapping_add(index)));
            self.ids.push(event.id);
            self.types.push(&event.event_type);
            self.data.push(&event.data);
            self.metadata.push(&event.metadata);
            self.times.push(event.recorded_at.micros());
        }
    }

    /// Sends the call; the outcomes of its entries in order.
    pub async fn send(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Outcome>> {
        let query = sqlx::query_as(SQL).bind(&self.streams).bind(&self.slots).bind(&self.expected).bind(&self.counts);
        let query = query.bind(&self.entries).bind(&self.names).bind(&self.revisions).bind(&self.ids);
        let query = query.bind(&self.types).bind(&self.data).bind(&self.metadata).bind(&self.times);
        let (accepted, current, base): (Vec<bool>, Vec<i64>, i64) = query.fetch_one(connection).await?;
        Ok(self.outcomes(&accepted, &current, base))
    }

    fn outcomes(&self, accepted: &[bool], current: &[i64], base: i64) -> Vec<Outcome> {
        let mut position = base;
        let answers = accepted.iter().zip(current);
        let outcomes = self.appends.iter().zip(answers).map(|(append, (&accepted, &current))| {
            if !accepted {
                return Err(StoreError::Conflict { stream: append.stream.clone(), current: u64::try_from(current).ok() });
            }
            let count = append.events.len() as u64;
            position += signed(count);
            Ok(Appended { revision: append.expected.next() + count - 1, position: Position(position) })
        });
        outcomes.collect()
    }
}

/// A count within one batch; a batch holds a few thousand events.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
