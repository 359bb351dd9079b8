//! Brings builds from where they stand up to where the log ends.

use super::{
    bulk::Bulk,
    lifecycle::discard,
    member::Member,
    pace::{self, Pace},
    step::{Convoy, Step},
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
pub async fn members(shared: &Shared, builds: &[Build]) -> Result<Vec<Member>, EngineError> {
    let mut members = Vec::with_capacity(builds.len());
    for build in builds {
        let mut member = Member::new(shared.projection(&build.id.name)?, build);
        member.leave_out(registry::parked(&shared.db, &build.id).await?);
        members.push(member);
    }
    Ok(members)
}

/// Folds builds that stand at `checkpoint` up to `until`, or else to where the log ends now, and completes them.
pub async fn bring_up(
    shared: &Arc<Shared>,
    members: Vec<Member>,
    checkpoint: Checkpoint,
    until: Option<Position>,
) -> Result<Convoy, EngineError> {
    let mut bulk = Bulk::new(members, checkpoint);
    if bulk.members.iter().any(|member| !member.indexed) {
        let end = match until {
            Some(until) => until,
            None => shared.store.head().await?,
        };
        bulk.run(shared, end).await?;
        bulk.complete(shared).await?;
    }
    let mut convoy = Convoy::new(bulk.members, bulk.checkpoint);
    let mut pace = Pace::default();
    loop {
        remove_cancelled(shared, &mut convoy).await?;
        convoy.members.retain(|member| !shared.let_go(&member.id));
        if convoy.members.is_empty() {
            return Ok(convoy);
        }
        let limit = Pace::page(pace::rate(shared, &convoy.members), shared.options.live_page);
        match convoy.step(shared, limit, until, Urgency::Build).await? {
            Step::Moved(events) => {
                let position = convoy.checkpoint.position;
                pace::note(shared, &convoy.members, position, events, position);
                if events < limit && until.is_none_or(|until| convoy.checkpoint.position >= until) {
                    return Ok(convoy);
                }
                pace.keep(shared, &convoy.members, events).await?;
            }
            Step::Idle => return Ok(convoy),
            Step::Stopped => {}
        }
        if shared.is_down() {
            return Err(EngineError::Down);
        }
    }
}

/// Takes those out that operators gave up.
pub async fn remove_cancelled(shared: &Shared, convoy: &mut Convoy) -> Result<(), EngineError> {
    while let Some(at) = convoy.members.iter().position(|member| shared.steering.is_cancelled(&member.id)) {
        discard(shared, &convoy.members[at]).await?;
        convoy.members.remove(at);
    }
    Ok(())
}
