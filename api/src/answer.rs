//! How commands answer: `Done`, with the headers that go with it.

use crate::{extract::Json, headers};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use circolo_events::execute;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A command was done, or it was so already.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Done {
    /// What it is about: the created or changed thing.
    id: Uuid,
    /// Revision of the thing's stream now, for `If-Match`; null for whom it would count what they may not read.
    revision: Option<u64>,
    /// Position of the last event, for `Circolo-Min-Position`.
    position: i64,
    /// How the caller's relation to the thing stands now, for membership commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip)]
    location: Option<String>,
}

impl Done {
    /// 200: something was changed, or was so already.
    pub fn new(id: Uuid, done: &execute::Done) -> Self {
        Self { id, revision: done.revision, position: done.position.0, status: None, location: None }
    }

    /// 201: something came to be at `location`. A repeat under the same key answers the same.
    pub fn created(id: Uuid, done: &execute::Done, location: String) -> Self {
        Self { location: Some(location), ..Self::new(id, done) }
    }

    /// With how things stand now, such as `member`.
    #[must_use]
    pub fn with_status(mut self, status: &'static str) -> Self {
        self.status = Some(status);
        self
    }
}

impl IntoResponse for Done {
    fn into_response(mut self) -> Response {
        let location = self.location.take();
        let (revision, position) = (self.revision, self.position);
        let status = if location.is_some() { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = (status, Json(self)).into_response();
        let mut put = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        };
        put(headers::POSITION, position.to_string());
        if let Some(revision) = revision {
            put(header::ETAG, etag(revision));
        }
        if let Some(location) = location {
            put(header::LOCATION, location);
        }
        response
    }
}

/// The entity tag of a revision, as `If-Match` takes it.
pub fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// A thing that is read, with the revision that `If-Match` takes, if the reader is told one.
#[derive(Debug, Clone)]
pub struct Tagged<T>(pub T, pub Option<i64>);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        match self.1 {
            Some(revision) => ([(header::ETAG, etag(revision.unsigned_abs()))], Json(self.0)).into_response(),
            None => Json(self.0).into_response(),
        }
    }
}
