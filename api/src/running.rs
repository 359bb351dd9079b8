//! The application with everything that works beside the requests: the projector and the reactions.

use crate::{
    App,
    app::Parts,
    auth::Auth,
    clock::{Clock, Ids},
    config::Http,
};
use circolo_events::{
    EventStore, Executor,
    reactions::{self, CheckpointStore},
};
use circolo_projections::{self as projections, Db, EngineError, Projector};
use std::sync::Arc;
use tokio::{sync::watch, task::JoinSet};

/// What an application is started with.
pub struct Start {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// The read models.
    pub db: Db,
    /// How far reactions have come.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Checks tokens.
    pub auth: Auth,
    /// How the API behaves.
    pub http: Http,
    /// Tells the time.
    pub clock: Clock,
    /// Makes fresh ids.
    pub ids: Ids,
}

/// A running application.
pub struct Running {
    app: App,
    projector: Arc<Projector>,
    stop: watch::Sender<bool>,
    reactions: JoinSet<()>,
}

impl Start {
    /// Starts everything but the server.
    pub async fn run(self) -> Result<Running, EngineError> {
        let Self { store, db, checkpoints, auth, http, clock, ids } = self;
        let options = projections::Options::new(clock.clone());
        let projector = Arc::new(Projector::start(db.clone(), store.clone(), projections::all(), options).await?);
        let executor = Arc::new(Executor::new(store.clone(), clock.clone(), circolo_events::Options::default()));
        let stop = watch::Sender::new(false);
        let mut running = JoinSet::new();
        for reaction in reactions::all() {
            running.spawn(reactions::run(reaction, executor.clone(), checkpoints.clone(), stop.subscribe()));
        }
        let app = App::new(Parts { store, executor, db, projector: projector.clone(), auth, http, clock, ids });
        Ok(Running { app, projector, stop, reactions: running })
    }
}

impl Running {
    /// The application.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Ends what works beside the requests. What was left undone goes on with the next start.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.reactions.join_next().await.is_some() {}
        self.projector.shutdown().await;
    }
}
