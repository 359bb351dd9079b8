//! What only the node can answer that moves a read model: handed on to it, so that operators may ask any node.

use crate::{App, Problem, auth::Scope, caller::SignedIn, whole::too_large};
use axum::{
    body::{self, Body},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use circolo_projections::Holder;
use serde_json::json;
use std::{sync::OnceLock, time::Duration};

/// Below it, projections are steered.
const ROOT: &str = "/v1/operator/projections";
/// A request that another node handed on is not handed on again.
const RELAYED: HeaderName = HeaderName::from_static("circolo-relayed");
/// What is handed on of a request, and of its answer.
const PASSED: [HeaderName; 4] = [header::AUTHORIZATION, header::CONTENT_TYPE, header::RETRY_AFTER, header::WWW_AUTHENTICATE];
/// How long the other node may take to answer; it may wait for a build to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// More is not taken from it: what it tells are figures of a few builds, and rows that verification found different.
const LARGEST: usize = 16 << 20;

/// Hands on what concerns a read model that another node moves, for those who may steer it; that node checks it again. Others are
/// refused here, as if it were this node's.
pub(crate) async fn relay(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(leader) = leader(&app, &request).filter(|_| is_operators(&request)) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let read = body::to_bytes(body, app.config().body_limit);
    let Ok(read) = tokio::time::timeout(app.config().request_timeout(), read).await else {
        return Problem::try_later("timeout", "the request took too long").into_response();
    };
    let Ok(body) = read else { return too_large() };
    match hand_on(&leader, &parts, body.clone()).await {
        Ok(answer) => answer,
        // What is in the database can be told here as well.
        Err(_) if parts.method == Method::GET && parts.uri.path() == ROOT => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(error) => {
            let url = leader.node.url;
            tracing::warn!(%url, %error, "the node that moves the read models cannot be asked");
            let problem = Problem::try_later("not_leading", "another node moves this read model, and cannot be reached from here");
            problem.with_details(json!({ "leader": url })).into_response()
        }
    }
}

/// Who has to be asked instead of this node.
fn leader(app: &App, request: &Request) -> Option<Holder> {
    let projector = app.projector();
    let path = request.uri().path().strip_prefix(ROOT)?.trim_matches('/');
    // What is parked stands in the database, and is skipped by an event.
    if path.contains("/parked") || projector.leads() || request.headers().contains_key(&RELAYED) {
        return None;
    }
    match path.split_once('/') {
        Some((name, _)) if projector.moves(name) => None,
        Some((name, _)) => projector.leader(name),
        // All of them, or some that only the body names.
        None => projector.names().find_map(|name| projector.leader(name)),
    }
}

fn is_operators(request: &Request) -> bool {
    request.extensions().get().is_some_and(|SignedIn(principal)| principal.scopes.contains(&Scope::Operator))
}

/// Why there is no answer of the other node.
#[derive(Debug, thiserror::Error)]
enum NotHandedOn {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("its answer is larger than any of a circolo")]
    TooLarge,
}

async fn hand_on(leader: &Holder, parts: &Parts, body: body::Bytes) -> Result<Response, NotHandedOn> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = if let Some(client) = CLIENT.get() {
        client
    } else {
        let made = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        CLIENT.get_or_init(|| made)
    };
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut request = client.request(parts.method.clone(), format!("{}{target}", leader.node.url)).body(body);
    for name in PASSED {
        if let Some(value) = parts.headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let mut answer = request.header(RELAYED, HeaderValue::from_static("1")).send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await? {
        text.extend_from_slice(&part);
        if text.len() > LARGEST {
            return Err(NotHandedOn::TooLarge);
        }
    }
    let mut response = (status, text).into_response();
    for name in PASSED {
        match headers.get(&name) {
            Some(value) => drop(response.headers_mut().insert(name, value.clone())),
            None => drop(response.headers_mut().remove(name)),
        }
    }
    Ok(response)
}
