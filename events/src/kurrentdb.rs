//! The log in KurrentDB (formerly `EventStoreDB`), over its official client.
//!
//! One append is one call at an exact revision. The position of an event is its commit position. Everything is read with plain
//! paged reads: the client's subscriptions can stop a whole runtime. The database's own records stand between ours; they are
//! passed over. The log takes a database of its own, for every stream in it that is not the database's is taken for ours.

mod append;
mod claim;
mod end;
mod envelope;
mod link;
mod places;
mod read;
mod settings;

use crate::{
    store::{Append, Appended, EventStore, Expected, LogId, NewEvent, Page, Position, Revision, StoreError, Stored, event_id},
    tail::{Tail, advance},
};
use async_trait::async_trait;
use circolo_domain::{StreamName, Timestamp};
pub use claim::{Claim, ClaimError, Claimant};
use envelope::{LOG_STREAM, PARTIAL_STREAM};
use link::Link;
use read::Reader;
use settings::Settings;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::timeout,
};
use uuid::Uuid;

/// How a log is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Appends that may wait for their turn; beyond it the answer is [`StoreError::Busy`].
    pub queue: usize,
    /// Appends on their way at once. The server takes 100 calls on one connection; some are left for reads.
    pub in_flight: usize,
    /// How long a call, or one part of a long answer, may take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: 4_096, in_flight: 64, patience: Duration::from_secs(10) }
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection string. Its text is not told, for there may be a password in it.
    #[error("the KurrentDB connection string cannot be used: {0}")]
    Url(&'static str),
    /// The file with the certificates to trust.
    #[error("the certificates in {0} cannot be read: {1}")]
    Certificates(String, #[source] rustls::pki_types::pem::Error),
    /// The server cannot be reached or refused.
    #[error("the log in KurrentDB cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The database holds something else.
    #[error("the stream circolo-log of this database does not tell the identity of a log")]
    NotALog,
}

/// The log in KurrentDB.
pub struct KurrentDb {
    log_id: LogId,
    link: Arc<Link>,
    reader: Reader,
    head: watch::Sender<Position>,
    tail: Tail,
    waiting: Semaphore,
    turns: Semaphore,
}

impl KurrentDb {
    /// Opens the log at `url` and creates it as `new_log_id` if it is not there.
    pub async fn connect(url: &str, options: &Options, new_log_id: LogId) -> Result<Self, ConnectError> {
        let mut store = Self::open(url, options)?;
        store.log_id = match store.identity().await? {
            Some(id) => id,
            None => store.create(new_log_id).await?,
        };
        Ok(store)
    }

    /// Opens the log at `url` and writes nothing to it as long as nothing is appended. Where there is no log its id is nil.
    pub async fn connect_to_read(url: &str, options: &Options) -> Result<Self, ConnectError> {
        let mut store = Self::open(url, options)?;
        store.log_id = store.identity().await?.unwrap_or_default();
        Ok(store)
    }

    fn open(url: &str, options: &Options) -> Result<Self, ConnectError> {
        let link = Arc::new(Link::new(Settings::parse(url)?, options.patience));
        let reader = Reader::new(Arc::clone(&link));
        let head = watch::Sender::new(Position::START);
        let asked = reader.clone();
        let tail = Tail::start(head.clone(), move || {
            let reader = asked.clone();
            async move { reader.head().await }
        });
        let (waiting, turns) = (Semaphore::new(options.queue), Semaphore::new(options.in_flight));
        Ok(Self { log_id: LogId::nil(), link, reader, head, tail, waiting, turns })
    }

    async fn identity(&self) -> Result<Option<LogId>, ConnectError> {
        let Some(data) = self.reader.identity().await? else { return Ok(None) };
        let id = serde_json::from_str::<Identity>(&data).map_err(|_| ConnectError::NotALog)?;
        Ok(Some(id.log_id))
    }

    /// Writes the identity; that of another if somebody else was first.
    async fn create(&self, log_id: LogId) -> Result<LogId, ConnectError> {
        let event = NewEvent {
            id: event_id(log_id, 0),
            event_type: "circolo.log.created.v1".to_owned(),
            data: serde_json::to_string(&Identity { log_id }).map_err(|_| ConnectError::NotALog)?,
            metadata: "{}".to_owned(),
            recorded_at: Timestamp::from_micros(0),
            texts: vec![],
        };
        let append = Append { stream: StreamName::stored(LOG_STREAM), expected: Expected::NoStream, events: vec![event] };
        match self.send(&append).await {
            Ok(_) => Ok(log_id),
            Err(StoreError::Conflict { .. }) => self.identity().await?.ok_or(ConnectError::NotALog),
            Err(error) => Err(error.into()),
        }
    }

    /// What was said last of the log's being a part only, and at which revision.
    async fn partial(&self) -> Result<(Option<Revision>, bool), StoreError> {
        let Some(last) = self.reader.last(PARTIAL_STREAM, 1).await?.pop() else { return Ok((None, false)) };
        let said: serde_json::Value = serde_json::from_str(&last.event.data).map_err(unavailable)?;
        Ok((Some(last.revision), said["partial"] == true))
    }

    /// A turn to append, or a place among those who wait for one.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        let _place = self.waiting.try_acquire().map_err(|_| StoreError::Busy)?;
        match timeout(self.link.patience, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // Nothing was sent. The semaphore is never closed.
            _ => Err(StoreError::Busy),
        }
    }

    async fn append_in_turn(&self, append: &Append) -> Result<Appended, StoreError> {
        self.reader.is_whole()?;
        let appended = self.send_checked(append).await?;
        advance(&self.head, appended.position);
        Ok(appended)
    }
}

/// What the log's own stream says.
#[derive(serde::Serialize, serde::Deserialize)]
struct Identity {
    log_id: LogId,
}

#[async_trait]
impl EventStore for KurrentDb {
    fn log_id(&self) -> LogId {
        self.log_id
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let _turn = self.turn().await?;
        self.append_in_turn(&append).await
    }

    /// One after the other, for their order is that of the log.
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        let mut outcomes: Vec<Result<Appended, StoreError>> = Vec::with_capacity(appends.len());
        for append in appends {
            outcomes.push(match outcomes.last() {
                Some(Err(StoreError::Unavailable(_) | StoreError::Unknown(_))) => {
                    Err(StoreError::Unavailable("an append before this one got no answer".into()))
                }
                _ => self.append_in_turn(&append).await,
            });
        }
        outcomes
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reader.stream(stream, from, limit).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.reader.prefix(prefix, after, until, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.reader.all(after, limit).await
    }

    async fn at(&self, position: Position) -> Result<Option<Stored>, StoreError> {
        self.reader.at(position).await
    }

    async fn before(&self, position: Position) -> Result<Position, StoreError> {
        self.reader.before(position).await
    }

    async fn back(&self, count: usize) -> Result<Position, StoreError> {
        self.reader.back(count).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.reader.head().await
    }

    async fn is_partial(&self) -> Result<bool, StoreError> {
        Ok(self.partial().await?.1)
    }

    async fn set_partial(&self, partial: bool) -> Result<(), StoreError> {
        let (revision, _) = self.partial().await?;
        let place = revision.map_or(0, |revision| revision + 1);
        let event = NewEvent {
            id: event_id(Uuid::new_v5(&self.log_id, PARTIAL_STREAM.as_bytes()), usize::try_from(place).unwrap_or(usize::MAX)),
            event_type: "circolo.partial.changed.v1".to_owned(),
            data: serde_json::json!({ "partial": partial }).to_string(),
            metadata: "{}".to_owned(),
            recorded_at: Timestamp::from_micros(0),
            texts: vec![],
        };
        let append = Append { stream: StreamName::stored(PARTIAL_STREAM), expected: Expected::of(revision), events: vec![event] };
        self.send(&append).await.map(drop)
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        self.reader.find(stream, command_id).await
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        Ok(self.tail.changed(after, wait).await)
    }
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(source))
}
