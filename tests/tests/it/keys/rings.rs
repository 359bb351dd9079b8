//! Keys in use: made once, told apart when they are gone, bounded in memory.

use super::{LONG, Place, installation, now, on_each_store, owner, people, row, wrapping};
use circolo_domain::Timestamp;
use circolo_events::sealing::{Current, Found, Keyring, KeyringError, Owner, Random, Secret, Versions, keyring::Options, store::Row};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

on_each_store! {
    keys_are_made_where_they_are_missing_and_stay,
    a_hundred_first_commands_on_two_nodes_make_one_key,
    a_destroyed_key_is_told_from_one_that_never_was,
    what_is_remembered_is_bounded,
    what_is_remembered_is_believed_for_a_while,
    keys_of_pages_and_audits_get_a_new_version_each_year,
    a_new_generation_is_read_when_it_is_met,
    another_installation_key_is_refused_by_name,
    a_broken_key_costs_nothing_but_what_it_sealed,
}

/// Version and bytes of a key.
fn key(found: &Found) -> (u32, Secret) {
    let Found::Key(key) = found else { panic!("{found:?}") };
    (key.version, key.secret.clone())
}

fn keys(current: &Current, owners: &[Owner]) -> Vec<(u32, Secret)> {
    owners.iter().map(|owner| key(&current[owner])).collect()
}

async fn one(ring: &Keyring, owner: &Owner) -> Found {
    ring.current([owner.clone()]).await.unwrap().remove(owner).unwrap()
}

async fn keys_are_made_where_they_are_missing_and_stay(place: &Place) {
    let (ring, owners) = (place.ring(LONG).await, people(300));
    let first = keys(&ring.current(owners[..100].iter().cloned()).await.unwrap(), &owners[..100]);
    let all = keys(&ring.current(owners.iter().cloned()).await.unwrap(), &owners);
    assert_eq!(all[..100], first);
    assert!(all.iter().enumerate().all(|(index, one)| one.0 == 1 && !all[..index].contains(one)), "each has its own");
    drop(ring);
    let again = place.ring(LONG).await;
    assert_eq!(keys(&again.current(owners.iter().cloned()).await.unwrap(), &owners), all);
    let opened = again.versions(owners.iter().map(|owner| (owner.clone(), 1))).await.unwrap();
    assert!(owners.iter().zip(&all).all(|(owner, one)| key(&opened[&(owner.clone(), 1)]) == *one));
}

async fn a_hundred_first_commands_on_two_nodes_make_one_key(place: &Place) {
    let rings = [Arc::new(place.ring(LONG).await), Arc::new(place.ring(LONG).await)];
    let (ann, others) = (owner("person-ann"), people(10));
    let commands = (0..100).map(|number| {
        let (ring, owners) = (rings[number % 2].clone(), [ann.clone(), others[number % 10].clone()]);
        tokio::spawn(async move { keys(&ring.current(owners.clone()).await.unwrap(), &owners) })
    });
    let made: Vec<Vec<(u32, Secret)>> = join_all(commands).await.into_iter().map(Result::unwrap).collect();
    assert!(made.iter().enumerate().all(|(number, keys)| keys[0] == made[0][0] && keys[1] == made[number % 10][1]));
    assert_eq!(super::all(&*place.store().await, 100).await.len(), 11);
}

async fn a_destroyed_key_is_told_from_one_that_never_was(place: &Place) {
    let (ring, other) = (place.ring(LONG).await, place.ring(LONG).await);
    let [ann, bob, zoe] = ["person-ann", "person-bob", "person-zoe"].map(owner);
    ring.current([ann.clone(), bob.clone()]).await.unwrap();
    assert!(ring.destroy(ann.clone()).await.unwrap());
    for ring in [&ring, &other] {
        let asked = [(ann.clone(), 1), (bob.clone(), 1), (bob.clone(), 2), (zoe.clone(), 1)];
        let found: Versions = ring.versions(asked.clone()).await.unwrap();
        let [was, is, comes, never] = asked.map(|asked| found[&asked].clone());
        assert!(matches!((was, is, comes, never), (Found::Destroyed, Found::Key(_), Found::Unknown, Found::Unknown)));
        assert!(matches!(one(ring, &ann).await, Found::Destroyed), "it is not made again");
    }
}

async fn what_is_remembered_is_bounded(place: &Place) {
    let (ring, owners) = (place.ring_at(LONG, now(), 50).await, people(2_000));
    let made = keys(&ring.current(owners.iter().cloned()).await.unwrap(), &owners);
    assert!(ring.remembered() <= 100, "{ring:?}");
    for (owner, made) in owners.iter().zip(&made).step_by(97) {
        assert_eq!(key(&one(&ring, owner).await), *made);
    }
    assert!(ring.remembered() <= 100, "{ring:?}");
}

async fn what_is_remembered_is_believed_for_a_while(place: &Place) {
    let (trusting, doubting) = (place.ring(LONG).await, place.ring(Duration::ZERO).await);
    let ann = owner("person-ann");
    for ring in [&trusting, &doubting] {
        assert!(matches!(one(ring, &ann).await, Found::Key(_)));
    }
    place.store().await.destroy(ann.clone(), now()).await.unwrap();
    assert!(matches!(one(&doubting, &ann).await, Found::Destroyed));
    assert!(matches!(one(&trusting, &ann).await, Found::Key(_)));
    trusting.forget(&ann);
    assert!(matches!(one(&trusting, &ann).await, Found::Destroyed));
    assert!(matches!(trusting.versions([(ann.clone(), 1)]).await.unwrap()[&(ann, 1)], Found::Destroyed));
}

async fn keys_of_pages_and_audits_get_a_new_version_each_year(place: &Place) {
    let next_year = Timestamp::parse("2027-01-01T00:00:00Z").unwrap();
    let owners = ["page-x", "audit-2026", "person-ann", "orders-ann", "installation", "page-gone"].map(owner);
    let old = place.ring(LONG).await;
    let before = old.current(owners.clone()).await.unwrap();
    old.destroy(owners[5].clone()).await.unwrap();
    let rings = [Arc::new(place.ring_at(LONG, next_year, 100).await), Arc::new(place.ring_at(LONG, next_year, 100).await)];
    let asked = (0..20).map(|number| {
        let (ring, owners) = (rings[number % 2].clone(), owners.clone());
        tokio::spawn(async move { ring.current(owners).await.unwrap() })
    });
    for current in join_all(asked).await {
        let current = current.unwrap();
        let versions = owners[..5].iter().map(|owner| key(&current[owner]).0).collect::<Vec<_>>();
        assert_eq!(versions, [2, 2, 1, 1, 1]);
        assert!(matches!(current[&owners[5]], Found::Destroyed));
    }
    let page = (owners[0].clone(), 1);
    assert_eq!(key(&rings[0].versions([page.clone()]).await.unwrap()[&page]), key(&before[&owners[0]]), "what was sealed still opens");
}

async fn a_new_generation_is_read_when_it_is_met(place: &Place) {
    let (ring, ann) = (place.ring(Duration::ZERO).await, owner("person-ann"));
    let before = key(&one(&ring, &ann).await);
    std::fs::write(place.installation_file(), installation(2)).unwrap();
    let store = place.store().await;
    let (rows, _) = store.older(2, 10).await.unwrap();
    store.rewrap(rows.iter().map(|row| (1, wrapping(2).renewed(row, &Random::system()).unwrap())).collect()).await.unwrap();
    assert_eq!(key(&one(&ring, &ann).await), before);
    ring.current([owner("person-bob")]).await.unwrap();
    assert!(super::all(&*store, 10).await.iter().all(|row| row.generation == 2), "what is made from now on is under it");
}

async fn another_installation_key_is_refused_by_name(place: &Place) {
    place.ring(LONG).await.current(people(2)).await.unwrap();
    let refused = async || {
        let (store, options) = (place.store().await, Options::default());
        Keyring::open(store, place.source(), Arc::new(now), Random::system(), &options).await.unwrap_err()
    };
    let file = place.installation_file();
    std::fs::write(&file, installation(2)).unwrap();
    place.ring(LONG).await.current([owner("person-new")]).await.unwrap();
    std::fs::write(&file, installation(1)).unwrap();
    let told = refused().await;
    assert!(matches!(told, KeyringError::Unwrap(_)) && told.to_string().contains("has no generation 2"), "{told}");
    let other = installation(2).replacen("-----BEGIN CIRCOLO INSTALLATION KEY-----", "-----BEGIN NOTHING-----", 1);
    std::fs::write(&file, other).unwrap();
    let told = refused().await.to_string();
    assert!(told.contains("not the one that belongs to this key store"), "{told}");
    std::fs::remove_file(&file).unwrap();
    let told = refused().await.to_string();
    assert!(told.contains(&file.display().to_string()) && told.contains("is missing"), "{told}");
}

async fn a_broken_key_costs_nothing_but_what_it_sealed(place: &Place) {
    let (store, [ann, bob]) = (place.store().await, ["person-ann", "person-bob"].map(owner));
    // Wrapped for another one.
    store.put(vec![Row { owner: bob.clone(), ..row(&owner("person-zoe"), 1) }]).await.unwrap();
    store.put(vec![row(&ann, 1)]).await.unwrap();
    let ring = place.ring(LONG).await;
    let found = ring.versions([(ann.clone(), 1), (bob.clone(), 1)]).await.unwrap();
    assert!(matches!((&found[&(ann.clone(), 1)], &found[&(bob.clone(), 1)]), (Found::Key(_), Found::Shut)));
    let current = ring.current([ann.clone(), bob.clone()]).await.unwrap();
    assert!(matches!((&current[&ann], &current[&bob]), (Found::Key(_), Found::Shut)));
}
