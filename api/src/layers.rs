//! What surrounds every request: its id, span and metrics, the token, the rate limit, the time limit, headers of every answer.

use crate::{
    App, Problem,
    auth::AuthError,
    caller::{CameFrom, SignedIn},
    console, headers,
    listing::Next,
    rate::{Allowance, Asker},
};
use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
};
use std::net::{IpAddr, SocketAddr};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// Names a request in logs and answers; the caller's own, or a fresh one.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id as a UUID, for the events' correlation.
    pub(crate) fn uuid(&self) -> Uuid {
        self.0.parse().unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, self.0.as_bytes()))
    }
}

/// Gives the request its id and its span, and counts it; gives the answer what every answer has.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: middleware::Next) -> Response {
    let id = headers::request_id(request.headers()).unwrap_or_else(|| app.fresh_id().to_string());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        %method,
        route,
        request_id = id,
        command_id = tracing::field::Empty,
        person = tracing::field::Empty,
        status = tracing::field::Empty
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let started = Instant::now();
    let mut response = finish(request, next).instrument(span.clone()).await;
    let (elapsed, status) = (started.elapsed(), response.status());
    span.record("status", status.as_u16());
    span.in_scope(|| tracing::debug!(elapsed_ms = elapsed.as_secs_f64() * 1e3, "answered"));
    let labels = [("method", method.to_string()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::histogram!("circolo_http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(headers::REQUEST_ID, id);
    }
    response
}

/// Headers that keep browsers and caches from doing harm, and the link to the next page.
async fn finish(request: Request, next: middleware::Next) -> Response {
    let uri = request.uri().clone();
    let mut response = next.run(request).await;
    if let Some(link) = response.extensions_mut().remove::<Next>()
        && let Ok(link) = HeaderValue::try_from(link.link(&uri))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    let (docs, console) = (uri.path().starts_with("/docs"), uri.path().starts_with("/console"));
    let policy = match (docs, console) {
        (true, _) => DOCS_POLICY,
        (_, true) => console::POLICY,
        _ => "default-src 'none'; frame-ancestors 'none'",
    };
    for (name, value) in [
        (header::CACHE_CONTROL, if docs { "public, max-age=3600" } else { "private, no-store" }),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The documentation page runs its own scripts and styles, and calls this server.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Ends requests that take too long. An append that is under way may still happen: the same key finds out.
pub(crate) async fn time_limit(State(app): State<App>, request: Request, next: middleware::Next) -> Response {
    // Verifying folds the whole log: operators wait for it.
    if request.uri().path().starts_with("/v1/operator/") {
        return next.run(request).await;
    }
    match tokio::time::timeout(app.config().request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::try_later("timeout", "the request took too long").into_response(),
    }
}

/// Checks the token, if there is one, and how often its owner asks. A token that does not hold is refused whatever is asked.
pub(crate) async fn authenticate(State(app): State<App>, mut request: Request, next: middleware::Next) -> Response {
    let principal = match bearer(request.headers()) {
        Ok(None) => None,
        Ok(Some(token)) => match app.auth().verify(token).await {
            Ok(principal) => Some(principal),
            Err(AuthError::Refused(reason)) => {
                tracing::debug!(reason, "token refused");
                return limited(&app, &Asker::Address(address(&app, &request))).into_answer(Problem::bad_token().into_response());
            }
            Err(AuthError::Unavailable(_)) => {
                return Problem::try_later("issuer_unavailable", "the keys of the token's issuer cannot be fetched").into_response();
            }
        },
        Err(problem) => return problem.into_response(),
    };
    let asker = principal.as_ref().map_or_else(|| Asker::Address(address(&app, &request)), |known| Asker::Person(known.person.0));
    let limited = limited(&app, &asker);
    if limited.0.is_some_and(|allowance| allowance.refused.is_some()) {
        return limited.into_answer(().into_response());
    }
    let known = principal.is_some();
    if let Some(principal) = principal {
        tracing::Span::current().record("person", tracing::field::display(principal.person));
        request.extensions_mut().insert(SignedIn(principal));
        if let Some(address) = address(&app, &request) {
            request.extensions_mut().insert(CameFrom(address));
        }
    }
    let response = next.run(request).await;
    // Who has a valid token lacks only the registration.
    let response =
        if known && response.status() == StatusCode::UNAUTHORIZED { Problem::not_registered().into_response() } else { response };
    limited.into_answer(response)
}

/// The token of `Authorization: Bearer`, if the header is there at all.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let scheme_and_token = value.to_str().ok().and_then(|value| value.split_once(' '));
            let token = scheme_and_token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
            token.map(Some).ok_or_else(Problem::bad_token)
        }
        (Some(_), Some(_)) => Err(Problem::bad_token()),
    }
}

/// The caller's address; `None` where there is no connection, as in tests.
fn address(app: &App, request: &Request) -> Option<IpAddr> {
    let forwarded =
        || request.headers().get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok();
    let connected = || request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    if app.config().behind_proxy { forwarded().or_else(connected) } else { connected() }
}

struct Limited(Option<Allowance>);

fn limited(app: &App, asker: &Asker) -> Limited {
    Limited(app.rate().map(|rate| rate.check(asker)))
}

impl Limited {
    /// `response` with the rate headers, or the refusal.
    fn into_answer(self, response: Response) -> Response {
        let Some(Allowance { limit, remaining, reset, refused }) = self.0 else { return response };
        let mut response = match refused {
            Some(seconds) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests").with_retry_after(seconds).into_response()
            }
            None => response,
        };
        for (name, value) in [
            (HeaderName::from_static("ratelimit-policy"), format!("\"default\";q={limit};w=60")),
            (HeaderName::from_static("ratelimit"), format!("\"default\";r={remaining};t={reset}")),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
