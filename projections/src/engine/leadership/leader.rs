//! This process as the leader: it moves the live subscription and all builds, from what the database holds to an orderly end.

use super::plan::Plan;
use crate::engine::{
    builds::{catch_up, subscription::Subscription},
    context::{error::EngineError, shared::Shared},
    live::live_subscription::{LiveHandle, LiveSubscription},
    operations::{activity::Activity, operator::Operator},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Moves the read models of its [`Shared`], while it lives.
pub struct Leader {
    /// What is done with builds meanwhile.
    pub operator: Operator,
}

impl Leader {
    /// Checks what the database holds against the log, starts to feed what is live and to build what is missing.
    pub async fn begin(shared: Arc<Shared>, activity: Activity) -> Result<Self, EngineError> {
        let (send, commands) = mpsc::channel(64);
        let operator = Operator::new(Arc::clone(&shared), LiveHandle(send), activity);
        let leader = Self { operator };
        let plan = Plan::make(&shared).await?;
        let subscription = Subscription::new(catch_up::subscribers(&shared, &plan.live).await?, plan.checkpoint);
        leader.operator.spawn(LiveSubscription { shared: Arc::clone(&shared), subscription, commands }.run());
        for group in plan.others {
            leader.operator.build(group);
        }
        // Whoever comes for something else, on the command line, is not kept by it.
        if shared.options.serving {
            leader.operator.mend();
        }
        Ok(leader)
    }

    /// Ends after the transactions under way. Builds go on with the next leader.
    pub async fn end(&self) {
        self.operator.shared.down.send_replace(true);
        self.operator.ended().await;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.operator.shared.down.send_replace(true);
    }
}
