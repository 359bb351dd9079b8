//! Appends that the log may hold already while the cache does not know of them: for the moment between the two.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// All of them, numbered in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    open: Mutex<Open>,
    /// The first that has not ended; the next to begin if all have.
    oldest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// One append, from before it is sent until the cache knows what became of it, or nobody waits for it any more.
pub(crate) struct Flight<'a> {
    all: &'a InFlight,
    number: u64,
}

impl InFlight {
    /// An append begins.
    pub fn begin(&self) -> Flight<'_> {
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.numbers.insert(number);
        Flight { all: self, number }
    }

    /// Waits until all that have begun by now have ended.
    pub async fn settled(&self) {
        let begun = self.open().next;
        // An error would mean that the sender is gone, which lives as long as this.
        let _ = self.oldest.subscribe().wait_for(|oldest| *oldest >= begun).await;
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut open = self.all.open();
        open.numbers.remove(&self.number);
        let oldest = open.numbers.first().copied().unwrap_or(open.next);
        self.all.oldest.send_replace(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn it_waits_for_what_has_begun_and_for_nothing_later() {
        let all = InFlight::default();
        assert!(all.settled().now_or_never().is_some());
        let (first, second) = (all.begin(), all.begin());
        let mut waiting = Box::pin(all.settled());
        assert!(waiting.as_mut().now_or_never().is_none());
        let later = all.begin();
        drop(second);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.now_or_never().is_some());
        assert!(all.settled().now_or_never().is_none());
        drop(later);
        assert!(all.settled().now_or_never().is_some());
    }
}
