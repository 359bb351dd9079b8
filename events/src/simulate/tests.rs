use super::*;
use crate::{Memory, Position};

fn options(seed: u64) -> Options {
    Options { people: 60, groups: 6, pages: 4, days: 20, events: 4_000, seed, start: Timestamp::from_micros(1_767_225_600_000_000) }
}

pub(super) async fn history(seed: u64) -> (Memory, Summary) {
    let log = Memory::default();
    let person = |people: &People, n: usize| people.id("test", &format!("person-{n}"), 0);
    let summary = simulate(&log, options(seed), person, |_| ()).await.unwrap();
    (log, summary)
}

#[tokio::test]
async fn a_seed_gives_the_same_history_and_another_seed_another() {
    let events = |log: Memory| async move {
        let page = log.read_all(Position::START, 10_000).await.unwrap();
        page.events.into_iter().map(|stored| (stored.stream, stored.revision, stored.event)).collect::<Vec<_>>()
    };
    let (one, summary) = history(1).await;
    let (same, again) = history(1).await;
    let (other, _) = history(2).await;
    assert_eq!(summary, again);
    let one = events(one).await;
    assert_eq!(one, events(same).await);
    assert_ne!(one, events(other).await);
}

#[tokio::test]
async fn a_simulated_history_begins_with_the_salt_of_its_seed_unless_the_log_has_people_or_a_salt() {
    let options = Options { people: 3, groups: 1, pages: 0, days: 1, events: 10, ..options(1) };
    let person = |people: &People, n: usize| people.id("test", &format!("person-{n}"), 0);
    let people_of = |events: &[crate::Stored]| {
        let registered = events.iter().filter(|stored| stored.event.event_type == "person.registered.v1");
        registered.map(|stored| PersonId(stored.stream.id().unwrap())).collect::<Vec<_>>()
    };
    // As it is.
    let log = Memory::default();
    simulate(&log, options, person, |_| ()).await.unwrap();
    let events = log.read_all(Position::START, 100).await.unwrap().events;
    assert_eq!((events[0].stream.as_str(), events[0].event.recorded_at), ("salt-people", options.start));
    let salted = People::salted(Chance::salt(1).0);
    assert_eq!(People::of(&log).await.unwrap(), Some(salted.clone()));
    assert_eq!(people_of(&events)[0], person(&salted, 0));
    // Behind a salt that somebody has drawn, and behind people of before.
    let log = Memory::default();
    let drawn = crate::sealing::Random::of(|bytes| bytes.fill(7));
    let begun = People::begin(&log, &drawn, uuid::Uuid::from_u128(1), options.start).await.unwrap();
    simulate(&log, options, person, |_| ()).await.unwrap();
    let events = log.read_all(Position::START, 100).await.unwrap().events;
    assert_eq!(people_of(&events)[0], person(&begun, 0));
    assert_eq!(events.iter().filter(|stored| stored.stream.category() == "salt").count(), 1);
    let log = Memory::default();
    let register = events.iter().find(|stored| stored.stream.category() == "person").unwrap().clone();
    let old = crate::Append { stream: register.stream, expected: crate::Expected::NoStream, events: vec![register.event] };
    log.append(old).await.unwrap();
    simulate(&log, Options { seed: 2, ..options }, person, |_| ()).await.unwrap();
    let events = log.read_all(Position::START, 100).await.unwrap().events;
    assert_eq!(people_of(&events)[1], person(&People::unsalted(), 0));
    assert!(events.iter().all(|stored| stored.stream.category() != "salt"));
}

#[tokio::test]
async fn a_simulated_history_is_valid_ordered_and_has_something_of_everything() {
    let (log, summary) = history(3).await;
    assert!((4_000..4_010).contains(&summary.events), "{summary:?}");
    assert_eq!((summary.people, summary.groups, summary.pages), (60, 6, 4));
    let events = log.read_all(Position::START, 10_000).await.unwrap().events;
    assert_eq!(events.len() as u64, summary.events);
    assert!(events.is_sorted_by_key(|stored| stored.event.recorded_at), "time does not step back");
    for stored in &events {
        stored.decode().unwrap();
    }
    let length = events[events.len() - 1].event.recorded_at.since(events[0].event.recorded_at);
    assert!((Span::days(19)..=Span::days(21)).contains(&length), "{length:?}");
    for event_type in [
        "comment.written.v1",
        "conversation.marked_done.v1",
        "conversation.page_wrote.v1",
        "conversation.person_wrote.v1",
        "fan.followed.v1",
        "listing.sold.v1",
        "membership.invited.v1",
        "membership.joined.v1",
        "membership.left.v1",
        "post.written.v1",
        "question.answer_accepted.v1",
        "question.answered.v1",
        "reaction.given.v1",
    ] {
        assert!(summary.types.contains_key(event_type), "{event_type} is missing in {:?}", summary.types);
    }
    let private = events.iter().filter(|stored| stored.event.data.contains("\"private_reply\":")).count();
    assert!(private > 0, "a page replied in private");
}
