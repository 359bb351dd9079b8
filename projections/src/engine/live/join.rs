//! A build from its first event to its place in the live subscription.

use super::live_subscription::LiveHandle;
use crate::{
    db::Urgency,
    engine::{
        builds::{
            catch_up::{bring_up, subscribers},
            lifecycle::{discard, drop_leftovers},
        },
        context::{backoff::Backoff, error::EngineError, shared::Shared},
        tables::{
            build::{BuildId, State},
            registry,
        },
    },
};
use std::sync::Arc;

/// How often builds are tried again one after the other though it should be in vain.
const TRIES: u32 = 8;

/// Brings builds up to now and into the live subscription, through failures that pass and across restarts.
pub async fn run(shared: Arc<Shared>, live: LiveHandle, mut ids: Vec<BuildId>) {
    let (mut backoff, mut in_vain) = (Backoff::new(), 0);
    loop {
        let error = match attempt(&shared, &live, &mut ids).await {
            Ok(()) | Err(EngineError::Down) => return,
            Err(error) if shared.resigns(&error) => return,
            Err(error) => error,
        };
        ids.retain(|id| !shared.let_go(id));
        in_vain = if error.is_lasting() { in_vain + 1 } else { 0 };
        if error.is_final() || in_vain >= TRIES {
            tracing::error!(%error, ?ids, "builds failed");
            let failed = |id| registry::set_state(id, State::Failed, Some(&error.to_string()));
            if shared.db.write(ids.iter().map(failed).collect(), Urgency::Build).await.is_ok() {
                ids.iter().filter_map(|id| shared.projection(&id.name).ok()).for_each(|projection| shared.gave_up(projection));
                return shared.steering.changed();
            }
        }
        tracing::warn!(%error, ?ids, "builds are tried again");
        shared.meters().held_up(&ids, &error.to_string());
        if shared.pause(backoff.next()).await.is_err() {
            return;
        }
    }
}

/// What joined the live subscription is no longer in `ids`: it must not be moved by two.
async fn attempt(shared: &Arc<Shared>, live: &LiveHandle, ids: &mut Vec<BuildId>) -> Result<(), EngineError> {
    ids.retain(|id| !shared.let_go(id));
    let mut builds = registry::builds(&shared.db).await?;
    builds.retain(|build| ids.contains(&build.id) && (build.state.is_underway() || build.state.is_live()));
    // What was interrupted together stands together; a group at a time.
    builds.sort_by_key(|build| (build.indexed, build.checkpoint.position));
    let (given_up, builds): (Vec<_>, Vec<_>) = builds.into_iter().partition(|build| shared.steering.is_cancelled(&build.id));
    for subscriber in subscribers(shared, &given_up).await? {
        discard(shared, &subscriber).await?;
    }
    for group in builds.chunk_by(|a, b| (a.indexed, a.checkpoint) == (b.indexed, b.checkpoint)) {
        let subscribers = subscribers(shared, group).await?;
        let subscription = bring_up(shared, subscribers, group[0].checkpoint, None).await?;
        let joining: Vec<_> = subscription.subscribers.iter().map(|subscriber| subscriber.id.clone()).collect();
        live.join(subscription).await?;
        ids.retain(|id| !joining.contains(id));
        for id in joining {
            // What is left over now is left over after the next build as well.
            if let Err(error) = drop_leftovers(shared, &id.name).await {
                tracing::warn!(%error, name = id.name, "old builds could not be dropped");
            }
        }
    }
    Ok(())
}
