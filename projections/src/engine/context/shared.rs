//! What all parts of a projector share.

use super::{error::EngineError, meters::Meters, options::Options, resignation::Resignation, steering::Steering};
use crate::{
    db::{Db, Write},
    engine::tables::{build::BuildId, registry},
    projection::{self, Projection},
};
use circolo_events::{EventStore, Position, Skips};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// What all parts of one projector share.
pub struct Shared {
    /// The read models.
    pub db: Db,
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// What this program knows.
    pub projections: Vec<Projection>,
    /// How to work.
    pub options: Options,
    /// Up to where the live subscription is: everything a query sees is folded up to here.
    pub applied: watch::Sender<Position>,
    /// Turns true once.
    pub down: watch::Sender<bool>,
    /// What is asked of builds.
    pub steering: Steering,
    /// Events that are passed over.
    pub skips: Skips,
    /// Tells that something was passed over.
    pub skipped: watch::Sender<()>,
    /// Figures of the live subscription and of builds.
    meters: Arc<Mutex<Meters>>,
    /// Where several nodes share the read models: how this one ceases to lead.
    resignation: Option<Resignation>,
}

impl Shared {
    /// Of a database whose registry is made here, if it is not there.
    pub async fn open(
        db: Db,
        store: Arc<dyn EventStore>,
        projections: Vec<Projection>,
        options: Options,
    ) -> Result<Arc<Self>, EngineError> {
        projection::check(&projections)?;
        registry::create_tables(&db).await?;
        Ok(Arc::new(Self {
            db,
            store,
            projections,
            options,
            applied: watch::Sender::new(Position::START),
            steering: Steering::default(),
            down: watch::Sender::new(false),
            skips: Skips::default(),
            skipped: watch::Sender::new(()),
            meters: Arc::default(),
            resignation: None,
        }))
    }

    /// What the parts of a leader share: the projections that are held, by their keys, and no more.
    pub fn under(&self, keys: &[String], fence: Write, resignation: Resignation) -> Self {
        let projections: Vec<_> = self.projections.iter().filter(|p| keys.contains(&p.key())).cloned().collect();
        // A live subscription that feeds only some does not tell how far all are.
        let applied = if projections.len() == self.projections.len() { self.applied.clone() } else { watch::Sender::new(Position::START) };
        Self {
            db: self.db.clone().fenced(fence),
            store: Arc::clone(&self.store),
            projections,
            options: self.options.clone(),
            applied,
            down: watch::Sender::new(false),
            steering: self.steering.anew(),
            skips: Skips::default(),
            skipped: watch::Sender::new(()),
            meters: Arc::clone(&self.meters),
            resignation: Some(resignation),
        }
    }

    /// Is it time to stop?
    pub fn is_down(&self) -> bool {
        *self.down.borrow()
    }

    /// Waits `pause`; an error if the projector shuts down meanwhile.
    pub async fn pause(&self, pause: Duration) -> Result<(), EngineError> {
        let mut down = self.down.subscribe();
        match tokio::time::timeout(pause, down.wait_for(|down| *down)).await {
            Ok(_) => Err(EngineError::Down),
            Err(_) => Ok(()),
        }
    }

    /// Does this error end the leadership? Then it is on its way to its end.
    pub fn resigns(&self, error: &EngineError) -> bool {
        self.resignation.as_ref().is_some_and(|resignation| resignation.follows(error))
    }

    /// Should another node be given the chance to know events of this type?
    pub fn gives_way(&self, event_type: &str) -> bool {
        self.resignation.as_ref().is_some_and(|resignation| resignation.gives_way(event_type))
    }

    /// The projection of this name.
    pub fn projection(&self, name: &str) -> Result<&Projection, EngineError> {
        self.projections.iter().find(|projection| projection.name == name).ok_or_else(|| EngineError::Unknown(name.to_owned()))
    }

    /// If this build is to pause: whoever moves it, and asks, moves it no more.
    pub fn let_go(&self, id: &BuildId) -> bool {
        let paused = self.steering.let_go(id);
        if paused {
            self.meters().forget(id);
            self.steering.changed();
        }
        paused
    }

    /// A build is no more, or is moved no more.
    pub fn forget(&self, id: &BuildId) {
        self.steering.forget(id);
        self.meters().forget(id);
        self.steering.changed();
    }

    /// Tells queries that nobody builds any more what they wait for.
    pub fn gave_up(&self, projection: &Projection) {
        for fold in &projection.tables {
            self.db.set_failed(fold.table.name, true);
        }
    }

    /// The figures.
    pub fn meters(&self) -> MutexGuard<'_, Meters> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
