//! A Postgres server that keeps what it acknowledges, as the measured program would have it.

use crate::Result;
use circolo_tests::postgres::{Cluster, cluster_with};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::path::Path;

/// What is not the server's default: memory of a small installation, and no checkpoint in the middle of a measurement.
const SETTINGS: &[&str] = &["-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=30min"];
const SHOWN: [&str; 6] = ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size"];

/// A server below `dir`; `None` if none is installed.
pub fn cluster(dir: &Path) -> Option<Cluster> {
    cluster_with(dir, SETTINGS)
}

/// Its version and the settings that matter.
pub async fn settings(url: &str) -> Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let mut text: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
    for name in SHOWN {
        let value: String = sqlx::query_scalar(AssertSqlSafe(format!("SHOW {name}"))).fetch_one(&mut connection).await?;
        text = format!("{text}, {name}={value}");
    }
    Ok(text)
}

/// The URL of a new, empty schema.
pub async fn schema(url: &str, name: &str) -> Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let sql = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(in_schema(url, name))
}

/// The URL of a schema.
pub fn in_schema(url: &str, name: &str) -> String {
    format!("{url}?options=-c%20search_path%3D{name}")
}
