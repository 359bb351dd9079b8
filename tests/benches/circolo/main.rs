//! `cargo bench [-- [NAME...] [--quick] [--dir DIR]]`: what the system does per second, beside what the same
//! machine does without it, in the same run.
//!
//! A missed aim is marked and is no error; absolute figures hold for one machine and one hour, the ratios travel.

mod commands;
mod durable;
mod history;
mod home;
mod http;
#[cfg(feature = "kurrentdb")]
mod kurrent;
mod lag;
mod machine;
mod nodes;
mod past;
mod random;
mod rebuild;
mod report;
mod sealing;
mod under_load;

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// What every benchmark may fail with.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Circolo's benchmarks.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which to run; all if none is named.
    names: Vec<Name>,
    /// A smoke run: everything once and short, its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only this database: `SQLite` or `Postgres`; of the commands, only this line: `SQLite/256`.
    #[arg(long)]
    only: Option<String>,
    /// How many events a simulated history has [default: 1,000,000; 20,000 in a smoke run]
    #[arg(long)]
    events: Option<u64>,
    /// Where the databases are made: on a disk, not in memory.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// What a process that measures its own memory does.
    #[arg(long, hide = true)]
    task: Option<String>,
}

impl Arguments {
    /// Whether what is called so is to be measured.
    fn wants(&self, line: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == line)
    }

    /// How many events a simulated history has.
    fn history(&self) -> u64 {
        self.events.unwrap_or(if self.quick { 20_000 } else { 1_000_000 })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Commands,
    Rebuild,
    Http,
    Lag,
    History,
    Home,
    #[cfg(feature = "kurrentdb")]
    Kurrent,
    Nodes,
    Past,
    Sealing,
    UnderLoad,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(task) = &arguments.task {
        let json: serde_json::Value = serde_json::from_str(task)?;
        return if json["bare"].is_null() { rebuild::run_task(task) } else { http::run_task(&json) };
    }
    let machine = machine::facts(&arguments.dir)?;
    for name in Name::value_variants() {
        if !arguments.names.is_empty() && !arguments.names.contains(name) {
            continue;
        }
        let report = match name {
            Name::Commands => commands::run(&arguments)?,
            Name::Rebuild => rebuild::run(&arguments)?,
            Name::Http => http::run(&arguments)?,
            Name::Lag => lag::run(&arguments)?,
            Name::History => history::run(&arguments)?,
            Name::Home => home::run(&arguments)?,
            #[cfg(feature = "kurrentdb")]
            Name::Kurrent => kurrent::run(&arguments)?,
            Name::Nodes => nodes::run(&arguments)?,
            Name::Past => past::run(&arguments)?,
            Name::Sealing => sealing::run(&arguments)?,
            Name::UnderLoad => under_load::run(&arguments)?,
        };
        report.finish(&machine, arguments.quick)?;
    }
    Ok(())
}
