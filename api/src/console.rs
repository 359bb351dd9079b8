//! `/console`: the operator's page. Its files are part of the binary; it speaks to the API like any other client.

use crate::{App, docs::nowhere, extract::Path, fixed::Fixed};
use axum::{Router, body::Bytes, http::HeaderMap, response::Response, routing::get};
use std::sync::LazyLock;

/// The page, which has no name, its scripts and styles: name, media type, text.
const FILES: [(&str, &str, &str); 10] = [
    ("", "text/html; charset=utf-8", include_str!("console/console.html")),
    ("api.js", SCRIPT, include_str!("console/api.js")),
    ("console.css", "text/css; charset=utf-8", include_str!("console/console.css")),
    ("console.js", SCRIPT, include_str!("console/console.js")),
    ("dom.js", SCRIPT, include_str!("console/dom.js")),
    ("events.js", SCRIPT, include_str!("console/events.js")),
    ("parked.js", SCRIPT, include_str!("console/parked.js")),
    ("plot.js", SCRIPT, include_str!("console/plot.js")),
    ("projections.js", SCRIPT, include_str!("console/projections.js")),
    ("reactions.js", SCRIPT, include_str!("console/reactions.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the page may do: run its own files and call this server.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of this file. They are not part of the API's description.
pub(crate) fn routes() -> Router<App> {
    let page = get(async |request: HeaderMap| file("", &request));
    Router::new()
        .route("/console", page.clone())
        .route("/console/", page)
        .route("/console/{file}", get(async |Path(name): Path<String>, request: HeaderMap| file(&name, &request)))
}

fn file(name: &str, request: &HeaderMap) -> Response {
    static MADE: LazyLock<Vec<(&str, Fixed)>> = LazyLock::new(|| {
        let made = |(name, media_type, text): (_, _, &'static str)| Some((name, Fixed::new(media_type, "no-cache", Bytes::from(text))?));
        FILES.into_iter().filter_map(made).collect()
    });
    MADE.iter().find(|(file, _)| *file == name).map_or_else(nowhere, |(_, file)| file.answer(request))
}
