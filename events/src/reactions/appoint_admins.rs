//! A group that has no admin gets one: the member of longest standing.
//!
//! No order of commands leads there any more, for whoever is given a role is bound first. Older versions of the program let it
//! happen: an admin was appointed while they were leaving. Those logs are mended as this reaction comes by.

use super::{following, members, refusable};
use crate::consumers::{Consumer, ConsumerError, Name};
use crate::{Executor, Recorded};
use async_trait::async_trait;
use circolo_domain::access::Role;
use circolo_domain::{Decider, Event, GroupId, group, group::Group, membership, membership::Membership};

/// Gives an admin to groups that have none.
pub struct AppointAdmins(Name);

impl Default for AppointAdmins {
    fn default() -> Self {
        Self(Name::only("appoint_admins"))
    }
}

#[async_trait]
impl Consumer for AppointAdmins {
    fn name(&self) -> &Name {
        &self.0
    }

    fn reads(&self, category: &str) -> bool {
        category == Group::CATEGORY || category == Membership::CATEGORY
    }

    async fn consume(&self, event: &Recorded, executor: &Executor) -> Result<(), ConsumerError> {
        let Some(group) = lost_an_admin(event, executor).await? else { return Ok(()) };
        let state = executor.load::<Group>(&group::stream(group)).await?.state;
        let mut members = vec![];
        for (person, _) in state.admins() {
            // Of whom it cannot be read whether they are there, it is not taken for granted that they are not.
            executor.load::<Membership>(&membership::stream(group, person)).await?;
            members.push(executor.standing(Some(person), group).await?);
        }
        if members.iter().any(|member| member.role() == Some(Role::Admin)) {
            return Ok(());
        }
        let people = members::of_group(executor, group).await?;
        let present = people.known.iter().filter_map(|(person, known)| Some((known.state.present()?.from, *person)));
        let Some((_, longest)) = present.min() else { return Ok(()) };
        let stream = membership::stream(group, longest);
        let bind = membership::Command::BindMember { by: None };
        refusable(executor.execute::<Membership>(&stream, bind, &following(event, "bind")).await)?;
        members.push(executor.standing(Some(longest), group).await?);
        let appoint = group::Command::AppointAdmin { members };
        refusable(executor.execute::<Group>(&group::stream(group), appoint, &following(event, "appoint")).await)?;
        Ok(())
    }
}

/// The group that may have lost its last admin by `event`: whose role outlived their membership, for want of another admin, or
/// where nobody is left who has that role.
async fn lost_an_admin(event: &Recorded, executor: &Executor) -> Result<Option<GroupId>, ConsumerError> {
    let state = async |group| executor.load::<Group>(&group::stream(group)).await.map(|loaded| loaded.state);
    match &event.event {
        Event::Membership(
            membership::Event::Left { episode }
            | membership::Event::Removed { episode, .. }
            | membership::Event::Banned { episode: Some(episode), .. },
        ) => {
            let Some((group, person)) = membership::ids(&event.stream) else { return Ok(None) };
            let outlived = state(group).await?.role_of(person, *episode) == Some(Role::Admin);
            Ok(outlived.then_some(group))
        }
        Event::Group(group::Event::RoleWithdrawn { .. }) => {
            let Some(group) = event.stream.id().map(GroupId) else { return Ok(None) };
            let nobody = state(group).await?.admins().next().is_none();
            Ok(nobody.then_some(group))
        }
        _ => Ok(None),
    }
}
