//! The command line: one file per subcommand.

mod openapi;
mod token;

use clap::{Parser, Subcommand};

/// Event-sourced backend for online communities, as a REST API
#[derive(Debug, Parser)]
#[command(name = "circolo", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the description of the API (OpenAPI 3.1)
    Openapi,
    /// Print a token of this installation, and nothing else
    Token(token::Token),
}

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Openapi => openapi::run(),
        Command::Token(token) => token.run(),
    }
}
