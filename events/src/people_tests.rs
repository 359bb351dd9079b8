use super::*;
use crate::Memory;
use circolo_domain::{StreamName, salt::EncodedSalt};

const NOW: Timestamp = Timestamp::from_micros(1_769_860_800_000_000);

fn random(byte: u8) -> Random {
    Random::of(move |bytes| bytes.fill(byte))
}

async fn append(store: &Memory, stream: StreamName, event_type: &str, data: &str) {
    let metadata =
        r#"{"command":"x","command_id":"00000000-0000-0000-0000-000000000000","correlation":"00000000-0000-0000-0000-000000000000"}"#;
    let event = crate::NewEvent {
        id: Uuid::new_v5(&Uuid::NAMESPACE_OID, stream.as_str().as_bytes()),
        event_type: event_type.to_owned(),
        data: data.to_owned(),
        metadata: metadata.to_owned(),
        recorded_at: NOW,
    };
    store.append(Append { stream, expected: Expected::NoStream, events: vec![event] }).await.unwrap();
}

async fn begin(store: &Memory, byte: u8) -> Result<People, PeopleError> {
    People::begin(store, &random(byte), Uuid::from_u128(byte.into()), NOW).await
}

#[tokio::test]
async fn a_new_log_begins_with_its_salt_and_keeps_it() {
    let store = Memory::default();
    assert_eq!(People::of(&store).await.unwrap(), None);
    assert!(is_new(&store).await.unwrap());
    let people = begin(&store, 1).await.unwrap();
    assert!(is_new(&store).await.unwrap());
    assert_eq!(people, People::salted(Secret::new([1; 32])));
    assert_eq!(begin(&store, 2).await.unwrap(), people);
    assert_eq!(People::of(&store).await.unwrap(), Some(people));
    let events = store.read_all(Position::START, 10).await.unwrap().events;
    let [only] = &events[..] else { panic!("{events:?}") };
    assert_eq!((only.stream.as_str(), only.revision, only.event.event_type.as_str()), ("salt-people", 0, "salt.drawn.v1"));
    assert_eq!((only.event.recorded_at, only.metadata().unwrap().command.as_str()), (NOW, "DrawSalt"));
}

#[tokio::test]
async fn a_log_with_people_and_no_salt_keeps_its_ids() {
    let store = Memory::default();
    append(&store, StreamName::stored("person-00000000-0000-0000-0000-000000000001"), "person.registered.v1", r#"{"display_name":"Ann"}"#)
        .await;
    let people = begin(&store, 1).await.unwrap();
    assert_eq!(people, People::unsalted());
    assert_eq!(store.read_all(Position::START, 10).await.unwrap().events.len(), 1, "nothing was written");
    // As every program of before made it.
    assert_eq!(people.id("circolo", "ann", 0).to_string(), "5ac9a9b3-9862-5566-8fd2-97c3dd7f5b01");
    let all =
        [people.id("circolo", "ann", 0), people.id("circolo", "ann", 1), people.id("circolo", "ann", 2), people.id("circolo", "bea", 0)];
    assert_eq!(std::collections::BTreeSet::from(all).len(), 4);
}

#[tokio::test]
async fn events_without_people_do_not_keep_a_log_from_getting_its_salt() {
    let store = Memory::default();
    append(&store, StreamName::stored("unmasking-1"), "unmasking.recorded.v1", "{}").await;
    assert!(!is_new(&store).await.unwrap());
    // It is a category by itself that counts, and no beginning of another.
    append(&store, StreamName::stored("personal-1"), "personal.noted.v1", "{}").await;
    assert_eq!(begin(&store, 1).await.unwrap(), People::salted(Secret::new([1; 32])));
    assert!(!is_new(&store).await.unwrap());
}

#[test]
fn a_person_of_a_salted_log_is_the_one_of_the_vector() {
    let salt = Secret::new(*b"@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_");
    assert_eq!(People::salted(salt).id("circolo", "ann", 0).to_string(), "610b9eed-09a8-8a98-85c8-1d8b0a8ce85f");
}

#[tokio::test]
async fn a_salt_that_is_not_there_is_told_and_no_other_is_drawn() {
    for (event_type, data, told) in [
        ("salt.drawn.v1", r#"{"salt":null}"#.to_owned(), "is null"),
        ("salt.drawn.v1", r#"{"salt":"c2FsdA"}"#.to_owned(), "is not 32 bytes"),
        ("salt.drawn.v1", format!(r#"{{"salt":"{}="}}"#, "A".repeat(43)), "is not 32 bytes"),
        ("salt.drawn.v1", r#"{"salt":["hunter2"]}"#.to_owned(), "cannot be read"),
        ("salt.drawn.v2", r#"{"pepper":"hunter2"}"#.to_owned(), "cannot be read: unknown event type"),
        ("skip.decided.v1", "{}".to_owned(), "cannot be read"),
    ] {
        let store = Memory::default();
        append(&store, salt::stream(), event_type, &data).await;
        let error = begin(&store, 1).await.unwrap_err();
        assert!(matches!(error, PeopleError::Salt(_)), "{data}: {error:?}");
        assert!(error.to_string().contains(told) && !error.to_string().contains("hunter2"), "{data}: {error}");
        assert_eq!(store.read_all(Position::START, 10).await.unwrap().events.len(), 1, "{data}");
    }
}

#[tokio::test]
async fn who_comes_second_goes_by_what_the_first_drew() {
    let store = Memory::default();
    store.append(first_event(&Secret::new([9; 32]), Uuid::from_u128(9), NOW)).await.unwrap();
    // Both saw an empty log; this one's append comes too late.
    let late = store.append(first_event(&Secret::new([1; 32]), Uuid::from_u128(1), NOW)).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    assert_eq!(begin(&store, 1).await.unwrap(), People::salted(Secret::new([9; 32])));
}

#[test]
fn who_people_are_is_not_shown() {
    let salt = Secret::new([0xab; 32]);
    let EncodedSalt(text) = person::write_salt(&salt);
    let shown = format!("{:?}", People::salted(salt));
    assert!(!shown.contains(&text) && !shown.contains("ab") && !shown.contains("171"), "{shown}");
}
