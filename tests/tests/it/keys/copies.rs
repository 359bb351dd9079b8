//! Keys move between stores of any kind; nothing is overwritten, and the dead stay dead.

use super::{LONG, Place, all, now, on_each_store, owner, people, row};
use circolo_events::sealing::{
    Found, Random,
    copy::{self, Copied, CopyError},
    store::Note,
    tend,
};

on_each_store! {
    keys_move_to_another_store_and_the_rest_follows,
    the_dead_are_dead_on_both_sides,
    other_keys_are_not_overwritten,
}

async fn copied(from: &Place, to: &Place) -> Result<Copied, CopyError> {
    copy::copy(&*from.store().await, &*to.store().await, &from.source(), &Random::system(), &mut |_| {}).await
}

/// A place of the other kind, if there is one.
async fn other(place: &Place) -> Option<Place> {
    Place::new(if place.url.is_some() { "sqlite" } else { "postgres" }).await
}

async fn keys_move_to_another_store_and_the_rest_follows(place: &Place) {
    let Some(target) = other(place).await else { return };
    assert!(matches!(copied(place, &target).await, Err(CopyError::Nothing)));
    let (ring, owners, store) = (place.ring(LONG).await, people(2_100), place.store().await);
    ring.current(owners[..1_200].iter().cloned()).await.unwrap();
    store.set_note(Note::Checkpoint, "signed".to_owned()).await.unwrap();
    assert_eq!(copied(place, &target).await.unwrap(), Copied { copied: 1_200, ..Copied::default() });
    ring.current(owners.iter().cloned()).await.unwrap();
    tend::rotate(&*store, &place.source(), owners[5].clone(), now(), &Random::system()).await.unwrap();
    // Half of what is there was wrapped anew meanwhile: they are the same keys all the same.
    tend::rewrap(&*store, &place.source(), &Random::system(), &mut |_, _| {}).await.unwrap();
    assert_eq!(copied(place, &target).await.unwrap(), Copied { copied: 901, found: 1_200, ..Copied::default() });
    std::fs::copy(place.installation_file(), target.installation_file()).unwrap();
    let (here, there) = (place.ring(LONG).await, target.ring(LONG).await);
    for name in [(owners[5].clone(), 1), (owners[5].clone(), 2), (owners[2_000].clone(), 1)] {
        let found = [&here, &there].map(|ring| ring.versions([name.clone()]));
        let [one, other] = futures::future::join_all(found).await.try_into().unwrap();
        let (Found::Key(one), Found::Key(other)) = (&one.unwrap()[&name], &other.unwrap()[&name]) else { panic!("{name:?}") };
        assert_eq!(one.secret, other.secret, "{name:?}");
    }
    assert_eq!(target.store().await.note(Note::Checkpoint).await.unwrap().as_deref(), Some("signed"));
}

async fn the_dead_are_dead_on_both_sides(place: &Place) {
    let Some(target) = other(place).await else { return };
    let (here, there) = (place.store().await, target.store().await);
    let owners = people(4);
    here.put(owners.iter().map(|owner| row(owner, 1)).collect()).await.unwrap();
    copied(place, &target).await.unwrap();
    here.renew(vec![row(&owners[1], 2)]).await.unwrap();
    here.destroy(owners[0].clone(), now()).await.unwrap();
    there.destroy(owners[1].clone(), now()).await.unwrap();
    there.destroy(owner("person-never"), now()).await.unwrap();
    here.put(vec![row(&owner("person-never"), 1)]).await.unwrap();
    let outcome = copied(place, &target).await.unwrap();
    assert_eq!(outcome, Copied { copied: 0, found: 3, destroyed: 1, dead: 3 });
    let alive: Vec<_> = all(&*there, 10).await.into_iter().filter(|row| row.wrapped.is_some()).map(|row| row.owner).collect();
    assert_eq!(alive, owners[2..]);
    assert_eq!(copied(place, &target).await.unwrap(), Copied { copied: 0, found: 3, destroyed: 0, dead: 3 });
}

async fn other_keys_are_not_overwritten(place: &Place) {
    let Some(target) = other(place).await else { return };
    let (here, there) = (place.store().await, target.store().await);
    let owners = people(3);
    here.put(owners.iter().map(|owner| row(owner, 1)).collect()).await.unwrap();
    there.put(vec![row(&owners[2], 1)]).await.unwrap();
    let before = all(&*there, 10).await;
    let told = copied(place, &target).await.unwrap_err();
    assert!(matches!(&told, CopyError::Other(owner, 1) if *owner == owners[2]), "{told}");
    assert_eq!(all(&*there, 10).await, before, "nothing was written");
}
