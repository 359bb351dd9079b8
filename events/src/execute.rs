//! A command on its way: state, decision, append, what follows.
//!
//! A cached aggregate is a guess, the append is the proof. An accepted command on a warm stream costs no read; a refusal
//! or "nothing to do" is believed only on a state that was read to the stream's end. Commands on one stream take turns.

use crate::cached_stream::{Cached, CachedStream, CachedStreams, Known, Recent};
use crate::end::End;
use crate::in_flight::InFlight;
use crate::others::Others;
use crate::{
    Append, EventStore, Expected, Position, Recorded, Revision, Skips, StoreError, Stored, Unreadable,
    envelope::{self, new_events},
    sealing::asked,
};
use circolo_domain::access::{Origin, Scope};
use circolo_domain::stance::Rights;
use circolo_domain::{Context, Decider, DecodeError, Kind, PersonId, Rejection, StreamName, Timestamp};
use std::{
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};
use uuid::Uuid;

/// Where the time comes from: the server's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Events read at once while a stream is folded.
const READ_PAGE: usize = 500;
/// How often a decision is tried again after somebody else wrote to the stream. The turn-taking of this process makes
/// conflicts with itself impossible, so these rounds are for other nodes.
const ROUNDS: usize = 3;

/// Bounds of an [`Executor`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes that the aggregates in memory may take, roughly.
    pub cache_bytes: u64,
    /// Commands that may wait for their turn on one stream; more are [`ExecuteError::Busy`].
    pub queue_per_stream: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, queue_per_stream: 1_024 }
    }
}

/// What comes with a command, whatever the command is.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks; `None` for the server itself.
    pub actor: Option<PersonId>,
    /// The command's id; see [`Context::command_id`].
    pub command_id: Uuid,
    /// Whether the id derives from something that repeats (an idempotency key, an event): then a first outcome is looked up.
    pub keyed: bool,
    /// What is asked, in one spelling: the same key with something else is refused. What is kept of it is a fingerprint.
    pub asked: Option<Arc<str>>,
    /// What this belongs to.
    pub correlation: Uuid,
    /// The event it follows from.
    pub causation: Option<Uuid>,
    /// Where it happens; `None` where the aggregate itself tells.
    pub scope: Option<Scope>,
    /// The revision the caller saw (`If-Match`).
    pub if_match: Option<Revision>,
}

impl Request {
    /// A request of `actor` under a fresh command id.
    pub const fn new(actor: Option<PersonId>, command_id: Uuid) -> Self {
        Self { actor, command_id, keyed: false, asked: None, correlation: command_id, causation: None, scope: None, if_match: None }
    }

    /// Is `stream` named by this very command, which is new? Then it can be taken to be empty, and the append proves it.
    fn names(&self, stream: &StreamName) -> bool {
        !self.keyed && stream.key().parse() == Ok(self.command_id)
    }

    /// The same request in the scope that holds now, if it was for the same place.
    fn now_in(&self, now: Option<Scope>) -> Self {
        let scope = self.scope.map(|given| now.filter(|now| now.owner == given.owner).unwrap_or(given));
        self.clone().within(scope)
    }

    /// The same request in `scope`.
    #[must_use]
    pub const fn within(mut self, scope: Option<Scope>) -> Self {
        self.scope = scope;
        self
    }
}

/// The outcome of an accepted command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The stream's revision; `None` if it has no event.
    pub revision: Option<Revision>,
    /// Position of the last event it led to, follow-ups included; for a no-op, of the stream's last event.
    pub position: Position,
    /// Whether events were appended now.
    pub changed: bool,
    /// Whether this is the first outcome of a command that was repeated.
    pub repeated: bool,
}

/// Why a command did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E: Rejection> {
    /// The domain refuses.
    #[error(transparent)]
    Rejected(E),
    /// The idempotency key was used with another body.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The stream is not at the revision the caller saw.
    #[error("this has changed since you read it")]
    PreconditionFailed {
        /// Where it is.
        current: Option<Revision>,
    },
    /// Too many commands wait for this stream.
    #[error("too many commands are waiting for this")]
    Busy,
    /// Others kept writing to the stream.
    #[error("others kept changing this at the same time")]
    Contended,
    /// An event cannot be read, of the stream or of one that tells the rights in the command.
    #[error(transparent)]
    Unreadable(Arc<Unreadable>),
    /// The same, for somebody who may not know of what the command is about.
    #[error("there is nothing here under this id")]
    Hidden(Arc<Unreadable>),
    /// The log.
    #[error(transparent)]
    Store(StoreError),
}

impl<E: Rejection> From<StoreError> for ExecuteError<E> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            error => Self::Store(error),
        }
    }
}

/// Why a state could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event of the stream cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Arc<Unreadable>),
}

impl<E: Rejection> From<LoadError> for ExecuteError<E> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Unreadable(unread) => Self::Unreadable(unread),
        }
    }
}

/// An aggregate as it stands.
#[derive(Debug, Clone)]
pub struct Loaded<D> {
    /// The fold of the stream.
    pub state: Arc<D>,
    /// Its last revision; `None` if it has no event.
    pub revision: Option<Revision>,
    /// Scope and moment of its first event.
    pub origin: Option<Origin>,
    /// The event at which all this ends, as it cannot be read.
    pub unread: Option<Arc<Unreadable>>,
}

impl<D> Loaded<D> {
    /// The same, if all of the stream can be read.
    pub fn whole(self) -> Result<Self, LoadError> {
        match &self.unread {
            Some(unread) => Err(Arc::clone(unread).into()),
            None => Ok(self),
        }
    }
}

/// Executes commands on the log.
pub struct Executor {
    store: Arc<dyn EventStore>,
    clock: Clock,
    slots: Arc<CachedStreams>,
    in_flight: Arc<InFlight>,
    others: Arc<Others>,
    skips: Skips,
    end: OnceLock<End>,
}

/// An accepted command before its follow-ups ran.
struct Accepted {
    done: Done,
    events: Vec<Recorded>,
}

impl Accepted {
    /// There was nothing to do.
    fn nothing<D>(cached: &Cached<D>) -> Self {
        let done = Done { revision: cached.revision, position: cached.position, changed: false, repeated: false };
        Self { done, events: vec![] }
    }
}

impl Executor {
    /// An executor on `store`.
    pub fn new(store: Arc<dyn EventStore>, clock: Clock, options: Options) -> Self {
        let (in_flight, others, skips) = (Arc::default(), Arc::default(), Skips::default());
        Self { store, clock, slots: Arc::new(CachedStreams::new(options)), in_flight, others, skips, end: OnceLock::new() }
    }

    /// From now on other nodes may write to the log, too: what they write makes its way into the cache within a moment, and
    /// [`Executor::load`] gives nothing that is older than [`STALENESS`](crate::others::STALENESS). To be called before anything
    /// is loaded.
    pub async fn share_log(&self) -> Result<(), StoreError> {
        self.others.follow(Arc::clone(&self.store), Arc::clone(&self.slots)).await
    }

    /// The log.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// Waits until the cache knows of all that the log holds by now. Whoever read the log and goes on to [`Executor::load`] what it
    /// is about would else find some of it older than the log, for a moment.
    pub async fn settled(&self) {
        self.in_flight.settled().await;
        self.others.settled(&*self.store).await;
    }

    /// The end of the log, kept for all who follow it; from the first call on.
    pub fn end(&self) -> &End {
        self.end.get_or_init(|| End::follow(Arc::clone(&self.store), Arc::clone(&self.in_flight), Arc::clone(&self.others)))
    }

    /// Now, by the server's clock.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Events that are passed over.
    pub const fn skips(&self) -> &Skips {
        &self.skips
    }

    /// The aggregate behind `stream`, from the cache if it is there. All appends of this process pass through the cache
    /// before they are acknowledged; for those of others see [`Executor::share_log`].
    pub async fn load<D: Decider>(&self, stream: &StreamName) -> Result<Loaded<D>, LoadError> {
        self.load_in_part(stream).await?.whole()
    }

    /// The same; where an event cannot be read, as it was before it. For who goes on to see whether the caller may know that.
    pub async fn load_in_part<D: Decider>(&self, stream: &StreamName) -> Result<Loaded<D>, LoadError> {
        let slot = self.slots.of(stream);
        let (cached, _) = self.look(stream, &slot).await?;
        Ok(Loaded { state: cached.state, revision: cached.revision, origin: cached.origin, unread: cached.unread })
    }

    /// The aggregate behind `stream` as it was at `revision`.
    pub async fn load_at<D: Decider>(&self, stream: &StreamName, revision: Revision) -> Result<D, LoadError> {
        let mut cached = Cached::<D>::default();
        loop {
            let from = Expected::of(cached.revision).next();
            let wanted = usize::try_from((revision + 1).saturating_sub(from)).unwrap_or(READ_PAGE).min(READ_PAGE);
            let page = if wanted == 0 { vec![] } else { self.store.read(stream, from, wanted).await? };
            for stored in &page {
                cached = self.fold(cached, stored).await?;
            }
            if let Some(unread) = cached.unread {
                return Err(unread.into());
            }
            if page.is_empty() {
                return Ok(Arc::unwrap_or_clone(cached.state));
            }
        }
    }

    /// Executes `command` on `stream` and runs what follows from it.
    pub async fn execute<D: Decider>(
        &self,
        stream: &StreamName,
        command: D::Command,
        request: &Request,
    ) -> Result<Done, ExecuteError<D::Error>> {
        let accepted = self.accept::<D>(stream, command, request).await?;
        Ok(self.followed(stream, accepted).await)
    }

    /// What the keyed command of `request` came to on `stream` the first time, if it was there before.
    pub async fn repeated<D: Decider>(&self, stream: &StreamName, request: &Request) -> Result<Option<Done>, ExecuteError<D::Error>> {
        let slot = self.slots.of(stream);
        let first = {
            // The first may be in the log a moment before the cache knows of it: whoever goes on to load the state must find it there.
            // What follows from it may lead back to this stream, so the turn ends before.
            let _turn = slot.turn(self.slots.queue_per_stream).await.ok_or(ExecuteError::Busy)?;
            let (cached, _) = self.look::<D>(stream, &slot).await?;
            self.first_outcome(stream, &slot, cached.revision, request).await?
        };
        match first {
            Some(first) => Ok(Some(self.followed(stream, first).await)),
            None => Ok(None),
        }
    }

    /// Does `work`, which is about the command `id`, while nobody else in this process does so: for a command whose first append goes
    /// to a stream that the key does not name. `None` if too many wait.
    pub async fn alone<T>(&self, id: Uuid, work: impl Future<Output = T>) -> Option<T> {
        let name = StreamName::new("command", id);
        let slot = self.slots.of(&name);
        let _turn = slot.turn(self.slots.queue_per_stream).await?;
        Some(work.await)
    }

    /// Runs what follows. After a repeat, too: the first time may have died halfway, or not be done yet.
    async fn followed(&self, stream: &StreamName, Accepted { mut done, events }: Accepted) -> Done {
        for event in &events {
            match self.follow(event).await {
                Ok(Some(position)) => done.position = done.position.max(position),
                Ok(None) => {}
                // The command is accepted all the same: what is missing is completed by a consumer of the log.
                Err(error) => {
                    tracing::warn!(%stream, event = %event.id, %error, "a follow-up is left to the consumer that completes flows");
                }
            }
        }
        done
    }

    async fn accept<D: Decider>(
        &self,
        stream: &StreamName,
        mut command: D::Command,
        request: &Request,
    ) -> Result<Accepted, ExecuteError<D::Error>> {
        let slot = self.slots.of(stream);
        let _turn = slot.turn(self.slots.queue_per_stream).await.ok_or(ExecuteError::Busy)?;
        let (mut cached, mut current) = if slot.get::<D>().is_none() && request.names(stream) {
            (Cached::default(), false)
        } else {
            self.look::<D>(stream, &slot).await?
        };
        if let Some(first) = self.first_outcome(stream, &slot, cached.revision, request).await? {
            return Ok(first);
        }
        let mut conflicts = 0;
        loop {
            let context = Context { stream, now: self.now(), actor: request.actor, command_id: request.command_id };
            let scope = self.whole_rights::<D>(stream, &cached, &mut command, context.now).await?;
            let decision = cached.state.decide(&command, &context);
            let believed =
                matches!(&decision, Ok(events) if !events.is_empty() && request.if_match.is_none_or(|seen| Some(seen) == cached.revision));
            if !believed && !current {
                match self.read_on(stream, &slot, cached, request).await? {
                    ControlFlow::Continue(read) => (cached, current) = (read, true),
                    ControlFlow::Break(first) => return Ok(first),
                }
                continue;
            }
            let events = checked(decision, &cached, request)?;
            if events.is_empty() {
                return Ok(Accepted::nothing(&cached));
            }
            let fingerprint = self.fingerprint(request).await?;
            let metadata = envelope::metadata(stream, &cached, (&command, &events), &context, &request.now_in(scope), fingerprint);
            let expected = Expected::of(cached.revision);
            let new = new_events(stream, &events, &metadata, context.now);
            let flight = self.in_flight.begin();
            match self.store.append(Append { stream: stream.clone(), expected, events: new }).await {
                Ok(appended) => {
                    let done = Done { revision: Some(appended.revision), position: appended.position, changed: true, repeated: false };
                    slot.appended(cached, &events, appended, &metadata, context.now);
                    let events = envelope::recorded(stream, expected, appended, &events, &metadata, context.now);
                    return Ok(Accepted { done, events });
                }
                Err(StoreError::Conflict { .. }) if conflicts < ROUNDS => {
                    drop(flight);
                    conflicts += 1;
                    let known = cached.revision;
                    match self.read_on(stream, &slot, cached, request).await? {
                        // Nobody wrote to the stream: it was the id that is taken, by the same key on another one.
                        ControlFlow::Continue(read) if request.keyed && read.ends_at(known) => return Err(ExecuteError::KeyReused),
                        ControlFlow::Continue(read) => (cached, current) = (read, true),
                        ControlFlow::Break(first) => return Ok(first),
                    }
                }
                Err(StoreError::Conflict { .. }) => return Err(ExecuteError::Contended),
                Err(unknown @ StoreError::Unknown(_)) => {
                    slot.forget();
                    return self.looked_up(stream, request, unknown).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Renews the rights in `command`, and tells their scope. Nothing is decided by a part of what there is; whoever may not know of it gets
    /// the answer that an unknown id gets.
    async fn whole_rights<D: Decider>(
        &self,
        stream: &StreamName,
        cached: &Cached<D>,
        command: &mut D::Command,
        now: Timestamp,
    ) -> Result<Option<Scope>, ExecuteError<D::Error>> {
        let (scope, unread) = self.renew::<D>(stream, cached, command, now).await?;
        match cached.unread.clone().or(unread) {
            None => Ok(scope),
            Some(unread) if D::rights(command).iter().any(Rights::hides) => Err(ExecuteError::Hidden(unread)),
            Some(unread) => Err(ExecuteError::Unreadable(unread)),
        }
    }

    /// What is kept of what a keyed request asks.
    async fn fingerprint(&self, request: &Request) -> Result<Option<String>, StoreError> {
        match &request.asked {
            Some(asked) => asked::of(&*self.store, request.actor, asked).await.map(Some),
            None => Ok(None),
        }
    }

    /// What became of an append without an answer.
    async fn looked_up<E: Rejection>(
        &self,
        stream: &StreamName,
        request: &Request,
        unknown: StoreError,
    ) -> Result<Accepted, ExecuteError<E>> {
        let found = self.store.find(stream, request.command_id).await.ok().flatten();
        let (_, appended) = found.ok_or(ExecuteError::Store(unknown))?;
        let done = Done { revision: Some(appended.revision), position: appended.position, changed: true, repeated: false };
        Ok(Accepted { done, events: vec![] })
    }

    /// What a keyed command came to the first time, if there was one, with its events: what follows from them may still be
    /// on its way, and the answer tells where that ended.
    async fn first_outcome<E: Rejection>(
        &self,
        stream: &StreamName,
        slot: &CachedStream,
        revision: Option<Revision>,
        request: &Request,
    ) -> Result<Option<Accepted>, ExecuteError<E>> {
        if !request.keyed || revision.is_none() {
            return Ok(None);
        }
        let Recent { fingerprint, first, appended } = match slot.recent(request.command_id) {
            Some(recent) => recent,
            None => match self.store.find(stream, request.command_id).await? {
                None => return Ok(None),
                Some((stored, appended)) => {
                    let metadata = stored.metadata().map_err(|error| ExecuteError::Unreadable(Unreadable::new(&stored, &error).into()))?;
                    Recent { fingerprint: metadata.fingerprint, first: stored.revision, appended }
                }
            },
        };
        let same = match (&request.asked, &fingerprint) {
            (Some(asked), Some(stored)) => asked::is(&*self.store, request.actor, asked, stored).await?,
            (asked, stored) => asked.is_none() == stored.is_none(),
        };
        if !same {
            return Err(ExecuteError::KeyReused);
        }
        let count = usize::try_from(appended.revision - first + 1).unwrap_or(READ_PAGE);
        let stored = self.store.read(stream, first, count).await?;
        // What a newer node decided has happened, and what follows is for those who can read it.
        let events = stored.iter().filter_map(|stored| stored.decode().ok()).collect();
        let done = Done { revision: Some(appended.revision), position: appended.position, changed: false, repeated: true };
        Ok(Some(Accepted { done, events }))
    }

    /// Reads the stream on from `cached` to its end. If it went on, another node may have executed this very command meanwhile:
    /// then that is the outcome.
    async fn read_on<D: Decider>(
        &self,
        stream: &StreamName,
        slot: &CachedStream,
        cached: Cached<D>,
        request: &Request,
    ) -> Result<ControlFlow<Accepted, Cached<D>>, ExecuteError<D::Error>> {
        let known = cached.revision;
        let cached = self.read(stream, slot, cached).await?;
        let first = if cached.revision == known { None } else { self.first_outcome(stream, slot, cached.revision, request).await? };
        Ok(first.map_or(ControlFlow::Continue(cached), ControlFlow::Break))
    }

    /// The state in the cache, read on where somebody else wrote to the stream or might have; and whether it was read to the
    /// stream's end just now.
    async fn look<D: Decider>(&self, stream: &StreamName, slot: &CachedStream) -> Result<(Cached<D>, bool), LoadError> {
        match slot.get::<D>() {
            Some((cached, Known::ToTheEnd)) if self.others.are_known() => Ok((cached, false)),
            Some((cached, _)) => Ok((self.read(stream, slot, cached).await?, true)),
            None => Ok((self.read(stream, slot, Cached::default()).await?, true)),
        }
    }

    /// Reads the stream on from `cached` to its end and remembers the result.
    async fn read<D: Decider>(&self, stream: &StreamName, slot: &CachedStream, mut cached: Cached<D>) -> Result<Cached<D>, LoadError> {
        let generation = slot.generation();
        let before = cached.unread.take();
        let mut from = Expected::of(cached.revision).next();
        loop {
            let page = self.store.read(stream, from, READ_PAGE).await?;
            for stored in &page {
                cached = self.fold(cached, stored).await?;
            }
            if page.len() < READ_PAGE {
                break;
            }
            from += READ_PAGE as u64;
        }
        if let (None, Some(unread)) = (before, &cached.unread) {
            tracing::error!(%unread, "what is about this is closed until it can be read or is passed over (circolo events skip)");
        }
        slot.put(generation, &cached);
        Ok(cached)
    }

    /// The state after one event more. What is passed over counts, and changes nothing; behind what cannot be read nothing is folded.
    async fn fold<D: Decider>(&self, mut cached: Cached<D>, stored: &Stored) -> Result<Cached<D>, StoreError> {
        if let Some(unread) = cached.unread.take() {
            cached.unread = Some(Arc::new(Arc::unwrap_or_clone(unread).and(stored)));
            return Ok(cached);
        }
        cached.origin = cached.origin.or_else(|| stored.origin());
        match own::<D>(stored) {
            Ok((event, at)) => cached.state = Arc::new(Arc::unwrap_or_clone(cached.state).evolve(&event, at)),
            Err(_) if self.skips.pass_over(&*self.store, stored.event.id).await? => {}
            Err(error) => {
                cached.unread = Some(Arc::new(Unreadable::new(stored, &error)));
                return Ok(cached);
            }
        }
        (cached.revision, cached.position) = (Some(stored.revision), stored.position);
        Ok(cached)
    }
}

/// The event as one of the aggregate's own, and when it was recorded.
fn own<D: Decider>(stored: &Stored) -> Result<(D::Event, Timestamp), DecodeError> {
    let recorded = stored.decode()?;
    match D::own(&recorded.event) {
        Some(event) => Ok((event.clone(), recorded.recorded_at)),
        None => Err(DecodeError::UnknownType(stored.event.event_type.clone())),
    }
}

/// The events of a decision, or why there are none, in the order in which reasons count: rights before the precondition,
/// the precondition before everything else.
fn checked<D: Decider>(
    decision: Result<Vec<D::Event>, D::Error>,
    cached: &Cached<D>,
    request: &Request,
) -> Result<Vec<D::Event>, ExecuteError<D::Error>> {
    let stale = request.if_match.is_some_and(|seen| Some(seen) != cached.revision);
    match decision {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Unauthenticated | Kind::Forbidden) => {
            Err(ExecuteError::Rejected(error))
        }
        _ if stale => Err(ExecuteError::PreconditionFailed { current: cached.revision }),
        Err(error) => Err(ExecuteError::Rejected(error)),
        Ok(events) => Ok(events),
    }
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
