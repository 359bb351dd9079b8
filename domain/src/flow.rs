//! Flows: what follows from an event in another stream.
//!
//! One append touches one stream. Where a command means more than that, the first append decides on the stream that owns
//! the invariant, and the rest follows from its event by the pure function here: at once, inline, and again by the
//! reaction runner should the process have died in between. Ids derived from the event make the second time a repeat.

use crate::{Decider, Event, GroupId, PageId, PersonId, StreamName, group, membership, page, username};

/// A command that follows from an event.
#[derive(Debug, Clone)]
pub enum FollowUp {
    /// On a group's stream.
    Group(GroupId, group::Command),
    /// On the stream of a person in a group.
    Membership(GroupId, PersonId, membership::Command),
    /// On a page's stream.
    Page(PageId, page::Command),
}

/// Categories of the streams in which something has consequences.
pub const CATEGORIES: [&str; 3] = [group::Group::CATEGORY, membership::Membership::CATEGORY, username::Username::CATEGORY];

/// What follows from `event` in `stream`, which is of one of the [`CATEGORIES`] if anything does.
pub fn follow_ups(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
    // Who completes flows looks nowhere else: a category that is missing is to be found out by the first that relies on it.
    if !CATEGORIES.contains(&stream.category()) {
        return vec![];
    }
    match event {
        Event::Group(event) => stream.id().and_then(|id| of_group(GroupId(id), event)).into_iter().collect(),
        Event::Membership(event) => {
            membership::ids(stream).and_then(|(group, person)| of_membership(group, person, event)).into_iter().collect()
        }
        Event::Username(event) => vec![of_username(event)],
        Event::Allowance(_)
        | Event::Attention(_)
        | Event::Comment(_)
        | Event::Conversation(_)
        | Event::Fan(_)
        | Event::Listing(_)
        | Event::Page(_)
        | Event::Person(_)
        | Event::Post(_)
        | Event::Question(_)
        | Event::Reaction(_)
        | Event::Salt(_)
        | Event::Skip(_)
        | Event::Unmasking(_) => vec![],
    }
}

fn of_group(group: GroupId, event: &group::Event) -> Option<FollowUp> {
    match event {
        group::Event::Created { founder, .. } => Some(FollowUp::Membership(group, *founder, membership::Command::FoundGroup)),
        group::Event::RoleWithdrawn { person, episode, departure: Some(departure) } => {
            let end = membership::Command::EndMembership { episode: *episode, departure: departure.clone() };
            Some(FollowUp::Membership(group, *person, end))
        }
        _ => None,
    }
}

/// A role given while its holder was leaving must not outlive the episode it was given for.
fn of_membership(group: GroupId, person: PersonId, event: &membership::Event) -> Option<FollowUp> {
    match event {
        membership::Event::Left { episode }
        | membership::Event::Removed { episode, .. }
        | membership::Event::Banned { episode: Some(episode), .. } => {
            Some(FollowUp::Group(group, group::Command::DropRole { person, episode: *episode }))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "flow_order_tests.rs"]
mod order_tests;
#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;

/// Whoever has claimed the name gets the page, or the page its new name.
fn of_username(event: &username::Event) -> FollowUp {
    match event {
        username::Event::Claimed { page, username, founding } => {
            let command = match founding {
                Some(founding) => page::Command::CreatePage { username: username.clone(), founding: founding.clone() },
                None => page::Command::TakeUsername { username: username.clone() },
            };
            FollowUp::Page(*page, command)
        }
    }
}
