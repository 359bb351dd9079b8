//! What the tests of the projection engine share: row types that are easy to get wrong, histories, databases.

use circolo_domain::{
    AnswerId, Event, GroupId, PersonId, StreamName, Timestamp, membership, question,
    testing::{NOON, personal},
};
use circolo_events::{Append, EventStore, Expected, Memory, Metadata, NewEvent, Position, Recorded, Stored, store::event_id};
use circolo_projections::{Db, EngineError, Fold, Keys, OnPoison, Options, Projection, Projector, Row, Verification, projection, row};
use circolo_tests::postgres::fresh_schema;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Long enough for anything on a slow machine; nothing waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_mins(1);

row! {
    /// One row per question; closing it deletes the row, and what happens to a row that is not there shows.
    pub struct Thread in "threads_v1" {
        pub id: String,
        pub title: Option<String>,
        pub audience: String,
        pub answers: i64,
        pub share: f64,
        pub open: bool,
        pub at: Timestamp,
        pub position: i64,
    }
    index "by_position" (position, id);
    search (title) for audience;
}

impl Fold for Thread {
    fn keys(event: &Recorded) -> Keys {
        Keys::one(event.stream.key())
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        use question::Event::{AcceptanceWithdrawn, Answered, Closed, Posted, Reopened};
        let Event::Question(happened) = &event.event else { return row };
        let fresh = |title: Option<String>, answers| Self {
            id: key.to_owned(),
            title,
            audience: "open".to_owned(),
            answers,
            share: 0.0,
            open: true,
            at: event.recorded_at,
            position: event.position.0,
        };
        match (row, happened) {
            (None, Posted { title, .. }) => Some(fresh(title.get().cloned(), 0)),
            (None, Reopened) => Some(fresh(None, 100)),
            (None, AcceptanceWithdrawn { .. }) => Some(fresh(None, -1)),
            (Some(_), Closed) => None,
            (Some(row), Answered { .. }) => Some(Self { answers: row.answers + 1, share: 1.0 / (row.share + 3.0), ..row }),
            // Every second one deletes: what was deleted must not be taken for what never was.
            (Some(row), AcceptanceWithdrawn { .. }) => row.open.then_some(Self { open: false, audience: "shut".to_owned(), ..row }),
            (row, _) => row,
        }
    }
}

row! {
    /// One row per author.
    pub struct Author in "authors_v1" { pub id: String, pub questions: i64, pub answers: i64, pub last: String }
}

impl Fold for Author {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Question(question::Event::Posted { author, .. } | question::Event::Answered { author, .. }) => Keys::one(author),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let row = row.unwrap_or_else(|| Self { id: key.to_owned(), questions: 0, answers: 0, last: String::new() });
        let last = event.id.to_string();
        match &event.event {
            Event::Question(question::Event::Posted { .. }) => Some(Self { questions: row.questions + 1, last, ..row }),
            _ => Some(Self { answers: row.answers + 1, last, ..row }),
        }
    }
}

row! {
    /// One row per answer that is accepted; an acceptance touches two.
    pub struct Accepted in "accepted_v1" { pub id: String, pub times: i64 }
}

impl Fold for Accepted {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Question(question::Event::AnswerAccepted { answer, previous }) => {
                std::iter::once(answer).chain(previous).map(ToString::to_string).collect::<Vec<_>>().into()
            }
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match &event.event {
            Event::Question(question::Event::AnswerAccepted { answer, .. }) if answer.to_string() == key => {
                Some(Self { id: key.to_owned(), times: row.map_or(0, |row| row.times) + 1 })
            }
            _ => row.and_then(|row| (row.times > 1).then(|| Self { times: row.times - 1, ..row })),
        }
    }
}

row! {
    /// One row in all: how many questions and memberships there are.
    pub struct Total in "totals_v1" { pub id: String, pub posted: i64, pub joined: i64 }
}

impl Fold for Total {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Question(question::Event::Posted { .. }) | Event::Membership(membership::Event::Joined { .. }) => "all".into(),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let row = row.unwrap_or_else(|| Self { id: key.to_owned(), posted: 0, joined: 0 });
        match &event.event {
            Event::Question(_) => Some(Self { posted: row.posted + 1, ..row }),
            _ => Some(Self { joined: row.joined + 1, ..row }),
        }
    }
}

row! {
    /// One row per group, from events that the others do not read.
    pub struct Joined in "joined_v1" { pub id: String, pub members: i64 }
}

impl Fold for Joined {
    fn keys(event: &Recorded) -> Keys {
        Keys::one(event.stream.key().split('.').next().unwrap_or_default())
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let members = row.map_or(0, |row| row.members);
        match &event.event {
            Event::Membership(membership::Event::Left { .. }) => (members > 1).then(|| Self { id: key.to_owned(), members: members - 1 }),
            _ => Some(Self { id: key.to_owned(), members: members + 1 }),
        }
    }
}

/// Three projections that share a log: one of several tables, one over two categories, one apart.
pub fn projections() -> Vec<Projection> {
    vec![
        projection("joined", 1).reads(&["membership"]).row::<Joined>(),
        projection("threads", 1).reads(&["question"]).on_poison(OnPoison::Stop).row::<Thread>().row::<Author>().row::<Accepted>(),
        projection("totals", 1).reads(&["question", "membership"]).on_poison(OnPoison::Park).row::<Total>(),
    ]
}

/// A person, told apart by a number.
pub fn person(n: u8) -> PersonId {
    PersonId(Uuid::from_u128(0xA000 + u128::from(n)))
}

fn answer(n: u8) -> AnswerId {
    AnswerId(Uuid::from_u128(0xB000 + u128::from(n)))
}

/// An event, told by three numbers, and its stream.
pub fn event(kind: u8, stream: u8, who: u8) -> (StreamName, Event) {
    use question::Event::{AcceptanceWithdrawn, AnswerAccepted, Answered, Closed, Posted, Reopened};
    let happened = match kind % 9 {
        0 | 1 => Posted { author: person(who), title: personal(&format!("Title {stream} of {who}")), body: personal("body") },
        2 | 3 => Answered { answer: answer(who), author: person(who), body: personal("answer") },
        4 => AnswerAccepted { answer: answer(who), previous: (who > 0).then(|| answer(who - 1)) },
        5 => AcceptanceWithdrawn { answer: answer(who) },
        6 => Closed,
        7 => Reopened,
        _ => {
            let name = StreamName::new("membership", format!("{}.{}", GroupId(Uuid::from_u128(u128::from(stream))), person(who)));
            let left = membership::Event::Left { episode: 1 };
            let joined = membership::Event::Joined { episode: 1, era: 1, way: membership::Way::Founding, admitted_by: None };
            return (name, if who.is_multiple_of(2) { joined } else { left }.into());
        }
    };
    (StreamName::new("question", Uuid::from_u128(u128::from(stream))), happened.into())
}

/// Writes events as they come, with a clock that moves a second per event.
#[derive(Default)]
pub struct Writer {
    revisions: BTreeMap<StreamName, u64>,
    count: AtomicI64,
}

impl Writer {
    /// Appends events, in order, and says where the last stands.
    pub async fn write(&mut self, store: &dyn EventStore, events: impl IntoIterator<Item = (StreamName, Event)>) -> Position {
        let encoded = events.into_iter().map(|(stream, event)| (stream, event.encode()));
        self.append(store, encoded.map(|(stream, event)| (stream, event.event_type, event.data)).collect()).await
    }

    /// Appends an event of any type.
    pub async fn append(&mut self, store: &dyn EventStore, events: Vec<(StreamName, String, String)>) -> Position {
        let appends = events.into_iter().map(|(stream, event_type, data)| {
            let next = self.revisions.entry(stream.clone()).or_default();
            let expected = Expected::of(next.checked_sub(1));
            *next += 1;
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            Append { expected, events: vec![new_event(number, event_type, data)], stream }
        });
        let outcomes = store.append_many(appends.collect()).await;
        outcomes.into_iter().map(|outcome| outcome.unwrap().position).max().unwrap_or_default()
    }
}

fn new_event(number: i64, event_type: String, data: String) -> NewEvent {
    let command_id = Uuid::from_u128(0xC000_0000 + u128::try_from(number).unwrap());
    let metadata = Metadata {
        actor: None,
        command: "Test".to_owned(),
        command_id,
        fingerprint: None,
        correlation: command_id,
        causation: None,
        scope: None,
        concerns: vec![],
    };
    NewEvent {
        id: event_id(command_id, 0),
        event_type,
        data,
        metadata: serde_json::to_string(&metadata).unwrap(),
        recorded_at: Timestamp::from_micros(NOON.micros() + number * 1_000_000),
        texts: vec![],
    }
}

/// All events of a log.
pub async fn recorded(store: &dyn EventStore) -> Vec<Recorded> {
    let page = store.read_all(Position::START, 1_000_000).await.unwrap();
    page.events.iter().map(|stored: &Stored| stored.decode().unwrap()).collect()
}

/// The rows of `R` after `events`, folded without any engine; `reads` as declared.
pub fn folded<R: Fold + Clone>(events: &[Recorded], reads: &[&str]) -> Vec<R> {
    let mut rows: BTreeMap<String, R> = BTreeMap::new();
    for event in events.iter().filter(|event| reads.contains(&event.stream.category())) {
        for key in R::keys(event).as_slice() {
            let row = rows.remove(key);
            if let Some(row) = R::fold(row, key, event) {
                rows.insert(key.clone(), row);
            }
        }
    }
    rows.into_values().collect()
}

/// The rows of `R` in the database.
pub async fn rows<R: Row>(db: &Db) -> Vec<R> {
    let sql = format!("SELECT {} FROM {} ORDER BY {}", R::COLUMNS, R::TABLE.name, R::TABLE.key());
    db.query(sql, vec![]).await.unwrap()
}

async fn assert_rows<R: Fold + Clone + PartialEq + Debug>(db: &Db, events: &[Recorded], reads: &[&str], what: &str) {
    assert_eq!(rows::<R>(db).await, folded::<R>(events, reads), "{what}: {}", R::TABLE.name);
}

/// Compares every table with a plain fold over the whole log.
pub async fn assert_folded(db: &Db, store: &dyn EventStore, what: &str) {
    let events = recorded(store).await;
    assert_rows::<Thread>(db, &events, &["question"], what).await;
    assert_rows::<Author>(db, &events, &["question"], what).await;
    assert_rows::<Accepted>(db, &events, &["question"], what).await;
    assert_rows::<Total>(db, &events, &["question", "membership"], what).await;
    assert_rows::<Joined>(db, &events, &["membership"], what).await;
}

/// A database for read models that is gone after the test.
pub enum Views {
    /// A file.
    Sqlite(TempDir),
    /// A schema.
    Postgres(String),
}

impl Views {
    /// A fresh one; `None` where it is not installed.
    pub async fn new(backend: &str) -> Option<Self> {
        match backend {
            "sqlite" => Some(Self::Sqlite(TempDir::new().unwrap())),
            _ => fresh_schema().await.map(Self::Postgres),
        }
    }

    /// Opens it.
    pub async fn open(&self) -> Db {
        match self {
            Self::Sqlite(dir) => Db::sqlite(dir.path().join("views.sqlite")).await.unwrap(),
            Self::Postgres(url) => Db::postgres(url).await.unwrap(),
        }
    }

    /// Changes it behind the engine's back.
    pub async fn tamper(&self, sql: &str) {
        match self {
            Self::Sqlite(dir) => {
                let connection = rusqlite::Connection::open(dir.path().join("views.sqlite")).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Self::Postgres(url) => {
                let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            }
        }
    }
}

/// Options for tests: the clock stands still.
pub fn options() -> Options {
    Options::new(Arc::new(|| NOON))
}

/// A log and read models that follow it.
pub struct Bench {
    pub views: Views,
    pub store: Arc<Memory>,
    pub writer: Writer,
}

impl Bench {
    pub async fn new(backend: &str) -> Option<Self> {
        let views = Views::new(backend).await?;
        Some(Self { views, store: Arc::new(Memory::new(Uuid::from_u128(0x106))), writer: Writer::default() })
    }

    /// Appends events told by numbers.
    pub async fn write(&mut self, events: &[(u8, u8, u8)]) -> Position {
        self.writer.write(&*self.store, events.iter().map(|(kind, stream, who)| event(*kind, *stream, *who))).await
    }

    /// Starts to feed the read models.
    pub async fn start(&self, options: Options) -> (Db, Projector) {
        let db = self.views.open().await;
        let projector = self.start_on(&db, options).await.unwrap();
        (db, projector)
    }

    /// Starts to feed the read models, unless that fails.
    pub async fn start_on(&self, db: &Db, options: Options) -> Result<Projector, EngineError> {
        let store: Arc<dyn EventStore> = self.store.clone();
        Projector::start(db.clone(), store, projections(), options).await
    }

    /// Waits until the read models have everything.
    pub async fn caught_up(&self, projector: &Projector) {
        let head = self.store.head().await.unwrap();
        projector.wait_for(head, PATIENCE).await.unwrap_or_else(|behind| panic!("{behind}: {:?}", projector.failure()));
    }
}

/// Nothing differs.
#[track_caller]
pub fn assert_clean(verification: &Verification) {
    assert_eq!((verification.different, verification.differences.len()), (0, 0), "{:?}", verification.differences);
}

/// A history of some length, with all kinds of events.
pub fn history(length: usize) -> Vec<(u8, u8, u8)> {
    let mut seed = 7_u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(seed >> 56).unwrap()
    };
    (0..length).map(|_| (next(), next() % 40, next() % 12)).collect()
}

/// Makes one test per case and database.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(bench) = crate::engine::Bench::new("sqlite").await {
                    Box::pin(super::$case(bench)).await;
                }
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(bench) = crate::engine::Bench::new("postgres").await {
                    Box::pin(super::$case(bench)).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;
