//! What operators do with projections: rebuild, switch, roll back, cancel, verify; and what stops them.

use crate::engine::{Bench, Thread, assert_clean, assert_folded, history, on_both, options, projections, rows};
use circolo_events::{EventStore, Memory, Position, consumers::CheckpointStore};
use circolo_projections::{
    Checkpoints, Db, DbError, Difference, EngineError, Mismatch, Options, Projector, Sampling, State, Status, Switch, Value,
    prepare as prepare_in, search::Words,
};
use std::sync::Arc;
use uuid::Uuid;

on_both! {
    live_rows_follow_the_log,
    missing_projections_are_built_first,
    a_rebuild_changes_nothing,
    a_manual_rebuild_waits_for_its_switch,
    a_rollback_catches_up_first,
    a_cancelled_build_leaves_nothing,
    verify_finds_what_was_changed_by_hand,
    an_unreadable_event_stops_or_parks_its_readers_only,
    a_checkpoint_that_the_log_does_not_hold_stops_the_start,
    a_prepared_version_is_there_at_the_start,
    as_of_a_position,
    search_finds_words,
    words_go_with_who_may_find_them,
    a_database_that_fails_is_tried_again,
    of_two_projectors_one_gives_way,
    reactions_find_their_checkpoint_again,
}

async fn states(projector: &Projector, name: &str) -> Vec<(i64, State)> {
    let all: Vec<Status> = projector.status().await.unwrap();
    all.into_iter().filter(|status| status.name == name).map(|status| (status.build, status.state)).collect()
}

async fn live_rows_follow_the_log(mut bench: Bench) {
    let (db, projector) = bench.start(Options { live_page: 7, ..options() }).await;
    for part in history(300).chunks(60) {
        bench.write(part).await;
        bench.caught_up(&projector).await;
        assert_folded(&db, &*bench.store, "live").await;
    }
    projector.shutdown().await;
    let (db, projector) = bench.start(options()).await;
    bench.write(&history(20)).await;
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "after a restart").await;
    let status = projector.status().await.unwrap();
    assert!(status.iter().all(|status| status.state == State::Live && status.lag_events == 0 && status.lag_seconds == 0.0));
}

async fn missing_projections_are_built_first(mut bench: Bench) {
    bench.write(&history(400)).await;
    let crash = Options { interrupt: Some(Arc::new(|| true)), ..options() };
    let (db, projector) = bench.start(crash).await;
    projector.settled().await;
    let error = db.query::<i64>("SELECT answers FROM threads_v1", vec![]).await.unwrap_err();
    assert!(matches!(error, DbError::Building(building) if building.projection == "threads"), "{error:?}");
    projector.shutdown().await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "built").await;
}

async fn a_rebuild_changes_nothing(mut bench: Bench) {
    bench.write(&history(400)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.rebuild(&[], Switch::Auto).await.unwrap();
    bench.write(&history(100)).await;
    projector.settled().await;
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "rebuilt").await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Old), (2, State::Live)]);
    // Of the old builds, only the last is kept.
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(2, State::Old), (3, State::Live)]);
    assert!(matches!(projector.rebuild(&["nobody"], Switch::Auto).await, Err(EngineError::Unknown(_))));
}

async fn a_manual_rebuild_waits_for_its_switch(mut bench: Bench) {
    bench.write(&history(300)).await;
    let (_, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.rebuild(&["threads"], Switch::Manual).await.unwrap();
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Live), (2, State::Ready)]);
    assert!(matches!(projector.rebuild(&["threads"], Switch::Auto).await, Err(EngineError::Underway(_))));
    projector.shutdown().await;
    // It still waits after a restart, and moves along.
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    bench.write(&history(50)).await;
    bench.caught_up(&projector).await;
    projector.switch("threads").await.unwrap();
    assert_eq!(states(&projector, "threads").await, [(1, State::Old), (2, State::Live)]);
    assert_folded(&db, &*bench.store, "switched").await;
    assert!(matches!(projector.switch("threads").await, Err(EngineError::Nothing { .. })));
}

async fn a_rollback_catches_up_first(mut bench: Bench) {
    bench.write(&history(300)).await;
    let (db, projector) = bench.start(Options { live_page: 11, ..options() }).await;
    projector.settled().await;
    assert!(matches!(projector.rollback("threads").await, Err(EngineError::Nothing { .. })));
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    bench.write(&history(200)).await;
    bench.caught_up(&projector).await;
    projector.rollback("threads").await.unwrap();
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Live), (2, State::Old)]);
    bench.write(&history(30)).await;
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "rolled back").await;
}

async fn a_cancelled_build_leaves_nothing(mut bench: Bench) {
    bench.write(&history(300)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.rebuild(&["threads"], Switch::Manual).await.unwrap();
    projector.settled().await;
    projector.cancel("threads").await.unwrap();
    assert_eq!(states(&projector, "threads").await, [(1, State::Live)]);
    // Under way as well: whoever folds it notices.
    projector.rebuild(&[], Switch::Manual).await.unwrap();
    projector.cancel("threads").await.unwrap();
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Live)]);
    assert_eq!(states(&projector, "totals").await, [(1, State::Live), (2, State::Ready)]);
    assert!(matches!(projector.cancel("threads").await, Err(EngineError::Nothing { .. })));
    // A build that a crash left behind can be taken up or given up.
    projector.shutdown().await;
    let crash = Options { interrupt: Some(Arc::new(|| true)), ..options() };
    let (_, projector) = bench.start(crash).await;
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Live), (2, State::Building)]);
    projector.cancel("threads").await.unwrap();
    assert_eq!(states(&projector, "threads").await, [(1, State::Live)]);
    assert_folded(&db, &*bench.store, "cancelled").await;
}

async fn verify_finds_what_was_changed_by_hand(mut bench: Bench) {
    bench.write(&history(300)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    let clean = projector.verify("threads").await.unwrap();
    assert_clean(&clean);
    let all = rows::<Thread>(&db).await;
    assert!(clean.rows > i64::try_from(all.len()).unwrap());
    let (changed, deleted) = (&all[0], &all[1]);
    bench.views.tamper(&format!("UPDATE threads_v1__g1 SET answers = 77, title = NULL WHERE id = '{}'", changed.id)).await;
    bench.views.tamper(&format!("DELETE FROM threads_v1__g1 WHERE id = '{}'", deleted.id)).await;
    bench.views.tamper("INSERT INTO authors_v1__g1 (id, questions, answers, last, folded_to) VALUES ('ghost', 1, 1, '', 1)").await;
    bench.write(&[(8, 1, 2)]).await;
    let found = projector.verify("threads").await.unwrap();
    assert_eq!(found.different, 3);
    let of = |key: &str| found.differences.iter().filter(|difference| difference.key == key).collect::<Vec<_>>();
    assert!(
        of(&changed.id).iter().any(|d| d.column == Some("answers") && d.live == Value::Int(77) && d.folded == Value::Int(changed.answers))
    );
    assert_eq!(of(&deleted.id)[0].live, Value::Null);
    assert_eq!((of("ghost")[0].table, &of("ghost")[0].folded), ("authors_v1", &Value::Null));
    assert_eq!(states(&projector, "threads").await, [(1, State::Live)]);
    // A sample of all rows finds the same; a smaller one finds some of it, and the same again with the same seed.
    let sampled = async |size: &str, seed| {
        let sampling = Sampling { size: size.parse().unwrap(), seed };
        projector.begin_verification("threads", Some(sampling)).await.unwrap().await.unwrap().unwrap()
    };
    let whole = sampled("100%", 1).await;
    assert_eq!((whole.different, whole.compared), (3, found.compared + 1), "the missing row is compared as well");
    let by_key = |mut differences: Vec<Difference>| {
        differences.sort_by(|a, b| (a.table, &a.key, a.column).cmp(&(b.table, &b.key, b.column)));
        differences
    };
    assert_eq!(by_key(whole.differences), by_key(found.differences.clone()));
    let (some, again) = (sampled("30%", 5).await, sampled("30%", 5).await);
    assert!(some.compared > 0 && some.compared < found.compared, "{}", some.compared);
    assert_eq!(some, again);
    assert!(some.differences.iter().all(|difference| found.differences.contains(difference)));
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    assert_clean(&projector.verify("threads").await.unwrap());
    assert_folded(&db, &*bench.store, "mended").await;
}

async fn an_unreadable_event_stops_or_parks_its_readers_only(mut bench: Bench) {
    let (db, projector) = bench.start(options()).await;
    bench.write(&history(100)).await;
    bench.caught_up(&projector).await;
    let before = rows::<Thread>(&db).await;
    let (poisoned, _) = crate::engine::event(0, 3, 4);
    bench.writer.append(&*bench.store, vec![(poisoned.clone(), "question.eaten.v9".to_owned(), "{}".to_owned())]).await;
    bench.write(&[(8, 3, 4), (0, 1, 1), (0, 3, 1), (8, 3, 6)]).await;
    bench.caught_up(&projector).await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Stopped)]);
    assert_eq!(states(&projector, "totals").await, [(1, State::Live)]);
    assert_eq!(states(&projector, "joined").await, [(1, State::Live)]);
    assert_eq!(rows::<Thread>(&db).await, before);
    let status = projector.status().await.unwrap();
    assert_eq!(status.iter().map(|status| status.parked).collect::<Vec<_>>(), [0, 0, 1]);
    assert!(status[1].reason.as_ref().unwrap().contains("question.eaten.v9"), "{:?}", status[1].reason);
    // What it holds can still be verified; a rebuild meets the same event and leaves the live rows alone.
    assert_clean(&projector.verify("threads").await.unwrap());
    assert_clean(&projector.verify("totals").await.unwrap());
    projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Stopped), (2, State::Failed)]);
    assert_eq!(rows::<Thread>(&db).await, before);
    // A start tries again, in vain; those who can go on do, and what is parked stays so.
    projector.shutdown().await;
    let (_, projector) = bench.start(options()).await;
    projector.settled().await;
    assert_eq!(states(&projector, "threads").await, [(1, State::Stopped), (2, State::Failed)]);
    let total = async || rows::<crate::engine::Total>(&db).await[0].posted;
    let posted = total().await;
    bench.write(&[(8, 3, 8), (0, 3, 2), (0, 9, 2)]).await;
    bench.caught_up(&projector).await;
    assert_eq!(total().await, posted + 1, "the parked stream is left out, the other is not");
    assert_clean(&projector.verify("joined").await.unwrap());
    // A rebuild in small pieces, and one after a crash, leave out the same.
    projector.shutdown().await;
    let left = Arc::new(std::sync::atomic::AtomicI64::new(4));
    let crash = move || left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0;
    let (_, projector) = bench.start(Options { interrupt: Some(Arc::new(crash)), memory: 1, ..options() }).await;
    let _ = projector.rebuild(&["totals"], Switch::Auto).await;
    projector.settled().await;
    projector.shutdown().await;
    let (_, projector) = bench.start(Options { build_page: 7, memory: 1, ..options() }).await;
    projector.settled().await;
    assert_eq!(states(&projector, "totals").await, [(1, State::Old), (2, State::Live)]);
    assert_eq!(total().await, posted + 1);
    let parked = projector.parked("totals").await.unwrap();
    assert_eq!(parked.last().map(|stream| (stream.build, stream.parked.poison.stream.clone(), stream.skipped)), Some((2, poisoned, false)));
    assert_clean(&projector.verify("totals").await.unwrap());
}

async fn a_checkpoint_that_the_log_does_not_hold_stops_the_start(mut bench: Bench) {
    bench.write(&history(100)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    projector.shutdown().await;
    // The log is restored from a backup and goes on differently.
    bench.store = Arc::new(Memory::new(bench.store.log_id()));
    bench.writer = crate::engine::Writer::default();
    bench.write(&history(60)).await;
    let start = |options: Options| {
        let store: Arc<dyn EventStore> = bench.store.clone();
        Projector::start(db.clone(), store, projections(), options)
    };
    let error = start(options()).await.err().unwrap();
    assert!(matches!(error, EngineError::Mismatch { .. }) && error.to_string().contains("rebuild --all"), "{error}");
    let projector = start(Options { mismatch: Mismatch::Rebuild, ..options() }).await.unwrap();
    projector.settled().await;
    assert_folded(&db, &*bench.store, "built anew").await;
    projector.shutdown().await;
    start(options()).await.unwrap().shutdown().await;
    // Another log altogether.
    let other: Arc<dyn EventStore> = Arc::new(Memory::new(Uuid::from_u128(0xBAD)));
    assert!(matches!(Projector::start(db.clone(), other, projections(), options()).await.err(), Some(EngineError::Mismatch { .. })));
}

async fn prepare(db: &Db, bench: &Bench, until: Option<Position>) -> usize {
    let store: Arc<dyn EventStore> = bench.store.clone();
    prepare_in(db.clone(), store, projections(), options(), until).await.unwrap().len()
}

async fn a_prepared_version_is_there_at_the_start(mut bench: Bench) {
    bench.write(&history(200)).await;
    let db = bench.views.open().await;
    assert_eq!(prepare(&db, &bench, None).await, 3);
    assert_eq!(prepare(&db, &bench, None).await, 0);
    assert_folded(&db, &*bench.store, "prepared").await;
    bench.write(&history(40)).await;
    let (db, projector) = bench.start(options()).await;
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "prepared, then fed").await;
}

async fn as_of_a_position(mut bench: Bench) {
    let then = bench.write(&history(150)).await;
    let db = bench.views.open().await;
    let past = Memory::new(bench.store.log_id());
    crate::engine::Writer::default()
        .write(&past, history(150).iter().map(|(kind, stream, who)| crate::engine::event(*kind, *stream, *who)))
        .await;
    bench.write(&history(90)).await;
    prepare(&db, &bench, Some(then)).await;
    assert_folded(&db, &past, "as of").await;
}

async fn search_finds_words(mut bench: Bench) {
    let (db, projector) = bench.start(options()).await;
    bench.write(&[(0, 1, 2), (0, 12, 3), (0, 30, 2), (2, 1, 2), (6, 30, 1)]).await;
    bench.caught_up(&projector).await;
    for round in ["live", "rebuilt"] {
        assert_eq!(found(&db, "title 1", &["open"]).await, ["Title 1 of 2", "Title 12 of 3"], "{round}");
        assert_eq!(found(&db, "TITLE 2", &["open"]).await, ["Title 1 of 2"], "{round}");
        assert_eq!(found(&db, "tit", &["open", "shut"]).await.len(), 2, "{round}: the closed one is gone");
        assert!(found(&db, "\"1' OR *", &["open"]).await.is_empty(), "{round}");
        projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
        projector.settled().await;
    }
}

async fn words_go_with_who_may_find_them(mut bench: Bench) {
    let (db, projector) = bench.start(options()).await;
    bench.write(&[(0, 1, 2), (0, 12, 3)]).await;
    bench.caught_up(&projector).await;
    assert_eq!(found(&db, "title", &["open"]).await.len(), 2);
    // One of them goes to another audience.
    bench.write(&[(5, 12, 1)]).await;
    bench.caught_up(&projector).await;
    for round in ["live", "rebuilt"] {
        assert_eq!(found(&db, "title", &["open"]).await, ["Title 1 of 2"], "{round}");
        assert_eq!(found(&db, "title", &["shut"]).await, ["Title 12 of 3"], "{round}");
        assert_eq!(found(&db, "title 1", &["shut", "open"]).await, ["Title 1 of 2", "Title 12 of 3"], "{round}");
        assert!(found(&db, "title", &[""]).await.is_empty() && found(&db, "title", &["opened"]).await.is_empty(), "{round}");
        projector.rebuild(&["threads"], Switch::Auto).await.unwrap();
        projector.settled().await;
    }
}

/// Titles that have these words, for who belongs to these audiences; the index and the rows themselves say the same.
async fn found(db: &Db, words: &str, audiences: &[&str]) -> Vec<String> {
    let words = Words::parse(words).unwrap();
    let titles = async |condition: String, params| {
        let sql = format!("SELECT title FROM threads_v1 t WHERE {condition} ORDER BY t.position");
        db.query::<Option<String>>(sql, params).await.unwrap().into_iter().flatten().collect::<Vec<_>>()
    };
    let mut params = vec![];
    let condition = db.search_hits(("threads_v1", "id"), "t", &words, audiences, &mut params);
    let by_index = titles(condition, params).await;
    let mut params = vec![audiences.iter().map(|&audience| audience.to_owned()).collect::<Vec<_>>().into()];
    let condition = format!("t.audience = ANY($1) AND {}", words.in_row("t", db.dialect(), &mut params));
    assert_eq!(titles(condition, params).await, by_index);
    by_index
}

async fn a_database_that_fails_is_tried_again(mut bench: Bench) {
    let (db, projector) = bench.start(options()).await;
    bench.write(&history(50)).await;
    bench.caught_up(&projector).await;
    bench.views.tamper("ALTER TABLE joined_v1__g1 RENAME TO mislaid").await;
    let applied = projector.position();
    let head = bench.write(&history(50)).await;
    assert!(projector.wait_for(head, std::time::Duration::from_millis(200)).await.is_err());
    // All or nothing: the healthy tables wait as well.
    assert_eq!(projector.position(), applied);
    bench.views.tamper("ALTER TABLE mislaid RENAME TO joined_v1__g1").await;
    bench.caught_up(&projector).await;
    assert_folded(&db, &*bench.store, "after a failure").await;
}

async fn of_two_projectors_one_gives_way(mut bench: Bench) {
    let (db, first) = bench.start(options()).await;
    let (_, second) = bench.start(options()).await;
    for part in history(200).chunks(10) {
        let head = bench.write(part).await;
        while first.position() < head && second.position() < head {
            tokio::task::yield_now().await;
        }
    }
    bench.write(&history(5)).await;
    let patience = std::time::Duration::from_secs(1);
    let _ = tokio::join!(first.wait_for(bench.store.head().await.unwrap(), patience), second.wait_for(Position(i64::MAX), patience));
    assert_eq!([&first, &second].iter().filter(|projector| projector.failure().is_some()).count(), 1);
    assert_folded(&db, &*bench.store, "two projectors").await;
}

async fn reactions_find_their_checkpoint_again(bench: Bench) {
    let db = bench.views.open().await;
    let checkpoints = Checkpoints::open(db.clone(), bench.store.log_id()).await.unwrap();
    assert_eq!(checkpoints.load("greeting").await.unwrap(), None);
    checkpoints.save("greeting", Position(7)).await.unwrap();
    checkpoints.save("greeting", Position(9)).await.unwrap();
    let again = Checkpoints::open(db.clone(), bench.store.log_id()).await.unwrap();
    assert_eq!(again.load("greeting").await.unwrap(), Some(Position(9)));
    // Another log knows nothing of it.
    assert_eq!(Checkpoints::open(db, Uuid::from_u128(1)).await.unwrap().load("greeting").await.unwrap(), None);
}
