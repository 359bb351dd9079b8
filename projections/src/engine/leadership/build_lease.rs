//! The lease of somebody who only prepares read models that nobody moves yet, beside the nodes that serve.

use super::{
    lease::{Lease, Leases},
    node::renew,
};
use crate::engine::context::{error::EngineError, options::Node, resignation::Resignation, shared::Shared};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How long to wait for leases that a killed process has left behind; they hold for [`super::lease::TTL`].
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Leases on read models, for as long as it takes to build them.
pub struct BuildLease {
    /// What the work goes on with: no write of it is stored once another process has taken over.
    pub shared: Arc<Shared>,
    leases: Leases,
    lease: Lease,
    renewer: JoinHandle<()>,
}

impl BuildLease {
    /// Takes all that `shared` knows; [`EngineError::Elsewhere`] if somebody has some of it.
    pub async fn take(shared: &Shared, node: Node) -> Result<Self, EngineError> {
        let keys: Vec<String> = shared.projections.iter().map(crate::Projection::key).collect();
        let wanted = keys.len();
        let leases = Leases::open(shared.db.apart(), node, keys).await?;
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(lease) = leases.take().await? {
                if lease.keys.len() == wanted {
                    return Ok(Self::begin(shared, leases, lease));
                }
                leases.release(&lease).await?;
            }
            if Instant::now() >= end {
                return Err(EngineError::Elsewhere);
            }
            sleep(PAUSE).await;
        }
    }

    fn begin(shared: &Shared, leases: Leases, lease: Lease) -> Self {
        let resignation = Resignation::new();
        let shared = Arc::new(shared.under(&lease.keys, lease.fence(), resignation.clone()));
        let renewer = tokio::spawn(renew(leases.clone(), lease.clone(), Arc::clone(&shared), resignation.why));
        Self { shared, leases, lease, renewer }
    }

    /// Lets go.
    pub async fn end(self) {
        self.renewer.abort();
        let _ = self.renewer.await;
        if let Err(error) = self.leases.release(&self.lease).await {
            tracing::warn!(%error, "the leases are not let go before their time");
        }
    }
}
