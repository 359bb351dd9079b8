//! A group that becomes secret grows by its admins' invitations alone: the requests that were open are refused, and invitations that
//! could not be made today revoked.
//!
//! The event may be seen again years later, when read models and with them the checkpoint were thrown away, or the log was copied:
//! so only requests count that were made before the group's privacy changed once more.

use super::{following, members, refusable};
use crate::consumers::{Consumer, ConsumerError, Name};
use crate::{Executor, LoadError, Position, Recorded};
use async_trait::async_trait;
use circolo_domain::access::Privacy;
use circolo_domain::{Decider, Event, GroupId, group, group::Group, membership, membership::Membership};

/// Events read at once.
const PAGE: usize = 1_000;

/// Refuses the open requests of a group that became secret, and revokes its void invitations.
pub struct RefuseRequests(Name);

impl Default for RefuseRequests {
    fn default() -> Self {
        Self(Name::only("refuse_requests"))
    }
}

#[async_trait]
impl Consumer for RefuseRequests {
    fn name(&self) -> &Name {
        &self.0
    }

    fn reads(&self, category: &str) -> bool {
        category == Group::CATEGORY
    }

    async fn consume(&self, event: &Recorded, executor: &Executor) -> Result<(), ConsumerError> {
        let (Event::Group(group::Event::PrivacyChanged { privacy: Privacy::Secret }), Some(id)) = (&event.event, event.stream.id()) else {
            return Ok(());
        };
        let group = GroupId(id);
        let until = until_changed_again(executor, event).await?;
        let people = members::of_group(executor, group).await?;
        for (person, _) in people.known.iter().filter(|(_, known)| known.state.requested() && known.asked < until) {
            let command = membership::Command::RefuseRequest { by: None, reason: None };
            let request = following(event, &person.to_string());
            refusable(executor.execute::<Membership>(&membership::stream(group, *person), command, &request).await)?;
        }
        for (person, _) in people.known.iter().filter(|(_, known)| known.state.invitation().is_some()) {
            let command = membership::Command::RevokeVoidInvitation { who: executor.standing(Some(*person), group).await? };
            let request = following(event, &format!("{person} invited"));
            refusable(executor.execute::<Membership>(&membership::stream(group, *person), command, &request).await)?;
        }
        // Those who remain have their turn when they can be read.
        match people.unread.into_values().next() {
            Some(unread) => Err(Box::new(LoadError::Unreadable(unread))),
            None => Ok(()),
        }
    }
}

/// Where the group's privacy changed the next time.
async fn until_changed_again(executor: &Executor, event: &Recorded) -> Result<Position, ConsumerError> {
    let mut from = event.revision + 1;
    loop {
        let page = executor.store().read(&event.stream, from, PAGE).await?;
        for stored in &page {
            // What cannot be read is put aside when its turn comes, not here.
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
