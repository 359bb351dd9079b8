//! What people are to groups and pages, as fresh as a decision needs it.
//!
//! A handler asks for a standing to let its caller in. Until the command's turn comes, a ban or a loss of role may have come
//! first: so every standing within a command is renewed right before each decision. What comes from the very stream that the
//! command is for is exact, as the append proves it; what comes from another is as old as the cache of this node
//! (docs/adr/0018-what-a-command-decides-by.md).

use crate::execute::{Executor, LoadError};
use crate::slot::Cached;
use circolo_domain::access::{Scope, Standing};
use circolo_domain::fan::{self, Fan};
use circolo_domain::group::{self, Group};
use circolo_domain::membership::{self, Membership};
use circolo_domain::page::{self, Page};
use circolo_domain::stance::Rights;
use circolo_domain::{Decider, GroupId, PersonId, StreamName, Timestamp};
use std::any::Any;
use std::sync::Arc;

impl Executor {
    /// Puts how things are now into the standings of `command`, and tells the scope that the first of them gives. What was true when
    /// the caller was let in may have ended while they waited for their turn.
    pub(crate) async fn renew<D: Decider>(
        &self,
        stream: &StreamName,
        cached: &Cached<D>,
        command: &mut D::Command,
        now: Timestamp,
    ) -> Result<Option<Scope>, LoadError> {
        let mut scope = None;
        for mut rights in D::rights(command) {
            match &mut rights {
                Rights::Group(standing) => {
                    let id = standing.group_id();
                    let group = self.state_beside::<Group, D>(&group::stream(id), stream, cached).await?;
                    let mut membership = Arc::default();
                    let mut inviter = None;
                    if let Some(person) = standing.person() {
                        membership = self.state_beside::<Membership, D>(&membership::stream(id, person), stream, cached).await?;
                        inviter = self.inviter(id, &membership).await?;
                    }
                    standing.renew(group, membership, inviter, now);
                }
                Rights::Page(standing) => {
                    let id = standing.page_id();
                    let page = self.state_beside::<Page, D>(&page::stream(id), stream, cached).await?;
                    let mut fan = Arc::default();
                    if let Some(person) = standing.person() {
                        fan = self.state_beside::<Fan, D>(&fan::stream(id, person), stream, cached).await?;
                    }
                    standing.renew(page, fan);
                }
            }
            scope = scope.or_else(|| rights.scope());
        }
        Ok(scope)
    }

    /// The state behind `wanted`, while a command on `stream` is decided. Of that very stream it is the state that the append will
    /// prove.
    async fn state_beside<W: Decider, D: Decider>(
        &self,
        wanted: &StreamName,
        stream: &StreamName,
        cached: &Cached<D>,
    ) -> Result<Arc<W>, LoadError> {
        let proved: Arc<dyn Any + Send + Sync> = cached.state.clone();
        match proved.downcast::<W>() {
            Ok(state) if wanted == stream => Ok(state),
            _ => Ok(self.load::<W>(wanted).await?.state),
        }
    }

    /// The membership of whoever invited somebody into `group` who is not in it: see [`Standing::invitation`].
    async fn inviter(&self, group: GroupId, invited: &Membership) -> Result<Option<Arc<Membership>>, LoadError> {
        match invited.invitation() {
            Some(invitation) => Ok(Some(self.load(&membership::stream(group, invitation.inviter)).await?.state)),
            None => Ok(None),
        }
    }

    /// What `person`, or nobody signed in, is to `group`.
    pub async fn standing(&self, person: Option<PersonId>, group: GroupId) -> Result<Standing, LoadError> {
        let state = self.load::<Group>(&group::stream(group)).await?.state;
        let Some(person) = person else { return Ok(Standing::new(None, group, state, Arc::default(), self.now())) };
        let membership = self.load::<Membership>(&membership::stream(group, person)).await?.state;
        let inviter = self.inviter(group, &membership).await?;
        let standing = Standing::new(Some(person), group, state, membership, self.now());
        Ok(match inviter {
            Some(inviter) => standing.invited_by(inviter),
            None => standing,
        })
    }
}

#[cfg(test)]
#[path = "standings_tests.rs"]
mod tests;
