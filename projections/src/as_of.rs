//! Read models as of a moment, as one SQLite file that any program opens: the same fold with an end position, then plain tables
//! without a trace of builds.

use crate::{
    Db, EngineError, Options, Projection, Value,
    db::DbError,
    engine::projector::prepare,
    row::Table,
    value::{FromValues, Kind},
};
use circolo_events::{
    EventStore, LogId, Position, private,
    sqlite::{ConnectError, connect},
    transfer::lens::Lens,
};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The table that says what the others show.
pub const ABOUT: &str = "circolo_as_of";

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum AsOfError {
    /// The fold.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The database that is folded into.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The file that is made, or read.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// What is done with it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A Parquet file.
    #[cfg(feature = "parquet")]
    #[error("{0}: {1}")]
    Parquet(PathBuf, Box<dyn std::error::Error + Send + Sync>),
}

/// What is folded, and what the file says of itself.
pub struct Wanted<'a> {
    /// The log, up to the moment.
    pub lens: Arc<Lens>,
    /// The moment.
    pub position: Position,
    /// Which read models.
    pub projections: Vec<Projection>,
    /// Whether personal texts are null.
    pub masked: bool,
    /// Of this program.
    pub version: &'a str,
}

/// Folds what is wanted into the SQLite file `out`; one that is there already is replaced at the end.
pub async fn write(wanted: Wanted<'_>, options: Options, out: &Path) -> Result<(), AsOfError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| AsOfError::File(path, error)
    };
    let folder = beside(out, "building");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed(&folder))?;
    }
    private::folder(&folder).map_err(failed(&folder))?;
    let (build, plain) = (folder.join("build.sqlite"), folder.join("plain.sqlite"));
    let Wanted { lens, position, projections, masked, version } = wanted;
    let projections: Vec<Projection> = projections.into_iter().map(bare).collect();
    let tables: Vec<(Table, i64)> = projections.iter().flat_map(|p| p.tables.iter().map(|fold| (fold.table, p.version))).collect();
    let db = Db::sqlite(&build).await?;
    prepare(db, lens.clone(), projections, options, Some(position)).await?;
    let about = About { log: lens.log_id(), position, last: lens.last(), masked, version };
    let copied = tokio::task::spawn_blocking({
        let (plain, version) = (plain.clone(), about.version.to_owned());
        move || copy(&build, &plain, &tables, &About { version: &version, ..about })
    });
    match copied.await {
        Ok(outcome) => outcome?,
        Err(panic) => return Err(AsOfError::File(plain, io::Error::other(panic))),
    }
    fs::rename(&plain, out).map_err(failed(out))?;
    fs::remove_dir_all(&folder).map_err(failed(&folder))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Without indexes and search: nobody queries what is only copied.
fn bare(mut projection: Projection) -> Projection {
    for fold in &mut projection.tables {
        (fold.table.indexes, fold.table.search) = (&[], None);
    }
    projection
}

struct About<'a> {
    log: LogId,
    position: Position,
    last: Option<(Position, circolo_domain::Timestamp)>,
    masked: bool,
    version: &'a str,
}

/// The name of a table without the version of its projection: `questions`.
pub fn plain_name(table: &Table, version: i64) -> &'static str {
    table.name.strip_suffix(&format!("_v{version}")).unwrap_or(table.name)
}

fn copy(build: &Path, plain: &Path, tables: &[(Table, i64)], about: &About<'_>) -> Result<(), AsOfError> {
    let connection = connect(plain, OpenFlags::default())?;
    // If this dies, it is begun anew.
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    connection.execute("ATTACH ?1 AS build", [build.to_string_lossy()])?;
    connection.execute_batch("BEGIN")?;
    for (table, version) in tables {
        let (name, key) = (plain_name(table, *version), table.key());
        let names = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{} {}{}", column.name, sql_type(column.kind), if column.nullable { "" } else { " NOT NULL" }))
            .collect();
        connection.execute_batch(&format!(
            "CREATE TABLE {name} ({}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID; \
             INSERT INTO {name} SELECT {names} FROM build.{} ORDER BY {key}",
            columns.join(", "),
            table.name
        ))?;
    }
    connection.execute_batch(&format!(
        "CREATE TABLE {ABOUT} (log_id TEXT NOT NULL, position INTEGER NOT NULL, time TEXT, masked INTEGER NOT NULL, version TEXT NOT NULL) STRICT"
    ))?;
    let About { log, position, last, masked, version } = about;
    let time = last.map(|(_, time)| time.to_string());
    connection
        .execute(&format!("INSERT INTO {ABOUT} VALUES (?1, ?2, ?3, ?4, ?5)"), (log.to_string(), position.0, time, masked, version))?;
    Ok(connection.execute_batch("COMMIT; DETACH build")?)
}

const fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "TEXT",
        Kind::Int => "INTEGER",
        Kind::Float => "REAL",
    }
}

/// A file made by [`write()`], to be read.
pub struct Snapshot(Connection);

impl Snapshot {
    /// Opens it; nothing can be changed.
    pub fn open(path: &Path) -> Result<Self, AsOfError> {
        Ok(Self(connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?))
    }

    /// The names of the columns of a query; `row` is given its rows.
    pub fn query(&self, sql: &str, mut row: impl FnMut(Vec<Value>) -> io::Result<()>) -> Result<Vec<String>, AsOfError> {
        let mut statement = self.0.prepare(sql)?;
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut cursor = statement.query([])?;
        while let Some(found) = cursor.next()? {
            let values = (0..columns.len()).map(|place| Ok(crate::db::sqlite_value(found.get_ref(place)?)));
            let values = values.collect::<Result<Vec<_>, rusqlite::Error>>()?;
            row(values).map_err(|error| AsOfError::File("standard output".into(), error))?;
        }
        Ok(columns)
    }

    /// Writes each table as a Parquet file of its name into `folder`.
    #[cfg(feature = "parquet")]
    pub fn to_parquet(&self, folder: &Path) -> Result<(), AsOfError> {
        private::folder(folder).map_err(|error| AsOfError::File(folder.to_owned(), error))?;
        let mut tables = Vec::new();
        self.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", |mut values| {
            tables.extend(values.pop());
            Ok(())
        })?;
        for table in tables {
            let Value::Text(table) = table else { continue };
            self.table_to_parquet(&table, folder)?;
        }
        Ok(())
    }

    #[cfg(feature = "parquet")]
    fn table_to_parquet(&self, table: &str, folder: &Path) -> Result<(), AsOfError> {
        use circolo_events::transfer::sheet::{Cell, Column, Kind, ParquetError, Sheet};
        let path = folder.join(format!("{table}.parquet"));
        let failed = |error: ParquetError| AsOfError::Parquet(path.clone(), error.into());
        let mut columns = Vec::new();
        self.query(&format!("SELECT name, type, \"notnull\" FROM pragma_table_info('{table}')"), |values| {
            columns.push(<(String, String, bool)>::from_values(values).map_err(io::Error::other)?);
            Ok(())
        })?;
        let kind = |sql: &str| match sql {
            "INTEGER" => Kind::Int,
            "REAL" => Kind::Float,
            _ => Kind::Text,
        };
        let described: Vec<Column<'_>> =
            columns.iter().map(|(name, sql, not_null)| Column { name, kind: kind(sql), nullable: !not_null }).collect();
        let partial = beside(&path, "partial");
        let mut sheet = Sheet::create(&partial, &described).map_err(failed)?;
        let names: Vec<&str> = described.iter().map(|column| column.name).collect();
        self.query(&format!("SELECT {} FROM {table}", names.join(", ")), |values| {
            let cells = values.into_iter().map(|value| match value {
                Value::Int(number) => Cell::Int(number),
                Value::Float(number) => Cell::Float(number),
                Value::Text(text) => Cell::Text(text),
                Value::Null | Value::List(_) => Cell::Null,
            });
            sheet.push(cells).map_err(io::Error::other)
        })?;
        sheet.finish().map_err(failed)?;
        fs::rename(&partial, &path).map_err(|error| AsOfError::File(path.clone(), error))
    }
}
