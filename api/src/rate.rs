//! How often a person, or an address without a token, may ask.

use governor::{
    Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};
use uuid::Uuid;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// A person, by the id their token gives them.
    Person(Uuid),
    /// Nobody signed in, by address.
    Address(Option<IpAddr>),
}

/// A bucket per asker that refills evenly.
pub struct RateLimit {
    per_minute: u32,
    limiter: RateLimiter<Asker, DefaultKeyedStateStore<Asker>, DefaultClock, StateInformationMiddleware>,
    asked: AtomicU32,
}

/// How an asker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until the bucket is full again.
    pub reset: u32,
    /// Seconds until the next request, if this one is refused.
    pub refused: Option<u32>,
}

impl RateLimit {
    /// At most `per_minute` requests each; `None` for 0: no limit.
    pub fn new(per_minute: u32) -> Option<Self> {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute)?);
        let limiter = RateLimiter::keyed(quota).with_middleware();
        Some(Self { per_minute, limiter, asked: AtomicU32::new(0) })
    }

    pub(crate) fn check(&self, asker: &Asker) -> Allowance {
        // Forget full buckets now and then, so that memory does not grow with the number of addresses ever seen.
        if self.asked.fetch_add(1, Ordering::Relaxed) % 4096 == 4095 {
            self.limiter.retain_recent();
        }
        let limit = self.per_minute;
        match self.limiter.check_key(asker) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Allowance { limit, remaining, reset: (limit - remaining.min(limit)) * 60 / limit, refused: None }
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now()).as_secs_f64().ceil();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 60")]
                Allowance { limit, remaining: 0, reset: 60, refused: Some((wait as u32).max(1)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asker_has_a_bucket_of_their_own() {
        let rate = RateLimit::new(2).unwrap();
        let (ann, bob) = (Asker::Person(Uuid::from_u128(1)), Asker::Person(Uuid::from_u128(2)));
        assert_eq!(rate.check(&ann), Allowance { limit: 2, remaining: 1, reset: 30, refused: None });
        assert_eq!(rate.check(&ann).refused, None);
        let refused = rate.check(&ann);
        assert!(refused.refused.is_some_and(|seconds| (1..=60).contains(&seconds)), "{refused:?}");
        assert_eq!(rate.check(&bob).refused, None);
        assert!(RateLimit::new(0).is_none());
    }
}
