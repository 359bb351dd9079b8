//! Damage: whether the database still holds a build as it wrote it, beside what the fold says of its rows.

use crate::{
    db::{Dialect, Urgency, Write},
    engine::{
        builds::subscriber::Subscriber,
        context::{error::EngineError, shared::Shared},
        tables::ddl::Physical,
    },
    value::Value,
};

/// What the database itself finds wrong with the tables of a build: pages, indexes, full-text against rows. In its words, and
/// what could not be looked at.
pub async fn examine(shared: &Shared, subscriber: &Subscriber) -> Result<(Vec<String>, Option<String>), EngineError> {
    match shared.db.dialect() {
        Dialect::Sqlite => Ok((on_sqlite(shared, subscriber).await?, None)),
        Dialect::Postgres => {
            let tables: Vec<String> = subscriber.tables().map(|physical| physical.name.clone()).collect();
            let found = shared.db.examine(&tables).await?;
            Ok((found.faults, found.left_out))
        }
    }
}

async fn on_sqlite(shared: &Shared, subscriber: &Subscriber) -> Result<Vec<String>, EngineError> {
    let mut found = Vec::new();
    for physical in subscriber.tables() {
        match shared.db.long_query(format!("PRAGMA integrity_check('{}')", physical.name), vec![]).await {
            Ok(lines) => found.extend(lines.into_iter().flatten().filter_map(|value| match value {
                Value::Text(line) if line != "ok" => Some(format!("{}: {line}", physical.name)),
                _ => None,
            })),
            Err(error) if error.is_lasting() => found.push(format!("{}: {error}", physical.name)),
            Err(error) => return Err(error.into()),
        }
        found.extend(full_text(shared, physical).await?);
    }
    Ok(found)
}

/// Compares the full-text index with the rows that it is of. SQLite has that as a statement that changes nothing.
async fn full_text(shared: &Shared, physical: &Physical) -> Result<Option<String>, EngineError> {
    if physical.table.search.is_none() {
        return Ok(None);
    }
    let fts = format!("{}__search", physical.name);
    let sql = format!("INSERT INTO {fts} ({fts}, rank) VALUES ('integrity-check', 1)");
    match shared.db.rehearse(vec![Write::run(sql, vec![])], Urgency::Build).await {
        Ok(()) => Ok(None),
        Err(error) if error.is_lasting() => Ok(Some(format!("{fts}: {error}"))),
        Err(error) => Err(error.into()),
    }
}
