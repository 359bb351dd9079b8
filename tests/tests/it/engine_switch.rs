//! Readers that hammer during switches see neither empty nor partial nor mixed read models.

use crate::engine::{Bench, history, on_both, options};
use circolo_projections::{Db, Switch};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

on_both! { readers_see_whole_read_models_during_switches }

/// Across two projections: the posts that one counted, and the questions per author that the other did.
const SUMS: &str = "SELECT CAST((SELECT sum(questions) FROM authors_v1) AS BIGINT), (SELECT posted FROM totals_v1 WHERE id = 'all')";
/// Within one projection, through a join of its tables with another's.
const JOIN: &str = "SELECT count(*), count(DISTINCT t.posted) FROM threads_v1 q CROSS JOIN totals_v1 t WHERE q.answers >= -100";

async fn read(db: Db, stop: Arc<AtomicBool>, reads: Arc<AtomicUsize>) {
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let (questions, posted) = db.one::<(i64, i64)>(SUMS, vec![]).await.unwrap().unwrap();
        assert_eq!(questions, posted, "two moments in one answer");
        assert!(posted >= last, "an older build came back: {posted} after {last}");
        last = posted;
        let (rows, totals) = db.one::<(i64, i64)>(JOIN, vec![]).await.unwrap().unwrap();
        assert!(rows > 0 && totals == 1, "empty or partial: {rows}, {totals}");
        reads.fetch_add(2, Ordering::Relaxed);
    }
}

async fn readers_see_whole_read_models_during_switches(mut bench: Bench) {
    bench.write(&history(2_000)).await;
    let (db, projector) = bench.start(options()).await;
    projector.settled().await;
    bench.caught_up(&projector).await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..6).map(|_| tokio::spawn(read(db.clone(), stop.clone(), reads.clone()))).collect();
    for round in 0..8 {
        projector.rebuild(if round % 2 == 0 { &[] } else { &["threads"] }, Switch::Auto).await.unwrap();
        bench.write(&history(100)).await;
        projector.settled().await;
        if round % 3 == 2 {
            projector.rollback("threads").await.unwrap();
            projector.settled().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) > 50, "the readers hardly read");
    bench.caught_up(&projector).await;
    crate::engine::assert_folded(&db, &*bench.store, "after the switches").await;
}
