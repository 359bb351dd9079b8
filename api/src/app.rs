//! What every handler needs, and the few things they all do with it: execute, stand, catch up.

use crate::{
    auth::{Auth, Principal},
    call::Call,
    caller::{Analyst, MaybeCaller, Whence},
    clock::{Clock, Ids},
    config::Http,
    health::Telling,
    listeners::{Listeners, Place},
    media::Workshop,
    past::Pasts,
    problem::Problem,
    rate::{Asker, RateLimit, Searches},
};
use axum::http::StatusCode;
use circolo_domain::{
    Decider, GroupId, Named, PageId, PersonId, Span, StreamName, Timestamp,
    access::{Origin, Owner, Scope, Standing},
    allowance::{self, Act, Allowance},
    page::PageStanding,
    person::{self, Person},
    response_rate::Label,
    stance::Stance,
    unmasking::{self, Reading, Unmasking, Use},
};
use circolo_events::{
    EventStore, ExecuteError, Executor, Position, StoreError,
    consumers::{CheckpointStore, Consumers},
    execute,
    media::Files,
};
use circolo_projections::{Db, Projector};
use quick_cache::sync::Cache;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::Instrument;
use uuid::Uuid;

/// For how long a reader is taken to want their own writes.
const OWN_WRITES: Span = Span::seconds(5);
/// Whose last writes are remembered.
const WRITERS: usize = 10_000;
/// Places in the change feed that are remembered.
const PLACES: usize = 10_000;
/// Of how many pages the label is remembered.
const LABELS: usize = 10_000;
/// By page and minute.
pub(crate) type Labels = Cache<(PageId, i64), Label>;

/// The running application; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What an application is made of.
pub struct Parts {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// Decides and appends.
    pub executor: Arc<Executor>,
    /// The read models.
    pub db: Db,
    /// Feeds them.
    pub projector: Arc<Projector>,
    /// Who does something about what happens.
    pub consumers: Arc<Consumers>,
    /// How far they have come.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Uploaded files.
    pub files: Arc<Files>,
    /// Checks tokens.
    pub auth: Auth,
    /// How the API behaves.
    pub http: Http,
    /// Tells the time.
    pub clock: Clock,
    /// Makes fresh ids.
    pub ids: Ids,
}

struct Inner {
    parts: Parts,
    rate: Option<RateLimit>,
    searches: Searches,
    /// Where a person's last write stands, and when it was.
    writes: Cache<PersonId, (Position, Timestamp)>,
    /// Places for those who wait for changes.
    listeners: Arc<Listeners>,
    /// What is told of the server itself.
    telling: Telling,
    /// Turns true when the server stops.
    stopping: watch::Sender<bool>,
    pasts: Pasts,
    workshop: Workshop,
    labels: Labels,
    /// Marks of events that clients have followed the log to.
    places: Cache<Position, u64>,
}

impl Inner {
    fn wrote(&self, person: PersonId, position: Position, now: Timestamp) {
        let before = self.writes.get(&person).map_or(position, |(before, _)| before);
        self.writes.insert(person, (position.max(before), now));
    }
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let (rate, writes) = (RateLimit::new(parts.http.rate_limit), Cache::new(WRITERS));
        let searches = Searches::new(parts.http.anonymous_searches, parts.http.anonymous_searches_in_all);
        let (listeners, stopping) = (Listeners::new(parts.http.listeners.get()), watch::Sender::new(false));
        let (telling, places) = (Telling::default(), Cache::new(PLACES));
        let (labels, looks) = (Labels::new(LABELS), Pasts::default());
        let workshop = Workshop::new(Arc::clone(&parts.files), parts.http.media.uploads.get());
        Self(Arc::new(Inner { parts, rate, searches, writes, listeners, telling, stopping, pasts: looks, workshop, labels, places }))
    }

    /// Asks `command` of the aggregate in `stream`. `scope` is that of the caller's standing, for things in a group.
    pub async fn execute<D: Decider>(
        &self,
        call: &Call,
        stream: &StreamName,
        command: D::Command,
        scope: Option<Scope>,
    ) -> Result<execute::Done, Problem> {
        Ok(self.attempt::<D>(call, stream, command, scope).await??)
    }

    /// The same for a caller who goes on after some refusals.
    pub async fn attempt<D: Decider>(
        &self,
        call: &Call,
        stream: &StreamName,
        command: D::Command,
        scope: Option<Scope>,
    ) -> Result<Result<execute::Done, ExecuteError<D::Error>>, Problem> {
        let name = command.name();
        // To its end, also if the caller goes away meanwhile: what was appended must come to be known here, and what follows be done.
        let (executor, stream, request) = (Arc::clone(&self.0.parts.executor), stream.clone(), call.request(scope));
        let executed = tokio::spawn(async move { executor.execute::<D>(&stream, command, &request).await }.in_current_span());
        let outcome = executed.await.map_err(|panic| Problem::internal(&panic))?;
        metrics::counter!("circolo_commands_total", "command" => name, "outcome" => label(&outcome)).increment(1);
        if let Ok(done) = &outcome {
            self.0.wrote(call.person(), done.position, self.now());
        }
        Ok(outcome)
    }

    /// Takes a place in the allowance of `whose`, before what it is for is done. A repeat of a keyed call takes none.
    pub async fn take_place(&self, call: &Call, whose: impl Into<Uuid>, act: Act) -> Result<(), Problem> {
        let stream = allowance::stream(whose);
        self.execute::<Allowance>(&call.part("allowance"), &stream, allowance::Command::TakePlace(act), None).await.map(drop)
    }

    /// What the keyed `call` came to on `stream` before, if it was there.
    pub async fn repeated<D: Decider>(&self, call: &Call, stream: &StreamName) -> Result<Option<execute::Done>, Problem> {
        Ok(self.0.parts.executor.repeated::<D>(stream, &call.request(None)).await?)
    }

    /// What `person` is to `group`.
    pub async fn standing(&self, person: Option<PersonId>, group: GroupId) -> Result<Standing, Problem> {
        Ok(self.0.parts.executor.standing(person, group).await?)
    }

    /// What the caller, or nobody signed in, is to `page`.
    pub async fn page_standing(&self, caller: Option<&Call>, page: PageId) -> Result<PageStanding, Problem> {
        let bot = caller.is_some_and(|call| call.principal().bot);
        Ok(self.0.parts.executor.page_standing(caller.map(Call::person), bot, page).await?)
    }

    /// What the caller, or nobody signed in, is to what was written at `origin`.
    pub async fn stance(&self, caller: Option<&Call>, origin: Origin) -> Result<Stance, Problem> {
        Ok(match origin.scope.owner {
            Owner::Group(group) => Stance::Group(self.standing(caller.map(Call::person), group).await?.towards(origin)),
            Owner::Page(page) => Stance::Page(self.page_standing(caller, page).await?),
        })
    }

    /// Records that `analyst` is about to read personal texts: `asked` says which.
    pub async fn record_unmasking(&self, analyst: &Analyst, asked: &str) -> Result<(), Problem> {
        let id = self.fresh_id();
        let Principal { issuer, subject, person, .. } = &*analyst.principal;
        let (who, place) = (format!("{issuer}: {subject}"), analyst.address.map(|address| address.to_string()));
        let using = Use { reading: Reading::Events, asked: asked.to_owned(), who, place };
        let request = execute::Request { correlation: analyst.correlation, ..execute::Request::new(Some(*person), id) };
        let command = unmasking::Command::RecordUnmasking(using);
        self.0.parts.executor.execute::<Unmasking>(&unmasking::stream(id), command, &request).await?;
        Ok(())
    }

    /// Whether the person has registered.
    pub async fn is_registered(&self, person: PersonId) -> Result<bool, Problem> {
        Ok(self.0.parts.executor.load::<Person>(&person::stream(person)).await?.state.exists())
    }

    /// The same of a caller, who reads on also where all that is known of them is that they have.
    pub async fn is_known(&self, person: PersonId) -> Result<(bool, Result<(), Problem>), Problem> {
        let loaded = self.0.parts.executor.load_in_part::<Person>(&person::stream(person)).await?;
        Ok((loaded.state.exists(), loaded.whole().map(drop).map_err(Problem::from)))
    }

    /// Waits, bounded, until the read models have come to `wanted`, or to what `reader` wrote a moment ago.
    pub(crate) async fn caught_up(&self, wanted: Option<Position>, reader: Option<PersonId>) -> Result<(), Problem> {
        let own = || self.0.writes.get(&reader?).filter(|(_, at)| self.now().since(*at) < OWN_WRITES).map(|(position, _)| position);
        let Some(position) = wanted.or_else(own) else { return Ok(()) };
        let behind = |_| Problem::try_later("behind", "the read models have not come to this position yet");
        self.0.parts.projector.wait_for(position, self.config().catch_up()).await.map_err(behind)
    }

    /// What is needed to look at the past.
    pub(crate) fn pasts(&self) -> &Pasts {
        &self.0.pasts
    }

    /// What is needed for files.
    pub(crate) fn workshop(&self) -> &Workshop {
        &self.0.workshop
    }

    /// What everyone may know of how pages answer, minute by minute.
    pub(crate) fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// Decides and appends.
    pub fn executor(&self) -> &Arc<Executor> {
        &self.0.parts.executor
    }

    /// The log.
    pub fn store(&self) -> &dyn EventStore {
        &*self.0.parts.store
    }

    /// The same, to be passed on.
    pub fn log(&self) -> &Arc<dyn EventStore> {
        &self.0.parts.store
    }

    /// Marks of events that clients have followed the log to.
    pub(crate) fn places(&self) -> &Cache<Position, u64> {
        &self.0.places
    }

    /// The read models.
    pub fn db(&self) -> &Db {
        &self.0.parts.db
    }

    /// Who does something about what happens in the log.
    pub fn consumers(&self) -> &Consumers {
        &self.0.parts.consumers
    }

    /// How far they have come.
    pub(crate) fn checkpoints(&self) -> &dyn CheckpointStore {
        &*self.0.parts.checkpoints
    }

    /// Feeds the read models.
    pub fn projector(&self) -> &Projector {
        &self.0.parts.projector
    }

    /// How the API behaves.
    pub fn config(&self) -> &Http {
        &self.0.parts.http
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0.parts.clock)()
    }

    /// An id that nobody used before.
    pub fn fresh_id(&self) -> Uuid {
        (self.0.parts.ids)()
    }

    /// Checks tokens.
    pub fn auth(&self) -> &Auth {
        &self.0.parts.auth
    }

    /// Ends everything that waits for changes: the server stops.
    pub fn stop_listening(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Turns true when the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    /// A place for `asker` among those who wait for changes, kept until it is dropped.
    pub(crate) fn listener(&self, asker: Asker) -> Result<Place, Problem> {
        self.0.listeners.enter(asker)
    }

    /// What is told of the server itself.
    pub(crate) fn telling(&self) -> &Telling {
        &self.0.telling
    }

    /// Refuses a search of somebody without a token who has searched enough, or when all of them have.
    pub(crate) fn admit_search(&self, caller: &MaybeCaller, from: Whence) -> Result<(), Problem> {
        let MaybeCaller::Anonymous = caller else { return Ok(()) };
        let Some(seconds) = self.0.searches.refused(from.0) else { return Ok(()) };
        let detail = "too many searches without a token";
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).with_retry_after(seconds))
    }

    pub(crate) fn rate(&self) -> Option<&RateLimit> {
        self.0.rate.as_ref()
    }
}

/// What became of a command, for metrics.
fn label<E: circolo_domain::Rejection>(outcome: &Result<execute::Done, ExecuteError<E>>) -> &'static str {
    match outcome {
        Ok(done) if done.changed => "accepted",
        Ok(_) => "unchanged",
        Err(ExecuteError::Rejected(rejection)) => rejection.code(),
        Err(ExecuteError::KeyReused) => "key_reused",
        Err(ExecuteError::PreconditionFailed { .. }) => "revision_changed",
        Err(ExecuteError::Busy) => "busy",
        Err(ExecuteError::Contended) => "contended",
        Err(ExecuteError::Store(StoreError::Unknown(_))) => "outcome_unknown",
        Err(ExecuteError::Store(_)) => "unavailable",
        Err(ExecuteError::Unreadable(_)) => "unreadable",
        Err(ExecuteError::Hidden(_)) => "not_found",
    }
}
