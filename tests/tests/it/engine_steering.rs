//! What operators ask of builds on their way: to pause, to keep to limits, to share a read, to be dropped.

use crate::engine::{Bench, PATIENCE, assert_folded, history, on_both, options, projections};
use async_trait::async_trait;
use circolo_domain::StreamName;
use circolo_events::{Append, Appended, EventStore, LogId, Memory, Page, Position, Revision, StoreError, Stored};
use circolo_projections::{Disposable, EngineError, Limits, Options, Projection, Projector, State, Switch, projection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

on_both! {
    a_paused_build_stays_where_it_is_over_a_restart,
    one_of_several_pauses_and_the_others_go_on,
    a_paused_build_can_be_cancelled,
    limits_are_kept_and_shown,
    builds_begun_together_share_one_read_of_the_log,
    old_builds_are_dropped_and_live_ones_never,
    tables_of_old_versions_can_be_dropped,
}

/// A log that counts what is read of it, and may let readers wait.
struct Counting {
    log: Arc<Memory>,
    /// Events that were read.
    read: AtomicUsize,
}

#[async_trait]
impl EventStore for Counting {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.log.append(append).await
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        self.log.append_many(appends).await
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.log.read(stream, from, limit).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.log.read_prefix(prefix, after, until, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        let page = self.log.read_all(after, limit).await?;
        self.read.fetch_add(page.events.len(), Ordering::Relaxed);
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        self.log.find(stream, command_id).await
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.log.changed(after, wait).await
    }
}

/// So slow that a build is surely under way while a test looks at it.
const SLOW: Limits = Limits { rate: Some(8), memory: None };

async fn state(projector: &Projector, name: &str, build: i64) -> Option<(State, Position)> {
    let all = projector.status().await.unwrap();
    all.into_iter().find(|status| status.name == name && status.build == build).map(|status| (status.state, status.position))
}

/// Waits until a build has moved.
async fn has_moved(projector: &Projector, name: &str, build: i64) {
    let moved = async {
        while state(projector, name, build).await.is_none_or(|(_, position)| position == Position::START) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.unwrap();
}

async fn a_paused_build_stays_where_it_is_over_a_restart(mut bench: Bench) {
    bench.write(&history(300)).await;
    let (_, projector) = bench.start(options()).await;
    projector.settled().await;
    assert!(matches!(projector.pause("threads").await, Err(EngineError::Nothing { .. })), "nothing is under way");
    projector.rebuild_within(&["threads"], Switch::Auto, SLOW).await.unwrap();
    has_moved(&projector, "threads", 2).await;
    projector.pause("threads").await.unwrap();
    projector.settled().await;
    let (paused, position) = state(&projector, "threads", 2).await.unwrap();
    assert_eq!(paused, State::Paused);
    assert!(position > Position::START && position < bench.store.head().await.unwrap(), "{position}");
    assert!(matches!(projector.pause("threads").await, Err(EngineError::Nothing { .. })), "it is paused already");
    assert!(matches!(projector.rebuild(&["threads"], Switch::Auto).await, Err(EngineError::Underway(_))));
    projector.shutdown().await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    bench.write(&history(20)).await;
    bench.caught_up(&projector).await;
    assert_eq!(state(&projector, "threads", 2).await, Some((State::Paused, position)));
    // The rate holds for ever; without it the rest is quick.
    bench.views.tamper("UPDATE projection_controls SET rate = NULL").await;
    projector.resume("threads").await.unwrap();
    assert!(matches!(projector.resume("threads").await, Err(EngineError::Nothing { .. })), "it goes on already");
    projector.settled().await;
    assert_eq!(state(&projector, "threads", 2).await.unwrap().0, State::Live);
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "resumed").await;
}

async fn one_of_several_pauses_and_the_others_go_on(mut bench: Bench) {
    bench.write(&history(60)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.rebuild_within(&[], Switch::Auto, Limits { rate: Some(40), memory: None }).await.unwrap();
    has_moved(&projector, "threads", 2).await;
    projector.pause("threads").await.unwrap();
    projector.resume("threads").await.unwrap();
    projector.pause("threads").await.unwrap();
    projector.settled().await;
    assert_eq!(state(&projector, "threads", 2).await.unwrap().0, State::Paused);
    assert_eq!(state(&projector, "totals", 2).await.unwrap().0, State::Live);
    assert_eq!(state(&projector, "joined", 2).await.unwrap().0, State::Live);
    projector.resume("threads").await.unwrap();
    projector.settled().await;
    assert_eq!(state(&projector, "threads", 2).await.unwrap().0, State::Live);
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "one was paused").await;
}

async fn a_paused_build_can_be_cancelled(mut bench: Bench) {
    bench.write(&history(200)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.rebuild_within(&[], Switch::Auto, SLOW).await.unwrap();
    projector.pause("threads").await.unwrap();
    // Others are still under way: nobody has to wait for them.
    projector.cancel("threads").await.unwrap();
    assert_eq!(state(&projector, "threads", 2).await, None);
    assert_eq!(state(&projector, "totals", 2).await.unwrap().0, State::Building);
    projector.cancel("totals").await.unwrap();
    projector.cancel("joined").await.unwrap();
    projector.settled().await;
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    assert_eq!(state(&projector, "threads", 2).await.unwrap().0, State::Live);
    assert_folded(&db, &*bench.store, "after all").await;
}

async fn limits_are_kept_and_shown(mut bench: Bench) {
    bench.write(&history(100)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    let limits = Limits { rate: Some(200), memory: Some(4_000) };
    let start = tokio::time::Instant::now();
    projector.rebuild_within(&["threads"], Switch::Auto, limits).await.unwrap();
    let shown = projector.status().await.unwrap().into_iter().find(|status| status.name == "threads" && status.build == 2).unwrap();
    assert_eq!(shown.limits, limits);
    projector.settled().await;
    // 100 events at 200 a second, never faster.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    assert_folded(&db, &*bench.store, "limited").await;
}

async fn builds_begun_together_share_one_read_of_the_log(mut bench: Bench) {
    bench.write(&history(500)).await;
    let log = Arc::new(Counting { log: bench.store.clone(), read: AtomicUsize::new(0) });
    let store: Arc<dyn EventStore> = log.clone();
    let db = bench.views.open().await;
    let projector = Projector::start(db.clone(), store, projections(), Options { build_page: 50, ..options() }).await.unwrap();
    projector.settled().await;
    bench.caught_up(&projector).await;
    let mut reads = Vec::new();
    for names in [&["threads"][..], &[]] {
        let before = log.read.load(Ordering::Relaxed);
        projector.rebuild(names, Switch::Manual).await.unwrap();
        projector.settled().await;
        reads.push(log.read.load(Ordering::Relaxed) - before);
        for name in ["joined", "threads", "totals"] {
            let _ = projector.cancel(name).await;
        }
    }
    assert_eq!(reads, [500, 500], "three builds read as much as one");
    assert_folded(&db, &*bench.store, "counted").await;
}

async fn old_builds_are_dropped_and_live_ones_never(mut bench: Bench) {
    bench.write(&history(200)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    let drop = async |which| projector.drop_builds("threads", which).await;
    assert!(matches!(drop(Disposable::Old).await, Err(EngineError::Nothing { .. })));
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    projector.rebuild(&["threads"], Switch::Manual).await.unwrap();
    projector.settled().await;
    for needed in [2, 3] {
        assert!(matches!(drop(Disposable::Build(needed)).await, Err(EngineError::InUse { .. })), "build {needed}");
    }
    assert!(matches!(drop(Disposable::Build(9)).await, Err(EngineError::Nothing { .. })));
    assert_eq!(drop(Disposable::Old).await.unwrap()[0].build, 1);
    projector.cancel("threads").await.unwrap();
    assert!(matches!(projector.rollback("threads").await, Err(EngineError::Nothing { .. })), "there is nothing to go back to");
    assert!(db.query::<i64>("SELECT answers FROM threads_v1__g1", vec![]).await.is_err(), "its tables are gone");
    assert_folded(&db, &*bench.store, "dropped").await;
}

async fn tables_of_old_versions_can_be_dropped(mut bench: Bench) {
    bench.write(&history(100)).await;
    let (db, old) = bench.start(options()).await;
    old.settled().await;
    old.shutdown().await;
    let store: Arc<dyn EventStore> = bench.store.clone();
    let next: Vec<Projection> = vec![projection("threads", 2).reads(&["membership"]).row::<next::Joined>()];
    let projector = Projector::start(db.clone(), store, next, options()).await.unwrap();
    projector.settled().await;
    let dropped = projector.drop_builds("threads", Disposable::OldVersions).await.unwrap();
    assert_eq!(dropped.len(), 1);
    for sql in ["SELECT answers FROM threads_v1", "SELECT answers FROM threads_v1__g1", "SELECT answers FROM authors_v1"] {
        assert!(db.query::<i64>(sql, vec![]).await.is_err(), "{sql}");
    }
    assert!(!db.query::<i64>("SELECT members FROM threads_v2", vec![]).await.unwrap().is_empty());
    assert!(matches!(projector.drop_builds("threads", Disposable::OldVersions).await, Err(EngineError::Nothing { .. })));
    // What other projections have is theirs.
    assert!(!db.query::<i64>("SELECT members FROM joined_v1", vec![]).await.unwrap().is_empty());
}

/// A later version of a program.
mod next {
    use circolo_events::Recorded;
    use circolo_projections::{Fold, Keys, row};

    row! {
        /// One row in all.
        pub struct Joined in "threads_v2" { pub id: String, pub members: i64 }
    }

    impl Fold for Joined {
        fn keys(_: &Recorded) -> Keys {
            "all".into()
        }

        fn fold(row: Option<Self>, key: &str, _: &Recorded) -> Option<Self> {
            Some(Self { id: key.to_owned(), members: row.map_or(0, |row| row.members) + 1 })
        }
    }
}
