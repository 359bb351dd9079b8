//! Somebody who acts over HTTP, and the answers they get.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, clippy::return_self_not_must_use, reason = "helpers for tests fail the test")]

use axum::{
    Router,
    body::{Body, BodyDataStream, Bytes, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
};
use futures::StreamExt;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tower::ServiceExt;
use uuid::Uuid;

/// Where requests go, and what must not come back.
pub(crate) struct Door {
    pub router: Router,
    /// Answers 500, and those that tell the salt.
    pub faults: Mutex<Vec<String>>,
    /// The salt of person ids as the log holds it, if it has one.
    pub salt: Option<String>,
}

impl Door {
    fn tells_salt(&self, text: &[u8]) -> bool {
        self.salt.as_ref().is_some_and(|salt| text.windows(salt.len()).any(|part| part == salt.as_bytes()))
    }
}

/// Somebody who acts over HTTP.
#[derive(Clone)]
pub struct Actor {
    door: Arc<Door>,
    id: Option<Uuid>,
    headers: HeaderMap,
}

/// What is sent as a body: JSON, or `()` for none.
pub enum Payload {
    /// No body.
    None,
    /// A JSON body.
    Json(Value),
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<()> for Payload {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl Actor {
    pub(crate) fn new(door: Arc<Door>, id: Option<Uuid>) -> Self {
        Self { door, id, headers: HeaderMap::new() }
    }

    /// Their person id.
    pub fn id(&self) -> Uuid {
        self.id.unwrap()
    }

    /// Their person id, if they are somebody.
    pub fn known_id(&self) -> Option<Uuid> {
        self.id
    }

    /// The same person, sending this header along.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut actor = self.clone();
        actor.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        actor
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, ()).await
    }

    /// Sends a command.
    pub async fn post(&self, path: &str, body: impl Into<Payload>) -> Reply {
        self.send(Method::POST, path, body).await
    }

    /// Puts something in a place.
    pub async fn put(&self, path: &str, body: impl Into<Payload>) -> Reply {
        self.send(Method::PUT, path, body).await
    }

    /// Changes parts of something.
    pub async fn patch(&self, path: &str, body: impl Into<Payload>) -> Reply {
        self.send(Method::PATCH, path, body).await
    }

    /// Takes something away.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, ()).await
    }

    /// Any request.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Payload>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        let body = match body.into() {
            Payload::None => Body::empty(),
            Payload::Json(value) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(value.to_string())
            }
        };
        self.raw(request.body(body).unwrap()).await
    }

    /// A request as it is, with this actor's headers where it has none of that name.
    pub async fn raw(&self, mut request: Request<Body>) -> Reply {
        for (name, value) in &self.headers {
            if !request.headers().contains_key(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let asked = format!("{} {}", request.method(), request.uri());
        let response = self.door.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let reply = Reply { asked, status: parts.status, headers: parts.headers, bytes };
        let headers = format!("{:?}", reply.headers);
        if reply.status == StatusCode::INTERNAL_SERVER_ERROR
            || self.door.tells_salt(&reply.bytes)
            || self.door.tells_salt(headers.as_bytes())
        {
            self.door.faults.lock().unwrap().push(reply.to_string());
        }
        reply
    }
}

/// A stream of server-sent events; to drop it is to close the connection.
pub struct Events {
    door: Arc<Door>,
    body: BodyDataStream,
    text: String,
}

/// A server-sent event. Those without data are signs of life, which clients do not see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// From where to resume.
    pub id: String,
    /// What sort of event.
    pub event: String,
    /// What it says.
    pub data: String,
}

impl Actor {
    /// Opens a stream of server-sent events.
    pub async fn listen(&self, path: &str) -> Events {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        let response = self.door.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Events { door: self.door.clone(), body: response.into_body().into_data_stream(), text: String::new() }
    }
}

impl Events {
    /// The next event, signs of life included; `None` if the server has ended the stream.
    pub async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let mut sent = Sent::default();
                for (field, value) in event.lines().filter_map(|line| line.split_once(':')) {
                    match field {
                        "id" => value.trim_start().clone_into(&mut sent.id),
                        "event" => value.trim_start().clone_into(&mut sent.event),
                        "data" => value.trim_start().clone_into(&mut sent.data),
                        _ => {}
                    }
                }
                let read = self.text.len() - rest.len();
                self.text.drain(..read);
                return Some(sent);
            }
            let next = tokio::time::timeout(Duration::from_mins(1), self.body.next()).await;
            self.text.push_str(std::str::from_utf8(&next.expect("the server says nothing")?.unwrap()).unwrap());
            assert!(!self.door.tells_salt(self.text.as_bytes()), "the salt is told: {}", self.text);
        }
    }

    /// Reads on without a look at what is sent, until the server ends the stream; counts its bytes.
    pub async fn drain(mut self, bytes: Arc<AtomicUsize>) {
        while let Some(Ok(part)) = self.body.next().await {
            bytes.fetch_add(part.len(), Ordering::Relaxed);
        }
    }

    /// The next change: its id and what it says.
    pub async fn change(&mut self) -> (String, Value) {
        loop {
            let sent = self.next().await.expect("the stream goes on");
            if !sent.data.is_empty() {
                assert_eq!(sent.event, "change");
                return (sent.id, serde_json::from_str(&sent.data).unwrap());
            }
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    asked: String,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub bytes: Bytes,
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}: {}", self.asked, self.status, String::from_utf8_lossy(&self.bytes))
    }
}

impl Reply {
    /// Fails the test unless the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self}");
        self
    }

    /// Fails the test unless it is a problem of this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{reply}");
        let body = reply.json();
        assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status)), "{reply}");
        reply
    }

    /// Fails the test unless every field of `expected` is in the body.
    #[track_caller]
    pub fn expect_json(self, expected: Value) -> Self {
        let body = self.json();
        let Value::Object(expected) = expected else { panic!("fields are expected: {expected}") };
        for (field, value) in expected {
            assert_eq!(body[&field], value, "{field} of {self}");
        }
        self
    }

    /// The body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The `id` of the body.
    #[track_caller]
    pub fn id(&self) -> Uuid {
        self.json()["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id: {self}"))
    }

    /// The `items` of the body.
    #[track_caller]
    pub fn items(&self) -> Vec<Value> {
        self.json()["items"].as_array().cloned().unwrap_or_else(|| panic!("no items: {self}"))
    }

    /// A header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Where something came to be.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// Everything that must be equal where answers must not be told apart: status, headers, body; without what tells
    /// requests apart.
    pub fn visible(&self) -> (u16, BTreeMap<String, String>, Bytes) {
        let passing = ["date", "x-request-id", "ratelimit", "ratelimit-policy"];
        let headers = self.headers.iter().filter(|(name, _)| !passing.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        (self.status.as_u16(), headers.collect(), self.bytes.clone())
    }
}
