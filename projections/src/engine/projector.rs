//! The facade: who feeds the read models, what operators ask, and how everything is.

use super::{
    context::{error::EngineError, options::Options, shared::Shared},
    leadership::{
        leader::Leader,
        lease::Holder,
        node::{self, Supervised},
    },
    operations::{
        activity::Activity,
        left_out::{self, ParkedStream},
        operator::Disposable,
        report::{Report, Verification},
        status::{self, Status},
    },
    tables::{
        build::{BuildId, Limits, Switch},
        sample::Sampling,
    },
};
use crate::{
    db::{Db, DbError},
    projection::Projection,
};
use circolo_domain::StreamName;
use circolo_events::{EventStore, Position};
use std::{sync::Arc, time::Duration};
use tokio::sync::{oneshot, watch};

/// Feeds the read models of one database, while it lives; or follows the node that does.
pub struct Projector {
    shared: Arc<Shared>,
    /// This process as the leader, while it is.
    leader: watch::Sender<Option<Arc<Leader>>>,
    activity: Activity,
    /// Where several nodes share the read models.
    supervised: Option<Supervised>,
}

/// The log did not come to a position in time, or the live subscription did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the read models are at position {applied} and not at {wanted} yet")]
pub struct Behind {
    /// Where the live subscription is.
    pub applied: Position,
    /// Where it should be.
    pub wanted: Position,
}

impl Projector {
    /// Checks what the database holds against the log, starts to feed what is live and to build what is missing; or, where another
    /// node does so, to follow it.
    pub async fn start(db: Db, store: Arc<dyn EventStore>, projections: Vec<Projection>, options: Options) -> Result<Self, EngineError> {
        let shared = Shared::open(db, store, projections, options).await?;
        let (leader, activity) = (watch::Sender::new(None), Activity::default());
        let supervised = if let Some(node) = shared.options.node.clone() {
            Some(node::supervise(&shared, node, leader.clone(), activity.clone()).await?)
        } else {
            leader.send_replace(Some(Arc::new(Leader::begin(Arc::clone(&shared), activity.clone()).await?)));
            None
        };
        Ok(Self { shared, leader, activity, supervised })
    }

    /// What moves this projection, if this process does.
    fn moving(&self, name: &str) -> Result<Arc<Leader>, EngineError> {
        self.shared.projection(name)?;
        let leader = self.leader.borrow().clone();
        leader.filter(|leader| leader.operator.shared.projection(name).is_ok()).ok_or(EngineError::Elsewhere)
    }

    /// Up to where all that is fed is folded.
    pub fn position(&self) -> Position {
        *self.shared.applied.borrow()
    }

    /// Waits until everything up to `position` is in the read models, at most `patience`.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<(), Behind> {
        let applied = if let Some(supervised) = &self.supervised {
            supervised.reached(position, patience).await
        } else {
            let mut applied = self.shared.applied.subscribe();
            let _ = tokio::time::timeout(patience, applied.wait_for(|applied| *applied >= position)).await;
            self.position()
        };
        if applied >= position { Ok(()) } else { Err(Behind { applied, wanted: position }) }
    }

    /// Why the live subscription stopped for good, if it did, here or on the node that leads.
    pub fn failure(&self) -> Option<String> {
        self.shared.meters().failure.clone()
    }

    /// What keeps the live subscription from going on for now, if it is kept.
    pub fn trouble(&self) -> Option<String> {
        self.shared.meters().trouble.clone()
    }

    /// Whether everything that this program knows can be queried now.
    pub async fn answers(&self) -> Result<(), EngineError> {
        let tables = self.shared.projections.iter().flat_map(|projection| &projection.tables).map(|fold| fold.table.name);
        Ok(self.shared.db.answers(&tables.collect::<Vec<_>>()).await?)
    }

    /// The names of the projections that this program knows.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        self.shared.projections.iter().map(|projection| projection.name)
    }

    /// Whether this process moves all read models that it knows.
    pub fn leads(&self) -> bool {
        self.leader.borrow().as_ref().is_some_and(|leader| leader.operator.shared.projections.len() == self.shared.projections.len())
    }

    /// Whether this process moves this projection.
    pub fn moves(&self, name: &str) -> bool {
        self.moving(name).is_ok()
    }

    /// Who moves this projection, if it is another node and was there a moment ago.
    pub fn leader(&self, name: &str) -> Option<Holder> {
        let projection = self.shared.projection(name).ok()?;
        self.supervised.as_ref()?.holder(&projection.key())
    }

    /// The database as reactions may write to it, while this node is to run them. Nobody else runs them where there is
    /// one process alone; then it is never told so, and needs not be.
    pub fn reacting(&self) -> Option<watch::Receiver<Option<Db>>> {
        self.supervised.as_ref().map(Supervised::reacting)
    }

    /// Waits until this process moves all read models that it knows, at most `patience`.
    pub async fn lead(&self, patience: Duration) -> Result<(), EngineError> {
        let all = |leader: &Option<Arc<Leader>>| {
            leader.as_ref().is_some_and(|leader| leader.operator.shared.projections.len() == self.shared.projections.len())
        };
        match tokio::time::timeout(patience, self.leader.subscribe().wait_for(all)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(EngineError::Elsewhere),
        }
    }

    /// All builds, by name and number.
    pub async fn status(&self) -> Result<Vec<Status>, EngineError> {
        status::status(&self.shared).await
    }

    /// Folds a projection once more and compares the outcome with what is live.
    pub async fn verify(&self, name: &str) -> Result<Verification, EngineError> {
        self.begin_verification(name, None).await?.await.map_err(|_| EngineError::Down)?
    }

    /// Begins to fold a projection once more, or a sample of its rows; [`Self::verification`] tells how it is and was.
    pub async fn begin_verification(
        &self,
        name: &str,
        sampling: Option<Sampling>,
    ) -> Result<oneshot::Receiver<Result<Verification, EngineError>>, EngineError> {
        self.moving(name)?.operator.begin_verification(name, sampling).await
    }

    /// The verification of a projection that is under way here, or the last one.
    pub fn verification(&self, name: &str) -> Result<Option<Report>, EngineError> {
        self.shared.projection(name)?;
        Ok(self.activity.reports().get(name).cloned())
    }

    /// Which of `streams` a projection leaves out, or one of its builds.
    pub async fn left_out(&self, name: &str, streams: Vec<StreamName>) -> Result<Vec<StreamName>, DbError> {
        left_out::left_out(&self.shared, name, streams).await
    }

    /// The streams that builds of a projection leave out; those of the live build last.
    pub async fn parked(&self, name: &str) -> Result<Vec<ParkedStream>, EngineError> {
        left_out::parked(&self.shared, name).await
    }

    /// Begins to build projections anew, beside what is live. They share one read of the log; `&[]` means all.
    pub async fn rebuild(&self, names: &[&str], switch: Switch) -> Result<Vec<BuildId>, EngineError> {
        self.rebuild_within(names, switch, Limits::default()).await
    }

    /// The same, within limits; together, as they share one read of the log.
    pub async fn rebuild_within(&self, names: &[&str], switch: Switch, limits: Limits) -> Result<Vec<BuildId>, EngineError> {
        let names: Vec<&str> = if names.is_empty() { self.names().collect() } else { names.to_vec() };
        let Some(first) = names.first() else { return Ok(vec![]) };
        let leader = self.moving(first)?;
        for name in &names {
            self.moving(name)?;
        }
        leader.operator.rebuild(&names, switch, limits).await
    }

    /// Leaves the build that is under way where it is, until it is resumed; a restart does not resume it.
    pub async fn pause(&self, name: &str) -> Result<BuildId, EngineError> {
        self.moving(name)?.operator.pause(name).await
    }

    /// Lets a build go on that was paused.
    pub async fn resume(&self, name: &str) -> Result<BuildId, EngineError> {
        self.moving(name)?.operator.resume(name).await
    }

    /// Drops builds that nobody needs any more, with their tables. What is live is never dropped.
    pub async fn drop_builds(&self, name: &str, which: Disposable) -> Result<Vec<BuildId>, EngineError> {
        self.moving(name)?.operator.drop_builds(name, which).await
    }

    /// Makes the build live that is ready.
    pub async fn switch(&self, name: &str) -> Result<BuildId, EngineError> {
        self.moving(name)?.operator.switch(name).await
    }

    /// Begins to bring the build back that was live before: from its own checkpoint to now, then live.
    pub async fn rollback(&self, name: &str) -> Result<BuildId, EngineError> {
        self.moving(name)?.operator.rollback(name).await
    }

    /// Gives up the build that is under way or waits for its switch.
    pub async fn cancel(&self, name: &str) -> Result<BuildId, EngineError> {
        self.moving(name)?.operator.cancel(name).await
    }

    /// Waits until no build is under way here (one that waits for its switch is not).
    pub async fn settled(&self) {
        self.activity.settled().await;
    }

    /// Ends after the transactions under way. Builds go on with the next start, or on the next node.
    pub async fn shutdown(&self) {
        self.shared.down.send_replace(true);
        if let Some(supervised) = &self.supervised {
            supervised.ended().await;
        }
        if let Some(leader) = self.leader.send_replace(None) {
            leader.end().await;
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.shared.down.send_replace(true);
    }
}
