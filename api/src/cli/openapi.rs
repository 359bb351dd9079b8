//! `circolo openapi`: the description of the API, as `openapi.json` at the root of the repository holds it.

use circolo::server;
use std::io::Write;

pub(super) fn run() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(server::openapi_json().as_bytes())?)
}
