//! The router with everything around it, and the server that runs it.

use crate::{
    App, Problem, console, health, layers,
    listing::{Cursor, Limit},
    problem::{Body, Failures, Field},
    relay, routes,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use std::{any::Any, net::SocketAddr};
use tokio::{net::TcpListener, sync::watch};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowOrigin, Any as AnyHeader, CorsLayer},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

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
    let openapi = openapi.to_json().unwrap_or_default();
    let serve_openapi = move || async move { ([(header::CONTENT_TYPE, "application/json")], openapi) };
    let docs = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    resources
        .route_layer(middleware::from_fn_with_state(app.clone(), relay::relay))
        .route_layer(middleware::from_fn_with_state(app.clone(), layers::authenticate))
        .route("/openapi.json", get(serve_openapi))
        .merge(docs)
        .merge(console::routes())
        .merge(health::routes())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such address"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take this method; see Allow")
        })
        // One layer of all: each that stands by itself would be a box more to clone for every request.
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn_with_state(app.clone(), layers::observe))
                .layer(CompressionLayer::new().gzip(true))
                .option_layer(cors(&app.config().cors_origins))
                .layer(middleware::from_fn_with_state(app.clone(), layers::time_limit))
                .layer(CatchPanicLayer::custom(panicked))
                .layer(DefaultBodyLimit::max(app.config().body_limit)),
        )
        .with_state(app.clone())
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
            crate::headers::IDEMPOTENCY_KEY,
            crate::headers::LAST_EVENT_ID,
            crate::headers::MIN_POSITION,
            crate::headers::REQUEST_ID,
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            crate::headers::POSITION,
            crate::headers::REQUEST_ID,
        ]);
    Some(layer)
}

/// Serves until `stop` turns true, then takes nothing new and lets running requests end, within bounds.
pub async fn serve(app: &App, listener: TcpListener, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let mut stopped = stop.clone();
    let following = app.clone();
    let shutdown = async move {
        drop(stop.wait_for(|stop| *stop).await);
        following.stop_listening();
    };
    // Small answers go out at once, also while something is still unacknowledged.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection that delays small answers");
        }
    });
    let running = axum::serve(listener, service).with_graceful_shutdown(shutdown).into_future();
    let too_late = async {
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(app.config().drain()).await;
    };
    tokio::select! {
        ended = running => ended,
        () = too_late => {
            tracing::warn!("requests were still running when the time to stop was over");
            Ok(())
        }
    }
}
