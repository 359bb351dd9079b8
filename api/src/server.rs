//! The router with everything around it, and the server that runs it.

use crate::{
    App, Problem,
    connections::{self, Limits, Served, files},
    console, docs, health, layers,
    listing::{Cursor, Limit},
    problem::{Body, Failures, Field},
    relay, routes, whole,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware,
    response::{IntoResponse, Response},
};
use std::any::Any;
use tokio::{net::TcpListener, sync::watch};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, Predicate},
    },
    cors::{AllowOrigin, Any as AnyHeader, CorsLayer},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

/// What the description begins with.
#[derive(OpenApi)]
#[openapi(
    info(title = "Circolo", description = "Online communities: groups, members, questions and answers.", license(name = "MIT OR Apache-2.0")),
    components(schemas(Body, Cursor, Field, Limit)),
    modifiers(&Bearer, &Failures),
    security((), ("bearer" = []))
)]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        openapi.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Base::openapi()).nest("/v1", routes::routes())
}

/// The description of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// The description as `openapi.json` holds it.
pub fn openapi_json() -> String {
    openapi().to_pretty_json().unwrap_or_default() + "\n"
}

/// All routes with all layers.
pub fn router(app: &App) -> Router {
    let (resources, openapi) = described().split_for_parts();
    // Layers stand together where they can: each that stands by itself would be a box more to clone for every request.
    let known = ServiceBuilder::new()
        .layer(middleware::from_fn(layers::in_step))
        .layer(middleware::from_fn_with_state(app.clone(), layers::authenticate))
        .layer(middleware::from_fn_with_state(app.clone(), whole::read_to_end))
        .layer(middleware::from_fn_with_state(app.clone(), relay::relay));
    let counted = resources
        .merge(docs::routes(openapi.to_json().unwrap_or_default()))
        .merge(console::routes())
        .fallback(async || docs::nowhere())
        .method_not_allowed_fallback(method_not_allowed)
        .layer(known);
    surrounded(app, counted.merge(health::routes().method_not_allowed_fallback(method_not_allowed)))
}

/// What is answered on places of the reserve: health.
fn reserve_router(app: &App) -> Router {
    let busy = async || Problem::try_later("busy", "too many connections");
    surrounded(app, health::routes().method_not_allowed_fallback(method_not_allowed).fallback(busy))
}

/// What `--metrics-listen` serves.
fn metrics_router(app: &App) -> Router {
    surrounded(app, health::own_routes().method_not_allowed_fallback(method_not_allowed).fallback(async || docs::nowhere()))
}

/// With what every answer has and every request is held to.
fn surrounded(app: &App, routes: Router<App>) -> Router {
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(app.clone(), layers::observe))
        .layer(CompressionLayer::new().gzip(true).compress_when(DefaultPredicate::new().and(as_it_is)))
        .option_layer(cors(&app.config().cors_origins))
        .layer(middleware::from_fn_with_state(app.clone(), layers::time_limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(app.config().body_limit));
    routes.layer(layers).with_state(app.clone())
}

/// What somebody uploaded is sent byte by byte: its parts and its entity tag are those of the file.
fn as_it_is(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<layers::Uploaded>().is_none()
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take this method; see Allow")
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(&format_args!("panic: {}", message.unwrap_or("without a message"))).into_response()
}

/// `None` where only pages of this server itself may ask.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()))
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(AnyHeader)
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
            crate::headers::IDEMPOTENCY_KEY,
            crate::headers::LAST_EVENT_ID,
            crate::headers::MIN_POSITION,
            crate::headers::REQUEST_ID,
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            crate::headers::POSITION,
            crate::headers::REQUEST_ID,
        ]);
    Some(layer)
}

/// Connections to `--metrics-listen` at a time.
const SCRAPERS: usize = 64;

/// Serves until `stop` turns true, then takes nothing new and lets running requests end, within bounds. What is measured is served on
/// `metrics` as well, if there is such a listener.
pub async fn serve(app: &App, listener: TcpListener, metrics: Option<TcpListener>, stop: watch::Receiver<bool>) {
    let mut limits = app.config().limits();
    limits.all = files::within(limits.all);
    let served = Served { all: router(app), in_reserve: reserve_router(app) };
    let running = connections::serve(served, listener, limits.clone(), stop.clone());
    let measuring = async {
        if let Some(metrics) = metrics {
            let limits = Limits { all: SCRAPERS, per_address: None, ..limits };
            let served = Served { all: metrics_router(app), in_reserve: reserve_router(app) };
            connections::serve(served, metrics, limits, stop.clone()).await;
        }
    };
    let (mut told, following) = (stop.clone(), app.clone());
    let stopping = async {
        let _ = told.wait_for(|stop| *stop).await;
        following.stop_listening();
    };
    let too_late = async {
        let _ = stop.clone().wait_for(|stop| *stop).await;
        tokio::time::sleep(app.config().drain()).await;
    };
    tokio::select! {
        _ = async { tokio::join!(running, measuring, stopping) } => {}
        () = too_late => tracing::warn!("requests were still running when the time to stop was over"),
    }
}
