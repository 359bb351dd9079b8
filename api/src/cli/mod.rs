//! The command line: one file per subcommand.

mod as_of;
mod consumers;
mod damage;
mod events;
mod keys;
mod media;
mod openapi;
mod operations;
mod progress;
mod projections;
mod serve;
mod simulate;
mod source;
mod token;

use circolo::config::Serve;
use clap::{Parser, Subcommand};

/// Event-sourced backend for online communities, as a REST API
#[derive(Debug, Parser)]
#[command(name = "circolo", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fold read models up to a moment of the past, into a file that any program opens
    AsOf(Box<as_of::AsOf>),
    /// Watch, pause and resume consumers of the log
    Consumers(consumers::Consumers),
    /// Read the log, write it to files, and bring it back
    Events(events::Events),
    /// Look after the keys that texts are sealed under (see docs/sealing.md)
    Keys(keys::Keys),
    /// Look after uploaded files (see docs/media.md)
    Media(Box<media::Media>),
    /// Print the description of the API, for `openapi.json`
    Openapi,
    /// Watch and steer the builds of read models
    Projections(projections::Projections),
    /// Serve the API; this is also done if no command is given
    Serve(Box<Serve>),
    /// Write the history of a made-up community
    Simulate(simulate::Simulate),
    /// Print a token of this installation, and nothing else
    Token(token::Token),
}

/// An end that a script can tell from others.
#[derive(Debug)]
pub struct Ended {
    /// What the process ends with.
    pub code: u8,
    /// Why, for people.
    pub what: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Ended {}

/// Runs what the command line asks for.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Some(Command::AsOf(as_of)) => as_of.run().await,
        Some(Command::Consumers(consumers)) => Box::pin(consumers.run()).await,
        Some(Command::Events(events)) => events.run().await,
        Some(Command::Keys(keys)) => keys.run().await,
        Some(Command::Media(media)) => media.run().await,
        Some(Command::Openapi) => openapi::run(),
        Some(Command::Projections(projections)) => Box::pin(projections.run()).await,
        Some(Command::Serve(serve)) => serve::run(*serve).await,
        Some(Command::Simulate(simulate)) => simulate.run().await,
        Some(Command::Token(token)) => token.run(),
        None => serve::run(cli.serve).await,
    }
}
