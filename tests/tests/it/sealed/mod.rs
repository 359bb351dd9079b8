//! Logs that hold no word that can be read without a key: what is stored, what is opened, what leaves the house, and what is lost with what.

mod bytes;
mod copies;
mod kills;
mod lines;
mod nodes;
mod operators;
mod rows;
mod starts;

use circolo_domain::{
    StreamName,
    testing::{NOON, samples},
};
use circolo_events::{Append, EventStore, Expected, Memory, Metadata, envelope::new_events};
use circolo_tests::world::sealed;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// What every text begins with in these histories.
const MARK: &str = "Kennwort7Q";

/// One event of each type there is, with a word of its own in each of its texts; and these words.
fn marked() -> (Vec<Append>, Vec<String>) {
    let mut words = vec![];
    let mut append = |(number, sample): (usize, circolo_domain::Event)| {
        let id = Uuid::from_u128(0xA000 + number as u128);
        let (stream, metadata) = (StreamName::new(sample.category(), id), metadata(id));
        let mut events = new_events(&stream, &[sample], &metadata, NOON);
        for event in &mut events {
            let mut data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            for text in &event.texts {
                let word = format!("{MARK} {} {}", event.event_type, text.at);
                *data.pointer_mut(&text.at).unwrap() = word.as_str().into();
                words.push(word);
            }
            event.data = data.to_string();
        }
        Append { stream, expected: Expected::NoStream, events }
    };
    let appends = samples().into_iter().enumerate().map(&mut append).collect();
    assert!(words.len() > 30, "{words:?}");
    (appends, words)
}

fn metadata(command_id: Uuid) -> Metadata {
    let command = "Say".to_owned();
    Metadata {
        actor: None,
        command,
        command_id,
        fingerprint: None,
        correlation: command_id,
        causation: None,
        scope: None,
        concerns: vec![],
    }
}

/// A log in memory behind keys, and its folder.
async fn in_memory() -> (Arc<dyn EventStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (sealed(Arc::new(Memory::new(Uuid::from_u128(1))), folder.path()).await, folder)
}
