//! The binary `circolo`.

mod cli;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    // The one provider of cryptography for TLS: as client of Postgres, issuers and collectors.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(cli::Cli::parse())
}
