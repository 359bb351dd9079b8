//! Which streams builds leave out, as operators and queries ask.

use crate::{
    db::DbError,
    engine::{
        context::{error::EngineError, shared::Shared},
        tables::{build::State, parked::Parked, registry},
    },
};
use circolo_domain::StreamName;

/// A parked stream, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStream {
    /// Number of the build that leaves it out.
    pub build: i64,
    /// Where that build is in its life.
    pub state: State,
    /// What and why.
    pub parked: Parked,
    /// Was it decided that the event is passed over? Then the next build is complete.
    pub skipped: bool,
}

/// Which of `streams` a projection leaves out, or one of its builds.
pub async fn left_out(shared: &Shared, name: &str, streams: Vec<StreamName>) -> Result<Vec<StreamName>, DbError> {
    if streams.is_empty() {
        return Ok(vec![]);
    }
    let streams = streams.iter().map(StreamName::to_string).collect();
    Ok(registry::left_out(&shared.db, name, streams).await?.into_iter().map(StreamName::stored).collect())
}

/// The streams that builds of a projection leave out; those of the live build last.
pub async fn parked(shared: &Shared, name: &str) -> Result<Vec<ParkedStream>, EngineError> {
    let version = shared.projection(name)?.version;
    shared.skips.learn(&*shared.store).await?;
    let builds = registry::builds(&shared.db).await?;
    let mut all = Vec::new();
    for build in builds.into_iter().filter(|build| build.id.name == name && build.version == version && build.parked > 0) {
        for parked in registry::parked(&shared.db, &build.id).await? {
            let skipped = shared.skips.contains(parked.poison.event);
            all.push(ParkedStream { build: build.id.build, state: build.state, parked, skipped });
        }
    }
    all.sort_by_key(|stream| (stream.state.is_live(), stream.build, stream.parked.poison.position));
    Ok(all)
}
