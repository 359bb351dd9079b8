//! Export to a folder of Parquet files: each holds a closed range of positions and is never written again, so that a nightly
//! run adds only what is new. `manifest.json` names them.

use super::{
    ExportError, Job, Line, Pages, Seen, Subject, Summary, beside,
    parquet_file::{Cell, Column, Kind, ParquetFile},
    read_json,
    text::Fields,
    write_json,
};
use crate::{Position, private};
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";
/// Events per file, unless somebody says otherwise.
pub const PER_FILE: u64 = 500_000;

/// What a folder holds. Replaced as a whole after each file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of what.
    #[serde(flatten)]
    pub subject: Subject,
    /// All that is wanted up to here is in the files.
    pub through: Position,
    /// The last event that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
    /// The files, in order.
    pub files: Vec<RangeFile>,
}

/// A file of a folder: all events that are wanted of a range of positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeFile {
    /// Its name.
    pub file: String,
    /// The range begins with this position.
    pub first: Position,
    /// And ends with this one.
    pub last: Position,
    /// How many events are in it.
    pub events: u64,
}

/// Brings the folder up to the end of `job`, with `per_file` events in each file but the last.
pub async fn export(job: Job<'_>, folder: &Path, per_file: u64) -> Result<Summary, ExportError> {
    let store = job.log();
    let Job { subject, end, progress, .. } = job;
    private::folder(folder).map_err(ExportError::file(folder))?;
    let path = folder.join(MANIFEST);
    let known: Option<Manifest> = read_json(&path)?;
    let mut manifest = match known {
        Some(manifest) if manifest.subject != subject => return Err(ExportError::Other(path)),
        Some(manifest) => manifest,
        None => {
            let before = |from: Position| Position(from.0.saturating_sub(1).max(0));
            Manifest { through: subject.filter.from.map_or(Position::START, before), subject, seen: None, files: vec![] }
        }
    };
    if !Seen::stands(manifest.seen, manifest.through, store).await? {
        return Err(ExportError::OtherHistory(path));
    }
    let Subject { filter, masked, .. } = manifest.subject.clone();
    let mut pages = Pages::new(store, &filter, manifest.through, end);
    let mut range = None;
    progress(manifest.through, manifest.files.iter().map(|file| file.events).sum());
    while let Some(batch) = pages.next().await? {
        let count = batch.events.len() as u64;
        for stored in batch.events {
            let (position, seen) = (stored.position, Seen::last(std::slice::from_ref(&stored)));
            let mut open: Range = match range.take() {
                Some(open) => open,
                None => Range::begin(folder, Position(manifest.through.0.saturating_add(1)))?,
            };
            open.push(Line::new(stored, masked))?;
            if open.events >= per_file {
                manifest.seen = seen;
                manifest.close(open, position, folder)?;
            } else {
                range = Some(open);
            }
        }
        progress(batch.scanned, count);
    }
    // Where nothing that is wanted stands, what does proves as much.
    manifest.seen = Seen::last(store.at(end).await?.as_slice()).or(manifest.seen);
    // The last range ends where the log does now: what comes later gets files of its own.
    if let Some(open) = range {
        manifest.close(open, end, folder)?;
    } else {
        manifest.through = manifest.through.max(end);
        write_json(&path, &manifest)?;
    }
    Ok(Summary { events: manifest.files.iter().map(|file| file.events).sum(), end: manifest.through })
}

impl Manifest {
    fn close(&mut self, range: Range, last: Position, folder: &Path) -> Result<(), ExportError> {
        let Range { file, path, first, events } = range;
        file.finish().map_err(failed(&path))?;
        let file = format!("events-{:012}-{:012}.parquet", first.0, last.0);
        fs::rename(&path, folder.join(&file)).map_err(ExportError::file(&path))?;
        self.files.push(RangeFile { file, first, last, events });
        self.through = last;
        write_json(&folder.join(MANIFEST), self)
    }
}

/// A file under construction.
struct Range {
    file: ParquetFile,
    path: PathBuf,
    first: Position,
    events: u64,
}

impl Range {
    fn begin(folder: &Path, first: Position) -> Result<Self, ExportError> {
        // What an interrupted run left under this name is written over.
        let path = beside(&folder.join("events.parquet"), "partial");
        let file = ParquetFile::create(&path, &COLUMNS).map_err(failed(&path))?;
        Ok(Self { file, path, first, events: 0 })
    }

    fn push(&mut self, line: Line) -> Result<(), ExportError> {
        self.events += 1;
        self.file.push(cells(line)).map_err(failed(&self.path))
    }
}

fn failed(path: &Path) -> impl FnOnce(ParquetError) -> ExportError {
    let path = path.to_owned();
    move |error| ExportError::Parquet(path, error)
}

const fn column(name: &'static str, kind: Kind, nullable: bool) -> Column<'static> {
    Column { name, kind, nullable }
}

const COLUMNS: [Column<'static>; 14] = [
    column("position", Kind::Int, false),
    column("id", Kind::Text, false),
    column("stream", Kind::Text, false),
    column("revision", Kind::Int, false),
    column("type", Kind::Text, false),
    column("recorded_at", Kind::Time, false),
    column("actor", Kind::Text, true),
    column("command", Kind::Text, true),
    column("command_id", Kind::Text, true),
    column("correlation", Kind::Text, true),
    column("causation", Kind::Text, true),
    column("scope", Kind::Text, true),
    column("data", Kind::Text, true),
    column("masked", Kind::Bool, false),
];

fn cells(line: Line) -> impl Iterator<Item = Cell> {
    let Fields { position, revision, recorded_at, masked, texts } = Fields::of(line);
    let [id, stream, event_type, rest @ ..] = texts.map(|text| text.map_or(Cell::Null, Cell::Text));
    let revision = Cell::Int(i64::try_from(revision).unwrap_or(i64::MAX));
    let first = [Cell::Int(position.0), id, stream, revision, event_type, Cell::Int(recorded_at.micros())];
    first.into_iter().chain(rest).chain([Cell::Bool(masked)])
}
