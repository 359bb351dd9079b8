//! Reactions: consumers of the log that issue commands.

mod appoint_admins;
mod complete_flows;
mod members;
mod refuse_requests;

pub use appoint_admins::AppointAdmins;
pub use complete_flows::CompleteFlows;
pub use refuse_requests::RefuseRequests;

use crate::consumers::{Consumer, ConsumerError};
use crate::execute::{ExecuteError, Executor, LoadError, Request};
use crate::{Position, Recorded};
use circolo_domain::{Decider, Issue, Rejection, StreamName};
use futures::future::BoxFuture;
use std::sync::Arc;
use uuid::Uuid;

/// All reactions: one line each, sorted.
pub fn all() -> Vec<Arc<dyn Consumer>> {
    vec![Arc::<AppointAdmins>::default(), Arc::<CompleteFlows>::default(), Arc::<RefuseRequests>::default()]
}

/// Executes a command of any aggregate.
pub struct Asking<'a> {
    executor: &'a Executor,
    request: &'a Request,
}

/// Who takes commands of any aggregate and executes them: `follow_up.give(asking(executor, &request))`.
pub const fn asking<'a>(executor: &'a Executor, request: &'a Request) -> Asking<'a> {
    Asking { executor, request }
}

impl<'a> Issue for Asking<'a> {
    /// The position of what was appended, now or the first time.
    type Outcome = BoxFuture<'a, Result<Option<Position>, ConsumerError>>;

    fn issue<D: Decider>(self, stream: &StreamName, command: D::Command) -> Self::Outcome {
        let stream = stream.clone();
        Box::pin(async move { refusable(self.executor.execute::<D>(&stream, command, self.request).await) })
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
pub fn refusable<E: Rejection>(outcome: Result<crate::execute::Done, ExecuteError<E>>) -> Result<Option<Position>, ConsumerError> {
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
