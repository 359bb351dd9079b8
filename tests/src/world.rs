//! One helper that starts everything: the whole application in this process, on a clock that a test moves, spoken to as
//! clients do.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "helpers for tests fail the test")]

use crate::{
    actor::{Actor, Door},
    kurrent::Double,
    postgres::fresh_schema,
};
use async_trait::async_trait;
use circolo::{
    App,
    auth::{Auth, Claims, ISSUER},
    config::Http,
    keys::Keys,
    running::{Running, Start},
    server,
};
use circolo_domain::{Span, Timestamp, testing::NOON};
use circolo_events::{
    EventStore, Memory, People, Position, Postgres, Sqlite,
    consumers::{CheckpointStore, Consumer, ConsumerError, Failure, MemoryCheckpoints, Paused},
    media::Files,
    postgres,
    sealing::{KeyStore, Keyring, Random, SealedLog, Source, keyring, store},
    sqlite,
};
use circolo_projections::Db;
use clap::Parser;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

/// Where log and read models of a world are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The log in memory, the read models in SQLite.
    Memory,
    /// Both in SQLite.
    Sqlite,
    /// Both in Postgres, in schemas of their own.
    Postgres,
    /// The log in a double of KurrentDB, the read models in SQLite.
    #[cfg(feature = "kurrentdb")]
    Kurrent,
}

/// Makes one test per story and backend. A story is an async function that takes a [`World`].
#[macro_export]
macro_rules! stories {
    ($($story:ident),* $(,)?) => {$(
        mod $story {
            use $crate::world::{Backend, World};
            #[tokio::test]
            async fn on_memory() {
                if let Some(world) = World::start(Backend::Memory).await {
                    super::$story(world).await;
                }
            }
            #[tokio::test]
            async fn on_sqlite() {
                if let Some(world) = World::start(Backend::Sqlite).await {
                    super::$story(world).await;
                }
            }
            #[tokio::test]
            async fn on_postgres() {
                if let Some(world) = World::start(Backend::Postgres).await {
                    super::$story(world).await;
                }
            }
        }
    )*};
}

/// The application and all who use it.
pub struct World {
    running: Running,
    door: Arc<Door>,
    store: Arc<dyn EventStore>,
    db: Db,
    clock: TestClock,
    consumers: Arc<Watched>,
    kept: Kept,
}

/// What lives as long as a world: its folder and, perhaps, its server.
type Kept = (TempDir, Option<Double>);

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    /// Moves it on by `span`.
    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.as_micros(), Ordering::SeqCst);
    }
}

/// Settings as they are when nothing is said.
#[derive(Debug, Parser)]
struct Defaults {
    #[command(flatten)]
    http: Http,
}

/// The settings of a world that nothing is said about: the server's own, without a rate limit.
pub fn settings() -> Http {
    Http { rate_limit: 0, ..Defaults::parse_from(["world"]).http }
}

impl World {
    /// A world at noon; `None` if the backend is not installed.
    pub async fn start(backend: Backend) -> Option<Self> {
        Self::with(backend, settings()).await
    }

    /// A world with these settings.
    pub async fn with(backend: Backend, http: Http) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let log_id = Uuid::from_u128(1);
        let (store, db): (Arc<dyn EventStore>, Db) = match backend {
            Backend::Memory => (Arc::new(Memory::new(log_id)), sqlite_views(&dir).await),
            Backend::Sqlite => {
                let log = Sqlite::open(&dir.path().join("log.sqlite"), &sqlite::Options::default(), log_id).unwrap();
                (Arc::new(log), sqlite_views(&dir).await)
            }
            Backend::Postgres => {
                let (log, views) = (fresh_schema().await?, fresh_schema().await?);
                let options = postgres::Options { connections: 3, ..postgres::Options::default() };
                (Arc::new(Postgres::connect(&log, &options, log_id).await.unwrap()), Db::postgres(&views).await.unwrap())
            }
            #[cfg(feature = "kurrentdb")]
            Backend::Kurrent => return Some(Self::on_kurrent(http, dir, log_id).await),
        };
        Some(Self::of(store, db, http, (dir, None)).await)
    }

    /// A world on this log, with read models in SQLite.
    pub async fn on(store: Arc<dyn EventStore>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = sqlite_views(&dir).await;
        Self::of(store, db, settings(), (dir, None)).await
    }

    /// A world on this log, with these read models.
    pub async fn over(store: Arc<dyn EventStore>, db: Db) -> Self {
        Self::of(store, db, settings(), (tempfile::tempdir().unwrap(), None)).await
    }

    #[cfg(feature = "kurrentdb")]
    async fn on_kurrent(http: Http, dir: TempDir, log_id: Uuid) -> Self {
        let double = Double::start().await;
        let options = circolo_events::kurrentdb::Options::default();
        let store = circolo_events::KurrentDb::connect(&double.url(), &options, log_id).await.unwrap();
        let db = sqlite_views(&dir).await;
        Self::of(Arc::new(store), db, http, (dir, Some(double))).await
    }

    async fn of(store: Arc<dyn EventStore>, db: Db, http: Http, kept: Kept) -> Self {
        let clock = TestClock(Arc::new(AtomicI64::new(NOON.micros())));
        let time = clock.clone();
        let time: circolo::clock::Clock = Arc::new(move || time.now());
        let store = if store.sealing().is_some() { store } else { sealed_at(store, kept.0.path(), time.clone()).await };
        // A second world on a log makes ids of its own.
        let count = AtomicU64::new(store.head().await.unwrap().0.unsigned_abs() << 20);
        let ids: circolo::clock::Ids =
            Arc::new(move || Uuid::new_v5(&Uuid::NAMESPACE_OID, &count.fetch_add(1, Ordering::Relaxed).to_be_bytes()));
        let people = People::begin(&*store, &Random::of(|bytes| bytes.fill(7)), ids(), clock.now()).await.unwrap();
        let salt = salt_of(&*store).await;
        let consumers = Arc::new(Watched::default());
        let running = Start {
            store: store.clone(),
            db: db.clone(),
            checkpoints: consumers.clone(),
            files: Arc::new(Files::in_folder(&kept.0.path().join("media")).unwrap()),
            node: None,
            shared_log: false,
            auth: Auth::new(Keys::from_seed(&[7; 32]).unwrap(), None, people, time.clone()),
            http,
            clock: time,
            ids,
            wakes: false,
        };
        let running = running.run().await.unwrap();
        let door = Arc::new(Door { router: server::router(running.app()), faults: Mutex::default(), salt });
        Self { running, door, store, db, clock, consumers, kept }
    }

    /// Where the events stand that consumers have put aside.
    pub async fn aside(&self) -> Vec<Position> {
        let mut all = vec![];
        for consumer in self.app().consumers().all() {
            all.extend(self.consumers.aside(consumer.name().as_str()).await.unwrap());
        }
        all
    }

    /// Waits until consumers that are not paused and read models have seen everything and what is due was woken, also what that led to.
    pub async fn settled(&self) {
        loop {
            let head = self.store.head().await.unwrap();
            self.consumers.have_seen(head, &self.app().consumers().all()).await;
            if self.store.head().await.unwrap() == head {
                self.app().projector().wait_for(head, Duration::from_secs(20)).await.unwrap();
                if self.woken().await == head {
                    return;
                }
            }
        }
    }

    /// Wakes what is due now, and waits until what that led to is folded; where the log ends then.
    pub async fn woken(&self) -> Position {
        self.running.waker().round(true).await.unwrap();
        self.store.head().await.unwrap()
    }

    /// The clock.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// The log.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// The read models.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The folder in which its files are.
    pub fn folder(&self) -> &Path {
        self.kept.0.path()
    }

    /// The application.
    pub fn app(&self) -> &App {
        self.running.app()
    }

    /// A registered person with a token of their own.
    pub async fn person(&self, name: &str) -> Actor {
        let actor = self.stranger(name);
        actor.post("/v1/people", json!({ "display_name": name })).await.expect(201);
        actor
    }

    /// Somebody with a token who has not registered.
    pub fn stranger(&self, name: &str) -> Actor {
        self.signed_in(name, "")
    }

    /// Somebody with a token that grants `scopes`, separated by spaces.
    pub fn signed_in(&self, name: &str, scopes: &str) -> Actor {
        // It holds for a century, wherever the test moves the clock.
        let exp = self.clock.now().micros() / 1_000_000 + 3_200_000_000;
        let claims = Claims { sub: name.to_owned(), exp, scope: scopes.to_owned(), ..Claims::default() };
        let token = self.app().auth().keys().sign(&claims).unwrap();
        let actor = Actor::new(self.door.clone(), Some(self.app().auth().person(ISSUER, name).0));
        actor.with("authorization", &format!("Bearer {token}"))
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> Actor {
        Actor::new(self.door.clone(), None)
    }
}

/// The salt as the log holds it: no answer to anybody may have it in it.
async fn salt_of(store: &dyn EventStore) -> Option<String> {
    let drawn = store.read(&circolo_domain::salt::stream(), 0, 1).await.unwrap().pop()?;
    let data: serde_json::Value = serde_json::from_str(&drawn.event.data).unwrap();
    Some(data["salt"].as_str().unwrap().to_owned())
}

/// A log behind keys that are in memory, with the installation key in `folder`.
pub async fn sealed(log: Arc<dyn EventStore>, folder: &Path) -> Arc<dyn EventStore> {
    sealed_at(log, folder, circolo::clock::system()).await
}

async fn sealed_at(log: Arc<dyn EventStore>, folder: &Path, clock: circolo::clock::Clock) -> Arc<dyn EventStore> {
    let keys: Arc<dyn KeyStore> = Arc::new(store::Sqlite::in_memory().unwrap());
    Arc::new(SealedLog::new(log, Arc::new(keyring(keys, folder, clock).await), Random::system()))
}

/// The keys in `store` under the installation key in `folder`.
pub async fn keyring(store: Arc<dyn KeyStore>, folder: &Path, clock: circolo::clock::Clock) -> Keyring {
    Keyring::open(store, Source::in_folder(folder), clock, Random::system(), &keyring::Options::default()).await.unwrap()
}

async fn sqlite_views(dir: &TempDir) -> Db {
    Db::sqlite(dir.path().join("views.sqlite")).await.unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        let faults = std::mem::take(&mut *self.door.faults.lock().unwrap());
        if !std::thread::panicking() {
            assert_eq!(self.app().projector().failure(), None, "the read models stopped");
            assert!(faults.is_empty(), "the server failed: {faults:#?}");
        }
    }
}

/// Checkpoints of consumers that a test can wait for.
#[derive(Default)]
struct Watched {
    seen: watch::Sender<BTreeMap<String, Position>>,
    rest: MemoryCheckpoints,
}

impl Watched {
    async fn have_seen(&self, head: Position, consumers: &[Arc<dyn Consumer>]) {
        let paused = self.rest.paused().await.unwrap();
        let names: Vec<_> = consumers.iter().map(|consumer| consumer.name().as_str()).filter(|name| !paused.contains_key(*name)).collect();
        let all = |seen: &BTreeMap<String, Position>| names.iter().all(|name| seen.get(*name).copied().unwrap_or_default() >= head);
        tokio::time::timeout(Duration::from_secs(20), self.seen.subscribe().wait_for(all)).await.unwrap().unwrap();
    }
}

#[async_trait]
impl CheckpointStore for Watched {
    async fn load(&self, name: &str) -> Result<Option<Position>, ConsumerError> {
        Ok(self.seen.borrow().get(name).copied())
    }

    async fn save(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        self.seen.send_modify(|seen| {
            seen.insert(name.to_owned(), position);
        });
        Ok(())
    }

    async fn failure(&self, name: &str) -> Result<Option<Failure>, ConsumerError> {
        self.rest.failure(name).await
    }

    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ConsumerError> {
        self.rest.note(name, failure).await
    }

    async fn aside(&self, name: &str) -> Result<Vec<Position>, ConsumerError> {
        self.rest.aside(name).await
    }

    async fn put_aside(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        self.rest.put_aside(name, position).await
    }

    async fn take_up(&self, name: &str, position: Position) -> Result<(), ConsumerError> {
        self.rest.take_up(name, position).await
    }

    async fn paused(&self) -> Result<Paused, ConsumerError> {
        self.rest.paused().await
    }

    async fn pause(&self, name: &str, at: Timestamp) -> Result<(), ConsumerError> {
        self.rest.pause(name, at).await
    }

    async fn resume(&self, name: &str) -> Result<(), ConsumerError> {
        self.rest.resume(name).await
    }
}
