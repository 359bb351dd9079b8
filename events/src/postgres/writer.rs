//! Takes what waits, sends it as one batch, and keeps a few batches on their way.

use super::{Options, append::Call, read};
use crate::{
    batch::{Batch, Outcome, Request},
    rules::check,
    store::{Append, Position, StoreError},
    tail::advance,
};
use sqlx::{PgPool, error::ErrorKind};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc::Receiver, watch},
    time::timeout,
};

/// Works until nobody can append any more.
pub async fn run(pool: PgPool, mut requests: Receiver<Request>, head: watch::Sender<Position>, options: Options) {
    let places = Arc::new(Semaphore::new(options.batches));
    // The statement's own timeout comes first, unless the connection is dead.
    let patience = options.patience * 2;
    // First a place, then the requests: what comes meanwhile joins the batch.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some(first) = requests.recv().await else { return };
        let mut waiting = None;
        // Those whom the last answer woke are about to come: one call for all of them is worth a moment.
        while waiting != Some(requests.len()) {
            waiting = Some(requests.len());
            tokio::task::yield_now().await;
        }
        let mut batch = Batch::default();
        batch.fill(first, &mut requests);
        let (pool, head) = (pool.clone(), head.clone());
        tokio::spawn(async move {
            let outcomes = write(&pool, &batch, patience).await;
            if let Some(last) = outcomes.iter().flatten().map(|appended| appended.position).max() {
                advance(&head, last);
            }
            // Answers first: callers that append again at once then share the next batch.
            batch.answer(outcomes.into_iter());
            drop(place);
        });
    }
}

/// The outcomes of a batch's entries in order.
async fn write(pool: &PgPool, batch: &Batch, patience: Duration) -> Vec<Outcome> {
    let checked: Vec<Result<&Append, StoreError>> = batch.appends().map(|append| check(append).map(|()| append)).collect();
    let valid: Vec<&Append> = checked.iter().flatten().copied().collect();
    let mut written = write_valid(pool, &valid, patience).await.into_iter();
    let outcomes = checked.into_iter().map(|checked| match checked {
        Ok(_) => written.next().unwrap_or_else(|| Err(StoreError::Unknown("the database answered too little".into()))),
        Err(invalid) => Err(invalid),
    });
    outcomes.collect()
}

/// Sends all entries at once. If an event id among them is taken the database refuses the whole call: then it is sent again in
/// halves until the entry is found.
async fn write_valid(pool: &PgPool, appends: &[&Append], patience: Duration) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(appends.len());
    let mut parts = VecDeque::from([appends]);
    while let Some(part) = parts.pop_front() {
        match send(pool, part, patience).await {
            Ok(part) => outcomes.extend(part),
            Err(Refusal::Taken) => match part {
                [] => {}
                [append] => outcomes.push(Err(conflict(pool, append).await)),
                _ => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.push_front(right);
                    parts.push_front(left);
                }
            },
            Err(refusal) => outcomes.extend(part.iter().map(|_| Err(refusal.error()))),
        }
    }
    outcomes
}

/// Why a call came to nothing, or to nobody knows what.
enum Refusal {
    /// An event id (or a revision, if somebody writes without the lock) is taken.
    Taken,
    /// Certainly nothing was written.
    Unavailable(Arc<sqlx::Error>),
    /// It is not certain.
    Unknown(Arc<sqlx::Error>),
    /// No answer came.
    Silence,
}

impl Refusal {
    fn error(&self) -> StoreError {
        match self {
            Self::Taken => StoreError::Invalid("an event id is taken"),
            Self::Unavailable(source) => StoreError::Unavailable(Box::new(Arc::clone(source))),
            Self::Unknown(source) => StoreError::Unknown(Box::new(Arc::clone(source))),
            Self::Silence => StoreError::Unknown("the database did not answer in time".into()),
        }
    }
}

impl From<sqlx::Error> for Refusal {
    /// An error after the call was sent.
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refused) if refused.kind() == ErrorKind::UniqueViolation => Self::Taken,
            // An answer of the server means that it rolled back, except when it says that it goes away (57P..) or loses
            // the connection (08...).
            sqlx::Error::Database(refused) => match refused.code() {
                Some(code) if !code.starts_with("08") && !code.starts_with("57P") => Self::Unavailable(Arc::new(error)),
                _ => Self::Unknown(Arc::new(error)),
            },
            _ => Self::Unknown(Arc::new(error)),
        }
    }
}

async fn send(pool: &PgPool, appends: &[&Append], patience: Duration) -> Result<Vec<Outcome>, Refusal> {
    if appends.is_empty() {
        return Ok(Vec::new());
    }
    let call = Call::new(appends);
    let mut connection = pool.acquire().await.map_err(|error| Refusal::Unavailable(Arc::new(error)))?;
    if let Ok(answer) = timeout(patience, call.send(&mut connection)).await {
        return Ok(answer?);
    }
    connection.close_on_drop();
    Err(Refusal::Silence)
}

async fn conflict(pool: &PgPool, append: &Append) -> StoreError {
    match read::current(pool, &append.stream).await {
        Ok(current) => StoreError::Conflict { stream: append.stream.clone(), current },
        Err(error) => super::unavailable(error),
    }
}
