//! Events that cannot be read: who stops at them, and which streams are parked because of them.

use super::{
    EngineError, Shared, compute,
    decode::{self, Decoded},
    member::Member,
    projector::Projector,
    tables::{build::State, parked::Parked, registry},
};
use crate::{
    db::{DbError, Urgency},
    projection::OnPoison,
};
use circolo_domain::{Decider, StreamName, skip::Skip};
use circolo_events::{Page, Position};

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

impl Shared {
    /// Decodes a page of the log for `members`; looks for decisions to skip where something cannot be read.
    pub async fn decode(&self, page: &Page, until: Option<Position>, members: &Readers, urgency: Urgency) -> Result<Decoded, EngineError> {
        let log = self.store.log_id();
        if page.events.iter().any(|stored| stored.stream.category() == Skip::CATEGORY) {
            self.skipped.send_replace(());
        }
        let decoded = compute(urgency, || decode::decode(log, page, until, members, &self.skips));
        if decoded.poison.is_none() && decoded.poisons.is_empty() {
            return Ok(decoded);
        }
        let news = self.skips.learn(&*self.store).await?;
        let decoded = if news { compute(urgency, || decode::decode(log, page, until, members, &self.skips)) } else { decoded };
        let unknown = decoded.poisons.iter().chain(&decoded.poison).find(|poison| poison.unknown && self.gives_way(&poison.event_type));
        match unknown {
            Some(poison) => Err(EngineError::Newer(poison.event_type.clone())),
            None => Ok(decoded),
        }
    }
}

/// Which categories somebody reads, and where a reader would stop at what cannot be read.
#[derive(Debug, Clone, Default)]
pub struct Readers {
    reads: Vec<&'static str>,
    stops: Vec<&'static str>,
}

impl Readers {
    /// Of these builds.
    pub fn of(members: &[Member]) -> Self {
        let mut readers = Self::default();
        for Member { projection, .. } in members {
            readers.reads.extend(projection.categories);
            if projection.on_poison == OnPoison::Stop {
                readers.stops.extend(projection.categories);
            }
        }
        for categories in [&mut readers.reads, &mut readers.stops] {
            categories.sort_unstable();
            categories.dedup();
        }
        readers
    }

    /// Does somebody read events of this category?
    pub fn read(&self, category: &str) -> bool {
        self.reads.contains(&category)
    }

    /// Would somebody stop at an event of this category?
    pub fn stop_at(&self, category: &str) -> bool {
        self.stops.contains(&category)
    }
}

impl Projector {
    /// Which of `streams` a projection leaves out, or one of its builds.
    pub async fn left_out(&self, name: &str, streams: Vec<StreamName>) -> Result<Vec<StreamName>, DbError> {
        if streams.is_empty() {
            return Ok(vec![]);
        }
        let streams = streams.iter().map(StreamName::to_string).collect();
        Ok(registry::left_out(&self.shared.db, name, streams).await?.into_iter().map(StreamName::stored).collect())
    }

    /// The streams that builds of a projection leave out; those of the live build last.
    pub async fn parked(&self, name: &str) -> Result<Vec<ParkedStream>, EngineError> {
        let version = self.shared.projection(name)?.version;
        self.shared.skips.learn(&*self.shared.store).await?;
        let builds = registry::builds(&self.shared.db).await?;
        let mut all = Vec::new();
        for build in builds.into_iter().filter(|build| build.id.name == name && build.version == version && build.parked > 0) {
            for parked in registry::parked(&self.shared.db, &build.id).await? {
                let skipped = self.shared.skips.contains(parked.poison.event);
                all.push(ParkedStream { build: build.id.build, state: build.state, parked, skipped });
            }
        }
        all.sort_by_key(|stream| (stream.state.is_live(), stream.build, stream.parked.poison.position));
        Ok(all)
    }
}
