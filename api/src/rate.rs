//! How often a person, or an address without a token, may ask; and what is answered anew only so often, whoever asks.

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use quick_cache::sync::Cache;
use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::time::Instant;
use uuid::Uuid;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// A person, by the id their token gives them.
    Person(Uuid),
    /// Nobody signed in, by address or [`block`].
    Address(Option<IpAddr>),
}

impl Asker {
    /// Nobody signed in, at this address.
    pub fn at(address: Option<IpAddr>) -> Self {
        Self::Address(address.map(block))
    }
}

/// What counts as one address: of IPv6 the /64, for whoever has one address of it has them all.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A bucket per asker that refills evenly.
pub struct RateLimit {
    per_minute: u32,
    limiter: RateLimiter<Asker, DefaultKeyedStateStore<Asker>, DefaultClock, StateInformationMiddleware>,
    asked: AtomicU32,
    /// Who was refused lately, and until when they will be.
    used_up: Cache<Asker, Instant>,
}

/// How many of those are remembered.
const USED_UP: usize = 10_000;

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
        Some(Self { per_minute, limiter, asked: AtomicU32::new(0), used_up: Cache::new(USED_UP) })
    }

    /// Whether `asker` was refused and would be now. To ask this is free.
    pub(crate) fn is_used_up(&self, asker: &Asker) -> bool {
        self.used_up.get(asker).is_some_and(|until| until > Instant::now())
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
                Allowance { limit, remaining, reset: seconds(limit - remaining.min(limit), limit), refused: None }
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                self.used_up.insert(asker.clone(), Instant::now() + wait);
                let wait = wait.as_secs_f64().ceil();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 60")]
                Allowance { limit, remaining: 0, reset: 60, refused: Some((wait as u32).max(1)) }
            }
        }
    }
}

/// An answer that is worked out anew only so often; whoever asks in between is given the last one.
pub(crate) struct Seldom<T> {
    quota: DefaultDirectRateLimiter,
    last: Mutex<Option<T>>,
}

impl<T: Clone> Seldom<T> {
    /// So often in a second, and a few more at once.
    pub fn new(per_second: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(per_second.saturating_mul(NonZeroU32::MIN.saturating_add(4)));
        Self { quota: RateLimiter::direct(quota), last: Mutex::default() }
    }

    /// The answer: that of `work`, or the last one.
    pub async fn get(&self, work: impl Future<Output = T>) -> T {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.quota.check().is_err()
            && let Some(known) = last().clone()
        {
            return known;
        }
        let fresh = work.await;
        *last() = Some(fresh.clone());
        fresh
    }
}

/// What those without a token may search: so much a minute each, and so much in all. A word that many things have costs more than
/// any list, and whoever has no name can have many addresses.
pub struct Searches {
    each: Option<RateLimit>,
    all: Option<RateLimit>,
}

impl Searches {
    /// At most so many a minute; 0 for no limit.
    pub fn new(each: u32, all: u32) -> Self {
        Self { each: RateLimit::new(each), all: RateLimit::new(all) }
    }

    /// Seconds until the next search from this address, if this one is refused. Who is refused takes nothing from all others.
    pub(crate) fn refused(&self, from: Option<IpAddr>) -> Option<u32> {
        let refused = |limit: &Option<RateLimit>, asker| limit.as_ref()?.check(&Asker::Address(asker)).refused;
        refused(&self.each, from.map(block)).or_else(|| refused(&self.all, None))
    }
}

/// How long `limit` a minute take to refill `used`.
fn seconds(used: u32, limit: u32) -> u32 {
    u32::try_from(u64::from(used) * 60 / u64::from(limit)).unwrap_or(u32::MAX)
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
        assert_eq!((seconds(u32::MAX, u32::MAX), seconds(1, u32::MAX)), (60, 0));
    }
    #[test]
    fn searches_are_counted_by_network_and_in_all() {
        let searches = Searches::new(2, 4);
        let from = |address: &str| searches.refused(Some(address.parse().unwrap()));
        assert_eq!((from("2001:db8::1"), from("2001:db8::2")), (None, None));
        assert!(from("2001:db8:0:0:ffff::1").is_some(), "the same network");
        assert_eq!((from("192.0.2.1"), from("2001:db8:0:1::1")), (None, None));
        assert!(from("192.0.2.2").is_some(), "all have searched enough");
        assert_eq!(Searches::new(0, 0).refused(None), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| block(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2:ffff::1"), of("2001:db8:1:2:3:4:5:6"));
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
        assert_eq!((of("192.0.2.7"), of("::ffff:192.0.2.7")), ("192.0.2.7".to_owned(), "192.0.2.7".to_owned()));
        let rate = RateLimit::new(1).unwrap();
        assert_eq!(rate.check(&Asker::at("2001:db8::1".parse().ok())).refused, None);
        let neighbour = Asker::at("2001:db8::2".parse().ok());
        assert!(!rate.is_used_up(&neighbour), "nobody was refused yet");
        assert!(rate.check(&neighbour).refused.is_some() && rate.is_used_up(&neighbour));
    }

    #[tokio::test]
    async fn what_many_ask_for_is_worked_out_only_so_often() {
        let (seldom, worked) = (Seldom::new(NonZeroU32::MIN), AtomicU32::new(0));
        let mut answers = vec![];
        for _ in 0..100 {
            answers.push(seldom.get(async { worked.fetch_add(1, Ordering::Relaxed) }).await);
        }
        assert_eq!(answers[..5], [0, 1, 2, 3, 4], "a few at once are always fresh");
        assert!(worked.load(Ordering::Relaxed) < 100 && answers.is_sorted(), "{answers:?}");
    }
}
