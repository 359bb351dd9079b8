//! Stories of people who act at the same moment: one wins where one may win, and nothing is lost or counted twice.

use crate::given::{admit, ask, found, invite, listed, offer, promote, up_to_date, write};
use circolo_tests::{
    actor::{Actor, Reply},
    world::World,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Barrier;

/// Like `stories!`, on several threads.
macro_rules! stories_on_threads {
    ($($story:ident),* $(,)?) => {$(
        mod $story {
            use circolo_tests::world::{Backend, World};
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_memory() {
                super::$story(World::start(Backend::Memory).await.unwrap()).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_sqlite() {
                super::$story(World::start(Backend::Sqlite).await.unwrap()).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_postgres() {
                if let Some(world) = World::start(Backend::Postgres).await {
                    super::$story(world).await;
                }
            }
            #[cfg(feature = "kurrentdb")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_kurrent() {
                super::$story(World::start(Backend::Kurrent).await.unwrap()).await;
            }
        }
    )*};
}

stories_on_threads!(
    two_moderators_decide_at_once,
    two_last_admins_leave_at_once,
    an_admin_appoints_and_leaves_while_the_other_leaves,
    two_admins_demote_each_other_at_once,
    two_owners_take_each_other_off_at_once,
    who_is_banned_while_joining_ends_as_banned,
    one_key_claims_sixty_usernames_at_once,
    a_hundred_come_in_at_once,
    one_key_is_sent_a_hundred_times_at_once,
    a_hundred_answer_at_once,
    what_is_sold_twice_at_once_is_sold_once,
    of_racing_reactions_one_stands,
);

/// A POST: who, where, what.
type Post = (Actor, String, Value);

/// Sends all of them at the same moment, each in a task of its own; the answers in the same order.
async fn at_once(posts: Vec<Post>) -> Vec<Reply> {
    let start = Arc::new(Barrier::new(posts.len()));
    let send = |(actor, path, body): Post| {
        let start = start.clone();
        tokio::spawn(async move {
            start.wait().await;
            if body.is_null() { actor.post(&path, ()).await } else { actor.post(&path, body).await }
        })
    };
    let mut replies = Vec::new();
    for task in posts.into_iter().map(send).collect::<Vec<_>>() {
        replies.push(task.await.unwrap());
    }
    replies
}

async fn two_moderators_decide_at_once(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    promote(&ann, &group, &bea, "moderator").await;
    for round in 0..50 {
        let guest = world.person(&format!("Guest {round}")).await;
        guest.post(&format!("{group}/join"), ()).await.expect(200);
        // Both for, both against, or one of each.
        let decisions = match round % 4 {
            0 => ["approve", "approve"],
            1 => ["refuse", "refuse"],
            2 => ["approve", "refuse"],
            _ => ["refuse", "approve"],
        };
        let post = |actor: &Actor, decision| (actor.clone(), format!("{group}/requests/{}/{decision}", guest.id()), Value::Null);
        let replies = at_once(vec![post(&ann, decisions[0]), post(&bea, decisions[1])]).await;
        let winner = replies.iter().position(|reply| reply.status == 200).unwrap_or_else(|| panic!("nobody won: {replies:?}"));
        let approved = decisions[winner] == "approve";
        let outcome = if approved { "approved" } else { "refused" };
        let loser = replies[1 - winner].clone().expect_problem(409, "already_decided");
        assert_eq!(loser.json()["details"], json!({ "outcome": outcome }));
        assert_eq!(listed(&world, &ann, &group, &guest).await, if approved { vec!["member"] } else { vec![] });
    }
}

async fn two_last_admins_leave_at_once(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    for _ in 0..20 {
        let group = found(&ann, "public", "open").await;
        admit(&ann, &group, &bea).await;
        promote(&ann, &group, &bea, "admin").await;
        let leave = |actor: &Actor| (actor.clone(), format!("{group}/leave"), Value::Null);
        let replies = at_once(vec![leave(&ann), leave(&bea)]).await;
        let winner = replies.iter().position(|reply| reply.status == 200).unwrap_or_else(|| panic!("nobody left: {replies:?}"));
        replies[1 - winner].clone().expect_problem(409, "last_admin");
        let stays = if winner == 0 { &bea } else { &ann };
        let shown = up_to_date(&world, stays).await.get(&group).await.expect(200);
        shown.expect_json(json!({ "members": 1, "status": "member", "role": "admin" }));
    }
}

/// Those who are admins of `group` now, by the list of its members.
async fn admins(world: &World, reader: &Actor, group: &str) -> Vec<Value> {
    let members = up_to_date(world, reader).await.get(&format!("{group}/members")).await.expect(200).items();
    members.into_iter().filter(|member| member["role"] == "admin").map(|member| member["person_id"].clone()).collect()
}

async fn an_admin_appoints_and_leaves_while_the_other_leaves(world: World) {
    let (ann, bea, guest) = (world.person("Ann").await, world.person("Bea").await, world.person("Guest").await);
    for round in 0..50 {
        let group = found(&ann, "public", "open").await;
        for person in [&bea, &guest] {
            person.post(&format!("{group}/join"), ()).await.expect(200);
        }
        let leave = |who: &Actor| (who.clone(), format!("{group}/leave"), Value::Null);
        let appoint = ann.clone();
        let role = format!("{group}/members/{}/role", bea.id());
        let appointed = tokio::spawn(async move {
            drop(appoint.put(&role, json!({ "role": "admin" })).await);
            appoint
        });
        if round % 2 == 0 {
            // In the order of the story: appointed, then both go.
            drop(appointed.await.unwrap());
            at_once(vec![leave(&ann), leave(&bea)]).await;
        } else {
            at_once(vec![leave(&bea), leave(&ann)]).await;
            let ann = appointed.await.unwrap();
            drop(ann.post(&format!("{group}/leave"), ()).await);
        }
        assert!(!admins(&world, &guest, &group).await.is_empty(), "round {round}: nobody is admin");
    }
}

async fn two_admins_demote_each_other_at_once(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    for round in 0..20 {
        let group = found(&ann, "public", "open").await;
        bea.post(&format!("{group}/join"), ()).await.expect(200);
        promote(&ann, &group, &bea, "admin").await;
        let demote = |by: &Actor, whom: &Actor| {
            let (by, role) = (by.clone(), format!("{group}/members/{}/role", whom.id()));
            tokio::spawn(async move { by.put(&role, json!({ "role": "member" })).await })
        };
        let (one, other) = (demote(&ann, &bea), demote(&bea, &ann));
        let mut statuses = [one.await.unwrap().status, other.await.unwrap().status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "round {round}");
        assert_eq!(admins(&world, &ann, &group).await.len(), 1);
    }
}

async fn two_owners_take_each_other_off_at_once(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    for round in 0..15 {
        let page = crate::care::pages::open_page(&ann, &format!("forno.{round}")).await;
        crate::care::pages::hire(&ann, &page, &bea, "owner").await.expect(200);
        let off = |by: &Actor, whom: &Actor| {
            let (by, path) = (by.clone(), format!("{page}/staff/{}", whom.id()));
            tokio::spawn(async move { by.delete(&path).await })
        };
        let (one, other) = (off(&ann, &bea), off(&bea, &ann));
        let mut statuses = [one.await.unwrap().status, other.await.unwrap().status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "round {round}");
    }
}

async fn who_is_banned_while_joining_ends_as_banned(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    for round in 0..15 {
        let group = found(&ann, "public", "open").await;
        let joiner = (bea.clone(), format!("{group}/join"));
        let joining = tokio::spawn(async move {
            let (bea, join) = joiner;
            while bea.post(&join, ()).await.status == 200 {}
        });
        tokio::task::yield_now().await;
        let banned = crate::given::ban(&ann, &group, &bea).await.expect(200);
        banned.expect_json(json!({ "status": "banned" }));
        joining.await.unwrap();
        up_to_date(&world, &bea).await.get(&group).await.expect(200).expect_json(json!({ "status": "banned" }));
        assert_eq!(listed(&world, &ann, &group, &bea).await, ["banned"], "round {round}");
    }
}

async fn one_key_claims_sixty_usernames_at_once(world: World) {
    let ann = world.person("Ann").await;
    let keyed = ann.with("idempotency-key", "my-page");
    let claim = |n: usize| (keyed.clone(), "/v1/pages".to_owned(), json!({ "name": "Forno", "username": format!("forno{n}") }));
    let replies = at_once((0..60).map(claim).collect()).await;
    let (made, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!(made.len(), 1, "{replies:#?}");
    for reply in refused {
        assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (409, Some("key_reused")), "{reply}");
    }
    world.settled().await;
    assert_eq!(ann.get("/v1/pages").await.expect(200).items().len(), 1);
}

async fn a_hundred_come_in_at_once(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "closed", "open").await;
    let mut posts = Vec::new();
    for number in 0..100 {
        let person = world.person(&format!("Person {number}")).await;
        let path = if number % 2 == 0 {
            invite(&ann, &group, &person).await.expect(200);
            format!("{group}/invitations/{}/accept", person.id())
        } else {
            format!("{group}/join")
        };
        // Some are in a hurry and press twice.
        if number % 10 < 2 {
            posts.push((person.clone(), path.clone(), Value::Null));
        }
        posts.push((person, path, Value::Null));
    }
    let before = events(&world).await;
    for reply in at_once(posts).await {
        reply.expect(200).expect_json(json!({ "status": "member" }));
    }
    assert_eq!(events(&world).await - before, 100);
    let ann = up_to_date(&world, &ann).await;
    ann.get(&group).await.expect(200).expect_json(json!({ "members": 101 }));
    let listed = ann.get(&format!("{group}/members?limit=100")).await.expect(200);
    assert_eq!((listed.items().len(), listed.json()["next"].is_string()), (100, true));
}

async fn one_key_is_sent_a_hundred_times_at_once(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "open").await;
    let question = ask(&ann, &group, "How often?").await;
    let alps = json!({ "name": "Alps", "privacy": "public", "membership": "open" });
    for (actor, path, body, appended) in [
        (&ann, format!("{group}/questions"), json!({ "title": "Again?", "body": "?" }), 1),
        (&ann, format!("{question}/answers"), json!({ "body": "Once" }), 1),
        (&bea, format!("{group}/join"), Value::Null, 1),
        (&bea, format!("{group}/leave"), Value::Null, 1),
        // The place that it takes, the group, and its founder's membership.
        (&bea, "/v1/groups".to_owned(), alps, 3),
    ] {
        let before = events(&world).await;
        let replies = at_once(vec![(actor.with("idempotency-key", "k"), path.clone(), body); 100]).await;
        let first = replies[0].clone();
        assert!(first.status.is_success(), "{first}");
        for reply in replies {
            assert_eq!((reply.status, &reply.bytes), (first.status, &first.bytes), "{reply} after {first}");
        }
        assert_eq!(events(&world).await - before, appended, "{path}");
    }
}

async fn a_hundred_answer_at_once(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let question = ask(&ann, &group, "Who knows?").await;
    let post = |number: i32| (ann.clone(), format!("{question}/answers"), json!({ "body": number.to_string() }));
    let replies = at_once((0..100).map(post).collect()).await;
    let bodies: Vec<Value> = replies.into_iter().map(|reply| reply.expect(201).json()).collect();
    let distinct = |field: &str| bodies.iter().map(|body| body[field].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!((distinct("id"), distinct("position"), distinct("revision")), (100, 100, 100));
    let shown = up_to_date(&world, &ann).await.get(&format!("{question}?limit=100")).await.expect(200);
    let shown = shown.expect_json(json!({ "answer_count": 100, "revision": 100 }));
    assert_eq!(shown.json()["answers"]["items"].as_array().map(Vec::len), Some(100));
}

/// How many events the log holds.
async fn events(world: &World) -> usize {
    crate::backend::whole(&**world.store(), 1_000).await.len()
}

async fn what_is_sold_twice_at_once_is_sold_once(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    for round in 0..50 {
        let listing = offer(&ann, &group, &format!("Skis {round}"), 80).await;
        let sale = |buyer: &Actor| (ann.clone(), format!("{listing}/sold"), json!({ "to": buyer.id() }));
        let replies = at_once(vec![sale(&bea), sale(&cleo)]).await;
        let winner = replies.iter().position(|reply| reply.status == 200).unwrap_or_else(|| panic!("nobody won: {replies:?}"));
        let buyer = [&bea, &cleo][winner].id();
        let refusal = replies[1 - winner].clone().expect_problem(409, "already_sold");
        assert_eq!(refusal.json()["details"]["sold_to"], json!(buyer), "{refusal}");
        let reader = up_to_date(&world, &ann).await;
        reader.get(&listing).await.expect(200).expect_json(json!({ "status": "sold", "revision": 1 }));
        let history = reader.get(&format!("{listing}/history")).await.expect(200).items();
        assert_eq!((history.len(), &history[0]["sold_to"]), (1, &json!(buyer)));
    }
}

async fn of_racing_reactions_one_stands(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let kinds = ["like", "love", "care", "laugh", "wow", "sad"];
    for round in 0..50 {
        let post = write(&ann, &group, "Fresh bread").await;
        let start = Arc::new(Barrier::new(kinds.len()));
        let react = |kind: &'static str| {
            let (ann, path, start) = (ann.clone(), format!("{post}/reaction"), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                ann.put(&path, json!({ "kind": kind })).await.expect(200)
            })
        };
        for task in kinds.map(react) {
            task.await.unwrap();
        }
        let view = up_to_date(&world, &ann).await.get(&post).await.expect(200).json();
        let mine = view["my_reaction"].as_str().unwrap();
        for kind in kinds {
            assert_eq!(view["reactions"][kind], json!(i64::from(kind == mine)), "round {round}: {view}");
        }
    }
}
