//! One request to change something: who asks, under which command id, and what it must find.

use crate::{App, Problem, auth::Principal, headers, layers::Correlation};
use axum::{extract::MatchedPath, http::request::Parts};
use circolo_domain::{Context, PersonId, StreamName, Timestamp, access::Scope};
use circolo_events::{Revision, execute::Request};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// A request of a known caller.
#[derive(Debug, Clone)]
pub struct Call {
    principal: Arc<Principal>,
    command_id: Uuid,
    correlation: Uuid,
    if_match: Option<Revision>,
    /// `None` without an `Idempotency-Key`.
    asked: Option<Asked>,
}

/// What a keyed request asks, of which a fingerprint is kept. The body is added when [`crate::extract::Json`] reads it.
#[derive(Debug, Clone)]
pub struct Asked {
    query: String,
    body: Arc<OnceLock<String>>,
}

impl Asked {
    /// Adds the body. Order of keys and white space do not count.
    pub(crate) fn of_body(&self, body: &Value) {
        let mut text = String::new();
        canonical(body, &mut text);
        // A request has one body; a second call could only say the same.
        let _ = self.body.set(text);
    }

    fn text(&self) -> Arc<str> {
        format!("{}\n{}", self.query, self.body.get().map_or("", String::as_str)).into()
    }
}

/// JSON with sorted keys, in whatever order they came.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for value in values {
                canonical(value, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

impl Call {
    /// Reads what the headers say and fixes the command id.
    ///
    /// With an `Idempotency-Key` the id derives from person, operation (method and route), target (path) and key; without one it is
    /// fresh.
    pub(crate) fn read(parts: &mut Parts, app: &App, principal: Arc<Principal>) -> Result<Self, Problem> {
        let if_match = headers::if_match(&parts.headers)?;
        let correlation = parts.extensions.get().map_or_else(|| app.fresh_id(), |Correlation(id)| *id);
        let (command_id, asked) = match headers::idempotency_key(&parts.headers)? {
            None => (app.fresh_id(), None),
            Some(key) => {
                let asked = Asked { query: parts.uri.query().unwrap_or_default().to_owned(), body: Arc::default() };
                parts.extensions.insert(asked.clone());
                let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
                let operation = format!("{} {route}", parts.method);
                (keyed_id(principal.person, &operation, parts.uri.path(), &key), Some(asked))
            }
        };
        tracing::Span::current().record("command_id", tracing::field::display(command_id));
        Ok(Self { principal, command_id, correlation, if_match, asked })
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The caller's person id, registered or not.
    pub fn person(&self) -> PersonId {
        self.principal.person
    }

    /// The id of the command; what it creates is named by it.
    pub fn command_id(&self) -> Uuid {
        self.command_id
    }

    /// Whether an `Idempotency-Key` came with it.
    pub fn keyed(&self) -> bool {
        self.asked.is_some()
    }

    /// The revision that the caller saw, if they said so.
    pub fn if_match(&self) -> Option<Revision> {
        self.if_match
    }

    /// Adds what is asked by something else than JSON: what the body came to.
    pub(crate) fn asks(&self, body: &Value) {
        if let Some(asked) = &self.asked {
            asked.of_body(body);
        }
    }

    /// One of several commands that this call comes to; `what` tells them apart. What the call must find is checked before.
    #[must_use]
    pub fn part(&self, what: &str) -> Self {
        Self { command_id: Uuid::new_v5(&self.command_id, what.as_bytes()), if_match: None, ..self.clone() }
    }

    /// The same call of somebody who is not told revisions: whatever they say they saw, that is not it.
    #[must_use]
    pub fn unseeing(&self) -> Self {
        Self { if_match: self.if_match.map(|_| Revision::MAX), ..self.clone() }
    }

    /// What a decision on `stream` by this call may know at `now`.
    pub fn context<'a>(&self, stream: &'a StreamName, now: Timestamp) -> Context<'a> {
        Context { stream, now, actor: Some(self.person()), command_id: self.command_id }
    }

    /// The request as `execute` takes it.
    pub fn request(&self, scope: Option<Scope>) -> Request {
        Request {
            actor: Some(self.person()),
            command_id: self.command_id,
            keyed: self.asked.is_some(),
            asked: self.asked.as_ref().map(Asked::text),
            correlation: self.correlation,
            causation: None,
            scope,
            if_match: self.if_match,
        }
    }
}

/// The id of a command with an `Idempotency-Key`. It is in the log, where nobody is to find whoever signs in by a name that they know:
/// so it derives from the person's id, and not from that name.
fn keyed_id(person: PersonId, operation: &str, path: &str, key: &str) -> Uuid {
    // JSON keeps the parts apart whatever they contain.
    let name = serde_json::json!([person, operation, target(path), key]).to_string();
    Uuid::new_v5(&COMMANDS, name.as_bytes())
}

/// The path, with each id in it as we write it: a target is the same however a caller spells it.
fn target(path: &str) -> String {
    let spelt = |part: &str| {
        let read = percent_decode_str(part).decode_utf8().ok()?;
        Uuid::try_parse(&read).ok().map(|id| id.to_string())
    };
    path.split('/').map(|part| spelt(part).unwrap_or_else(|| part.to_owned())).collect::<Vec<_>>().join("/")
}

/// Namespace of command ids that derive from an `Idempotency-Key`.
const COMMANDS: Uuid = Uuid::from_u128(0x2f4e_5a0c_1d1b_5a53_9f0e_6a1c_9d3b_7c01);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_change_what_is_asked_and_the_content_does() {
        let of = |query: &str, body: &str| {
            let asked = Asked { query: query.to_owned(), body: Arc::default() };
            asked.of_body(&serde_json::from_str(body).unwrap());
            asked.text()
        };
        assert_eq!(of("", r#"{"a":1,"b":[{"c":2,"d":3}]}"#), of("", r#"{ "b": [{"d":3, "c":2}], "a": 1 }"#));
        assert_ne!(of("", r#"{"a":1}"#), of("", r#"{"a":"1"}"#));
        assert_ne!(of("", r#"{"a":1}"#), of("reason=x", r#"{"a":1}"#));
    }

    #[test]
    fn the_id_of_a_keyed_command_derives_from_the_person_and_from_no_name() {
        let (ann, path) = (PersonId(Uuid::from_u128(1)), "/v1/groups");
        let id = keyed_id(ann, "POST /v1/groups", path, "k");
        assert_eq!(id, Uuid::new_v5(&COMMANDS, format!(r#"["{ann}","POST /v1/groups","/v1/groups","k"]"#).as_bytes()));
        assert_eq!(id, keyed_id(ann, "POST /v1/groups", path, "k"));
        for other in [
            keyed_id(PersonId(Uuid::from_u128(2)), "POST /v1/groups", path, "k"),
            keyed_id(ann, "PUT /v1/groups", path, "k"),
            keyed_id(ann, "POST /v1/groups", "/v1/pages", "k"),
            keyed_id(ann, "POST /v1/groups", path, "l"),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn a_target_is_the_same_however_its_id_is_spelt() {
        let id = "0190a6c2-5d3e-7c11-8a52-0123456789ab";
        let as_we_write_it = format!("/v1/groups/{id}/members/{id}/role");
        assert_eq!(target(&as_we_write_it), as_we_write_it);
        let (upper, simple) = (id.to_uppercase(), id.replace('-', ""));
        for other in
            [&*upper, &*simple, &format!("{{{id}}}"), &format!("%7B{upper}%7d"), &format!("urn:uuid:{id}"), &id.replace('a', "%61")]
        {
            assert_eq!(target(&format!("/v1/groups/{other}/members/{other}/role")), as_we_write_it, "{other}");
        }
        assert_eq!(
            target("/v1/operator/projections/groups/parked/group-%00/skip"),
            "/v1/operator/projections/groups/parked/group-%00/skip"
        );
    }

    #[test]
    fn canonical_json_keeps_strings_apart() {
        let mut text = String::new();
        canonical(&json!({ "a\"": "b\"," }), &mut text);
        assert_eq!(text, r#"{"a\"":"b\",",}"#);
    }
}
