//! The people of a group, folded from their streams: reactions know no read model.

use crate::consumers::ConsumerError;
use crate::{Executor, Position, Unreadable};
use circolo_domain::{Decider, GroupId, PersonId, StreamName, membership, membership::Membership};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events read at once.
const PAGE: usize = 1_000;

/// Somebody who is, was or wants to be in a group.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where they stand.
    pub state: Membership,
    /// Where in the log they asked to join, if a request is open.
    pub asked: Position,
}

/// Everybody whom a group knows.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Those of whom all can be read.
    pub known: BTreeMap<PersonId, Known>,
    /// The others, and why not.
    pub unread: BTreeMap<PersonId, Arc<Unreadable>>,
}

/// Everybody whom `group` knows.
pub(super) async fn of_group(executor: &Executor, group: GroupId) -> Result<People, ConsumerError> {
    let store = executor.store();
    let prefix = StreamName::new(Membership::CATEGORY, format_args!("{group}."));
    let head = store.head().await?;
    let mut people = People::default();
    let mut after = Position::START;
    while after < head {
        let page = store.read_prefix(prefix.as_str(), after, head, PAGE).await?;
        for stored in &page.events {
            let Some((_, person)) = membership::ids(&stored.stream) else { continue };
            match stored.decode() {
                Ok(recorded) => {
                    if let Some(event) = Membership::own(&recorded.event) {
                        let known = people.known.entry(person).or_default();
                        let before = known.state.requested();
                        known.state = std::mem::take(&mut known.state).evolve(event, recorded.recorded_at);
                        if !before {
                            known.asked = recorded.position;
                        }
                    }
                }
                Err(_) if executor.skips().pass_over(&**store, stored.event.id).await? => {}
                Err(error) => drop(people.unread.entry(person).or_insert_with(|| Arc::new(Unreadable::new(stored, &error)))),
            }
        }
        if page.scanned <= after {
            break;
        }
        after = page.scanned;
    }
    people.known.retain(|person, _| !people.unread.contains_key(person));
    Ok(people)
}
