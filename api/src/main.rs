//! The binary `circolo`.

mod cli;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The one provider of cryptography for TLS: as client of Postgres, issuers and collectors.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Box::pin(cli::run(cli::Cli::parse())).await
}
