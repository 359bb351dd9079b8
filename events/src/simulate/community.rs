//! What people of groups wish: to register, to create and join groups, to ask and answer, and to keep order.

use super::{Simulation, Wish};
use crate::execute::Request;
use circolo_domain::access::{Privacy, Role, Scope, Standing};
use circolo_domain::allowance::{self, Act, Allowance};
use circolo_domain::group::{self, Changes, Departure, Group, History, Policy};
use circolo_domain::membership::{self, Membership};
use circolo_domain::person::{self, Person};
use circolo_domain::question::{self, Question};
use circolo_domain::{AnswerId, Context, Decider, DisplayName, GroupId, Locale, PersonId, QuestionId, Span};
use uuid::Uuid;

/// Recent questions that are answered, per group.
const RECENT: usize = 40;

/// Wishes and how often they come.
pub const WISHES: &[(u64, Wish)] = &[
    (260, join),
    (60, invite),
    (70, answer_invitation),
    (60, decide_request),
    (12, leave),
    (3, remove_or_ban),
    (4, give_role),
    (5, change_group),
    (160, ask),
    (420, answer),
    (50, accept),
    (8, close_or_reopen),
];

const FIRST_NAMES: &[&str] =
    &["Ann", "Bruno", "Carla", "Davide", "Elena", "Fabio", "Giulia", "Hugo", "Irene", "Jonas", "Katrin", "Luca", "Marta", "Nils"];
const LAST_NAMES: &[&str] =
    &["Rossi", "Bianchi", "Weber", "Moser", "Keller", "Greco", "Conti", "Ricci", "Baker", "Miller", "Novak", "Silva"];
const LOCALES: &[&str] = &["it", "en", "de", "fr"];

/// Groups and what is open in them.
#[derive(Default)]
pub struct Community {
    groups: Vec<Room>,
}

/// A group as its people see it.
struct Room {
    id: GroupId,
    founder: PersonId,
    members: Vec<PersonId>,
    invited: Vec<PersonId>,
    requested: Vec<PersonId>,
    questions: Vec<Asked>,
}

/// A question that may still be answered.
struct Asked {
    id: QuestionId,
    author: PersonId,
    answers: Vec<AnswerId>,
}

impl Community {
    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.groups.len()
    }
}

impl Simulation {
    /// A group, the busy ones most.
    pub fn some_group(&mut self) -> Option<usize> {
        let drawn = self.chance.skewed(self.community.groups.len());
        (drawn < self.community.groups.len()).then_some(drawn)
    }

    /// A group with one of its members and their standing, the active ones most.
    pub fn some_member(&mut self) -> Option<(usize, PersonId, Standing)> {
        let room = self.some_group()?;
        let person = self.member_of(room)?;
        Some((room, person, self.standing(person, room)))
    }

    /// A member of a group, the active ones most.
    pub fn member_of(&mut self, room: usize) -> Option<PersonId> {
        let members = &self.community.groups[room].members;
        let drawn = self.chance.skewed(members.len());
        members.get(drawn).copied()
    }

    /// Takes a place in the allowance of `whose`, as it is taken over the API.
    pub fn takes_place(&mut self, person: PersonId, whose: impl Into<Uuid>, act: Act) -> bool {
        let request = self.request(person);
        self.offline.ask::<Allowance>(&allowance::stream(whose), &allowance::Command::TakePlace(act), &request, self.now)
    }

    /// What `person` is to a group.
    pub fn standing(&self, person: PersonId, room: usize) -> Standing {
        self.offline.standing(person, self.community.groups[room].id, self.now)
    }

    /// Wishes something of the membership of `person`, on behalf of `by`.
    fn on_membership(
        &mut self,
        room: usize,
        person: PersonId,
        by: PersonId,
        command: impl FnOnce(Standing) -> membership::Command,
    ) -> bool {
        let standing = self.standing(by, room);
        let request = self.request(by).within(standing.scope());
        let stream = membership::stream(self.community.groups[room].id, person);
        let accepted = self.offline.ask::<Membership>(&stream, &command(standing), &request, self.now);
        self.place(room, person);
        accepted
    }

    fn on_group(&mut self, room: usize, by: PersonId, command: impl FnOnce(Standing) -> group::Command) -> bool {
        let standing = self.standing(by, room);
        let request = self.request(by);
        let stream = group::stream(self.community.groups[room].id);
        self.offline.ask::<Group>(&stream, &command(standing), &request, self.now)
    }

    /// Notes where `person` stands now, so that later wishes make sense.
    fn place(&mut self, room: usize, person: PersonId) {
        let state = self.offline.state::<Membership>(&membership::stream(self.community.groups[room].id, person));
        let room = &mut self.community.groups[room];
        note(&mut room.members, person, state.present().is_some());
        note(&mut room.invited, person, state.invitation().is_some());
        note(&mut room.requested, person, state.requested());
    }
}

fn note(list: &mut Vec<PersonId>, person: PersonId, belongs: bool) {
    match list.iter().position(|other| *other == person) {
        None if belongs => list.push(person),
        Some(at) if !belongs => drop(list.remove(at)),
        _ => {}
    }
}

/// The next person registers.
pub fn register(simulation: &mut Simulation) -> bool {
    let id = (simulation.people)(simulation.registered);
    let chance = &mut simulation.chance;
    let (first, last) = (chance.below(FIRST_NAMES.len()), chance.below(LAST_NAMES.len()));
    let Ok(display_name) = DisplayName::parse(&format!("{} {}", FIRST_NAMES[first], LAST_NAMES[last])) else { return false };
    let locale = chance.pick(LOCALES).and_then(|locale| Locale::parse(locale));
    simulation.registered += 1;
    let request = Request::new(Some(id), simulation.chance.id());
    let command = person::Command::RegisterPerson { display_name, locale };
    simulation.offline.ask::<Person>(&person::stream(id), &command, &request, simulation.now)
}

/// Somebody creates a group.
pub fn create_group(simulation: &mut Simulation) -> bool {
    let Some(founder) = simulation.somebody() else { return false };
    let (privacy, membership) = match simulation.chance.below(10) {
        0..=4 => (Privacy::Public, Policy::Open),
        5 => (Privacy::Public, Policy::Request),
        6..=7 => (Privacy::Closed, Policy::Request),
        8 => (Privacy::Closed, Policy::Open),
        _ => (Privacy::Secret, Policy::InviteOnly),
    };
    let Some(name) = simulation.chance.text(2, 4) else { return false };
    let description = simulation.chance.text(6, 25);
    if !simulation.takes_place(founder, founder, Act::Group) {
        return false;
    }
    let request = simulation.request(founder);
    let id = GroupId(request.command_id);
    let command = group::Command::CreateGroup { name, description, privacy, membership };
    let created = simulation.offline.ask::<Group>(&group::stream(id), &command, &request, simulation.now);
    if created {
        let room = Room { id, founder, members: vec![founder], invited: vec![], requested: vec![], questions: vec![] };
        simulation.community.groups.push(room);
    }
    created
}

fn join(simulation: &mut Simulation) {
    if let (Some(room), Some(person)) = (simulation.some_group(), simulation.somebody()) {
        simulation.on_membership(room, person, person, |by| membership::Command::JoinGroup { by });
    }
}

fn invite(simulation: &mut Simulation) {
    let Some((room, mut inviter, standing)) = simulation.some_member() else { return };
    if standing.group().privacy() == Privacy::Secret {
        inviter = simulation.community.groups[room].founder;
    }
    if let Some(person) = simulation.somebody() {
        let (by, who) = (simulation.standing(inviter, room), simulation.standing(person, room));
        let stream = membership::stream(simulation.community.groups[room].id, person);
        let context = Context { stream: &stream, now: simulation.now, actor: Some(inviter), command_id: Uuid::nil() };
        let uncounted = membership::Command::InviteMember { by, who: who.clone(), counted: false };
        let decided = who.membership().decide(&uncounted, &context);
        let counted = decided == Err(membership::Error::NotCounted) && simulation.takes_place(inviter, inviter, Act::Invitation);
        simulation.on_membership(room, person, inviter, |by| membership::Command::InviteMember { by, who, counted });
    }
}

fn answer_invitation(simulation: &mut Simulation) {
    let Some(room) = simulation.some_group() else { return };
    let Some(person) = simulation.chance.pick(&simulation.community.groups[room].invited).copied() else { return };
    if simulation.chance.happens(75) {
        simulation.on_membership(room, person, person, |by| membership::Command::AcceptInvitation { by });
    } else {
        simulation.on_membership(room, person, person, |by| membership::Command::DeclineInvitation { by });
    }
}

fn decide_request(simulation: &mut Simulation) {
    let Some(room) = simulation.some_group() else { return };
    let Some(person) = simulation.chance.pick(&simulation.community.groups[room].requested).copied() else { return };
    let founder = simulation.community.groups[room].founder;
    if simulation.chance.happens(85) {
        simulation.on_membership(room, person, founder, |by| membership::Command::ApproveRequest { by });
    } else {
        let reason = simulation.chance.text(3, 12);
        simulation.on_membership(room, person, founder, |by| membership::Command::RefuseRequest { by: Some(by), reason });
    }
}

/// Those who hold or held a role depart by way of the group's stream, as over the API.
fn leave(simulation: &mut Simulation) {
    let Some((room, person, standing)) = simulation.some_member() else { return };
    if standing.group().holds_role(person) || standing.membership().is_bound() {
        let who = standing.clone();
        simulation.on_group(room, person, |by| group::Command::Depart { by, who, departure: Departure::Left });
        simulation.place(room, person);
    } else {
        simulation.on_membership(room, person, person, |by| membership::Command::LeaveGroup { by });
    }
}

fn remove_or_ban(simulation: &mut Simulation) {
    let Some((room, person, who)) = simulation.some_member() else { return };
    let founder = simulation.community.groups[room].founder;
    let Some(reason) = simulation.chance.text(3, 12) else { return };
    if simulation.chance.happens(60) {
        simulation.on_membership(room, person, founder, |by| membership::Command::RemoveMember { by, who, reason: Some(reason) });
    } else {
        // Some for good; without a draw, so that histories stay what they were otherwise.
        let until = (person.0.as_u128() % 3 != 0).then(|| simulation.now.plus(Span::days(3)));
        let command = |by| membership::Command::BanMember { by, who, reason, until, replace: false };
        simulation.on_membership(room, person, founder, command);
    }
}

fn give_role(simulation: &mut Simulation) {
    let Some((room, person, _)) = simulation.some_member() else { return };
    let founder = simulation.community.groups[room].founder;
    simulation.on_membership(room, person, founder, |by| membership::Command::BindMember { by: Some(by) });
    let to = simulation.standing(person, room);
    let role = if simulation.chance.happens(80) { Role::Moderator } else { Role::Admin };
    simulation.on_group(room, founder, |by| group::Command::GiveRole { by, to, role });
}

fn change_group(simulation: &mut Simulation) {
    let Some(room) = simulation.some_group() else { return };
    let founder = simulation.community.groups[room].founder;
    let changes = match simulation.chance.below(10) {
        0..=3 => Changes { description: Some(simulation.chance.text(6, 25)), ..Changes::default() },
        4..=6 => Changes { name: simulation.chance.text(2, 4), ..Changes::default() },
        7 => Changes { members_invite: Some(simulation.chance.happens(50)), ..Changes::default() },
        8 => Changes { history: simulation.chance.pick(&[History::All, History::SinceJoining]).copied(), ..Changes::default() },
        _ => Changes { privacy: simulation.chance.pick(&[Privacy::Public, Privacy::Closed]).copied(), ..Changes::default() },
    };
    simulation.on_group(room, founder, |by| group::Command::ChangeGroup { by, changes });
}

fn ask(simulation: &mut Simulation) {
    let Some((room, author, by)) = simulation.some_member() else { return };
    let (Some(title), Some(body)) = (simulation.chance.text(3, 9), simulation.chance.body()) else { return };
    let request = simulation.request(author).within(by.scope());
    let id = QuestionId(request.command_id);
    let command = question::Command::PostQuestion { by, title, body };
    if simulation.offline.ask::<Question>(&question::stream(id), &command, &request, simulation.now) {
        let questions = &mut simulation.community.groups[room].questions;
        if questions.len() == RECENT {
            let old = questions.remove(0);
            simulation.offline.forget(&question::stream(old.id));
        }
        questions.push(Asked { id, author, answers: vec![] });
    }
}

/// A question of a group with somebody's standing towards it.
fn some_question(simulation: &mut Simulation, by: Option<PersonId>) -> Option<(usize, usize, PersonId, Standing)> {
    let (room, member, _) = simulation.some_member()?;
    let questions = &simulation.community.groups[room].questions;
    // The newest get most of the attention.
    let drawn = simulation.chance.skewed(questions.len());
    let at = questions.len().checked_sub(drawn + 1)?;
    let question = &questions[at];
    let person = by.unwrap_or(member);
    let origin = simulation.offline.origin(&question::stream(question.id))?;
    Some((room, at, person, simulation.standing(person, room).towards(origin)))
}

fn on_question(
    simulation: &mut Simulation,
    room: usize,
    at: usize,
    person: PersonId,
    command: &question::Command,
    scope: Option<Scope>,
) -> Option<Request> {
    let request = simulation.request(person).within(scope);
    let stream = question::stream(simulation.community.groups[room].questions[at].id);
    simulation.offline.ask::<Question>(&stream, command, &request, simulation.now).then_some(request)
}

fn answer(simulation: &mut Simulation) {
    let Some((room, at, person, by)) = some_question(simulation, None) else { return };
    let Some(body) = simulation.chance.comment() else { return };
    let scope = by.scope();
    let command = question::Command::PostAnswer { by, body };
    if let Some(request) = on_question(simulation, room, at, person, &command, scope) {
        simulation.community.groups[room].questions[at].answers.push(AnswerId(request.command_id));
    }
}

/// The asker's standing towards one of their questions.
fn as_asker(simulation: &mut Simulation) -> Option<(usize, usize, PersonId, Standing)> {
    let (room, at, ..) = some_question(simulation, None)?;
    let question = &simulation.community.groups[room].questions[at];
    let (author, origin) = (question.author, simulation.offline.origin(&question::stream(question.id))?);
    Some((room, at, author, simulation.standing(author, room).towards(origin)))
}

fn accept(simulation: &mut Simulation) {
    let Some((room, at, author, by)) = as_asker(simulation) else { return };
    let Some(answer) = simulation.chance.pick(&simulation.community.groups[room].questions[at].answers).copied() else { return };
    let scope = by.scope();
    on_question(simulation, room, at, author, &question::Command::AcceptAnswer { by, answer }, scope);
}

fn close_or_reopen(simulation: &mut Simulation) {
    let Some((room, at, author, by)) = as_asker(simulation) else { return };
    let scope = by.scope();
    let command =
        if simulation.chance.happens(70) { question::Command::CloseQuestion { by } } else { question::Command::ReopenQuestion { by } };
    on_question(simulation, room, at, author, &command, scope);
}
