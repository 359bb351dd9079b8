//! Takes what waits, sends it as one batch, and keeps a few batches on their way.

use super::{
    append::Call,
    read,
    sessions::{NoSession, Sessions},
};
use crate::{
    batch::{Batch, Outcome, Request},
    rules::check,
    store::{Append, Position, StoreError},
    tail::advance,
};
use sqlx::error::ErrorKind;
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    sync::{Semaphore, mpsc::Receiver, watch},
    time::timeout,
};
use uuid::Uuid;

/// Works until nobody can append any more.
pub async fn run(sessions: Sessions, mut requests: Receiver<Request>, head: watch::Sender<Position>, batches: usize) {
    let places = Arc::new(Semaphore::new(batches));
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
        let (sessions, head) = (sessions.clone(), head.clone());
        tokio::spawn(async move {
            let outcomes = write(&sessions, &batch).await;
            let written = batch.appends().zip(&outcomes).filter_map(|(append, outcome)| Some((outcome.as_ref().ok()?.position, append)));
            if let Some((last, append)) = written.max_by_key(|(position, _)| *position) {
                sessions.saw(last, append.events.last().map_or(Uuid::nil(), |event| event.id));
                advance(&head, last);
            }
            // Answers first: callers that append again at once then share the next batch.
            batch.answer(outcomes.into_iter());
            drop(place);
        });
    }
}

/// The outcomes of a batch's entries in order.
async fn write(sessions: &Sessions, batch: &Batch) -> Vec<Outcome> {
    let checked: Vec<Result<&Append, StoreError>> = batch.appends().map(|append| check(append).map(|()| append)).collect();
    let valid: Vec<&Append> = checked.iter().flatten().copied().collect();
    let mut written = write_valid(sessions, &valid).await.into_iter();
    let outcomes = checked.into_iter().map(|checked| match checked {
        Ok(_) => written.next().unwrap_or_else(|| Err(StoreError::Unknown("the database answered too little".into()))),
        Err(invalid) => Err(invalid),
    });
    outcomes.collect()
}

/// Sends all entries at once. If an event id among them is taken the database refuses the whole call: then it is sent again in
/// halves until the entry is found.
async fn write_valid(sessions: &Sessions, appends: &[&Append]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(appends.len());
    let mut parts = VecDeque::from([appends]);
    while let Some(part) = parts.pop_front() {
        match send(sessions, part).await {
            Ok(part) => outcomes.extend(part),
            Err(Refusal::Taken) => match part {
                [] => {}
                [append] => outcomes.push(Err(conflict(sessions, append).await)),
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
    /// The log is not what it was: nothing was written.
    Lost,
}

impl Refusal {
    fn error(&self) -> StoreError {
        match self {
            Self::Taken => StoreError::Invalid("an event id is taken"),
            Self::Unavailable(source) => StoreError::Unavailable(Box::new(Arc::clone(source))),
            Self::Unknown(source) => StoreError::Unknown(Box::new(Arc::clone(source))),
            Self::Lost => StoreError::Lost,
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

impl From<NoSession> for Refusal {
    fn from(error: NoSession) -> Self {
        match error {
            NoSession::Lost => Self::Lost,
            NoSession::Unreachable(error) => Self::Unavailable(Arc::new(error)),
        }
    }
}

async fn send(sessions: &Sessions, appends: &[&Append]) -> Result<Vec<Outcome>, Refusal> {
    if appends.is_empty() {
        return Ok(Vec::new());
    }
    let call = Call::new(appends);
    let mut session = sessions.take().await?;
    let answer = timeout(sessions.patience(), call.send(&mut session)).await;
    Ok(session.end(answer)?)
}

async fn conflict(sessions: &Sessions, append: &Append) -> StoreError {
    let current = async {
        let mut session = sessions.take().await?;
        let answer = timeout(sessions.patience(), read::current(&mut session, &append.stream)).await;
        session.end(answer).map_err(super::unavailable)
    };
    match current.await {
        Ok(current) => StoreError::Conflict { stream: append.stream.clone(), current },
        Err(error) => error,
    }
}
