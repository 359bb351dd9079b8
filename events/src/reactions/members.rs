//! The people of a group, folded from their streams: reactions know no read model.

use super::ReactionError;
use crate::{Executor, Position};
use circolo_domain::{Decider, GroupId, PersonId, StreamName, membership, membership::Membership};
use std::collections::BTreeMap;

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

/// Everybody whom `group` knows.
pub(super) async fn of_group(executor: &Executor, group: GroupId) -> Result<BTreeMap<PersonId, Known>, ReactionError> {
    let store = executor.store();
    let prefix = StreamName::new(Membership::CATEGORY, format_args!("{group}."));
    let head = store.head().await?;
    let mut people = BTreeMap::<PersonId, Known>::new();
    let mut after = Position::START;
    while after < head {
        let page = store.read_prefix(prefix.as_str(), after, head, PAGE).await?;
        for stored in &page.events {
            let recorded = stored.decode()?;
            if let (Some(event), Some((_, person))) = (Membership::own(&recorded.event), membership::ids(&recorded.stream)) {
                let known = people.entry(person).or_default();
                let before = known.state.requested();
                known.state = std::mem::take(&mut known.state).evolve(event, recorded.recorded_at);
                if !before {
                    known.asked = recorded.position;
                }
            }
        }
        if page.scanned <= after {
            break;
        }
        after = page.scanned;
    }
    Ok(people)
}
