//! JSON Schema of every event, made from its type and its documentation, and the catalogue of all events for people.

use crate::{Communal, Currency, Personal, Timestamp, event::event_schemas};
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

/// The word that marks a text that is as open as its group.
const COMMUNAL: &str = "x-communal";

impl<T: JsonSchema> JsonSchema for Communal<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Communal{}", T::schema_name()).into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], COMMUNAL: true })
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

/// How streams are named.
const NAMES: &str = "\
## Streams

A stream is called by its aggregate, a hyphen, and a key: `question-0b7c...`. Words in capitals are ids, in lower case with hyphens;
two of them have a dot between. All that happened to one thing is one stream, in the order of `revision`, from 0 without gaps.

";
/// What stands beside the facts of every event and says where it happened.
const SCOPE: &str = "
## Scope

`scope` tells where an event happened and how private it was there, with the event and all others of its command. It is null
for what belongs to no group and no page, such as a person's registration.

```json
{
  \"owner\": { \"group\": \"00000000-0000-0000-0000-0000000000c1\" },
  \"privacy\": \"closed\",
  \"era\": 2
}
```

- `owner` has one field, `group` or `page`: the id of the group or page.
- `privacy` is `public`, `closed` or `secret`; a page is always `public`.
- `era` counts the changes of the group's privacy before, from 0. What was written in an era is read by who may read that era.
";

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
         Texts marked *personal* are null for analysts unless they may unmask, and texts marked *of the group* unless the group was\n\
         public with the event. What else stands beside the facts of every event (actor, command, time ...) is in\n\
         [analysts.md](analysts.md).\n\n",
    );
    text.push_str(NAMES);
    text.push_str("| stream | holds |\n|---|---|\n");
    for (name, key, holds) in crate::event::STREAMS {
        let _ = writeln!(text, "| `{name}-{key}` | {holds} |");
    }
    text.push_str(SCOPE);
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
    if schema[COMMUNAL] == json!(true) {
        return "text, *of the group*".to_owned();
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
#[path = "schema_tests.rs"]
mod text_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupId;
    use crate::access::{Owner, Privacy, Scope};
    use crate::testing::samples;
    use std::{fs, path::Path};
    use uuid::Uuid;

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
    fn a_scope_has_the_shape_that_is_described() {
        let scope = Scope { owner: Owner::Group(GroupId(Uuid::from_u128(0xc1))), privacy: Privacy::Closed, era: 2 };
        let described = SCOPE.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(serde_json::to_value(scope).unwrap(), serde_json::from_str::<Value>(described).unwrap());
    }

    #[test]
    fn what_groups_say_of_themselves_is_marked() {
        let name = &schemas()["group.created.v1"]["properties"]["name"];
        assert_eq!((&name["x-communal"], &name["type"]), (&json!(true), &json!(["string", "null"])));
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
