//! Folds a part of the log into the rows of several builds, and lets those go that cannot go on.

use super::{
    compute::compute,
    decode::Decoded,
    member::{FoldError, Member},
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

/// Folds into the memory of all `members`; those that are broken leave.
pub async fn fold_all(shared: &Shared, members: &mut Vec<Member>, decoded: &Decoded, urgency: Urgency) -> Result<(), EngineError> {
    let now = (shared.options.clock)();
    for member in members.iter_mut() {
        member.park(&decoded.poisons, now);
    }
    let prepared: Vec<_> = compute(urgency, || members.iter_mut().map(|member| member.prepare(&decoded.events)).collect());
    let loads = members.iter_mut().zip(prepared).map(|(member, prepared)| {
        let load = async move {
            let mut prepared = prepared?;
            member.load(&shared.db, &mut prepared, urgency).await?;
            Ok::<_, FoldError>(prepared)
        };
        load.boxed()
    });
    let loaded: Vec<_> = stream::iter(loads.collect::<Vec<_>>()).buffered(SIDE_BY_SIDE).collect().await;
    let folded: Vec<_> = compute(urgency, || {
        members.iter_mut().zip(loaded).map(|(member, prepared)| prepared.and_then(|prepared| member.fold(&prepared))).collect()
    });
    let mut at = 0;
    for outcome in folded {
        match outcome {
            Ok(()) => at += 1,
            Err(FoldError::Broken(reason)) => {
                stop(shared, &mut members[at], &reason).await?;
                members.remove(at);
            }
            Err(FoldError::Engine(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Parks what the database cannot hold, in all who read it; those who stop at such leave.
pub async fn park_refused(shared: &Shared, members: &mut Vec<Member>, refused: &[Poison]) -> Result<(), EngineError> {
    let now = (shared.options.clock)();
    for poison in refused {
        stop_readers(shared, members, poison).await?;
        for member in members.iter_mut() {
            member.park(std::slice::from_ref(poison), now);
        }
    }
    Ok(())
}

/// Takes those out of `members` who read what cannot be read.
pub async fn stop_readers(shared: &Shared, members: &mut Vec<Member>, poison: &Poison) -> Result<(), EngineError> {
    let stops = |member: &Member| member.projection.on_poison == OnPoison::Stop && member.reads(poison.stream.category());
    while let Some(at) = members.iter().position(stops) {
        stop(shared, &mut members[at], &poison.reason()).await?;
        members.remove(at);
    }
    Ok(())
}

/// Notes that a build cannot go on.
pub async fn stop(shared: &Shared, member: &mut Member, reason: &str) -> Result<(), EngineError> {
    member.clear();
    let state = if matches!(member.state, State::Live | State::Stopped) { State::Stopped } else { State::Failed };
    tracing::error!(projection = %member.id, %reason, "a projection stopped; mend it and rebuild");
    shared.db.write(vec![registry::set_state(&member.id, state, Some(reason))], Urgency::Lane).await?;
    member.state = state;
    shared.gave_up(&member.projection);
    shared.steering.changed();
    Ok(())
}
