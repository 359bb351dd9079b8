//! A client that is looked after: once it has failed it stays dead for ever, so another one takes its place.

use super::settings::Settings;
use crate::store::StoreError;
use ::kurrentdb::{Client, Error, NodePreference};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};

/// Pause between two clients: doubled each time, back to the shortest after a success.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
/// In a cluster the client sticks to a node that is gone: so many errors of the server in a row end it.
const TOLERATED: u32 = 2;

/// Why a call came to nothing, or to nobody knows what.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the client says.
    #[error(transparent)]
    Client(#[from] Error),
    /// No client could be made.
    #[error("no client can be made: {0}")]
    NoClient(String),
    /// What was to be sent is more than the server takes.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The client waits for ever; we do not.
    #[error("the server did not answer in time")]
    Silence,
    /// The log lacks what was read in it.
    #[error("the log has lost events")]
    Lost,
    /// The log was to be read from a position at which no record begins.
    #[error("the server finds no record at this position of its log")]
    NoRecord,
}

impl Failure {
    /// Whether certainly nothing was sent, or a node that is not the leader refused: then the call may be made again.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::NoClient(_)
                | Self::Client(
                    Error::ConnectionClosed | Error::GrpcConnectionError(_) | Error::NotLeaderException(_) | Error::InitializationError(_)
                )
        )
    }

    /// What is wrong with the request, if the server says so.
    pub fn invalid(&self) -> Option<&str> {
        match self {
            Self::Client(Error::Grpc { code, message }) if *code as i32 == 3 => Some(message),
            _ => None,
        }
    }

    /// A failed read of all. That no record begins at a position is Unknown to the server, which the client takes for the end of
    /// the node and looks for another one: what asks so must be rare.
    pub fn of_all(error: Error) -> Self {
        match error {
            Error::ServerError(text) if text.contains("ReadAllResult: ") => Self::NoRecord,
            error => Self::Client(error),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TooLarge(reason) => Self::TooLarge(reason),
            Failure::Lost => Self::Lost,
            failure => Self::Unavailable(Box::new(failure)),
        }
    }
}

/// The way to the server.
pub struct Link {
    settings: Settings,
    /// How long one call, or one part of a long answer, may take.
    pub patience: Duration,
    state: Mutex<State>,
    /// Held by who makes a client; the others wait for it.
    making: tokio::sync::Mutex<()>,
    lost: AtomicBool,
}

struct State {
    client: Option<Client>,
    /// Counts the clients, so that the failure of an old one does not end a new one.
    generation: u64,
    errors: u32,
    pause: Duration,
    not_before: Instant,
}

/// A client, and which one it is.
pub struct Session {
    /// The client.
    pub client: Client,
    generation: u64,
}

impl Link {
    pub fn new(settings: Settings, patience: Duration) -> Self {
        // The client would install another provider if there were none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let state = State { client: None, generation: 0, errors: 0, pause: SHORTEST, not_before: Instant::now() };
        Self { settings, patience, state: Mutex::new(state), making: tokio::sync::Mutex::default(), lost: AtomicBool::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks, if the connection string says so.
    pub fn credentials(&self) -> Option<::kurrentdb::Credentials> {
        self.settings.credentials.clone()
    }

    /// Whether a read that finds less than another found before proves anything: a follower may lag.
    pub fn reads_the_leader(&self) -> bool {
        matches!(self.settings.client.node_preference(), NodePreference::Leader)
    }

    /// The log is not what it was: nothing is read or written any more.
    pub fn lose(&self) -> Failure {
        if !self.lost.swap(true, Ordering::AcqRel) {
            tracing::error!("{}", StoreError::Lost);
        }
        Failure::Lost
    }

    /// The client; another one, after a pause, if the last has failed.
    pub async fn session(&self) -> Result<Session, Failure> {
        if self.lost.load(Ordering::Acquire) {
            return Err(Failure::Lost);
        }
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let made = timeout(self.patience, async {
            let _turn = self.making.lock().await;
            if let Some(session) = self.current() {
                return Ok(session);
            }
            let not_before = self.state().not_before;
            sleep_until(not_before).await;
            self.make().await
        });
        made.await.unwrap_or(Err(Failure::Silence))
    }

    fn current(&self) -> Option<Session> {
        let state = self.state();
        state.client.clone().map(|client| Session { client, generation: state.generation })
    }

    async fn make(&self) -> Result<Session, Failure> {
        {
            let mut state = self.state();
            state.not_before = Instant::now() + state.pause;
            state.pause = LONGEST.min(state.pause * 2);
        }
        let settings = self.settings.client.clone();
        let runtime = tokio::runtime::Handle::current();
        // It reads the system's certificates, which takes a while.
        let made = tokio::task::spawn_blocking(move || Client::with_runtime_handle(runtime, settings)).await;
        let client = made.map_err(|error| Failure::NoClient(error.to_string()))?.map_err(|error| Failure::NoClient(error.to_string()))?;
        let mut state = self.state();
        (state.client, state.errors) = (Some(client.clone()), 0);
        state.generation += 1;
        Ok(Session { client, generation: state.generation })
    }

    /// Takes note of how a call went; a client that is beyond help is given up.
    pub fn note<T>(&self, session: &Session, outcome: &Result<T, Failure>) {
        let mut state = self.state();
        if session.generation != state.generation {
            return;
        }
        let dead = match outcome {
            Err(Failure::Client(Error::ConnectionClosed | Error::GrpcConnectionError(_)) | Failure::Silence) => true,
            Err(Failure::Client(Error::ServerError(_) | Error::DeadlineExceeded)) => {
                state.errors += 1;
                state.errors > TOLERATED
            }
            // It finds the leader by itself; whatever else was said, somebody said it.
            Err(_) => false,
            Ok(_) => {
                (state.errors, state.pause) = (0, SHORTEST);
                false
            }
        };
        if dead && state.client.take().is_some() {
            tracing::warn!("the connection to KurrentDB was lost; another one is made");
        }
    }

    /// Asks, and asks once more if the first answer is one of a connection or a node that has gone.
    pub async fn ask<T, F>(&self, question: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut again = true;
        loop {
            let session = self.session().await?;
            let outcome = question(session.client.clone()).await;
            self.note(&session, &outcome);
            match outcome {
                Err(failure) if again && (failure.is_unsent() || matches!(failure, Failure::Client(Error::ServerError(_)))) => {
                    again = false;
                }
                outcome => return outcome,
            }
        }
    }
}
