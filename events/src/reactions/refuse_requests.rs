//! A group that becomes secret grows by invitation alone: the requests that were open are refused.

use super::{Reaction, ReactionError, following, refusable};
use crate::{Executor, Position, Recorded};
use async_trait::async_trait;
use circolo_domain::access::Privacy;
use circolo_domain::{Decider, Event, GroupId, PersonId, StreamName, group, membership, membership::Membership};
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

    async fn react(&self, event: &Recorded, executor: &Executor) -> Result<(), ReactionError> {
        let (Event::Group(group::Event::PrivacyChanged { privacy: Privacy::Secret }), Some(id)) = (&event.event, event.stream.id()) else {
            return Ok(());
        };
        let group = GroupId(id);
        for person in requesting(executor, group).await? {
            let command = membership::Command::RefuseRequest { by: None, reason: None };
            let request = following(event, &person.to_string());
            refusable(executor.execute::<Membership>(&membership::stream(group, person), command, &request).await)?;
        }
        Ok(())
    }
}

/// Who has an open request, folded from the group's membership streams: reactions know no read model.
async fn requesting(executor: &Executor, group: GroupId) -> Result<Vec<PersonId>, ReactionError> {
    let store = executor.store();
    let prefix = StreamName::new(Membership::CATEGORY, format_args!("{group}."));
    let until = store.head().await?;
    let mut states = BTreeMap::<StreamName, Membership>::new();
    let mut after = Position::START;
    while after < until {
        let page = store.read_prefix(prefix.as_str(), after, until, PAGE).await?;
        for stored in &page.events {
            let recorded = stored.decode()?;
            if let Some(event) = Membership::own(&recorded.event) {
                let state = states.entry(recorded.stream.clone()).or_default();
                *state = std::mem::take(state).evolve(event, recorded.recorded_at);
            }
        }
        if page.scanned <= after {
            break;
        }
        after = page.scanned;
    }
    let open = states.into_iter().filter(|(_, state)| state.requested());
    Ok(open.filter_map(|(stream, _)| membership::ids(&stream)).map(|(_, person)| person).collect())
}
