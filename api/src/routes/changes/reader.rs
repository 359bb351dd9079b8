//! Reads the log on for one caller: what they may learn of now, nothing skipped.

use super::ChangeView;
use crate::{
    App, Problem,
    caller::MaybeCaller,
    routes::{comments, listings, posts, questions},
};
use circolo_domain::access::{Action, Origin, Owner, Standing};
use circolo_domain::change::{Change, Content, InGroup, Readers, Shown, Thing, change};
use circolo_domain::membership::{self, Membership};
use circolo_domain::page::PageStanding;
use circolo_domain::{GroupId, PageId};
use circolo_events::{Position, Recorded, Stored};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// Events read at once.
const PAGE: usize = 250;
/// How often one request reads on before it answers with what it has: who may read little of much goes on from there.
const PAGES: usize = 20;
/// For how long the read models are waited for, so that what is told can be read.
const PATIENCE: Duration = Duration::from_secs(1);

/// A part of the feed.
#[derive(Debug)]
pub(super) struct Batch {
    /// What the caller may learn of.
    pub items: Vec<ChangeView>,
    /// Up to here the log was read for them.
    pub next: Position,
}

/// The changes after `after`, at most `limit`; if there are none, those that come within `wait`.
pub(super) async fn follow(app: &App, caller: &MaybeCaller, after: Position, limit: usize, wait: Duration) -> Result<Batch, Problem> {
    let deadline = Instant::now() + wait;
    let mut stopping = app.stopping();
    let mut batch = scan(app, caller, after, limit).await?;
    while batch.items.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || *stopping.borrow() {
            break;
        }
        tokio::select! {
            head = app.store().changed(batch.next, left) => drop(head?),
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
        batch = scan(app, caller, batch.next, limit).await?;
    }
    if let (Some(last), None) = (batch.items.last(), app.projector().failure()) {
        // Whoever reads the thing at once should find it. If that takes too long they can say so: `Circolo-Min-Position`.
        let _ = app.projector().wait_for(Position(last.position), PATIENCE).await;
    }
    Ok(batch)
}

/// One bounded walk along the log.
async fn scan(app: &App, caller: &MaybeCaller, after: Position, limit: usize) -> Result<Batch, Problem> {
    // Rights are looked up anew for every walk, and at least as new as everything on it: who was let in a moment ago must not
    // be taken for an outsider to what followed.
    let head = app.store().head().await?;
    app.executor().settled().await;
    let mut reader = Reader { app, caller, groups: HashMap::new(), pages: HashMap::new() };
    let mut batch = Batch { items: vec![], next: after };
    for _ in 0..PAGES {
        let page = app.store().read_all(batch.next, PAGE).await?;
        let full = page.events.len() == PAGE;
        for stored in &page.events {
            if stored.position > head {
                return Ok(batch);
            }
            batch.items.extend(reader.read(stored).await?);
            batch.next = stored.position;
            if batch.items.len() == limit {
                return Ok(batch);
            }
        }
        batch.next = batch.next.max(page.scanned.min(head));
        if !full {
            break;
        }
    }
    Ok(batch)
}

/// A caller with what they are to groups and pages.
struct Reader<'a> {
    app: &'a App,
    caller: &'a MaybeCaller,
    groups: HashMap<GroupId, Standing>,
    pages: HashMap<PageId, PageStanding>,
}

impl Reader<'_> {
    /// The event as the caller may learn of it, if they may.
    async fn read(&mut self, stored: &Stored) -> Result<Option<ChangeView>, Problem> {
        let recorded = match stored.decode() {
            Ok(recorded) => recorded,
            // What this server does not know it can show to nobody; those who run it are told by the read models.
            Err(error) => {
                tracing::debug!(position = stored.position.0, %error, "no change that this server knows");
                return Ok(None);
            }
        };
        let Some(change) = change(&recorded.stream, &recorded.event) else { return Ok(None) };
        let (shown, parent) = self.shows(&change, &recorded).await?;
        Ok((shown != Shown::Hidden)
            .then(|| ChangeView::new(&change, &recorded, &stored.event.event_type, shown, parent, self.caller.person())))
    }

    /// How much the caller may learn of it, and what it is under, if only its place tells.
    async fn shows(&mut self, change: &Change, recorded: &Recorded) -> Result<(Shown, Option<Uuid>), Problem> {
        let person = self.caller.person();
        let full = |may| Ok((if may { Shown::Full } else { Shown::Hidden }, None));
        match change.readers {
            Readers::Registered => full(person.is_some()),
            Readers::Person(whom) => full(person == Some(whom)),
            Readers::Page(page) | Readers::Staff(page, _) | Readers::Care(page, _) => {
                full(change.readers.of_page(self.on_page(page).await?))
            }
            Readers::Group(group, right) => Ok((self.in_group(group, right, recorded).await?, None)),
            Readers::Content(content) => {
                // Most of what a reader may not read lies in groups of which they may read nothing.
                if let Some(scope) = recorded.metadata.scope
                    && let Owner::Group(group) = scope.owner
                {
                    let standing = self.standing(group).await?;
                    // An answer has an era of its own beside its question's.
                    let origin = Origin { scope, at: recorded.recorded_at };
                    let hidden =
                        matches!(change.thing, Thing::Answer(..)) && standing.clone().towards(origin).allows(Action::Read).is_err();
                    if hidden || standing.allows(Action::Read).is_err() {
                        return full(false);
                    }
                }
                match self.reads(content).await {
                    Ok(parent) => Ok((Shown::Full, parent)),
                    Err(problem) if problem.status().is_client_error() => full(false),
                    Err(problem) => Err(problem),
                }
            }
        }
    }

    async fn in_group(&mut self, group: GroupId, right: InGroup, recorded: &Recorded) -> Result<Shown, Problem> {
        let standing = self.standing(group).await?.clone();
        if standing.allows(Action::See).is_err() {
            return Ok(Shown::Hidden);
        }
        let subject = match right.person() {
            Some(person) => self.app.executor().load::<Membership>(&membership::stream(group, person)).await?.state,
            None => std::sync::Arc::default(),
        };
        Ok(right.shows(&standing, &subject, recorded.metadata.scope, recorded.recorded_at))
    }

    /// As at the thing's own address: an error if the caller may not read it. For a comment, the post it is under.
    async fn reads(&self, content: Content) -> Result<Option<Uuid>, Problem> {
        let Self { app, caller, .. } = self;
        match content {
            Content::Comment(id) => return Ok(Some(comments::reach(app, caller.call(), id).await?.post.id.0)),
            Content::Listing(id) => listings::standing(app, caller.person(), id).await?.0.allows(Action::Read)?,
            Content::Post(id) => posts::reach(app, caller.call(), id).await?.by.reads()?,
            Content::Question(id) => questions::standing(app, caller.person(), id).await?.allows(Action::Read)?,
        }
        Ok(None)
    }

    async fn standing(&mut self, group: GroupId) -> Result<&Standing, Problem> {
        if !self.groups.contains_key(&group) {
            let standing = self.app.standing(self.caller.person(), group).await?;
            self.groups.insert(group, standing);
        }
        Ok(&self.groups[&group])
    }

    async fn on_page(&mut self, page: PageId) -> Result<&PageStanding, Problem> {
        if !self.pages.contains_key(&page) {
            let standing = self.app.page_standing(self.caller.call(), page).await?;
            self.pages.insert(page, standing);
        }
        Ok(&self.pages[&page])
    }
}
