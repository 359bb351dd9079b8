//! The one real clock and the one source of fresh ids; everything else is given its time and its ids.

use circolo_domain::Timestamp;
use std::{sync::Arc, time::UNIX_EPOCH};
use uuid::Uuid;

pub use circolo_events::Clock;

/// Makes ids that nobody used before.
pub type Ids = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// The computer's clock.
pub fn system() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the one real clock")]
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// `UUIDv7`: ordered by time, so that indexes on them stay dense.
pub fn fresh_ids() -> Ids {
    #[expect(clippy::disallowed_methods, reason = "this is the one source of fresh ids")]
    Arc::new(Uuid::now_v7)
}
