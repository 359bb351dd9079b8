use super::*;
use crate::consumers::{self, CheckpointStore, Consumer, Consumers, MemoryCheckpoints};
use crate::reactions::{CompleteFlows, RefuseRequests};
use crate::{Appended, LogId, Memory, Page};
use async_trait::async_trait;
use circolo_domain::access::{Privacy, Standing};
use circolo_domain::group::{self, Group, Policy};
use circolo_domain::membership::{self, Membership};
use circolo_domain::person::{self, Person};
use circolo_domain::question::{self, Question};
use circolo_domain::{Body, Comment, DisplayName, GroupId, Name, QuestionId, Span, Title};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The memory log, with a count of its reads and appends that fail on demand.
#[derive(Default)]
struct Watched {
    log: Memory,
    reads: AtomicUsize,
    /// What becomes of the next appends to streams with this prefix.
    faults: Mutex<Vec<(&'static str, Fault)>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// It is refused before anything happens.
    Refused,
    /// It happens, and the answer is lost.
    AnswerLost,
    /// It does not happen, and nobody can tell.
    Lost,
}

fn broken() -> Box<dyn std::error::Error + Send + Sync> {
    "the line is dead".into()
}

#[async_trait]
impl EventStore for Watched {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let at = faults.iter().position(|(prefix, _)| append.stream.as_str().starts_with(prefix));
            at.map(|at| faults.remove(at).1)
        };
        match fault {
            None => self.log.append(append).await,
            Some(Fault::Refused) => Err(StoreError::Unavailable(broken())),
            Some(Fault::Lost) => Err(StoreError::Unknown(broken())),
            Some(Fault::AnswerLost) => {
                self.log.append(append).await?;
                Err(StoreError::Unknown(broken()))
            }
        }
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        self.log.append_many(appends).await
    }

    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.log.read(stream, from, limit).await
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.log.read_prefix(prefix, after, until, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.log.read_all(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        self.log.find(stream, command_id).await
    }

    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.log.changed(after, wait).await
    }
}

const NOON: Timestamp = Timestamp::from_micros(1_769_860_800_000_000);

struct World {
    log: Arc<Watched>,
    executor: Arc<Executor>,
    /// How long after [`NOON`] it is.
    days: Arc<AtomicI64>,
}

fn on(log: &Arc<Watched>, options: Options) -> Arc<Executor> {
    Arc::new(Executor::new(log.clone(), Arc::new(|| NOON), options))
}

fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}

fn request(n: u128, command: u128) -> Request {
    Request::new(Some(person(n)), Uuid::from_u128(command))
}

fn keyed(n: u128, command: u128, body: &str) -> Request {
    Request { keyed: true, asked: Some(body.into()), ..request(n, command) }
}

impl World {
    fn new() -> Self {
        let (log, days) = (Arc::new(Watched::default()), Arc::new(AtomicI64::default()));
        let day = days.clone();
        let clock = Arc::new(move || NOON.plus(Span::hours(24 * day.load(Ordering::Relaxed))));
        Self { executor: Arc::new(Executor::new(log.clone(), clock, Options::default())), log, days }
    }

    fn fails(&self, prefix: &'static str, fault: Fault) {
        self.log.faults.lock().unwrap().push((prefix, fault));
    }

    /// A group of person 1, named by command 0xA.
    async fn group(&self, policy: Policy) -> GroupId {
        let id = GroupId(Uuid::from_u128(0xA));
        let command = group::Command::CreateGroup {
            name: Name::parse("Bakers").unwrap(),
            description: None,
            privacy: Privacy::Closed,
            membership: policy,
        };
        self.executor.execute::<Group>(&group::stream(id), command, &request(1, 0xA)).await.unwrap();
        id
    }

    async fn standing(&self, n: u128, group: GroupId) -> Standing {
        let state = self.executor.load::<Group>(&group::stream(group)).await.unwrap().state;
        let membership = self.executor.load::<Membership>(&membership::stream(group, person(n))).await.unwrap().state;
        Standing::new(Some(person(n)), group, state, membership, NOON)
    }

    async fn join(&self, n: u128, group: GroupId, command: u128) {
        let by = self.standing(n, group).await;
        let stream = membership::stream(group, person(n));
        self.executor.execute::<Membership>(&stream, membership::Command::JoinGroup { by }, &request(n, command)).await.unwrap();
    }

    /// The next day, for that is how soon privacy changes again.
    async fn turn(&self, privacy: Privacy, group: GroupId, command: u128) -> crate::execute::Done {
        self.days.fetch_add(1, Ordering::Relaxed);
        let by = self.standing(1, group).await;
        // A group that became secret takes no requests; one that is none any more takes them again if it says so.
        let membership = (privacy != Privacy::Secret).then_some(Policy::Request);
        let changes = group::Changes { privacy: Some(privacy), membership, ..group::Changes::default() };
        let change = group::Command::ChangeGroup { by, changes };
        self.executor.execute::<Group>(&group::stream(group), change, &request(1, command)).await.unwrap()
    }

    async fn ask(&self, group: GroupId) -> QuestionId {
        let by = self.standing(1, group).await;
        let id = QuestionId(Uuid::from_u128(0xB));
        let scope = by.scope();
        let command = question::Command::PostQuestion { by, title: Title::parse("Why?").unwrap(), body: Body::parse("Tell.").unwrap() };
        self.executor.execute::<Question>(&question::stream(id), command, &request(1, 0xB).within(scope)).await.unwrap();
        id
    }

    async fn answer(&self, question: QuestionId, group: GroupId, request: &Request) -> Result<Done, ExecuteError<question::Error>> {
        let loaded = self.executor.load::<Question>(&question::stream(question)).await.unwrap();
        let by = self.standing(1, group).await.towards(loaded.origin.unwrap());
        let command = question::Command::PostAnswer { by, body: Comment::parse("So.").unwrap() };
        self.executor.execute::<Question>(&question::stream(question), command, request).await
    }
}

fn register() -> person::Command {
    person::Command::RegisterPerson { display_name: DisplayName::parse("Ann").unwrap(), locale: None }
}

#[tokio::test]
async fn what_follows_from_a_command_is_done_when_it_answers() {
    let world = World::new();
    let group = world.group(Policy::Open).await;
    assert!(world.standing(1, group).await.membership().present().is_some(), "the founder is a member");
    let events = world.log.log.read_all(Position::START, 10).await.unwrap().events;
    let [created, joined] = events.as_slice() else { panic!("two events, not {}", events.len()) };
    let metadata = joined.decode().unwrap().metadata;
    assert_eq!((metadata.causation, metadata.correlation), (Some(created.event.id), Uuid::from_u128(0xA)));
    assert_eq!(created.decode().unwrap().metadata.scope.and_then(|scope| scope.group()), Some(group));
}

#[tokio::test]
async fn an_accepted_command_on_a_warm_stream_costs_no_read() {
    let world = World::new();
    let group = world.group(Policy::Open).await;
    let question = world.ask(group).await;
    world.answer(question, group, &request(1, 1)).await.unwrap();
    let before = world.log.reads.load(Ordering::Relaxed);
    for command in 1002..1050 {
        world.answer(question, group, &request(1, command)).await.unwrap();
    }
    assert_eq!(world.log.reads.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn a_key_gives_the_first_outcome_again_however_many_send_it_at_once() {
    let world = World::new();
    let group = world.group(Policy::Open).await;
    let question = world.ask(group).await;
    let sent = keyed(1, 0xC, "body");
    let outcomes = futures::future::join_all((0..100).map(|_| world.answer(question, group, &sent))).await;
    let outcomes: Vec<Done> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|done| done.changed).count(), 1);
    assert!(outcomes.iter().all(|done| (done.revision, done.position) == (outcomes[0].revision, outcomes[0].position)));
    assert_eq!(world.log.log.read(&question::stream(question), 0, 10).await.unwrap().len(), 2);
    // Also for a process that knows nothing of it yet.
    let later = World { executor: on(&world.log, Options::default()), log: world.log.clone(), days: world.days.clone() };
    assert!(later.answer(question, group, &sent).await.unwrap().repeated);
    let other = later.answer(question, group, &keyed(1, 0xC, "another body")).await;
    assert!(matches!(other, Err(ExecuteError::KeyReused)));
}

#[tokio::test]
async fn a_hundred_commands_on_one_stream_are_all_accepted() {
    let world = World::new();
    let group = world.group(Policy::Open).await;
    let question = world.ask(group).await;
    let requests: Vec<Request> = (1001..=1100).map(|command| request(1, command)).collect();
    let outcomes = futures::future::join_all(requests.iter().map(|request| world.answer(question, group, request))).await;
    let mut revisions: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().revision.unwrap()).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn more_than_the_queue_holds_are_told_to_come_back() {
    let world = World::new();
    let group = world.group(Policy::Open).await;
    let question = world.ask(group).await;
    let narrow = World {
        executor: on(&world.log, Options { queue_per_stream: 3, ..Options::default() }),
        log: world.log.clone(),
        days: world.days.clone(),
    };
    let requests: Vec<Request> = (1001..=1010).map(|command| request(1, command)).collect();
    narrow.answer(question, group, &request(1, 0xD)).await.unwrap();
    let outcomes = futures::future::join_all(requests.iter().map(|request| narrow.answer(question, group, request))).await;
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(ExecuteError::Busy))).count();
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(busy + accepted, 10);
    assert!(accepted >= 3);
}

#[tokio::test]
async fn what_another_process_wrote_is_seen_before_anything_is_refused() {
    let world = World::new();
    let stream = person::stream(person(1));
    let other = on(&world.log, Options::default());
    assert!(!other.load::<Person>(&stream).await.unwrap().state.exists());
    world.executor.execute::<Person>(&stream, register(), &request(1, 1)).await.unwrap();
    // The guess of the other process says "not registered"; the append proves it wrong.
    let outcome = other.execute::<Person>(&stream, register(), &request(1, 2)).await;
    assert!(matches!(outcome, Err(ExecuteError::Rejected(person::Error::AlreadyRegistered))));
    assert!(other.load::<Person>(&stream).await.unwrap().state.exists());
}

#[tokio::test]
async fn rights_come_before_the_precondition_and_the_precondition_before_the_rest() {
    let world = World::new();
    let group = world.group(Policy::Open).await;
    let change =
        |by| group::Command::ChangeGroup { by, changes: group::Changes { members_invite: Some(false), ..group::Changes::default() } };
    let stale = |n| Request { if_match: Some(7), ..request(n, 0xE) };
    let admin = world.standing(1, group).await;
    let outcome = world.executor.execute::<Group>(&group::stream(group), change(admin.clone()), &stale(1)).await;
    assert!(matches!(outcome, Err(ExecuteError::PreconditionFailed { current: Some(0) })));
    let stranger = world.standing(2, group).await;
    let outcome = world.executor.execute::<Group>(&group::stream(group), change(stranger), &stale(2)).await;
    assert!(matches!(outcome, Err(ExecuteError::Rejected(group::Error::Denied(_)))));
    let seen = Request { if_match: Some(0), ..request(1, 0xF) };
    assert_eq!(world.executor.execute::<Group>(&group::stream(group), change(admin), &seen).await.unwrap().revision, Some(1));
}

#[tokio::test]
async fn an_unknown_outcome_is_looked_up_and_never_repeated_blindly() {
    let world = World::new();
    let stream = person::stream(person(1));
    world.fails("person", Fault::AnswerLost);
    let done = world.executor.execute::<Person>(&stream, register(), &request(1, 1)).await.unwrap();
    assert_eq!(done.revision, Some(0));
    assert_eq!(world.log.log.read(&stream, 0, 10).await.unwrap().len(), 1);

    let other = person::stream(person(2));
    world.fails("person", Fault::Lost);
    let outcome = world.executor.execute::<Person>(&other, register(), &request(2, 2)).await;
    assert!(matches!(outcome, Err(ExecuteError::Store(StoreError::Unknown(_)))));
    assert_eq!(world.log.log.read(&other, 0, 10).await.unwrap().len(), 0);
    assert!(world.executor.execute::<Person>(&other, register(), &request(2, 3)).await.unwrap().changed);
}

async fn run_until(world: &World, reaction: Arc<dyn Consumer>, head: Position) {
    let (stop, stopped) = watch::channel(false);
    let checkpoints = Arc::new(MemoryCheckpoints::default());
    let name = reaction.name().clone();
    let consumers = Arc::new(Consumers::new([reaction]));
    let running = tokio::spawn(consumers::run(consumers, world.executor.clone(), checkpoints.clone(), stopped));
    while checkpoints.load(name.as_str()).await.unwrap().unwrap_or_default() < head {
        tokio::task::yield_now().await;
    }
    stop.send(true).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn a_flow_that_was_cut_off_is_completed_once() {
    let world = World::new();
    world.fails("membership", Fault::Refused);
    let group = world.group(Policy::Open).await;
    assert!(world.standing(1, group).await.membership().present().is_none(), "the founder is not in yet");
    for _ in 0..2 {
        let head = world.log.head().await.unwrap();
        run_until(&world, Arc::<CompleteFlows>::default(), head).await;
    }
    assert!(world.standing(1, group).await.membership().present().is_some());
    assert_eq!(world.log.log.read(&membership::stream(group, person(1)), 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reaction_does_not_pass_over_positions_that_a_log_gives_again() {
    let world = World::new();
    world.group(Policy::Open).await;
    let head = world.log.head().await.unwrap();
    let (checkpoints, flows) = (MemoryCheckpoints::default(), CompleteFlows::default());
    for (stored, expected) in [(Position(head.0 + 5), head), (Position(1), Position(1))] {
        checkpoints.save(flows.name().as_str(), stored).await.unwrap();
        assert_eq!(consumers::first_position(&flows, &world.executor, &checkpoints).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn becoming_secret_refuses_open_requests() {
    let world = World::new();
    let group = world.group(Policy::Request).await;
    for n in 2..5 {
        world.join(n, group, n).await;
    }
    let done = world.turn(Privacy::Secret, group, 20).await;
    run_until(&world, Arc::<RefuseRequests>::default(), done.position).await;
    for n in 2..5 {
        assert!(!world.standing(n, group).await.membership().requested(), "the request of {n} is refused");
    }
    // Whoever asks later, when the group is none any more, is not refused by the same event seen again.
    world.turn(Privacy::Closed, group, 21).await;
    world.join(2, group, 22).await;
    world.join(5, group, 23).await;
    let head = world.log.head().await.unwrap();
    run_until(&world, Arc::<RefuseRequests>::default(), head).await;
    for n in [2, 5] {
        assert!(world.standing(n, group).await.membership().requested(), "the request of {n} is open");
    }
    assert_eq!(world.log.head().await.unwrap(), head);
}
