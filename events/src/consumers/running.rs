//! Moves consumers over the log, each by itself.

use super::{CheckpointStore, Consumer, ConsumerError, Consumers, Name, Paused, aside::Aside, progress::Trouble};
use crate::{Executor, Position, end::Kept};
use circolo_domain::{Decider, skip::Skip};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

/// Events a consumer reads at once; the checkpoint moves once per page.
const PAGE: usize = 500;
/// What is new is gathered so long: consumers are in no hurry, and each page costs a transaction for the checkpoint.
const GATHER: Duration = Duration::from_millis(100);
/// How long one wait for news lasts at most.
const WAIT: Duration = Duration::from_secs(5);
/// Pause after a failure: doubled up to the second value.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often is looked who was paused by way of another node.
const LOOK: Duration = Duration::from_secs(1);

/// Runs `consumers`, whichever there are at each moment, until `shutdown` turns true.
pub async fn run(
    consumers: Arc<Consumers>,
    executor: Arc<Executor>,
    checkpoints: Arc<dyn CheckpointStore>,
    mut shutdown: watch::Receiver<bool>,
) {
    let (mut wanted, mut running) = (consumers.subscribe(), BTreeMap::<Name, Instance>::new());
    while !*shutdown.borrow() {
        // Nobody sets out who may be paused.
        if let Err(error) = consumers.look(&*checkpoints).await {
            tracing::debug!(%error, "it cannot be told which consumers are paused");
        } else {
            let now = wanted.borrow_and_update().clone();
            let gone: Vec<Name> = running.iter().filter(|(name, one)| !one.is(now.get(*name))).map(|(name, _)| name.clone()).collect();
            for name in gone {
                if let Some(instance) = running.remove(&name) {
                    instance.end().await;
                }
            }
            for (name, consumer) in now {
                running.entry(name).or_insert_with(|| Instance::begin(consumer, &executor, &checkpoints, consumers.pauses()));
            }
        }
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => {}
            _ = wanted.changed() => {}
            () = sleep(LOOK) => {}
        }
    }
    for instance in running.into_values() {
        instance.end().await;
    }
}

/// A consumer that runs.
struct Instance {
    consumer: Arc<dyn Consumer>,
    over: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Instance {
    fn begin(
        consumer: Arc<dyn Consumer>,
        executor: &Arc<Executor>,
        checkpoints: &Arc<dyn CheckpointStore>,
        paused: watch::Receiver<Paused>,
    ) -> Self {
        let over = watch::Sender::new(false);
        let run = Run {
            consumer: Arc::clone(&consumer),
            executor: Arc::clone(executor),
            checkpoints: Arc::clone(checkpoints),
            paused,
            position: None,
            aside: Aside::default(),
        };
        let task = tokio::spawn(run.until(over.subscribe()));
        Self { consumer, over, task }
    }

    fn is(&self, wanted: Option<&Arc<dyn Consumer>>) -> bool {
        wanted.is_some_and(|wanted| Arc::ptr_eq(wanted, &self.consumer))
    }

    async fn end(self) {
        self.over.send_replace(true);
        if let Err(panic) = self.task.await {
            tracing::error!(consumer = %self.consumer.name(), %panic, "a consumer broke off");
        }
    }
}

/// How far a consumer has come that runs.
struct Run {
    consumer: Arc<dyn Consumer>,
    executor: Arc<Executor>,
    checkpoints: Arc<dyn CheckpointStore>,
    paused: watch::Receiver<Paused>,
    position: Option<Position>,
    aside: Aside,
}

impl Run {
    /// Goes on until `over` turns true. Failures are tried again, with growing pauses, and never skipped.
    async fn until(mut self, mut over: watch::Receiver<bool>) {
        let (mut pause, mut trouble) = (BACKOFF.0, Trouble::new(self.consumer.name().clone()));
        while !*over.borrow() {
            let step = async {
                if self.is_paused() {
                    return self.resumed().await;
                }
                match self.next_page().await {
                    Ok(()) => {
                        trouble.is_over(&*self.checkpoints).await;
                        pause = BACKOFF.0;
                    }
                    Err(error) => {
                        tracing::error!(consumer = %self.consumer.name(), %error, "a consumer failed and will be tried again");
                        trouble.lasts(&*self.checkpoints, &error, self.executor.now()).await;
                        sleep(pause).await;
                        pause = (pause * 2).min(BACKOFF.1);
                    }
                }
            };
            tokio::select! {
                _ = over.wait_for(|over| *over) => return,
                () = step => {}
            }
        }
    }

    fn is_paused(&self) -> bool {
        self.paused.borrow().contains_key(self.consumer.name().as_str())
    }

    async fn resumed(&mut self) {
        let name = self.consumer.name().as_str();
        if self.paused.wait_for(|paused| !paused.contains_key(name)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn next_page(&mut self) -> Result<(), ConsumerError> {
        let (consumer, checkpoints) = (Arc::clone(&self.consumer), Arc::clone(&self.checkpoints));
        let after = match self.position {
            Some(position) => position,
            None => first_position(&*consumer, &self.executor, &*checkpoints).await?,
        };
        self.aside.retry(&*consumer, &self.executor, &*checkpoints).await?;
        self.position = Some(self.page_behind(after).await?);
        Ok(())
    }

    async fn page_behind(&mut self, after: Position) -> Result<Position, ConsumerError> {
        let executor = Arc::clone(&self.executor);
        let (page, scanned) = read(&executor, after).await?;
        let (mut reached, mut last) = (scanned.max(after), after);
        for kept in &page {
            if self.is_paused() {
                reached = last;
                break;
            }
            let category = kept.stored.stream.category();
            if self.consumer.reads(category) {
                self.aside.take(&*self.consumer, &executor, &*self.checkpoints, kept).await?;
            } else if category == Skip::CATEGORY {
                self.aside.is_due();
            }
            last = kept.stored.position;
        }
        if reached > after {
            self.checkpoints.save(self.consumer.name().as_str(), reached).await?;
            if page.len() < PAGE {
                sleep(GATHER).await;
            }
        } else if !self.is_paused() {
            tokio::select! {
                () = executor.end().changed(after, WAIT) => {}
                _ = self.paused.changed() => {}
            }
        }
        Ok(reached)
    }
}

/// The events behind `after` and how far that goes: of what is kept of the end of the log, so that it is decoded once for all, or read from
/// the store.
async fn read(executor: &Executor, after: Position) -> Result<(Vec<Arc<Kept>>, Position), ConsumerError> {
    if let Some(kept) = executor.end().behind(after, PAGE) {
        let scanned = kept.last().map_or(after, |kept| kept.stored.position);
        return Ok((kept, scanned));
    }
    let page = executor.store().read_all(after, PAGE).await?;
    Ok((page.events.into_iter().map(|stored| Arc::new(Kept::new(stored))).collect(), page.scanned))
}

/// Where a consumer goes on after a start. A log that lost its last commits gives their positions again: what comes to stand
/// there is new. (Where a checkpoint is beyond the head for another reason, nothing of ours stands in between.)
pub async fn first_position(
    consumer: &dyn Consumer,
    executor: &Executor,
    checkpoints: &dyn CheckpointStore,
) -> Result<Position, ConsumerError> {
    let checkpoint = checkpoints.load(consumer.name().as_str()).await?.unwrap_or_else(|| consumer.begins());
    Ok(checkpoint.min(executor.store().head().await?))
}
