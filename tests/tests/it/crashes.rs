//! `kill -9` under load, again and again: every acknowledged command is there exactly once, and the read models agree with the log.

use crate::load::Load;
#[cfg(feature = "kurrentdb")]
use circolo_tests::kurrent::Double;
use circolo_tests::{
    postgres::fresh_schema,
    server::{Server, Storage},
};

/// How often the server is killed on each backend.
const CYCLES: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_command_is_lost_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    crash(Storage { folder: folder.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_command_is_lost_on_postgres() {
    let Some(url) = fresh_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    crash(Storage { folder: folder.path().join("data"), database: Some(url) }).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_command_is_lost_on_kurrentdb() {
    let double = Double::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("{} sqlite:{}", double.url(), folder.path().join("views.sqlite").display());
    crash(Storage { folder: folder.path().join("data"), database: Some(database) }).await;
}

async fn crash(storage: Storage) {
    let mut load = Load::new(&storage).await;
    for cycle in 0..CYCLES {
        let server = Server::start(&storage).await;
        // From the very first moments to a few dozen commands later.
        load.cycle(server, usize::try_from(cycle * 37 % 61 + 1).unwrap()).await;
    }
    let server = Server::start(&storage).await;
    load.settle(&storage, server).await;
}
