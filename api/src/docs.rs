//! `/openapi.json` and `/docs`: the description of the API, for programs and to browse.

use crate::{App, Problem, extract::Path, fixed::Fixed};
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};
use utoipa_swagger_ui::Config;

/// Those that were asked for, which are few: what is not there is not kept.
static FILES: LazyLock<Mutex<HashMap<String, Fixed>>> = LazyLock::new(Mutex::default);

/// The routes of this file. They are not part of the API's description.
pub(crate) fn routes(openapi: String) -> Router<App> {
    let description = Arc::new((OnceLock::new(), openapi));
    let describe = async move |request: HeaderMap| {
        let (made, text) = &*description;
        made.get_or_init(|| Fixed::new("application/json", "no-cache", text.clone().into()))
            .as_ref()
            .map_or_else(nowhere, |file| file.answer(&request))
    };
    Router::new()
        .route("/openapi.json", get(describe))
        .route("/docs", get(async || Redirect::to("/docs/")))
        .route("/docs/", get(async |request: HeaderMap| file("", &request)))
        .route("/docs/{*file}", get(async |Path(name): Path<String>, request: HeaderMap| file(&name, &request)))
}

fn file(name: &str, request: &HeaderMap) -> Response {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = files.get(name) {
        return file.answer(request);
    }
    let found = utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json")));
    let found = found.inspect_err(|error| tracing::error!(%error, "the documentation cannot be shown")).ok().flatten();
    let Some(found) = found else { return nowhere() };
    let made = Fixed::new(&found.content_type, "public, max-age=3600", found.bytes.into_owned().into());
    made.map_or_else(nowhere, |made| files.entry(name.to_owned()).or_insert(made).answer(request))
}

/// As for every address that is not there.
pub(crate) fn nowhere() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such address").into_response()
}
