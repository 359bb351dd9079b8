//! Places for those who wait for changes. Nobody takes them all: an address has its share, a person has theirs, and half of them are
//! for callers with a token alone.

use crate::{Problem, rate::Asker};
use axum::http::StatusCode;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All places.
#[derive(Debug)]
pub(crate) struct Listeners {
    all: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    without_token: usize,
    by_asker: HashMap<Asker, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    listeners: Arc<Listeners>,
    asker: Asker,
}

impl Listeners {
    pub fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { all, taken: Mutex::default() })
    }

    /// What one asker may have: a fiftieth for a person, a tenth for an address, behind which many may be.
    fn share(&self, asker: &Asker) -> usize {
        let part = if is_person(asker) { self.all / 50 } else { self.all / 10 };
        part.max(1)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for `asker`; 429 if they have their share, 503 if there is none left for them.
    pub fn enter(self: &Arc<Self>, asker: Asker) -> Result<Place, Problem> {
        let mut taken = self.taken();
        if taken.by_asker.get(&asker).is_some_and(|count| *count >= self.share(&asker)) {
            let detail = "this person or address waits for changes too often at a time";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_listeners", detail).with_retry_after(5));
        }
        let person = is_person(&asker);
        if taken.all >= self.all || (!person && taken.without_token >= self.all.div_ceil(2)) {
            return Err(Problem::try_later("busy", "too many are waiting for changes"));
        }
        taken.all += 1;
        taken.without_token += usize::from(!person);
        *taken.by_asker.entry(asker.clone()).or_default() += 1;
        Ok(Place { listeners: self.clone(), asker })
    }
}

fn is_person(asker: &Asker) -> bool {
    matches!(asker, Asker::Person(_))
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.listeners.taken();
        taken.all -= 1;
        taken.without_token -= usize::from(!is_person(&self.asker));
        if let Some(count) = taken.by_asker.get_mut(&self.asker) {
            *count -= 1;
            if *count == 0 {
                taken.by_asker.remove(&self.asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use uuid::Uuid;

    fn address(host: u8) -> Asker {
        Asker::at(Some(IpAddr::from([192, 0, 2, host])))
    }

    fn person(number: u128) -> Asker {
        Asker::Person(Uuid::from_u128(number))
    }

    fn refused(listeners: &Arc<Listeners>, asker: Asker) -> &'static str {
        listeners.enter(asker).unwrap_err().code()
    }

    #[test]
    fn an_address_and_a_person_have_their_share_and_it_comes_back() {
        let listeners = Listeners::new(100);
        let at_one: Vec<Place> = (0..10).map(|_| listeners.enter(address(1)).unwrap()).collect();
        assert_eq!(refused(&listeners, address(1)), "too_many_listeners");
        let of_one: Vec<Place> = (0..2).map(|_| listeners.enter(person(1)).unwrap()).collect();
        assert_eq!(refused(&listeners, person(1)), "too_many_listeners");
        drop((at_one, of_one));
        listeners.enter(address(1)).unwrap();
        listeners.enter(person(1)).unwrap();
        let left = listeners.taken();
        assert_eq!((left.all, left.without_token, left.by_asker.len()), (0, 0, 0));
    }

    #[test]
    fn callers_without_a_token_never_take_what_is_for_those_with_one() {
        let listeners = Listeners::new(100);
        let crowd: Vec<Place> = (0..50).map(|number| listeners.enter(address(number)).unwrap()).collect();
        assert_eq!(refused(&listeners, address(99)), "busy");
        let signed_in: Vec<Place> = (0..50).map(|number| listeners.enter(person(number)).unwrap()).collect();
        assert_eq!(refused(&listeners, person(99)), "busy");
        drop(crowd);
        assert_eq!(signed_in.len(), 50);
        listeners.enter(person(99)).unwrap();
    }
}
