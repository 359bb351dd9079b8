//! Reads the log on for one caller: what they may learn of now, nothing skipped.

use super::{ChangeView, Told, rights::Rights};
use crate::{
    App, Problem,
    caller::MaybeCaller,
    place::Place,
    routes::{
        community::{comments, groups, posts, questions},
        market::listings,
        things::hides,
    },
};
use circolo_domain::access::{Action, Origin};
use circolo_domain::change::{Change, Content, InGroup, Readers, Shown};
use circolo_domain::membership::{self, Membership};
use circolo_domain::stance::Stance;
use circolo_domain::{AnswerId, Event, GroupId, Thing, question};
use circolo_events::{Position, Recorded, end::Kept};
use std::{collections::HashMap, sync::Arc, time::Duration};
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
    pub next: Place,
}

/// The changes after `after`, at most `limit`; if there are none, those that come within `wait`.
pub(super) async fn follow(reader: &mut Reader, after: Place, limit: usize, wait: Duration) -> Result<Batch, Problem> {
    let app = reader.rights.app.clone();
    let deadline = Instant::now() + wait;
    let mut stopping = app.stopping();
    let mut walk = reader.walk(after.position, limit).await?;
    let mut last = walk.last;
    while walk.items.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || *stopping.borrow() {
            break;
        }
        let at = last.map_or(after.position, |(position, _)| position);
        tokio::select! {
            () = app.executor().end().changed(at, left) => {}
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
        walk = reader.go_on(at, limit).await?;
        last = walk.last.or(last);
    }
    if let (Some(last), None) = (walk.items.last(), app.projector().failure()) {
        // Whoever reads the thing at once should find it. If that takes too long they can say so: `Circolo-Min-Position`.
        let _ = app.projector().wait_for(Position(last.position), PATIENCE).await;
    }
    let next = last.map_or(after, |(position, event)| Place::of(app.store().log_id(), position, event));
    next.remember(&app);
    Ok(Batch { items: walk.items, next })
}

/// How a caller sees a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// How much they may learn of it.
    pub shown: Shown,
    /// What the thing is under, if only its place tells.
    pub parent: Option<Uuid>,
    /// Whether its revision is for them.
    pub follows: bool,
}

fn follows(by: &Stance) -> bool {
    match by {
        Stance::Group(standing) => questions::follows(standing),
        Stance::Page(_) => true,
    }
}

/// What a bounded walk along the log came to.
#[derive(Default)]
struct Walk {
    items: Vec<ChangeView>,
    /// The last event that was looked at.
    last: Option<(Position, Uuid)>,
}

/// A caller who follows the log, with their rights.
pub(super) struct Reader {
    rights: Rights,
    /// Accepted answers, and whether the caller may read them.
    answers: HashMap<AnswerId, bool>,
    /// Whether they follow what comes, and have been told of what was there.
    live: bool,
}

impl Reader {
    pub(super) fn new(app: App, caller: MaybeCaller) -> Self {
        Self { rights: Rights::of(app, caller), answers: HashMap::new(), live: false }
    }

    pub(super) const fn app(&self) -> &App {
        &self.rights.app
    }

    pub(super) const fn caller(&self) -> &MaybeCaller {
        &self.rights.caller
    }

    /// A walk over all that stands in the log now. Who has come to its end goes on from what is kept of that.
    async fn walk(&mut self, after: Position, limit: usize) -> Result<Walk, Problem> {
        if self.live {
            return self.go_on(after, limit).await;
        }
        let head = self.app().store().head().await?;
        if self.app().executor().end().last() >= head { self.go_on(after, limit).await } else { self.in_store(after, head, limit).await }
    }

    /// A walk over what is kept of the log's end, or over the store where that does not go back so far.
    async fn go_on(&mut self, after: Position, limit: usize) -> Result<Walk, Problem> {
        let Some(kept) = self.app().executor().end().behind(after, PAGE * PAGES) else {
            let head = self.app().store().head().await?;
            return self.in_store(after, head, limit).await;
        };
        self.live = true;
        self.answers.clear();
        self.rights.touched(kept.iter().map(|kept| &**kept));
        let mut walk = Walk::default();
        for kept in &kept {
            if !self.rights.passes_by(kept) {
                walk.items.extend(self.read(kept).await?);
            }
            walk.last = Some((kept.stored.position, kept.stored.event.id));
            if walk.items.len() == limit {
                break;
            }
        }
        Ok(walk)
    }

    async fn in_store(&mut self, after: Position, head: Position, limit: usize) -> Result<Walk, Problem> {
        // Rights are looked up anew for every walk, and at least as new as everything on it: who was let in a moment ago must not
        // be taken for an outsider to what followed.
        self.app().executor().settled().await;
        self.rights.forget();
        self.answers.clear();
        let (mut walk, mut scanned) = (Walk::default(), after);
        'walk: for _ in 0..PAGES {
            let page = self.app().store().read_all(scanned, PAGE).await?;
            let full = page.events.len() == PAGE;
            for stored in page.events.into_iter().take_while(|stored| stored.position <= head) {
                let kept = Kept::new(stored);
                walk.items.extend(self.read(&kept).await?);
                (walk.last, scanned) = (Some((kept.stored.position, kept.stored.event.id)), kept.stored.position);
                if walk.items.len() == limit {
                    break 'walk;
                }
            }
            // What an engine keeps for itself behind the last event is no place in the feed.
            if !full || scanned >= head {
                break;
            }
        }
        Ok(walk)
    }

    /// The event as the caller may learn of it, if they may.
    async fn read(&mut self, kept: &Kept) -> Result<Option<ChangeView>, Problem> {
        let recorded = match kept.recorded() {
            Ok(recorded) => recorded,
            // What this server does not know it can show to nobody; those who run it are told by the read models.
            Err(error) => {
                tracing::debug!(position = kept.stored.position.0, %error, "no change that this server knows");
                return Ok(None);
            }
        };
        let Some(change) = kept.change() else { return Ok(None) };
        let view = self.view(change, recorded).await?;
        Ok((view.shown != Shown::Hidden).then(|| {
            let log = self.app().store().log_id();
            let told = Told { log, change, event: recorded, event_type: &kept.stored.event.event_type };
            ChangeView::new(told, view, self.caller().person())
        }))
    }

    /// How the caller sees it.
    async fn view(&mut self, change: &Change, recorded: &Recorded) -> Result<View, Problem> {
        let person = self.caller().person();
        let full = |may, follows| Ok(View { shown: if may { Shown::Full } else { Shown::Hidden }, parent: None, follows });
        match change.readers {
            Readers::Registered => full(person.is_some(), true),
            Readers::Person(whom) => full(person == Some(whom), true),
            Readers::Page(page) | Readers::Staff(page, _) | Readers::Care(page, _) => {
                let standing = self.rights.on_page(page).await?;
                full(change.readers.of_page(standing), standing.role().is_some())
            }
            Readers::Group(group, right) => {
                let shown = self.in_group(group, right, recorded).await?;
                Ok(View { shown, parent: None, follows: shown == Shown::Full && groups::told(self.rights.standing(group).await?) })
            }
            Readers::Content(_) if self.hides(change, recorded).await? => full(false, false),
            Readers::Content(content) => match self.reads(content, change, recorded).await {
                Ok(view) => Ok(view),
                Err(problem) if hides(&problem) => full(false, false),
                Err(problem) => Err(problem),
            },
        }
    }

    /// Whether the event itself is kept from the caller, whatever they may read of its thing.
    async fn hides(&mut self, change: &Change, recorded: &Recorded) -> Result<bool, Problem> {
        let Some((scope, group)) = recorded.metadata.scope.and_then(|scope| Some((scope, scope.group()?))) else { return Ok(false) };
        let standing = self.rights.standing(group).await?;
        // Most of what a reader may not read lies in groups of which they may read nothing.
        if standing.allows(Action::Read).is_err() {
            return Ok(true);
        }
        match &recorded.event {
            // Answers and reactions have an era of their own beside their thing's.
            Event::Question(question::Event::Answered { .. }) | Event::Reaction(_) => {
                let origin = Origin { scope, at: recorded.recorded_at };
                Ok(standing.clone().towards(origin).allows(Action::Read).is_err())
            }
            // What is accepted is known to those who may read it.
            Event::Question(question::Event::AnswerAccepted { answer, .. } | question::Event::AcceptanceWithdrawn { answer }) => {
                let (Thing::Question(id), answer) = (change.thing, *answer) else { return Ok(true) };
                if let Some(reads) = self.answers.get(&answer) {
                    return Ok(!reads);
                }
                let reads = match questions::standing(self.app(), self.caller().person(), id).await {
                    Ok(standing) => questions::reads(self.app(), &standing, id, answer).await?,
                    Err(problem) if hides(&problem) => false,
                    Err(problem) => return Err(problem),
                };
                self.answers.insert(answer, reads);
                Ok(!reads)
            }
            _ => Ok(false),
        }
    }

    async fn in_group(&mut self, group: GroupId, right: InGroup, recorded: &Recorded) -> Result<Shown, Problem> {
        let standing = self.rights.standing(group).await?.clone();
        if standing.allows(Action::See).is_err() || standing.whole().is_err() {
            return Ok(Shown::Hidden);
        }
        let mut subject = Arc::default();
        if let Some(person) = right.person() {
            // Of whom it cannot be read, nothing is taken for granted.
            let loaded = self.app().executor().load_in_part::<Membership>(&membership::stream(group, person)).await?;
            subject = if loaded.unread.is_some() { subject } else { loaded.state };
        }
        Ok(right.shows(&standing, &subject, recorded.metadata.scope, recorded.recorded_at))
    }

    /// As at the thing's own address: an error if the caller may not read it. An edit is hidden from whoever does not read its words.
    /// That something else of it cannot be read is told there, to whoever comes to read it anew.
    async fn reads(&self, content: Content, change: &Change, recorded: &Recorded) -> Result<View, Problem> {
        let (app, caller) = (self.app(), self.caller());
        let own = |author| caller.person() == Some(author);
        let full = |by: &Stance, parent, follows| {
            let hidden = change.edited && !by.reads_edit(recorded.origin());
            View { shown: if hidden { Shown::Hidden } else { Shown::Full }, parent, follows }
        };
        Ok(match content {
            Content::Comment(id) => {
                let (comments::Reached { by, comment, post }, _) = comments::reach_in_part(app, caller.call(), id).await?;
                full(&by, Some(post.id.0), own(comment.author) || follows(&by))
            }
            Content::Listing(id) => {
                let (standing, seller, _) = listings::standing_in_part(app, caller.person(), id).await?;
                standing.allows(Action::Read)?;
                let by = Stance::Group(standing);
                full(&by, None, own(seller) || follows(&by))
            }
            Content::Post(id) => {
                let (posts::Reached { by, post, .. }, _) = posts::reach_in_part(app, caller.call(), id).await?;
                by.reads()?;
                full(&by, None, own(post.author) || follows(&by))
            }
            Content::Question(id) => {
                let (standing, _) = questions::standing_in_part(app, caller.person(), id).await?;
                standing.allows(Action::Read)?;
                let by = Stance::Group(standing);
                full(&by, None, follows(&by))
            }
        })
    }
}
