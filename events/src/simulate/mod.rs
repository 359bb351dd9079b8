//! A simulated community: a valid, reproducible history, for demonstrations, tests and benchmarks.
//!
//! Everything is decided by the domain, in memory, under a simulated clock, single-threaded; the log is written in large
//! batches. People, groups and words are drawn from one seeded source of chance.
//!
//! - `offline`: decides in memory; `chance`: draws
//! - one module per pillar with the wishes of its people: `care`, `community`, `market`, `talk`

mod care;
mod chance;
mod community;
mod market;
mod offline;
mod talk;

pub use chance::Chance;
pub use offline::Offline;

use crate::execute::Request;
use crate::sealing::person::write_salt;
use crate::{Append, EventStore, People, PeopleError, StoreError};
use circolo_domain::salt::{self, Salt};
use circolo_domain::{PersonId, Span, Timestamp};
use std::collections::BTreeMap;

/// Appends are written in batches of about this many.
const BATCH: usize = 64_000;
/// How busy people are in each hour of the day, in percent of the busiest.
const DAY: [u64; 24] = [12, 7, 4, 3, 3, 5, 14, 32, 55, 68, 72, 75, 82, 78, 66, 64, 68, 76, 88, 98, 100, 92, 64, 32];

/// How large a community, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// People who register, over time.
    pub people: usize,
    /// Groups that are created, over time.
    pub groups: usize,
    /// Pages that are created, over time.
    pub pages: usize,
    /// Days that pass.
    pub days: u32,
    /// About so many events in all.
    pub events: u64,
    /// The same seed gives the same history.
    pub seed: u64,
    /// When it begins.
    pub start: Timestamp,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events in all.
    pub events: u64,
    /// Events of each type.
    pub types: BTreeMap<String, u64>,
    /// People who registered.
    pub people: usize,
    /// Groups that were created.
    pub groups: usize,
    /// Pages that were created.
    pub pages: usize,
    /// The moment of the last event.
    pub until: Timestamp,
}

/// Somebody's wish at a moment: it may be refused.
type Wish = fn(&mut Simulation);

/// All wishes with how often they come, relative to each other: one line per pillar.
const WISHES: &[&[(u64, Wish)]] = &[community::WISHES, market::WISHES, talk::WISHES, care::WISHES];

/// The community while it is simulated.
pub struct Simulation {
    /// Decides.
    pub offline: Offline,
    /// Draws.
    pub chance: Chance,
    /// The simulated clock.
    pub now: Timestamp,
    /// Whose token subject is which person: `person-1`, `person-2` ...
    people: Box<dyn Fn(usize) -> PersonId + Send>,
    /// How many have registered.
    registered: usize,
    /// Wishes so far, granted or not.
    wishes: u64,
    options: Options,
    community: community::Community,
    market: market::Market,
    talk: talk::Talk,
    care: care::Care,
}

impl Simulation {
    /// A request of `person` now, under a fresh id.
    pub fn request(&mut self, person: PersonId) -> Request {
        Request::new(Some(person), self.chance.id())
    }

    /// One of the registered, the active ones most.
    pub fn somebody(&mut self) -> Option<PersonId> {
        let drawn = self.chance.skewed(self.registered);
        (self.registered > 0).then(|| (self.people)(drawn))
    }

    /// How much of the time has passed, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    fn progress(&self) -> f64 {
        let length = Span::days(self.options.days.into()).as_micros().max(1);
        (self.now.since(self.options.start).as_micros() as f64 / length as f64).min(1.0)
    }

    /// Whether so many of `all` should be there by now: a quarter from the first day, the rest over time.
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    fn due(&self, there: usize, all: usize) -> bool {
        there < all && (there as f64) < (all as f64) * (0.25 + 0.75 * self.progress())
    }

    /// Time passes until the next wish: little in the evening, much at night.
    fn wait(&mut self) {
        let options = &self.options;
        let left = options.start.plus(Span::days(options.days.into())).since(self.now).as_micros().max(1);
        // Not every wish leads to an event: so many wishes as it takes at the rate so far.
        let events = options.events.saturating_sub(self.offline.events).max(1);
        let to_come = i64::try_from(events * (self.wishes + 1) / (self.offline.events + 1)).unwrap_or(i64::MAX).max(1);
        self.wishes += 1;
        let hour = self.now.micros().div_euclid(3_600_000_000).rem_euclid(24);
        let busy = DAY[usize::try_from(hour).unwrap_or_default()];
        let mean: u64 = DAY.iter().sum::<u64>() / 24;
        let gap = u64::try_from(left / to_come).unwrap_or_default() * mean / busy;
        // Between nothing and twice the mean, so that moments are not evenly spaced.
        let drawn = self.chance.below(usize::try_from(2 * gap + 1).unwrap_or(usize::MAX));
        self.now = self.now.plus(Span::micros(i64::try_from(drawn).unwrap_or_default()));
    }

    /// Steps until there is enough to be written, or enough in all.
    fn decide(&mut self, wishes: &[(u64, Wish)], total: u64) {
        while self.offline.events < self.options.events && self.offline.waiting() < BATCH {
            self.step(wishes, total);
        }
    }

    fn step(&mut self, wishes: &[(u64, Wish)], total: u64) {
        self.wait();
        if self.due(self.registered, self.options.people) && community::register(self) {
            return;
        }
        if self.due(self.community.count(), self.options.groups) && community::create_group(self) {
            return;
        }
        if self.due(self.talk.pages.len(), self.options.pages) && talk::create_page(self) {
            return;
        }
        let mut drawn = self.chance.below(usize::try_from(total).unwrap_or(usize::MAX)) as u64;
        for (weight, wish) in wishes {
            if drawn < *weight {
                return wish(self);
            }
            drawn -= weight;
        }
    }
}

/// Simulates a community and writes its history into `store`. `person` derives ids of people from their number, as they are made in
/// that log: one without people and salt gets the salt of the seed. `progress` is told the number of events written so far.
pub async fn simulate(
    store: &dyn EventStore,
    options: Options,
    person: impl Fn(&People, usize) -> PersonId + Send + 'static,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Summary, PeopleError> {
    let wishes: Vec<(u64, Wish)> = WISHES.iter().flat_map(|pillar| pillar.iter().copied()).collect();
    let total = wishes.iter().map(|(weight, _)| weight).sum();
    let mut offline = Offline::default();
    let people = match People::of(store).await? {
        Some(people) => people,
        None => begin(&mut offline, &options),
    };
    let mut simulation = Simulation {
        offline,
        chance: Chance::new(options.seed),
        now: options.start,
        people: Box::new(move |number| person(&people, number)),
        registered: 0,
        wishes: 0,
        options,
        community: community::Community::default(),
        market: market::Market::default(),
        talk: talk::Talk::default(),
        care: care::Care::default(),
    };
    let mut summary = Summary::default();
    loop {
        // What was decided is written while the next is decided.
        let decided = simulation.offline.take();
        let last = simulation.offline.events >= options.events;
        let write = write(store, decided, &mut summary);
        let decide = async { simulation.decide(&wishes, total) };
        futures::join!(write, decide).0?;
        progress(summary.events);
        if last {
            break;
        }
    }
    Ok(Summary {
        people: simulation.registered,
        groups: simulation.community.count(),
        pages: simulation.talk.pages.len(),
        until: simulation.now,
        ..summary
    })
}

/// Gives the log the salt of the seed.
fn begin(offline: &mut Offline, options: &Options) -> People {
    let (salt, id) = Chance::salt(options.seed);
    let command = salt::Command::DrawSalt(write_salt(&salt));
    offline.ask::<Salt>(&salt::stream(), &command, &Request::new(None, id), options.start);
    People::salted(salt)
}

async fn write(store: &dyn EventStore, appends: Vec<Append>, summary: &mut Summary) -> Result<(), StoreError> {
    for event in appends.iter().flat_map(|append| &append.events) {
        summary.events += 1;
        match summary.types.get_mut(&event.event_type) {
            Some(count) => *count += 1,
            None => drop(summary.types.insert(event.event_type.clone(), 1)),
        }
    }
    for outcome in store.append_many(appends).await {
        outcome?;
    }
    Ok(())
}

#[cfg(test)]
mod deadlines_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
