//! Wakes what is due: asks each aggregate by its own command once a moment has come that it waits for.
//!
//! What waits is told by a read model ([`Deadlines`]), which may lag; what is true is judged by the decision. So whatever is woken late,
//! early, twice, by two nodes or from a row that is out of date changes nothing, and nothing needs a checkpoint.

use crate::consumers::ConsumerError;
use crate::execute::{Executor, Request};
use crate::reactions::asking;
use crate::{LoadError, Position, Unreadable};
use async_trait::async_trait;
use circolo_domain::access::{Owner, Privacy, Scope};
use circolo_domain::deadline::{Matter, wake};
use circolo_domain::stance::Rights;
use circolo_domain::{Decider, FollowUp, Issue, StreamName, Timestamp};
use futures::{StreamExt, future::BoxFuture, stream};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, sync::watch, time::Instant, time::sleep};
use uuid::Uuid;

/// How often is looked for what is due.
pub const TICK: Duration = Duration::from_secs(1);
/// Matters read at once.
const PAGE: usize = 1_000;
/// Commands under way at once: enough to share the log's commits, few enough that those of people do not wait behind them.
const AT_ONCE: usize = 64;
/// How long a matter is left alone that was woken and still waits: from the first to the second value, doubled each time.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(10));
/// Pause after a failure: doubled up to the second value.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A matter that has waited for as long as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its place among those of the same moment.
    pub key: String,
    /// What waits.
    pub matter: Matter,
    /// Until when it waited.
    pub at: Timestamp,
    /// The event that said so.
    pub set_by: Uuid,
}

impl Due {
    /// The id of the command that wakes it: the same whoever wakes it and however often, another if it waits for another moment, or anew.
    pub fn command_id(&self) -> Uuid {
        Uuid::new_v5(&self.set_by, format!("wake {} {}", self.matter, self.at.micros()).as_bytes())
    }
}

/// Who knows what waits.
#[async_trait]
pub trait Deadlines: Send + Sync + 'static {
    /// What is due at `now`, the oldest first, behind `after`, at most `limit`.
    async fn due(&self, now: Timestamp, after: Option<&Due>, limit: usize) -> Result<Vec<Due>, ConsumerError>;

    /// Waits until what stands at `position` is known here, for as long as that is to be expected.
    async fn know(&self, position: Position) -> Result<(), ConsumerError>;
}

/// Wakes what is due.
pub struct Waker {
    executor: Arc<Executor>,
    deadlines: Arc<dyn Deadlines>,
    /// Those that were woken and still wait, with when they are tried again and how long they were left alone.
    resting: Mutex<HashMap<(String, Timestamp), (Instant, Duration)>>,
}

/// What became of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How many were due.
    pub due: usize,
    /// Up to where that led.
    pub position: Option<Position>,
}

impl Waker {
    /// Asks through `executor` what `deadlines` say.
    pub fn new(executor: Arc<Executor>, deadlines: Arc<dyn Deadlines>) -> Self {
        Self { executor, deadlines, resting: Mutex::default() }
    }

    /// Wakes everything that is due now, the oldest first, and waits until what came of it is known. What was woken a moment ago and
    /// came to nothing is left alone, unless `all` are wanted.
    pub async fn round(&self, all: bool) -> Result<Round, ConsumerError> {
        let mut resting = self.resting.lock().await;
        let now = self.executor.now();
        let (mut round, mut after, mut still) = (Round::default(), None, HashMap::new());
        loop {
            let page = self.deadlines.due(now, after.as_ref(), PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().cloned().or(after);
            let (wanted, left): (Vec<_>, Vec<_>) =
                page.into_iter().partition(|due| all || resting.get(&rest(due)).is_none_or(|(again, _)| *again <= Instant::now()));
            still.extend(left.iter().filter_map(|due| resting.get(&rest(due)).map(|known| (rest(due), *known))));
            round.due += wanted.len();
            let mut outcomes = stream::iter(wanted).map(|due| async move { (self.wake(&due).await, due) }).buffer_unordered(AT_ONCE);
            while let Some((outcome, due)) = outcomes.next().await {
                let led_to = outcome?;
                round.position = round.position.max(led_to);
                if led_to.is_none() {
                    let pause = resting.get(&rest(&due)).map_or(REST.0, |(_, pause)| (*pause * 2).min(REST.1));
                    still.insert(rest(&due), (Instant::now() + pause, pause));
                }
            }
            if !full {
                break;
            }
        }
        *resting = still;
        if let Some(position) = round.position {
            self.deadlines.know(position).await?;
        }
        Ok(round)
    }

    /// Wakes one; the position of what it led to.
    async fn wake(&self, due: &Due) -> Result<Option<Position>, ConsumerError> {
        // What this program does not know how to wake, a newer one does.
        let Some(FollowUp { stream, command }) = wake(&due.matter, due.at) else { return Ok(None) };
        let id = due.command_id();
        let request = Request { keyed: true, causation: Some(due.set_by), ..Request::new(None, id) };
        match command.give(&stream, Waking { executor: &self.executor, request }).await {
            Ok(position) => Ok(position),
            Err(error) => match error.downcast::<LoadError>() {
                Ok(error) => match *error {
                    LoadError::Unreadable(unread) => Ok(told(due, &unread)),
                    LoadError::Store(error) => Err(error.into()),
                },
                Err(error) => Err(error),
            },
        }
    }
}

fn rest(due: &Due) -> (String, Timestamp) {
    (due.key.clone(), due.at)
}

/// It has its turn when all of it can be read.
fn told(due: &Due, unread: &Unreadable) -> Option<Position> {
    tracing::debug!(matter = %due.matter, %unread, "what is due cannot be read");
    None
}

/// Executes a command of the server's own, in the place that its rights are about.
struct Waking<'a> {
    executor: &'a Executor,
    request: Request,
}

impl<'a> Issue for Waking<'a> {
    type Outcome = BoxFuture<'a, Result<Option<Position>, ConsumerError>>;

    fn issue<D: Decider>(self, stream: &StreamName, mut command: D::Command) -> Self::Outcome {
        // How private the place is now the executor tells; until it has, as private as can be.
        let scope = D::rights(&mut command).first().map(|rights| {
            let owner = match rights {
                Rights::Group(standing) => Owner::Group(standing.group_id()),
                Rights::Page(standing) => Owner::Page(standing.page_id()),
            };
            Scope { owner, privacy: Privacy::Secret, era: 0 }
        });
        let (executor, stream, request) = (self.executor, stream.clone(), self.request.within(scope));
        Box::pin(async move { asking(executor, &request).issue::<D>(&stream, command).await })
    }
}

/// Wakes what is due until `shutdown` turns true.
pub async fn run(waker: Arc<Waker>, mut shutdown: watch::Receiver<bool>) {
    let mut pause = BACKOFF.0;
    while !*shutdown.borrow() {
        let round = async {
            match waker.round(false).await {
                Ok(_) => {
                    pause = BACKOFF.0;
                    sleep(TICK).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "what is due cannot be woken for now");
                    sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        };
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = round => {}
        }
    }
}

#[cfg(test)]
#[path = "waking_tests.rs"]
mod tests;
