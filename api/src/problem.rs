//! Errors as RFC 9457 `application/problem+json`, with one table from kinds of refusals to statuses.
//!
//! The body carries no request id: answers for the unknown and the invisible must be equal byte by byte.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use circolo_domain::{Kind, Rejection, Span, access::Denied};
use circolo_events::{ExecuteError, LoadError, StoreError, sealing::SealError};
use circolo_projections::{DbError, EngineError, past::PastError};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Display};
use utoipa::{
    IntoResponses, Modify, ToSchema,
    openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response as Described, ResponseBuilder},
};

/// The media type of problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Body>);

/// An error, as RFC 9457 describes it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// `urn:circolo:problem:` and the code.
    #[serde(rename = "type")]
    problem_type: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, for a person.
    detail: String,
    /// Stable; switch on this.
    code: &'static str,
    /// What is wrong with which field of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    fields: Vec<Field>,
    /// Facts that help to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
    #[serde(skip)]
    retry_after: Option<u32>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProblemField)]
pub struct Field {
    /// The path of the field, such as `options[0].text`; empty for the whole.
    pub field: String,
    /// Stable; switch on this.
    pub code: String,
    /// What was expected, for a person.
    pub message: String,
}

impl Problem {
    /// A problem of this status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Display) -> Self {
        Self(Box::new(Body {
            problem_type: format!("urn:circolo:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.to_string(),
            code,
            fields: vec![],
            details: None,
            retry_after: None,
        }))
    }

    /// 400: the request cannot be read.
    pub fn bad_request(code: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: somebody has to sign in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a valid bearer token is needed")
    }

    /// 401: a token was sent, and it does not hold.
    pub fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "bad_token", "the bearer token is not valid here, or no longer")
    }

    /// 403: the caller may not.
    pub fn forbidden(code: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 403: the token's owner has not registered.
    pub fn not_registered() -> Self {
        Self::forbidden("not_registered", "register first: POST /v1/people")
    }

    /// 404: the same for what does not exist and for what the caller may not know of.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing, or you may not know of it")
    }

    /// 422: fields of the request break rules.
    pub fn invalid(fields: Vec<Field>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "the request breaks rules; see the fields");
        problem.0.fields = fields;
        problem
    }

    /// 422: a field of the request names what it may not name.
    pub fn invalid_field(code: &'static str, field: &str, message: &str) -> Self {
        let field = Field { field: field.to_owned(), code: code.to_owned(), message: message.to_owned() };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message).with_fields(vec![field])
    }

    /// 503: later it may go.
    pub fn try_later(code: &'static str, detail: impl Display) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.0.retry_after = Some(1);
        problem
    }

    /// 503: what it is about cannot be read. One body, whatever it is and why: that is told to those who run the server.
    pub fn unreadable() -> Self {
        let detail = "what this is about cannot be read by this server at the moment";
        Self::try_later("unreadable", detail).with_retry_after(UNREADABLE)
    }

    /// The same, unless it is about what is `hidden` from the caller: to them it is unknown.
    #[must_use]
    pub fn unless(self, hidden: bool) -> Self {
        if hidden { Self::not_found() } else { self }
    }

    /// 500: a bug or a broken installation. Logged here, once; the caller learns nothing of it.
    pub fn internal(error: &dyn Display) -> Self {
        tracing::error!(%error, "internal error");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here; it has been logged")
    }

    /// With what is wrong with which field.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<Field>) -> Self {
        self.0.fields = fields;
        self
    }

    /// With facts that help to go on.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Without details, for whom they would tell too much.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        self.0.details = None;
        self
    }

    /// With the number of seconds after which to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }
}

/// The one status table.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Seconds after which it may be worth to ask anew for what cannot be read: somebody has to do something first.
const UNREADABLE: u32 = 30;

impl Problem {
    /// A refusal of the domain.
    pub fn rejected(rejection: &dyn Rejection) -> Self {
        match rejection.kind() {
            // One body, whatever is behind it: it must not tell the unknown from the invisible.
            Kind::NotFound if rejection.code() == "not_found" => Self::not_found(),
            Kind::Unauthenticated => Self::unauthenticated(),
            Kind::Unavailable => Self::unreadable(),
            kind => {
                let mut problem = Self::new(status(kind), rejection.code(), rejection);
                problem.0.details = rejection.details();
                problem.0.retry_after = rejection.wait().map(seconds);
                problem
            }
        }
    }
}

/// Whole seconds, rounded up: asked then, it is possible.
fn seconds(wait: Span) -> u32 {
    u32::try_from(wait.as_micros().max(0).unsigned_abs().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::rejected(&denied)
    }
}

impl<E: Rejection> From<ExecuteError<E>> for Problem {
    fn from(error: ExecuteError<E>) -> Self {
        match error {
            ExecuteError::Rejected(rejection) => Self::rejected(&rejection),
            ExecuteError::KeyReused => {
                Self::new(StatusCode::CONFLICT, "key_reused", "this Idempotency-Key was sent before with another request")
            }
            ExecuteError::PreconditionFailed { current } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "revision_changed", "If-Match does not name the current revision")
                    .with_details(json!({ "revision": current }))
            }
            ExecuteError::Busy | ExecuteError::Contended => Self::try_later("busy", "too many requests for this are waiting"),
            ExecuteError::Store(error) => error.into(),
            ExecuteError::Unreadable(_) => Self::unreadable(),
            ExecuteError::Hidden(_) => Self::not_found(),
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Unreadable(_) => Self::unreadable(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::try_later("busy", "too many requests are waiting"),
            StoreError::Conflict { .. } => Self::try_later("busy", "somebody else changed this at the same moment"),
            StoreError::Unavailable(error) => unavailable("log", &error),
            error @ StoreError::Damaged { .. } => unavailable("log", &error),
            StoreError::Unknown(_) => Self::outcome_unknown(),
            error @ StoreError::Lost => Self::try_later("log_lost_events", error).with_retry_after(60),
            StoreError::TooLarge(reason) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "append_too_large", reason),
            StoreError::Unsealable(SealError::Destroyed(_)) => {
                Self::new(StatusCode::CONFLICT, "forgotten", "whom this is about was forgotten: nothing is written of them any more")
            }
            error @ (StoreError::Invalid(_) | StoreError::Unsealable(_)) => Self::internal(&error),
        }
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Building(building) if building.failed => {
                Self::try_later("projection_failed", &error).with_details(json!({ "projection": building.projection })).with_retry_after(60)
            }
            DbError::Building(building) => Self::try_later("projection_building", &error)
                .with_details(json!({ "projection": building.projection, "progress": building.progress }))
                .with_retry_after(5),
            DbError::Moved
            | DbError::LeaseLost
            | DbError::Closed
            | DbError::Failed(_)
            | DbError::Refused(_)
            | DbError::Unfit(_)
            | DbError::Damaged(_) => unavailable("read models' database", &error),
            DbError::Column(_) => Self::internal(&error),
        }
    }
}

impl From<PastError> for Problem {
    fn from(error: PastError) -> Self {
        match error {
            PastError::Load(error) => error.into(),
            PastError::TooMuch(_) => {
                let message = format!("{error}, more than a request folds; circolo as-of has them all");
                let field = Field { field: "as_of".to_owned(), code: "too_large".to_owned(), message: message.clone() };
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "as_of_too_large", message).with_fields(vec![field])
            }
            PastError::Db(error) => error.into(),
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, &error);
        match error {
            // Operators are told what they misspelled; for them nothing is hidden.
            EngineError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "not_found", &error),
            EngineError::Underway(_) => conflict("build_underway"),
            EngineError::Nothing { .. } => conflict("no_such_build"),
            EngineError::InUse { .. } => conflict("build_in_use"),
            EngineError::Mismatch { .. } => conflict("log_mismatch"),
            EngineError::Failed { .. } => conflict("build_failed"),
            EngineError::Down => Self::try_later("unavailable", "the server is stopping"),
            EngineError::Elsewhere | EngineError::Newer(_) => Self::try_later("not_leading", &error),
            EngineError::Declaration(_) | EngineError::OneNode => Self::internal(&error),
            EngineError::Db(error) => error.into(),
            EngineError::Store(error) => error.into(),
        }
    }
}

impl Problem {
    fn outcome_unknown() -> Self {
        Self::try_later("outcome_unknown", "it may or may not have happened; ask again with the same Idempotency-Key")
    }
}

fn unavailable(what: &str, error: &dyn Display) -> Problem {
    tracing::warn!(%error, "the {what} cannot be reached");
    Problem::try_later("unavailable", "a part of the server cannot be reached")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&*self.0).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Describes every problem a route may answer with.
pub struct Failures;

/// Every status a problem may have, and when.
const STATUSES: [(u16, &str); 12] = [
    (400, "The request cannot be read: malformed JSON, bad UUID, cursor, header or query value"),
    (401, "No token, or one that is expired, foreign or not signed as agreed"),
    (403, "The caller may not, or has not registered (`not_registered`)"),
    (404, "There is no such thing, or the caller may not know of it"),
    (409, "The state of things forbids it, or an Idempotency-Key was used for another request (`key_reused`)"),
    (412, "If-Match does not name the current revision"),
    (413, "The body is too large, or larger than the log takes at once (`append_too_large`)"),
    (415, "The body is not application/json"),
    (422, "Fields break rules; they are listed"),
    (429, "Too many requests, or too often of what is bounded per day (`details.until`); see Retry-After"),
    (500, "A fault of the server; it has been logged"),
    (503, "Busy, behind, unavailable or unreadable; see Retry-After"),
];

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let by_name = |(status, _)| (u16::to_string(&status), RefOr::Ref(Ref::from_response_name(format!("Problem{status}"))));
        STATUSES.into_iter().map(by_name).collect()
    }
}

impl Modify for Failures {
    /// Adds what [`Failures`] refers to, once for all routes.
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_default();
        for (status, description) in STATUSES {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build();
            components.responses.insert(format!("Problem{status}"), RefOr::T(response));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the last admin cannot leave")]
    struct Refusal(Kind);

    impl Rejection for Refusal {
        fn code(&self) -> &'static str {
            "last_admin"
        }
        fn kind(&self) -> Kind {
            self.0
        }
        fn details(&self) -> Option<Value> {
            Some(json!({ "group": 1 }))
        }
        fn wait(&self) -> Option<Span> {
            (self.0 == Kind::TooMany).then_some(Span::micros(2_000_001))
        }
    }

    #[test]
    fn every_kind_of_refusal_has_its_status() {
        let of = |kind| Problem::from(ExecuteError::Rejected(Refusal(kind)));
        for (kind, expected) in [
            (Kind::Invalid, 422),
            (Kind::Unauthenticated, 401),
            (Kind::Forbidden, 403),
            (Kind::NotFound, 404),
            (Kind::Conflict, 409),
            (Kind::TooMany, 429),
            (Kind::Unavailable, 503),
        ] {
            assert_eq!(of(kind).status().as_u16(), expected, "{kind:?}");
        }
        assert_eq!(of(Kind::Conflict).code(), "last_admin");
        assert_eq!(of(Kind::NotFound).code(), "last_admin", "who sees the place may know what is missing there");
        assert_eq!(of(Kind::TooMany).into_response().headers()[header::RETRY_AFTER], "3");
        assert!(!of(Kind::Conflict).into_response().headers().contains_key(header::RETRY_AFTER));
        assert_eq!(Problem::rejected(&Denied::Unknown), Problem::not_found(), "the reason would tell the unknown from the invisible");
        assert_eq!(of(Kind::Unauthenticated), Problem::unauthenticated());
        assert_eq!(of(Kind::Unavailable), Problem::unreadable());
        assert!(Problem::unreadable().into_response().headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn a_fault_of_the_store_shows_no_detail_and_says_when_to_come_back() {
        let problem = Problem::from(StoreError::Unavailable("postgres://user:secret@host".into()));
        assert!(!serde_json::to_string(&*problem.0).unwrap().contains("secret"));
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    }

    #[test]
    fn an_append_that_the_log_finds_too_large_is_told_as_that() {
        let problem = Problem::from(StoreError::TooLarge("the append is larger than 1 MiB"));
        assert_eq!((problem.status().as_u16(), problem.code(), problem.0.retry_after), (413, "append_too_large", None));
        assert!(problem.0.detail.contains("1 MiB"), "{problem:?}");
    }

    #[test]
    fn a_problem_names_its_code_and_its_fields() {
        let field = Field { field: "title".into(), code: "too_long".into(), message: "at most 200 characters are allowed".into() };
        let body = serde_json::to_value(&*Problem::invalid(vec![field]).0).unwrap();
        assert_eq!(body["code"], "invalid_request");
        assert_eq!(body["status"], 422);
        assert_eq!(body["fields"][0]["code"], "too_long");
        assert_eq!(body.get("details"), None);
    }
}
