//! `/console`: the operator's page. Its files are part of the binary; it speaks to the API like any other client.

use crate::{App, Problem, extract::Path};
use axum::{
    Router,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

const PAGE: &str = include_str!("console/console.html");

/// Scripts and styles: name, media type, text.
const FILES: [(&str, &str, &str); 8] = [
    ("api.js", SCRIPT, include_str!("console/api.js")),
    ("console.css", "text/css; charset=utf-8", include_str!("console/console.css")),
    ("console.js", SCRIPT, include_str!("console/console.js")),
    ("dom.js", SCRIPT, include_str!("console/dom.js")),
    ("events.js", SCRIPT, include_str!("console/events.js")),
    ("parked.js", SCRIPT, include_str!("console/parked.js")),
    ("plot.js", SCRIPT, include_str!("console/plot.js")),
    ("projections.js", SCRIPT, include_str!("console/projections.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the page may do: run its own files and call this server.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of this file. They are not part of the API's description.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/console", get(page)).route("/console/", get(page)).route("/console/{file}", get(file))
}

async fn page() -> Html<&'static str> {
    Html(PAGE)
}

async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = FILES.iter().find(|(file, ..)| *file == name);
    let (_, media_type, text) = found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such address"))?;
    Ok(([(header::CONTENT_TYPE, *media_type)], *text).into_response())
}
