//! `Json`, `Query` and `Path` that answer bad input with problems: 400 for what cannot be read, 422 for fields that break rules.

mod strict;
mod unique;

use crate::{
    call::Asked,
    problem::{Field, Problem},
};
use axum::{
    body::{Bytes, HttpBody},
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use strict::Strict;

/// A JSON body, in a request or in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The query string. Every problem with it is a 400.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The variable parts of the path. Every problem with it is a 400.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// A JSON body that may be left out.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

/// For `#[serde(default, deserialize_with = "present")]`: tells null (`Some(None)`) from absence (`None`).
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(body)| Self(body))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "the body has to be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let asked = request.extensions().get::<Asked>().cloned();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        // First any JSON, then ours: so malformed JSON is told from JSON that breaks rules, wherever in it the fault is.
        let (value, twice) = unique::read(&bytes).map_err(|error| Problem::bad_request("malformed_json", error))?;
        if let Some(field) = twice {
            return Err(Problem::invalid(vec![duplicate(field)]));
        }
        if let Some(asked) = asked {
            asked.of_body(&value);
        }
        serde_path_to_error::deserialize(Strict(&value)).map(Self).map_err(|error| Problem::invalid(vec![field(&error)]))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        // No text that is kept holds this character, and not every database takes it even in a question.
        let holds_nul = |text: &str| text.contains('\0');
        if query.contains("%00")
            && let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).find(|(name, value)| holds_nul(name) || holds_nul(value))
        {
            let message = "the character NUL is not allowed".to_owned();
            let field = Field { field: short(&name.replace('\0', "")), code: "control_character".to_owned(), message };
            return Err(bad_query(field));
        }
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| bad_query(field(&error)))
    }
}

fn bad_query(field: Field) -> Problem {
    Problem::bad_request("bad_query", "the query string breaks rules; see the fields").with_fields(vec![field])
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad = || Problem::bad_request("bad_path", "a part of the path is not an id");
        if parts.uri.path().contains("%00") {
            return Err(bad());
        }
        #[expect(clippy::disallowed_types, reason = "this is the wrapper")]
        axum::extract::Path::from_request_parts(parts, state).await.map(|axum::extract::Path(path)| Self(path)).map_err(|_| bad())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn unread(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large"),
        _ => Problem::bad_request("unreadable_body", "the body could not be read"),
    }
}

/// What serde says, in terms a client can switch on. Values of the request are not repeated: they may be long or private.
fn field<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Field {
    let message = error.inner().to_string();
    let path = match error.path().to_string() {
        path if path == "." => String::new(),
        path => path,
    };
    let named = message.split('`').nth(1).unwrap_or_default();
    let expected = |otherwise: &str| message.split_once(", expected ").map_or(otherwise.to_owned(), |(_, what)| format!("expected {what}"));
    let of = |path: String, code: &str, message: String| Field { field: path, code: code.to_owned(), message };
    match message.split_once(' ').map_or(message.as_str(), |(first, _)| first) {
        _ if message.starts_with("missing field") => of(join(&path, named), "missing", "this field is needed".to_owned()),
        _ if message.starts_with("duplicate field") => duplicate(join(&path, named)),
        _ if message.starts_with("unknown field") => of(join(&path, &short(named)), "unknown_field", "there is no such field".to_owned()),
        _ if message.starts_with("unknown variant") => of(path, "unknown_value", expected("another value is expected")),
        _ if message.starts_with("invalid type") => of(path, "wrong_type", expected("another type is expected")),
        _ if message.starts_with("UUID parsing failed") => of(path, "bad_uuid", "a UUID is expected".to_owned()),
        // A domain value says `code: message`.
        code if is_code(code) => of(path, &code[..code.len() - 1], message[code.len() + 1..].to_owned()),
        _ => of(path, "invalid_value", expected("another value is expected")),
    }
}

fn duplicate(field: String) -> Field {
    Field { field, code: "duplicate".to_owned(), message: "this field may stand once".to_owned() }
}

fn is_code(word: &str) -> bool {
    word.strip_suffix(':').is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// The field `name` in what stands at `path`; serde's path may already end with it.
fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use circolo_domain::{GroupId, Title};
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ask {
        title: Title,
        privacy: Option<Privacy>,
        group: Option<GroupId>,
        options: Option<Vec<Choice>>,
        first: Option<Choice>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading is tested")]
    struct Choice {
        text: Title,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Privacy {
        Public,
        InviteOnly,
    }

    fn read(body: &Value) -> (String, String) {
        let error = serde_path_to_error::deserialize::<_, Ask>(Strict(body)).unwrap_err();
        let field = field(&error);
        assert!(!field.message.contains("hunter2"), "{}", field.message);
        (field.field, field.code)
    }

    #[test]
    fn each_broken_rule_names_its_field_and_has_a_code() {
        for (body, path, code) in [
            (json!({}), "title", "missing"),
            (json!({ "title": 7 }), "title", "wrong_type"),
            (json!({ "title": "a", "colour": 1 }), "colour", "unknown_field"),
            (json!({ "title": " " }), "title", "empty"),
            (json!({ "title": "x".repeat(201) }), "title", "too_long"),
            (json!({ "title": "a\u{0}b" }), "title", "control_character"),
            (json!({ "title": "a", "privacy": "hunter2" }), "privacy", "unknown_value"),
            (json!({ "title": "a", "group": "hunter2" }), "group", "bad_uuid"),
            (json!({ "title": "a", "options": [{ "text": "b" }, {}] }), "options[1].text", "missing"),
            (json!({ "title": "a", "options": [{ "text": "b", "x": 1 }] }), "options[0].x", "unknown_field"),
            (json!({ "title": "a", "options": "hunter2" }), "options", "wrong_type"),
            (json!({ "title": "a", "options": [["b"]] }), "options[0]", "wrong_type"),
            (json!({ "title": "a", "first": ["b"] }), "first", "wrong_type"),
            (json!({ "title": "a", "first": "hunter2" }), "first", "wrong_type"),
            (json!(["a"]), "", "wrong_type"),
            (json!(null), "", "wrong_type"),
        ] {
            assert_eq!(read(&body), (path.to_owned(), code.to_owned()), "{body}");
        }
    }

    #[test]
    fn what_keeps_the_rules_is_read() {
        let body = json!({ "title": "a", "privacy": "invite_only", "group": null, "options": [{ "text": "b" }], "first": { "text": "c" } });
        let ask: Ask = serde_path_to_error::deserialize(Strict(&body)).unwrap();
        assert_eq!((ask.title.as_str(), ask.options.map(|options| options.len())), ("a", Some(1)));
        assert!(matches!((ask.privacy, ask.group, ask.first), (Some(Privacy::InviteOnly), None, Some(_))));
    }
}
