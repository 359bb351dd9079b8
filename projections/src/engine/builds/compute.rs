//! Work that keeps a processor busy: the live subscription's at once, builds' on threads that others go before.

use crate::db::Urgency;
use circolo_events::threads::give_way;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;
use tokio::runtime::{Handle, RuntimeFlavor};

/// A build decodes one page while it folds the one before.
const THREADS: usize = 2;

/// Does `work` without keeping other tasks waiting.
pub fn compute<T: Send>(urgency: Urgency, work: impl FnOnce() -> T + Send) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| match urgency {
            Urgency::Live => work(),
            Urgency::Build => behind_others(work),
        }),
        _ => work(),
    }
}

fn behind_others<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let pool = ThreadPoolBuilder::new().num_threads(THREADS).thread_name(|_| "views-build".to_owned()).start_handler(|_| give_way());
        pool.build().inspect_err(|error| tracing::warn!(%error, "builds get no threads of their own")).ok()
    });
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
