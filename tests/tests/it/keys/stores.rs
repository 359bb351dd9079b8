//! The contract of key stores, case by case, on each of them.

use super::{Place, all, now, on_each_store, owner, people, row, wrapping};
use circolo_domain::Timestamp;
use circolo_events::sealing::{
    KeyStore, KeyStoreError, Owner, Random,
    store::{Count, Make, Note, Postgres, Row, Sqlite},
};
use futures::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use std::os::unix::fs::PermissionsExt;

on_each_store! {
    rows_come_back_as_they_were_put_and_are_not_put_twice,
    many_are_asked_for_at_once,
    a_next_version_comes_behind_one_that_lives,
    who_was_destroyed_gets_no_second_life,
    a_key_that_is_destroyed_while_it_gets_a_next_version_is_destroyed_with_it,
    rows_are_read_in_parts_and_in_order,
    rows_are_wrapped_anew_as_far_as_they_are_what_they_were,
    keys_are_counted_by_what_they_are,
    of_many_who_put_one_key_one_wins,
    a_store_outlives_its_process_and_keeps_the_checkpoint,
    a_store_that_must_be_there_is_not_made,
    a_store_of_a_newer_program_is_refused,
    keys_are_not_kept_with_anything_else,
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

async fn newest(store: &dyn KeyStore, owner: &Owner) -> Option<Row> {
    store.newest(vec![owner.clone()]).await.unwrap().pop()
}

async fn rows_come_back_as_they_were_put_and_are_not_put_twice(place: &Place) {
    let (store, ann) = (place.store().await, owner("person-ann"));
    let (first, other) = (row(&ann, 1), row(&ann, 1));
    assert_eq!(newest(&*store, &ann).await, None);
    store.put(vec![first.clone()]).await.unwrap();
    store.put(vec![other]).await.unwrap();
    assert_eq!(all(&*store, 10).await, [first]);
}

async fn many_are_asked_for_at_once(place: &Place) {
    let (store, owners) = (place.store().await, people(5_000));
    store.put(owners.iter().map(|owner| row(owner, 1)).collect()).await.unwrap();
    store.renew(owners.iter().step_by(2).map(|owner| row(owner, 2)).collect()).await.unwrap();
    let mut asked = owners.clone();
    asked.push(owner("page-x"));
    let mut found = store.newest(asked).await.unwrap();
    found.sort_by(|one, other| one.owner.cmp(&other.owner));
    assert!(found.iter().map(|row| &row.owner).eq(&owners));
    assert!(found.iter().enumerate().all(|(index, row)| row.version == if index % 2 == 0 { 2 } else { 1 }));
    let wanted = owners.iter().flat_map(|owner| [(owner.clone(), 1), (owner.clone(), 2), (owner.clone(), 3)]).collect();
    assert_eq!(store.versions(wanted).await.unwrap().len(), 7_500);
    assert!(store.newest(vec![]).await.unwrap().is_empty() && store.versions(vec![]).await.unwrap().is_empty());
}

async fn a_next_version_comes_behind_one_that_lives(place: &Place) {
    let (store, ann, bob) = (place.store().await, owner("person-ann"), owner("person-bob"));
    store.put(vec![row(&ann, 1)]).await.unwrap();
    let second = row(&ann, 2);
    store.renew(vec![second.clone(), row(&bob, 1), row(&bob, 2)]).await.unwrap();
    store.renew(vec![row(&ann, 2)]).await.unwrap();
    store.renew(vec![row(&ann, 4)]).await.unwrap();
    assert_eq!(newest(&*store, &ann).await, Some(second));
    assert_eq!(newest(&*store, &bob).await, None);
}

async fn who_was_destroyed_gets_no_second_life(place: &Place) {
    let (store, ann, bob) = (place.store().await, owner("person-ann"), owner("person-bob"));
    store.put(vec![row(&ann, 1)]).await.unwrap();
    store.renew(vec![row(&ann, 2)]).await.unwrap();
    assert!(store.destroy(ann.clone(), at(5)).await.unwrap());
    assert!(!store.destroy(ann.clone(), at(6)).await.unwrap(), "once");
    assert!(!store.destroy(bob.clone(), at(7)).await.unwrap(), "there was none");
    for version in [1, 2, 3] {
        store.put(vec![row(&ann, version), row(&bob, version)]).await.unwrap();
        store.renew(vec![row(&ann, version), row(&bob, version)]).await.unwrap();
    }
    let rows = all(&*store, 10).await;
    let stands: Vec<_> = rows.iter().map(|row| (row.owner.as_str(), row.version, row.destroyed_at, row.wrapped.is_some())).collect();
    assert_eq!(
        stands,
        [("person-ann", 1, Some(at(5)), false), ("person-ann", 2, Some(at(5)), false), ("person-bob", 1, Some(at(7)), false)]
    );
    assert_eq!(rows[0].made_at, now(), "that there was one stays known");
}

async fn a_key_that_is_destroyed_while_it_gets_a_next_version_is_destroyed_with_it(place: &Place) {
    let stores = [place.store().await, place.store().await];
    for owner in people(40) {
        stores[0].put(vec![row(&owner, 1)]).await.unwrap();
        let (destroyed, renewed) = tokio::join!(
            tokio::spawn({
                let (store, owner) = (stores[0].clone(), owner.clone());
                async move { store.destroy(owner, at(1)).await }
            }),
            tokio::spawn({
                let (store, owner) = (stores[1].clone(), owner.clone());
                async move { store.renew(vec![row(&owner, 2)]).await }
            })
        );
        assert!(destroyed.unwrap().unwrap());
        renewed.unwrap().unwrap();
        assert_eq!(newest(&*stores[0], &owner).await.unwrap().wrapped, None);
    }
    assert!(all(&*stores[0], 100).await.iter().all(|row| row.wrapped.is_none()));
}

async fn rows_are_read_in_parts_and_in_order(place: &Place) {
    let store = place.store().await;
    let mut owners: Vec<Owner> = ["audit-2026", "installation", "person-B", "person-a", "person-a.b", "person-a-b"].map(owner).into();
    store.put(owners.iter().map(|owner| row(owner, 1)).collect()).await.unwrap();
    store.renew(owners.iter().map(|owner| row(owner, 2)).collect()).await.unwrap();
    owners.sort();
    let expected: Vec<(Owner, u32)> = owners.into_iter().flat_map(|owner| [(owner.clone(), 1), (owner, 2)]).collect();
    for limit in [1, 3, 100] {
        let read: Vec<(Owner, u32)> = all(&*store, limit).await.into_iter().map(|row| (row.owner, row.version)).collect();
        assert_eq!(read, expected, "{limit}");
    }
}

async fn rows_are_wrapped_anew_as_far_as_they_are_what_they_were(place: &Place) {
    let (store, owners) = (place.store().await, people(3));
    store.put(owners.iter().map(|owner| row(owner, 1)).collect()).await.unwrap();
    let (old, count) = store.older(2, 10).await.unwrap();
    assert_eq!((old.len(), count), (3, 3));
    assert_eq!(store.older(2, 2).await.unwrap().0.len(), 2);
    let renewed: Vec<Row> = old.iter().map(|row| wrapping(2).renewed(row, &Random::system()).unwrap()).collect();
    store.destroy(owners[0].clone(), at(1)).await.unwrap();
    store.rewrap(renewed.iter().map(|row| (if row.owner == owners[1] { 1 } else { 2 }, row.clone())).collect()).await.unwrap();
    let mut stands = all(&*store, 10).await;
    stands.sort_by(|one, other| one.owner.cmp(&other.owner));
    assert_eq!(stands[0].wrapped, None, "what was destroyed stays so");
    assert!(renewed.contains(&stands[1]) && stands[1].generation == 2);
    assert!(old.contains(&stands[2]) && stands[2].generation == 1, "it has not the generation that was named");
    for (after, expected) in [(0, &[1, 2][..]), (1, &[2]), (2, &[])] {
        let generations: Vec<u32> = store.samples(after).await.unwrap().into_iter().map(|row| row.generation).collect();
        assert_eq!(generations, expected);
    }
    assert_eq!(store.older(2, 10).await.unwrap(), (vec![stands[2].clone()], 1));
}

async fn keys_are_counted_by_what_they_are(place: &Place) {
    let store = place.store().await;
    assert!(store.counts().await.unwrap().is_empty());
    let owners: Vec<Owner> = ["audit-2026", "installation", "person-a", "person-b", "person-c"].map(owner).into();
    store.put(owners.iter().map(|owner| row(owner, 1)).collect()).await.unwrap();
    store.renew(vec![row(&owners[4], 2)]).await.unwrap();
    store.destroy(owners[2].clone(), at(1)).await.unwrap();
    let count = |purpose: &str, version, destroyed, keys| Count { purpose: purpose.to_owned(), version, generation: 1, destroyed, keys };
    let expected = [
        count("audit", 1, false, 1),
        count("installation", 1, false, 1),
        count("person", 1, false, 2),
        count("person", 1, true, 1),
        count("person", 2, false, 1),
    ];
    assert_eq!(store.counts().await.unwrap(), expected);
}

async fn of_many_who_put_one_key_one_wins(place: &Place) {
    let stores = [place.store().await, place.store().await];
    let owners = people(50);
    let put = (0..16).map(|number| {
        let (store, rows) = (stores[number % 2].clone(), owners.iter().map(|owner| row(owner, 1)).collect());
        tokio::spawn(async move {
            store.put(rows).await.unwrap();
        })
    });
    join_all(put).await.into_iter().for_each(|put| put.unwrap());
    let (here, there) = (all(&*stores[0], 7).await, all(&*stores[1], 1_000).await);
    assert_eq!((here.len(), &here), (50, &there));
}

async fn a_store_outlives_its_process_and_keeps_the_checkpoint(place: &Place) {
    let ann = row(&owner("person-ann"), 1);
    let store = place.store().await;
    assert_eq!(store.note(Note::Checkpoint).await.unwrap(), None);
    store.put(vec![ann.clone()]).await.unwrap();
    for checkpoint in ["first", "second"] {
        store.set_note(Note::Checkpoint, checkpoint.to_owned()).await.unwrap();
    }
    drop(store);
    let store = place.store().await;
    assert_eq!((all(&*store, 10).await, store.note(Note::Checkpoint).await.unwrap().as_deref()), (vec![ann], Some("second")));
}

/// Opens the store where it must be; why not.
async fn refused(place: &Place, make: Make) -> KeyStoreError {
    match &place.url {
        Some(url) => Postgres::connect(url, make).await.unwrap_err(),
        None => Sqlite::open(&place.path().join("keys.sqlite"), make).unwrap_err(),
    }
}

async fn a_store_that_must_be_there_is_not_made(place: &Place) {
    for _ in 0..2 {
        let told = refused(place, Make::Never).await.to_string();
        assert!(told.contains("without it nothing opens that was sealed") && told.contains("--keys"), "{told}");
    }
    assert!(!place.path().join("keys.sqlite").exists());
}

/// Runs SQL where the keys are.
async fn run(place: &Place, sql: &'static str) {
    match &place.url {
        Some(url) => drop(PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap()),
        None => rusqlite::Connection::open(place.path().join("keys.sqlite")).unwrap().execute_batch(sql).unwrap(),
    }
}

async fn a_store_of_a_newer_program_is_refused(place: &Place) {
    drop(place.store().await);
    run(place, "UPDATE key_meta SET value = '2' WHERE name = 'schema_version'").await;
    assert!(matches!(refused(place, Make::IfMissing).await, KeyStoreError::TooNew(2)));
}

async fn keys_are_not_kept_with_anything_else(place: &Place) {
    run(place, "CREATE TABLE log_meta (name text PRIMARY KEY, value text NOT NULL)").await;
    assert!(matches!(refused(place, Make::IfMissing).await, KeyStoreError::NotAlone));
}

#[tokio::test]
async fn nothing_of_a_destroyed_key_is_left_in_a_file() {
    let place = Place::new("sqlite").await.unwrap();
    let (store, owners) = (place.store().await, people(500));
    let rows: Vec<Row> = owners.iter().map(|owner| row(owner, 1)).collect();
    store.put(rows.clone()).await.unwrap();
    let holds = |row: &Row| {
        let files = std::fs::read_dir(place.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let wrapped = row.wrapped.clone().unwrap();
        files.into_iter().any(|bytes| bytes.windows(wrapped.len()).any(|window| window == wrapped))
    };
    assert!(rows.iter().all(holds));
    for file in std::fs::read_dir(place.path()).unwrap().flatten().filter(|file| file.file_name().to_string_lossy().starts_with("keys.")) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?} is for its owner alone");
    }
    for owner in owners.iter().step_by(50) {
        store.destroy(owner.clone(), at(1)).await.unwrap();
    }
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(holds(row), index % 50 != 0, "{row:?}");
    }
}
