//! JSON Schema of every event, made from its type and its documentation, and the catalogue of all events for people.

use crate::{Currency, Personal, Timestamp, event::event_schemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// The word that marks a personal text in a schema.
const PERSONAL: &str = "x-personal";

impl<T: JsonSchema> JsonSchema for Personal<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Personal{}", T::schema_name()).into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], PERSONAL: true })
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$" })
    }
}

/// The JSON Schema of the payload of every event that is written today, by type with version: `question.posted.v1`.
pub fn schemas() -> BTreeMap<String, Value> {
    event_schemas().into_iter().flat_map(|(_, schema)| of_variants(schema.to_value())).collect()
}

/// Takes the schema of an adjacently tagged enum apart.
fn of_variants(mut all: Value) -> Vec<(String, Value)> {
    let definitions = all["$defs"].take();
    let variants = match all["oneOf"].take() {
        Value::Array(variants) => variants,
        // An enum of one variant may be that variant alone.
        _ => vec![all],
    };
    variants
        .into_iter()
        .filter_map(|variant| Some((variant["properties"]["type"]["const"].as_str()?.to_owned(), variant)))
        .map(|(name, variant)| {
            let schema = of_variant(&name, variant, &definitions);
            (name, schema)
        })
        .collect()
}

fn of_variant(name: &str, mut variant: Value, definitions: &Value) -> Value {
    let mut schema = match variant["properties"]["data"].take() {
        Value::Object(data) => data,
        _ => Map::from_iter([("type".to_owned(), json!("object")), ("properties".to_owned(), json!({}))]),
    };
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(name));
    schema.insert("description".to_owned(), variant["description"].take());
    let mut used = BTreeSet::new();
    collect(&Value::Object(schema.clone()), definitions, &mut used);
    if !used.is_empty() {
        let definitions: Map<String, Value> = used.into_iter().map(|name| (name.clone(), definitions[&name].clone())).collect();
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Value::Object(schema)
}

/// Names of the definitions that `schema` refers to, and those refer to.
fn collect(schema: &Value, definitions: &Value, used: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"))
                && used.insert(name.to_owned())
            {
                collect(&definitions[name], definitions, used);
            }
            fields.values().for_each(|value| collect(value, definitions, used));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, definitions, used)),
        _ => {}
    }
}

/// The catalogue of all events, as Markdown. `sample` gives the kept sample of a type: type and data.
pub fn catalogue(sample: impl Fn(&str) -> Option<Value>) -> String {
    let mut text = String::from(
        "# Events\n\nEverything that is ever stored, made from the code: do not edit. `circolo events schema` prints the same as JSON Schema.\n\
         Texts marked *personal* are null for analysts unless they may unmask. What stands beside the facts of every event\n\
         (actor, command, time ...) is in [analysts.md](analysts.md).\n",
    );
    let mut category = String::new();
    for (name, schema) in schemas() {
        let of = name.split('.').next().unwrap_or_default();
        if of != category {
            of.clone_into(&mut category);
            let _ = write!(text, "\n## {category}\n");
        }
        let _ = write!(text, "\n### `{name}`\n\n{}\n", line(&schema["description"]));
        let fields = schema["properties"].as_object();
        if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
            text.push_str("\n| field | type | meaning |\n|---|---|---|\n");
            for (field, of) in fields {
                let meaning = line(&of["description"]).replace('|', "\\|");
                let _ = writeln!(text, "| `{field}` | {} | {meaning} |", kind(of, &schema["$defs"]));
            }
        }
        if let Some(sample) = sample(&name) {
            let _ = write!(text, "\n```json\n{:#}\n```\n", sample["data"]);
        }
    }
    text
}

fn line(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a field holds, in a few words.
fn kind(schema: &Value, definitions: &Value) -> String {
    if schema[PERSONAL] == json!(true) {
        return "text, *personal*".to_owned();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        let target = &definitions[name];
        return match target["format"].as_str() {
            Some("uuid") => format!("id ({name})"),
            _ => words(target).unwrap_or_else(|| name.to_owned()),
        };
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().map(|one| kind(one, definitions)).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = words(schema) {
        return words;
    }
    let word = |name: &Value| match (name.as_str().unwrap_or("any"), schema["format"].as_str()) {
        ("string", Some("date-time")) => "time".to_owned(),
        ("string", Some("uuid")) => "id".to_owned(),
        ("string", _) => "text".to_owned(),
        (name, _) => name.to_owned(),
    };
    match &schema["type"] {
        Value::Array(types) => types.iter().map(word).collect::<Vec<_>>().join(" or "),
        name => word(name),
    }
}

/// The words of an enum of words.
fn words(schema: &Value) -> Option<String> {
    let listed = schema["enum"].as_array().map(|words| words.iter().collect::<Vec<_>>());
    let described = || schema["oneOf"].as_array()?.iter().map(|one| one.get("const")).collect::<Option<Vec<_>>>();
    let words = listed.or_else(described)?;
    Some(words.iter().filter_map(|word| word.as_str()).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples;
    use std::{fs, path::Path};

    fn golden(name: &str) -> Option<Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.json"));
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// `UPDATE_SNAPSHOTS=1 cargo test -p circolo-domain schema` rewrites it.
    #[test]
    fn the_catalogue_in_the_documentation_is_the_one_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
        let made = catalogue(golden);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, &made).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap_or_default() == made, "docs/events.md is old: run the tests with UPDATE_SNAPSHOTS=1");
    }

    #[test]
    fn every_event_has_a_schema_that_its_sample_fits() {
        let schemas = schemas();
        let mut names = BTreeSet::new();
        for sample in samples() {
            let encoded = sample.encode();
            let (schema, data): (_, Value) = (&schemas[&encoded.event_type], serde_json::from_str(&encoded.data).unwrap());
            assert!(!line(&schema["description"]).is_empty(), "{} is not described", encoded.event_type);
            let (fields, data) = (schema["properties"].as_object().unwrap(), data.as_object().unwrap());
            assert!(fields.keys().eq(data.keys().collect::<BTreeSet<_>>()), "{}: {fields:?} but {data:?}", encoded.event_type);
            for (field, of) in fields {
                assert!(!line(&of["description"]).is_empty(), "{field} of {} is not described", encoded.event_type);
            }
            names.insert(encoded.event_type);
        }
        assert!(names.iter().eq(schemas.keys()), "each type has one schema");
    }

    #[test]
    fn personal_texts_are_marked() {
        let schemas = schemas();
        let title = &schemas["question.posted.v1"]["properties"]["title"];
        assert_eq!((&title["x-personal"], &title["type"]), (&json!(true), &json!(["string", "null"])));
        let details = &schemas["listing.posted.v1"]["$defs"]["Details"]["properties"];
        assert_eq!(details["description"]["x-personal"], json!(true), "{details:#}");
    }
}
