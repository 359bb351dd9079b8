//! The head as it moves: own appends tell at once, those of other nodes are seen by asking.

use crate::{rules::beyond, store::Position};
use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::sleep,
};

/// Pause between two questions: short after a change, then twice as long each time.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// One poller for all who wait; it asks only while somebody does.
#[derive(Debug)]
pub struct Tail {
    head: watch::Sender<Position>,
    waiting: Arc<Waiting>,
    poller: AbortHandle,
}

#[derive(Debug, Default)]
struct Waiting {
    count: AtomicUsize,
    begun: Notify,
}

impl Tail {
    /// Starts the poller, which reads the head with `ask`.
    pub fn start<F, E>(head: watch::Sender<Position>, ask: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Position, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let waiting = Arc::new(Waiting::default());
        let poller = tokio::spawn(poll(ask, head.clone(), Arc::clone(&waiting))).abort_handle();
        Self { head, waiting, poller }
    }

    /// Waits until the head is beyond `after`, at most `wait`; the head then.
    pub async fn changed(&self, after: Position, wait: Duration) -> Position {
        let _place = Place::take(&self.waiting);
        beyond(self.head.subscribe(), after, wait).await
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

/// Counts one who waits, also if it is cancelled.
struct Place<'a>(&'a Waiting);

impl<'a> Place<'a> {
    fn take(waiting: &'a Waiting) -> Self {
        waiting.count.fetch_add(1, Ordering::SeqCst);
        waiting.begun.notify_one();
        Self(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn poll<F, E>(ask: impl Fn() -> F + Send, head: watch::Sender<Position>, waiting: Arc<Waiting>)
where
    F: Future<Output = Result<Position, E>> + Send,
    E: Display + Send,
{
    let mut pause = SHORTEST;
    loop {
        while waiting.count.load(Ordering::SeqCst) == 0 {
            // The permit of one who came and went is kept, hence the loop.
            waiting.begun.notified().await;
        }
        match ask().await {
            Ok(found) if advance(&head, found) => pause = SHORTEST,
            Ok(_) => pause = LONGEST.min(pause * 2),
            Err(error) => {
                tracing::warn!(%error, "the head of the log cannot be read");
                pause = LONGEST;
            }
        }
        sleep(pause).await;
    }
}

/// Moves the known head forward, never back; whether it moved.
pub fn advance(head: &watch::Sender<Position>, found: Position) -> bool {
    head.send_if_modified(|known| {
        let ahead = found > *known;
        if ahead {
            *known = found;
        }
        ahead
    })
}
