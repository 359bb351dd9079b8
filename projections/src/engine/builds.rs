//! A build from its first event to its place in the lane.

use super::{
    bulk::Bulk,
    context::{backoff::Backoff, error::EngineError, shared::Shared},
    lane::LaneHandle,
    member::Member,
    pace::{self, Pace},
    step::{Convoy, Step},
    tables::{
        build::{Build, BuildId, Checkpoint, Limits, State, Switch},
        registry,
    },
};
use crate::{
    db::{DbError, Dialect, Urgency, Write},
    projection::Projection,
};
use circolo_events::Position;
use std::sync::Arc;

/// Begins builds: enters them and makes their tables. They share one read of the log, and the caller moves them.
pub async fn create(
    shared: &Shared,
    projections: &[&Projection],
    state: State,
    switch: Switch,
    limits: Limits,
) -> Result<Vec<Build>, EngineError> {
    let known = registry::builds(&shared.db).await?;
    let (mut builds, mut writes) = (Vec::new(), Vec::new());
    for projection in projections {
        let last = known.iter().filter(|build| build.id.name == projection.name).map(|build| build.id.build).max().unwrap_or(0);
        let build = Build {
            id: BuildId { name: projection.name.to_owned(), build: last + 1 },
            version: projection.version,
            state,
            switch,
            checkpoint: Checkpoint::start(shared.store.log_id()),
            indexed: false,
            reason: None,
            started: (shared.options.clock)(),
            paused: false,
            limits,
            parked: 0,
        };
        writes.push(registry::insert(&build));
        writes.push(registry::set_controls(&build.id, false, limits));
        for physical in Member::new(projection, &build).tables() {
            // A table of this name can only be what a crash left of a build that was dropped.
            let sql = [physical.drop(shared.db.dialect()), physical.create(shared.db.dialect())].concat();
            writes.extend(sql.into_iter().map(|sql| Write::run(sql, vec![])));
            writes.push(registry::own_table(&build.id, physical));
        }
        builds.push(build);
    }
    shared.steering.take_up(builds.iter().map(|build| &build.id));
    if let Err(error) = shared.db.write(writes, Urgency::Lane).await {
        shared.steering.put_down(builds.iter().map(|build| &build.id));
        return Err(error.into());
    }
    shared.steering.changed();
    Ok(builds)
}

/// Removes a build with all it holds. One that was on its way back to being live goes back to where it was.
pub async fn discard(shared: &Shared, member: &Member) -> Result<(), EngineError> {
    let writes = if member.state == State::Returning {
        vec![registry::set_state(&member.id, State::Old, None)]
    } else {
        let drops = member.tables().flat_map(|physical| physical.drop(shared.db.dialect()));
        registry::remove(&member.id).chain(drops.map(|sql| Write::run(sql, vec![]))).collect()
    };
    match shared.db.write(writes, Urgency::Build).await {
        // It takes a new file to be rid of it. Nobody waits for that, and nobody goes back to it.
        Err(DbError::Damaged(_)) if member.state != State::Returning => {
            let left = registry::set_state(&member.id, State::Failed, Some(UNDROPPABLE));
            shared.db.write(vec![left], Urgency::Build).await?;
        }
        outcome => outcome?,
    }
    shared.forget(&member.id);
    Ok(())
}

/// Why a build is still there that was to go.
const UNDROPPABLE: &str = "its tables are damaged and cannot be dropped; with the server stopped, `circolo projections rebuild --all` makes \
                           a new file without them";

/// Removes a build of another version, whose declaration this program does not know.
pub async fn discard_foreign(shared: &Shared, build: &Build) -> Result<(), EngineError> {
    let mut drops = Vec::new();
    for (table, declared) in registry::tables_of(&shared.db, &build.id).await? {
        if build.state.is_live() {
            drops.extend([format!("DROP VIEW IF EXISTS {declared}"), format!("DROP VIEW IF EXISTS {declared}_search")]);
        }
        drops.push(format!("DROP TABLE IF EXISTS {table}"));
        if shared.db.dialect() == Dialect::Sqlite {
            drops.push(format!("DROP TABLE IF EXISTS {table}__search"));
        }
    }
    let writes = registry::remove(&build.id).chain(drops.into_iter().map(|sql| Write::run(sql, vec![]))).collect();
    shared.db.write(writes, Urgency::Build).await?;
    shared.forget(&build.id);
    Ok(())
}

/// What makes a build live, in the transaction that is to be: its views, its state, and that of the one before it.
pub fn go_live(shared: &Shared, member: &Member) -> Vec<Write> {
    let views = member.tables().flat_map(|physical| physical.point_view(shared.db.dialect())).map(|sql| Write::run(sql, vec![]));
    // A reader that waits for one view while it holds another must not wait until the server sees a deadlock.
    let patience = (shared.db.dialect() == Dialect::Postgres).then(|| Write::run("SET LOCAL lock_timeout = '300ms'", vec![]));
    patience.into_iter().chain(views).chain(registry::replace_live(&member.id, member.projection.version)).collect()
}

/// Drops what a new live build leaves behind: of those that were live before, only the last stays, for rollback.
pub async fn drop_leftovers(shared: &Shared, name: &str) -> Result<(), EngineError> {
    let projection = shared.projection(name)?;
    let builds = registry::builds(&shared.db).await?;
    let mine = || builds.iter().filter(|build| build.id.name == name && build.version == projection.version);
    // The one that was replaced last is folded furthest.
    let kept = mine().filter(|build| build.state == State::Old).max_by_key(|build| (build.checkpoint.position, build.id.build));
    for build in mine().filter(|build| matches!(build.state, State::Old | State::Failed)) {
        if kept.is_none_or(|kept| kept.id != build.id) {
            discard(shared, &Member::new(projection, build)).await?;
        }
    }
    Ok(())
}

/// How often builds are tried again one after the other though it should be in vain.
const TRIES: u32 = 8;

/// Brings builds up to now and into the lane, through failures that pass and across restarts.
pub async fn run(shared: Arc<Shared>, lane: LaneHandle, mut ids: Vec<BuildId>) {
    let (mut backoff, mut in_vain) = (Backoff::new(), 0);
    loop {
        let error = match attempt(&shared, &lane, &mut ids).await {
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

/// What joined the lane is no longer in `ids`: it must not be moved by two.
async fn attempt(shared: &Arc<Shared>, lane: &LaneHandle, ids: &mut Vec<BuildId>) -> Result<(), EngineError> {
    ids.retain(|id| !shared.let_go(id));
    let mut builds = registry::builds(&shared.db).await?;
    builds.retain(|build| ids.contains(&build.id) && (build.state.is_underway() || build.state.is_live()));
    // What was interrupted together stands together; a group at a time.
    builds.sort_by_key(|build| (build.indexed, build.checkpoint.position));
    let (given_up, builds): (Vec<_>, Vec<_>) = builds.into_iter().partition(|build| shared.steering.is_cancelled(&build.id));
    for member in members(shared, &given_up).await? {
        discard(shared, &member).await?;
    }
    for group in builds.chunk_by(|a, b| (a.indexed, a.checkpoint) == (b.indexed, b.checkpoint)) {
        let members = members(shared, group).await?;
        let convoy = bring_up(shared, members, group[0].checkpoint, None).await?;
        let joining: Vec<_> = convoy.members.iter().map(|member| member.id.clone()).collect();
        lane.join(convoy).await?;
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

/// Makes builds live without a lane: where the log is empty, or in a database of their own.
pub async fn make_live(shared: &Shared, members: &[Member]) -> Result<(), EngineError> {
    let mut writes = Vec::new();
    for member in members {
        writes.extend(go_live(shared, member));
    }
    shared.db.write(writes, Urgency::Lane).await?;
    shared.steering.changed();
    Ok(())
}
