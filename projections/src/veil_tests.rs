use super::*;
use Privacy::{Closed, Public, Secret};
use circolo_domain::access::{Owner, Privacy, Scope};
use circolo_domain::testing::{GROUP, NOON};
use circolo_domain::{Event, PostId, Span, post};
use circolo_events::{Metadata, Position};
use uuid::Uuid;

/// Something that happened in an era of this privacy.
fn edit(era: u32, privacy: Privacy) -> Recorded {
    let scope = Scope { owner: Owner::Group(GROUP), privacy, era };
    let (command_id, command) = (Uuid::nil(), String::new());
    let metadata = Metadata {
        actor: None,
        command,
        command_id,
        fingerprint: None,
        correlation: command_id,
        causation: None,
        scope: Some(scope),
        concerns: vec![],
    };
    Recorded {
        position: Position(1),
        stream: post::stream(PostId(command_id)),
        revision: 1,
        id: command_id,
        recorded_at: NOON.plus(Span::hours(era.into())),
        metadata,
        event: Event::Post(post::Event::Edited { version: 2, text: circolo_domain::testing::personal("") }),
    }
}

fn written(veil: &mut Veil, thing: Privacy, era: u32, privacy: Privacy) -> bool {
    veil.write("text", thing as i64, &edit(era, privacy), Some(&era.to_string()), Some(era))
}

fn key(eras: impl Into<Vec<u32>>) -> Vec<Key> {
    eras.into().into_iter().map(|era| Key::always(Owner::Group(GROUP).place(), era, era)).collect()
}

fn read(veil: &Veil, eras: &[u32]) -> Option<String> {
    let mut shown = Some("open".to_owned());
    veil.lift("text", &key(eras), &mut shown);
    shown
}

#[test]
fn what_is_no_stricter_is_open() {
    for (thing, privacy) in [(Public, Public), (Closed, Public), (Closed, Closed), (Secret, Closed), (Secret, Secret)] {
        let mut veil = Veil::default();
        assert!(written(&mut veil, thing, 1, privacy));
        assert_eq!(veil.into_value(), Value::Null);
    }
}

#[test]
fn each_reads_the_newest_they_may_read() {
    let mut veil = Veil::default();
    assert!(!written(&mut veil, Public, 1, Closed));
    assert!(!written(&mut veil, Public, 2, Secret));
    for (eras, expected) in [(&[0][..], "open"), (&[0, 1], "1"), (&[0, 1, 2], "2"), (&[2], "2")] {
        assert_eq!(read(&veil, eras).as_deref(), Some(expected), "{eras:?}");
    }
    assert_eq!(veil.newest("text", None).map(String::as_str), Some("2"));
    assert_eq!(Veil::from_value(veil.clone().into_value()), Ok(veil));
}

#[test]
fn what_comes_after_takes_the_place_of_what_was_no_laxer() {
    let mut veil = Veil::default();
    for (era, privacy) in [(1, Secret), (2, Closed), (3, Closed)] {
        assert!(!written(&mut veil, Public, era, privacy));
    }
    assert_eq!(veil.0["text"].len(), 1, "whoever read what was secret reads what is closed");
    assert_eq!(read(&veil, &[1, 2]).as_deref(), Some("open"), "the last counts, and it is not theirs");
    assert!(written(&mut veil, Public, 4, Public));
    assert_eq!((read(&veil, &[3]).as_deref(), veil), (Some("open"), Veil::default()));
}

#[test]
fn the_moment_counts_as_much_as_the_era() {
    let mut veil = Veil::default();
    written(&mut veil, Public, 1, Closed);
    let at = NOON.plus(Span::hours(1)).micros();
    for (since, until, opens) in [(at, at + 1, true), (at + 1, i64::MAX, false), (i64::MIN, at, false)] {
        let keys = [Key { since, until, ..key([1]).remove(0) }];
        assert_eq!(veil.lifted("text", &keys).is_some(), opens);
    }
    let elsewhere = [Key::always("group:another".to_owned(), 0, 9)];
    assert_eq!(veil.lifted("text", &elsewhere), None);
}
