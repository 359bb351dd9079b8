//! Places for those who upload: pictures are held in memory while they come, and whoever sends slowly holds a place for long. Nobody takes
//! them all.

use crate::Problem;
use axum::http::StatusCode;
use circolo_domain::PersonId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All places.
#[derive(Debug)]
pub(crate) struct Uploads {
    all: usize,
    taken: Mutex<HashMap<PersonId, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    uploads: Arc<Uploads>,
    person: PersonId,
}

impl Uploads {
    pub fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { all, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<PersonId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for `person`; 429 if they have an eighth of all, 503 if there is none left.
    pub fn enter(self: &Arc<Self>, person: PersonId) -> Result<Place, Problem> {
        let mut taken = self.taken();
        if taken.get(&person).is_some_and(|count| *count >= self.all.div_ceil(8)) {
            let detail = "this person uploads too many files at a time";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", detail).with_retry_after(5));
        }
        if taken.values().sum::<usize>() >= self.all {
            return Err(Problem::try_later("busy", "too many files are being uploaded"));
        }
        *taken.entry(person).or_default() += 1;
        Ok(Place { uploads: self.clone(), person })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.uploads.taken();
        if let Some(count) = taken.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn one_person_has_an_eighth_and_it_comes_back() {
        let uploads = Uploads::new(16);
        let enter = |who| uploads.enter(PersonId(Uuid::from_u128(who)));
        let own: Vec<Place> = (0..2).map(|_| enter(1).unwrap()).collect();
        assert_eq!(enter(1).unwrap_err().code(), "too_many_uploads");
        let others: Vec<Place> = (2..16).map(|who| enter(who).unwrap()).collect();
        assert_eq!(enter(99).unwrap_err().code(), "busy");
        drop((own, others));
        enter(1).unwrap();
        assert!(uploads.taken().is_empty());
    }
}
