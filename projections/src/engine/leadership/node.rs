//! One of several nodes: takes leases that are free, leads what it holds, and follows those who hold the rest.

use super::{
    leader::Leader,
    lease::{Holder, Lease, Leases, REACTIONS, RENEWAL},
};
use crate::{
    db::{Building, Db, DbError, Dialect},
    engine::{
        context::{
            error::EngineError,
            options::{Mismatch, Node},
            resignation::{Resignation, Why},
            shared::Shared,
        },
        operations::activity::Activity,
        tables::{build::State, registry},
    },
    projection::Projection,
};
use circolo_events::{
    Position,
    tail::{Tail, advance},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How often a node looks whether a lease is free.
const TICK: Duration = Duration::from_millis(250);
/// For how long a node lets others go first that may know more, or do better.
const ASIDE: Duration = Duration::from_secs(5);

/// What the projector sees of its supervisor.
pub struct Supervised {
    seen: Arc<Seen>,
    tail: Tail,
    reacting: watch::Receiver<Option<Db>>,
    ended: watch::Receiver<bool>,
}

/// What a node last saw of the others.
struct Seen {
    me: String,
    db: Db,
    holders: Mutex<Vec<Holder>>,
    followed: Mutex<Followed>,
}

/// Whose progress counts.
#[derive(Default, Clone)]
struct Followed {
    /// What others move, by name and version.
    projections: Vec<(&'static str, i64)>,
    /// How far this node's own live subscription is, if it moves some.
    own: Option<watch::Receiver<Position>>,
}

impl Supervised {
    /// Up to where the read models are, once that is `position` or `patience` is at its end.
    pub async fn reached(&self, position: Position, patience: Duration) -> Position {
        self.tail.changed(Position(position.0.saturating_sub(1)), patience).await
    }

    /// Who else holds this lease.
    pub fn holder(&self, key: &str) -> Option<Holder> {
        let other = |holder: &&Holder| holder.key == key && !holder.free && holder.node.id != self.seen.me;
        locked(&self.seen.holders).iter().find(other).cloned()
    }

    /// See `Projector::reacting`.
    pub fn reacting(&self) -> watch::Receiver<Option<Db>> {
        self.reacting.clone()
    }

    /// Waits until everything is let go.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl Seen {
    /// Up to where everything is folded; the beginning if it is not others who move it.
    async fn position(&self) -> Result<Position, EngineError> {
        const SQL: &str = "SELECT name, version, position FROM projection_builds WHERE state = $1";
        let Followed { projections, own } = locked(&self.followed).clone();
        if projections.is_empty() {
            return Ok(Position::START);
        }
        let live = self.db.query::<(String, i64, i64)>(SQL, crate::params![State::Live.name()]).await?;
        let of = |(name, version): &(&str, i64)| live.iter().find(|(n, v, _)| n == name && v == version).map_or(0, |(.., at)| *at);
        let least = projections.iter().map(of).min().unwrap_or_default();
        Ok(Position(own.map_or(least, |own| own.borrow().0.min(least))))
    }
}

/// A lease, and who renews it.
struct Held {
    lease: Lease,
    renewer: JoinHandle<()>,
}

struct Supervisor {
    shared: Arc<Shared>,
    leases: Leases,
    seen: Arc<Seen>,
    leader: watch::Sender<Option<Arc<Leader>>>,
    activity: Activity,
    reacting: watch::Sender<Option<Db>>,
    resignation: Resignation,
    held: Option<Held>,
    /// Until then others go first.
    aside: Option<Instant>,
    /// Why the last leader could not begin.
    failure: Option<String>,
}

/// Starts to share the read models with other nodes. If leases are to be had this node leads when this returns.
pub async fn supervise(
    shared: &Arc<Shared>,
    node: Node,
    leader: watch::Sender<Option<Arc<Leader>>>,
    activity: Activity,
) -> Result<Supervised, EngineError> {
    if shared.db.dialect() != Dialect::Postgres {
        return Err(EngineError::OneNode);
    }
    refuse_other_log(shared).await?;
    let keys = shared.projections.iter().map(Projection::key).chain([REACTIONS.to_owned()]).collect();
    let (db, me) = (shared.db.apart(), node.id.clone());
    let leases = Leases::open(db.clone(), node, keys).await?;
    let seen = Arc::new(Seen { me, db, holders: Mutex::default(), followed: Mutex::default() });
    let tail = Tail::start(shared.applied.clone(), {
        let seen = Arc::clone(&seen);
        move || {
            let seen = Arc::clone(&seen);
            async move { seen.position().await }
        }
    });
    let (reacting, ended) = (watch::Sender::new(None), watch::Sender::new(false));
    let supervised = Supervised { seen: Arc::clone(&seen), tail, reacting: reacting.subscribe(), ended: ended.subscribe() };
    let shared = Arc::clone(shared);
    let mut supervisor = Supervisor {
        shared,
        leases,
        seen,
        leader,
        activity,
        reacting,
        resignation: Resignation::new(),
        held: None,
        aside: None,
        failure: None,
    };
    supervisor.follow_all_but(&[]);
    supervisor.tick().await?;
    tokio::spawn(async move {
        supervisor.run().await;
        ended.send_replace(true);
    });
    Ok(supervised)
}

/// Whoever leads or will lead: read models of another log are a mistake.
async fn refuse_other_log(shared: &Shared) -> Result<(), EngineError> {
    if shared.options.mismatch == Mismatch::Rebuild {
        return Ok(());
    }
    for build in registry::builds(&shared.db).await? {
        let known = shared.projections.iter().any(|p| p.name == build.id.name && p.version == build.version);
        if known && build.state.is_live() && !build.checkpoint.matches(&*shared.store).await? {
            return Err(EngineError::Mismatch { id: build.id, position: build.checkpoint.position });
        }
    }
    Ok(())
}

impl Supervisor {
    async fn run(&mut self) {
        let (mut down, mut resigned) = (self.shared.down.subscribe(), self.resignation.why.subscribe());
        loop {
            tokio::select! {
                () = async { drop(down.wait_for(|down| *down).await) } => break,
                () = async { drop(resigned.wait_for(Option::is_some).await) } => {}
                () = sleep(TICK) => {}
            }
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "this node could not look after its leases on the read models");
                sleep(TICK).await;
            }
        }
        self.step_down(true).await;
    }

    /// Looks who moves what, and takes what is free.
    async fn tick(&mut self) -> Result<(), EngineError> {
        if let Some(why) = self.resignation.why.send_replace(None) {
            tracing::warn!(?why, "this node moves the read models no more");
            self.aside = (why == Why::Newer).then(|| Instant::now() + ASIDE);
            self.step_down(why == Why::Newer).await;
        }
        let holders = self.leases.holders().await?;
        let me = &self.leases.node().id;
        let mine = |holder: &Holder| self.held.as_ref().is_some_and(|held| held.lease.keys.contains(&holder.key));
        let is_free = holders.iter().any(|holder| !mine(holder) && (holder.free || holder.node.id == *me));
        if self.held.is_none() {
            let failure = holders.iter().find_map(|holder| holder.failure.clone());
            self.shared.meters().failure = failure.or_else(|| self.failure.clone().filter(|_| is_free));
        }
        *locked(&self.seen.holders) = holders;
        self.look().await?;
        if is_free && self.aside.is_none_or(|until| until <= Instant::now()) {
            self.take().await?;
        }
        Ok(())
    }

    /// Learns how far others have come with what they move.
    async fn look(&self) -> Result<(), EngineError> {
        let followed = locked(&self.seen.followed).projections.clone();
        if followed.is_empty() {
            return Ok(());
        }
        let builds = registry::builds(&self.seen.db).await?;
        let head = self.shared.store.head().await?;
        for projection in self.shared.projections.iter().filter(|p| followed.contains(&(p.name, p.version))) {
            let mut mine = builds.iter().filter(|build| build.id.name == projection.name && build.version == projection.version);
            let is_live = mine.clone().any(|build| build.state.is_live());
            let last = mine.next_back();
            let at = last.map_or(0, |build| build.checkpoint.position.0);
            let failed = last.is_some_and(|build| build.state == State::Failed);
            #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
            let progress = if head.0 > 0 { (at as f64 / head.0 as f64).min(1.0) } else { 0.0 };
            let building = (!is_live).then_some(Building { projection: projection.name, progress, failed });
            for fold in &projection.tables {
                self.shared.db.set_building(fold.table.name, building);
            }
        }
        advance(&self.shared.applied, self.seen.position().await?);
        Ok(())
    }

    /// Takes what is free, if nobody was faster, and leads it and what was held before.
    async fn take(&mut self) -> Result<(), EngineError> {
        self.step_down(false).await;
        let Some(lease) = self.leases.take().await? else { return Ok(()) };
        tracing::info!(epoch = lease.epoch, leases = ?lease.keys, "this node moves the read models now");
        let shared = Arc::new(self.shared.under(&lease.keys, lease.fence(), self.resignation.clone()));
        let renewer = tokio::spawn(renew(self.leases.clone(), lease.clone(), Arc::clone(&shared), self.resignation.why.clone()));
        let db = shared.db.clone();
        let own = shared.applied.subscribe();
        self.shared.meters().failure = None;
        let begun = Leader::begin(shared, self.activity.clone()).await;
        self.held = Some(Held { lease: lease.clone(), renewer });
        match begun {
            Ok(leader) => {
                self.failure = None;
                self.follow_all_but(&lease.keys);
                locked(&self.seen.followed).own = Some(own);
                self.leader.send_replace(Some(Arc::new(leader)));
                self.reacting.send_replace(lease.keys.iter().any(|key| key == REACTIONS).then_some(db));
                Ok(())
            }
            Err(error) => {
                self.failure = Some(error.to_string());
                self.aside = Some(Instant::now() + ASIDE);
                self.step_down(true).await;
                Err(error)
            }
        }
    }

    /// Leads no more; with `release`, another node may take over at once.
    async fn step_down(&mut self, release: bool) {
        self.follow_all_but(&[]);
        self.reacting.send_replace(None);
        let leader = self.leader.send_replace(None);
        if let Some(leader) = leader {
            leader.end().await;
        }
        let Some(Held { lease, renewer }) = self.held.take() else { return };
        renewer.abort();
        let _ = renewer.await;
        if release && let Err(error) = self.leases.release(&lease).await {
            tracing::warn!(%error, "the leases are not let go before their time");
        }
    }

    /// Everything is moved by others, except what `keys` name.
    fn follow_all_but(&self, keys: &[String]) {
        let projections = self.shared.projections.iter().filter(|p| !keys.contains(&p.key())).map(|p| (p.name, p.version)).collect();
        *locked(&self.seen.followed) = Followed { projections, own: None };
    }
}

/// Holds on to what `lease` holds, until it turns out that another node has it.
pub async fn renew(leases: Leases, lease: Lease, shared: Arc<Shared>, resigned: watch::Sender<Option<Why>>) {
    loop {
        sleep(RENEWAL).await;
        let failure = shared.meters().failure.clone();
        match leases.renew(&lease, failure).await {
            Ok(()) => {}
            Err(DbError::LeaseLost) => {
                resigned.send_replace(Some(Why::LeaseLost));
                return;
            }
            // Until it is back nobody else can take over either; if somebody does, the next answer tells.
            Err(error) => tracing::warn!(%error, "the leases on the read models could not be renewed"),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
