//! New versions and new generations: beside those who use the keys, and resumed where they were interrupted.

use super::{LONG, Place, all, installation, now, on_each_store, owner, people};
use circolo_domain::{Span, Timestamp};
use circolo_events::sealing::{
    Found, Random, Secret, Source, Versions,
    tend::{self, Rewrapped, TendError},
};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;

on_each_store! {
    a_rotation_is_for_what_is_written_from_now_on,
    all_owners_are_rotated_once,
    a_rewrap_that_was_interrupted_goes_on,
    a_rewrap_takes_the_generation_that_somebody_put_there,
}

fn later() -> Timestamp {
    now().plus(Span::hours(1))
}

fn secrets(versions: &Versions) -> Vec<(String, Secret)> {
    let secret = |found: &Found| if let Found::Key(key) = found { key.secret.clone() } else { panic!("{found:?}") };
    let mut all: Vec<_> = versions.iter().map(|((owner, version), found)| (format!("{owner} {version}"), secret(found))).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

async fn a_rotation_is_for_what_is_written_from_now_on(place: &Place) {
    let (ring, store, random) = (place.ring(LONG).await, place.store().await, Random::system());
    let [ann, bob, zoe] = ["person-ann", "person-bob", "person-zoe"].map(owner);
    ring.current([ann.clone(), bob.clone()]).await.unwrap();
    ring.destroy(bob.clone()).await.unwrap();
    assert_eq!(tend::rotate(&*store, &place.source(), ann.clone(), later(), &random).await.unwrap(), 2);
    assert_eq!(tend::rotate(&*store, &place.source(), ann.clone(), later(), &random).await.unwrap(), 3);
    ring.forget(&ann);
    let Found::Key(key) = ring.current([ann.clone()]).await.unwrap().remove(&ann).unwrap() else { panic!("it is there") };
    assert_eq!(key.version, 3);
    let versions = ring.versions((1..=3).map(|version| (ann.clone(), version))).await.unwrap();
    assert_eq!(secrets(&versions).len(), 3, "what was sealed before still opens");
    assert!(matches!(tend::rotate(&*store, &place.source(), bob, later(), &random).await, Err(TendError::Destroyed(_))));
    assert!(matches!(tend::rotate(&*store, &place.source(), zoe, later(), &random).await, Err(TendError::NoKey(_))));
}

async fn all_owners_are_rotated_once(place: &Place) {
    let (ring, store, random) = (place.ring(LONG).await, place.store().await, Random::system());
    let owners = people(1_500);
    ring.current(owners.iter().cloned()).await.unwrap();
    ring.destroy(owners[7].clone()).await.unwrap();
    let mut told = vec![];
    let mut rotate = async || tend::rotate_all(&*store, &place.source(), later(), &random, &mut |done, _| told.push(done)).await.unwrap();
    assert_eq!([rotate().await, rotate().await], [1_499, 0]);
    assert!(told.is_sorted() || told.contains(&1_499), "{told:?}");
    let counts: Vec<_> = store.counts().await.unwrap().into_iter().map(|count| (count.version, count.destroyed, count.keys)).collect();
    assert_eq!(counts, [(1, false, 1_499), (1, true, 1), (2, false, 1_499)]);
}

async fn a_rewrap_that_was_interrupted_goes_on(place: &Place) {
    let (ring, store, random) = (place.ring(LONG).await, place.store().await, Random::system());
    let owners = people(2_500);
    ring.current(owners.iter().cloned()).await.unwrap();
    ring.destroy(owners[3].clone()).await.unwrap();
    let names = || owners.iter().skip(4).map(|owner| (owner.clone(), 1));
    let before = secrets(&ring.versions(names()).await.unwrap());
    let source = place.source();
    // Between two statements, so that it is certain how much was done.
    let mut progress = |done, all| {
        assert_eq!(all, Some(2_499));
        if done == 1_000 {
            std::panic::resume_unwind(Box::new("interrupted"));
        }
    };
    let interrupted = AssertUnwindSafe(tend::rewrap(&*store, &source, &random, &mut progress)).catch_unwind().await;
    assert_eq!(interrupted.unwrap_err().downcast_ref(), Some(&"interrupted"));
    let left = store.older(2, 0).await.unwrap().1;
    assert_eq!(left, 1_499);
    let rest = tend::rewrap(&*store, &source, &random, &mut |_, _| {}).await.unwrap();
    assert_eq!(rest, Rewrapped { generation: 2, made: false, keys: left });
    let again = tend::rewrap(&*store, &source, &random, &mut |_, _| {}).await.unwrap();
    assert_eq!(again, Rewrapped { generation: 3, made: true, keys: 2_499 });
    assert!(all(&*store, 1_000).await.iter().all(|row| row.wrapped.is_none() || row.generation == 3));
    assert_eq!(secrets(&place.ring(LONG).await.versions(names()).await.unwrap()), before, "the keys are what they were");
}

async fn a_rewrap_takes_the_generation_that_somebody_put_there(place: &Place) {
    let (store, random) = (place.store().await, Random::system());
    let source: Source = format!("command:cat '{}'", place.installation_file().display()).parse().unwrap();
    place.ring(LONG).await.current(people(3)).await.unwrap();
    let told = tend::rewrap(&*store, &source, &random, &mut |_, _| {}).await.unwrap_err().to_string();
    assert!(told.contains("circolo keys block"), "{told}");
    std::fs::write(place.installation_file(), installation(2)).unwrap();
    let rewrapped = tend::rewrap(&*store, &source, &random, &mut |_, _| {}).await.unwrap();
    assert_eq!(rewrapped, Rewrapped { generation: 2, made: false, keys: 3 });
}
