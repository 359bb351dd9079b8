//! A Postgres server that keeps what it acknowledges, as the measured program would have it.

use crate::{Arguments, Result, report::Report};
use circolo_tests::postgres::{Cluster, cluster_with};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::path::Path;
use tokio::runtime::Runtime;

/// What is not the server's default: memory of a small installation, and no checkpoint in the middle of a measurement.
const SETTINGS: &[&str] = &["-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=30min"];
const SHOWN: [&str; 6] = ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size"];

/// A server below `dir`; `None` if none is installed.
pub fn cluster(dir: &Path) -> Option<Cluster> {
    cluster_with(dir, SETTINGS)
}

/// The databases that are asked for, by name, each with the URL of its server if it has one.
struct Databases {
    /// Name and URL.
    all: Vec<(&'static str, Option<String>)>,
    /// Ends when this is dropped.
    _cluster: Option<Cluster>,
}

/// Measures on each of the databases that are asked for.
pub fn on_each(
    report: &mut Report,
    arguments: &Arguments,
    mut measure: impl AsyncFnMut(&mut Report, &'static str, Option<&str>) -> Result<()>,
) -> Result<()> {
    Runtime::new()?.block_on(async {
        let databases = Databases::wanted(report, arguments).await?;
        for (data, postgres) in &databases.all {
            measure(report, data, postgres.as_deref()).await?;
        }
        Ok(())
    })
}

impl Databases {
    /// What `arguments` ask for and what is installed; the report tells what they are.
    async fn wanted(report: &mut Report, arguments: &Arguments) -> Result<Self> {
        let mut all = Vec::new();
        if arguments.wants("SQLite") {
            all.push(("SQLite", None));
        }
        let wanted = arguments.wants("Postgres");
        let cluster = if wanted { cluster(&arguments.dir) } else { None };
        if let Some(cluster) = &cluster {
            report.fact("Postgres", settings(&cluster.url).await?);
            all.push(("Postgres", Some(cluster.url.clone())));
        } else if wanted {
            println!("skipped: no Postgres");
            report.fact("Postgres", "skipped, it is not installed");
        }
        Ok(Self { all, _cluster: cluster })
    }
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
