//! `circolo as-of`: read models as they were.

use super::{
    progress,
    source::{From, Source, moment},
};
use anyhow::Context;
use circolo::clock;
use circolo_domain::{Timestamp, unmasking::Reading};
use circolo_events::{
    Position, private,
    transfer::{Filter, MaskedView, TimeIndex, text},
};
use circolo_projections::{
    Options, Projection, Value, all,
    as_of::{Snapshot, Wanted, write},
};
use clap::{Args, ValueEnum};
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What `circolo as-of` takes.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("moment").required(true).args(["at", "position"]))]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["out", "query"]))]
pub(super) struct AsOf {
    /// As of this time: from all events up to the last one that was recorded by then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
    /// As of this position of the log
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(0..))]
    position: Option<i64>,
    /// The file to write; for Parquet a folder
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Only these read models, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    projection: Vec<String>,
    /// What is written
    #[arg(long, value_enum, default_value_t = Format::Sqlite)]
    format: Format,
    /// Print what this SQL query finds: a table on a screen, else CSV
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    #[command(flatten)]
    source: From,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One SQLite file
    Sqlite,
    /// A folder with one Apache Parquet file per table
    #[cfg(feature = "parquet")]
    Parquet,
}

impl AsOf {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let projections = self.projections()?;
        let position = self.position().await?;
        let asked = match self.at {
            Some(time) => format!("at={time}"),
            None => format!("position={position}"),
        };
        let filter = Filter { to: Some(position), ..Filter::default() };
        let Source { store, end, held } = self.source.open(&filter, Reading::AsOf, &asked).await?;
        let position = position.min(end);
        let bar = progress::counted(position.0.unsigned_abs(), "{wide_bar} {percent:>3} % {per_sec} positions, {eta} left");
        let moved = bar.clone();
        let progress = Box::new(move |position: Position| moved.set_position(position.0.unsigned_abs()));
        let masked = !self.source.unmask;
        let log = Arc::new(MaskedView::new(store, position, masked, progress));
        let wanted = Wanted { log, position, projections, masked, version: env!("CARGO_PKG_VERSION") };
        let scratch = Scratch::new(self.out.as_deref().filter(|_| self.format == Format::Sqlite), self.out.as_deref())?;
        let written = write(wanted, Options::new(clock::system()), &scratch.file).await;
        held.release().await;
        written?;
        bar.finish_and_clear();
        self.deliver(&scratch.file, position)
    }

    fn deliver(&self, file: &Path, position: Position) -> anyhow::Result<()> {
        let snapshot = Snapshot::open(file)?;
        #[cfg(feature = "parquet")]
        if let (Format::Parquet, Some(folder)) = (self.format, &self.out) {
            snapshot.to_parquet(&all(), folder)?;
        }
        if let Some(sql) = &self.query {
            return print(&snapshot, sql);
        }
        if let Some(out) = &self.out {
            println!("read models as of position {position} in {}", out.display());
        }
        Ok(())
    }

    fn projections(&self) -> anyhow::Result<Vec<Projection>> {
        let known = all();
        if let Some(unknown) = self.projection.iter().find(|name| !known.iter().any(|known| known.name == **name)) {
            let names: Vec<&str> = known.iter().map(|projection| projection.name).collect();
            anyhow::bail!("no projection is called {unknown}; there are {}", names.join(", "));
        }
        let wanted = |projection: &Projection| self.projection.is_empty() || self.projection.iter().any(|name| name == projection.name);
        Ok(known.into_iter().filter(wanted).collect())
    }

    async fn position(&self) -> anyhow::Result<Position> {
        match (self.at, self.position) {
            (Some(time), _) => Ok(TimeIndex::default().position(&*self.source.look().await?, time).await?),
            (None, position) => Ok(Position(position.unwrap_or_default())),
        }
    }
}

/// The SQLite file: where it is wanted, or somewhere for the time being.
struct Scratch {
    file: PathBuf,
    folder: Option<PathBuf>,
}

impl Scratch {
    fn new(wanted: Option<&Path>, beside: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(wanted) = wanted {
            return Ok(Self { file: wanted.to_owned(), folder: None });
        }
        // Large things are made where there is room for them: beside what is wanted.
        let parent = beside.and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.map_or_else(std::env::temp_dir, Path::to_owned).join(format!("circolo-as-of-{}", clock::fresh_ids()()));
        private::folder(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { file: folder.join("as-of.sqlite"), folder: Some(folder) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Prints what a query finds.
fn print(snapshot: &Snapshot, sql: &str) -> anyhow::Result<()> {
    let mut rows = vec![];
    let columns = snapshot.query(sql, |values| {
        rows.push(values.into_iter().map(cell).collect::<Vec<_>>());
        Ok(())
    })?;
    let mut out = io::stdout().lock();
    let lines = std::iter::once(&columns).chain(&rows);
    let written = if io::stdout().is_terminal() {
        let width = |place: usize| lines.clone().map(|line| line[place].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        lines.clone().try_for_each(|line| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
            writeln!(out, "{}", cells.join("  ").trim_end())
        })
    } else {
        lines.clone().try_for_each(|line| text::csv(&mut out, line))
    };
    match written {
        // Nobody reads any longer.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn cell(value: Value) -> String {
    match value {
        Value::Null | Value::List(_) => String::new(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text,
    }
}
