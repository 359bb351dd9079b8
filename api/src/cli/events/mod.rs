//! `circolo events`: the log on the command line.

mod check;
mod copy;
mod create;
mod export;
mod import;
mod schema;
mod skip;
mod tail;

use clap::{Args, Subcommand};

/// What `circolo events` takes.
#[derive(Debug, Args)]
pub(super) struct Events {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at all of the log: structure, decoding, revisions, ids, times; what is lost is told by position and stream. Ends with 1
    /// if something is wrong, with 2 if it could not be looked at
    Check(check::Check),
    /// Copy a log into another place or engine, compared event by event; what was interrupted goes on where it was
    Copy(copy::Copy),
    /// Make an empty log, where the server's own role may not (see docs/postgres.md); one that is there stays as it is
    Create(create::Create),
    /// Write events to files, personal text as null; what was interrupted goes on where it was
    Export(Box<export::Export>),
    /// Write an unmasked NDJSON export into an empty log
    Import(import::Import),
    /// Print the JSON Schema of every event
    Schema(schema::Schema),
    /// Pass over an event that cannot be read, from now on and for all who read the log
    Skip(Box<skip::Skip>),
    /// Print events as they are recorded, one JSON object per line; personal text is null
    Tail(tail::Tail),
}

impl Events {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Check(check) => check.run().await,
            Command::Copy(copy) => copy.run().await,
            Command::Create(create) => create.run().await,
            Command::Export(export) => export.run().await,
            Command::Import(import) => import.run().await,
            Command::Schema(schema) => schema.run(),
            Command::Skip(skip) => skip.run().await,
            Command::Tail(tail) => tail.run().await,
        }
    }
}
