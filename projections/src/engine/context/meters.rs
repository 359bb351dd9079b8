//! Figures of the live subscription and of builds: how far they have come in this process, how fast, and what keeps them.

use crate::engine::tables::build::BuildId;
use circolo_events::Position;
use std::collections::HashMap;
use tokio::time::{Duration, Instant};

/// Figures of the live subscription and of builds.
#[derive(Default)]
pub struct Meters {
    /// How fast the live subscription moves.
    pub live: Rate,
    builds: HashMap<BuildId, Progress>,
    /// What keeps builds from going on, until a retry mends it.
    held_up: HashMap<BuildId, String>,
    /// Why the live subscription stopped, if it did.
    pub failure: Option<String>,
    /// What keeps the live subscription from its next step, until a retry mends it.
    pub trouble: Option<String>,
}

/// How far a build has come, and how fast.
pub struct Progress {
    begun: Instant,
    first: Position,
    /// Up to here it is folded, in memory.
    pub position: Position,
    /// How fast it moves.
    pub rate: Rate,
}

/// Events per second over the last seconds.
#[derive(Default)]
pub struct Rate {
    since: Option<Instant>,
    count: usize,
    last: f64,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(5);

    fn add(&mut self, events: usize) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.count += events;
        if since.elapsed() >= Self::WINDOW {
            (self.last, self.count, self.since) = (self.current(since), 0, Some(Instant::now()));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
    fn current(&self, since: Instant) -> f64 {
        self.count as f64 / since.elapsed().as_secs_f64().max(0.001)
    }

    /// The figure.
    pub fn per_second(&self) -> f64 {
        match self.since {
            None => 0.0,
            Some(since) if self.last > 0.0 && since.elapsed() < Self::WINDOW => self.last,
            Some(since) => self.current(since),
        }
    }
}

impl Meters {
    /// The live subscription moved over so many events.
    pub fn moved(&mut self, events: usize) {
        self.live.add(events);
    }

    /// A build came to `position`, over so many events.
    pub fn built(&mut self, id: &BuildId, position: Position, events: usize) {
        let fresh = || Progress { begun: Instant::now(), first: position, position, rate: Rate::default() };
        let progress = self.builds.entry(id.clone()).or_insert_with(fresh);
        progress.position = position;
        progress.rate.add(events);
        self.held_up.remove(id);
    }

    /// Builds failed in a way that may pass, and are tried again.
    pub fn held_up(&mut self, ids: &[BuildId], why: &str) {
        self.held_up.extend(ids.iter().map(|id| (id.clone(), format!("tried again: {why}"))));
    }

    /// How far a build has come in this process.
    pub fn progress(&self, id: &BuildId) -> Option<&Progress> {
        self.builds.get(id)
    }

    /// What keeps a build from going on.
    pub fn hindrance(&self, id: &BuildId) -> Option<&String> {
        self.held_up.get(id)
    }

    /// A build is no more.
    pub fn forget(&mut self, id: &BuildId) {
        self.builds.remove(id);
        self.held_up.remove(id);
    }
}

impl Progress {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people to look at")]
    /// How many seconds it will take to `head`, if it goes on like this.
    pub fn eta(&self, head: Position) -> Option<f64> {
        let (done, left) = ((self.position.0 - self.first.0) as f64, (head.0 - self.position.0).max(0) as f64);
        (done > 0.0).then(|| left * self.begun.elapsed().as_secs_f64() / done)
    }
}
