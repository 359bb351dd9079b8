//! What other nodes write to the same log: the cache learns of it, and knows how old it may be.
//!
//! A follower reads the log on and marks the streams in the cache that somebody wrote to; whoever asks for one of them next
//! reads it on from there. As long as the follower reaches the head often enough, what is not marked is fresh.

use crate::{EventStore, Position, StoreError, cached_stream::CachedStreams};
use std::{sync::Arc, sync::OnceLock, time::Duration};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

/// What the cache says is believed for so long after the log was last read to its end; beyond it the log is asked.
pub const STALENESS: Duration = Duration::from_secs(1);
/// How long one wait for news lasts at most: well below the bound, for a log that cannot be read must be noticed.
const WAIT: Duration = Duration::from_millis(250);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(50);
/// Events read at once.
const PAGE: usize = 1_000;

/// Where the follower is.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// The cache knows of everything up to here.
    position: Position,
    /// When the read began that last came to the log's end.
    at: Instant,
}

/// The follower, where there is one: a process that has its log to itself needs none.
#[derive(Default)]
pub(crate) struct Others(OnceLock<Following>);

struct Following {
    reached: watch::Receiver<Reached>,
    task: AbortHandle,
}

impl Others {
    /// Begins to follow, before anything is in the cache. A second time changes nothing.
    pub async fn follow(&self, store: Arc<dyn EventStore>, streams: Arc<CachedStreams>) -> Result<(), StoreError> {
        let at = Instant::now();
        let (send, reached) = watch::channel(Reached { position: store.head().await?, at });
        self.0.get_or_init(|| Following { reached, task: tokio::spawn(run(store, streams, send)).abort_handle() });
        Ok(())
    }

    /// Whether what the cache says, and nobody marked, may be believed.
    pub fn are_known(&self) -> bool {
        self.0.get().is_none_or(|following| following.reached.borrow().at.elapsed() <= STALENESS)
    }

    /// Waits until the cache knows of all that the log holds by now, or so long that it is not believed any more.
    pub async fn settled(&self, store: &dyn EventStore) {
        let Some(following) = self.0.get() else { return };
        let Ok(head) = store.head().await else { return };
        let mut reached = following.reached.clone();
        let _ = timeout(STALENESS, reached.wait_for(|reached| reached.position >= head)).await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(store: Arc<dyn EventStore>, streams: Arc<CachedStreams>, reached: watch::Sender<Reached>) {
    let mut after = reached.borrow().position;
    loop {
        let begun = Instant::now();
        match store.read_all(after, PAGE).await {
            Ok(page) => {
                for stored in &page.events {
                    streams.wrote(&stored.stream, stored.revision);
                }
                after = after.max(page.scanned);
                let at_end = page.events.len() < PAGE;
                reached.send_modify(|reached| {
                    reached.position = after;
                    if at_end {
                        reached.at = begun;
                    }
                });
                if at_end {
                    // An error is met again, and told, by the next read.
                    let _ = store.changed(after, WAIT).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "what other nodes wrote cannot be read");
                sleep(PAUSE).await;
            }
        }
    }
}
