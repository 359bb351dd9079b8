//! Reactions: consumers of the log that issue commands. They have a checkpoint each and are never rebuilt.
//!
//! A reaction sees every event at least once. Its commands have ids derived from the event, so seeing one twice changes
//! nothing. What cannot be read, or leads to what cannot be read, is put aside and taken up again.

mod appoint_admins;
mod aside;
mod members;
mod progress;
mod refuse_requests;

pub use appoint_admins::AppointAdmins;
pub use progress::{Failure, Progress, progress};
pub use refuse_requests::RefuseRequests;

use crate::execute::{ExecuteError, Executor, LoadError, Request};
use crate::{EventStore, Position, Recorded};
use aside::Aside;
use async_trait::async_trait;
use circolo_domain::flow::{self, FollowUp, follow_ups};
use circolo_domain::{Decider, Rejection, group, membership, page, skip::Skip};
use futures::future::BoxFuture;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

    /// Issues what follows from `event`. A refusal by the domain is an outcome; an error is tried again. [`LoadError::Unreadable`] tells
    /// that it is about something that cannot be read: others come first.
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
    /// Where the events of this log stand that `name` put aside.
    async fn aside(&self, name: &str) -> Result<Vec<Position>, ReactionError>;
    /// Puts an event aside; a second time changes nothing.
    async fn put_aside(&self, name: &str, position: Position) -> Result<(), ReactionError>;
    /// Takes an event up that was put aside.
    async fn take_up(&self, name: &str, position: Position) -> Result<(), ReactionError>;
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
        asked: None,
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
        Err(ExecuteError::Unreadable(unread) | ExecuteError::Hidden(unread)) => Err(Box::new(LoadError::Unreadable(unread))),
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
    let (mut position, mut pause, mut aside) = (None, BACKOFF.0, Aside::default());
    let mut trouble = progress::Trouble::new(reaction.name());
    while !*shutdown.borrow() {
        let step = async {
            let scanned = next_page(&*reaction, &executor, &*checkpoints, position, &mut aside).await;
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
    aside: &mut Aside,
) -> Result<Position, ReactionError> {
    let after = match position {
        Some(position) => position,
        None => first_position(reaction, executor, checkpoints).await?,
    };
    aside.retry(reaction, executor, checkpoints).await?;
    react_to_page(reaction, executor, checkpoints, after, aside).await
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
    aside: &mut Aside,
) -> Result<Position, ReactionError> {
    let store: &Arc<dyn EventStore> = executor.store();
    let page = store.read_all(after, PAGE).await?;
    for stored in &page.events {
        let category = stored.stream.category();
        if reaction.reads(category) {
            aside.react(reaction, executor, checkpoints, stored).await?;
        } else if category == Skip::CATEGORY {
            aside.is_due();
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
    positions: Mutex<HashMap<String, Position>>,
    failures: Mutex<HashMap<String, Failure>>,
    aside: Mutex<BTreeSet<(String, Position)>>,
}

#[async_trait]
impl CheckpointStore for MemoryCheckpoints {
    async fn load(&self, name: &str) -> Result<Option<Position>, ReactionError> {
        Ok(locked(&self.positions).get(name).copied())
    }

    async fn save(&self, name: &str, position: Position) -> Result<(), ReactionError> {
        locked(&self.positions).insert(name.to_owned(), position);
        Ok(())
    }

    async fn failure(&self, name: &str) -> Result<Option<Failure>, ReactionError> {
        Ok(locked(&self.failures).get(name).cloned())
    }

    async fn note(&self, name: &str, failure: &Failure) -> Result<(), ReactionError> {
        locked(&self.failures).insert(name.to_owned(), failure.clone());
        Ok(())
    }

    async fn aside(&self, name: &str) -> Result<Vec<Position>, ReactionError> {
        Ok(locked(&self.aside).iter().filter(|(of, _)| of == name).map(|(_, position)| *position).collect())
    }

    async fn put_aside(&self, name: &str, position: Position) -> Result<(), ReactionError> {
        locked(&self.aside).insert((name.to_owned(), position));
        Ok(())
    }

    async fn take_up(&self, name: &str, position: Position) -> Result<(), ReactionError> {
        locked(&self.aside).remove(&(name.to_owned(), position));
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
