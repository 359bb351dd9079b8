//! The way back: an unmasked export in NDJSON becomes the history of an empty log.
//!
//! The whole file is checked before anything is written: what is refused leaves the log as empty as it was. From the first event to
//! the last the log says of itself that it is a part only, so that nobody takes it for the history; the same import goes on with it.

use super::{
    Line,
    copy::{APPEND, difference},
    line::is_of_salt,
    owning::{self, Owning},
};
use crate::people::{SaltError, is_new, salt_in};
use crate::{Append, EventStore, Expected, Position, Revision, StoreError, Stored, rules, sealing::places::NoPlace};
use circolo_domain::{DecodeError, Event, skip};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    fs::File,
    hash::BuildHasher,
    io::{self, BufRead, BufReader},
    path::Path,
};
use uuid::{Uuid, Variant};

/// Events per call of [`EventStore::append_many`].
const BATCH: usize = 64_000;
/// Events read at once where they are compared.
const PAGE: usize = 4_000;
/// So many ids are held in memory, 40 MB of them; a file with more is read once more for each so many.
const IDS: usize = 1_000_000;

/// Why a history is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is history already.
    #[error("the log holds events already; a history is imported into an empty log only")]
    NotEmpty,
    /// There is no history, but a salt.
    #[error(
        "a server has started on this log, which has a salt of its own for the ids of people since then: that of a history cannot take \
         its place; import into a log on which no server has started, and start it then"
    )]
    Begun,
    /// The file.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// A line of it.
    #[error("line {line}: {fault}; nothing was imported")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The log, while it was written to.
    #[error("line {line} could not be written, those before it were: {source}; import the same file again to go on")]
    Store {
        /// Counted from 1.
        line: u64,
        /// Why.
        source: StoreError,
    },
    /// What an interrupted import left is not the beginning of this file.
    #[error(
        "the log holds a part of another history: its event at position {position} differs in its {what} from line {line}; import the \
         file of before again to go on, or begin with an empty log"
    )]
    Other {
        /// Where in the log.
        position: Position,
        /// Counted from 1.
        line: u64,
        /// What differs.
        what: &'static str,
    },
    /// The log cannot be marked.
    #[error("the log cannot be marked as holding a part only, which in Postgres its owner may (docs/postgres.md): {0}")]
    Mark(#[source] StoreError),
    /// The log, before anything was written to it.
    #[error(transparent)]
    Log(StoreError),
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not an event as `circolo events export` writes it.
    #[error("not an exported event: {0}")]
    Shape(serde_json::Error),
    /// Its personal texts are gone.
    #[error("the event is masked; only an export made with --unmask can be imported")]
    Masked,
    /// The domain does not know it.
    #[error(transparent)]
    Decode(DecodeError),
    /// The salt is not what it has to be.
    #[error("{0}; a server never tells it, so export where the data are, without --url")]
    Salt(SaltError),
    /// The salt is missing.
    #[error(
        "the id of this person was made with a salt, which does not stand on a line before; without it nobody could sign in: a history is \
         whole, so export it without filters"
    )]
    NoSalt,
    /// Something before it is missing, or it is there twice.
    #[error("{stream} goes on with revision {expected}, not {found}: a history is whole, so export it without filters")]
    Revision {
        /// The stream.
        stream: String,
        /// What comes next.
        expected: Revision,
        /// What the line says.
        found: Revision,
    },
    /// The log knows each id once.
    #[error("the event id {0} stands on a line before as well")]
    Twice(Uuid),
    /// It says of a text whose it is, and there is none.
    #[error("`owners` of the event names a text that is not there: {0}")]
    Owners(NoPlace),
    /// No text of ours has such.
    #[error("a text holds the control character U+{:04X}", u32::from(*.0))]
    Control(char),
    /// No log takes it.
    #[error("{0}")]
    Rule(StoreError),
    /// Something follows it.
    #[error("the line is empty, and others follow")]
    Blank,
    /// Positions do not rise.
    #[error("position {0} does not come after the one before")]
    Order(Position),
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// How many events.
    pub events: u64,
    /// Of how many streams.
    pub streams: u64,
    /// Where the log ends now.
    pub head: Position,
}

/// Imports `path` into `store`. `progress` is told the bytes that were read since the last call; the file is read twice in all, and
/// more often if it is very long.
pub async fn import(store: &dyn EventStore, path: &Path, mut progress: impl FnMut(u64)) -> Result<Imported, ImportError> {
    let partial = store.is_partial().await.map_err(ImportError::Log)?;
    if !partial {
        is_empty(store).await?;
    }
    let (events, streams) = check(path, IDS, &mut progress)?;
    let (mut lines, mut owning) = (Lines::open(path)?, Owning::default());
    if partial {
        pass_over(store, &mut lines, &mut owning, &mut progress).await?;
    } else {
        store.set_partial(true).await.map_err(ImportError::Mark)?;
    }
    let mut batch = Batch::default();
    while let Some((number, line)) = lines.next::<Line>(&mut progress)? {
        let owned = owning.own(line.into());
        batch.add(number, owning.concern(owned));
        if batch.events >= BATCH {
            std::mem::take(&mut batch).write(store).await?;
        }
    }
    batch.write(store).await?;
    store.set_partial(false).await.map_err(ImportError::Mark)?;
    Ok(Imported { events, streams, head: store.head().await.map_err(ImportError::Log)? })
}

/// Refuses a log that holds anything.
async fn is_empty(store: &dyn EventStore) -> Result<(), ImportError> {
    if store.head().await.map_err(ImportError::Log)? == Position::START {
        return Ok(());
    }
    Err(if is_new(store).await.map_err(ImportError::Log)? { ImportError::Begun } else { ImportError::NotEmpty })
}

/// Checks every line; how many events and streams there are. At most `ids` ids are held at once.
fn check(path: &Path, ids: usize, progress: &mut impl FnMut(u64)) -> Result<(u64, u64), ImportError> {
    let mut check = Check::default();
    let (mut seen, mut events) = (Some(HashSet::new()), 0_u64);
    let mut lines = Lines::open(path)?;
    while let Some((number, line)) = lines.next::<Line>(progress)? {
        events += 1;
        let (id, fault) = (line.id, |fault| ImportError::Line { line: number, fault });
        check.line(number, line).map_err(fault)?;
        if let Some(known) = &mut seen {
            if !known.insert(id) {
                return Err(fault(Fault::Twice(id)));
            }
            if known.len() > ids {
                seen = None;
            }
        }
    }
    if let Some((line, error)) = check.unread.into_values().min_by_key(|(line, _)| *line) {
        return Err(ImportError::Line { line, fault: Fault::Decode(error) });
    }
    if seen.is_none() {
        let parts = events / ids.max(1) as u64 + 1;
        let hasher = RandomState::new();
        for part in 0..parts {
            look_for_twins(path, |id| hasher.hash_one(id) % parts == part)?;
        }
    }
    Ok((events, check.next.len() as u64))
}

/// Reads the ids of a file that was checked once more, and finds among those of one part the first that comes twice.
fn look_for_twins(path: &Path, of_part: impl Fn(Uuid) -> bool) -> Result<(), ImportError> {
    #[derive(Deserialize)]
    struct Identified {
        id: Uuid,
    }
    let mut seen = HashSet::new();
    let mut lines = Lines::open(path)?;
    while let Some((number, Identified { id })) = lines.next(&mut |_| ())? {
        if of_part(id) && !seen.insert(id) {
            return Err(ImportError::Line { line: number, fault: Fault::Twice(id) });
        }
    }
    Ok(())
}

/// Passes over the lines that the log holds, from an import that was interrupted.
async fn pass_over(
    store: &dyn EventStore,
    lines: &mut Lines,
    owning: &mut Owning,
    progress: &mut impl FnMut(u64),
) -> Result<(), ImportError> {
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, PAGE).await.map_err(ImportError::Log)?;
        for held in &page.events {
            let next: Option<(u64, Line)> = lines.next(progress)?;
            let what = match next {
                Some((_, line)) => {
                    let owned = owning.own(line.into());
                    difference(&owning.concern(owned), held)
                }
                None => Some("presence"),
            };
            if let Some(what) = what {
                return Err(ImportError::Other { position: held.position, line: lines.number, what });
            }
        }
        if page.scanned <= after {
            return Ok(());
        }
        after = page.scanned;
    }
}

/// The lines of a file, counted.
struct Lines {
    file: BufReader<File>,
    number: u64,
    text: String,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 20, File::open(path)?), number: 0, text: String::new() })
    }

    /// The next line. Editors of other systems put a mark of the encoding before the first one; after the last one there may be
    /// empty ones.
    fn next<T: for<'a> Deserialize<'a>>(&mut self, progress: &mut impl FnMut(u64)) -> Result<Option<(u64, T)>, ImportError> {
        let mut blank = None;
        loop {
            self.text.clear();
            let bytes = self.file.read_line(&mut self.text)?;
            if bytes == 0 {
                return Ok(None);
            }
            progress(bytes as u64);
            self.number += 1;
            let text = if self.number == 1 { self.text.trim_start_matches('\u{feff}') } else { &self.text };
            match (text.trim().is_empty(), blank) {
                (true, _) => blank = blank.or(Some(self.number)),
                (false, Some(line)) => return Err(ImportError::Line { line, fault: Fault::Blank }),
                (false, None) => {
                    let line = serde_json::from_str(text);
                    let line = line.map_err(|error| ImportError::Line { line: self.number, fault: Fault::Shape(error) })?;
                    return Ok(Some((self.number, line)));
                }
            }
        }
    }
}

/// What is known of the lines so far.
#[derive(Default)]
struct Check {
    /// The revision that comes next, by stream.
    next: HashMap<String, Revision>,
    position: Position,
    /// Events that cannot be read and on which lines; the decision to pass over one stands behind it.
    unread: HashMap<Uuid, (u64, DecodeError)>,
    /// Whether the salt of person ids has come.
    salted: bool,
}

impl Check {
    fn line(&mut self, number: u64, line: Line) -> Result<(), Fault> {
        if line.masked || line.data.is_none() {
            return Err(Fault::Masked);
        }
        let stored = Stored::from(line);
        owning::check(&stored.event).map_err(Fault::Owners)?;
        match stored.decode().map(|recorded| recorded.event) {
            Ok(Event::Skip(skip::Event::Decided { event, .. })) => drop(self.unread.remove(&event)),
            Ok(event @ Event::Salt(_)) => {
                salt_in(&event).map_err(Fault::Salt)?;
                self.salted = true;
            }
            Ok(Event::Person(_)) if !self.salted && stored.stream.id().is_some_and(is_salted) => return Err(Fault::NoSalt),
            Ok(_) => {}
            // Nothing may pass over it.
            Err(error) if is_of_salt(&stored) => return Err(Fault::Decode(error)),
            Err(error) => drop(self.unread.insert(stored.event.id, (number, error))),
        }
        let stream = stored.stream.to_string();
        if stored.position <= self.position {
            return Err(Fault::Order(stored.position));
        }
        self.position = stored.position;
        let expected = self.next.get(&stream).copied().unwrap_or(0);
        if stored.revision != expected {
            return Err(Fault::Revision { stream, expected, found: stored.revision });
        }
        self.next.insert(stream, expected + 1);
        let Stored { stream, event, .. } = stored;
        for json in [&event.data, &event.metadata] {
            if let Some(control) = control(json) {
                return Err(Fault::Control(control));
            }
        }
        rules::check(&Append { stream, expected: Expected::NoStream, events: vec![event] }).map_err(Fault::Rule)
    }
}

/// Whether a person's id was made with a salt: those of before have another version.
fn is_salted(id: Uuid) -> bool {
    id.get_version_num() == 8 && id.get_variant() == Variant::RFC4122
}

/// A control character, other than those that end lines and cells, in a text of `json`. Databases refuse some, and nothing here writes
/// any.
fn control(json: &str) -> Option<char> {
    fn forbidden(text: &str) -> Option<char> {
        text.chars().find(|letter| letter.is_control() && !['\n', '\r', '\t'].contains(letter))
    }
    fn within(value: &Value) -> Option<char> {
        match value {
            Value::String(text) => forbidden(text),
            Value::Array(values) => values.iter().find_map(within),
            Value::Object(fields) => fields.iter().find_map(|(name, value)| forbidden(name).or_else(|| within(value))),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }
    // JSON has most of them in escaped form only.
    if !json.contains("\\u00") && forbidden(json).is_none() {
        return None;
    }
    within(&serde_json::from_str(json).ok()?)
}

/// Appends that are written together.
#[derive(Default)]
struct Batch {
    appends: Vec<Append>,
    /// The line that each of them begins with.
    lines: Vec<u64>,
    events: usize,
    /// Of the last of them.
    bytes: usize,
}

impl Batch {
    fn add(&mut self, line: u64, stored: Stored) {
        self.events += 1;
        let Stored { stream, revision, event, .. } = stored;
        let bytes = event.data.len() + event.metadata.len() + 2 * event.event_type.len() + 64;
        self.bytes += bytes;
        // Events of one stream that follow one another were mostly appended together.
        match self.appends.last_mut() {
            Some(last) if last.stream == stream && self.bytes <= APPEND => last.events.push(event),
            _ => {
                self.bytes = bytes;
                self.appends.push(Append { stream, expected: Expected::of(revision.checked_sub(1)), events: vec![event] });
                self.lines.push(line);
            }
        }
    }

    async fn write(self, store: &dyn EventStore) -> Result<(), ImportError> {
        if self.appends.is_empty() {
            return Ok(());
        }
        for (outcome, line) in store.append_many(self.appends).await.into_iter().zip(self.lines) {
            outcome.map_err(|source| ImportError::Store { line, source })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(number: u64, id: u128) -> String {
        let (id, stream) = (Uuid::from_u128(id), Uuid::from_u128(1_000_000 + u128::from(number)));
        format!(
            r#"{{"position":{number},"id":"{id}","stream":"person-{stream}","revision":0,"type":"person.registered.v1","data":{{"display_name":"Ann"}},"recorded_at":"2026-01-01T00:00:00Z","metadata":{{"command":"Register","command_id":"{id}","correlation":"{id}"}},"masked":false}}"#
        )
    }

    #[test]
    fn an_id_that_comes_twice_is_found_however_few_fit_into_memory() {
        for (ids, first, second) in [(1_000, 3, 90), (10, 3, 90), (10, 1, 2), (1, 50, 100)] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            for number in 1..=100 {
                writeln!(file, "{}", line(number, if number == second { first } else { number }.into())).unwrap();
            }
            let refused = check(file.path(), ids, &mut |_| ()).unwrap_err();
            assert!(matches!(refused, ImportError::Line { line, fault: Fault::Twice(_) } if line == second), "{ids}: {refused}");
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for number in 1..=100 {
            writeln!(file, "{}", line(number, number.into())).unwrap();
        }
        assert_eq!(check(file.path(), 7, &mut |_| ()).unwrap(), (100, 100));
    }

    #[test]
    fn control_characters_are_found_wherever_they_stand() {
        for (json, found) in [
            (r#"{"a":"\u0000"}"#, Some('\0')),
            (r#"{"a":[{"\u001f":1}]}"#, Some('\u{1f}')),
            ("{\"a\":\"\u{85}\"}", Some('\u{85}')),
            (r#"{"a":"line\nline\r\ncell\tcell"}"#, None),
            (r#"{"a":"\\u0000 as it is written, \u00e9"}"#, None),
        ] {
            assert_eq!(control(json), found, "{json}");
        }
    }
}
