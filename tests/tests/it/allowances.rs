//! Bounds per person and day: as many as there are places, whatever happens at one moment and on whatever node.

use crate::given::{admit, found, invite};
use circolo_domain::{
    PersonId, Span, Timestamp,
    allowance::{self, Act, Allowance, Command},
    testing::NOON,
};
use circolo_events::{EventStore, ExecuteError, Executor, Memory, Options, execute::Request};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

stories!(
    a_person_invites_so_often_over_all_groups,
    a_page_takes_so_many_names,
    a_person_founds_so_many_groups_and_pages,
    a_repeat_takes_no_second_place,
);

fn is_refused(reply: Reply, code: &str, until: Timestamp) {
    let refused = reply.expect_problem(429, code);
    assert_eq!(refused.json()["details"], json!({ "until": until }));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
}

/// How many events of this type there are in the log.
async fn count(world: &World, event_type: &str) -> usize {
    crate::backend::whole(&**world.store(), 1_000).await.iter().filter(|stored| stored.event.event_type == event_type).count()
}

async fn a_person_invites_so_often_over_all_groups(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let mut groups = vec![];
    for _ in 0..4 {
        groups.push(found(&ann, "closed", "request").await);
    }
    admit(&ann, &groups[0], &bea).await;
    world.clock().advance(Span::hours(1));
    let mut people = vec![];
    for n in 0..120 {
        people.push(world.person(&format!("P{n}")).await);
    }
    // All at one moment: with the first, an hour ago, there is room for 99.
    let invited = join_all(people.iter().zip(groups.iter().cycle()).map(|(person, group)| invite(&ann, group, person))).await;
    let (done, refused): (Vec<_>, Vec<_>) = invited.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((done.len(), refused.len()), (99, 21));
    assert_eq!(count(&world, "membership.invited.v1").await, 100, "nobody is invited without a place");
    for reply in refused {
        is_refused(reply, "too_many_invitations", NOON.plus(Span::hours(24)));
    }
    // What invites nobody needs no place, and rights come first.
    invite(&ann, &groups[0], &bea).await.expect_problem(409, "already_member");
    let first = &people[0];
    invite(&ann, &groups[0], first).await.expect(200).expect_json(json!({ "status": "invited" }));
    invite(first, &groups[0], &people[119]).await.expect_problem(403, "members_only");
    let asked = world.person("Asked").await;
    asked.post(&format!("{}/join", groups[1]), ()).await.expect(200);
    invite(&ann, &groups[1], &asked).await.expect(200).expect_json(json!({ "status": "member" }));
    // Others have places of their own.
    invite(&bea, &groups[0], &people[119]).await.expect(200);
    world.clock().advance(Span::hours(23));
    invite(&ann, &groups[3], &people[118]).await.expect(200);
    is_refused(invite(&ann, &groups[3], &people[117]).await, "too_many_invitations", NOON.plus(Span::hours(25)));
}

async fn named(owner: &Actor, page: &str, username: &str) -> Reply {
    owner.patch(page, json!({ "username": username })).await
}

async fn a_page_takes_so_many_names(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let open = async |who: &Actor, username: &str| who.post("/v1/pages", json!({ "name": "Forno", "username": username })).await;
    let page = open(&ann, "forno.vecchio").await.expect(201).location().to_owned();
    open(&bea, "taken.name").await.expect(201);
    let names: Vec<String> = (0..12).map(|n| format!("forno.{n:03}")).collect();
    let changed = join_all(names.iter().map(|name| named(&ann, &page, name))).await;
    let (done, refused): (Vec<_>, Vec<_>) = changed.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((done.len(), refused.len()), (5, 7));
    for reply in refused {
        is_refused(reply, "too_many_username_changes", NOON.plus(Span::hours(24)));
    }
    // Two pages were founded with a name each, and five more are taken for good.
    assert_eq!(count(&world, "username.claimed.v1").await, 2 + 5);
    named(&ann, &page, "taken.name").await.expect_problem(409, "username_taken");
    named(&bea, &page, "forno.other").await.expect_problem(403, "owners_only");
    ann.patch(&page, json!({ "name": "Forno Nuovo" })).await.expect(200);
    world.clock().advance(Span::hours(24));
    named(&ann, &page, "forno.other").await.expect(200);
}

async fn a_person_founds_so_many_groups_and_pages(world: World) {
    let ann = world.person("Ann").await;
    let until = NOON.plus(Span::hours(24));
    let group = |privacy: &str| json!({ "name": "Alpine Club", "privacy": privacy, "membership": "open" });
    let page = |n: usize| json!({ "name": "Forno", "username": format!("forno.{n:03}") });
    for _ in 0..Act::Group.most() - 1 {
        ann.post("/v1/groups", group("public")).await.expect(201);
    }
    // What is refused anyway takes no place: there is one left.
    ann.post("/v1/groups", group("secret")).await.expect_problem(422, "secret_is_invite_only");
    ann.post("/v1/groups", group("public")).await.expect(201);
    is_refused(ann.post("/v1/groups", group("public")).await, "too_many_groups", until);
    for n in 0..Act::Page.most() - 1 {
        ann.post("/v1/pages", page(n)).await.expect(201);
    }
    ann.post("/v1/pages", page(0)).await.expect_problem(409, "username_taken");
    ann.post("/v1/pages", page(100)).await.expect(201);
    is_refused(ann.post("/v1/pages", page(101)).await, "too_many_pages", until);
    ann.post("/v1/pages", page(0)).await.expect_problem(409, "username_taken");
    world.clock().advance(Span::hours(24));
    ann.post("/v1/groups", group("public")).await.expect(201);
    ann.post("/v1/pages", page(101)).await.expect(201);
}

async fn a_repeat_takes_no_second_place(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let body = json!({ "name": "Alpine Club", "privacy": "closed", "membership": "request" });
    let keyed = ann.with("idempotency-key", "once");
    let group = keyed.post("/v1/groups", body.clone()).await.expect(201).location().to_owned();
    invite(&keyed, &group, &bea).await.expect(200);
    bea.post(&format!("{group}/invitations/{}/decline", bea.id()), ()).await.expect(200);
    for _ in 0..3 {
        assert_eq!(keyed.post("/v1/groups", body.clone()).await.expect(201).location(), group);
        // The first outcome again, not a second invitation, though the first was declined.
        invite(&keyed, &group, &bea).await.expect(200);
    }
    let another = json!({ "name": "Another", "privacy": "closed", "membership": "request" });
    keyed.post("/v1/groups", another).await.expect_problem(409, "key_reused");
    assert_eq!(count(&world, "allowance.place_taken.v1").await, 2);
    // Nor is a repeat refused when there is no place left.
    for _ in 1..Act::Group.most() {
        ann.post("/v1/groups", body.clone()).await.expect(201);
    }
    ann.post("/v1/groups", body.clone()).await.expect_problem(429, "too_many_groups");
    assert_eq!(keyed.post("/v1/groups", body).await.expect(201).location(), group);
}

/// Two nodes on one log, and a third that starts when they are done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_across_nodes_and_restarts() {
    let log: Arc<dyn EventStore> = Arc::new(Memory::default());
    let (ann, most) = (PersonId(Uuid::from_u128(1)), Act::Invitation.most());
    let node = || Executor::new(log.clone(), Arc::new(|| NOON), Options::default());
    let stream = allowance::stream(ann);
    let take = async |node: &Executor, id: usize| {
        let request = Request::new(Some(ann), Uuid::from_u128(id as u128));
        node.execute::<Allowance>(&stream, Command::TakePlace(Act::Invitation), &request).await
    };
    let nodes = [node(), node()];
    let mut taken = 0;
    let outcomes = join_all((0..2 * most).map(|n| take(&nodes[n % 2], n))).await;
    for outcome in outcomes {
        match outcome {
            Ok(_) => taken += 1,
            Err(ExecuteError::Rejected(allowance::Error::TooMany { .. }) | ExecuteError::Contended) => {}
            Err(other) => panic!("{other}"),
        }
    }
    // Who was only too many at one moment asks again.
    let mut id = 2 * most;
    while let Ok(_) | Err(ExecuteError::Contended) = take(&nodes[id % 2], id).await.inspect(|_| taken += 1) {
        id += 1;
    }
    assert_eq!(taken, most);
    assert_eq!(log.read(&stream, 0, 10 * most).await.unwrap().len(), most);
    let refused = take(&node(), id + 1).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Rejected(allowance::Error::TooMany { .. })), "{refused}");
}
