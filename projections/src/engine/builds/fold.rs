//! Folds a part of the log into the rows of several builds, and lets those go that cannot go on.

use super::{
    compute::compute,
    decode::Decoded,
    subscriber::{FoldError, Subscriber},
};
use crate::{
    db::Urgency,
    engine::{
        context::{error::EngineError, shared::Shared},
        tables::{build::State, parked::Poison, registry},
    },
    projection::OnPoison,
};
use futures::{FutureExt, StreamExt, stream};

/// So many builds ask at a time for the rows that they are about to change.
const SIDE_BY_SIDE: usize = 4;

/// Folds into the memory of all `subscribers`; those that are broken leave.
pub async fn fold_all(shared: &Shared, subscribers: &mut Vec<Subscriber>, decoded: &Decoded, urgency: Urgency) -> Result<(), EngineError> {
    let now = (shared.options.clock)();
    for subscriber in subscribers.iter_mut() {
        subscriber.park(&decoded.poisons, now);
    }
    let prepared: Vec<_> = compute(urgency, || subscribers.iter_mut().map(|subscriber| subscriber.prepare(&decoded.events)).collect());
    let loads = subscribers.iter_mut().zip(prepared).map(|(subscriber, prepared)| {
        let load = async move {
            let mut prepared = prepared?;
            subscriber.load(&shared.db, &mut prepared, urgency).await?;
            Ok::<_, FoldError>(prepared)
        };
        load.boxed()
    });
    let loaded: Vec<_> = stream::iter(loads.collect::<Vec<_>>()).buffered(SIDE_BY_SIDE).collect().await;
    let folded: Vec<_> = compute(urgency, || {
        subscribers.iter_mut().zip(loaded).map(|(subscriber, prepared)| prepared.and_then(|prepared| subscriber.fold(&prepared))).collect()
    });
    let mut at = 0;
    for outcome in folded {
        match outcome {
            Ok(()) => at += 1,
            Err(FoldError::Broken(reason)) => {
                stop(shared, &mut subscribers[at], &reason).await?;
                subscribers.remove(at);
            }
            Err(FoldError::Engine(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Parks what the database cannot hold, in all who read it; those who stop at such leave.
pub async fn park_refused(shared: &Shared, subscribers: &mut Vec<Subscriber>, refused: &[Poison]) -> Result<(), EngineError> {
    let now = (shared.options.clock)();
    for poison in refused {
        stop_readers(shared, subscribers, poison).await?;
        for subscriber in subscribers.iter_mut() {
            subscriber.park(std::slice::from_ref(poison), now);
        }
    }
    Ok(())
}

/// Takes those out of `subscribers` who read what cannot be read.
pub async fn stop_readers(shared: &Shared, subscribers: &mut Vec<Subscriber>, poison: &Poison) -> Result<(), EngineError> {
    let stops = |subscriber: &Subscriber| subscriber.projection.on_poison == OnPoison::Stop && subscriber.reads(poison.stream.category());
    while let Some(at) = subscribers.iter().position(stops) {
        stop(shared, &mut subscribers[at], &poison.reason()).await?;
        subscribers.remove(at);
    }
    Ok(())
}

/// Notes that a build cannot go on.
pub async fn stop(shared: &Shared, subscriber: &mut Subscriber, reason: &str) -> Result<(), EngineError> {
    subscriber.clear();
    let state = if matches!(subscriber.state, State::Live | State::Stopped) { State::Stopped } else { State::Failed };
    tracing::error!(projection = %subscriber.id, %reason, "a projection stopped; mend it and rebuild");
    shared.db.write(vec![registry::set_state(&subscriber.id, state, Some(reason))], Urgency::Live).await?;
    subscriber.state = state;
    shared.gave_up(&subscriber.projection);
    shared.steering.changed();
    Ok(())
}
