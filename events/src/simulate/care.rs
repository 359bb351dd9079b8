//! What people and pages write to each other: messages to the page, its answers, private replies, and order in the inbox; and who
//! comes to a page's staff.

use super::{Simulation, Wish};
use circolo_domain::comment::{self, Comment, Facts};
use circolo_domain::conversation::{self, Command, Conversation};
use circolo_domain::fan::{self, Fan};
use circolo_domain::page::{self, Page, PageStanding, StaffRole};
use circolo_domain::permit::{Claim, CommentedOn, Purpose};
use circolo_domain::post::{self, Post};
use circolo_domain::stance::Voice;
use circolo_domain::{PageId, PersonId};
use std::collections::VecDeque;

/// Conversations that somebody may go on with.
const RECENT: usize = 4_000;

/// Wishes and how often they come.
pub const WISHES: &[(u64, Wish)] =
    &[(90, write_to_page), (60, go_on), (130, answer), (25, reply_in_private), (35, mark_done), (3, mark_spam), (4, reopen), (4, hire)];

/// A conversation: the page, its owner, and the person.
type Talking = (PageId, PersonId, PersonId);

/// Conversations in which somebody wrote not long ago; the newest last.
#[derive(Default)]
pub struct Care {
    recent: VecDeque<Talking>,
}

impl Simulation {
    /// A recent conversation, the newest most.
    fn some_conversation(&mut self) -> Option<Talking> {
        let drawn = self.chance.skewed(self.care.recent.len());
        self.care.recent.len().checked_sub(drawn + 1).and_then(|at| self.care.recent.get(at)).copied()
    }

    fn in_conversation(&mut self, talking: Talking, by: PersonId, command: impl FnOnce(PageStanding) -> Command) -> bool {
        let (page, _, person) = talking;
        let command = command(self.page_standing(by, page));
        let request = self.request(by);
        self.offline.ask::<Conversation>(&conversation::stream(page, person), &command, &request, self.now)
    }

    fn on_page(&mut self, page: PageId, by: PersonId, command: &page::Command) -> bool {
        let request = self.request(by).within(Some(self.page_standing(by, page).scope()));
        self.offline.ask::<Page>(&page::stream(page), command, &request, self.now)
    }

    /// Somebody wrote: the conversation is the newest. The oldest is forgotten, which a page never takes up again.
    fn keep(&mut self, talking: Talking) {
        if self.care.recent.len() == RECENT {
            self.care.recent.pop_front();
        }
        if self.care.recent.iter().rev().take(RECENT / 10).all(|other| *other != talking) {
            self.care.recent.push_back(talking);
        }
    }

    fn write(&mut self, talking: Talking) {
        let Some(text) = self.chance.text(2, 30) else { return };
        if self.in_conversation(talking, talking.2, |by| Command::WriteToPage { by, text }) {
            self.keep(talking);
        }
    }

    fn send(&mut self, talking: Talking, purpose: Purpose, permit: Claim) {
        let (page, owner, person) = talking;
        let Some(text) = self.chance.text(3, 40) else { return };
        let to = Fan::clone(&self.offline.state::<Fan>(&fan::stream(page, person)));
        if self.in_conversation(talking, owner, |by| Command::SendPageMessage { by, to, text, purpose, permit }) {
            self.keep(talking);
        }
    }
}

fn write_to_page(simulation: &mut Simulation) {
    let at = simulation.chance.skewed(simulation.talk.pages.len());
    let (Some((page, owner)), Some(person)) = (simulation.talk.pages.get(at).copied(), simulation.somebody()) else { return };
    simulation.write((page, owner, person));
}

fn go_on(simulation: &mut Simulation) {
    if let Some(talking) = simulation.some_conversation() {
        simulation.write(talking);
    }
}

fn answer(simulation: &mut Simulation) {
    let Some(talking) = simulation.some_conversation() else { return };
    let purpose = if simulation.chance.happens(90) { Purpose::Reply } else { Purpose::Care };
    simulation.send(talking, purpose, Claim::Conversation);
}

/// The page answers a comment under a post of its own.
fn reply_in_private(simulation: &mut Simulation) {
    let Some((post, Some((page, owner)), comment)) = simulation.some_comment() else { return };
    let stream = comment::stream(comment);
    let facts = simulation.offline.state::<Comment>(&stream).facts();
    let (Some(facts), Some(origin)) = (facts, simulation.offline.origin(&stream)) else { return };
    let Voice::Person(person) = facts.voice else { return };
    let gone = simulation.offline.state::<Post>(&post::stream(post)).facts(post).is_none_or(|post| post.removed);
    let facts = Facts { removed: facts.removed || gone, ..facts };
    let permit = Claim::PrivateReply(CommentedOn { id: comment, facts, written: origin.at });
    simulation.send((page, owner, person), Purpose::Reply, permit);
}

fn mark(simulation: &mut Simulation, command: fn(PageStanding) -> Command) {
    if let Some(talking) = simulation.some_conversation() {
        simulation.in_conversation(talking, talking.1, command);
    }
}

fn mark_done(simulation: &mut Simulation) {
    mark(simulation, |by| Command::MarkDone { by });
}

fn mark_spam(simulation: &mut Simulation) {
    mark(simulation, |by| Command::MarkSpam { by });
}

fn reopen(simulation: &mut Simulation) {
    mark(simulation, |by| Command::Reopen { by });
}

/// An owner offers somebody a place on the page's staff, who mostly takes it.
fn hire(simulation: &mut Simulation) {
    let at = simulation.chance.skewed(simulation.talk.pages.len());
    let (Some((page, owner)), Some(person)) = (simulation.talk.pages.get(at).copied(), simulation.somebody()) else { return };
    let role = if simulation.chance.happens(60) { StaffRole::CareAgent } else { StaffRole::Editor };
    let offer = page::Command::GiveStaffRole { by: simulation.page_standing(owner, page), person, role };
    if !simulation.on_page(page, owner, &offer) {
        return;
    }
    let by = simulation.page_standing(person, page);
    let answer = if simulation.chance.happens(80) { page::Command::AcceptStaffRole { by } } else { page::Command::DeclineStaffRole { by } };
    simulation.on_page(page, person, &answer);
}
