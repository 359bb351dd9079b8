//! A group that becomes secret grows by invitation alone: the requests that were open are refused.
//!
//! The event may be seen again years later, when read models and with them the checkpoint were thrown away, or the log was copied:
//! so only requests count that were made before the group's privacy changed once more.

use super::{Reaction, ReactionError, following, refusable};
use crate::{Executor, Position, Recorded};
use async_trait::async_trait;
use circolo_domain::access::Privacy;
use circolo_domain::{Decider, Event, GroupId, PersonId, StreamName, group, group::Group, membership, membership::Membership};
use std::collections::BTreeMap;

/// Events read at once.
const PAGE: usize = 1_000;

/// Refuses the open requests of a group that became secret.
pub struct RefuseRequests;

#[async_trait]
impl Reaction for RefuseRequests {
    fn name(&self) -> &'static str {
        "refuse_requests"
    }

    fn reads(&self, category: &str) -> bool {
        category == Group::CATEGORY
    }

    async fn react(&self, event: &Recorded, executor: &Executor) -> Result<(), ReactionError> {
        let (Event::Group(group::Event::PrivacyChanged { privacy: Privacy::Secret }), Some(id)) = (&event.event, event.stream.id()) else {
            return Ok(());
        };
        let group = GroupId(id);
        let until = until_changed_again(executor, event).await?;
        for person in requesting(executor, group, until).await? {
            let command = membership::Command::RefuseRequest { by: None, reason: None };
            let request = following(event, &person.to_string());
            refusable(executor.execute::<Membership>(&membership::stream(group, person), command, &request).await)?;
        }
        Ok(())
    }
}

/// Where the group's privacy changed the next time.
async fn until_changed_again(executor: &Executor, event: &Recorded) -> Result<Position, ReactionError> {
    let mut from = event.revision + 1;
    loop {
        let page = executor.store().read(&event.stream, from, PAGE).await?;
        for stored in &page {
            // What cannot be read stops the reaction when its turn comes, not here.
            let event = stored.decode().map(|recorded| recorded.event);
            if let Ok(Event::Group(group::Event::PrivacyChanged { .. })) = event {
                return Ok(stored.position);
            }
        }
        match page.last() {
            Some(last) => from = last.revision + 1,
            None => return Ok(Position(i64::MAX)),
        }
    }
}

/// Who has a request that is open still and was made before `until`, folded from the group's membership streams: reactions know
/// no read model.
async fn requesting(executor: &Executor, group: GroupId, until: Position) -> Result<Vec<PersonId>, ReactionError> {
    let store = executor.store();
    let prefix = StreamName::new(Membership::CATEGORY, format_args!("{group}."));
    let head = store.head().await?;
    let mut states = BTreeMap::<StreamName, (Membership, Position)>::new();
    let mut after = Position::START;
    while after < head {
        let page = store.read_prefix(prefix.as_str(), after, head, PAGE).await?;
        for stored in &page.events {
            let recorded = stored.decode()?;
            if let Some(event) = Membership::own(&recorded.event) {
                let (state, requested) = states.entry(recorded.stream.clone()).or_default();
                let before = state.requested();
                *state = std::mem::take(state).evolve(event, recorded.recorded_at);
                if !before {
                    *requested = recorded.position;
                }
            }
        }
        if page.scanned <= after {
            break;
        }
        after = page.scanned;
    }
    let open = states.into_iter().filter(|(_, (state, requested))| state.requested() && *requested < until);
    Ok(open.filter_map(|(stream, _)| membership::ids(&stream)).map(|(_, person)| person).collect())
}
