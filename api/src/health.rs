//! `/health/live`, `/health/ready` and `/metrics`: for those who run the server. They are not counted by address, so that no load
//! balancer is ever shut out: whoever asks too often is given the last answer again.

use crate::{
    App, Problem, extract::Json, layers::bearer, rate::Seldom, routes::operator::consumers::ConsumerView, routes::operator::deadlines,
    telemetry,
};
use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{Extensions, HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use circolo_events::{Position, StoreError};
use circolo_projections::{DbError, EngineError, State as BuildState, Status};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    net::SocketAddr,
    num::NonZeroU32,
    time::Duration,
};
use tokio::time::timeout;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers that are worked out anew so often in a second, whoever asks.
const READY_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// See [`READY_PER_SECOND`].
const METRICS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// What was told last.
pub(crate) struct Telling {
    ready: Seldom<Result<Value, Problem>>,
    metrics: Seldom<Result<Bytes, Problem>>,
}

impl Default for Telling {
    fn default() -> Self {
        Self { ready: Seldom::new(READY_PER_SECOND), metrics: Seldom::new(METRICS_PER_SECOND) }
    }
}

/// The routes of this file. They are not part of the API's description.
pub(crate) fn routes() -> Router<App> {
    let guarded = async |State(app): State<App>, headers: HeaderMap, extensions: Extensions| {
        may_measure(&app, &headers, &extensions)?;
        metrics(&app).await
    };
    health().route("/metrics", get(guarded))
}

/// The same on a listener of its own, for whoever can reach that.
pub(crate) fn own_routes() -> Router<App> {
    health().route("/metrics", get(async |State(app): State<App>| metrics(&app).await))
}

fn health() -> Router<App> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready))
}

/// Refuses whoever has not the token, or where there is none, whoever is not on this machine: figures tell what goes on here.
fn may_measure(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Result<(), Problem> {
    if let Some(token) = &app.config().metrics_token {
        // Compared as digests, how long it takes tells nothing of the token.
        let given = bearer(headers)?.ok_or_else(Problem::unauthenticated)?;
        return if Sha256::digest(given) == Sha256::digest(token) { Ok(()) } else { Err(Problem::bad_token()) };
    }
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
    // What a proxy on this machine hands on comes from elsewhere.
    let passed_on = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name));
    if passed_on || peer.is_some_and(|peer| !peer.is_loopback()) {
        let detail = "metrics are told on this machine alone, on --metrics-listen, or to whoever has the token of --metrics-token";
        return Err(Problem::forbidden("metrics_not_here", detail));
    }
    Ok(())
}

/// The process runs.
async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// A query that is asked now is answered, also one for what was written a moment ago.
async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.telling().ready.get(readiness(&app)).await.map(Json)
}

async fn readiness(app: &App) -> Result<Value, Problem> {
    let (log, views) = tokio::join!(timeout(PATIENCE, app.store().reach()), timeout(PATIENCE, app.db().reach()));
    match log {
        Ok(Err(lost @ StoreError::Lost)) => return Err(lost.into()),
        Ok(Err(error)) => return Err(away("the log cannot be read and written", &error)),
        Err(late) => return Err(away("the log does not answer", &late)),
        Ok(Ok(())) => {}
    }
    match views {
        Ok(Err(error)) => return Err(away("the read models' database cannot be reached", &error)),
        Err(late) => return Err(away("the read models' database does not answer", &late)),
        Ok(Ok(())) => {}
    }
    if let Some(failure) = app.projector().failure() {
        return Err(Problem::try_later("not_ready", format_args!("the read models have stopped: {failure}")));
    }
    if let Some(trouble) = app.projector().trouble() {
        return Err(away("the read models cannot go on", &trouble));
    }
    match timeout(PATIENCE, app.projector().answers()).await {
        Ok(Err(EngineError::Db(DbError::Building(building)))) => return Err(Problem::try_later("not_ready", building)),
        Ok(Err(error)) => return Err(away("the read models cannot be read", &error)),
        Err(late) => return Err(away("the read models' database does not answer", &late)),
        Ok(Ok(())) => {}
    }
    let Ok(head) = timeout(PATIENCE, app.store().head()).await else { return Err(away("the log does not answer", &"no head")) };
    close_behind(app, head?).await
}

/// Who asks now for what was written a moment ago gets it in time: then the read models are not only close, they move.
async fn close_behind(app: &App, head: Position) -> Result<Value, Problem> {
    let facts = |position: Position| {
        let lag = (head.0 - position.0).max(0);
        let facts = json!({ "status": "ready", "head": head, "position": position, "lag": lag, "leads": app.projector().leads() });
        (lag, facts)
    };
    let (lag, told) = facts(app.projector().position());
    if lag > app.config().ready_lag {
        return Err(Problem::try_later("not_ready", "the read models are too far behind").with_details(told));
    }
    let reached = app.projector().wait_for(head, PATIENCE.min(app.config().catch_up())).await;
    let (lag, told) = facts(app.projector().position());
    match reached {
        Err(_) if lag > 0 => Err(Problem::try_later("not_ready", "the read models do not follow the log").with_details(told)),
        _ => Ok(told),
    }
}

/// What is wrong is told to all, why only to the log of this server.
fn away(what: &'static str, why: &dyn Display) -> Problem {
    tracing::warn!(%why, "not ready: {what}");
    Problem::try_later("not_ready", what)
}

/// Everything measured, as Prometheus reads it.
async fn metrics(app: &App) -> Result<Response, Problem> {
    let text = app.telling().metrics.get(measures(app)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn measures(app: &App) -> Result<Bytes, Problem> {
    let handle = telemetry::metrics().map_err(|error| Problem::internal(&error))?;
    let builds = app.projector().status().await?;
    handle.run_upkeep();
    let consumers = ConsumerView::of(app, &app.consumers().all()).await?;
    let waiting = deadlines::lag_of_all(app).await.map_err(EngineError::from)?;
    Ok((handle.render() + &measured(&builds) + &consumed(&consumers) + &waited(waiting) + &leads(app)).into())
}

/// A figure of a build, if it has it.
type Figure = fn(&Status) -> Option<f64>;

/// What is measured of each build. Written here, as a registry of metrics would keep builds that are long gone.
#[expect(clippy::cast_precision_loss, reason = "figures for people to look at")]
const FIGURES: [(&str, &str, Figure); 9] = [
    ("position", "Up to here it is folded.", |build| Some(build.position.0 as f64)),
    ("head", "Where the log ends.", |build| Some(build.head.0 as f64)),
    ("lag_events", "How many events it lacks, at most.", |build| Some(build.lag_events as f64)),
    ("lag_seconds", "For how long the oldest of them has waited.", |build| Some(build.lag_seconds)),
    ("rate", "Events per second, lately.", |build| Some(build.rate)),
    ("parked_streams", "How many streams it leaves out, as an event of theirs cannot be read.", |build| Some(build.parked as f64)),
    ("progress", "Share of the log that is folded.", |build| Some(build.progress)),
    ("eta_seconds", "How long it will still take, while it is built.", |build| build.eta_seconds),
    ("state", "1, labelled with where the build is in its life.", |_| Some(1.0)),
];

fn waited(seconds: Option<f64>) -> String {
    let what = "circolo_deadlines_lag_seconds";
    let help = "For how long the oldest of what is due has waited to be woken.";
    seconds.map_or_else(String::new, |seconds| format!("# HELP {what} {help}\n# TYPE {what} gauge\n{what} {seconds}\n"))
}

fn leads(app: &App) -> String {
    let what = "circolo_node_leads";
    format!("# HELP {what} 1 while this node moves all read models.\n# TYPE {what} gauge\n{what} {}\n", u8::from(app.projector().leads()))
}

fn measured(builds: &[Status]) -> String {
    let mut text = String::new();
    for (name, help, figure) in FIGURES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP circolo_projection_{name} {help}\n# TYPE circolo_projection_{name} gauge");
        for build in builds {
            // What only waits for a way back stands still and is not to be mended: it has a state and a place.
            let aside = matches!(build.state, BuildState::Old | BuildState::Failed) && !matches!(name, "state" | "position" | "head");
            let Some(value) = figure(build).filter(|_| !aside) else { continue };
            let state = if name == "state" { format!(",state=\"{}\"", build.state.name()) } else { String::new() };
            let Status { name: projection, version, build, .. } = build;
            let _ = writeln!(
                text,
                "circolo_projection_{name}{{projection=\"{projection}\",version=\"{version}\",build=\"{build}\"{state}}} {value}"
            );
        }
    }
    text
}

/// A figure of a consumer, if it has it, and which of those of one kind is told: labels come from a closed set, and there may be a
/// thousand webhooks.
type OfConsumer = (fn(&ConsumerView) -> Option<f64>, fn(f64, f64) -> f64);

/// What is measured of consumers, by kind.
#[expect(clippy::cast_precision_loss, reason = "figures for people to look at")]
const OF_CONSUMERS: [(&str, &str, OfConsumer); 7] = [
    ("position", "Everything up to here has had what follows from it.", (|one| Some(one.position as f64), f64::min)),
    ("lag_events", "How many events it has not looked at, at most.", (|one| Some(one.lag_events as f64), f64::max)),
    ("lag_seconds", "For how long the oldest of them has waited.", (|one| Some(one.lag_seconds), f64::max)),
    (
        "failing",
        "1 while it cannot go on; of several of a kind, how many.",
        (|one| Some(f64::from(u8::from(one.failing))), std::ops::Add::add),
    ),
    (
        "paused",
        "1 while an operator lets it rest; of several of a kind, how many.",
        (|one| Some(f64::from(u8::from(one.paused_at.is_some()))), std::ops::Add::add),
    ),
    (
        "failures",
        "How often it failed the last time, until it went well.",
        (|one| one.failure.as_ref().map(|it| it.times as f64), f64::max),
    ),
    (
        "last_failure_timestamp_seconds",
        "When it failed last.",
        (|one| one.failure.as_ref().map(|failure| failure.last.micros() as f64 / 1e6), f64::max),
    ),
];

fn consumed(consumers: &[ConsumerView]) -> String {
    let mut text = String::new();
    for (name, help, (figure, of_two)) in OF_CONSUMERS {
        let _ = writeln!(text, "# HELP circolo_reaction_{name} {help}\n# TYPE circolo_reaction_{name} gauge");
        let mut kinds = BTreeMap::new();
        for consumer in consumers {
            let Some(value) = figure(consumer) else { continue };
            kinds.entry(&*consumer.kind).and_modify(|known| *known = of_two(*known, value)).or_insert(value);
        }
        for (kind, value) in kinds {
            let _ = writeln!(text, "circolo_reaction_{name}{{reaction=\"{kind}\"}} {value}");
        }
    }
    text
}
