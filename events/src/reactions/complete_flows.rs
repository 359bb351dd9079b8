//! What follows from an event in other streams is completed where the process died between the first append and the rest.

use super::{asking, following};
use crate::consumers::{Consumer, ConsumerError, Name};
use crate::{Executor, Position, Recorded};
use async_trait::async_trait;
use circolo_domain::flow::{self, follow_ups};
use futures::future::BoxFuture;

/// Completes flows.
pub struct CompleteFlows(Name);

impl Default for CompleteFlows {
    fn default() -> Self {
        Self(Name::only("complete_flows"))
    }
}

#[async_trait]
impl Consumer for CompleteFlows {
    fn name(&self) -> &Name {
        &self.0
    }

    fn reads(&self, category: &str) -> bool {
        flow::follows(category)
    }

    async fn consume(&self, event: &Recorded, executor: &Executor) -> Result<(), ConsumerError> {
        executor.follow(event).await.map(|_| ())
    }
}

impl Executor {
    /// Issues what follows from `event` in other streams; the last position that led to.
    pub fn follow<'a>(&'a self, event: &'a Recorded) -> BoxFuture<'a, Result<Option<Position>, ConsumerError>> {
        Box::pin(async move {
            let mut last = None;
            for (index, follow_up) in follow_ups(&event.stream, &event.event).into_iter().enumerate() {
                let request = following(event, &format!("follow-up {index}"));
                last = last.max(follow_up.give(asking(self, &request)).await?);
            }
            Ok(last)
        })
    }
}
