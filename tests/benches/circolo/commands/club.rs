//! A group whose members ask and answer, as the API lets them: rights are looked up for every command.

use crate::{Result, random::Random, report::Sample};
use circolo::clock;
use circolo_domain::{
    GroupId, PersonId, QuestionId, Text,
    access::{Action, Privacy, Standing},
    group::{self, Group, Policy},
    membership::{self, Membership},
    question::{self, Question},
};
use circolo_events::{EventStore, Executor, Options, Request};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

/// Streams that are written to at once.
const QUESTIONS: usize = 1_000;
const MEMBERS: u128 = 200;
/// With its envelope in JSON an answer is a little below 300 bytes.
const ANSWER: &str = "Take the path behind the church, past the two farms, and do not cross the river before the second bridge: the first is \
                      closed until May, and the ford beside it is deeper than it looks.";

/// A group, its members and who runs their commands.
#[derive(Clone)]
pub struct Club {
    executor: Arc<Executor>,
    ids: clock::Ids,
    group: GroupId,
    members: Arc<[PersonId]>,
}

impl Club {
    /// A public group with members, in an empty log.
    pub async fn found(store: Arc<dyn EventStore>) -> Result<Self> {
        let executor = Arc::new(Executor::new(store, clock::system(), Options::default()));
        let members = (1..=MEMBERS).map(|number| PersonId(Uuid::from_u128(number << 64 | number))).collect();
        let ids = clock::fresh_ids();
        let club = Self { executor, group: GroupId(ids()), ids, members };
        let founder = club.members[0];
        let create = group::Command::CreateGroup {
            name: Text::parse("Alpine Club")?,
            description: None,
            privacy: Privacy::Public,
            membership: Policy::Open,
        };
        club.executor.execute::<Group>(&group::stream(club.group), create, &Request::new(Some(founder), (club.ids)())).await?;
        for &person in &club.members[1..] {
            let by = club.standing(person).await?;
            let request = Request::new(Some(person), (club.ids)()).within(by.scope());
            let stream = membership::stream(club.group, person);
            club.executor.execute::<Membership>(&stream, membership::Command::JoinGroup { by }, &request).await?;
        }
        Ok(club)
    }

    /// The same group on another node, whose log is `store`.
    pub async fn on(&self, store: Arc<dyn EventStore>) -> Result<Self> {
        let executor = Arc::new(Executor::new(store, clock::system(), Options::default()));
        let club = Self { executor, ..self.clone() };
        club.share_log().await?;
        Ok(club)
    }

    /// From now on others may write to the log, too.
    pub async fn share_log(&self) -> Result<()> {
        Ok(self.executor.share_log().await?)
    }

    /// Lets `count` people in and bans them again, all here; how long each could still post on `other`.
    pub async fn bans(&self, other: &Self, count: usize) -> Result<Sample> {
        let (began, mut times) = (Instant::now(), Vec::with_capacity(count));
        for _ in 0..count {
            let person = PersonId((self.ids)());
            let by = self.standing(person).await?;
            self.enter(person, membership::Command::JoinGroup { by }).await?;
            while !other.posts(person).await? {}
            let (by, who) = (self.standing(self.members[0]).await?, self.standing(person).await?);
            let command = membership::Command::BanMember { by, who, reason: Text::parse("Noise")?, until: None, replace: false };
            self.enter(person, command).await?;
            let banned = Instant::now();
            while other.posts(person).await? {}
            times.push(banned.elapsed().as_secs_f32());
        }
        Ok(Sample::new(times, began.elapsed()))
    }

    async fn enter(&self, person: PersonId, command: membership::Command) -> Result<()> {
        let request = Request::new(Some(person), (self.ids)());
        self.executor.execute::<Membership>(&membership::stream(self.group, person), command, &request).await?;
        Ok(())
    }

    /// Whether `person` may post here, for all that this node knows.
    async fn posts(&self, person: PersonId) -> Result<bool> {
        let mut worker = Worker { club: self.clone(), random: Random::new(0), times: Vec::new() };
        let by = self.standing(person).await?;
        let command = question::Command::PostQuestion { by: by.clone(), title: Text::parse("Still here?")?, body: Text::parse(ANSWER)? };
        if by.may(Action::Contribute).is_err() {
            return Ok(false);
        }
        worker.execute(QuestionId((self.ids)()), command, &by, Instant::now()).await?;
        Ok(true)
    }

    /// Asks new questions and answers them for `span`, `in_flight` commands at once.
    pub async fn measure(&self, in_flight: usize, span: Duration) -> Result<Sample> {
        let questions: Arc<[QuestionId]> = (0..QUESTIONS).map(|_| QuestionId((self.ids)())).collect();
        let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let times = self.all(in_flight, |mut worker| {
            let (questions, next) = (questions.clone(), next.clone());
            async move {
                while let Some(&question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    worker.post(question).await?;
                }
                Ok(worker.times)
            }
        });
        let mut times = times.await?;
        let end = began + span;
        let answers = self.all(in_flight, |mut worker| {
            let questions = questions.clone();
            async move {
                while Instant::now() < end {
                    let question = questions[worker.random.below(QUESTIONS)];
                    worker.answer(question).await?;
                }
                Ok(worker.times)
            }
        });
        times.extend(answers.await?);
        Ok(Sample::new(times, began.elapsed()))
    }

    /// Runs so many workers to their end; the times of all their commands.
    async fn all<F: Future<Output = Result<Vec<f32>>> + Send + 'static>(
        &self,
        workers: usize,
        work: impl Fn(Worker) -> F,
    ) -> Result<Vec<f32>> {
        let mut running = JoinSet::new();
        for number in 0..workers as u64 {
            running.spawn(work(Worker { club: self.clone(), random: Random::new(number), times: Vec::with_capacity(4_096) }));
        }
        let mut times = Vec::new();
        while let Some(done) = running.join_next().await {
            times.extend(done??);
        }
        Ok(times)
    }

    async fn standing(&self, person: PersonId) -> Result<Standing> {
        let group = self.executor.load::<Group>(&group::stream(self.group)).await?.state;
        let membership = self.executor.load::<Membership>(&membership::stream(self.group, person)).await?.state;
        Ok(Standing::new(Some(person), self.group, group, membership, self.executor.now()))
    }
}

/// Somebody who does one thing after the other.
struct Worker {
    club: Club,
    random: Random,
    times: Vec<f32>,
}

impl Worker {
    async fn post(&mut self, id: QuestionId) -> Result<()> {
        let began = Instant::now();
        let person = self.somebody();
        let by = self.club.standing(person).await?;
        let command =
            question::Command::PostQuestion { by: by.clone(), title: Text::parse("Which way to the hut?")?, body: Text::parse(ANSWER)? };
        self.execute(id, command, &by, began).await
    }

    async fn answer(&mut self, id: QuestionId) -> Result<()> {
        let began = Instant::now();
        let origin = self.club.executor.load::<Question>(&question::stream(id)).await?.origin.ok_or("the question is not there")?;
        let person = self.somebody();
        let by = self.club.standing(person).await?.towards(origin);
        let command = question::Command::PostAnswer { by: by.clone(), body: Text::parse(ANSWER)? };
        self.execute(id, command, &by, began).await
    }

    async fn execute(&mut self, id: QuestionId, command: question::Command, by: &Standing, began: Instant) -> Result<()> {
        let request = Request::new(by.person(), (self.club.ids)()).within(by.scope());
        let done = self.club.executor.execute::<Question>(&question::stream(id), command, &request).await?;
        if !done.changed {
            return Err("a command changed nothing".into());
        }
        self.times.push(began.elapsed().as_secs_f32());
        Ok(())
    }

    fn somebody(&mut self) -> PersonId {
        let number = self.random.below(self.club.members.len());
        self.club.members[number]
    }
}
