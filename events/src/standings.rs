//! What people are to groups and pages, as fresh as a decision needs it.
//!
//! A handler asks for a standing to let its caller in. Until the command's turn comes, a ban or a loss of role may have come
//! first: so every standing within a command is renewed right before each decision. What comes from the very stream that the
//! command is for is exact, as the append proves it; what comes from another is as old as the cache of this node
//! (docs/adr/0018-what-a-command-decides-by.md).

use crate::Unreadable;
use crate::cached_stream::Cached;
use crate::execute::{Executor, LoadError};
use circolo_domain::access::{Scope, Standing, Unread};
use circolo_domain::fan::{self, Fan};
use circolo_domain::group::{self, Group};
use circolo_domain::membership::{self, Membership};
use circolo_domain::page::{self, Page, PageStanding};
use circolo_domain::stance::Rights;
use circolo_domain::{Decider, GroupId, PageId, PersonId, StreamName, Timestamp};
use std::any::Any;
use std::sync::Arc;

impl Executor {
    /// Puts how things are now into the standings of `command`, and tells the scope that the first of them gives, and what of them
    /// cannot be read. What was true when the caller was let in may have ended while they waited for their turn.
    pub(crate) async fn renew<D: Decider>(
        &self,
        stream: &StreamName,
        cached: &Cached<D>,
        command: &mut D::Command,
        now: Timestamp,
    ) -> Result<(Option<Scope>, Option<Arc<Unreadable>>), LoadError> {
        let (mut scope, mut unread) = (None, None);
        for mut rights in D::rights(command) {
            match &mut rights {
                Rights::Group(standing) => {
                    let (id, person) = (standing.group_id(), standing.person());
                    let (group, of_group) = self.state_beside::<Group, D>(&group::stream(id), stream, cached).await?;
                    let (mut membership, mut of_person, mut inviter) = (Arc::default(), None, None);
                    if let Some(person) = person {
                        let within = membership::stream(id, person);
                        (membership, of_person) = self.state_beside::<Membership, D>(&within, stream, cached).await?;
                        inviter = self.inviter(id, &membership).await?;
                    }
                    standing.renew(group, membership, inviter, of(of_group.as_deref(), of_person.as_deref()), now);
                    unread = unread.or(of_group).or(of_person);
                }
                Rights::Page(standing) => {
                    let (id, person) = (standing.page_id(), standing.person());
                    let (page, of_page) = self.state_beside::<Page, D>(&page::stream(id), stream, cached).await?;
                    let (mut fan, mut of_fan) = (Arc::default(), None);
                    if let Some(person) = person {
                        (fan, of_fan) = self.state_beside::<Fan, D>(&fan::stream(id, person), stream, cached).await?;
                    }
                    standing.renew(page, fan, page::Unread { page: of_page.is_some(), fan: of_fan.is_some() });
                    unread = unread.or(of_page).or(of_fan.filter(|_| standing.whole().is_err()));
                }
            }
            scope = scope.or_else(|| rights.scope());
        }
        Ok((scope, unread))
    }

    /// The state behind `wanted`, while a command on `stream` is decided. Of that very stream it is the state that the append will
    /// prove.
    async fn state_beside<W: Decider, D: Decider>(
        &self,
        wanted: &StreamName,
        stream: &StreamName,
        cached: &Cached<D>,
    ) -> Result<(Arc<W>, Option<Arc<Unreadable>>), LoadError> {
        let proved: Arc<dyn Any + Send + Sync> = cached.state.clone();
        match proved.downcast::<W>() {
            Ok(state) if wanted == stream => Ok((state, cached.unread.clone())),
            _ => self.load_in_part::<W>(wanted).await.map(|loaded| (loaded.state, loaded.unread)),
        }
    }

    /// The membership of whoever invited somebody into `group` who is not in it: see [`Standing::invitation`]. Where that cannot be
    /// read, nobody did.
    async fn inviter(&self, group: GroupId, invited: &Membership) -> Result<Option<Arc<Membership>>, LoadError> {
        let Some(invitation) = invited.invitation() else { return Ok(None) };
        let loaded = self.load_in_part(&membership::stream(group, invitation.inviter)).await?;
        Ok(Some(loaded.state).filter(|_| loaded.unread.is_none()))
    }

    /// What `person`, or nobody signed in, is to `group`, as far as that can be read.
    pub async fn standing(&self, person: Option<PersonId>, group: GroupId) -> Result<Standing, LoadError> {
        let of_group = self.load_in_part::<Group>(&group::stream(group)).await?;
        let Some(person) = person else {
            let unread = of(of_group.unread.as_deref(), None);
            return Ok(Standing::new(None, group, of_group.state, Arc::default(), self.now()).without(unread));
        };
        let of_person = self.load_in_part::<Membership>(&membership::stream(group, person)).await?;
        let inviter = self.inviter(group, &of_person.state).await?;
        let unread = of(of_group.unread.as_deref(), of_person.unread.as_deref());
        let standing = Standing::new(Some(person), group, of_group.state, of_person.state, self.now()).without(unread);
        Ok(match inviter {
            Some(inviter) => standing.invited_by(inviter),
            None => standing,
        })
    }

    /// What `person`, or nobody signed in, is to `page`, as far as that can be read; whether they are a `bot` their token tells.
    pub async fn page_standing(&self, person: Option<PersonId>, bot: bool, page: PageId) -> Result<PageStanding, LoadError> {
        let of_page = self.load_in_part::<Page>(&page::stream(page)).await?;
        let (mut fan, mut unread) = (Arc::default(), page::Unread { page: of_page.unread.is_some(), fan: false });
        if let Some(person) = person {
            let of_fan = self.load_in_part::<Fan>(&fan::stream(page, person)).await?;
            (fan, unread.fan) = (of_fan.state, of_fan.unread.is_some());
        }
        Ok(PageStanding::new(person, bot, page, of_page.state, fan).without(unread))
    }
}

/// What of a standing cannot be read.
fn of(group: Option<&Unreadable>, membership: Option<&Unreadable>) -> Unread {
    Unread { group: group.map(Unreadable::gap), membership: membership.is_some() }
}

#[cfg(test)]
#[path = "standings_tests.rs"]
mod tests;
