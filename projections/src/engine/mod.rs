//! The engine: feeds, builds, switches and verifies every read model, on both databases.
//!
//! - [`tables`]: what the database holds of builds, and their rows
//! - [`member`]: a build that is moved
//! - [`decode`]: a page of the log, each event decoded once for all its readers; [`poison`]: what cannot be decoded, [`care`]: what cannot be stored
//! - [`compute`]: where what keeps a processor busy is done
//! - [`step`]: one batch in one transaction, for the lane and for catching up
//! - [`bulk`]: batches as large as memory allows, written in many short transactions, for builds under construction
//! - [`lane`]: the live loop; [`builds`]: from the first event of a build to its place in the lane
//! - [`operations`]: what operators do with builds, [`mend`]: what is done without them; [`steering`]: how those who move builds learn of it
//! - [`reign`]: a time in which this process moves read models; [`lease`], [`node`], [`turn`]: whose turn it is, among several processes
//! - [`projector`]: the facade; [`verify`], [`status`]: what operators see
//! - [`damage`]: whether the database holds what it wrote

pub mod builds;
pub mod bulk;
pub mod care;
pub mod compute;
pub mod damage;
pub mod decode;
pub mod lane;
pub mod lease;
pub mod member;
pub mod mend;
pub mod node;
pub mod operations;
pub mod poison;
pub mod projector;
pub mod reign;
pub mod status;
pub mod steering;
pub mod step;
pub mod tables;
pub mod turn;
pub mod verify;

use crate::{
    db::{Db, DbError},
    projection::{DeclarationError, Projection},
};
use circolo_domain::Timestamp;
use circolo_events::{EventStore, Position, Skips, StoreError};
use compute::compute;
use lease::Node;
use member::Member;
use node::Reins;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use steering::Steering;
use tables::build::{BuildId, State};
use tokio::sync::watch;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the engine works.
#[derive(Clone)]
pub struct Options {
    /// Tells the time, for operators; folds never see it.
    pub clock: Clock,
    /// Events per transaction of the lane.
    pub live_page: usize,
    /// Events per read of a build.
    pub build_page: usize,
    /// How many bytes of rows a build holds in memory before it writes them, roughly.
    pub memory: usize,
    /// How many events per second builds are moved over at most, if nothing else is asked of them.
    pub rate: Option<u64>,
    /// Whether somebody may be served from these read models meanwhile; builds give way then.
    pub serving: bool,
    /// What to do at the start with read models that the log does not match.
    pub mismatch: Mismatch,
    /// Who this is among several that share the read models, which must then be in Postgres; `None`: nobody else is there.
    pub node: Option<Node>,
    /// Asked before each transaction of a build; `true` ends the build as a crash would. For fault tests.
    #[doc(hidden)]
    pub interrupt: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

/// What to do with read models that were folded from another log, or from events that it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Refuse to start.
    Refuse,
    /// Build them anew; the old ones are served until then.
    Rebuild,
}

impl Options {
    /// The defaults.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            live_page: 8_000,
            build_page: 2_000,
            memory: 64 << 20,
            rate: None,
            serving: true,
            mismatch: Mismatch::Refuse,
            node: None,
            interrupt: None,
        }
    }
}

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The read models' database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The declarations contradict each other.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// The read models are ahead of the log, or folded from another one.
    #[error(
        "the log does not hold what {id} was folded from up to position {position}: it was restored from a backup, or is another log; \
         `circolo projections rebuild --all` builds the read models anew"
    )]
    Mismatch {
        /// The first build that does not match.
        id: BuildId,
        /// Its checkpoint.
        position: Position,
    },
    /// No projection has this name.
    #[error("no projection is called {0}")]
    Unknown(String),
    /// A build of it is under way or waits for its switch.
    #[error("{0} is under way")]
    Underway(BuildId),
    /// There is no build in the state that is needed.
    #[error("{name} has no build that could be {what}")]
    Nothing {
        /// The projection.
        name: String,
        /// Switched to, rolled back to, cancelled.
        what: &'static str,
    },
    /// It is needed, and cannot be dropped.
    #[error("{id} is {} and cannot be dropped", .state.name())]
    InUse {
        /// Which.
        id: BuildId,
        /// What it is needed as.
        state: State,
    },
    /// A build gave up.
    #[error("{id} failed: {reason}")]
    Failed {
        /// Which.
        id: BuildId,
        /// Why.
        reason: String,
    },
    /// Several nodes cannot share a file.
    #[error("several nodes need read models in Postgres: --views postgres://...")]
    OneNode,
    /// Another node moves the read model.
    #[error("another node moves the read models")]
    Elsewhere,
    /// An event that a newer program wrote: another node may know it.
    #[error("no event of type {0} is known here")]
    Newer(String),
    /// The projector is shutting down.
    #[error("the projector is shutting down")]
    Down,
}

/// What all parts of one projector share.
pub struct Shared {
    /// The read models.
    pub db: Db,
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// What this program knows.
    pub projections: Vec<Projection>,
    /// How to work.
    pub options: Options,
    /// Up to where the lane is: everything a query sees is folded up to here.
    pub applied: watch::Sender<Position>,
    /// Counts changes of builds, to wake those who wait for one.
    pub changes: watch::Sender<u64>,
    /// Turns true once.
    pub down: watch::Sender<bool>,
    /// What operators ask of builds.
    pub steering: Mutex<Steering>,
    /// Events that are passed over.
    pub skips: Skips,
    /// Tells that something was passed over.
    pub skipped: watch::Sender<()>,
    /// Builds that were begun to mend what is live.
    pub mending: Mutex<HashSet<BuildId>>,
    /// Held by operators while they look which builds there are and begin others.
    pub operators: tokio::sync::Mutex<()>,
    /// The last verification of each projection.
    pub reports: Arc<Mutex<BTreeMap<String, verify::Report>>>,
    /// Figures of the lane and of builds.
    pub meters: Arc<Mutex<status::Meters>>,
    /// Where several nodes take turns: how this one's ends.
    pub reins: Option<Reins>,
}

impl Shared {
    /// Is it time to stop?
    pub fn is_down(&self) -> bool {
        *self.down.borrow()
    }

    /// Waits `pause`; an error if the projector shuts down meanwhile.
    pub async fn pause(&self, pause: Duration) -> Result<(), EngineError> {
        let mut down = self.down.subscribe();
        match tokio::time::timeout(pause, down.wait_for(|down| *down)).await {
            Ok(_) => Err(EngineError::Down),
            Err(_) => Ok(()),
        }
    }

    /// Wakes those who wait for a change of builds.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// The projection of this name.
    pub fn projection(&self, name: &str) -> Result<&Projection, EngineError> {
        self.projections.iter().find(|projection| projection.name == name).ok_or_else(|| EngineError::Unknown(name.to_owned()))
    }

    /// Notes how far builds have come on their way to `end`.
    pub fn built(&self, members: &[Member], position: Position, events: usize, end: Position) {
        #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
        let progress = if end.0 > 0 { (position.0 as f64 / end.0 as f64).min(1.0) } else { 1.0 };
        let mut meters = self.meters();
        for member in members {
            meters.built(&member.id, position, events);
            for physical in member.tables() {
                self.db.set_progress(physical.table.name, progress);
            }
        }
    }

    /// The last verifications.
    pub fn reports(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, verify::Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures.
    pub fn meters(&self) -> std::sync::MutexGuard<'_, status::Meters> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
