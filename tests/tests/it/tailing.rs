//! A reader that follows the log while others write misses nothing; and a log that gets it wrong is caught.

use crate::backend::{Backend, append};
use async_trait::async_trait;
use circolo_domain::StreamName;
use circolo_events::{Append, Appended, EventStore, Expected, LogId, Page, Position, Postgres, Revision, StoreError, Stored};
use futures::future::join_all;
use sqlx::{Connection, Executor, PgConnection, PgPool, postgres::PgPoolOptions};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

const WRITERS: u64 = 24;
const ROUNDS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_misses_nothing_in_memory() {
    let store = Backend::new("memory").await.unwrap().open().await;
    assert_eq!(missed(&[Arc::clone(&store)], store, 0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_misses_nothing_on_sqlite() {
    let backend = Backend::new("sqlite").await.unwrap();
    let store = backend.open().await;
    assert_eq!(missed(&[Arc::clone(&store)], Arc::clone(&store), 0).await, 0);
    // Another process, such as a build of read models, follows through a reader of its own.
    assert_eq!(missed(&[store], backend.open_to_read().await, 1).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_misses_nothing_on_postgres() {
    let Some(backend) = Backend::new("postgres").await else { return };
    let (one, other) = (backend.open().await, backend.open().await);
    delay_commits(&backend).await;
    assert_eq!(missed(&[one, other], backend.open_to_read().await, 0).await, 0);
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_misses_nothing_on_kurrentdb() {
    let backend = Backend::new("kurrentdb").await.unwrap();
    let (one, other) = (backend.open().await, backend.open().await);
    assert_eq!(missed(&[one, other], backend.open_to_read().await, 0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_from_a_sequence_are_caught_losing_events() {
    let Some(backend) = Backend::new("postgres").await else { return };
    let reader = backend.open_to_read().await;
    delay_commits(&backend).await;
    let naive: Arc<dyn EventStore> = Arc::new(Naive::connect(&backend).await);
    for round in 0..20 {
        if missed(&[Arc::clone(&naive)], Arc::clone(&reader), round).await > 0 {
            return;
        }
    }
    panic!("a log whose positions are not in the order of commits was not caught");
}

/// How many events a reader of `reader` does not see although `writers` were told that they are in the log.
async fn missed(writers: &[Arc<dyn EventStore>], reader: Arc<dyn EventStore>, run: u64) -> usize {
    let start = reader.head().await.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let tail = tokio::spawn(follow(reader, start, Arc::clone(&ended)));
    let writing = (0..WRITERS).zip(writers.iter().cycle()).map(|(number, store)| tokio::spawn(write(Arc::clone(store), run, number)));
    let written: HashSet<Uuid> = join_all(writing).await.into_iter().flat_map(Result::unwrap).collect();
    ended.store(true, Ordering::SeqCst);
    let seen = tail.await.unwrap();
    assert!(seen.is_sorted_by(|a, b| a.position < b.position));
    let seen: HashSet<Uuid> = seen.into_iter().map(|stored| stored.event.id).collect();
    assert!(seen.is_subset(&written), "what nobody wrote was read");
    written.difference(&seen).count()
}

/// Everything behind `after`, as a projection reads it: page by page, on from what was scanned.
async fn follow(store: Arc<dyn EventStore>, mut after: Position, ended: Arc<AtomicBool>) -> Vec<Stored> {
    const LIMIT: usize = 50;
    let mut seen = Vec::new();
    loop {
        let last_round = ended.load(Ordering::SeqCst);
        let page = store.read_all(after, LIMIT).await.unwrap();
        after = page.scanned;
        let full = page.events.len() == LIMIT;
        seen.extend(page.events);
        if !full && last_round {
            return seen;
        }
        if !full {
            store.changed(after, Duration::from_millis(20)).await.unwrap();
        }
    }
}

/// The ids of what a writer appended to its streams, with random pauses.
async fn write(store: Arc<dyn EventStore>, run: u64, writer: u64) -> Vec<Uuid> {
    let mut ids = Vec::new();
    let mut chance = run * WRITERS + writer;
    for round in 0..ROUNDS {
        // Part of the load, not waiting for anything.
        tokio::time::sleep(Duration::from_micros(random(&mut chance) % 3_000)).await;
        let command = (run * WRITERS + writer) * ROUNDS + round;
        let append = append(&format!("note-{run}-{writer}"), Expected::of(round.checked_sub(1)), command, 1);
        ids.extend(append.events.iter().map(|event| event.id));
        store.append(append).await.unwrap();
    }
    ids
}

/// The next number of the sequence that `state` began (`SplitMix64`).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Makes every commit take up to 2 ms longer for each event in it.
async fn delay_commits(backend: &Backend) {
    let Backend::Postgres(url) = backend else { panic!("not Postgres") };
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "CREATE FUNCTION delay() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN PERFORM pg_sleep(random() * 0.002); RETURN NULL; END $$;
               CREATE CONSTRAINT TRIGGER delay AFTER INSERT ON log_events DEFERRABLE INITIALLY DEFERRED
                   FOR EACH ROW EXECUTE FUNCTION delay();
               CREATE SEQUENCE naive_positions;";
    connection.execute(sql).await.unwrap();
}

/// The real adapter, except that it appends as one would at first: positions come from a sequence, and nothing is locked.
struct Naive {
    reads: Postgres,
    pool: PgPool,
}

impl Naive {
    async fn connect(backend: &Backend) -> Self {
        let Backend::Postgres(url) = backend else { panic!("not Postgres") };
        let reads = Postgres::connect(url, &circolo_events::postgres::Options::default(), Uuid::nil()).await.unwrap();
        Self { reads, pool: PgPoolOptions::new().max_connections(24).connect(url).await.unwrap() }
    }
}

#[async_trait]
impl EventStore for Naive {
    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let revision = append.expected.next();
        let event = append.events.into_iter().next().ok_or(StoreError::Invalid("there are no events"))?;
        let sql = "INSERT INTO log_events VALUES (nextval('naive_positions'), $1, $2, $3, $4, $5, $6, $7) RETURNING position";
        let query = sqlx::query_scalar(sql).bind(append.stream.as_str()).bind(i64::try_from(revision).unwrap()).bind(event.id);
        let query = query.bind(event.event_type).bind(event.data).bind(event.metadata).bind(event.recorded_at.micros());
        let position = query.fetch_one(&self.pool).await.map_err(|source| StoreError::Unknown(source.into()))?;
        Ok(Appended { revision, position: Position(position) })
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        join_all(appends.into_iter().map(|append| self.append(append))).await
    }

    fn log_id(&self) -> LogId {
        self.reads.log_id()
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reads.read(stream, from, limit).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.reads.read_prefix(prefix, after, until, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.reads.read_all(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.reads.head().await
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        self.reads.find(stream, command_id).await
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.reads.changed(after, wait).await
    }
}
