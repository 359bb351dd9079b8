//! How the engine works, as its host says at the start.

use circolo_domain::Timestamp;
use std::sync::Arc;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the engine works.
#[derive(Clone)]
pub struct Options {
    /// Tells the time, for operators; folds never see it.
    pub clock: Clock,
    /// Events per transaction of the live subscription.
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

/// A process that may move read models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Unlike that of any other process, ever.
    pub id: String,
    /// Where other nodes reach it.
    pub url: String,
}
