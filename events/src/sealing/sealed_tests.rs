//! Events are sealed and opened, texts are forgotten, and whatever does not fit is told.

use super::*;
use crate::sealing::{Key, Secret};
use circolo_domain::Timestamp;
use std::sync::Arc;
use uuid::Uuid;

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn key(byte: u8, version: u32) -> Found {
    Found::Key(Arc::new(Key { version, secret: Secret::new([byte; 32]) }))
}

fn text(at: &str, of: &str) -> Text {
    Text { at: at.to_owned(), of: owner(of), longest: None }
}

fn plain() -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(1),
        event_type: "talk.held.v1".to_owned(),
        data: r#"{"id":1.50,"said":["Hello","Wörld \"x\""],"note":{"text":"about you","stars":3},"no":null}"#.to_owned(),
        metadata: r#"{"command":"Talk"}"#.to_owned(),
        recorded_at: Timestamp::from_micros(7),
        texts: vec![],
    }
}

/// Texts of three owners, in no order.
fn texts() -> Vec<Text> {
    vec![text("/note/text", "person-fan"), text("/said/1", "person-ann"), text("/no", "person-zoe"), text("/said/0", "person-ann")]
}

fn keys() -> Current {
    Current::from([(owner("person-ann"), key(1, 3)), (owner("person-fan"), key(2, 1))])
}

fn versions() -> Versions {
    Versions::from([((owner("person-ann"), 3), key(1, 3)), ((owner("person-fan"), 1), key(2, 1))])
}

fn sealed() -> (NewEvent, Vec<Entry>) {
    let sealed = seal(plain(), &texts(), &keys(), &Random::system()).unwrap();
    let entries = entries(&sealed.metadata).unwrap();
    (sealed, entries)
}

#[test]
fn texts_are_taken_out_by_owner_and_put_back_as_they_were() {
    let (sealed, entries) = sealed();
    assert_eq!(sealed.data, r#"{"id":1.50,"said":[null,null],"note":{"text":null,"stars":3},"no":null}"#);
    let shape: Vec<_> = entries.iter().map(|entry| (entry.of.as_str(), entry.key, entry.at.join(" "))).collect();
    assert_eq!(shape, [("person-ann", 3, "/said/0 /said/1".to_owned()), ("person-fan", 1, "/note/text".to_owned())]);
    let opened = unseal(&sealed, &entries, &versions()).unwrap();
    assert_eq!(opened.data, plain().data);
    assert_eq!(opened.forgotten, 0);
    let owners: Vec<_> = opened.texts.iter().map(|text| format!("{} {}", text.at, text.of)).collect();
    assert_eq!(owners, ["/said/0 person-ann", "/said/1 person-ann", "/note/text person-fan"]);
}

#[test]
fn what_a_destroyed_key_sealed_is_null_and_all_else_is_there() {
    let (sealed, entries) = sealed();
    let mut keys = versions();
    keys.insert((owner("person-ann"), 3), Found::Destroyed);
    let opened = unseal(&sealed, &entries, &keys).unwrap();
    assert_eq!(opened.data, r#"{"id":1.50,"said":[null,null],"note":{"text":"about you","stars":3},"no":null}"#);
    assert_eq!((opened.forgotten, opened.texts), (2, vec![text("/note/text", "person-fan")]));
}

#[test]
fn a_key_that_never_was_is_a_fault() {
    let (sealed, entries) = sealed();
    let mut keys = versions();
    for missing in [None, Some(Found::Unknown)] {
        keys.remove(&(owner("person-fan"), 1));
        keys.extend(missing.map(|found| ((owner("person-fan"), 1), found)));
        assert_eq!(unseal(&sealed, &entries, &keys), Err(UnsealError::Unknown(owner("person-fan"), 1)));
    }
    keys.insert((owner("person-fan"), 1), Found::Shut);
    assert_eq!(unseal(&sealed, &entries, &keys), Err(UnsealError::KeyShut(owner("person-fan"), 1)));
}

#[test]
fn boxes_that_do_not_belong_to_the_event_are_a_fault() {
    let (sealed, entries) = sealed();
    let changed = |change: &dyn Fn(&mut NewEvent, &mut Vec<Entry>)| {
        let (mut event, mut boxes) = (sealed.clone(), entries.clone());
        change(&mut event, &mut boxes);
        unseal(&event, &boxes, &versions()).unwrap_err()
    };
    let ann = UnsealError::Shut(owner("person-ann"));
    assert_eq!(changed(&|event, _| event.id = Uuid::from_u128(2)), ann);
    assert_eq!(changed(&|event, _| event.event_type.push('2')), ann);
    assert_eq!(changed(&|_, boxes| boxes[0].at.swap(0, 1)), ann);
    assert_eq!(changed(&|_, boxes| boxes[0].boxed = boxes[1].boxed.clone()), ann);
    assert_eq!(changed(&|_, boxes| boxes[0].key = 4), UnsealError::Unknown(owner("person-ann"), 4));
    let missing = |at: &str| UnsealError::Place(NoPlace::Missing(at.to_owned()));
    assert_eq!(changed(&|_, boxes| boxes[0].at[0] = "/said/2".to_owned()), missing("/said/2"));
    assert_eq!(changed(&|_, boxes| boxes[1].at[0] = "/id".to_owned()), UnsealError::Taken("/id".to_owned()));
    assert_eq!(changed(&|event, _| event.data = plain().data), UnsealError::Taken("/said/0".to_owned()));
    for broken in [r#"{"sealed":1}"#, r#"{"sealed":[{"of":"x y","key":1,"at":[],"box":""}]}"#, r#"{"sealed":[{"of":"x"}]}"#, "null"] {
        assert_eq!(super::entries(broken), Err(UnsealError::Broken), "{broken}");
    }
}

#[test]
fn an_event_is_sealed_once_and_only_if_something_is_said_in_it() {
    let random = Random::system();
    assert_eq!(seal(plain(), &[text("/no", "person-zoe")], &Current::new(), &random).unwrap(), plain());
    assert_eq!(seal(plain(), &[], &Current::new(), &random).unwrap(), plain());
    assert_eq!(seal(sealed().0, &texts(), &keys(), &random), Err(SealError::Sealed));
    let lacking = |found: Option<Found>| {
        let keys: Current = keys()
            .into_iter()
            .filter(|(of, _)| of.as_str() != "person-fan")
            .chain(found.map(|found| (owner("person-fan"), found)))
            .collect();
        seal(plain(), &texts(), &keys, &random)
    };
    assert_eq!(lacking(Some(Found::Shut)), lacking(None));
    assert_eq!(lacking(None), Err(SealError::NoKey(owner("person-fan"))));
    assert_eq!(lacking(Some(Found::Destroyed)), Err(SealError::Destroyed(owner("person-fan"))));
    let elsewhere = seal(plain(), &[text("/nowhere", "person-ann")], &keys(), &random);
    assert_eq!(elsewhere, Err(SealError::Place(NoPlace::Missing("/nowhere".to_owned()))));
}

#[test]
fn all_choices_of_a_poll_look_alike() {
    let box_of = |choice: &str| {
        let event = NewEvent { data: format!(r#"{{"choice":"{choice}"}}"#), ..plain() };
        let choice = Text { longest: Some(40), ..text("/choice", "person-ann") };
        entries(&seal(event, &[choice], &keys(), &Random::system()).unwrap().metadata).unwrap()[0].boxed.len()
    };
    assert_eq!(box_of("no"), box_of("yes, but with some more words"));
}
