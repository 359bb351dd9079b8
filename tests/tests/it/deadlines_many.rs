//! A million that wait cost nothing, and thousands that are due are woken quickly: on what is measured here, in a build without
//! optimisation.

use crate::plans::Checked;
use circolo_domain::{
    Body, CommentId, PageId, PersonId, PostId, Span, Timestamp,
    comment::{self, Event},
    stance::Voice,
    testing::{NOON, person},
};
use circolo_events::{Append, EventStore, Expected, Metadata, Position, Sqlite, envelope::new_events, sqlite};
use circolo_projections::{
    Db, Dialect, Row,
    deadlines::{self, DeadlineRow},
};
use circolo_tests::{million::filled, world::World};
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

const WAITING: i64 = 1_000_000;
/// Comments whose right to a private reply ends.
const DUE: u128 = 5_000;

#[tokio::test]
async fn a_million_wait_on_sqlite() {
    a_million_wait(Dialect::Sqlite).await;
}

#[tokio::test]
async fn a_million_wait_on_postgres() {
    a_million_wait(Dialect::Postgres).await;
}

/// One per second.
async fn a_million_wait(dialect: Dialect) {
    let row = vec![("id", "'membership-' || n".to_owned()), ("stream", "'membership-' || n".to_owned()), ("due", "n * 1000000".to_owned())];
    let Some((db, _dir)) = filled(vec![(DeadlineRow::TABLE, WAITING, row)], dialect).await else { return };
    let mut checked = Checked::new(db);
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let behind = (at(WAITING / 2), "membership-500000");
    for (name, until, after, rows) in [
        ("nothing is due", at(0), None, 0),
        ("a few are due", at(3), None, 3),
        ("days of them are due", at(WAITING / 2), None, 1_000),
        ("days of them are due, deep", at(WAITING), Some(behind), 1_000),
    ] {
        checked.check(name, rows, async |db: &Db| deadlines::due(db, until, after, 1_000).await.unwrap()).await;
    }
    checked.check("the first of all", 1, async |db: &Db| vec![deadlines::next(db).await.unwrap().unwrap()]).await;
    assert!(checked.wrong.is_empty(), "{}", checked.wrong.join("\n\n"));
}

/// Somebody's comment under a page's own post.
fn commented(number: u128) -> Append {
    let (stream, author, page) = (comment::stream(CommentId(Uuid::from_u128(number))), person(number), PageId(Uuid::from_u128(1)));
    let metadata = Metadata {
        actor: Some(author),
        command: "WriteComment".to_owned(),
        command_id: Uuid::from_u128(number),
        fingerprint: None,
        correlation: Uuid::nil(),
        causation: None,
        scope: None,
        concerns: vec![],
    };
    let text = Body::parse("How much?").unwrap().owned_by(circolo_domain::TextOwner::Person(PersonId(author.0)));
    let post = PostId(Uuid::from_u128(2));
    let event = Event::Written { post, reply_to: None, page_post: Some(page), author, voice: Voice::Person(author), text };
    let events = new_events(&stream, &[event], &metadata, NOON);
    Append { stream, expected: Expected::NoStream, events }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_that_are_due_are_woken_quickly_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let log = Sqlite::open(&dir.path().join("log.sqlite"), &sqlite::Options::default(), Uuid::from_u128(1)).unwrap();
    let log: Arc<dyn EventStore> = Arc::new(log);
    for outcome in log.append_many((1..=DUE).map(commented).collect()).await {
        outcome.unwrap();
    }
    let world = World::on(log).await;
    world.settled().await;
    world.clock().advance(Span::days(7));
    let began = Instant::now();
    let head = world.woken().await;
    let took = began.elapsed();
    eprintln!("{DUE} were woken and folded in {took:?}: {:.0} a second", f64::from(u32::try_from(DUE).unwrap()) / took.as_secs_f64());
    assert!(head > Position(i64::try_from(DUE).unwrap()));
    world.settled().await;
    let all = world.store().read_all(Position::START, 20_000).await.unwrap().events;
    let expired = all.iter().filter(|stored| stored.event.event_type == "conversation.private_reply_expired.v1").count();
    assert_eq!(expired as u128, DUE);
}
