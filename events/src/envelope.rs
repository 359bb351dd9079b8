//! What is written of a decision: its events in their envelopes, and these as a reader will see them.

use crate::{Appended, Expected, Metadata, NewEvent, Recorded, cached_stream::Cached, execute::Request, sealing::Text, store::event_id};
use circolo_domain::{Context, Decider, Event, Named, Parted, PersonId, StreamName, Timestamp, Written, part};
use std::collections::BTreeSet;

/// What is known of the events of a command beside what they say.
pub(crate) fn metadata<D: Decider>(
    stream: &StreamName,
    cached: &Cached<D>,
    (command, events): (&D::Command, &[D::Event]),
    context: &Context,
    request: &Request,
    fingerprint: Option<String>,
) -> Metadata {
    // Where the request does not tell the scope, the aggregate does, as it will be after these events.
    let scope_after = || {
        let after = events.iter().fold(D::clone(&cached.state), |state, event| state.evolve(event, context.now));
        after.scope(stream.key())
    };
    Metadata {
        actor: request.actor,
        command: command.name().to_owned(),
        command_id: request.command_id,
        fingerprint,
        correlation: request.correlation,
        causation: request.causation,
        scope: request.scope.or_else(scope_after),
        concerns: concerned(&*cached.state, stream, command, events, request.actor),
    }
}

/// Whom the events of a decision, made on this state, concern beside their actor.
pub(crate) fn concerned<D: Decider>(
    state: &D,
    stream: &StreamName,
    command: &D::Command,
    events: &[D::Event],
    actor: Option<PersonId>,
) -> Vec<PersonId> {
    others(events.iter().flat_map(|event| state.concerns(stream, event, Some(command))), actor)
}

/// Those who are not the actor, each once.
pub(crate) fn others(persons: impl IntoIterator<Item = PersonId>, actor: Option<PersonId>) -> Vec<PersonId> {
    let others: BTreeSet<PersonId> = persons.into_iter().filter(|person| Some(*person) != actor).collect();
    others.into_iter().collect()
}

/// The envelopes of a command's events on `stream`. Each says which of its values are texts, and whose.
pub fn new_events<E: Clone + Into<Event>>(stream: &StreamName, events: &[E], metadata: &Metadata, now: Timestamp) -> Vec<NewEvent> {
    let json = serde_json::to_string(metadata).unwrap_or_default();
    let envelope = |(index, event): (usize, &E)| {
        let mut event: Event = event.clone().into();
        event.own_texts(&Written { stream, at: now, begun: None });
        let Parted { whole, texts, .. } = part(&event, event.mask(metadata.scope));
        let id = event_id(metadata.command_id, index);
        let texts = texts.into_iter().map(Text::from).collect();
        NewEvent { id, event_type: whole.event_type, data: whole.data, metadata: json.clone(), recorded_at: now, texts }
    };
    events.iter().enumerate().map(envelope).collect()
}

/// The appended events as a reader will see them. Their positions are not known one by one, and nobody asks for them here.
pub(crate) fn recorded<E: Clone + Into<Event>>(
    stream: &StreamName,
    expected: Expected,
    appended: Appended,
    events: &[E],
    metadata: &Metadata,
    now: Timestamp,
) -> Vec<Recorded> {
    let envelope = |(index, event): (usize, &E)| Recorded {
        position: appended.position,
        stream: stream.clone(),
        revision: expected.next() + index as u64,
        id: event_id(metadata.command_id, index),
        recorded_at: now,
        metadata: metadata.clone(),
        event: event.clone().into(),
    };
    events.iter().enumerate().map(envelope).collect()
}
