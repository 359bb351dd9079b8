//! The live loop: all healthy builds of this program move together, one batch and one transaction at a time.
//!
//! Whatever changes who moves with the live subscription - joining, switching, leaving - happens here, between two batches, so at one
//! position of all of them.

use crate::{
    db::{DbError, Urgency, Write},
    engine::{
        builds::{
            catch_up::remove_cancelled,
            lifecycle::{discard, go_live},
            subscriber::Subscriber,
            subscription::{Step, Subscription},
        },
        context::{backoff::Backoff, error::EngineError, shared::Shared},
        tables::{
            build::{BuildId, State, Switch},
            registry,
        },
    },
};
use circolo_events::Position;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// How long one wait for news lasts at most.
const WAIT: Duration = Duration::from_secs(1);

/// What the live subscription is asked to do between two batches.
pub enum Command {
    /// Takes builds along, from the live subscription's position on, and makes them live if they are to be.
    Join(Box<Subscription>, Reply),
    /// Makes a build live that moves along.
    Switch(BuildId, Reply),
    /// Leaves a build behind and removes it; `Nothing` if it does not move along.
    Leave(BuildId, Reply),
}

type Reply = oneshot::Sender<Result<(), EngineError>>;

/// Talks to the live subscription.
#[derive(Clone)]
pub struct LiveHandle(pub mpsc::Sender<Command>);

impl LiveHandle {
    /// See [`Command::Join`].
    pub async fn join(&self, newcomers: Subscription) -> Result<(), EngineError> {
        self.ask(|reply| Command::Join(Box::new(newcomers), reply)).await
    }

    /// See [`Command::Switch`].
    pub async fn switch(&self, id: &BuildId) -> Result<(), EngineError> {
        self.ask(|reply| Command::Switch(id.clone(), reply)).await
    }

    /// See [`Command::Leave`].
    pub async fn leave(&self, id: &BuildId) -> Result<(), EngineError> {
        self.ask(|reply| Command::Leave(id.clone(), reply)).await
    }

    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), EngineError> {
        let (send, receive) = oneshot::channel();
        self.0.send(command(send)).await.map_err(|_| EngineError::Down)?;
        receive.await.map_err(|_| EngineError::Down)?
    }
}

/// What a newcomer is once it moves along.
const fn arrival(subscriber: &Subscriber) -> State {
    match (subscriber.state, subscriber.switch) {
        (State::Building | State::Returning, Switch::Auto) | (State::Live | State::Stopped, _) => State::Live,
        (State::Checking, _) => State::Checking,
        _ => State::Ready,
    }
}

/// The live subscription itself.
pub struct LiveSubscription {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// The builds that move.
    pub subscription: Subscription,
    /// What is asked.
    pub commands: mpsc::Receiver<Command>,
}

impl LiveSubscription {
    /// Moves until the projector shuts down, or until an error that no retry can mend.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new();
        self.publish();
        while !self.shared.is_down() {
            match self.turn().await {
                Ok(()) => backoff = Backoff::new(),
                Err(EngineError::Down) => return,
                Err(error) if self.shared.resigns(&error) => return,
                Err(error) if error.is_final() => {
                    tracing::error!(%error, "the live subscription stopped");
                    self.shared.meters().failure = Some(error.to_string());
                    return self.shared.steering.changed();
                }
                Err(error) => {
                    tracing::warn!(%error, "the live subscription failed and tries again");
                    self.shared.meters().trouble = Some(error.to_string());
                    if self.shared.pause(backoff.next()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One batch, or a wait for something to do.
    async fn turn(&mut self) -> Result<(), EngineError> {
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command).await;
        }
        let step = if self.subscription.subscribers.is_empty() { Step::Idle } else { self.step(None).await? };
        if step == Step::Idle {
            self.wait().await?;
        }
        Ok(())
    }

    async fn step(&mut self, until: Option<Position>) -> Result<Step, EngineError> {
        let step = self.subscription.step(&self.shared, self.shared.options.live_page, until, Urgency::Live).await?;
        self.shared.meters().trouble = None;
        if let Step::Moved(events) = step {
            self.shared.meters().moved(events);
        }
        self.publish();
        Ok(step)
    }

    /// Tells those who wait for a position. Where there is nothing to feed, everything is applied at once.
    fn publish(&self) {
        let position = self.subscription.scanned.max(self.subscription.checkpoint.position);
        if !self.subscription.subscribers.is_empty() || self.shared.projections.is_empty() {
            self.shared.applied.send_replace(position);
        }
    }

    async fn wait(&mut self) -> Result<(), EngineError> {
        let mut down = self.shared.down.subscribe();
        let feeding = !self.subscription.subscribers.is_empty() || self.shared.projections.is_empty();
        tokio::select! {
            // The guard that the wait gives back must not be held while a command is obeyed.
            () = async { drop(down.wait_for(|down| *down).await) } => Err(EngineError::Down),
            command = self.commands.recv() => {
                match command {
                    Some(command) => self.obey(command).await,
                    None => return Err(EngineError::Down),
                }
                Ok(())
            }
            head = self.shared.store.changed(self.subscription.scanned, WAIT), if feeding => {
                let head = head?;
                if self.shared.projections.is_empty() {
                    self.subscription.scanned = head;
                    self.publish();
                }
                Ok(())
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let (outcome, reply) = match command {
            Command::Join(newcomers, reply) => (self.join(*newcomers).await, reply),
            Command::Switch(id, reply) => (self.switch(&id).await, reply),
            Command::Leave(id, reply) => (self.leave(&id).await, reply),
        };
        // Who asked may be gone.
        let _ = reply.send(outcome);
    }

    async fn join(&mut self, mut newcomers: Subscription) -> Result<(), EngineError> {
        remove_cancelled(&self.shared, &mut newcomers).await?;
        if newcomers.subscribers.is_empty() {
            return Ok(());
        }
        self.meet(&mut newcomers).await?;
        let doubts = self.doubt(&mut newcomers);
        self.take_in(&mut newcomers, &doubts).await?;
        let live: Vec<_> = newcomers
            .subscribers
            .iter()
            .filter(|subscriber| subscriber.state == State::Live)
            .map(|subscriber| subscriber.id.name.clone())
            .collect();
        self.subscription.subscribers.retain(|subscriber| subscriber.state != State::Live || !live.contains(&subscriber.id.name));
        self.subscription.subscribers.append(&mut newcomers.subscribers);
        for name in live {
            self.now_live(&name);
        }
        self.publish();
        self.shared.steering.changed();
        Ok(())
    }

    /// A newcomer that lacks what the live build has, because what was read once cannot be read any more, replaces it only if an
    /// operator says so: it is the log that is to be mended, and this is not the way.
    fn doubt(&self, newcomers: &mut Subscription) -> HashMap<BuildId, String> {
        let mut doubts = HashMap::new();
        for subscriber in
            newcomers.subscribers.iter_mut().filter(|subscriber| matches!(subscriber.state, State::Building | State::Returning))
        {
            let live = self.subscription.subscribers.iter().find(|live| live.id.name == subscriber.id.name && live.state == State::Live);
            let Some(stream) = live.and_then(|live| subscriber.lacks_beside(live)).cloned() else { continue };
            tracing::warn!(build = %subscriber.id, %stream, "a build does not become live, for it leaves out what the live one holds");
            subscriber.switch = Switch::Manual;
            let why = format!(
                "it leaves out {stream}, which the live build holds: look at the log first (`circolo events check`), then switch or cancel"
            );
            doubts.insert(subscriber.id.clone(), why);
        }
        doubts
    }

    /// Notes of newcomers what they are from now on. Those of whom the database does not take that go.
    async fn take_in(&self, newcomers: &mut Subscription, doubts: &HashMap<BuildId, String>) -> Result<(), EngineError> {
        let shared = &self.shared;
        let arrives = |subscriber: &Subscriber| match arrival(subscriber) {
            State::Live => go_live(shared, subscriber),
            state => vec![registry::set_state(&subscriber.id, state, doubts.get(&subscriber.id).map(String::as_str))],
        };
        match self.patiently(newcomers.subscribers.iter().flat_map(arrives).collect()).await {
            Err(EngineError::Db(error)) if error.is_lasting() => {
                let parts = newcomers.subscribers.iter().map(arrives).collect();
                newcomers.part_with(shared, parts, error, Urgency::Live).await?;
                self.patiently(newcomers.subscribers.iter().flat_map(arrives).collect()).await
            }
            outcome => outcome,
        }?;
        newcomers.subscribers.iter_mut().for_each(|subscriber| subscriber.state = arrival(subscriber));
        Ok(())
    }

    /// Brings the live subscription and newcomers to one position.
    async fn meet(&mut self, newcomers: &mut Subscription) -> Result<(), EngineError> {
        self.subscription.settle(&self.shared).await?;
        while self.subscription.checkpoint.position < newcomers.checkpoint.position && !self.subscription.subscribers.is_empty() {
            self.step(Some(newcomers.checkpoint.position)).await?;
        }
        if self.subscription.subscribers.is_empty() {
            // Nobody moves: it is where the newcomers are.
            self.subscription = Subscription::new(vec![], newcomers.checkpoint);
            self.subscription.scanned = newcomers.scanned;
        }
        while newcomers.checkpoint.position < self.subscription.checkpoint.position && !newcomers.subscribers.is_empty() {
            newcomers.step(&self.shared, self.shared.options.live_page, Some(self.subscription.checkpoint.position), Urgency::Live).await?;
        }
        Ok(())
    }

    async fn switch(&mut self, id: &BuildId) -> Result<(), EngineError> {
        let nothing = || EngineError::Nothing { name: id.name.clone(), what: "switched to" };
        let at = self
            .subscription
            .subscribers
            .iter()
            .position(|subscriber| subscriber.id == *id && subscriber.state == State::Ready)
            .ok_or_else(nothing)?;
        self.patiently(go_live(&self.shared, &self.subscription.subscribers[at])).await?;
        self.subscription.subscribers[at].state = State::Live;
        self.subscription
            .subscribers
            .retain(|subscriber| subscriber.id == *id || subscriber.id.name != id.name || subscriber.state != State::Live);
        self.now_live(&id.name);
        self.shared.steering.changed();
        Ok(())
    }

    fn now_live(&self, name: &str) {
        if let Ok(projection) = self.shared.projection(name) {
            for fold in &projection.tables {
                self.shared.db.set_building(fold.table.name, None);
            }
        }
    }

    async fn leave(&mut self, id: &BuildId) -> Result<(), EngineError> {
        let nothing = || EngineError::Nothing { name: id.name.clone(), what: "left behind" };
        let at = self
            .subscription
            .subscribers
            .iter()
            .position(|subscriber| subscriber.id == *id && subscriber.state != State::Live)
            .ok_or_else(nothing)?;
        discard(&self.shared, &self.subscription.subscribers[at]).await?;
        self.subscription.subscribers.remove(at);
        Ok(())
    }

    /// A switch that gives way to readers and comes back.
    async fn patiently(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        let mut backoff = Backoff::new();
        for _ in 0..5 {
            match self.shared.db.write(writes.clone(), Urgency::Live).await {
                Err(DbError::Failed(error)) => tracing::debug!(%error, "a switch gives way and is tried again"),
                outcome => return Ok(outcome?),
            }
            self.shared.pause(backoff.next()).await?;
        }
        Ok(self.shared.db.write(writes, Urgency::Live).await?)
    }
}
