//! Which consumers there are in this process, and which of them are paused.

use super::{CheckpointStore, Consumer, ConsumerError, Name};
use circolo_domain::Timestamp;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Who is paused, and since when.
pub type Paused = BTreeMap<String, Timestamp>;

/// The consumers of a process by name. A node that does not lead has them too: it can tell how they stand.
pub struct Consumers {
    instances: watch::Sender<BTreeMap<Name, Arc<dyn Consumer>>>,
    paused: watch::Sender<Paused>,
}

impl Consumers {
    /// These to begin with.
    pub fn new(instances: impl IntoIterator<Item = Arc<dyn Consumer>>) -> Self {
        let instances = instances.into_iter().map(|consumer| (consumer.name().clone(), consumer)).collect();
        Self { instances: watch::Sender::new(instances), paused: watch::Sender::default() }
    }

    /// From now on these are the instances of `kind`: new ones begin, those that are gone end, and one that is another than before
    /// takes its place when that has ended.
    pub fn set(&self, kind: &str, instances: impl IntoIterator<Item = Arc<dyn Consumer>>) {
        let new: Vec<_> = instances.into_iter().filter(|consumer| consumer.name().kind() == kind).collect();
        self.instances.send_modify(|all| {
            all.retain(|name, _| name.kind() != kind);
            all.extend(new.into_iter().map(|consumer| (consumer.name().clone(), consumer)));
        });
    }

    /// All there are, by name.
    pub fn all(&self) -> Vec<Arc<dyn Consumer>> {
        self.instances.borrow().values().cloned().collect()
    }

    /// The one that is called so.
    pub fn find(&self, name: &str) -> Option<Arc<dyn Consumer>> {
        self.instances.borrow().iter().find(|(known, _)| known.as_str() == name).map(|(_, consumer)| Arc::clone(consumer))
    }

    /// Lets `name` rest from now on, over restarts too: what it is at, it ends.
    pub async fn pause(&self, checkpoints: &dyn CheckpointStore, name: &Name, at: Timestamp) -> Result<(), ConsumerError> {
        checkpoints.pause(name.as_str(), at).await?;
        self.look(checkpoints).await
    }

    /// Lets `name` go on.
    pub async fn resume(&self, checkpoints: &dyn CheckpointStore, name: &Name) -> Result<(), ConsumerError> {
        checkpoints.resume(name.as_str()).await?;
        self.look(checkpoints).await
    }

    /// Looks who is paused: another node may have been told.
    pub(super) async fn look(&self, checkpoints: &dyn CheckpointStore) -> Result<(), ConsumerError> {
        let now = checkpoints.paused().await?;
        self.paused.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
        Ok(())
    }

    /// Told when instances come or go.
    pub(super) fn subscribe(&self) -> watch::Receiver<BTreeMap<Name, Arc<dyn Consumer>>> {
        self.instances.subscribe()
    }

    /// Told when one is paused or goes on.
    pub(super) fn pauses(&self) -> watch::Receiver<Paused> {
        self.paused.subscribe()
    }
}
