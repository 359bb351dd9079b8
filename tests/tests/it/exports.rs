//! Exports and imports: whole, interrupted, in ranges, and back into every log.

use crate::backend::{Backend, whole};
use async_trait::async_trait;
use circolo_domain::{StreamName, Timestamp};
use circolo_events::{
    Append, Appended, EventStore, LogId, Memory, Page, People, Position, Revision, StoreError, Stored, simulate,
    transfer::{ExportError, Filter, Job, Subject, Summary, end, import, text},
};
use circolo_projections::{Db, Options, all, prepare};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A log of some hundred or thousand simulated events.
pub async fn history(seed: u64, events: u64) -> Arc<dyn EventStore> {
    let store: Arc<dyn EventStore> = Arc::new(Memory::new(Uuid::from_u128(9)));
    simulated(&*store, seed, events).await;
    store
}

/// Writes one into `store`.
pub async fn simulated(store: &dyn EventStore, seed: u64, events: u64) {
    let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let options = simulate::Options { people: 30, groups: 4, pages: 3, days: 20, events, seed, start };
    let person = |people: &People, n: usize| people.id("test", &format!("person-{n}"), 0);
    simulate::simulate(store, options, person, |_| ()).await.unwrap();
}

pub fn subject(store: &dyn EventStore, filter: Filter, masked: bool) -> Subject {
    Subject { log: store.log_id(), filter, masked }
}

async fn ndjson(store: &dyn EventStore, subject: Subject, path: &Path) -> Result<Summary, ExportError> {
    let end = end(store, &subject.filter).await.unwrap();
    text::export(Job { store, subject, end, progress: &mut |_, _| () }, text::Format::Ndjson, path).await
}

/// The lines of an unmasked export, as they are.
pub async fn exported(store: &dyn EventStore, folder: &TempDir, name: &str) -> Vec<String> {
    let path = folder.path().join(name);
    ndjson(store, subject(store, Filter::default(), false), &path).await.unwrap();
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn without_position(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap();
    assert!(line["position"].take().is_i64());
    line
}

#[tokio::test]
async fn a_filter_chooses_and_a_mask_hides() {
    let (store, folder) = (history(1, 800).await, tempfile::tempdir().unwrap());
    let all = whole(&*store, 100).await;
    let path = folder.path().join("some.ndjson");
    let middle = all[400].event.recorded_at;
    let filter = Filter {
        types: vec!["question".into(), "post.written".into()],
        since: Some(middle),
        to: Some(all[700].position),
        ..Filter::default()
    };
    let summary = ndjson(&*store, subject(&*store, filter.clone(), true), &path).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let wanted: Vec<i64> = all.iter().filter(|stored| filter.wants(stored)).map(|stored| stored.position.0).collect();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["position"].as_i64().unwrap()).collect::<Vec<_>>(), wanted);
    assert!(!wanted.is_empty() && summary.events == wanted.len() as u64 && summary.end == all[700].position);
    let question = lines.iter().find(|line| line["type"] == "question.posted.v1").unwrap();
    assert_eq!((&question["data"]["title"], &question["masked"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn csv_holds_the_same_events() {
    let (store, folder) = (history(2, 400).await, tempfile::tempdir().unwrap());
    let path = folder.path().join("all.csv");
    let job = Job {
        store: &*store,
        subject: subject(&*store, Filter::default(), false),
        end: store.head().await.unwrap(),
        progress: &mut |_, _| (),
    };
    let summary = text::export(job, text::Format::Csv, &path).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("position,id,stream,revision,type,recorded_at,actor,"), "{}", &text[..200]);
    // Simulated texts hold no line breaks, and quotes are doubled.
    assert_eq!(text.lines().count() as u64, summary.events + 1);
    assert!(text.contains("\"{\"\"author\"\":"));
}

/// A log that cannot be read any more after some pages.
struct Failing(Arc<dyn EventStore>, AtomicUsize);

#[async_trait]
impl EventStore for Failing {
    fn log_id(&self) -> LogId {
        self.0.log_id()
    }
    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.0.append(append).await
    }
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        self.0.append_many(appends).await
    }
    async fn read(&self, stream: &StreamName, from: Revision, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.0.read(stream, from, limit).await
    }
    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        self.0.read_prefix(prefix, after, until, limit).await
    }
    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        if self.1.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(StoreError::Unavailable("gone".into()));
        }
        self.0.read_all(after, limit).await
    }
    async fn head(&self) -> Result<Position, StoreError> {
        self.0.head().await
    }
    async fn find(&self, stream: &StreamName, command_id: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        self.0.find(stream, command_id).await
    }
    async fn changed(&self, after: Position, wait: Duration) -> Result<Position, StoreError> {
        self.0.changed(after, wait).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_interrupted_goes_on_and_ends_the_same() {
    let (store, folder) = (history(3, 26_000).await, tempfile::tempdir().unwrap());
    let subject = subject(&*store, Filter::default(), false);
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    let first = ndjson(&*store, subject.clone(), &straight).await.unwrap();
    let failing = Failing(store.clone(), AtomicUsize::new(8));
    ndjson(&failing, subject.clone(), &broken).await.unwrap_err();
    assert!(!broken.exists(), "what is not whole does not look so");
    let partial = folder.path().join("broken.partial");
    // What was being written when the power went.
    let torn = fs::read(&partial).unwrap();
    fs::write(&partial, [&torn[..], b"{\"position\":"].concat()).unwrap();
    // Another export is not mixed into it.
    let other = Subject { masked: true, ..subject.clone() };
    assert!(matches!(ndjson(&*store, other, &broken).await, Err(ExportError::Other(_))));
    // Nor what another history of this log holds, as it stands after an older copy was restored.
    let restored = history(4, 26_000).await;
    assert!(matches!(ndjson(&*restored, subject.clone(), &broken).await, Err(ExportError::OtherHistory(_))));
    // The second run reads only what is missing: 8 pages of 2,000 were read, 10,000 events noted.
    let failing = Failing(store.clone(), AtomicUsize::new(10));
    assert_eq!(ndjson(&failing, subject, &broken).await.unwrap(), first);
    assert!(fs::read(straight).unwrap() == fs::read(broken).unwrap(), "the two exports differ");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
}

/// Rows of all read models without positions, by table.
async fn rows(store: Arc<dyn EventStore>, folder: &TempDir, name: &str) -> BTreeMap<String, Vec<String>> {
    let path = folder.path().join(name);
    let db = Db::sqlite(&path).await.unwrap();
    let declared: Vec<_> = all().iter().flat_map(|projection| projection.tables.clone()).map(|fold| fold.table).collect();
    prepare(db, store, all(), Options::new(circolo::clock::system()), None).await.unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut rows = BTreeMap::new();
    for table in declared {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name).filter(|name| !name.contains("position")).collect();
        let list = columns.iter().map(|column| format!("quote({column})")).collect::<Vec<_>>().join(" || ',' || ");
        let mut statement = connection.prepare(&format!("SELECT {list} FROM {} ORDER BY {}", table.name, table.key())).unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        rows.insert(table.name.to_owned(), found);
    }
    rows
}

async fn comes_back_equal(name: &str) {
    for seed in 1..=3 {
        let Some(backend) = Backend::new(name).await else { return };
        let (origin, folder) = (history(seed, 600 * seed).await, tempfile::tempdir().unwrap());
        let before = exported(&*origin, &folder, "before").await;
        let copy = backend.open().await;
        let imported = import::import(&*copy, &folder.path().join("before"), |_| ()).await.unwrap();
        assert_eq!((imported.events, imported.head), (before.len() as u64, copy.head().await.unwrap()));
        let after = exported(&*copy, &folder, "after").await;
        let same = |lines: &[String]| lines.iter().map(|line| without_position(line)).collect::<Vec<_>>();
        assert!(same(&before) == same(&after), "seed {seed} comes back different");
        let (one, other) = (rows(origin, &folder, "one.db").await, rows(copy.clone(), &folder, "other.db").await);
        assert_eq!(one, other, "seed {seed}");
        // Nobody writes a history over another.
        let again = import::import(&*copy, &folder.path().join("before"), |_| ()).await;
        assert!(matches!(again, Err(import::ImportError::NotEmpty)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_comes_back_equal_in_memory() {
    comes_back_equal("memory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_comes_back_equal_on_sqlite() {
    comes_back_equal("sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_comes_back_equal_on_postgres() {
    comes_back_equal("postgres").await;
}

#[tokio::test]
async fn a_bad_line_is_named_and_nothing_is_imported() {
    let (origin, folder) = (history(5, 300).await, tempfile::tempdir().unwrap());
    let lines = exported(&*origin, &folder, "good").await;
    let change = |number: usize, change: &dyn Fn(&mut Value)| {
        let mut lines = lines.clone();
        let mut line = serde_json::from_str(&lines[number - 1]).unwrap();
        change(&mut line);
        lines[number - 1] = line.to_string();
        lines
    };
    let dropped = |number: usize| [&lines[..number - 1], &lines[number..]].concat();
    let second = 1 + lines.iter().position(|line| line.contains("\"revision\":1,")).unwrap();
    let first = 1 + lines.iter().position(|line| without_position(line)["revision"] == 0).unwrap();
    let person = 1 + lines.iter().rposition(|line| line.contains("person.registered.v1")).unwrap();
    let cases = [
        (change(7, &|line| line["masked"] = json!(true)), "line 7: the event is masked"),
        (change(8, &|line| line["data"] = Value::Null), "line 8: the event is masked"),
        (change(9, &|line| line["type"] = json!("poll.opened.v1")), "line 9: unknown event type poll.opened.v1"),
        (change(person, &|line| line["data"]["display_name"] = json!(7)), "broken payload of person.registered.v1"),
        (change(1, &|line| line["data"]["salt"] = json!(7)), "line 1: broken payload of salt.drawn.v1"),
        (change(1, &|line| line["data"] = json!({ "salt": null })), "line 1: the salt of person ids is null"),
        (dropped(1), "line 1: the id of this person was made with a salt"),
        (change(11, &|line| line["position"] = json!(3)), "line 11: position 3 does not come after"),
        (change(second, &|line| line["revision"] = json!(2)), "goes on with revision 1, not 2"),
        (change(12, &|line| line["recorded_at"] = json!("noon")), "line 12: not an exported event: bad_time"),
        ([&lines[..20], &["{".to_owned()]].concat(), "line 21: not an exported event"),
        (change(first, &|line| line["stream"] = json!("poll-1")), "does not belong in the stream poll-1"),
        (dropped(second), "goes on with revision"),
        (change(30, &|line| line["id"] = serde_json::from_str::<Value>(&lines[3]).unwrap()["id"].clone()), "line 30: the event id "),
        (change(13, &|line| line["metadata"]["command"] = json!("a\0b")), "line 13: a text holds the control character U+0000"),
        ([&lines[..20], &[String::new()], &lines[20..]].concat(), "line 21: the line is empty"),
    ];
    for (lines, complaint) in cases {
        let path = folder.path().join("bad");
        fs::write(&path, lines.join("\n")).unwrap();
        let store = Memory::default();
        let refused = import::import(&store, &path, |_| ()).await;
        match refused {
            // The revision after a dropped one may not exist: then the history is only shorter.
            Ok(_) if complaint == "goes on with revision" => {}
            Ok(_) => panic!("{complaint}: it was imported"),
            Err(error) => {
                assert!(error.to_string().contains(complaint), "{error}, not: {complaint}");
                assert_eq!(store.head().await.unwrap(), Position::START);
            }
        }
    }
}

#[tokio::test]
async fn a_mark_of_the_encoding_and_empty_last_lines_are_taken() {
    let (origin, folder) = (history(6, 200).await, tempfile::tempdir().unwrap());
    let lines = exported(&*origin, &folder, "good").await;
    let path = folder.path().join("edited");
    fs::write(&path, format!("\u{feff}{}\r\n\r\n  \n\n", lines.join("\r\n"))).unwrap();
    let store = Memory::default();
    assert_eq!(import::import(&store, &path, |_| ()).await.unwrap().events, lines.len() as u64);
    assert_eq!(whole(&store, 1_000).await.len(), lines.len());
}

#[tokio::test]
async fn what_an_interrupted_import_left_is_compared_and_gone_on_with() {
    let (origin, folder) = (history(7, 500).await, tempfile::tempdir().unwrap());
    let lines = exported(&*origin, &folder, "all").await;
    let store = Memory::default();
    let (all, part) = (folder.path().join("all"), folder.path().join("part"));
    fs::write(&part, lines[..200].join("\n")).unwrap();
    import::import(&store, &part, |_| ()).await.unwrap();
    assert!(!store.is_partial().await.unwrap());
    assert!(matches!(import::import(&store, &all, |_| ()).await, Err(import::ImportError::NotEmpty)));
    // As it is while an import goes on.
    store.set_partial(true).await.unwrap();
    let mut other = lines.clone();
    other[100] = lines[100].replacen("\"recorded_at\":\"2", "\"recorded_at\":\"3", 1);
    fs::write(&part, other.join("\n")).unwrap();
    let refused = import::import(&store, &part, |_| ()).await.unwrap_err();
    assert!(matches!(refused, import::ImportError::Other { line: 101, what: "time", .. }), "{refused}");
    fs::write(&part, lines[..150].join("\n")).unwrap();
    let refused = import::import(&store, &part, |_| ()).await.unwrap_err();
    assert!(matches!(refused, import::ImportError::Other { what: "presence", .. }), "{refused}");
    assert!(store.is_partial().await.unwrap(), "nobody takes it for a history meanwhile");
    let imported = import::import(&store, &all, |_| ()).await.unwrap();
    assert_eq!((imported.events, store.is_partial().await.unwrap()), (lines.len() as u64, false));
    let same = |events: Vec<Stored>| {
        events.into_iter().map(|Stored { stream, revision, event, .. }| (stream, revision, event)).collect::<Vec<_>>()
    };
    assert!(same(whole(&store, 1_000).await) == same(whole(&*origin, 1_000).await), "it went on with something else");
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;
    use ::parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };
    use circolo_events::transfer::ranges::{self, Manifest};

    async fn run(store: &dyn EventStore, filter: Filter, masked: bool, to: Position, folder: &Path) -> Result<Summary, ExportError> {
        let subject = subject(store, filter, masked);
        ranges::export(Job { store, subject, end: to, progress: &mut |_, _| () }, folder, 250).await
    }

    fn manifest(folder: &Path) -> Manifest {
        serde_json::from_slice(&fs::read(folder.join(ranges::MANIFEST)).unwrap()).unwrap()
    }

    /// Position, type and payload of every event of a folder.
    fn read(folder: &Path) -> Vec<(i64, String, Option<String>)> {
        let mut found = Vec::new();
        for file in manifest(folder).files {
            let before = found.len();
            let reader = SerializedFileReader::new(fs::File::open(folder.join(file.file)).unwrap()).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                let row = row.unwrap();
                let position = row.get_long(0).unwrap();
                assert!((file.first.0..=file.last.0).contains(&position));
                found.push((position, row.get_string(4).unwrap().clone(), row.get_string(12).ok().cloned()));
            }
            assert_eq!((found.len() - before) as u64, file.events);
        }
        found
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_nightly_run_adds_what_is_new_and_rewrites_nothing() {
        let (store, folder) = (history(4, 2_000).await, tempfile::tempdir().unwrap());
        let head = store.head().await.unwrap();
        let (path, filter) = (folder.path(), Filter::default());
        run(&*store, filter.clone(), false, Position(600), path).await.unwrap();
        let first = manifest(path);
        assert_eq!(first.files.iter().map(|file| (file.first.0, file.last.0)).collect::<Vec<_>>(), [(1, 250), (251, 500), (501, 600)]);
        let stamp = |name: &str| fs::metadata(path.join(name)).unwrap().modified().unwrap();
        let stamps: Vec<_> = first.files.iter().map(|file| stamp(&file.file)).collect();
        // A run that died while it wrote a file leaves nothing that counts.
        let dying = Failing(store.clone(), AtomicUsize::new(0));
        run(&dying, filter.clone(), false, head, path).await.unwrap_err();
        run(&*store, filter.clone(), false, head, path).await.unwrap();
        let second = manifest(path);
        assert_eq!(second.files[..3], first.files[..], "what is closed stays");
        assert_eq!(first.files.iter().map(|file| stamp(&file.file)).collect::<Vec<_>>(), stamps);
        assert_eq!(second.through, head);
        let events = whole(&*store, 500).await;
        let expected: Vec<_> = events.iter().map(|e| (e.position.0, e.event.event_type.clone(), Some(e.event.data.clone()))).collect();
        assert!(read(path) == expected, "the files hold something else than the log");
        // Nothing new, nothing written.
        run(&*store, filter.clone(), false, head, path).await.unwrap();
        assert_eq!(manifest(path), second);
        for (other, masked, log) in
            [(filter.clone(), true, 9), (Filter { types: vec!["post".into()], ..filter.clone() }, false, 9), (filter, false, 8)]
        {
            let store = if log == 9 { store.clone() } else { Arc::new(Memory::new(Uuid::from_u128(8))) };
            assert!(matches!(run(&*store, other, masked, head, path).await, Err(ExportError::Other(_))));
        }
        // As long, and longer, a log that was restored from an older copy is another history.
        let restored = history(5, 2_100).await;
        let end = restored.head().await.unwrap();
        assert!(matches!(run(&*restored, Filter::default(), false, end, path).await, Err(ExportError::OtherHistory(_))));
        assert_eq!(manifest(path), second);
    }
}
