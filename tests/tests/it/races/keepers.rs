//! Nothing is ever without somebody who decides, whoever goes at one moment; and who was banned stays out.

use super::orders::{People, group, page, people};
use super::table::{Act, Copy, How};
use crate::given::ban;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Barrier;

/// How often each is tried.
const ROUNDS: usize = 50;
use How::{Plain, Role, To};

/// What those of a group do at one moment, by turns of rounds.
const OF_A_GROUP: &[&[Act]] = &[
    &[
        Act("ann", "give_role", Role("max", "admin")),
        Act("ann", "leave_group", Plain),
        Act("bea", "leave_group", Plain),
        Act("max", "leave_group", Plain),
    ],
    &[Act("ann", "give_role", Role("bea", "member")), Act("bea", "give_role", Role("ann", "member")), Act("ann", "leave_group", Plain)],
    &[Act("ann", "ban_member", To("bea")), Act("bea", "remove_member", To("ann")), Act("bea", "leave_group", Plain)],
    &[
        Act("ann", "remove_member", To("bea")),
        Act("bea", "ban_member", To("ann")),
        Act("ann", "give_role", Role("max", "admin")),
        Act("mona", "ban_member", To("max")),
    ],
    &[
        Act("ann", "leave_group", Plain),
        Act("bea", "leave_group", Plain),
        Act("ann", "give_role", Role("mona", "admin")),
        Act("mona", "leave_group", Plain),
    ],
];

const OF_A_PAGE: &[&[Act]] = &[
    &[Act("ann", "withdraw_staff_role", To("bea")), Act("bea", "withdraw_staff_role", To("ann"))],
    &[Act("ann", "give_staff_role", Role("bea", "editor")), Act("bea", "give_staff_role", Role("ann", "editor"))],
    &[
        Act("ann", "withdraw_staff_role", To("ann")),
        Act("bea", "withdraw_staff_role", To("bea")),
        Act("ann", "give_staff_role", Role("max", "owner")),
    ],
];

/// Sends all of them at one moment.
async fn at_once(people: &People, copy: &Copy, acts: &[Act]) {
    let start = Arc::new(Barrier::new(acts.len()));
    let tasks = acts.iter().map(|act| {
        let (start, copy, actor, act) = (start.clone(), copy.clone(), people[act.0].clone(), *act);
        tokio::spawn(async move {
            start.wait().await;
            copy.send(&actor, act).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn judge(rule: &str, lost: &[String]) {
    println!("{rule}: {} of {ROUNDS} rounds lost", lost.len());
    assert!(lost.is_empty() || super::is_known(rule), "{rule}: {lost:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_group_is_without_an_admin() {
    let world = super::hesitant().await;
    let people = people(&world).await;
    let mut lost = vec![];
    for round in 0..ROUNDS {
        let (copy, acts) = (group(&world, &people).await, OF_A_GROUP[round % OF_A_GROUP.len()]);
        at_once(&people, &copy, acts).await;
        world.settled().await;
        let shown = crate::given::up_to_date(&world, &world.anonymous()).await.get(&copy.fill("{group}/members")).await.expect(200);
        if !crate::given::column(&shown, "role").contains(&json!("admin")) {
            lost.push(format!("{acts:?}: {shown}"));
        }
    }
    judge("a group without an admin", &lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_page_is_without_an_owner() {
    let world = super::hesitant().await;
    let people = people(&world).await;
    let mut lost = vec![];
    for round in 0..ROUNDS {
        let (copy, acts) = (page(&world, &people, round).await, OF_A_PAGE[round % OF_A_PAGE.len()]);
        at_once(&people, &copy, acts).await;
        let page = copy.places["page"].rsplit('/').next().unwrap().parse().unwrap();
        let events = world.store().read(&circolo_domain::page::stream(page), 0, 100).await.unwrap();
        let mut staff = BTreeMap::new();
        for stored in &events {
            let data: Value = serde_json::from_str(&stored.event.data).unwrap();
            match stored.event.event_type.as_str() {
                "page.created.v1" => drop(staff.insert(data["owner"].to_string(), json!("owner"))),
                "page.staff_given.v1" => drop(staff.insert(data["person"].to_string(), data["role"].clone())),
                "page.staff_withdrawn.v1" => drop(staff.remove(&data["person"].to_string())),
                _ => {}
            }
        }
        if !staff.values().any(|role| role == "owner") {
            lost.push(format!("{acts:?}: {staff:?}"));
        }
    }
    judge("a page without an owner", &lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_banned_while_joining_is_banned() {
    let world = super::hesitant().await;
    let people = people(&world).await;
    let (ann, sue) = (&people["ann"], people["sue"].clone());
    let mut lost = vec![];
    for round in 0..ROUNDS {
        let group = group(&world, &people).await.places["group"].clone();
        ann.patch(&group, json!({ "membership": "open" })).await.expect(200);
        let (join, stop) = (format!("{group}/join"), Arc::new(tokio::sync::Notify::new()));
        let (stopped, joining) = (stop.clone(), sue.clone());
        let joins = tokio::spawn(async move {
            let stopped = stopped.notified();
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    biased;
                    () = &mut stopped => return,
                    _ = async { joining.post(&join, ()).await } => {}
                }
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        ban(ann, &group, &sue).await.expect(200);
        stop.notify_one();
        joins.await.unwrap();
        let listed = crate::given::listed(&world, ann, &group, &sue).await;
        if listed != ["banned"] {
            lost.push(format!("{listed:?}"));
        }
    }
    judge("banned while joining", &lost);
}
