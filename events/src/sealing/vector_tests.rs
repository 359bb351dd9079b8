//! `golden/sealed-vector.json`: one of each shape with fixed keys. It is what programs in other languages are held against, so ours
//! opens all of it and makes it again byte for byte.

use super::{
    Current, Entry, Found, Key, Owner, Random, Secret, Text, Versions, leaf,
    metadata::{Parts, fingerprint},
    person::person_id,
    sealed::{entries, seal, unseal},
    secret::hex,
};
use crate::{NewEvent, Position, Stored};
use circolo_domain::{StreamName, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn vector() -> Value {
    serde_json::from_str(include_str!("../../golden/sealed-vector.json")).unwrap()
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).unwrap().as_str().unwrap()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(super) fn secret(vector: &Value, pointer: &str) -> Secret {
    Secret::from_slice(&unhex(text(vector, pointer))).unwrap()
}

fn owner(vector: &Value) -> Owner {
    Owner::new(text(vector, "/key_store_row/owner")).unwrap()
}

fn key(vector: &Value) -> Found {
    Found::Key(Arc::new(Key { version: 1, secret: secret(vector, "/key_store_row/key_hex") }))
}

fn event(vector: &Value) -> NewEvent {
    NewEvent {
        id: text(vector, "/event/id").parse().unwrap(),
        event_type: text(vector, "/event/type").to_owned(),
        data: text(vector, "/event/data").to_owned(),
        metadata: text(vector, "/event/metadata").to_owned(),
        recorded_at: Timestamp::parse(text(vector, "/event/recorded_at")).unwrap(),
        texts: vec![],
    }
}

/// The event before it was sealed.
fn plain(vector: &Value) -> NewEvent {
    let event = event(vector);
    let (metadata, _) = event.metadata.split_once(r#","sealed":"#).unwrap();
    let data = event.data.replace(r#""title":null,"body":null"#, r#""title":"How warm?","body":"How warm should the dough be?""#);
    NewEvent { metadata: format!("{metadata}}}"), data, ..event }
}

#[test]
fn the_person_is_the_one_of_the_vector() {
    let vector = vector();
    let id = person_id(&secret(&vector, "/salt_hex"), "circolo", "ann", 0);
    assert_eq!(vector["person_id"]["of"], json!(["circolo", "ann", 0]));
    assert_eq!(id.0.to_string(), text(&vector, "/person_id/id"));
}

#[test]
fn the_box_is_made_again_and_opens() {
    let vector = vector();
    let nonce = Random::of(|bytes| bytes.fill(2));
    // In another order than they stand in.
    let texts: Vec<Text> = ["/body", "/title"].map(|at| Text { at: at.to_owned(), of: owner(&vector), longest: None }).into();
    let sealed = seal(plain(&vector), &texts, &Current::from([(owner(&vector), key(&vector))]), &nonce).unwrap();
    assert_eq!(sealed, event(&vector));
    let boxes = entries(&sealed.metadata).unwrap();
    let [Entry { boxed, .. }] = &boxes[..] else { panic!("{boxes:?}") };
    assert_eq!(boxed, text(&vector, "/box/box"));
    let opened = unseal(&sealed, &boxes, &Versions::from([((owner(&vector), 1), key(&vector))])).unwrap();
    assert_eq!(opened.data, plain(&vector).data);
}

#[test]
fn the_unmasked_line_is_that_of_the_vector() {
    let vector = vector();
    let event = event(&vector);
    let keys = Versions::from([((owner(&vector), 1), key(&vector))]);
    let opened = unseal(&event, &entries(&event.metadata).unwrap(), &keys).unwrap();
    let owners: serde_json::Map<String, Value> = opened.texts.into_iter().map(|text| (text.at, text.of.as_str().into())).collect();
    let line = json!({ "data": serde_json::from_str::<Value>(&opened.data).unwrap(), "owners": owners, "masked": false });
    assert_eq!(line, vector["unmasked_line"]);
}

#[test]
fn the_masked_line_is_that_of_the_vector() {
    let vector = vector();
    let event = event(&vector);
    let parts = Parts::of(&event.metadata).unwrap();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parsed(&event.data), vector["masked_line"]["data"]);
    assert_eq!(parsed(&parts.told), vector["masked_line"]["metadata"]);
    assert_eq!(parts.sealed_sha256().unwrap(), text(&vector, "/masked_line/sealed_sha256"));
}

#[test]
fn the_fingerprint_is_that_of_the_vector() {
    let vector = vector();
    let made = fingerprint(1, &secret(&vector, "/key_store_row/key_hex"), &[text(&vector, "/fingerprint/hashed").as_bytes()]);
    assert_eq!(made, text(&vector, "/fingerprint/stored"));
    assert_eq!(Parts::of(text(&vector, "/event/metadata")).unwrap().fingerprint, Some(made));
}

#[test]
fn the_leaf_is_that_of_the_vector() {
    let vector = vector();
    let stream = StreamName::stored(text(&vector, "/event/stream"));
    let stored = Stored { position: Position(1), stream, revision: 0, event: event(&vector), shut: None };
    let leaf = leaf::text(&stored).unwrap();
    assert_eq!(leaf, text(&vector, "/leaf/text"));
    assert_eq!(hex(&leaf::hash(&leaf)), text(&vector, "/leaf/hash_hex"));
}
