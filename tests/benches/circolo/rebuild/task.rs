//! One measurement in a process of its own.

use super::{SAMPLE, generator, sql, usual};
use crate::{Result, durable};
use circolo::clock;
use circolo_events::{EventStore, LogId, Memory, Position, Postgres, Sqlite, postgres, sqlite};
use circolo_projections::{Db, Options, Projection, groups::GroupStatsRow, prepare, projection, questions};
use serde_json::{Value, json};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{runtime::Runtime, time::Instant};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Write the log.
    Generate,
    /// (a) Read and decode the log once.
    Read,
    /// Our rebuild, with so many MiB for rows.
    Rebuild(usize),
    /// (b) `INSERT ... SELECT`.
    Sql,
    /// (c) One event, one transaction.
    Usual,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generate => f.write_str("writing the log"),
            Self::Read => f.write_str("(a) reading and decoding"),
            Self::Rebuild(mib) => write!(f, "rebuild with {mib} MiB"),
            Self::Sql => f.write_str("(b) INSERT ... SELECT"),
            Self::Usual => f.write_str("(c) one by one"),
        }
    }
}

/// Some work on a log.
#[derive(Debug, Clone)]
pub struct Task {
    pub work: Work,
    /// How many events the log holds.
    pub events: usize,
    /// Where its files are.
    pub dir: PathBuf,
    /// The server that holds it, if it is one.
    pub postgres: Option<String>,
    /// Each round has read models of its own.
    pub round: usize,
}

impl Task {
    pub fn to_json(&self) -> Value {
        let (work, memory) = match self.work {
            Work::Generate => ("generate", 0),
            Work::Read => ("read", 0),
            Work::Rebuild(mib) => ("rebuild", mib),
            Work::Sql => ("sql", 0),
            Work::Usual => ("usual", 0),
        };
        json!({ "work": work, "memory": memory, "events": self.events, "dir": self.dir, "postgres": self.postgres, "round": self.round })
    }

    fn from_json(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text)?;
        let number = |name: &str| json[name].as_u64().and_then(|number| usize::try_from(number).ok()).ok_or("a number is missing");
        let work = match json["work"].as_str() {
            Some("generate") => Work::Generate,
            Some("read") => Work::Read,
            Some("rebuild") => Work::Rebuild(number("memory")?),
            Some("sql") => Work::Sql,
            Some("usual") => Work::Usual,
            _ => return Err("no such work".into()),
        };
        let dir = json["dir"].as_str().ok_or("no folder")?.into();
        Ok(Self { work, events: number("events")?, dir, postgres: json["postgres"].as_str().map(str::to_owned), round: number("round")? })
    }

    /// The log, and its place in SQL.
    async fn log(&self) -> Result<Arc<dyn EventStore>> {
        let id = LogId::from_u128(1);
        Ok(match &self.postgres {
            Some(url) if self.work == Work::Generate => {
                Arc::new(Postgres::connect(&durable::schema(url, "log").await?, &postgres::Options::default(), id).await?)
            }
            Some(url) => Arc::new(Postgres::connect(&durable::in_schema(url, "log"), &postgres::Options::default(), id).await?),
            None if self.work == Work::Generate => Arc::new(Sqlite::open(&self.log_file(), &sqlite::Options::default(), id)?),
            None => Arc::new(Sqlite::open_read_only(&self.log_file(), &sqlite::Options::default())?),
        })
    }

    pub fn log_file(&self) -> PathBuf {
        self.dir.join("log.db")
    }

    fn views_file(&self) -> PathBuf {
        self.dir.join("views.db")
    }

    /// Empty read models.
    async fn views(&self) -> Result<(Db, Views)> {
        if let Some(url) = &self.postgres {
            let url = durable::schema(url, "views").await?;
            return Ok((Db::postgres(&url).await?, Views::Postgres(url)));
        }
        let file = self.views_file();
        for end in ["", "-wal", "-shm"] {
            let file = PathBuf::from(format!("{}{end}", file.display()));
            if file.exists() {
                std::fs::remove_file(file)?;
            }
        }
        Ok((Db::sqlite(&file).await?, Views::Sqlite(file)))
    }
}

/// Where read models are, for hand-written SQL.
pub enum Views {
    Sqlite(PathBuf),
    Postgres(String),
}

/// What a measurement came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub events: usize,
    pub seconds: f64,
    pub peak_mib: f64,
}

impl Outcome {
    /// Events per second.
    #[expect(clippy::cast_precision_loss, reason = "a number of events is far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    pub fn from_json(json: &Value) -> Result<Self> {
        let number = |name: &str| json[name].as_f64().ok_or("a figure is missing");
        let events = json["events"].as_u64().and_then(|events| usize::try_from(events).ok()).ok_or("no number of events")?;
        Ok(Self { events, seconds: number("seconds")?, peak_mib: number("peak_mib")? })
    }
}

/// The projections that are measured.
fn projections() -> Vec<Projection> {
    vec![projection("stats", 1).reads(&["group", "membership", "question"]).row::<GroupStatsRow>(), questions::questions()]
}

/// What the child process does: the task, and its figures on stdout.
pub fn run(task: &str) -> Result<()> {
    let task = Task::from_json(task)?;
    let outcome = Runtime::new()?.block_on(perform(&task))?;
    let peak = peak_mib().unwrap_or_default();
    println!("{}", json!({ "events": outcome.0, "seconds": outcome.1, "peak_mib": peak }));
    Ok(())
}

/// How many events it was, and how long it took in seconds.
async fn perform(task: &Task) -> Result<(usize, f64)> {
    let store = task.log().await?;
    let options = |mib: usize| Options { memory: mib << 20, ..Options::new(clock::system()) };
    let seconds = match task.work {
        Work::Generate => {
            let began = Instant::now();
            generator::write(&*store, task.events).await?;
            began.elapsed()
        }
        Work::Read => {
            let began = Instant::now();
            read(&*store).await?;
            began.elapsed()
        }
        Work::Rebuild(mib) => {
            let (db, _) = task.views().await?;
            let began = Instant::now();
            prepare(db, store, projections(), options(mib), None).await?;
            began.elapsed()
        }
        Work::Sql | Work::Usual => {
            let (db, views) = task.views().await?;
            // The same tables: made by the engine, out of an empty log.
            let empty: Arc<dyn EventStore> = Arc::new(Memory::default());
            prepare(db, empty, projections(), options(1), None).await?;
            if task.work == Work::Usual {
                let (events, took) = usual::run(&*store, &views, SAMPLE.min(task.events)).await?;
                return Ok((events, took.as_secs_f64()));
            }
            let began = Instant::now();
            match &views {
                Views::Sqlite(file) => sql::sqlite(file, &task.log_file())?,
                Views::Postgres(url) => sql::postgres(url).await?,
            }
            began.elapsed()
        }
    };
    Ok((task.events, seconds.as_secs_f64()))
}

/// Reads the log as a build does, and decodes every event.
async fn read(store: &dyn EventStore) -> Result<()> {
    const PAGE: usize = 4_000;
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, PAGE).await?;
        if page.events.is_empty() {
            return Ok(());
        }
        for stored in &page.events {
            std::hint::black_box(stored.decode()?);
        }
        after = page.scanned;
    }
}

/// The most memory that this process ever held, in MiB.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kib.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
