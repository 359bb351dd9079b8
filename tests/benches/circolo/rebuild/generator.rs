//! A community's history out of a seed: 1,000 groups, then people who join, ask, answer and leave.

use crate::{Result, random::Random};
use circolo_domain::{
    AnswerId, Event, GroupId, PersonId, Personal, QuestionId, StreamName, TextOwner, Timestamp,
    access::{Owner, Privacy, Scope},
    group::{self, Policy},
    membership::{self, Way},
    question,
    testing::{NOON, communal},
};
use circolo_events::{Append, EventStore, Expected, Metadata, envelope::new_events};
use uuid::Uuid;

const GROUPS: usize = 1_000;
/// Events per call of `append_many`.
const PORTION: usize = 5_000;

/// Writes `events` events into an empty log; the same ones every time.
pub async fn write(store: &dyn EventStore, events: usize) -> Result<()> {
    let mut history = History::new();
    let mut written = 0;
    while written < events {
        let portion: Vec<Append> = (written..events.min(written + PORTION)).map(|number| history.next(number)).collect();
        written += portion.len();
        for outcome in store.append_many(portion).await {
            outcome?;
        }
    }
    Ok(())
}

/// What has happened so far, as far as later events depend on it.
struct History {
    random: Random,
    groups: Vec<GroupId>,
    /// Who is a member of what.
    present: Vec<(GroupId, PersonId)>,
    /// Questions, where they were asked, and their last revision.
    questions: Vec<(QuestionId, GroupId, u64)>,
}

impl History {
    fn new() -> Self {
        let mut random = Random::new(20_260_131);
        let groups = (0..GROUPS).map(|_| GroupId(random.uuid())).collect();
        Self { random, groups, present: Vec::new(), questions: Vec::new() }
    }

    fn next(&mut self, number: usize) -> Append {
        let now = Timestamp::from_micros(NOON.micros() + i64::try_from(number).unwrap_or(i64::MAX) * 1_000_000);
        if let Some(&id) = self.groups.get(number) {
            return self.founding(id, now);
        }
        match self.random.below(100) {
            50..80 => self.asking(now),
            80..95 if !self.questions.is_empty() => self.answering(now),
            95..100 if !self.present.is_empty() => self.leaving(now),
            _ => self.joining(now),
        }
    }

    fn founding(&mut self, id: GroupId, now: Timestamp) -> Append {
        let founder = PersonId(self.random.uuid());
        let (name, description) = (communal(&self.random.text(3)), Some(communal(&self.random.text(12))));
        let event = group::Event::Created { name, description, privacy: Privacy::Public, membership: Policy::Open, founder };
        self.append(group::stream(id), Expected::NoStream, event.into(), id, founder, "CreateGroup", now)
    }

    fn joining(&mut self, now: Timestamp) -> Append {
        let (group, person) = (self.group(), PersonId(self.random.uuid()));
        self.present.push((group, person));
        let event = membership::Event::Joined { episode: 1, era: 0, way: Way::Joining, admitted_by: None };
        self.append(membership::stream(group, person), Expected::NoStream, event.into(), group, person, "JoinGroup", now)
    }

    fn leaving(&mut self, now: Timestamp) -> Append {
        let place = self.random.below(self.present.len());
        let (group, person) = self.present.swap_remove(place);
        let event = membership::Event::Left { episode: 1 };
        self.append(membership::stream(group, person), Expected::Exact(0), event.into(), group, person, "LeaveGroup", now)
    }

    fn asking(&mut self, now: Timestamp) -> Append {
        let (id, group, author) = (QuestionId(self.random.uuid()), self.group(), self.member());
        self.questions.push((id, group, 0));
        let said = |text| Personal::new(text, TextOwner::Person(author));
        let (title, body) = (said(self.random.text(6)), said(self.random.text(25)));
        let event = question::Event::Posted { author, title, body };
        self.append(question::stream(id), Expected::NoStream, event.into(), group, author, "PostQuestion", now)
    }

    fn answering(&mut self, now: Timestamp) -> Append {
        let author = self.member();
        let answer = AnswerId(self.random.uuid());
        let body = Personal::new(self.random.text(25), TextOwner::Person(author));
        let place = self.random.below(self.questions.len());
        let (id, group, revision) = self.questions[place];
        self.questions[place].2 += 1;
        let event = question::Event::Answered { answer, author, body };
        self.append(question::stream(id), Expected::Exact(revision), event.into(), group, author, "PostAnswer", now)
    }

    fn group(&mut self) -> GroupId {
        let place = self.random.below(self.groups.len());
        self.groups[place]
    }

    fn member(&mut self) -> PersonId {
        match self.present.len() {
            0 => PersonId(self.random.uuid()),
            some => {
                let place = self.random.below(some);
                self.present[place].1
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an envelope has many parts")]
    fn append(
        &mut self,
        stream: StreamName,
        expected: Expected,
        event: Event,
        group: GroupId,
        actor: PersonId,
        command: &str,
        now: Timestamp,
    ) -> Append {
        let command_id: Uuid = self.random.uuid();
        let metadata = Metadata {
            actor: Some(actor),
            command: command.to_owned(),
            command_id,
            fingerprint: None,
            correlation: command_id,
            causation: None,
            scope: Some(Scope { owner: Owner::Group(group), privacy: Privacy::Public, era: 0 }),
            concerns: vec![],
        };
        let events = new_events(&stream, &[event], &metadata, now);
        Append { stream, expected, events }
    }
}
