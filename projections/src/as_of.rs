//! Read models as of a moment, as one SQLite file that any program opens: the same fold with an end position, then plain tables
//! without a trace of builds.

use crate::{
    Db, EngineError, Options, Projection, Value,
    db::DbError,
    engine::prepare::prepare,
    row::{Column, Table},
    value::{FromValues, Kind, Meaning},
};
use circolo_events::{
    EventStore, LogId, Position, private,
    sqlite::{ConnectError, connect},
    transfer::masked_view::MaskedView,
};
use rusqlite::{Connection, OpenFlags};
use std::{
    collections::HashMap,
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
    pub log: Arc<MaskedView>,
    /// The moment.
    pub position: Position,
    /// Which read models.
    pub projections: Vec<Projection>,
    /// Whether personal texts are null, and what closed and secret groups say of themselves.
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
    let Wanted { log, position, projections, masked, version } = wanted;
    let projections: Vec<Projection> = projections.into_iter().map(bare).collect();
    let tables: Vec<(Table, i64)> = projections.iter().flat_map(|p| p.tables.iter().map(|fold| (fold.table, p.version))).collect();
    let db = Db::sqlite(&build).await?;
    prepare(db, log.clone(), projections, options, Some(position)).await?;
    let about = About { log: log.log_id(), position, last: log.last(), masked, version };
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
        let columns: Vec<(String, String)> = table.columns.iter().map(|column| plain_column(table, column, about.masked)).collect();
        let (columns, values): (Vec<String>, Vec<String>) = columns.into_iter().unzip();
        connection.execute_batch(&format!(
            "CREATE TABLE {name} ({}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID; \
             INSERT INTO {name} SELECT {} FROM build.{} ORDER BY {key}",
            columns.join(", "),
            values.join(", "),
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

/// A column's definition, and what is copied into it.
fn plain_column(table: &Table, column: &Column, masked: bool) -> (String, String) {
    let (name, kind) = (column.name, sql_type(column.kind));
    match table.discretion.filter(|discretion| discretion.columns.contains(&name)) {
        Some(open) if masked => {
            (format!("{name} {kind}"), format!("CASE WHEN {} = '{}' THEN NULLIF({name}, '') END", open.column, open.word))
        }
        // A file has the same columns, masked or not.
        Some(_) => (format!("{name} {kind}"), name.to_owned()),
        None if column.nullable => (format!("{name} {kind}"), name.to_owned()),
        None => (format!("{name} {kind} NOT NULL"), name.to_owned()),
    }
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

    /// Writes each table as a Parquet file of its name into `folder`. What the numbers of its columns stand for is told by
    /// `projections`, the declarations it was made of.
    #[cfg(feature = "parquet")]
    pub fn to_parquet(&self, projections: &[Projection], folder: &Path) -> Result<(), AsOfError> {
        private::folder(folder).map_err(|error| AsOfError::File(folder.to_owned(), error))?;
        let declared = projections.iter().flat_map(|projection| projection.tables.iter().map(|fold| (projection.version, fold.table)));
        let declared: HashMap<&str, Table> = declared.map(|(version, table)| (plain_name(&table, version), table)).collect();
        let mut tables = Vec::new();
        self.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", |mut values| {
            tables.extend(values.pop());
            Ok(())
        })?;
        for table in tables {
            let Value::Text(table) = table else { continue };
            let truths = |name: &str| table == ABOUT && name == "masked";
            let meaning = |name: &str| match declared.get(table.as_str()) {
                Some(table) => table.columns.iter().find(|column| column.name == name).map(|column| column.meaning).unwrap_or_default(),
                None if truths(name) => Meaning::Truth,
                None => Meaning::Plain,
            };
            self.table_to_parquet(&table, &meaning, folder)?;
        }
        Ok(())
    }

    #[cfg(feature = "parquet")]
    fn table_to_parquet(&self, table: &str, meaning: &dyn Fn(&str) -> Meaning, folder: &Path) -> Result<(), AsOfError> {
        use circolo_events::transfer::parquet_file::{Cell, Column, Kind as Sort, ParquetError, ParquetFile};
        let path = folder.join(format!("{table}.parquet"));
        let failed = |error: ParquetError| AsOfError::Parquet(path.clone(), error.into());
        let mut columns = Vec::new();
        self.query(&format!("SELECT name, type, \"notnull\" FROM pragma_table_info('{table}')"), |values| {
            columns.push(<(String, String, bool)>::from_values(values).map_err(io::Error::other)?);
            Ok(())
        })?;
        let sort = |name: &str, sql: &str| match (sql, meaning(name)) {
            ("INTEGER", Meaning::Truth) => Sort::Bool,
            ("INTEGER", Meaning::Time) => Sort::Time,
            ("INTEGER", Meaning::Plain) => Sort::Int,
            ("REAL", _) => Sort::Float,
            _ => Sort::Text,
        };
        let described: Vec<Column<'_>> =
            columns.iter().map(|(name, sql, not_null)| Column { name, kind: sort(name, sql), nullable: !not_null }).collect();
        let partial = beside(&path, "partial");
        let mut file = ParquetFile::create(&partial, &described).map_err(failed)?;
        let names: Vec<&str> = described.iter().map(|column| column.name).collect();
        self.query(&format!("SELECT {} FROM {table}", names.join(", ")), |values| {
            let cells = values.into_iter().zip(&described).map(|(value, column)| match (value, column.kind) {
                // What never comes has no place in a calendar.
                (Value::Int(i64::MAX), Sort::Time) | (Value::Null | Value::List(_), _) => Cell::Null,
                (Value::Int(number), Sort::Bool) => Cell::Bool(number != 0),
                (Value::Int(number), _) => Cell::Int(number),
                (Value::Float(number), _) => Cell::Float(number),
                (Value::Text(text), _) => Cell::Text(text),
            });
            file.push(cells).map_err(io::Error::other)
        })?;
        file.finish().map_err(failed)?;
        fs::rename(&partial, &path).map_err(|error| AsOfError::File(path.clone(), error))
    }
}
