//! What a caller who follows the log is to groups and pages: looked up once, and anew when an event may have changed it.

use crate::{App, Problem, caller::MaybeCaller};
use circolo_domain::access::{Action, Standing};
use circolo_domain::change::{Change, Readers};
use circolo_domain::page::PageStanding;
use circolo_domain::{GroupId, PageId};
use circolo_events::end::{Kept, Touched};
use std::collections::HashMap;

/// Of so many groups and pages it is kept; then all is looked up anew.
const MOST: usize = 512;

/// A caller, and what they are as far as it was looked up.
pub(super) struct Rights {
    pub app: App,
    pub caller: MaybeCaller,
    groups: HashMap<GroupId, InGroup>,
    pages: HashMap<PageId, OnPage>,
    /// Counts walks along the log: what is told is told by rights that were looked up for this one, what is not by those of before, too.
    walk: u64,
}

/// What the caller is to a page.
struct OnPage {
    standing: PageStanding,
    walk: u64,
}

/// What the caller is to a group.
struct InGroup {
    walk: u64,
    standing: Standing,
    /// Whether they see that it exists, and all that tells so can be read.
    sees: bool,
    /// Whether they may read anything that is written there now.
    reads: bool,
    /// Whether it may change without an event: a ban ends, or what could not be read can be.
    fleeting: bool,
}

impl InGroup {
    fn new(standing: Standing, app: &App, walk: u64) -> Self {
        Self {
            walk,
            sees: standing.allows(Action::See).is_ok() && standing.whole().is_ok(),
            reads: standing.allows(Action::Read).is_ok(),
            fleeting: standing.membership().banned(app.now()) || standing.whole().is_err(),
            standing,
        }
    }
}

impl Rights {
    /// Of `caller`, with nothing looked up.
    pub fn of(app: App, caller: MaybeCaller) -> Self {
        Self { app, caller, groups: HashMap::new(), pages: HashMap::new(), walk: 0 }
    }

    /// Forgets all that was looked up.
    pub fn forget(&mut self) {
        self.groups.clear();
        self.pages.clear();
    }

    /// A walk begins: forgets what may be otherwise since these events, and what may change without one. To be told of all of them
    /// before anything is judged, so that nobody is kept from what they have been let in to.
    pub fn touched<'a>(&mut self, events: impl Iterator<Item = &'a Kept>) {
        self.walk += 1;
        if self.groups.len() + self.pages.len() > MOST {
            self.forget();
        }
        self.groups.retain(|_, known| !known.fleeting);
        self.pages.retain(|_, known| known.standing.whole().is_ok());
        let person = self.caller.person();
        for kept in events {
            match kept.touched {
                Touched::Group(group) => drop(self.groups.remove(&group)),
                Touched::Member(group, whom) => {
                    // What an invitation is worth depends on who made it.
                    let invited = |known: &InGroup| known.standing.membership().invitation().is_some();
                    if Some(whom) == person || self.groups.get(&group).is_some_and(invited) {
                        self.groups.remove(&group);
                    }
                }
                Touched::Page(page) => drop(self.pages.remove(&page)),
                Touched::Fan(page, whom) => {
                    if Some(whom) == person {
                        self.pages.remove(&page);
                    }
                }
                Touched::Nobody => {}
                Touched::Anybody => self.forget(),
            }
        }
    }

    /// Whether it is certain, by what is known, that the caller learns nothing of this.
    pub fn passes_by(&self, kept: &Kept) -> bool {
        let Some(Change { readers, .. }) = kept.change() else { return true };
        let person = self.caller.person();
        match readers {
            Readers::Registered => person.is_none(),
            Readers::Person(whom) => person != Some(*whom),
            Readers::Page(page) | Readers::Staff(page, _) | Readers::Care(page, _) => {
                self.pages.get(page).is_some_and(|known| !readers.of_page(&known.standing))
            }
            Readers::Group(group, _) => self.groups.get(group).is_some_and(|known| !known.sees),
            // Most of what a reader may not read lies in groups of which they may read nothing.
            Readers::Content(_) => {
                let group = kept.recorded().ok().and_then(|recorded| recorded.metadata.scope?.group());
                group.and_then(|group| self.groups.get(&group)).is_some_and(|known| !known.reads)
            }
        }
    }

    /// What the caller is to `group`, looked up for this walk.
    pub async fn standing(&mut self, group: GroupId) -> Result<&Standing, Problem> {
        if self.groups.get(&group).is_none_or(|known| known.walk != self.walk) {
            let standing = self.app.standing(self.caller.person(), group).await?;
            self.groups.insert(group, InGroup::new(standing, &self.app, self.walk));
        }
        Ok(&self.groups[&group].standing)
    }

    /// What the caller is to `page`, looked up for this walk.
    pub async fn on_page(&mut self, page: PageId) -> Result<&PageStanding, Problem> {
        if self.pages.get(&page).is_none_or(|known| known.walk != self.walk) {
            let standing = self.app.page_standing(self.caller.call(), page).await?;
            self.pages.insert(page, OnPage { standing, walk: self.walk });
        }
        Ok(&self.pages[&page].standing)
    }
}
