//! The live loop: all healthy builds of this program move together, one batch and one transaction at a time.
//!
//! Whatever changes who moves with the lane - joining, switching, leaving - happens here, between two batches, so at one
//! position of all of them.

use crate::{
    db::{DbError, Urgency, Write},
    engine::{
        builds::{
            catch_up::remove_cancelled,
            lifecycle::{discard, go_live},
            member::Member,
            step::{Convoy, Step},
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

/// What the lane is asked to do between two batches.
pub enum Command {
    /// Takes builds along, from the lane's position on, and makes them live if they are to be.
    Join(Box<Convoy>, Reply),
    /// Makes a build live that moves along.
    Switch(BuildId, Reply),
    /// Leaves a build behind and removes it; `Nothing` if it does not move along.
    Leave(BuildId, Reply),
}

type Reply = oneshot::Sender<Result<(), EngineError>>;

/// Talks to the lane.
#[derive(Clone)]
pub struct LaneHandle(pub mpsc::Sender<Command>);

impl LaneHandle {
    /// See [`Command::Join`].
    pub async fn join(&self, convoy: Convoy) -> Result<(), EngineError> {
        self.ask(|reply| Command::Join(Box::new(convoy), reply)).await
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
const fn arrival(member: &Member) -> State {
    match (member.state, member.switch) {
        (State::Building | State::Returning, Switch::Auto) | (State::Live | State::Stopped, _) => State::Live,
        (State::Checking, _) => State::Checking,
        _ => State::Ready,
    }
}

/// The lane itself.
pub struct Lane {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// The builds that move.
    pub convoy: Convoy,
    /// What is asked.
    pub commands: mpsc::Receiver<Command>,
}

impl Lane {
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
                    tracing::error!(%error, "the lane stopped");
                    self.shared.meters().failure = Some(error.to_string());
                    return self.shared.steering.changed();
                }
                Err(error) => {
                    tracing::warn!(%error, "the lane failed and tries again");
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
        let step = if self.convoy.members.is_empty() { Step::Idle } else { self.step(None).await? };
        if step == Step::Idle {
            self.wait().await?;
        }
        Ok(())
    }

    async fn step(&mut self, until: Option<Position>) -> Result<Step, EngineError> {
        let step = self.convoy.step(&self.shared, self.shared.options.live_page, until, Urgency::Lane).await?;
        self.shared.meters().trouble = None;
        if let Step::Moved(events) = step {
            self.shared.meters().moved(events);
        }
        self.publish();
        Ok(step)
    }

    /// Tells those who wait for a position. Where there is nothing to feed, everything is applied at once.
    fn publish(&self) {
        let position = self.convoy.scanned.max(self.convoy.checkpoint.position);
        if !self.convoy.members.is_empty() || self.shared.projections.is_empty() {
            self.shared.applied.send_replace(position);
        }
    }

    async fn wait(&mut self) -> Result<(), EngineError> {
        let mut down = self.shared.down.subscribe();
        let feeding = !self.convoy.members.is_empty() || self.shared.projections.is_empty();
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
            head = self.shared.store.changed(self.convoy.scanned, WAIT), if feeding => {
                let head = head?;
                if self.shared.projections.is_empty() {
                    self.convoy.scanned = head;
                    self.publish();
                }
                Ok(())
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let (outcome, reply) = match command {
            Command::Join(convoy, reply) => (self.join(*convoy).await, reply),
            Command::Switch(id, reply) => (self.switch(&id).await, reply),
            Command::Leave(id, reply) => (self.leave(&id).await, reply),
        };
        // Who asked may be gone.
        let _ = reply.send(outcome);
    }

    async fn join(&mut self, mut convoy: Convoy) -> Result<(), EngineError> {
        remove_cancelled(&self.shared, &mut convoy).await?;
        if convoy.members.is_empty() {
            return Ok(());
        }
        self.meet(&mut convoy).await?;
        let doubts = self.doubt(&mut convoy);
        self.take_in(&mut convoy, &doubts).await?;
        let live: Vec<_> =
            convoy.members.iter().filter(|member| member.state == State::Live).map(|member| member.id.name.clone()).collect();
        self.convoy.members.retain(|member| member.state != State::Live || !live.contains(&member.id.name));
        self.convoy.members.append(&mut convoy.members);
        for name in live {
            self.now_live(&name);
        }
        self.publish();
        self.shared.steering.changed();
        Ok(())
    }

    /// A newcomer that lacks what the live build has, because what was read once cannot be read any more, replaces it only if an
    /// operator says so: it is the log that is to be mended, and this is not the way.
    fn doubt(&self, convoy: &mut Convoy) -> HashMap<BuildId, String> {
        let mut doubts = HashMap::new();
        for member in convoy.members.iter_mut().filter(|member| matches!(member.state, State::Building | State::Returning)) {
            let live = self.convoy.members.iter().find(|live| live.id.name == member.id.name && live.state == State::Live);
            let Some(stream) = live.and_then(|live| member.lacks_beside(live)).cloned() else { continue };
            tracing::warn!(build = %member.id, %stream, "a build does not become live, for it leaves out what the live one holds");
            member.switch = Switch::Manual;
            let why = format!(
                "it leaves out {stream}, which the live build holds: look at the log first (`circolo events check`), then switch or cancel"
            );
            doubts.insert(member.id.clone(), why);
        }
        doubts
    }

    /// Notes of newcomers what they are from now on. Those of whom the database does not take that go.
    async fn take_in(&self, convoy: &mut Convoy, doubts: &HashMap<BuildId, String>) -> Result<(), EngineError> {
        let shared = &self.shared;
        let arrives = |member: &Member| match arrival(member) {
            State::Live => go_live(shared, member),
            state => vec![registry::set_state(&member.id, state, doubts.get(&member.id).map(String::as_str))],
        };
        match self.patiently(convoy.members.iter().flat_map(arrives).collect()).await {
            Err(EngineError::Db(error)) if error.is_lasting() => {
                let parts = convoy.members.iter().map(arrives).collect();
                convoy.part_with(shared, parts, error, Urgency::Lane).await?;
                self.patiently(convoy.members.iter().flat_map(arrives).collect()).await
            }
            outcome => outcome,
        }?;
        convoy.members.iter_mut().for_each(|member| member.state = arrival(member));
        Ok(())
    }

    /// Brings lane and newcomers to one position.
    async fn meet(&mut self, convoy: &mut Convoy) -> Result<(), EngineError> {
        self.convoy.settle(&self.shared).await?;
        while self.convoy.checkpoint.position < convoy.checkpoint.position && !self.convoy.members.is_empty() {
            self.step(Some(convoy.checkpoint.position)).await?;
        }
        if self.convoy.members.is_empty() {
            // Nobody moves: the lane is where the newcomers are.
            self.convoy = Convoy::new(vec![], convoy.checkpoint);
            self.convoy.scanned = convoy.scanned;
        }
        while convoy.checkpoint.position < self.convoy.checkpoint.position && !convoy.members.is_empty() {
            convoy.step(&self.shared, self.shared.options.live_page, Some(self.convoy.checkpoint.position), Urgency::Lane).await?;
        }
        Ok(())
    }

    async fn switch(&mut self, id: &BuildId) -> Result<(), EngineError> {
        let nothing = || EngineError::Nothing { name: id.name.clone(), what: "switched to" };
        let at = self.convoy.members.iter().position(|member| member.id == *id && member.state == State::Ready).ok_or_else(nothing)?;
        self.patiently(go_live(&self.shared, &self.convoy.members[at])).await?;
        self.convoy.members[at].state = State::Live;
        self.convoy.members.retain(|member| member.id == *id || member.id.name != id.name || member.state != State::Live);
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
        let at = self.convoy.members.iter().position(|member| member.id == *id && member.state != State::Live).ok_or_else(nothing)?;
        discard(&self.shared, &self.convoy.members[at]).await?;
        self.convoy.members.remove(at);
        Ok(())
    }

    /// A switch that gives way to readers and comes back.
    async fn patiently(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        let mut backoff = Backoff::new();
        for _ in 0..5 {
            match self.shared.db.write(writes.clone(), Urgency::Lane).await {
                Err(DbError::Failed(error)) => tracing::debug!(%error, "a switch gives way and is tried again"),
                outcome => return Ok(outcome?),
            }
            self.shared.pause(backoff.next()).await?;
        }
        Ok(self.shared.db.write(writes, Urgency::Lane).await?)
    }
}
