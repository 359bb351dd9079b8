//! Builds read models that are missing before anybody serves them: ahead of a start, or as of a moment.

use super::{
    builds::{
        catch_up,
        lifecycle::{create, make_live},
    },
    context::{error::EngineError, options::Options, shared::Shared},
    leadership::build_lease::BuildLease,
    tables::{
        build::{Build, BuildId, Limits, State, Switch, grouped},
        registry,
    },
};
use crate::{db::Db, projection::Projection};
use circolo_events::{EventStore, Position};
use std::sync::Arc;

/// Those of `projections` of which nothing is live in `db`.
pub async fn missing(db: &Db, projections: Vec<Projection>) -> Result<Vec<Projection>, EngineError> {
    registry::create_tables(db).await?;
    let known = registry::builds(db).await?;
    let lives = |projection: &Projection| known.iter().any(|build| is_of(build, projection) && build.state.is_live());
    Ok(projections.into_iter().filter(|projection| !lives(projection)).collect())
}

fn is_of(build: &Build, projection: &Projection) -> bool {
    build.id.name == projection.name && build.version == projection.version
}

/// Prepares what `projections` lack in `db`, up to where the log ends now or up to `until`, and makes it live there.
///
/// Beside a running server it writes nothing but its own new tables, in short transactions. With `until` and a database
/// of its own it gives the read models as of that position. Where nodes share the read models, it is [`EngineError::Elsewhere`] if another
/// moves what is missing; in a file the caller sees to that.
pub async fn prepare(
    db: Db,
    store: Arc<dyn EventStore>,
    projections: Vec<Projection>,
    options: Options,
    until: Option<Position>,
) -> Result<Vec<BuildId>, EngineError> {
    let projections = missing(&db, projections).await?;
    let shared = Shared::open(db, store, projections, options).await?;
    let Some(node) = shared.options.node.clone().filter(|_| !shared.projections.is_empty()) else {
        return prepare_all(&shared, until).await;
    };
    let lease = BuildLease::take(&shared, node).await?;
    let outcome = prepare_all(&lease.shared, until).await;
    lease.end().await;
    outcome
}

/// Goes on with what was begun and begins the rest.
async fn prepare_all(shared: &Arc<Shared>, until: Option<Position>) -> Result<Vec<BuildId>, EngineError> {
    let known = registry::builds(&shared.db).await?;
    let begun = |p: &Projection| known.iter().find(|build| is_of(build, p) && build.state == State::Building).cloned();
    let mut groups = grouped(shared.projections.iter().filter_map(begun).collect());
    let fresh: Vec<&Projection> =
        shared.projections.iter().filter(|p| !known.iter().any(|build| is_of(build, p) && is_there(build))).collect();
    if !fresh.is_empty() {
        let created = create(shared, &fresh, State::Building, Switch::Auto, Limits::default()).await?;
        groups.push(created.into_iter().map(|build| build.id).collect());
    }
    let mut prepared = Vec::new();
    for ids in groups {
        prepared.extend(prepare_group(shared, &ids, until).await?);
    }
    Ok(prepared)
}

/// Whether nothing has to be begun: what was missing may be live by now.
const fn is_there(build: &Build) -> bool {
    matches!(build.state, State::Building) || build.state.is_live()
}

async fn prepare_group(shared: &Arc<Shared>, ids: &[BuildId], until: Option<Position>) -> Result<Vec<BuildId>, EngineError> {
    let mut group = registry::builds(&shared.db).await?;
    group.retain(|build| ids.contains(&build.id));
    let Some(checkpoint) = group.first().map(|build| build.checkpoint) else { return Ok(vec![]) };
    let subscription = catch_up::bring_up(shared, catch_up::subscribers(shared, &group).await?, checkpoint, until).await?;
    if subscription.subscribers.len() < group.len() {
        let failed = |build: &Build| ids.contains(&build.id) && build.state == State::Failed;
        let failed = registry::builds(&shared.db).await?.into_iter().find(failed);
        return Err(
            failed.map_or(EngineError::Down, |build| EngineError::Failed { id: build.id, reason: build.reason.unwrap_or_default() })
        );
    }
    make_live(shared, &subscription.subscribers).await?;
    Ok(subscription.subscribers.into_iter().map(|subscriber| subscriber.id).collect())
}
