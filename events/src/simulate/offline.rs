//! Decides in memory and collects what would be appended: no log is read, and nobody else may write meanwhile.

use crate::reactions::following;
use crate::store::event_id;
use crate::{Append, Expected, Metadata, Position, Recorded, Revision};
use crate::{
    envelope::{concerned, new_events},
    execute::Request,
};
use circolo_domain::access::{Origin, Standing};
use circolo_domain::flow::follow_ups;
use circolo_domain::group::{self, Group};
use circolo_domain::membership::{self, Membership};
use circolo_domain::{Context, Decider, GroupId, Issue, Named, PersonId, Rejection, StreamName, Timestamp};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// A whole community in memory.
#[derive(Default)]
pub struct Offline {
    streams: HashMap<StreamName, Entry>,
    pending: Vec<Append>,
    /// Events decided so far.
    pub events: u64,
}

struct Entry {
    state: Arc<dyn Any + Send + Sync>,
    revision: Option<Revision>,
    origin: Option<Origin>,
}

impl Offline {
    /// The aggregate behind `stream`.
    pub fn state<D: Decider>(&self, stream: &StreamName) -> Arc<D> {
        self.streams.get(stream).and_then(|entry| Arc::clone(&entry.state).downcast().ok()).unwrap_or_default()
    }

    /// Scope and moment of the first event of `stream`.
    pub fn origin(&self, stream: &StreamName) -> Option<Origin> {
        self.streams.get(stream).and_then(|entry| entry.origin)
    }

    /// What `person` is to `group` at `now`.
    pub fn standing(&self, person: PersonId, group: GroupId, now: Timestamp) -> Standing {
        let membership = self.state::<Membership>(&membership::stream(group, person));
        let inviter = membership.invitation().map(|invitation| self.state(&membership::stream(group, invitation.inviter)));
        let standing = Standing::new(Some(person), group, self.state::<Group>(&group::stream(group)), membership, now);
        match inviter {
            Some(inviter) => standing.invited_by(inviter),
            None => standing,
        }
    }

    /// Decides on `command` and what follows from it. `false` if it was refused: a simulated person may want what they may not.
    pub fn ask<D: Decider>(&mut self, stream: &StreamName, command: &D::Command, request: &Request, now: Timestamp) -> bool {
        let before = self.streams.remove(stream);
        let (revision, origin) = before.as_ref().map_or((None, None), |entry| (entry.revision, entry.origin));
        let state = before.and_then(|entry| entry.state.downcast::<D>().ok()).unwrap_or_default();
        let context = Context { stream, now, actor: request.actor, command_id: request.command_id };
        let events = match state.decide(command, &context) {
            Ok(events) => events,
            Err(refusal) => {
                tracing::trace!(%stream, code = refusal.code(), "a simulated wish was refused");
                vec![]
            }
        };
        if events.is_empty() {
            self.streams.extend(revision.map(|_| (stream.clone(), Entry { state, revision, origin })));
            return false;
        }
        let concerns = concerned(&*state, stream, command, &events, request.actor);
        let state = events.iter().fold(Arc::unwrap_or_clone(state), |state, event| state.evolve(event, now));
        let scope = request.scope.or_else(|| state.scope(stream.key()));
        let last = Expected::of(revision).next() + events.len() as u64 - 1;
        let origin = origin.or(scope.map(|scope| Origin { scope, at: now }));
        self.streams.insert(stream.clone(), Entry { state: Arc::new(state), revision: Some(last), origin });
        let metadata = Metadata {
            actor: request.actor,
            command: command.name().to_owned(),
            command_id: request.command_id,
            fingerprint: None,
            correlation: request.correlation,
            causation: request.causation,
            scope,
            concerns,
        };
        self.append::<D>(stream, revision, &events, &metadata, now);
        true
    }

    fn append<D: Decider>(
        &mut self,
        stream: &StreamName,
        revision: Option<Revision>,
        events: &[D::Event],
        metadata: &Metadata,
        now: Timestamp,
    ) {
        let expected = Expected::of(revision);
        self.pending.push(Append { stream: stream.clone(), expected, events: new_events(stream, events, metadata, now) });
        self.events += events.len() as u64;
        for (index, event) in events.iter().enumerate() {
            let recorded = Recorded {
                position: Position::START,
                stream: stream.clone(),
                revision: expected.next() + index as u64,
                id: event_id(metadata.command_id, index),
                recorded_at: now,
                metadata: metadata.clone(),
                event: event.clone().into(),
            };
            self.follow(&recorded, now);
        }
    }

    fn follow(&mut self, event: &Recorded, now: Timestamp) {
        for (index, follow_up) in follow_ups(&event.stream, &event.event).into_iter().enumerate() {
            let request = &following(event, &format!("follow-up {index}"));
            follow_up.give(Asked { all: self, request, now });
        }
    }

    /// How much was decided since the last [`Offline::take`].
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// What is to be appended, in order.
    pub fn take(&mut self) -> Vec<Append> {
        std::mem::take(&mut self.pending)
    }

    /// Forgets streams that nobody will ask for again.
    pub fn forget(&mut self, stream: &StreamName) {
        self.streams.remove(stream);
    }
}

/// Decides on a command of any aggregate.
struct Asked<'a> {
    all: &'a mut Offline,
    request: &'a Request,
    now: Timestamp,
}

impl Issue for Asked<'_> {
    type Outcome = bool;

    fn issue<D: Decider>(self, stream: &StreamName, command: D::Command) -> bool {
        self.all.ask::<D>(stream, &command, self.request, self.now)
    }
}
