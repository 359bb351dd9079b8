//! `circolo events export`: the log, or a part of it, as files.

use crate::cli::{
    progress,
    source::{From, moment},
};
use circolo_domain::{Timestamp, unmasking::Reading};
use circolo_events::{
    Position,
    transfer::{Filter, Job, Subject, text},
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What `circolo events export` takes.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// How events are written
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Only events of these types, separated by commas: `question.posted.v1`, or their beginning up to a dot: `question`
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Only events of streams whose name begins so: `question-`
    #[arg(long, value_name = "PREFIX")]
    stream: Option<String>,
    /// Only events at this position or later
    #[arg(long, value_name = "POSITION")]
    from: Option<i64>,
    /// Only events at this position or earlier
    #[arg(long, value_name = "POSITION")]
    to: Option<i64>,
    /// Only events that were recorded then or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only events that were recorded before that
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// The file; for Parquet a folder, to which a later run adds what is new
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Events in each file of a Parquet folder
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "N", default_value_t = circolo_events::transfer::ranges::PER_FILE, value_parser = clap::value_parser!(u64).range(1..))]
    per_file: u64,
    #[command(flatten)]
    source: From,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object per line; unmasked, it can be imported
    Ndjson,
    /// A table, with the facts as JSON in one column
    Csv,
    /// A folder of Apache Parquet files with a manifest
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (from, to) = (self.from.map(Position), self.to.map(Position));
        let filter = Filter { types: self.types, stream: self.stream, from, to, since: self.since, until: self.until };
        let source = self.source.open(&filter, Reading::Export, &filter.to_string()).await?;
        let subject = Subject { log: source.store.log_id(), filter, masked: !self.source.unmask };
        let bar = progress::counted(source.end.0.unsigned_abs(), "{wide_bar} {percent:>3} % {msg} events, {eta} left");
        let mut events = 0;
        let mut progress = |position: Position, more: u64| {
            events += more;
            bar.set_message(events.to_string());
            bar.set_position(position.0.unsigned_abs());
        };
        let job = Job { store: &*source.store, subject, end: source.end, progress: &mut progress };
        let exported = match self.format {
            Format::Ndjson => text::export(job, text::Format::Ndjson, &self.out).await,
            Format::Csv => text::export(job, text::Format::Csv, &self.out).await,
            #[cfg(feature = "parquet")]
            Format::Parquet => circolo_events::transfer::ranges::export(job, &self.out, self.per_file).await,
        };
        source.held.release().await;
        let summary = exported?;
        bar.finish_and_clear();
        println!("{} events up to position {} in {}", summary.events, summary.end, self.out.display());
        Ok(())
    }
}
