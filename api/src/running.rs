//! The application with everything that works beside the requests: the projector and the consumers of the log.

use crate::{
    App,
    app::Parts,
    auth::Auth,
    clock::{Clock, Ids},
    config::Http,
    media::sweep,
};
use circolo_events::{
    EventStore, Executor,
    consumers::{self, CheckpointStore, Consumers},
    media::Files,
    reactions,
    waking::{self, Waker},
};
use circolo_projections::{self as projections, Checkpoints, Db, EngineError, Node, Projector, deadlines::Waiting};
use std::sync::Arc;
use tokio::{sync::watch, task::JoinSet};

/// What an application is started with.
pub struct Start {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// The read models.
    pub db: Db,
    /// How far consumers have come, where this process is alone. Where it is a node, its `db` keeps that.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Uploaded files.
    pub files: Arc<Files>,
    /// Who this is among several that share log and read models.
    pub node: Option<Node>,
    /// Whether others may write to the log, too.
    pub shared_log: bool,
    /// Checks tokens.
    pub auth: Auth,
    /// How the API behaves.
    pub http: Http,
    /// Tells the time.
    pub clock: Clock,
    /// Makes fresh ids.
    pub ids: Ids,
    /// Whether what is due is woken by itself; a test does so when its clock has moved.
    pub wakes: bool,
}

/// A running application.
pub struct Running {
    app: App,
    projector: Arc<Projector>,
    stop: watch::Sender<bool>,
    waker: Arc<Waker>,
    beside: JoinSet<()>,
}

impl Start {
    /// Starts everything but the server.
    pub async fn run(self) -> Result<Running, EngineError> {
        let Self { store, db, checkpoints, files, node, shared_log, auth, http, clock, ids, wakes } = self;
        let bounds = circolo_events::Options { cache_bytes: http.aggregate_cache << 20, ..circolo_events::Options::default() };
        let executor = Arc::new(Executor::new(store.clone(), clock.clone(), bounds));
        if shared_log {
            executor.share_log().await?;
        }
        let options = projections::Options { node, ..projections::Options::new(clock.clone()) };
        let projector = Arc::new(Projector::start(db.clone(), store.clone(), projections::all(), options).await?);
        let stop = watch::Sender::new(false);
        let mut running = JoinSet::new();
        let waiting = Waiting { db: db.clone(), projector: projector.clone() };
        let beside = Beside {
            consumers: Arc::new(Consumers::new(reactions::all())),
            executor: executor.clone(),
            waker: Arc::new(Waker::new(executor.clone(), Arc::new(waiting))),
            wakes,
        };
        let (consumers, waker) = (beside.consumers.clone(), beside.waker.clone());
        // How those of other nodes stand is told by the database alone.
        let mut seen = checkpoints.clone();
        let leading = projector.reacting();
        if let Some(leading) = leading.clone() {
            seen = Arc::new(Checkpoints::of(db.clone(), store.log_id()));
            running.spawn(beside.while_leading(leading, stop.subscribe()));
        } else {
            beside.begin(&mut running, &checkpoints, &stop);
        }
        let app = App::new(Parts {
            store,
            executor,
            db,
            projector: projector.clone(),
            consumers,
            checkpoints: seen,
            files,
            auth,
            http,
            clock,
            ids,
        });
        running.spawn(sweep::run(app.clone(), leading, stop.subscribe()));
        Ok(Running { app, projector, stop, waker, beside: running })
    }
}

/// What works beside the requests, on one node at a time.
struct Beside {
    consumers: Arc<Consumers>,
    executor: Arc<Executor>,
    waker: Arc<Waker>,
    wakes: bool,
}

impl Beside {
    /// Begins all of it, until `stop` turns true.
    fn begin(&self, running: &mut JoinSet<()>, checkpoints: &Arc<dyn CheckpointStore>, stop: &watch::Sender<bool>) {
        running.spawn(consumers::run(self.consumers.clone(), self.executor.clone(), checkpoints.clone(), stop.subscribe()));
        if self.wakes {
            running.spawn(waking::run(self.waker.clone(), stop.subscribe()));
        }
    }

    /// Does so whenever this node holds the lease for it.
    async fn while_leading(self, mut leading: watch::Receiver<Option<Db>>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let leased = leading.borrow_and_update().clone();
            let mut running = JoinSet::new();
            let over = watch::Sender::new(false);
            if let Some(db) = leased {
                // Its writes fail as soon as another node has taken over.
                let checkpoints: Arc<dyn CheckpointStore> = Arc::new(Checkpoints::of(db, self.executor.store().log_id()));
                self.begin(&mut running, &checkpoints, &over);
            }
            let told = tokio::select! {
                changed = leading.changed() => changed.is_ok(),
                _ = stop.wait_for(|stop| *stop) => false,
            };
            over.send_replace(true);
            while running.join_next().await.is_some() {}
            if !told {
                return;
            }
        }
    }
}

impl Running {
    /// The application.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Wakes what is due.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Ends what works beside the requests. What was left undone goes on with the next start.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.beside.join_next().await.is_some() {}
        self.projector.shutdown().await;
    }
}
