//! Any history, folded live in batches of any size, rebuilt, and resumed after an interruption at any write, gives the
//! same rows.

use crate::engine::{Bench, assert_clean, assert_folded, options};
use circolo_projections::{EngineError, Options, Projector, State, Switch};
use proptest::prelude::*;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// How a run goes.
#[derive(Debug, Clone)]
struct Run {
    history: Vec<(u8, u8, u8)>,
    /// Share of the history that is there before the start, in 16ths.
    before: usize,
    live_page: usize,
    build_page: usize,
    memory: usize,
    /// After how many transactions of builds each crash comes.
    crashes: Vec<i64>,
}

fn runs() -> impl Strategy<Value = Run> {
    let event = (any::<u8>(), 0..12_u8, 0..5_u8);
    let crashes = prop::collection::vec(0..9_i64, 0..5);
    (prop::collection::vec(event, 1..120), 0..17_usize, 1..40_usize, 1..60_usize, 0..6_000_usize, crashes).prop_map(
        |(history, before, live_page, build_page, memory, crashes)| Run { history, before, live_page, build_page, memory, crashes },
    )
}

impl Run {
    /// The engine's options, with a crash before the transaction number `crash`.
    fn options(&self, crash: Option<i64>) -> Options {
        let left = crash.map(|crash| Arc::new(AtomicI64::new(crash)));
        let interrupt =
            left.map(|left| -> Arc<dyn Fn() -> bool + Send + Sync> { Arc::new(move || left.fetch_sub(1, Ordering::Relaxed) <= 0) });
        Options { live_page: self.live_page, build_page: self.build_page, memory: self.memory, interrupt, ..options() }
    }

    async fn check(self, mut bench: Bench) {
        let (before, after) = self.history.split_at(self.history.len() * self.before / 16);
        bench.write(before).await;
        let mut crashes = self.crashes.iter().copied();
        // The first build, interrupted again and again while the history goes on.
        for part in after.chunks(after.len() / (self.crashes.len() + 1) + 1) {
            let db = bench.views.open().await;
            let projector = bench.start_on(&db, self.options(crashes.next())).await;
            bench.write(part).await;
            self.end(projector).await;
        }
        let (db, projector) = bench.start(self.options(None)).await;
        self.settle(&bench, &projector).await;
        assert_folded(&db, &*bench.store, "built and fed").await;
        projector.shutdown().await;
        // A rebuild, interrupted likewise.
        let (_, projector) = bench.start(self.options(Some(self.crashes.first().copied().unwrap_or(3)))).await;
        self.settle(&bench, &projector).await;
        projector.rebuild(&[], Switch::Auto).await.unwrap();
        bench.write(after).await;
        projector.settled().await;
        projector.shutdown().await;
        for crash in &self.crashes {
            let db = bench.views.open().await;
            self.end(bench.start_on(&db, self.options(Some(*crash))).await).await;
        }
        let (db, projector) = bench.start(self.options(None)).await;
        self.settle(&bench, &projector).await;
        assert_folded(&db, &*bench.store, "rebuilt").await;
        let status = projector.status().await.unwrap();
        assert_eq!(status.iter().filter(|status| status.state == State::Live).count(), 3);
        assert!(status.iter().all(|status| matches!(status.state, State::Live | State::Old)), "{status:?}");
        assert_clean(&projector.verify("threads").await.unwrap());
        projector.shutdown().await;
    }

    /// Waits until builds are done or crashed; a start may have crashed itself.
    async fn end(&self, projector: Result<Projector, EngineError>) {
        match projector {
            Ok(projector) => {
                projector.settled().await;
                projector.shutdown().await;
            }
            Err(error) => assert!(matches!(error, EngineError::Down), "{error}"),
        }
    }

    async fn settle(&self, bench: &Bench, projector: &Projector) {
        projector.settled().await;
        bench.caught_up(projector).await;
    }
}

fn check(backend: &'static str, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ProptestConfig { cases, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(run in runs())| {
        runtime.block_on(async {
            if let Some(bench) = Bench::new(backend).await {
                run.check(bench).await;
            }
        });
    });
}

#[test]
fn any_history_gives_the_same_rows_on_sqlite() {
    check("sqlite", 40);
}

#[test]
fn any_history_gives_the_same_rows_on_postgres() {
    check("postgres", 12);
}
