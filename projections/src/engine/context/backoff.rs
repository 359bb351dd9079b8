//! Pauses between attempts, and how many there are.

use crate::db::DbError;
use std::time::Duration;

/// What fails in a way that should last is tried again some times all the same, before a build is given up for it.
pub struct Tries {
    left: u32,
    backoff: Backoff,
}

impl Tries {
    /// Some times, within a second.
    pub const fn new() -> Self {
        Self { left: 4, backoff: Backoff::new() }
    }

    /// Waits for the next time; the error itself if it passes by itself and others wait for that, or if it was the last time.
    pub async fn again(&mut self, error: DbError) -> Result<(), DbError> {
        // What it cannot hold it will not hold the next time.
        if self.left == 0 || !error.is_lasting() || matches!(error, DbError::Unfit(_)) {
            return Err(error);
        }
        self.left -= 1;
        tokio::time::sleep(self.backoff.next()).await;
        Ok(())
    }
}

/// Pauses between attempts after a failure: doubled each time.
pub struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LAST: Duration = Duration::from_secs(2);

    /// From the shortest pause.
    pub const fn new() -> Self {
        Self(Self::FIRST)
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LAST);
        pause
    }
}
