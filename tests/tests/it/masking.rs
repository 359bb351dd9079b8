//! What analysts read of what groups say of themselves: of those that were public when they said it, and of no other, in every
//! form in which the log leaves the house.

use circolo_domain::Span;
use circolo_events::{
    EventStore, Position,
    transfer::{Filter, Job, Line, MaskedView, Subject, text},
};
use circolo_projections::{
    Options, Value as Cell, all,
    as_of::{Snapshot, Wanted, write},
};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::json;
use std::{fs, path::Path, sync::Arc};

stories!(names_of_closed_and_secret_groups_are_masked_wherever_the_log_is_read);

/// The marks of this history: those that analysts read, and those that they do not.
struct Marks {
    open: Vec<String>,
    hidden: Vec<String>,
    /// Up to here nothing but creations, renamings and descriptions.
    before_the_changes: Position,
}

async fn change(who: &Actor, group: &str, mark: &str, privacy: Option<&str>) {
    let mut body = json!({ "name": format!("{mark} name"), "description": format!("{mark} description") });
    if let Some(privacy) = privacy {
        body["privacy"] = json!(privacy);
    }
    who.patch(group, body).await.expect(200);
}

/// Three groups say something of themselves, change how private they are while they say it, and say something again.
async fn history(world: &World) -> Marks {
    let ann = world.person("Ann").await;
    let mut groups = vec![];
    for privacy in ["public", "closed", "secret"] {
        let membership = if privacy == "secret" { "invite_only" } else { "request" };
        let (name, description) = (format!("{privacy}-a name"), format!("{privacy}-a description"));
        let body = json!({ "name": name, "description": description, "privacy": privacy, "membership": membership });
        let group = ann.post("/v1/groups", body).await.expect(201).location().to_owned();
        change(&ann, &group, &format!("{privacy}-b"), None).await;
        groups.push(group);
    }
    let before_the_changes = world.store().head().await.unwrap();
    world.clock().advance(Span::hours(30));
    // With the change of privacy in one command: what comes with the closing is closed, what comes with the opening is open.
    for (group, mark, privacy) in [(0, "closing", "closed"), (1, "opening", "public"), (2, "lifting", "closed")] {
        change(&ann, &groups[group], mark, Some(privacy)).await;
    }
    for (group, mark) in [(0, "since-closed"), (1, "since-open"), (2, "since-lifted")] {
        change(&ann, &groups[group], mark, None).await;
    }
    world.settled().await;
    let marks = |marks: &[&str]| marks.iter().map(|&mark| mark.to_owned()).collect();
    Marks {
        open: marks(&["public-a", "public-b", "opening", "since-open"]),
        hidden: marks(&["closed-a", "closed-b", "secret-a", "secret-b", "closing", "lifting", "since-closed", "since-lifted"]),
        before_the_changes,
    }
}

impl Marks {
    fn check(&self, form: &str, text: &str) {
        for mark in &self.open {
            for what in ["name", "description"] {
                assert!(text.contains(&format!("{mark} {what}")), "{form} lacks the {what} {mark}");
            }
        }
        for mark in &self.hidden {
            assert!(!text.contains(mark), "{form} tells {mark}");
        }
    }
}

/// Names of the groups in a file of read models, by what they held at `position`.
async fn names(store: &Arc<dyn EventStore>, position: Position, masked: bool, folder: &Path) -> Vec<(String, Option<String>)> {
    let (out, clock) = (folder.join(format!("as-of-{position}-{masked}.db")), circolo::clock::system());
    let log = Arc::new(MaskedView::new(store.clone(), position, masked, Box::new(|_| ())));
    let wanted = Wanted { log, position, projections: all(), masked, version: "test" };
    write(wanted, Options::new(clock), &out).await.unwrap();
    let mut rows = vec![];
    Snapshot::open(&out)
        .unwrap()
        .query("SELECT privacy, name, description FROM groups ORDER BY position", |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
    let text = |cell: &Cell| if let Cell::Text(text) = cell { Some(text.clone()) } else { None };
    rows.iter()
        .map(|row| {
            assert_eq!(text(&row[1]).is_some(), text(&row[2]).is_some(), "name and description are masked together: {row:?}");
            (text(&row[0]).unwrap(), text(&row[1]))
        })
        .collect()
}

async fn names_of_closed_and_secret_groups_are_masked_wherever_the_log_is_read(world: World) {
    let marks = history(&world).await;
    let eve = world.signed_in("eve", "analyst");
    let lines = eve.with("accept", "application/x-ndjson");
    for (form, who) in [("the list of events", &eve), ("the lines of events", &lines)] {
        let reply = who.get("/v1/events?type=group&limit=100").await.expect(200);
        marks.check(form, std::str::from_utf8(&reply.bytes).unwrap());
    }
    let (store, folder) = (world.store(), tempfile::tempdir().unwrap());
    for (form, format) in [("NDJSON", text::Format::Ndjson), ("CSV", text::Format::Csv)] {
        let path = folder.path().join(form);
        let subject = Subject { log: store.log_id(), filter: Filter::default(), masked: true };
        let end = store.head().await.unwrap();
        text::export(Job { store: &**store, subject, end, progress: &mut |_, _| () }, format, &path).await.unwrap();
        marks.check(form, &fs::read_to_string(path).unwrap());
    }
    // What `circolo events tail` and a follower of the log print.
    let all = crate::backend::whole(&**store, 100).await;
    let printed: Vec<String> = all.into_iter().map(|stored| serde_json::to_string(&Line::masked(stored)).unwrap()).collect();
    marks.check("a tail", &printed.join("\n"));
    #[cfg(feature = "parquet")]
    {
        let subject = Subject { log: store.log_id(), filter: Filter::default(), masked: true };
        let (path, end) = (folder.path().join("events"), store.head().await.unwrap());
        circolo_events::transfer::ranges::export(Job { store: &**store, subject, end, progress: &mut |_, _| () }, &path, 250)
            .await
            .unwrap();
        marks.check("Parquet", &parquet_text(&path));
    }
    let row = |privacy: &str, name: Option<&str>| (privacy.to_owned(), name.map(str::to_owned));
    let then = names(store, marks.before_the_changes, true, folder.path()).await;
    assert_eq!(then, [row("public", Some("public-b name")), row("closed", None), row("secret", None)]);
    let head = store.head().await.unwrap();
    let now = names(store, head, true, folder.path()).await;
    assert_eq!(now, [row("closed", None), row("public", Some("since-open name")), row("closed", None)]);
    let told = names(store, head, false, folder.path()).await;
    let all = ["since-closed name", "since-open name", "since-lifted name"];
    assert_eq!(told.iter().map(|(_, name)| name.as_deref().unwrap()).collect::<Vec<_>>(), all);
}

/// The payloads of a folder of Parquet files.
#[cfg(feature = "parquet")]
fn parquet_text(folder: &Path) -> String {
    use ::parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };
    let mut text = String::new();
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "parquet") {
            let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
            reader.get_row_iter(None).unwrap().for_each(|row| text.push_str(row.unwrap().get_string(12).unwrap()));
        }
    }
    text
}
