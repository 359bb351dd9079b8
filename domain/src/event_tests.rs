//! Stored events stay readable for ever: goldens, masking, round trips, upcasts.

use super::*;
use crate::testing::{personal, samples};
use crate::{Mask, Personal, masked, question};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn value(encoded: &Encoded) -> Value {
    json!({ "type": encoded.event_type, "data": serde_json::from_str::<Value>(&encoded.data).unwrap() })
}

/// A new event gets its file by `UPDATE_GOLDEN=1 cargo test -p circolo-domain golden`; a file that is there is never rewritten.
#[test]
fn every_event_has_a_golden_file_that_holds_its_sample() {
    for sample in samples() {
        let encoded = sample.encode();
        let path = golden().join(format!("{}.json", encoded.event_type));
        if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
            fs::write(&path, format!("{:#}\n", value(&encoded))).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
        assert_eq!(value(&encoded), serde_json::from_str::<Value>(&stored).unwrap(), "{}", path.display());
    }
}

#[test]
fn every_golden_file_decodes_and_the_newest_versions_encode_to_themselves() {
    let newest: BTreeSet<String> = samples().iter().map(|sample| sample.encode().event_type).collect();
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        let stored: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let event_type = stored["type"].as_str().unwrap();
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("{event_type}.json"));
        let event = Event::decode(event_type, &stored["data"].to_string()).unwrap();
        if newest.contains(event_type) {
            assert_eq!(value(&event.encode()), stored);
        } else {
            assert!(newest.contains(&event.encode().event_type), "{event_type} is neither current nor upcast to what is");
        }
    }
}

#[test]
fn a_type_name_is_category_fact_and_version() {
    let mut seen = BTreeSet::new();
    for sample in samples() {
        let event_type = sample.encode().event_type;
        let [category, fact, version] = event_type.split('.').collect::<Vec<_>>()[..] else { panic!("{event_type} has not three parts") };
        assert_eq!(category, sample.category());
        assert!(!fact.is_empty() && fact.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{event_type}");
        assert!(version.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok()), "{event_type}");
        assert!(seen.insert(event_type.clone()), "{event_type} names two events");
    }
    assert!(CATEGORIES.is_sorted(), "the list of aggregates is kept sorted");
}

/// Where the description of an event says that there is a text marked so: pointers into its data.
fn marked(event_type: &str, mark: &str) -> Vec<String> {
    fn collect(schema: &Value, definitions: &Value, mark: &str, at: &str, found: &mut Vec<String>) {
        if schema[mark] == json!(true) {
            found.push(at.to_owned());
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            collect(&definitions[name], definitions, mark, at, found);
        }
        for (field, of) in schema["properties"].as_object().into_iter().flatten() {
            collect(of, definitions, mark, &format!("{at}/{field}"), found);
        }
        for one in ["anyOf", "oneOf"].iter().filter_map(|several| schema[*several].as_array()).flatten() {
            collect(one, definitions, mark, at, found);
        }
    }
    let (schema, mut found) = (&crate::schema::schemas()[event_type], vec![]);
    collect(schema, &schema["$defs"], mark, "", &mut found);
    found.sort();
    found.dedup();
    found
}

#[test]
fn descriptions_say_which_texts_are_personal() {
    assert_eq!(marked("comment.written.v1", "x-personal"), ["/text"]);
    assert_eq!(marked("group.role_withdrawn.v1", "x-personal"), ["/departure/reason"]);
    assert_eq!(
        marked("listing.posted.v1", "x-personal"),
        ["/details/delivery", "/details/description", "/details/pickup", "/details/title"]
    );
    assert_eq!(marked("question.posted.v1", "x-personal"), ["/body", "/title"]);
    assert_eq!(marked("question.closed.v1", "x-personal"), [""; 0]);
    assert_eq!(marked("group.created.v1", "x-communal"), ["/description", "/name"]);
}

#[test]
fn a_masked_event_has_null_for_every_personal_text_and_all_else_as_it_was() {
    for (sample, (mask, marks)) in samples().into_iter().flat_map(|sample| {
        let masks = [(Mask::Persons, &["x-personal"][..]), (Mask::PersonsAndGroup, &["x-personal", "x-communal"])];
        masks.map(|mask| (sample.clone(), mask))
    }) {
        let encoded = sample.encode();
        let mut expected = value(&encoded)["data"].take();
        for pointer in marks.iter().flat_map(|mark| marked(&encoded.event_type, mark)) {
            // Of an enum the sample has one variant.
            let Some(text) = expected.pointer_mut(&pointer) else { continue };
            assert!(text.is_string(), "{} {pointer}", encoded.event_type);
            *text = Value::Null;
        }
        let hidden = masked(mask, || sample.encode());
        assert_eq!(value(&hidden)["data"], expected, "{}", encoded.event_type);
        assert!(Event::decode(&hidden.event_type, &hidden.data).is_ok(), "{}", encoded.event_type);
    }
}

#[test]
fn an_unknown_type_and_a_broken_payload_are_told_apart() {
    let unknown =
        |event_type: &str, data: &str| matches!(Event::decode(event_type, data), Err(DecodeError::UnknownType(t)) if t == event_type);
    let broken = |event_type: &str, data: &str| matches!(Event::decode(event_type, data), Err(DecodeError::Broken { .. }));
    assert!(unknown("poll.opened.v1", "{}"));
    assert!(unknown("group.created.v9", "{}"));
    assert!(unknown("group.created.v9", r#"{"name":"Alpine Club"}"#));
    assert!(unknown("nonsense", "{}"));
    assert!(unknown("", "{}"));
    assert!(broken("group.renamed.v1", "{}"));
    assert!(broken("group.renamed.v1", r#"{"name":7}"#));
    assert!(broken("group.renamed.v1", "not json"));
    assert!(broken("group.privacy_changed.v1", r#"{"privacy":"cosy"}"#), "an unknown value is no unknown type");
}

#[test]
fn a_broken_payload_is_told_without_its_words() {
    let told = |event_type: &str, data: &str| Event::decode(event_type, data).unwrap_err().to_string();
    for (event_type, data, end) in [
        ("group.renamed.v1", r"{}", "missing field `name`"),
        ("group.renamed.v1", "not json", "expected ident"),
        ("membership.left.v1", r#"{"episode":"hunter2, expected words"}"#, "expected u32"),
        ("group.privacy_changed.v1", r#"{"privacy":"hunter2"}"#, "expected one of `public`, `closed`, `secret`"),
    ] {
        assert_eq!(told(event_type, data), format!("broken payload of {event_type}: {end}"));
    }
}

#[test]
fn facts_that_a_later_binary_adds_to_an_event_do_not_disturb_this_one() {
    let known = Event::decode("membership.left.v1", r#"{"episode":1,"mood":"fine"}"#).unwrap();
    assert_eq!(known, crate::membership::Event::Left { episode: 1 }.into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_text_survives_storage(
        title in prop_oneof![any::<String>(), r#"["\\,:{}a-z]{0,12}","data":["\\,:{}]{0,6}"#],
        body in prop_oneof![any::<String>(), Just(r#"{"type":"x","data":{}}"#.to_owned())],
        author in any::<u128>(),
    ) {
        let author = crate::testing::person(author);
        let event = Event::from(question::Event::Posted { author, title: personal(&title), body: personal(&body) });
        let encoded = event.encode();
        prop_assert_eq!(&encoded.event_type, "question.posted.v1");
        prop_assert_eq!(Event::decode(&encoded.event_type, &encoded.data).unwrap(), event);
    }
}

// An aggregate whose events have a past: v1 knew one name, v2 a list of them, v3 says who is first.

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum BandEvent {
    #[serde(rename = "band.formed.v3")]
    Formed { players: Vec<Personal<String>>, leader: usize },
    #[serde(rename = "band.parted.v2")]
    Parted { amicably: Option<bool> },
    #[serde(rename = "band.toured.v1")]
    Toured,
}

const BAND: &[Upcast] = &[
    Upcast { from: "band.formed.v1", to: "band.formed.v2", step: |data| *data = json!({ "players": [data["player"].take()] }) },
    Upcast { from: "band.parted.v1", to: "band.parted.v2", step: |_| () },
    Upcast { from: "band.formed.v2", to: "band.formed.v3", step: |data| data["leader"] = json!(0) },
];

fn band(event_type: &str, data: &str) -> Result<BandEvent, DecodeError> {
    decode(event_type, data, BAND)
}

#[test]
fn an_old_version_is_brought_up_step_by_step() {
    let solo = BandEvent::Formed { players: vec![personal("Ann")], leader: 0 };
    assert_eq!(band("band.formed.v1", r#"{"player":"Ann"}"#).unwrap(), solo);
    assert_eq!(band("band.formed.v2", r#"{"players":["Ann"]}"#).unwrap(), solo);
    assert_eq!(band("band.formed.v3", r#"{"players":["Ann"],"leader":0}"#).unwrap(), solo);
    assert_eq!(band("band.toured.v1", "{}").unwrap(), BandEvent::Toured);
}

#[test]
fn an_event_without_facts_may_gain_facts_in_a_later_version() {
    assert_eq!(band("band.parted.v1", "{}").unwrap(), BandEvent::Parted { amicably: None });
    assert_eq!(band("band.parted.v2", r#"{"amicably":true}"#).unwrap(), BandEvent::Parted { amicably: Some(true) });
}

#[test]
fn a_broken_old_version_is_broken_under_the_name_it_was_stored_with() {
    let stored = |result| match result {
        Err(DecodeError::Broken { event_type, .. }) => event_type,
        other => panic!("{other:?}"),
    };
    assert_eq!(stored(band("band.formed.v1", "not json")), "band.formed.v1");
    assert_eq!(stored(band("band.formed.v2", r#"{"players":7}"#)), "band.formed.v2");
    assert!(matches!(band("band.formed.v4", "{}"), Err(DecodeError::UnknownType(_))));
}
