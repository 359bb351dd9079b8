//! A history that does not tell whom its events concern comes in as one that does.

use super::super::{import::import, line::Line};
use crate::{
    EventStore, Memory, Position, Stored,
    people::People,
    simulate::{Options, simulate},
};
use circolo_domain::Timestamp;
use serde_json::Value;
use std::{collections::BTreeSet, io::Write};

async fn events(log: &Memory) -> Vec<Stored> {
    log.read_all(Position::START, 10_000).await.unwrap().events
}

#[tokio::test]
async fn an_import_tells_whom_events_concern_as_their_decisions_did() {
    let start = Timestamp::from_micros(1_767_225_600_000_000);
    let options = Options { people: 40, groups: 5, pages: 3, days: 20, events: 3_000, seed: 5, start };
    let (first, second) = (Memory::default(), Memory::default());
    simulate(&first, options, |people: &People, n| people.id("test", &format!("person-{n}"), 0), |_| ()).await.unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut told = BTreeSet::new();
    for stored in events(&first).await {
        let mut line = serde_json::to_value(Line::whole(stored)).unwrap();
        if line["metadata"].as_object_mut().unwrap().remove("concerns").is_some() {
            told.insert(line["type"].as_str().unwrap().to_owned());
        }
        writeln!(file, "{line}").unwrap();
    }
    for known in ["comment.written.v1", "question.answered.v1", "question.answer_accepted.v1", "membership.invited.v1"] {
        assert!(told.contains(known), "{known} concerns nobody in this history: {told:?}");
    }
    import(&second, file.path(), |_| ()).await.unwrap();
    let concerns = |stored: &Stored| serde_json::from_str::<Value>(&stored.event.metadata).unwrap()["concerns"].take();
    for (was, is) in events(&first).await.iter().zip(events(&second).await) {
        assert_eq!((is.event.id, concerns(&is)), (was.event.id, concerns(was)), "{}", was.event.event_type);
    }
}
