//! Reactions: consumers of the log that issue commands. They have a checkpoint each and are never rebuilt.
//!
//! A reaction sees every event at least once. Its commands have ids derived from the event, so seeing one twice changes
//! nothing.

mod appoint_admins;
mod members;
mod progress;
mod refuse_requests;

pub use appoint_admins::AppointAdmins;
pub use progress::{Failure, Progress, progress};
pub use refuse_requests::RefuseRequests;

use crate::execute::{ExecuteError, Executor, Request};
use crate::{EventStore, Position, Recorded, Skips};
use async_trait::async_trait;
use circolo_domain::flow::{self, FollowUp, follow_ups};
use circolo_domain::{Rejection, group, membership, page};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Events a reaction reads at once; the checkpoint moves once per page.
const PAGE: usize = 500;
/// What is new is gathered so long: reactions are in no hurry, and each page costs a transaction for the checkpoint.
const GATHER: Duration = Duration::from_millis(100);
/// How long one wait for news lasts at most.
const WAIT: Duration = Duration::from_secs(5);
/// Pause after a failure: doubled up to the second value.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Something went wrong that may go right later.
pub type ReactionError = Box<dyn std::error::Error + Send + Sync>;

/// A consumer of the log that issues commands.
#[async_trait]
pub trait Reaction: Send + Sync + 'static {
    /// Its name: the key of its checkpoint.
    fn name(&self) -> &'static str;

    /// Does it look at events of this category?
    fn reads(&self, category: &str) -> bool;

    /// Issues what follows from `event`. A refusal by the domain is an outcome; an error is tried again.
    async fn react(&self, event: &Recorded, executor: &Executor) -> Result<(), ReactionError>;
}

/// All reactions: one line each, sorted.
pub fn all() -> Vec<Arc<dyn Reaction>> {
    vec![Arc::new(AppointAdmins), Arc::new(CompleteFlows), Arc::new(RefuseRequests)]
}

/// Where reactions keep how far they have come.
#[async_trait]
pub trait CheckpointStore: Send + Sync + 'static {
    /// The checkpoint of `name`, if it has one for this log.
    async fn load(&self, name: &str) -> Result<Option<Position>, ReactionError>;
    /// Moves the checkpoint of `name`.
    async fn save(&self, name: &str, position: Position) -> Result<(), ReactionError>;
    /// How `name` failed the last time, if it ever did.
    async fn failure(&self, name: &str) -> Result<Option<Failure>, ReactionError>;
    /// Notes how `name` fails, or that it goes on again.
    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ReactionError>;
}

/// Completes flows whose process died between the first append and the rest.
pub struct CompleteFlows;

#[async_trait]
impl Reaction for CompleteFlows {
    fn name(&self) -> &'static str {
        "complete_flows"
    }

    fn reads(&self, category: &str) -> bool {
        flow::CATEGORIES.contains(&category)
    }

    async fn react(&self, event: &Recorded, executor: &Executor) -> Result<(), ReactionError> {
        executor.follow(event).await.map(|_| ())
    }
}

impl Executor {
    /// Issues what follows from `event` in other streams; the last position that led to.
    pub fn follow<'a>(&'a self, event: &'a Recorded) -> BoxFuture<'a, Result<Option<Position>, ReactionError>> {
        Box::pin(async move {
            let mut last = None;
            for (index, follow_up) in follow_ups(&event.stream, &event.event).into_iter().enumerate() {
                let request = following(event, &format!("follow-up {index}"));
                let position = match follow_up {
                    FollowUp::Group(id, command) => refusable(self.execute::<group::Group>(&group::stream(id), command, &request).await)?,
                    FollowUp::Membership(group, person, command) => {
                        refusable(self.execute::<membership::Membership>(&membership::stream(group, person), command, &request).await)?
                    }
                    FollowUp::Page(id, command) => refusable(self.execute::<page::Page>(&page::stream(id), command, &request).await)?,
                };
                last = last.max(position);
            }
            Ok(last)
        })
    }
}

/// The request of a command that follows from `event`; `what` tells several of them apart.
pub fn following(event: &Recorded, what: &str) -> Request {
    Request {
        actor: event.metadata.actor,
        command_id: Uuid::new_v5(&event.id, what.as_bytes()),
        keyed: true,
        fingerprint: None,
        correlation: event.metadata.correlation,
        causation: Some(event.id),
        scope: event.metadata.scope,
        if_match: None,
    }
}

/// The position of what a follow-up appended, now or the first time. A refusal is an outcome like any other: it would be
/// the same again.
pub fn refusable<E: Rejection>(outcome: Result<crate::execute::Done, ExecuteError<E>>) -> Result<Option<Position>, ReactionError> {
    match outcome {
        Ok(done) => Ok((done.changed || done.repeated).then_some(done.position)),
        Err(ExecuteError::Rejected(refusal)) => {
            tracing::debug!(code = refusal.code(), "a follow-up was refused");
            Ok(None)
        }
        Err(error) => Err(Box::new(error)),
    }
}

/// Runs `reaction` until `shutdown` turns true. Failures are tried again, with growing pauses, and never skipped.
pub async fn run(
    reaction: Arc<dyn Reaction>,
    executor: Arc<Executor>,
    checkpoints: Arc<dyn CheckpointStore>,
    mut shutdown: watch::Receiver<bool>,
) {
    let (mut position, mut pause) = (None, BACKOFF.0);
    let mut trouble = progress::Trouble::new(reaction.name());
    while !*shutdown.borrow() {
        let step = async {
            let scanned = next_page(&*reaction, &executor, &*checkpoints, position).await;
            match &scanned {
                Ok(_) => trouble.is_over(&*checkpoints).await,
                Err(error) => {
                    tracing::error!(reaction = reaction.name(), %error, "a reaction failed and will be tried again");
                    trouble.lasts(&*checkpoints, error, executor.now()).await;
                    tokio::time::sleep(pause).await;
                }
            }
            scanned.ok()
        };
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            scanned = step => {
                pause = if scanned.is_some() { BACKOFF.0 } else { (pause * 2).min(BACKOFF.1) };
                position = scanned.or(position);
            }
        }
    }
}

async fn next_page(
    reaction: &dyn Reaction,
    executor: &Executor,
    checkpoints: &dyn CheckpointStore,
    position: Option<Position>,
) -> Result<Position, ReactionError> {
    let after = match position {
        Some(position) => position,
        None => first_position(reaction, executor, checkpoints).await?,
    };
    react_to_page(reaction, executor, checkpoints, after).await
}

/// Where a reaction goes on after a start. A log that lost its last commits gives their positions again: what comes to stand
/// there is new. (Where a checkpoint is beyond the head for another reason, nothing of ours stands in between.)
pub async fn first_position(
    reaction: &dyn Reaction,
    executor: &Executor,
    checkpoints: &dyn CheckpointStore,
) -> Result<Position, ReactionError> {
    let checkpoint = checkpoints.load(reaction.name()).await?.unwrap_or_default();
    Ok(checkpoint.min(executor.store().head().await?))
}

async fn react_to_page(
    reaction: &dyn Reaction,
    executor: &Executor,
    checkpoints: &dyn CheckpointStore,
    after: Position,
) -> Result<Position, ReactionError> {
    let store: &Arc<dyn EventStore> = executor.store();
    let page = store.read_all(after, PAGE).await?;
    let mut skips = Skips::default();
    for stored in page.events.iter().filter(|stored| reaction.reads(stored.stream.category())) {
        match stored.decode() {
            Ok(event) => reaction.react(&event, executor).await?,
            // Nothing is passed over unless somebody decided so.
            Err(error) => {
                skips.learn(&**store).await?;
                if !skips.contains(stored.event.id) {
                    return Err(error.into());
                }
            }
        }
    }
    if page.scanned > after {
        checkpoints.save(reaction.name(), page.scanned).await?;
        if page.events.len() < PAGE {
            tokio::time::sleep(GATHER).await;
        }
    } else {
        store.changed(after, WAIT).await?;
    }
    Ok(page.scanned.max(after))
}

/// Checkpoints in memory, for tests and for logs that are in memory themselves.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints {
    positions: std::sync::Mutex<HashMap<String, Position>>,
    failures: std::sync::Mutex<HashMap<String, Failure>>,
}

#[async_trait]
impl CheckpointStore for MemoryCheckpoints {
    async fn load(&self, name: &str) -> Result<Option<Position>, ReactionError> {
        Ok(self.positions.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied())
    }

    async fn save(&self, name: &str, position: Position) -> Result<(), ReactionError> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), position);
        Ok(())
    }

    async fn failure(&self, name: &str) -> Result<Option<Failure>, ReactionError> {
        Ok(self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ReactionError> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), failure.clone());
        Ok(())
    }
}
