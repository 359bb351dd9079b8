//! What people who talk wish: to post in groups, to post as a page, to comment, to react, to edit and to remove.

use super::{Simulation, Wish};
use crate::execute::Request;
use circolo_domain::allowance::Act;
use circolo_domain::comment::{self, Comment, ReplyTo};
use circolo_domain::fan::{self, Fan};
use circolo_domain::page::{self, Founding, Page, PageStanding};
use circolo_domain::post::{self, Post};
use circolo_domain::reaction::{self, Reaction, Target, TargetKind};
use circolo_domain::stance::{Stance, Voice};
use circolo_domain::username::{self, Username};
use circolo_domain::{CommentId, PageId, PersonId, PostId};

/// Posts that are still commented on.
const RECENT: usize = 3_000;
/// Comments of one post that are still replied and reacted to.
const RECENT_COMMENTS: usize = 20;

/// Wishes and how often they come.
pub const WISHES: &[(u64, Wish)] = &[
    (130, post_in_group),
    (40, post_as_page),
    (330, write_comment),
    (420, react),
    (20, withdraw_reaction),
    (15, edit_post),
    (8, remove_post),
    (40, follow),
    (8, unfollow),
    (2, block),
];

/// Where somebody posts.
#[derive(Clone, Copy)]
enum Place {
    Room(usize),
    Page(usize),
}

/// A post that people still look at.
struct Posted {
    id: PostId,
    place: Place,
    author: PersonId,
    comments: Vec<CommentId>,
}

/// A page with its owner.
pub type OwnedPage = (PageId, PersonId);

/// Pages and recent posts.
#[derive(Default)]
pub struct Talk {
    /// All of them.
    pub pages: Vec<OwnedPage>,
    posts: Vec<Posted>,
}

impl Simulation {
    /// What `person` is to a page.
    pub fn page_standing(&self, person: PersonId, page: PageId) -> PageStanding {
        let state = self.offline.state::<Page>(&page::stream(page));
        PageStanding::new(Some(person), false, page, state, self.offline.state::<Fan>(&fan::stream(page, person)))
    }

    fn stance(&self, person: PersonId, place: Place, stream: Option<&circolo_domain::StreamName>) -> Stance {
        match place {
            Place::Page(at) => Stance::Page(self.page_standing(person, self.talk.pages[at].0)),
            Place::Room(room) => {
                let standing = self.standing(person, room);
                Stance::Group(match stream.and_then(|stream| self.offline.origin(stream)) {
                    Some(origin) => standing.towards(origin),
                    None => standing,
                })
            }
        }
    }

    /// A recent post, the newest most.
    fn some_post(&mut self) -> Option<usize> {
        let drawn = self.chance.skewed(self.talk.posts.len());
        self.talk.posts.len().checked_sub(drawn + 1)
    }

    /// A recent comment, with its post and, where that is on a page, the page and its owner.
    pub fn some_comment(&mut self) -> Option<(PostId, Option<OwnedPage>, CommentId)> {
        let at = self.some_post()?;
        let page = match self.talk.posts[at].place {
            Place::Page(page) => Some(self.talk.pages[page]),
            Place::Room(_) => None,
        };
        let comment = self.chance.pick(&self.talk.posts[at].comments).copied()?;
        Some((self.talk.posts[at].id, page, comment))
    }

    /// Somebody who may have something to say there.
    fn some_reader(&mut self, place: Place) -> Option<PersonId> {
        match place {
            Place::Room(room) => self.member_of(room),
            Place::Page(_) => self.somebody(),
        }
    }
}

/// Somebody creates a page.
pub fn create_page(simulation: &mut Simulation) -> bool {
    let (Some(owner), Some(name)) = (simulation.somebody(), simulation.chance.text::<2, 80, true>(1, 3)) else { return false };
    let number = simulation.talk.pages.len() + 1;
    let Some(username) = username::Name::parse(&format!("page.{number:05}.{}", simulation.options.seed)) else { return false };
    if !simulation.takes_place(owner, owner, Act::Page) {
        return false;
    }
    let request = simulation.request(owner);
    let page = PageId(request.command_id);
    let founding = Founding { name: name.as_str().to_owned(), owner };
    let command = username::Command::ClaimForNewPage { page, username: username.clone(), founding };
    let created = simulation.offline.ask::<Username>(&username::stream(&username), &command, &request, simulation.now);
    if created {
        simulation.talk.pages.push((page, owner));
    }
    created
}

fn post(simulation: &mut Simulation, place: Place, author: PersonId, as_page: Option<PageId>) {
    let Some(text) = simulation.chance.body() else { return };
    let by = simulation.stance(author, place, None);
    let request = simulation.request(author).within(by.scope());
    let id = PostId(request.command_id);
    let command = post::Command::WritePost { by, as_page, text };
    if simulation.offline.ask::<Post>(&post::stream(id), &command, &request, simulation.now) {
        if simulation.talk.posts.len() == RECENT {
            let old = simulation.talk.posts.remove(0);
            simulation.offline.forget(&post::stream(old.id));
            for comment in old.comments {
                simulation.offline.forget(&comment::stream(comment));
            }
        }
        simulation.talk.posts.push(Posted { id, place, author, comments: vec![] });
    }
}

fn post_in_group(simulation: &mut Simulation) {
    if let Some((room, author, _)) = simulation.some_member() {
        post(simulation, Place::Room(room), author, None);
    }
}

fn post_as_page(simulation: &mut Simulation) {
    let at = simulation.chance.skewed(simulation.talk.pages.len());
    if let Some((page, owner)) = simulation.talk.pages.get(at).copied() {
        post(simulation, Place::Page(at), owner, Some(page));
    }
}

fn write_comment(simulation: &mut Simulation) {
    let Some(at) = simulation.some_post() else { return };
    let (id, place) = (simulation.talk.posts[at].id, simulation.talk.posts[at].place);
    // Now and then the page itself answers.
    let (person, as_page) = match place {
        Place::Page(page) if simulation.chance.happens(25) => (simulation.talk.pages[page].1, Some(simulation.talk.pages[page].0)),
        _ => match simulation.some_reader(place) {
            Some(person) => (person, None),
            None => return,
        },
    };
    let Some(post) = simulation.offline.state::<Post>(&post::stream(id)).facts(id) else { return };
    let earlier = simulation.chance.happens(30).then(|| simulation.chance.pick(&simulation.talk.posts[at].comments).copied()).flatten();
    let reply_to = earlier.map(|id| ReplyTo { id, found: simulation.offline.state::<Comment>(&comment::stream(id)).facts() });
    let Some(text) = simulation.chance.text(3, 30) else { return };
    let by = simulation.stance(person, place, Some(&post::stream(id)));
    let request = simulation.request(person).within(by.scope());
    let comment = CommentId(request.command_id);
    let command = comment::Command::WriteComment { by, as_page, post, reply_to, text };
    if simulation.offline.ask::<Comment>(&comment::stream(comment), &command, &request, simulation.now) {
        let comments = &mut simulation.talk.posts[at].comments;
        if comments.len() == RECENT_COMMENTS {
            simulation.offline.forget(&comment::stream(comments.remove(0)));
        }
        comments.push(comment);
    }
}

/// Somebody's wish about their reaction to some post or comment.
fn on_reaction(simulation: &mut Simulation, give: bool) {
    let Some(at) = simulation.some_post() else { return };
    let (post, place) = (simulation.talk.posts[at].id, simulation.talk.posts[at].place);
    let Some(person) = simulation.some_reader(place) else { return };
    let comment = simulation.chance.happens(35).then(|| simulation.chance.pick(&simulation.talk.posts[at].comments).copied()).flatten();
    let by = simulation.stance(person, place, Some(&post::stream(post)));
    let (stream, kind) = match comment {
        Some(comment) => (reaction::stream(comment.0, Voice::Person(person)), TargetKind::Comment),
        None => (reaction::stream(post.0, Voice::Person(person)), TargetKind::Post),
    };
    let removed = match comment {
        Some(comment) => simulation.offline.state::<Comment>(&comment::stream(comment)).facts().is_none_or(|facts| facts.removed),
        None => simulation.offline.state::<Post>(&post::stream(post)).facts(post).is_none_or(|facts| facts.removed),
    };
    let target = Target { kind, removed };
    let request = simulation.request(person).within(by.scope());
    let kinds = reaction::Kind::ALL;
    let drawn = kinds[simulation.chance.skewed(kinds.len())];
    let command = if give {
        reaction::Command::React { by, as_page: None, target, kind: drawn }
    } else {
        reaction::Command::WithdrawReaction { by, as_page: None, target }
    };
    simulation.offline.ask::<Reaction>(&stream, &command, &request, simulation.now);
}

fn react(simulation: &mut Simulation) {
    on_reaction(simulation, true);
}

fn withdraw_reaction(simulation: &mut Simulation) {
    on_reaction(simulation, false);
}

/// The author of some post with a request about it.
fn as_author(simulation: &mut Simulation) -> Option<(PostId, Stance, Request)> {
    let at = simulation.some_post()?;
    let Posted { id, place, author, .. } = simulation.talk.posts[at];
    let by = simulation.stance(author, place, Some(&post::stream(id)));
    let request = simulation.request(author).within(by.scope());
    Some((id, by, request))
}

fn edit_post(simulation: &mut Simulation) {
    let (Some((id, by, request)), Some(text)) = (as_author(simulation), simulation.chance.body()) else { return };
    simulation.offline.ask::<Post>(&post::stream(id), &post::Command::EditPost { by, text }, &request, simulation.now);
}

fn remove_post(simulation: &mut Simulation) {
    let Some((id, by, request)) = as_author(simulation) else { return };
    let author = match &by {
        Stance::Group(standing) => Some(standing.clone()),
        Stance::Page(_) => None,
    };
    let command = post::Command::RemovePost { by, author, reason: simulation.chance.text(2, 8) };
    simulation.offline.ask::<Post>(&post::stream(id), &command, &request, simulation.now);
}

/// Somebody's wish about some page.
fn on_page(simulation: &mut Simulation, command: fn(PageStanding) -> fan::Command) {
    let at = simulation.chance.skewed(simulation.talk.pages.len());
    let (Some((page, _)), Some(person)) = (simulation.talk.pages.get(at).copied(), simulation.somebody()) else { return };
    let by = simulation.page_standing(person, page);
    let request = simulation.request(person).within(Some(by.scope()));
    simulation.offline.ask::<Fan>(&fan::stream(page, person), &command(by), &request, simulation.now);
}

fn follow(simulation: &mut Simulation) {
    on_page(simulation, |by| fan::Command::FollowPage { by });
}

fn unfollow(simulation: &mut Simulation) {
    on_page(simulation, |by| fan::Command::UnfollowPage { by });
}

fn block(simulation: &mut Simulation) {
    on_page(simulation, |by| fan::Command::BlockPage { by });
}
