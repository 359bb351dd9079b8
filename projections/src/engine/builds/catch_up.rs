//! Brings builds from where they stand up to where the log ends.

use super::{
    bulk::Bulk,
    lifecycle::discard,
    pace::{self, Pace},
    subscriber::Subscriber,
    subscription::{Step, Subscription},
};
use crate::{
    db::Urgency,
    engine::{
        context::{error::EngineError, shared::Shared},
        tables::{
            build::{Build, Checkpoint},
            registry,
        },
    },
};
use circolo_events::Position;
use std::sync::Arc;

/// Builds as the registry knows them, ready to be moved.
pub async fn subscribers(shared: &Shared, builds: &[Build]) -> Result<Vec<Subscriber>, EngineError> {
    let mut subscribers = Vec::with_capacity(builds.len());
    for build in builds {
        let mut subscriber = Subscriber::new(shared.projection(&build.id.name)?, build);
        subscriber.leave_out(registry::parked(&shared.db, &build.id).await?);
        subscribers.push(subscriber);
    }
    Ok(subscribers)
}

/// Folds builds that stand at `checkpoint` up to `until`, or else to where the log ends now, and completes them.
pub async fn bring_up(
    shared: &Arc<Shared>,
    subscribers: Vec<Subscriber>,
    checkpoint: Checkpoint,
    until: Option<Position>,
) -> Result<Subscription, EngineError> {
    let mut bulk = Bulk::new(subscribers, checkpoint);
    if bulk.subscribers.iter().any(|subscriber| !subscriber.indexed) {
        let end = match until {
            Some(until) => until,
            None => shared.store.head().await?,
        };
        bulk.run(shared, end).await?;
        bulk.complete(shared).await?;
    }
    let mut subscription = Subscription::new(bulk.subscribers, bulk.checkpoint);
    let mut pace = Pace::default();
    loop {
        remove_cancelled(shared, &mut subscription).await?;
        subscription.subscribers.retain(|subscriber| !shared.let_go(&subscriber.id));
        if subscription.subscribers.is_empty() {
            return Ok(subscription);
        }
        let limit = Pace::page(pace::rate(shared, &subscription.subscribers), shared.options.live_page);
        match subscription.step(shared, limit, until, Urgency::Build).await? {
            Step::Moved(events) => {
                let position = subscription.checkpoint.position;
                pace::note(shared, &subscription.subscribers, position, events, position);
                if events < limit && until.is_none_or(|until| subscription.checkpoint.position >= until) {
                    return Ok(subscription);
                }
                pace.keep(shared, &subscription.subscribers, events).await?;
            }
            Step::Idle => return Ok(subscription),
            Step::Stopped => {}
        }
        if shared.is_down() {
            return Err(EngineError::Down);
        }
    }
}

/// Takes those out that operators gave up.
pub async fn remove_cancelled(shared: &Shared, subscription: &mut Subscription) -> Result<(), EngineError> {
    while let Some(at) = subscription.subscribers.iter().position(|subscriber| shared.steering.is_cancelled(&subscriber.id)) {
        discard(shared, &subscription.subscribers[at]).await?;
        subscription.subscribers.remove(at);
    }
    Ok(())
}
