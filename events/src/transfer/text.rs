//! Export as text, NDJSON or CSV: written to `PATH.partial`, renamed at the end. What was interrupted goes on where it was.
//!
//! Files are written where the caller stands: this is for programs of their own, not for a server's threads.

use super::{ExportError, Job, Line, Pages, Seen, Subject, Summary, beside, read_json, write_json};
use crate::{Metadata, Position, Stored, private};
use circolo_domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// How events become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A [`Line`] per event: what can be imported again.
    Ndjson,
    /// A table with a heading; payload and scope are JSON in their columns.
    Csv,
}

/// Columns of the CSV.
const HEADING: [&str; 14] = [
    "position",
    "id",
    "stream",
    "revision",
    "type",
    "recorded_at",
    "actor",
    "command",
    "command_id",
    "correlation",
    "causation",
    "scope",
    "data",
    "masked",
];
/// After so many events the place is noted to which a later run can go back.
const NOTED: u64 = 10_000;

/// What is known of an interrupted export.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    format: Format,
    #[serde(flatten)]
    subject: Subject,
    end: Position,
    /// Everything wanted up to here is in the file's first `bytes` bytes.
    position: Position,
    /// The last event that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
    bytes: u64,
    events: u64,
}

/// Writes what is wanted to `path`. A file that is there already is replaced at the end.
pub async fn export(job: Job<'_>, format: Format, path: &Path) -> Result<Summary, ExportError> {
    let store = job.log();
    let Job { subject, end, progress, .. } = job;
    let mut out = Out::open(path, format, subject, end)?;
    let (filter, masked) = (out.mark.subject.filter.clone(), out.mark.subject.masked);
    if !Seen::stands(out.mark.seen, out.mark.end, store).await? {
        return Err(ExportError::OtherHistory(out.partial));
    }
    let mut pages = Pages::new(store, &filter, out.mark.position, out.mark.end);
    progress(out.mark.position, out.mark.events);
    let mut noted = out.mark.events;
    while let Some(batch) = pages.next().await? {
        let count = batch.events.len() as u64;
        out.mark.seen = Seen::last(&batch.events).or(out.mark.seen);
        for stored in batch.events {
            out.write(format, stored, masked).map_err(ExportError::file(&out.partial))?;
        }
        out.mark.position = batch.scanned;
        out.mark.events += count;
        if out.mark.events - noted >= NOTED {
            noted = out.mark.events;
            out.note()?;
        }
        progress(batch.scanned, count);
    }
    out.finish(path)
}

/// The unfinished file.
struct Out {
    partial: PathBuf,
    state: PathBuf,
    file: Counted,
    mark: Mark,
}

/// Counts the bytes that went through.
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Out {
    /// Goes on with what is there, or begins.
    fn open(path: &Path, format: Format, subject: Subject, end: Position) -> Result<Self, ExportError> {
        let (partial, state) = (beside(path, "partial"), beside(path, "partial.json"));
        let begun: Option<Mark> = read_json(&state)?;
        if begun.as_ref().is_some_and(|mark| mark.format != format || mark.subject != subject) {
            return Err(ExportError::Other(partial));
        }
        let open = || {
            let mut file = private::options().truncate(false).open(&partial)?;
            let bytes = match &begun {
                Some(mark) if file.metadata()?.len() >= mark.bytes => mark.bytes,
                _ => 0,
            };
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            Ok(Counted { file: BufWriter::with_capacity(1 << 20, file), bytes })
        };
        let file = open().map_err(ExportError::file(&partial))?;
        let fresh = || Mark { format, position: Position::START, seen: None, end, bytes: 0, events: 0, subject };
        let mark = begun.filter(|mark| mark.bytes == file.bytes).unwrap_or_else(fresh);
        let mut out = Self { partial, state, file, mark };
        if out.file.bytes == 0 {
            out.mark = Mark { position: Position::START, seen: None, bytes: 0, events: 0, ..out.mark };
            out.heading(format).map_err(ExportError::file(&out.partial))?;
            out.note()?;
        }
        Ok(out)
    }

    fn heading(&mut self, format: Format) -> io::Result<()> {
        match format {
            Format::Ndjson => Ok(()),
            Format::Csv => csv(&mut self.file, HEADING),
        }
    }

    fn write(&mut self, format: Format, stored: Stored, masked: bool) -> io::Result<()> {
        let line = Line::new(stored, masked);
        match format {
            Format::Ndjson => {
                serde_json::to_writer(&mut self.file, &line)?;
                self.file.write_all(b"\n")
            }
            Format::Csv => csv(&mut self.file, Fields::of(line).into_cells()),
        }
    }

    /// Makes sure that a later run can go on from here.
    fn note(&mut self) -> Result<(), ExportError> {
        let sync = |file: &mut Counted| {
            file.flush()?;
            file.file.get_ref().sync_data()
        };
        sync(&mut self.file).map_err(ExportError::file(&self.partial))?;
        self.mark.bytes = self.file.bytes;
        write_json(&self.state, &self.mark)
    }

    fn finish(mut self, path: &Path) -> Result<Summary, ExportError> {
        self.note()?;
        fs::rename(&self.partial, path).map_err(ExportError::file(path))?;
        fs::remove_file(&self.state).map_err(ExportError::file(&self.state))?;
        Ok(Summary { events: self.mark.events, end: self.mark.end })
    }
}

/// A row of CSV (RFC 4180): what holds a comma, a quote or a line break is quoted.
pub fn csv(out: &mut impl Write, cells: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
    for (place, cell) in cells.into_iter().enumerate() {
        let cell = cell.as_ref();
        if place > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

/// An event as the cells of a table.
pub(super) struct Fields {
    pub position: Position,
    pub revision: u64,
    pub recorded_at: Timestamp,
    pub masked: bool,
    /// Id, stream, type, actor, command, command id, correlation, causation, scope, data.
    pub texts: [Option<String>; 10],
}

impl Fields {
    pub fn of(line: Line) -> Self {
        let Line { position, id, stream, revision, event_type, data, recorded_at, metadata, masked, .. } = line;
        let known: Option<Metadata> = metadata.and_then(|metadata| serde_json::from_str(metadata.get()).ok());
        let of = |text: fn(&Metadata) -> Option<String>| known.as_ref().and_then(text);
        let texts = [
            Some(id.to_string()),
            Some(stream.to_string()),
            Some(event_type),
            of(|known| known.actor.map(|actor| actor.to_string())),
            of(|known| Some(known.command.clone())),
            of(|known| Some(known.command_id.to_string())),
            of(|known| Some(known.correlation.to_string())),
            of(|known| known.causation.map(|causation| causation.to_string())),
            of(|known| serde_json::to_string(&known.scope?).ok()),
            data.map(|data| Box::<str>::from(data).into_string()),
        ];
        Self { position, revision, recorded_at, masked, texts }
    }

    /// In the order of [`HEADING`].
    fn into_cells(self) -> impl Iterator<Item = String> {
        let Self { position, revision, recorded_at, masked, texts } = self;
        let [id, stream, event_type, rest @ ..] = texts.map(Option::unwrap_or_default);
        let first = [position.to_string(), id, stream, revision.to_string(), event_type, recorded_at.to_string()];
        first.into_iter().chain(rest).chain([masked.to_string()])
    }
}
