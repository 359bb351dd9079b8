//! Events fall into facts and texts and are put together again, and every text has the owner that the rules give it.

use super::*;
use crate::testing::{NOON, person, personal, samples};
use crate::{GroupId, PageId, PersonId, STREAMS, StreamName, masked, question, stance::Voice};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

const ALL: Mask = Mask::PersonsAndGroup;
const KEY: Uuid = Uuid::from_u128(0x57);
const FAN: PersonId = person(0x58);
/// Who began the streams of the samples.
const BEGINNER: PersonId = person(0x59);

/// Whose the texts of each event are: the table of the product, for every event that has any.
const OWNERS: &[(&str, TextOwner)] = &[
    ("comment.edited.v1", TextOwner::Person(BEGINNER)),
    ("comment.removed.v1", TextOwner::Decisions(person(2).0)),
    ("comment.written.v1", TextOwner::Person(person(2))),
    ("conversation.page_wrote.v1", TextOwner::Person(FAN)),
    ("conversation.person_wrote.v1", TextOwner::Person(FAN)),
    ("group.created.v1", TextOwner::Group(GroupId(KEY))),
    ("group.described.v1", TextOwner::Group(GroupId(KEY))),
    ("group.renamed.v1", TextOwner::Group(GroupId(KEY))),
    ("group.role_withdrawn.v1", TextOwner::Decisions(person(2).0)),
    ("listing.edited.v1", TextOwner::Person(BEGINNER)),
    ("listing.posted.v1", TextOwner::Person(person(1))),
    ("listing.withdrawn.v1", TextOwner::Decisions(BEGINNER.0)),
    ("media.uploaded.v1", TextOwner::Person(person(1))),
    ("membership.banned.v1", TextOwner::Decisions(FAN.0)),
    ("membership.removed.v1", TextOwner::Decisions(FAN.0)),
    ("membership.request_refused.v1", TextOwner::Decisions(FAN.0)),
    ("person.registered.v1", TextOwner::Person(PersonId(KEY))),
    ("post.edited.v1", TextOwner::Person(BEGINNER)),
    ("post.removed.v1", TextOwner::Person(BEGINNER)),
    ("post.written.v1", TextOwner::Page(PageId(Uuid::from_u128(0x50)))),
    ("question.answered.v1", TextOwner::Person(person(2))),
    ("question.posted.v1", TextOwner::Person(person(1))),
    ("salt.drawn.v1", TextOwner::Installation),
    ("skip.decided.v1", TextOwner::Audit(2026)),
    ("unmasking.recorded.v1", TextOwner::Audit(2026)),
];

fn is_of_two(category: &str) -> bool {
    STREAMS.iter().any(|(known, key, _)| *known == category && key.contains('.'))
}

/// A stream as events of this category stand in.
fn stream(category: &str) -> StreamName {
    match category {
        _ if is_of_two(category) => StreamName::new(category, format_args!("{KEY}.{FAN}")),
        _ => StreamName::new(category, KEY),
    }
}

fn stored(event: &Event, begun: Option<TextOwner>, told: impl Fn(&str) -> Option<TextOwner>) -> Parted {
    let stream = stream(event.category());
    part_stored(&event.encode(), |_| ALL, &Written { stream: &stream, at: NOON, begun }, told).unwrap()
}

fn values(parted: &Parted) -> Vec<(&str, &str)> {
    parted.texts.iter().map(|text| (&*text.at, &*text.value)).collect()
}

#[test]
fn every_event_falls_apart_and_is_put_together_again_to_the_byte() {
    for sample in samples() {
        let whole = sample.encode();
        let parted = part(&sample, ALL);
        assert_eq!(parted.facts, masked(ALL, || sample.encode()), "{}", whole.event_type);
        assert_eq!(put_back(&parted.facts.data, &values(&parted)).unwrap(), whole.data);
        for Apart { at, value, .. } in &parted.texts {
            let data: Value = serde_json::from_str(&whole.data).unwrap();
            assert_eq!(data.pointer(at), serde_json::from_str(value).ok().as_ref(), "{} {at}", whole.event_type);
        }
    }
}

#[test]
fn the_texts_of_every_event_of_before_belong_to_whom_the_rules_say() {
    let begun = Some(TextOwner::Person(BEGINNER));
    let mut seen = BTreeSet::new();
    for sample in samples() {
        let parted = stored(&sample, begun, |_| None);
        let name = &*parted.facts.event_type;
        let owners: BTreeSet<_> = parted.texts.iter().map(|text| text.owner).collect();
        let expected = OWNERS.iter().find(|(known, _)| *known == name).map(|(_, owner)| *owner);
        match expected {
            Some(owner) => assert!(owners.iter().eq([&Some(owner)]), "{name}: {owners:?}"),
            // Whose the texts of other slices are is a test beside each; that they are somebody's is one here.
            None => assert!(owners.iter().all(|owner| owner.is_some_and(|owner| owner != TextOwner::Installation)), "{name}: {owners:?}"),
        }
        seen.extend(expected.map(|_| name.to_owned()));
    }
    assert!(seen.iter().eq(OWNERS.iter().map(|(name, _)| name)), "{seen:?}");
}

#[test]
fn a_thing_is_whose_its_first_event_says() {
    let begins = |name: &str| samples().iter().find(|sample| sample.encode().event_type == name).and_then(Event::begins);
    assert_eq!(begins("comment.written.v1"), Some(TextOwner::Person(person(2))));
    assert_eq!(begins("listing.posted.v1"), Some(TextOwner::Person(person(1))));
    assert_eq!(begins("post.written.v1"), Some(TextOwner::Page(PageId(Uuid::from_u128(0x50)))));
    assert_eq!(begins("post.edited.v1"), None);
}

#[test]
fn a_reason_is_a_decision_about_whoever_spoke_unless_they_give_it_themselves() {
    let removed = |by| Event::from(crate::post::Event::Removed { by, reason: Some(personal("spam")) });
    let owner = |by, begun| stored(&removed(by), Some(begun), |_| None).texts[0].owner;
    let (author, page) = (TextOwner::Person(BEGINNER), TextOwner::Page(PageId(KEY)));
    assert_eq!(owner(crate::authored::Remover::Moderator, author), Some(TextOwner::Decisions(BEGINNER.0)));
    assert_eq!(owner(crate::authored::Remover::Moderator, page), Some(TextOwner::Decisions(KEY)));
    assert_eq!(owner(crate::authored::Remover::Author, author), Some(author));
    assert_eq!(Voice::Page(PageId(KEY)).owner(), page);
}

#[test]
fn what_somebody_told_of_a_text_counts_more_than_the_rule() {
    let asked = Event::from(question::Event::Posted { author: person(1), title: personal("How?"), body: personal("Why?") });
    let told = |at: &str| (at == "/title").then_some(TextOwner::Poll(KEY));
    let owners: Vec<_> = stored(&asked, None, told).texts.into_iter().map(|text| text.owner).collect();
    assert_eq!(owners, [Some(TextOwner::Poll(KEY)), Some(TextOwner::Person(person(1)))]);
}

#[test]
fn an_edit_without_its_beginning_belongs_to_nobody() {
    let edited = Event::from(crate::post::Event::Edited { version: 2, text: personal("Fresh") });
    assert_eq!(stored(&edited, None, |_| None).texts[0].owner, None);
}

#[test]
fn what_is_masked_already_is_no_text() {
    let data = format!(r#"{{"author":"{KEY}","title":null,"body":"B"}}"#);
    let stored = Encoded { event_type: "question.posted.v1".to_owned(), data };
    let written = Written { stream: &stream("question"), at: NOON, begun: None };
    let parted = part_stored(&stored, |_| ALL, &written, |_| None).unwrap();
    assert_eq!(values(&parted), [("/body", "\"B\"")]);
}

#[test]
fn what_a_stored_event_holds_beside_stays_where_it_stands() {
    let data =
        format!(r#"{{ "mood": {{"null":null}}, "body":"B\u00e9 \"x\", [", "ti\u0074le" : "T","author":"{KEY}","more":[1,{{}}, []]}}"#);
    let stored = Encoded { event_type: "question.posted.v1".to_owned(), data: data.clone() };
    let written = Written { stream: &stream("question"), at: NOON, begun: None };
    let parted = part_stored(&stored, |_| ALL, &written, |_| None).unwrap();
    assert_eq!(parted.facts.data, data.replace(r#""B\u00e9 \"x\", [""#, "null").replace("\"T\"", "null"));
    assert_eq!(values(&parted), [("/body", r#""B\u00e9 \"x\", [""#), ("/title", "\"T\"")]);
    assert_eq!(put_back(&parted.facts.data, &values(&parted)).unwrap(), data);
}

#[test]
fn a_group_keeps_its_name_to_itself_only_where_that_is_asked() {
    let named = Event::from(crate::group::Event::Renamed { name: crate::testing::communal("Andes") });
    assert_eq!(part(&named, Mask::Persons), Parted { whole: named.encode(), facts: named.encode(), texts: vec![] });
    assert_eq!(values(&part(&named, ALL)), [("/name", "\"Andes\"")]);
}

#[test]
fn a_text_goes_nowhere_but_where_a_null_is_left_for_it() {
    let data = r#"{"a":null,"b":{"c":null,"d~/e":[null,7]}}"#;
    assert_eq!(put_back(data, &[("/a", "1"), ("/b/c", "\"x\""), ("/b/d~0~1e/0", "{}")]).unwrap(), r#"{"a":1,"b":{"c":"x","d~/e":[{},7]}}"#);
    assert_eq!(put_back(data, &[]).unwrap(), data);
    for wrong in [&[("/x", "1")][..], &[("/b", "1")], &[("/b/d~0~1e/1", "1")], &[("/b/c", "1"), ("/a", "1")], &[("/a", "1"), ("/a", "1")]] {
        assert_eq!(put_back(data, wrong), Err(Misplaced), "{wrong:?}");
    }
    for broken in ["", "{", r#"{"a""#, r#"{"a":nul"#, r#"{"a":"x"#, "[", "[null", "[null,", "{null}", "]", ":", "[1 2]"] {
        assert_eq!(put_back(broken, &[("/a", "1")]), Err(Misplaced), "{broken}");
    }
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(r#"[a-c/~"\\é]{0,3}"#, inner, 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// How many values there are, with those within.
fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(values) => values.iter().map(count).sum::<usize>(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn a_walk_finds_every_value_where_its_pointer_says(json in any_json(), pretty in any::<bool>()) {
        let text = if pretty { format!("{json:#}") } else { json.to_string() };
        let mut seen = 0;
        let walked = walk(&text, &mut |at, place| {
            seen += 1;
            assert_eq!(json.pointer(at), serde_json::from_str(&text[place]).ok().as_ref(), "{at} of {text}");
            false
        });
        prop_assert_eq!((walked, seen), (Some(()), count(&json)));
    }

    #[test]
    fn no_text_makes_a_walk_panic(text in prop_oneof![any::<String>(), r#"[\[\]{}:,"\\a1 null]{0,24}"#]) {
        let _ = put_back(&text, &[("/a", "1")]);
        let _ = cut(&text, |_| false);
    }

    #[test]
    fn any_words_survive_being_apart(title in any::<String>(), body in prop_oneof![any::<String>(), r#"["\\,:{}\[\]a-z]{0,20}"#]) {
        let event = question::Event::Posted { author: person(1), title: personal(&title), body: personal(&body) };
        let parted = part(&event, ALL);
        prop_assert_eq!(&parted.facts.data, &format!(r#"{{"author":"{}","title":null,"body":null}}"#, person(1)));
        prop_assert_eq!(put_back(&parted.facts.data, &values(&parted)).unwrap(), encode(&event).data);
    }
}
