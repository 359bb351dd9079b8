//! Whatever comes first, a command is decided by what its stream says then: two commands that were made at one moment do what the
//! second would do if it had been made after the first.

use crate::consumers::Consumer;
use crate::execute::{ExecuteError, Options, Request};
use crate::reactions::AppointAdmins;
use crate::{Append, Executor, Expected, Memory, Metadata, Position};
use circolo_domain::access::{Origin, Privacy, Role};
use circolo_domain::flow::FollowUp;
use circolo_domain::group::{self, Changes, Departure, Group, Policy};
use circolo_domain::membership::{self, Membership};
use circolo_domain::page::{self, Page, StaffRole};
use circolo_domain::testing::{NOON, person};
use circolo_domain::{
    Body, Decider, GroupId, Issue, Name, PageId, PersonId, QuestionId, Reason, Rejection, Span, StreamName, Title, fan, question,
};
use futures::future::BoxFuture;
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};
use uuid::Uuid;

const GROUP: GroupId = GroupId(Uuid::from_u128(0x10));
const PAGE: PageId = PageId(Uuid::from_u128(0x20));
const ANN: PersonId = person(1);
const BEN: PersonId = person(2);
const CLEO: PersonId = person(3);
const DAN: PersonId = person(4);
const EVE: PersonId = person(5);
const PEOPLE: [PersonId; 5] = [ANN, BEN, CLEO, DAN, EVE];

/// A group of two admins, a moderator and a member, to which Eve is a stranger; a page of two owners and an editor.
struct Scene {
    executor: Executor,
    ids: AtomicU64,
}

impl Scene {
    async fn new(privacy: Privacy, policy: Policy) -> Self {
        let executor = Executor::new(Arc::new(Memory::default()), Arc::new(|| NOON), Options::default());
        let scene = Self { executor, ids: AtomicU64::default() };
        let create = group::Command::CreateGroup {
            name: Name::parse("Alpine Club").unwrap(),
            description: None,
            privacy: Privacy::Public,
            membership: Policy::Open,
        };
        scene.ask(ANN, of_group(create)).await.unwrap();
        for who in [BEN, CLEO, DAN] {
            let join = membership::Command::JoinGroup { by: scene.standing(who).await };
            scene.ask(who, of_member(who, join)).await.unwrap();
        }
        for (who, role) in [(BEN, Role::Admin), (CLEO, Role::Moderator)] {
            scene.ask(ANN, scene.bind(ANN, who).await).await.unwrap();
            scene.ask(ANN, scene.give(ANN, who, role).await).await.unwrap();
        }
        let changes = Changes { privacy: Some(privacy), membership: Some(policy), ..Changes::default() };
        scene.ask(ANN, scene.change(ANN, changes).await).await.unwrap();
        let founding = page::Founding { name: "Forno".to_owned(), owner: ANN };
        scene.ask(ANN, of_page(page::Command::CreatePage { username: "forno".to_owned(), founding })).await.unwrap();
        for (who, role) in [(BEN, StaffRole::Owner), (CLEO, StaffRole::Editor)] {
            scene.ask(ANN, scene.staff(ANN, who, role).await).await.unwrap();
            let by = scene.page_standing(who).await;
            scene.ask(who, of_page(page::Command::AcceptStaffRole { by })).await.unwrap();
        }
        scene
    }

    async fn standing(&self, who: PersonId) -> circolo_domain::access::Standing {
        self.executor.standing(Some(who), GROUP).await.unwrap()
    }

    async fn page_standing(&self, who: PersonId) -> page::PageStanding {
        let page = self.executor.load::<Page>(&page::stream(PAGE)).await.unwrap().state;
        let fan = self.executor.load(&fan::stream(PAGE, who)).await.unwrap().state;
        page::PageStanding::new(Some(who), false, PAGE, page, fan)
    }

    async fn bind(&self, by: PersonId, who: PersonId) -> FollowUp {
        of_member(who, membership::Command::BindMember { by: Some(self.standing(by).await) })
    }

    async fn give(&self, by: PersonId, to: PersonId, role: Role) -> FollowUp {
        of_group(group::Command::GiveRole { by: self.standing(by).await, to: self.standing(to).await, role })
    }

    async fn change(&self, by: PersonId, changes: Changes) -> FollowUp {
        of_group(group::Command::ChangeGroup { by: self.standing(by).await, changes })
    }

    async fn staff(&self, by: PersonId, person: PersonId, role: StaffRole) -> FollowUp {
        of_page(page::Command::GiveStaffRole { by: self.page_standing(by).await, person, role })
    }

    /// What it came to: whether anything changed, or the code of the refusal.
    async fn ask(&self, actor: PersonId, asked: FollowUp) -> Result<bool, String> {
        let id = Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)));
        let request = Request::new(Some(actor), id);
        asked.give(Asking { scene: self, request }).await
    }

    async fn execute<D: Decider>(&self, stream: &StreamName, command: D::Command, request: &Request) -> Result<bool, String> {
        match self.executor.execute::<D>(stream, command, request).await {
            Ok(done) => Ok(done.changed),
            Err(ExecuteError::Rejected(refusal)) => Err(refusal.code().to_owned()),
            Err(error) => panic!("{error}"),
        }
    }

    /// All that is known of group and page.
    async fn state(&self) -> String {
        let group = self.executor.load::<Group>(&group::stream(GROUP)).await.unwrap().state;
        let page = self.executor.load::<Page>(&page::stream(PAGE)).await.unwrap().state;
        let mut people = vec![];
        for who in PEOPLE {
            people.push(self.executor.load::<Membership>(&membership::stream(GROUP, who)).await.unwrap().state);
        }
        format!("{group:?}\n{page:?}\n{people:#?}")
    }

    /// Everything that somebody may ask of one stream, with who asks.
    async fn all(&self) -> Vec<(PersonId, FollowUp)> {
        let mut all = vec![];
        for by in PEOPLE {
            for on in [ANN, BEN, DAN] {
                for role in [Role::Admin, Role::Moderator, Role::Member] {
                    all.push((by, self.give(by, on, role).await));
                }
                let (by_standing, who) = (self.standing(by).await, self.standing(on).await);
                let departure = if by == on { Departure::Left } else { Departure::Removed { reason: None } };
                all.push((by, of_group(group::Command::Depart { by: by_standing, who, departure })));
                let by_page = self.page_standing(by).await;
                all.push((by, of_page(page::Command::WithdrawStaffRole { by: by_page, person: on })));
                all.push((by, self.staff(by, on, StaffRole::Editor).await));
            }
            for privacy in [Privacy::Public, Privacy::Secret] {
                all.push((by, self.change(by, Changes { privacy: Some(privacy), ..Changes::default() }).await));
            }
            for on in [DAN, EVE] {
                all.extend(self.of_membership(by, on).await.into_iter().map(|command| (by, of_member(on, command))));
            }
        }
        all
    }

    async fn of_membership(&self, by: PersonId, on: PersonId) -> Vec<membership::Command> {
        use membership::Command as M;
        let (standing, who) = (self.standing(by).await, self.standing(on).await);
        let own = by == on;
        let reason = || Reason::parse("threw stones").unwrap();
        let mut commands = vec![
            M::InviteMember { by: standing.clone(), who: who.clone(), counted: true },
            M::RevokeInvitation { by: standing.clone() },
            M::ApproveRequest { by: standing.clone() },
            M::RefuseRequest { by: Some(standing.clone()), reason: None },
            M::RemoveMember { by: standing.clone(), who: who.clone(), reason: None },
            M::BanMember { by: standing.clone(), who, reason: reason(), until: None, replace: false },
            M::UnbanMember { by: standing.clone() },
            M::BindMember { by: Some(standing.clone()) },
        ];
        if own {
            commands.extend([
                M::JoinGroup { by: standing.clone() },
                M::AcceptInvitation { by: standing.clone() },
                M::DeclineInvitation { by: standing.clone() },
                M::WithdrawRequest { by: standing.clone() },
                M::LeaveGroup { by: standing },
            ]);
        }
        commands
    }
}

/// Asks a command of any aggregate in a scene.
struct Asking<'a> {
    scene: &'a Scene,
    request: Request,
}

impl<'a> Issue for Asking<'a> {
    type Outcome = BoxFuture<'a, Result<bool, String>>;

    fn issue<D: Decider>(self, stream: &StreamName, command: D::Command) -> Self::Outcome {
        let stream = stream.clone();
        Box::pin(async move { self.scene.execute::<D>(&stream, command, &self.request).await })
    }
}

fn of_group(command: group::Command) -> FollowUp {
    FollowUp::new::<Group>(group::stream(GROUP), command)
}

fn of_member(person: PersonId, command: membership::Command) -> FollowUp {
    FollowUp::new::<Membership>(membership::stream(GROUP, person), command)
}

fn of_page(command: page::Command) -> FollowUp {
    FollowUp::new::<Page>(page::stream(PAGE), command)
}

/// Each pair of commands on one stream, where the second was made before the first was executed.
async fn every_pair_has_an_order(privacy: Privacy, policy: Policy) {
    let known: Vec<_> = Scene::new(privacy, policy).await.all().await.into_iter().map(|(by, asked)| (by, asked.stream)).collect();
    let mut pairs = 0;
    for first in 0..known.len() {
        for second in 0..known.len() {
            // What one person does is in their own order; one pair of eleven, to be quick.
            if known[first].0 == known[second].0 || known[first].1 != known[second].1 || (first * 7 + second * 3) % 11 != 0 {
                continue;
            }
            pairs += 1;
            let scene = Scene::new(privacy, policy).await;
            let mut all = scene.all().await;
            let (second_by, waiting) = all[second].clone();
            let (first_by, before) = all.swap_remove(first);
            let shown = format!("{before:?}\n behind it, {waiting:?}");
            let came_first = scene.ask(first_by, before).await;
            let came_second = scene.ask(second_by, waiting).await;

            let afresh = Scene::new(privacy, policy).await;
            let before = afresh.all().await.swap_remove(first).1;
            assert_eq!(afresh.ask(first_by, before).await, came_first);
            let made_after = afresh.all().await.swap_remove(second).1;
            assert_eq!(afresh.ask(second_by, made_after).await, came_second, "{shown}");
            assert_eq!(afresh.state().await, scene.state().await, "{shown}");
        }
    }
    assert!(pairs > 500, "{pairs}");
}

#[tokio::test]
async fn two_commands_made_at_once_in_an_open_group_have_an_order() {
    every_pair_has_an_order(Privacy::Public, Policy::Open).await;
}

#[tokio::test]
async fn two_commands_made_at_once_in_a_closed_group_have_an_order() {
    every_pair_has_an_order(Privacy::Closed, Policy::Request).await;
}

#[tokio::test]
async fn what_is_written_behind_a_change_of_privacy_belongs_to_the_new_era() {
    let scene = Scene::new(Privacy::Public, Policy::Open).await;
    let by = scene.standing(DAN).await;
    let request = Request::new(Some(DAN), Uuid::from_u128(0x500)).within(by.scope());
    let changes = Changes { privacy: Some(Privacy::Closed), ..Changes::default() };
    scene.ask(ANN, scene.change(ANN, changes).await).await.unwrap();
    let stream = question::stream(QuestionId(request.command_id));
    let post =
        question::Command::PostQuestion { by, title: Title::parse("Which hut?").unwrap(), body: Body::parse("For two nights").unwrap() };
    scene.executor.execute::<question::Question>(&stream, post, &request).await.unwrap();
    let Some(Origin { scope, .. }) = scene.executor.load::<question::Question>(&stream).await.unwrap().origin else { panic!("no origin") };
    assert_eq!((scope.privacy, scope.era), (Privacy::Closed, scene.standing(ANN).await.group().era()));
}

#[tokio::test]
async fn who_was_banned_while_waiting_writes_nothing() {
    let scene = Scene::new(Privacy::Public, Policy::Open).await;
    let by = scene.standing(DAN).await;
    let (ann, dan) = (scene.standing(ANN).await, scene.standing(DAN).await);
    let reason = Reason::parse("threw stones").unwrap();
    let until = Some(NOON.plus(Span::hours(1)));
    let ban = membership::Command::BanMember { by: ann, who: dan, reason, until, replace: false };
    scene.ask(ANN, of_member(DAN, ban)).await.unwrap();
    let request = Request::new(Some(DAN), Uuid::from_u128(0x500)).within(by.scope());
    let post =
        question::Command::PostQuestion { by, title: Title::parse("Which hut?").unwrap(), body: Body::parse("For two nights").unwrap() };
    let stream = question::stream(QuestionId(request.command_id));
    assert_eq!(scene.execute::<question::Question>(&stream, post, &request).await, Err("banned".to_owned()));
    assert!(scene.executor.store().read(&stream, 0, 10).await.unwrap().is_empty());
}

/// As an older version left it behind: the founder gone with their role, and nobody else admin.
#[tokio::test]
async fn a_group_that_has_no_admin_by_history_gets_the_member_of_longest_standing() {
    let scene = Scene::new(Privacy::Closed, Policy::Request).await;
    let left = membership::Event::Left { episode: 1 };
    for who in [ANN, BEN] {
        let stream = membership::stream(GROUP, who);
        let loaded = scene.executor.load::<Membership>(&stream).await.unwrap();
        let metadata = Metadata {
            actor: Some(who),
            command: "LeaveGroup".to_owned(),
            command_id: Uuid::from_u128(0x900 + who.0.as_u128()),
            fingerprint: None,
            correlation: who.0,
            causation: None,
            scope: None,
            concerns: vec![],
        };
        let events = crate::envelope::new_events(&stream, std::slice::from_ref(&left), &metadata, NOON);
        let expected = Expected::of(loaded.revision);
        scene.executor.store().append(Append { stream, expected, events }).await.unwrap();
    }
    let afresh = Scene { executor: Executor::new(scene.executor.store().clone(), Arc::new(|| NOON), Options::default()), ..scene };
    let page = afresh.executor.store().read_all(Position::START, 1_000).await.unwrap();
    for _ in 0..2 {
        for stored in &page.events {
            AppointAdmins::default().consume(&stored.decode().unwrap(), &afresh.executor).await.unwrap();
        }
        // Cleo and Dan came in the same moment: the ids decide.
        assert_eq!(afresh.standing(CLEO).await.role(), Some(Role::Admin));
        let group = afresh.executor.load::<Group>(&group::stream(GROUP)).await.unwrap().state;
        assert_eq!(group.admins().collect::<Vec<_>>(), [(CLEO, 1)]);
    }
}
