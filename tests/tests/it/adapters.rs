//! What only one adapter can do or suffer: reading beside a writer, claims, lost connections, newer files.

use crate::backend::{Backend, append, stream, uuid, whole};
use circolo_events::{
    Append, EventStore, Expected, Position, Postgres, Sqlite, StoreError,
    postgres::{self, Claim, ClaimError},
    sqlite,
};
use sqlx::{Connection, Executor, PgConnection};
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_written_and_writes_nothing() {
    let backend = Backend::new("sqlite").await.unwrap();
    let store = backend.open().await;
    store.append(append("note-1", Expected::NoStream, 1, 2)).await.unwrap();
    let reader = backend.open_to_read().await;
    assert_eq!(reader.log_id(), store.log_id());
    let head = reader.head().await.unwrap();
    let more = store.append(append("note-1", Expected::Exact(1), 2, 1)).await.unwrap();
    assert_eq!(reader.changed(head, std::time::Duration::from_secs(30)).await.unwrap(), more.position);
    assert_eq!(whole(&*reader, 2).await, whole(&*store, 2).await);
    let refused = reader.append(append("note-2", Expected::NoStream, 3, 1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // Without the writer the file reads just as well.
    drop(store);
    assert_eq!(backend.open_to_read().await.head().await.unwrap(), more.position);
}

#[test]
fn a_file_of_a_newer_version_or_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, options) = (dir.path().join("log.db"), sqlite::Options::default());
    drop(Sqlite::open(&path, &options, Uuid::nil()).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'", []).unwrap();
    let refused = Sqlite::open(&path, &options, Uuid::nil()).unwrap_err();
    assert!(matches!(refused, sqlite::OpenError::TooNew { found: 99, .. }), "{refused}");
    connection.execute("DELETE FROM meta", []).unwrap();
    assert!(matches!(Sqlite::open_read_only(&path, &options).unwrap_err(), sqlite::OpenError::NotALog { .. }));
}

#[tokio::test]
async fn processes_that_start_at_once_make_one_log() {
    // Once is not enough: whoever comes a moment later must not believe what it saw before it waited.
    for _ in 0..5 {
        let Some(Backend::Postgres(url)) = Backend::new("postgres").await else { return };
        let options = postgres::Options { connections: 2, ..postgres::Options::default() };
        let opening = (0..8).map(|number| Postgres::connect(&url, &options, uuid(number)));
        let stores: Vec<Postgres> = futures::future::try_join_all(opening).await.unwrap();
        assert!(stores.iter().all(|store| store.log_id() == stores[0].log_id()));
    }
}

#[tokio::test]
async fn a_claim_is_given_to_one_and_free_when_it_is_dropped() {
    let Some(Backend::Postgres(url)) = Backend::new("postgres").await else { return };
    let store = Postgres::connect(&url, &postgres::Options::default(), Uuid::nil()).await.unwrap();
    let claim = store.claim_single_writer().await.unwrap();
    let refused = store.claim_single_writer().await.unwrap_err();
    assert!(matches!(refused, ClaimError::Held(_)), "{refused}");
    let other = Claim::take(&url, "views").await.unwrap();
    drop(claim);
    store.claim_single_writer().await.unwrap();
    drop(other);
}

#[tokio::test]
async fn a_connection_that_breaks_under_an_append_leaves_the_outcome_unknown() {
    let Some(backend) = Backend::new("postgres").await else { return };
    let Backend::Postgres(url) = &backend else { return };
    let store = backend.open().await;
    let blocked = backend.block_writers().await;
    let sent: Append = append("note-1", Expected::NoStream, 1, 1);
    let appending = tokio::spawn({
        let (store, sent) = (Arc::clone(&store), sent.clone());
        async move { store.append(sent).await }
    });
    let mut killer = PgConnection::connect(url).await.unwrap();
    let kill = "SELECT count(pg_terminate_backend(a.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE l.relation = 'log_events'::regclass AND NOT l.granted";
    while sqlx::query_scalar::<_, i64>(kill).fetch_one(&mut killer).await.unwrap() == 0 {}
    let outcome = appending.await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
    blocked.release().await;
    // Looked up, it turns out not to have happened; the store has another connection by then.
    assert_eq!(store.find(&stream("note-1"), uuid(1)).await.unwrap(), None);
    store.append(sent).await.unwrap();
}

#[tokio::test]
async fn a_refusal_of_the_server_is_certain() {
    let Some(backend) = Backend::new("postgres").await else { return };
    let Backend::Postgres(url) = &backend else { return };
    let store = backend.open().await;
    let mut owner = PgConnection::connect(url).await.unwrap();
    owner.execute("ALTER TABLE log_events ADD CONSTRAINT full_disk CHECK (revision < 0) NOT VALID").await.unwrap();
    let outcome = store.append(append("note-1", Expected::NoStream, 1, 1)).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    owner.execute("ALTER TABLE log_events DROP CONSTRAINT full_disk").await.unwrap();
    store.append(append("note-1", Expected::NoStream, 1, 1)).await.unwrap();
    assert!(store.head().await.unwrap() > Position::START);
}
