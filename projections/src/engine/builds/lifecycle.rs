//! How builds begin and end: their tables, their entries in the registry, their views.

use super::subscriber::Subscriber;
use crate::{
    db::{DbError, Dialect, Urgency, Write},
    engine::{
        context::{error::EngineError, shared::Shared},
        tables::{
            build::{Build, BuildId, Checkpoint, Limits, State, Switch},
            registry,
        },
    },
    projection::Projection,
};

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
        for physical in Subscriber::new(projection, &build).tables() {
            // A table of this name can only be what a crash left of a build that was dropped.
            let sql = [physical.drop(shared.db.dialect()), physical.create(shared.db.dialect())].concat();
            writes.extend(sql.into_iter().map(|sql| Write::run(sql, vec![])));
            writes.push(registry::own_table(&build.id, physical));
        }
        builds.push(build);
    }
    shared.steering.take_up(builds.iter().map(|build| &build.id));
    if let Err(error) = shared.db.write(writes, Urgency::Live).await {
        shared.steering.put_down(builds.iter().map(|build| &build.id));
        return Err(error.into());
    }
    shared.steering.changed();
    Ok(builds)
}

/// Removes a build with all it holds. One that was on its way back to being live goes back to where it was.
pub async fn discard(shared: &Shared, subscriber: &Subscriber) -> Result<(), EngineError> {
    let writes = if subscriber.state == State::Returning {
        vec![registry::set_state(&subscriber.id, State::Old, None)]
    } else {
        let drops = subscriber.tables().flat_map(|physical| physical.drop(shared.db.dialect()));
        registry::remove(&subscriber.id).chain(drops.map(|sql| Write::run(sql, vec![]))).collect()
    };
    match shared.db.write(writes, Urgency::Build).await {
        // It takes a new file to be rid of it. Nobody waits for that, and nobody goes back to it.
        Err(DbError::Damaged(_)) if subscriber.state != State::Returning => {
            let left = registry::set_state(&subscriber.id, State::Failed, Some(UNDROPPABLE));
            shared.db.write(vec![left], Urgency::Build).await?;
        }
        outcome => outcome?,
    }
    shared.forget(&subscriber.id);
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
pub fn go_live(shared: &Shared, subscriber: &Subscriber) -> Vec<Write> {
    let views = subscriber.tables().flat_map(|physical| physical.point_view(shared.db.dialect())).map(|sql| Write::run(sql, vec![]));
    // A reader that waits for one view while it holds another must not wait until the server sees a deadlock.
    let patience = (shared.db.dialect() == Dialect::Postgres).then(|| Write::run("SET LOCAL lock_timeout = '300ms'", vec![]));
    patience.into_iter().chain(views).chain(registry::replace_live(&subscriber.id, subscriber.projection.version)).collect()
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
            discard(shared, &Subscriber::new(projection, build)).await?;
        }
    }
    Ok(())
}

/// Makes builds live that nothing feeds yet: where the log is empty, or in a database of their own.
pub async fn make_live(shared: &Shared, subscribers: &[Subscriber]) -> Result<(), EngineError> {
    let mut writes = Vec::new();
    for subscriber in subscribers {
        writes.extend(go_live(shared, subscriber));
    }
    shared.db.write(writes, Urgency::Live).await?;
    shared.steering.changed();
    Ok(())
}
