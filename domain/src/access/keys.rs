//! Rights to read as keys: eras of a place, and windows of time.

use crate::Timestamp;
use crate::membership::Episode;

/// A right to read: what was written in these eras of a place, from `since` on and before `until`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The place, as [`Owner::place`](super::Owner::place) writes it.
    pub place: String,
    /// The first era.
    pub first: u32,
    /// The last era.
    pub last: u32,
    /// Microseconds since the epoch, inclusive.
    pub since: i64,
    /// Microseconds since the epoch, exclusive.
    pub until: i64,
}

impl Key {
    /// A key to everything in these eras, whenever it was written.
    pub const fn always(place: String, first: u32, last: u32) -> Self {
        let (since, until) = ALWAYS;
        Self { place, first, last, since, until }
    }

    /// Whether it is one to everything in its eras.
    pub fn is_always(&self) -> bool {
        (self.since, self.until) == ALWAYS
    }

    /// The audiences that it opens.
    pub fn audiences(&self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(|era| format!("{}:{era}", self.place))
    }

    /// Whether it opens what has this audience and was written at that moment.
    pub fn opens(&self, audience: &str, at: i64) -> bool {
        let era = audience.strip_prefix(&*self.place).and_then(|rest| rest.strip_prefix(':')).and_then(|era| era.parse().ok());
        era.is_some_and(|era| (self.first..=self.last).contains(&era)) && (self.since..self.until).contains(&at)
    }
}

/// Stretches of time: from when on, and before when.
pub(super) type Windows = Vec<(i64, i64)>;

/// The window that leaves nothing out.
pub(super) const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

/// So many episodes of membership count where newcomers read since they joined: the last ones. Who comes and goes more often
/// loses the first; else a reader's keys would grow with every return.
const STAYS: usize = 20;

/// When somebody was there, as far as it counts. One stay that begins where another ends goes on with it.
pub(super) fn stays(episodes: &[Episode]) -> Windows {
    let mut stays = Windows::new();
    for episode in episodes.iter().rev() {
        let (from, until) = (episode.from.micros(), episode.until.map_or(i64::MAX, Timestamp::micros));
        let known = stays.len();
        match stays.last_mut() {
            _ if from >= until => {}
            Some(later) if later.0 <= until => later.0 = later.0.min(from),
            _ if known == STAYS => break,
            _ => stays.push((from, until)),
        }
    }
    stays.reverse();
    stays
}
