//! Appends: one call each, at an exact revision, and what came of a call that was not answered.

use super::{
    KurrentDb,
    envelope::{event_data, is_kept, size},
    link::Failure,
};
use crate::{
    rules::check,
    store::{Append, Appended, Expected, Position, StoreError},
};
use ::kurrentdb::{AppendToStreamOptions, Client, CurrentRevision, Error, EventData, StreamState};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What every version of the server takes: in one append before 25.1, for one event since then.
const OLD_APPEND: usize = 1 << 20;
const NEW_EVENT: usize = (16 << 20) - 10_000;
const NEW_APPEND: usize = 200 << 20;
/// Pause between two look-ups of an append that was not answered.
const PAUSE: Duration = Duration::from_millis(100);
/// The server is told when we stop to wait; it may answer that it gave up, and that answer needs a moment.
const MARGIN: Duration = Duration::from_millis(500);

/// What an append came to.
enum Sent {
    Appended(Appended),
    /// The server answered that it was there already, without a position.
    Repeated,
}

impl KurrentDb {
    /// Checks one append and sends it.
    pub(super) async fn send_checked(&self, append: &Append) -> Result<Appended, StoreError> {
        check(append)?;
        check_names(append)?;
        self.send(append).await
    }

    /// Sends one append.
    pub(super) async fn send(&self, append: &Append) -> Result<Appended, StoreError> {
        if let Expected::Exact(revision) = append.expected
            && i64::try_from(revision).is_err()
        {
            // To the server it would mean "any".
            return Err(self.conflict(append).await?);
        }
        let events: Vec<EventData> = append.events.iter().map(event_data).collect::<Result<_, _>>()?;
        match self.call(append, &events).await {
            Ok(Sent::Appended(appended)) => Ok(appended),
            Ok(Sent::Repeated) => self.look_up(append, Failure::Silence).await,
            Err(Failure::Client(Error::WrongExpectedVersion { current, .. })) => {
                let current = match current {
                    CurrentRevision::Current(revision) => Some(revision),
                    CurrentRevision::NoStream => None,
                };
                Err(StoreError::Conflict { stream: append.stream.clone(), current })
            }
            Err(failure) if failure.invalid().is_some_and(is_of_size) => {
                Err(StoreError::TooLarge("the append is larger than this KurrentDB takes: see its MaxAppendSize and MaxAppendEventSize"))
            }
            Err(failure) if failure.invalid().is_some() => Err(StoreError::Invalid("the server refuses the append for its content")),
            Err(failure) if is_certain(&failure) => Err(failure.into()),
            Err(failure) => self.look_up(append, failure).await,
        }
    }

    /// Makes the call; once more if certainly nothing was sent or the leader is another.
    async fn call(&self, append: &Append, events: &[EventData]) -> Result<Sent, Failure> {
        let mut again = true;
        loop {
            let session = self.link.session().await?;
            let outcome = timeout(self.link.patience + MARGIN, self.call_once(&session.client, append, events)).await;
            let outcome = outcome.unwrap_or(Err(Failure::Silence));
            self.link.note(&session, &outcome);
            match outcome {
                Err(failure) if again && failure.is_unsent() => again = false,
                outcome => return outcome,
            }
        }
    }

    async fn call_once(&self, client: &Client, append: &Append, events: &[EventData]) -> Result<Sent, Failure> {
        let takes_more = client.server_info().await?.version() >= (25, 1);
        check_size(append, takes_more)?;
        let state = match append.expected {
            Expected::NoStream => StreamState::NoStream,
            Expected::Exact(revision) => StreamState::StreamRevision(revision),
        };
        let mut options = AppendToStreamOptions::default().stream_state(state).deadline(self.link.patience);
        if let Some(credentials) = self.link.credentials() {
            options = options.authenticated(credentials);
        }
        let written = client.append_to_stream(append.stream.as_str(), &options, events.to_vec()).await?;
        // The client makes position 0 of "no position": then it is looked up.
        Ok(match i64::try_from(written.position.commit) {
            Ok(position) if position > 0 => {
                Sent::Appended(Appended { revision: written.next_expected_version, position: Position(position) })
            }
            _ => Sent::Repeated,
        })
    }

    /// Whether an append that was not answered is in the log, by the ids of its events. Never by sending it again.
    async fn look_up(&self, append: &Append, failure: Failure) -> Result<Appended, StoreError> {
        let end = Instant::now() + self.link.patience;
        loop {
            match self.reader.stream(&append.stream, append.expected.next(), append.events.len()).await {
                Ok(found) => {
                    let Some(last) = found.last() else { return Err(StoreError::Unknown(Box::new(failure))) };
                    let same = found.iter().map(|stored| stored.event.id).eq(append.events.iter().map(|event| event.id));
                    return if same {
                        Ok(Appended { revision: last.revision, position: last.position })
                    } else {
                        // Others are where these would be: they never will.
                        Err(self.conflict(append).await?)
                    };
                }
                Err(error) if Instant::now() >= end => {
                    tracing::warn!(%error, stream = %append.stream, "an append that was not answered cannot be looked up");
                    return Err(StoreError::Unknown(Box::new(failure)));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn conflict(&self, append: &Append) -> Result<StoreError, StoreError> {
        Ok(StoreError::Conflict { stream: append.stream.clone(), current: self.reader.current(&append.stream).await? })
    }
}

/// The server's words alone tell the refusals of an append apart: the client drops the rest.
fn is_of_size(message: &str) -> bool {
    message.contains("Maximum Append")
}

/// Failures that say for certain that nothing was appended.
fn is_certain(failure: &Failure) -> bool {
    failure.is_unsent()
        || matches!(
            failure,
            Failure::TooLarge(_)
                | Failure::Lost
                | Failure::Client(Error::AccessDenied | Error::ResourceDeleted | Error::UnsupportedFeature)
        )
}

/// Names that the server keeps for itself or chokes on.
fn check_names(append: &Append) -> Result<(), StoreError> {
    let name = append.stream.as_str();
    if name.starts_with('$') || is_kept(name) || append.events.iter().any(|event| event.event_type.starts_with('$')) {
        Err(StoreError::Invalid("the name of a stream or an event type is one that the log keeps for itself"))
    } else if append.events.iter().any(|event| event.id.is_nil()) {
        Err(StoreError::Invalid("an event has no id"))
    } else {
        Ok(())
    }
}

/// The server's refusal would come after everything was sent.
fn check_size(append: &Append, takes_more: bool) -> Result<(), Failure> {
    let sizes = append.events.iter().map(size);
    let total: usize = sizes.clone().sum();
    if takes_more {
        if total > NEW_APPEND || sizes.max() > Some(NEW_EVENT) {
            return Err(Failure::TooLarge("an event is larger than 16 MB, or an append larger than 200 MB"));
        }
    } else if total > OLD_APPEND {
        return Err(Failure::TooLarge(
            "the append is larger than 1 MiB, which is all that this KurrentDB takes at once: 25.1 and later take more",
        ));
    }
    Ok(())
}
