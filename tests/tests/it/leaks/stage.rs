//! A world with people of every kind, and every word in it marked: what is sent, through one door that notes which field of
//! which operation held a mark.

use axum::http::Method;
use circolo_domain::Span;
use circolo_tests::{
    actor::{Actor, Reply},
    world::World,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Fields of requests that hold no words of persons.
const NO_WORDS: &[&str] = &["locale", "currency", "sample", "names", "seed"];
/// Operations that take words which only operators see.
const FOR_OPERATORS: &[&str] = &["rotate_keys", "skip_event", "skip_log_entry"];

/// The description of the API.
pub fn description() -> Value {
    serde_json::from_str(&circolo::server::openapi_json()).unwrap()
}

/// A world, and everybody in it.
pub struct Stage {
    pub world: World,
    pub cast: BTreeMap<&'static str, Actor>,
    description: Value,
    next: usize,
    marked: BTreeSet<(String, String)>,
    keys: usize,
}

impl Stage {
    pub fn new(world: World) -> Self {
        Self { world, cast: BTreeMap::new(), description: description(), next: 0, marked: BTreeSet::new(), keys: 0 }
    }

    /// A mark that stands nowhere else.
    pub fn mark(&mut self) -> String {
        self.next += 1;
        format!("zq{:05}q", self.next)
    }

    /// Somebody with a marked name.
    pub async fn enter(&mut self, name: &'static str) -> Actor {
        let actor = self.world.stranger(name);
        let mark = self.mark();
        self.send(&actor, Method::POST, "/v1/people", json!({ "display_name": mark })).await.expect(201);
        self.cast.insert(name, actor.clone());
        actor
    }

    pub fn actor(&self, name: &str) -> Actor {
        self.cast[name].clone()
    }

    pub async fn post(&mut self, who: &str, path: &str, body: Value) -> Reply {
        self.send(&self.actor(who), Method::POST, path, body).await
    }

    pub async fn put(&mut self, who: &str, path: &str, body: Value) -> Reply {
        self.send(&self.actor(who), Method::PUT, path, body).await
    }

    pub async fn patch(&mut self, who: &str, path: &str, body: Value) -> Reply {
        self.send(&self.actor(who), Method::PATCH, path, body).await
    }

    /// Uploads a picture with a marked name; its id.
    pub async fn upload(&mut self, who: &str) -> uuid::Uuid {
        self.world.clock().advance(Span::minutes(1));
        let path = format!("/v1/media?name={}", self.mark());
        self.note(&Method::POST, &path, &Value::Null);
        let body = axum::body::Body::from(crate::media::picture(200, 100));
        let request = axum::http::Request::post(path).header("content-type", "image/png").body(body).unwrap();
        self.actor(who).raw(request).await.expect(201).id()
    }

    pub async fn delete(&mut self, who: &str, path: &str) -> Reply {
        self.send(&self.actor(who), Method::DELETE, path, Value::Null).await
    }

    /// Sends a command a minute after the one before, and notes which fields were marked.
    pub async fn send(&mut self, actor: &Actor, method: Method, path: &str, body: Value) -> Reply {
        self.world.clock().advance(Span::minutes(1));
        self.keys += 1;
        let actor = actor.with("idempotency-key", &format!("key-{}", self.keys));
        self.note(&method, path, &body);
        if body.is_null() { actor.send(method, path, ()).await } else { actor.send(method, path, body).await }
    }

    fn note(&mut self, method: &Method, path: &str, body: &Value) {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let fits = |template: &str| {
            let (template, bare): (Vec<_>, Vec<_>) = (template.split('/').collect(), bare.split('/').collect());
            template.len() == bare.len() && template.iter().zip(&bare).all(|(part, given)| part.starts_with('{') || part == given)
        };
        let method = method.as_str().to_lowercase();
        let paths = self.description["paths"].as_object().unwrap();
        // A literal part fits before a parameter does: `/requests/me` is no person.
        let found = paths.iter().filter(|(template, operations)| fits(template) && !operations[&method].is_null());
        let (_, operations) = found.min_by_key(|(template, _)| template.matches('{').count()).unwrap();
        let operation = operations[&method]["operationId"].as_str().unwrap().to_owned();
        let marked = |text: &str| super::facts::markers(text).next().is_some();
        let fields =
            body.as_object().into_iter().flatten().filter(|(_, value)| value.as_str().is_some_and(marked)).map(|(name, _)| name.clone());
        let parameters =
            query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(_, value)| marked(value)).map(|(name, _)| name.to_owned());
        self.marked.extend(fields.chain(parameters).map(|field| (operation.clone(), field)));
    }

    /// Fails unless every field of text of every operation was marked.
    pub fn everything_was_marked(&self) {
        let missing: Vec<_> = text_fields(&self.description).into_iter().filter(|field| !self.marked.contains(field)).collect();
        assert!(missing.is_empty(), "no mark was ever put into {missing:?}: write one in leaks/script.rs");
    }

    /// Lets a day go by, and more: a group's privacy changes once a day.
    pub fn another_day(&self) {
        self.world.clock().advance(Span::hours(25));
    }
}

/// All fields and parameters of writing operations that take text.
fn text_fields(description: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for operations in description["paths"].as_object().unwrap().values() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            if method == "get" || FOR_OPERATORS.contains(&name) {
                continue;
            }
            let mut body = &operation["requestBody"]["content"]["application/json"]["schema"];
            body = body["oneOf"].as_array().and_then(|ways| ways.iter().find(|way| !way["$ref"].is_null())).unwrap_or(body);
            if let Some(schema) = body["$ref"].as_str() {
                let schema = &description["components"]["schemas"][schema.rsplit('/').next().unwrap()];
                let fields = schema["properties"].as_object().unwrap();
                found.extend(fields.iter().filter(|(_, field)| is_text(field)).map(|(field, _)| (name.to_owned(), field.clone())));
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let texts = parameters.filter(|parameter| parameter["in"] == "query" && is_text(&parameter["schema"]));
            found.extend(texts.map(|parameter| (name.to_owned(), parameter["name"].as_str().unwrap().to_owned())));
        }
    }
    found.retain(|(_, field)| !NO_WORDS.contains(&field.as_str()));
    assert!(found.len() > 30, "are these all? {found:?}");
    found
}

/// Whether a field takes any text.
fn is_text(schema: &Value) -> bool {
    let is_string = schema["type"] == "string" || schema["type"].as_array().is_some_and(|types| types.contains(&json!("string")));
    is_string && schema["format"].is_null() && schema["enum"].is_null()
}
