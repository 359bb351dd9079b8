//! What waits, folded from events alone, is what the states say that waits; and once woken, nothing is left.

use super::tests::history;
use crate::consumers::ConsumerError;
use crate::waking::{Deadlines, Due, Waker};
use crate::{EventStore, Executor, Memory, Position};
use async_trait::async_trait;
use circolo_domain::comment::{self, Comment};
use circolo_domain::conversation::{self, Conversation};
use circolo_domain::deadline::{Matter, deadlines};
use circolo_domain::membership::Membership;
use circolo_domain::permit::META;
use circolo_domain::stance::Voice;
use circolo_domain::{CommentId, Decider, Event, Span, StreamName, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// What waits, with the event that says so.
type Waiting = BTreeMap<Matter, (Timestamp, Uuid)>;

async fn folded(log: &Memory) -> Waiting {
    let mut waiting = Waiting::new();
    for stored in log.read_all(Position::START, usize::MAX).await.unwrap().events {
        let recorded = stored.decode().unwrap();
        for deadline in deadlines(&recorded.stream, &recorded.event, recorded.recorded_at) {
            match deadline.at {
                Some(at) => drop(waiting.insert(deadline.matter, (at, recorded.id))),
                None => drop(waiting.remove(&deadline.matter)),
            }
        }
    }
    waiting
}

/// The states behind all streams of one kind.
fn states<D: Decider>(events: &[crate::Recorded]) -> BTreeMap<StreamName, D> {
    let mut states = BTreeMap::<StreamName, D>::new();
    for recorded in events {
        if let Some(event) = D::own(&recorded.event) {
            let state = states.entry(recorded.stream.clone()).or_default();
            *state = std::mem::take(state).evolve(event, recorded.recorded_at);
        }
    }
    states
}

/// The same, as the aggregates have it.
async fn as_states_say(log: &Memory) -> BTreeMap<Matter, Timestamp> {
    let events = log.read_all(Position::START, usize::MAX).await.unwrap().events;
    let events: Vec<_> = events.iter().map(|stored| stored.decode().unwrap()).collect();
    let mut waiting = BTreeMap::new();
    for (stream, membership) in states::<Membership>(&events) {
        waiting.extend(membership.ban_ends().map(|at| (Matter::from(&stream), at)));
    }
    let (comments, conversations) = (states::<Comment>(&events), states::<Conversation>(&events));
    for recorded in &events {
        let Event::Comment(comment::Event::Written { page_post: Some(page), voice: Voice::Person(person), .. }) = &recorded.event else {
            continue;
        };
        let (id, between) = (CommentId(recorded.stream.id().unwrap()), conversation::stream(*page, *person));
        let gone = comments[&recorded.stream].facts().is_none_or(|facts| facts.removed);
        if !gone && !conversations.get(&between).is_some_and(|known| known.settles(id)) {
            waiting.insert(Matter::about(between, id), recorded.recorded_at.plus(META.private_reply));
        }
    }
    waiting
}

struct Folded(Arc<Memory>);

#[async_trait]
impl Deadlines for Folded {
    async fn due(&self, now: Timestamp, after: Option<&Due>, limit: usize) -> Result<Vec<Due>, ConsumerError> {
        let due = |(matter, (at, set_by)): (Matter, (Timestamp, Uuid))| Due { key: matter.to_string(), matter, at, set_by };
        let mut all: Vec<Due> = folded(&self.0).await.into_iter().map(due).filter(|due| due.at <= now).collect();
        all.sort_by(|one, other| (one.at, &one.key).cmp(&(other.at, &other.key)));
        all.retain(|due| after.is_none_or(|after| (due.at, &due.key) > (after.at, &after.key)));
        all.truncate(limit);
        Ok(all)
    }

    async fn know(&self, _: Position) -> Result<(), ConsumerError> {
        Ok(())
    }
}

#[tokio::test]
async fn what_waits_is_what_the_states_say_in_any_history_and_is_woken_to_the_last() {
    let (mut bans, mut replies) = (0, 0);
    for seed in 1..9 {
        let (log, summary) = history(seed).await;
        let log = Arc::new(log);
        let times = |waiting: Waiting| waiting.into_iter().map(|(matter, (at, _))| (matter, at)).collect::<BTreeMap<_, _>>();
        let waits = times(folded(&log).await);
        assert_eq!(waits, as_states_say(&log).await);
        bans += waits.keys().filter(|matter| matter.about.is_none()).count();
        replies += waits.keys().filter(|matter| matter.about.is_some()).count();
        // In steps, each as if the server had been away for days.
        for days in [2, 4, 30] {
            let now = summary.until.plus(Span::days(days));
            let executor = Executor::new(log.clone(), Arc::new(move || now), crate::Options::default());
            let round = Waker::new(Arc::new(executor), Arc::new(Folded(log.clone()))).round(true).await.unwrap();
            let left = times(folded(&log).await);
            assert_eq!(left, as_states_say(&log).await, "{round:?}");
            assert!(left.values().all(|at| *at > now));
        }
        assert!(folded(&log).await.is_empty());
    }
    assert!(bans > 3 && replies > 30, "of each there is something: {bans} {replies}");
}
