//! The binary `circolo` in its next version: the same source, built with the feature `next`.

#[path = "../../api/src/cli/mod.rs"]
mod cli;

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // The one provider of cryptography for TLS: as client of Postgres, issuers and collectors.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Box::pin(cli::run(cli::Cli::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::from(error.downcast_ref::<cli::Ended>().map_or(1, |ended| ended.code))
        }
    }
}
