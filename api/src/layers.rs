//! What surrounds every request: its id, span and metrics, the token, the rate limit, the time limit, headers of every answer.

use crate::{
    App, Problem,
    auth::{AuthError, Principal},
    caller::{CameFrom, SignedIn},
    console, headers,
    listing::Next,
    rate::{Allowance, Asker},
};
use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// What events of a request belong to. It is always fresh: a caller who could choose it could put their events among others'. What
/// callers choose is told apart from it in logs and traces, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Correlation(pub Uuid);

/// A method as labels and names of spans have it: what callers make up is one.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Gives the request its id and its span, and counts it; gives the answer what every answer has.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: middleware::Next) -> Response {
    let correlation = app.fresh_id();
    let chosen = headers::request_id(request.headers());
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        method,
        route,
        %correlation,
        request_id = chosen,
        command_id = tracing::field::Empty,
        person = tracing::field::Empty,
        status = tracing::field::Empty
    );
    let id = chosen.unwrap_or_else(|| correlation.to_string());
    request.extensions_mut().insert(Correlation(correlation));
    let started = Instant::now();
    let mut response = finish(request, next).instrument(span.clone()).await;
    let (elapsed, status) = (started.elapsed(), response.status());
    span.record("status", status.as_u16());
    span.in_scope(|| tracing::debug!(elapsed_ms = elapsed.as_secs_f64() * 1e3, "answered"));
    // All from closed sets: the router's own paths, and the statuses of this program.
    metrics::histogram!(
        "circolo_http_request_duration_seconds", "method" => method, "route" => route, "status" => status.as_u16().to_string()
    )
    .record(elapsed.as_secs_f64());
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
    // What never changes says itself for how long it may be kept.
    let file = response.extensions().get::<Uploaded>().is_some();
    let kept = docs || console || file || uri.path() == "/openapi.json";
    let cache = response.headers().get(header::CACHE_CONTROL).filter(|_| kept).cloned();
    let policy = match (docs, console, file) {
        (true, ..) => DOCS_POLICY,
        (_, true, _) => console::POLICY,
        (.., true) => UPLOADED_POLICY,
        _ => "default-src 'none'; frame-ancestors 'none'",
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "private, no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if file {
        let name = HeaderName::from_static("cross-origin-resource-policy");
        response.headers_mut().insert(name, HeaderValue::from_static("same-origin"));
    }
    if let Some(cache) = cache {
        response.headers_mut().insert(header::CACHE_CONTROL, cache);
    }
    response
}

/// Marks an answer that is a file which somebody uploaded: it is sent as it is, and nothing in it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uploaded;

/// Whatever somebody uploaded loads nothing, runs nothing, and is of no origin.
const UPLOADED_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// The documentation page runs its own scripts and styles, and calls this server.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Ends requests that take too long. An append that is under way may still happen: the same key finds out.
pub(crate) async fn time_limit(State(app): State<App>, request: Request, next: middleware::Next) -> Response {
    // Verifying folds the whole log: operators wait for it. A file may be long on its way, and is held to a pace.
    if request.uri().path().starts_with("/v1/operator/") || is_upload(&request) {
        return next.run(request).await;
    }
    match tokio::time::timeout(app.config().request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::try_later("timeout", "the request took too long").into_response(),
    }
}

/// Whether a file comes with a request.
pub(crate) fn is_upload(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == "/v1/media"
}

/// Answers of "not found" leave at whole steps of time only: longer than it takes to find out that there is nothing, and than to find out that
/// somebody may not know of what there is.
const STEP: Duration = Duration::from_millis(10);

/// Keeps back that something is not found until the next [`STEP`], so that nobody learns by the time whether a thing is there: what is in
/// memory, in the log, and nowhere are told in different times.
pub(crate) async fn in_step(request: Request, next: middleware::Next) -> Response {
    // Where there is no connection, as in tests, nobody measures.
    let measured = request.extensions().get::<ConnectInfo<SocketAddr>>().is_some();
    let begun = Instant::now();
    let response = next.run(request).await;
    if measured && response.status() == StatusCode::NOT_FOUND {
        let steps = begun.elapsed().as_nanos() / STEP.as_nanos() + 1;
        tokio::time::sleep_until(begun + STEP * u32::try_from(steps).unwrap_or(1)).await;
    }
    response
}

/// Checks the token, if there is one, and how often its owner asks. A token that does not hold is refused whatever is asked.
pub(crate) async fn authenticate(State(app): State<App>, mut request: Request, next: middleware::Next) -> Response {
    let from = address(&app, request.headers(), request.extensions());
    let nobody = Asker::at(from);
    let principal = match bearer(request.headers()) {
        Ok(None) => None,
        Ok(Some(token)) => match signed_in(&app, token, &nobody).await {
            Ok(principal) => Some(principal),
            Err(refusal) => return refusal,
        },
        Err(problem) => return limited(&app, &nobody).into_answer(problem.into_response()),
    };
    let limited = match &principal {
        Some(known) => limited(&app, &Asker::Person(known.person.0)),
        None => limited(&app, &nobody),
    };
    if limited.is_refused() {
        return limited.into_answer(().into_response());
    }
    let known = principal.is_some();
    if let Some(principal) = principal {
        tracing::Span::current().record("person", tracing::field::display(principal.person));
        request.extensions_mut().insert(SignedIn(principal));
    }
    if let Some(address) = from {
        request.extensions_mut().insert(CameFrom(address));
    }
    let response = next.run(request).await;
    // Who has a valid token lacks only the registration.
    let response =
        if known && response.status() == StatusCode::UNAUTHORIZED { Problem::not_registered().into_response() } else { response };
    limited.into_answer(response)
}

/// Who `token` stands for, or what they are told. To check a signature takes as long as to answer: an address that has used up its
/// requests has no new ones checked.
async fn signed_in(app: &App, token: &str, from: &Asker) -> Result<Arc<Principal>, Response> {
    match app.auth().verify_if(token, || !app.rate().is_some_and(|rate| rate.is_used_up(from))).await {
        Ok(principal) => Ok(principal),
        Err(AuthError::NotNow) => Err(too_often(1).into_response()),
        Err(AuthError::Refused(reason)) => {
            tracing::debug!(reason, "token refused");
            Err(limited(app, from).into_answer(Problem::bad_token().into_response()))
        }
        Err(AuthError::Unavailable(_)) => {
            Err(Problem::try_later("issuer_unavailable", "the keys of the token's issuer cannot be fetched").into_response())
        }
    }
}

fn too_often(seconds: u32) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests").with_retry_after(seconds)
}

/// The token of `Authorization: Bearer`, if the header is there at all.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
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
pub(crate) fn address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let forwarded = || headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok();
    let connected = || extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    if app.config().behind_proxy { forwarded().or_else(connected) } else { connected() }
}

struct Limited(Option<Allowance>);

fn limited(app: &App, asker: &Asker) -> Limited {
    Limited(app.rate().map(|rate| rate.check(asker)))
}

impl Limited {
    fn is_refused(&self) -> bool {
        self.0.is_some_and(|allowance| allowance.refused.is_some())
    }

    /// `response` with the rate headers, or the refusal.
    fn into_answer(self, response: Response) -> Response {
        let Some(Allowance { limit, remaining, reset, refused }) = self.0 else { return response };
        let mut response = match refused {
            Some(seconds) => too_often(seconds).into_response(),
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
