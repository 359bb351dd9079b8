//! Every text in every event is somebody's, or stands in a list with the reason why it is not.

use super::*;
use crate::testing::samples;
use crate::{Mask, part};

/// Fields of text that are nobody's, and why: they stay readable in the log, its copies and exports for ever. What is listed here
/// must be for everyone, or no words at all; what somebody could have typed in confidence belongs into a `Personal` value.
const OPEN: &[(&str, &str)] = &[
    ("listing.edited.v1 /details/category", "one of the lower-case names that clients agree upon, under which things are found"),
    ("listing.made_available.v1 /price/currency", "a code of ISO 4217"),
    ("listing.posted.v1 /details/category", "one of the lower-case names that clients agree upon, under which things are found"),
    ("listing.posted.v1 /price/currency", "a code of ISO 4217"),
    ("listing.repriced.v1 /previous/currency", "a code of ISO 4217"),
    ("listing.repriced.v1 /price/currency", "a code of ISO 4217"),
    ("listing.sold.v1 /asked/currency", "a code of ISO 4217"),
    ("listing.sold.v1 /price/currency", "a code of ISO 4217"),
    ("page.created.v1 /name", "pages are public, and found by their names"),
    ("page.created.v1 /username", "pages are public, and found by their usernames for ever"),
    ("page.renamed.v1 /name", "pages are public, and found by their names"),
    ("page.username_changed.v1 /previous", "pages are public, and found by their usernames for ever"),
    ("page.username_changed.v1 /username", "pages are public, and found by their usernames for ever"),
    ("person.registered.v1 /locale", "a language tag of BCP 47, which many share"),
    ("skip.decided.v1 /event_type", "the type of an event, which programs name"),
    ("skip.decided.v1 /stream", "the name of a stream, which the event itself stands under in the open"),
    ("unmasking.recorded.v1 /asked", "which events were read: filters by type, stream and time, for all who watch over such reading"),
    ("username.claimed.v1 /founding/name", "pages are public, and found by their names"),
    ("username.claimed.v1 /username", "pages are public, and found by their usernames for ever"),
];

/// What is known of a field that may hold text.
#[derive(Debug, PartialEq, Eq)]
enum Text {
    /// It has an owner.
    Owned,
    /// Nothing says whose it is.
    Open,
}

/// The fields of `schema` that may hold any text, with their pointers; `*` stands for every part of a list.
fn texts(schema: &Value, definitions: &Value, at: &str, found: &mut Vec<(String, Text)>) {
    if schema[PERSONAL] == json!(true) || schema[COMMUNAL] == json!(true) {
        return found.push((at.to_owned(), Text::Owned));
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        texts(&definitions[name], definitions, at, found);
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        schema[several].as_array().into_iter().flatten().for_each(|one| texts(one, definitions, at, found));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        texts(field, definitions, &format!("{at}/{name}"), found);
    }
    for parts in ["items", "additionalProperties"] {
        if schema[parts].is_object() {
            texts(&schema[parts], definitions, &format!("{at}/*"), found);
        }
    }
    let of_text = |kind: &Value| kind == "string";
    let is_text = of_text(&schema["type"]) || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(of_text));
    // Ids and times say nothing, and the words of a closed set are ours.
    let closed = matches!(schema["format"].as_str(), Some("uuid" | "date-time")) || schema.get("const").or(schema.get("enum")).is_some();
    if is_text && !closed {
        found.push((at.to_owned(), Text::Open));
    }
    // Whatever has no type may hold a text as well.
    let known = ["type", "$ref", "anyOf", "oneOf", "allOf", "const", "enum"];
    if !known.iter().any(|word| schema.get(word).is_some()) {
        found.push((at.to_owned(), Text::Open));
    }
}

fn of_all() -> BTreeMap<String, Vec<(String, Text)>> {
    let of = |schema: &Value| {
        let mut found = vec![];
        texts(schema, &schema["$defs"], "", &mut found);
        found
    };
    schemas().iter().map(|(name, schema)| (name.clone(), of(schema))).collect()
}

#[test]
fn every_text_is_somebodys_or_listed_with_the_reason_why_not() {
    let mut open: Vec<String> = vec![];
    for (name, found) in of_all() {
        open.extend(found.iter().filter(|(_, text)| *text == Text::Open).map(|(at, _)| format!("{name} {at}")));
    }
    open.sort();
    open.dedup();
    let listed: Vec<&str> = OPEN.iter().map(|(field, _)| *field).collect();
    let missing: Vec<_> = open.iter().filter(|field| !listed.contains(&field.as_str())).collect();
    assert!(missing.is_empty(), "these are nobody's, and no reason is given: {missing:?}");
    assert_eq!(open, listed, "the list is sorted and holds what is there");
    assert!(OPEN.iter().all(|(_, reason)| !reason.is_empty()));
}

/// The other way round: what the schema marks is what is taken out of an event.
#[test]
fn what_is_marked_is_what_is_taken_out() {
    let all = of_all();
    for sample in samples() {
        let parted = part(&sample, Mask::PersonsAndGroup);
        let taken: BTreeSet<&str> = parted.texts.iter().map(|text| &*text.at).collect();
        let found = &all[&parted.facts.event_type];
        let marked: BTreeSet<&str> = found.iter().filter(|(_, text)| *text == Text::Owned).map(|(at, _)| &**at).collect();
        assert_eq!(taken, marked, "{}", parted.facts.event_type);
    }
}

#[test]
fn a_field_that_somebody_adds_is_found_wherever_it_stands() {
    let schema = json!({
        "properties": {
            "id": { "type": "string", "format": "uuid" },
            "kind": { "oneOf": [{ "type": "string", "const": "a" }, { "type": "string", "const": "b" }] },
            "note": { "type": ["string", "null"] },
            "list": { "type": "array", "items": { "type": "string" } },
            "deep": { "anyOf": [{ "$ref": "#/$defs/Deep" }, { "type": "null" }] },
            "any": {},
            "own": { "type": ["string", "null"], "x-personal": true }
        },
        "type": "object"
    });
    let definitions = json!({ "Deep": { "type": "object", "properties": { "word": { "type": "string", "pattern": "^.*$" } } } });
    let mut found = vec![];
    texts(&schema, &definitions, "", &mut found);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let found: Vec<_> = found.iter().map(|(at, text)| (at.as_str(), *text == Text::Owned)).collect();
    assert_eq!(found, [("/any", false), ("/deep/word", false), ("/list/*", false), ("/note", false), ("/own", true)]);
}
