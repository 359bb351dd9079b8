//! Read models that leave streams out are built anew as soon as nothing stands in the way any more: because it was decided to pass over
//! an event, on whichever node, or because this program knows what the one before did not.

use super::activity::Activity;
use crate::{
    engine::{
        builds::lifecycle::create,
        context::{backoff::Backoff, error::EngineError, shared::Shared},
        live::{join, live_subscription::LiveHandle},
        tables::{
            build::{Build, BuildId, Limits, State, Switch},
            registry,
        },
    },
    projection::Projection,
};
use std::{collections::HashSet, sync::Arc};
use uuid::Uuid;

/// What mends read models while this process leads.
pub struct Mender {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// The live subscription that builds join.
    pub live: LiveHandle,
    /// What this process is at.
    pub activity: Activity,
    /// For which events something was built anew: once is enough.
    tried: HashSet<(&'static str, Uuid)>,
}

impl Mender {
    /// Of nothing tried yet.
    pub fn new(shared: Arc<Shared>, live: LiveHandle, activity: Activity) -> Self {
        Self { shared, live, activity, tried: HashSet::new() }
    }

    /// Looks at the beginning, and whenever something was passed over or a build has ended.
    pub async fn run(mut self) {
        let (mut skipped, mut changes) = (self.shared.skipped.subscribe(), self.shared.steering.changes());
        let (mut down, mut backoff) = (self.shared.down.subscribe(), Backoff::new());
        loop {
            skipped.mark_unchanged();
            changes.mark_unchanged();
            match self.mend().await {
                Ok(true) => continue,
                Ok(false) => backoff = Backoff::new(),
                Err(error) if self.shared.is_down() || self.shared.resigns(&error) => return,
                Err(error) => {
                    tracing::warn!(%error, "read models that leave streams out cannot be mended");
                    if self.shared.pause(backoff.next()).await.is_err() {
                        return;
                    }
                    continue;
                }
            }
            tokio::select! {
                () = async { drop(down.wait_for(|down| *down).await) } => return,
                _ = skipped.changed() => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// Builds anew what can be mended, if there is something.
    async fn mend(&mut self) -> Result<bool, EngineError> {
        let shared = Arc::clone(&self.shared);
        let ids: Vec<BuildId> = {
            let _one_at_a_time = shared.steering.one_at_a_time().await;
            let known = registry::builds(&shared.db).await?;
            let mut broken = vec![];
            for projection in &shared.projections {
                let mine = || known.iter().filter(|build| build.id.name == projection.name && build.version == projection.version);
                // What is under way may mend it; its end is waited for.
                if mine().any(|build| build.state.is_underway()) {
                    continue;
                }
                if let Some(live) = mine().find(|build| build.state == State::Live && build.parked > 0)
                    && self.is_mendable(projection, live).await?
                {
                    broken.push(projection);
                }
            }
            if broken.is_empty() {
                return Ok(false);
            }
            let created = create(&shared, &broken, State::Building, Switch::Auto, Limits::default()).await?;
            let ids: Vec<BuildId> = created.into_iter().map(|build| build.id).collect();
            shared.steering.mend_by(&ids);
            ids
        };
        tracing::info!(builds = ?ids, "read models are built anew: what they left out can be read, or is passed over");
        let _active = self.activity.begin(&shared, &ids);
        join::run(shared, self.live.clone(), ids).await;
        Ok(true)
    }

    /// Is something left out that need not be?
    async fn is_mendable(&mut self, projection: &Projection, live: &Build) -> Result<bool, EngineError> {
        let shared = &self.shared;
        shared.skips.learn(&*shared.store).await?;
        let (mut mendable, mut types) = (false, HashSet::new());
        for parked in registry::parked(&shared.db, &live.id).await? {
            let poison = parked.poison;
            if self.tried.contains(&(projection.name, poison.event)) {
                continue;
            }
            let mut readable = shared.skips.contains(poison.event);
            // One event of a type tells of all.
            if !readable && poison.was_unknown() && types.insert(poison.event_type.clone()) {
                readable = shared.store.at(poison.position).await?.is_some_and(|stored| stored.decode().is_ok());
            }
            if readable {
                self.tried.insert((projection.name, poison.event));
                mendable = true;
            }
        }
        Ok(mendable)
    }
}
