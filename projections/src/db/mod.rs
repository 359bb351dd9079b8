//! The one small layer over SQLite and Postgres that read models need: queries, and transactions for the engine.

pub mod file;
mod postgres;
mod queue;
mod sql;
mod sqlite;

pub(crate) use sqlite::value as sqlite_value;

pub use sql::{Dialect, Sql};

use crate::value::{ColumnError, FromValues, Value};
use circolo_events::Examination;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// A database of read models.
#[derive(Clone)]
pub struct Db {
    backend: Backend,
    /// Declared tables that do not exist yet because their first build is under way, and how far it is.
    building: Arc<RwLock<BTreeMap<&'static str, Building>>>,
    watch: Option<Watch>,
    /// Begins every transaction.
    fence: Option<Arc<Write>>,
}

/// Sees queries before they run.
type Watch = Arc<dyn Fn(&Sql, &[Value]) + Send + Sync>;

#[derive(Clone)]
enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// A projection that cannot be queried yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Building {
    /// Its name.
    pub projection: &'static str,
    /// Between 0 and 1.
    pub progress: f64,
    /// The build gave up, and none is under way.
    pub failed: bool,
}

impl std::fmt::Display for Building {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { projection, progress, failed } = self;
        match failed {
            true => write!(f, "projection {projection} could not be built"),
            false => write!(f, "projection {projection} is being built ({:.0} %)", progress * 100.0),
        }
    }
}

/// What can go wrong with a database of read models.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The read model is being built for the first time.
    #[error("{0}")]
    Building(Building),
    /// A row does not have the shape the code expects.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The database cannot be reached, or has no room or no time: trying again may do.
    #[error("the read models' database failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database does not take what it was given, and will not take it the next time.
    #[error("the read models' database refuses: {0}")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value among what it was given is one that the database cannot hold: a character, a size.
    #[error("the read models' database cannot hold what it was given: {0}")]
    Unfit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the database holds is not what it wrote.
    #[error(
        "the read models' database is damaged: {0}; `circolo projections rebuild NAME` builds a read model anew from the log, and \
         `circolo projections rebuild --all`, with the server stopped, all of them in a new file"
    )]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else moved a checkpoint: a second projector works on this database. Nothing was written.
    #[error("another projector moves the same read models")]
    Moved,
    /// Another node moves these read models now. Nothing was written.
    #[error("another node has taken over the read models")]
    LeaseLost,
    /// The database was closed.
    #[error("the read models' database is closed")]
    Closed,
}

impl DbError {
    /// Does it lie in what is stored or in what is to be, so that no patience mends it?
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unfit(_) | Self::Damaged(_) | Self::Column(_))
    }
}

/// Who goes first when several wait for the one writer of an SQLite database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// The live subscription and operators' switches.
    Live,
    /// Builds.
    Build,
}

/// One step of a transaction.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// A statement.
    Run { sql: Sql, params: Vec<Value> },
    /// A statement that must change this many rows, else the transaction fails with [`DbError::Moved`].
    Expect { sql: Sql, params: Vec<Value>, rows: u64 },
    /// A statement that must concern this many rows, else this node has lost its lease: [`DbError::LeaseLost`].
    Fence { sql: Sql, params: Vec<Value>, rows: u64 },
    /// One statement, once per set of parameters on SQLite and once for all on Postgres, which gets them as arrays, by column.
    Each { sql: Sql, kinds: Arc<[crate::value::Kind]>, rows: Vec<Vec<Value>> },
}

impl Write {
    /// Its statement.
    const fn sql(&self) -> &Sql {
        match self {
            Self::Run { sql, .. } | Self::Expect { sql, .. } | Self::Fence { sql, .. } | Self::Each { sql, .. } => sql,
        }
    }

    pub(crate) fn run(sql: impl Into<Sql>, params: Vec<Value>) -> Self {
        Self::Run { sql: sql.into(), params }
    }
}

impl Db {
    /// Opens or creates an SQLite file. Commits survive a crash of the process; a power cut may take the last ones, which
    /// are then folded again.
    pub async fn sqlite(path: impl AsRef<Path>) -> Result<Self, DbError> {
        let backend = Backend::Sqlite(sqlite::Sqlite::open(path.as_ref().to_owned()).await?);
        Ok(Self { backend, building: Arc::default(), watch: None, fence: None })
    }

    /// Connects to a Postgres database.
    pub async fn postgres(url: &str) -> Result<Self, DbError> {
        let backend = Backend::Postgres(Box::pin(postgres::Postgres::connect(url)).await?);
        Ok(Self { backend, building: Arc::default(), watch: None, fence: None })
    }

    /// The same database, where `watch` sees each query before it runs: for tests of plans.
    #[must_use]
    pub fn watched(mut self, watch: impl Fn(&Sql, &[Value]) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// The same database; each transaction is only made if `fence` holds.
    #[must_use]
    pub(crate) fn fenced(mut self, fence: Write) -> Self {
        self.fence = Some(Arc::new(fence));
        self
    }

    /// The same database over connections of its own, for what must never wait for others; what it writes survives any crash.
    #[must_use]
    pub(crate) fn apart(&self) -> Self {
        let backend = match &self.backend {
            Backend::Sqlite(db) => Backend::Sqlite(db.clone()),
            Backend::Postgres(db) => Backend::Postgres(db.apart()),
        };
        Self { backend, ..self.clone() }
    }

    /// Which SQL it speaks.
    pub const fn dialect(&self) -> Dialect {
        match self.backend {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The rows of a query. The text uses `$1`, `$2`, .. and, for lists, `column = ANY($1)`; columns are named.
    ///
    /// One query sees one moment: either all or nothing of what the live subscription or a switch does at a time.
    pub async fn query<R: FromValues>(&self, sql: impl Into<Sql>, params: Vec<Value>) -> Result<Vec<R>, DbError> {
        let rows = self.rows(sql.into(), params).await?;
        Ok(rows.into_iter().map(R::from_values).collect::<Result<_, _>>()?)
    }

    /// The first row of a query, if there is one.
    pub async fn one<R: FromValues>(&self, sql: impl Into<Sql>, params: Vec<Value>) -> Result<Option<R>, DbError> {
        let rows = self.rows(sql.into(), params).await?;
        Ok(rows.into_iter().next().map(R::from_values).transpose()?)
    }

    /// As [`Db::query`], for at most a page of rows along an index: on SQLite the calling thread reads them itself, which takes
    /// microseconds, less than handing the query to another thread and the answer back. What may read more than that would keep
    /// other tasks waiting.
    pub async fn lookup<R: FromValues>(&self, sql: impl Into<Sql>, params: Vec<Value>) -> Result<Vec<R>, DbError> {
        let sql = sql.into();
        let Backend::Sqlite(db) = &self.backend else { return self.query(sql, params).await };
        self.watch(&sql, &params);
        let rows = match db.lookup(&sql.sqlite, &params) {
            Some(rows) => rows,
            None => db.query(sql.sqlite, params, sqlite::Readers::Queries).await,
        };
        let rows = rows.map_err(|error| self.explain(error))?;
        Ok(rows.into_iter().map(R::from_values).collect::<Result<_, _>>()?)
    }

    /// The row that a unique key stands for, if there is one: a [`Db::lookup`].
    pub async fn find<R: FromValues>(&self, sql: impl Into<Sql>, params: Vec<Value>) -> Result<Option<R>, DbError> {
        Ok(self.lookup(sql, params).await?.pop())
    }

    async fn rows(&self, sql: Sql, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        self.watch(&sql, &params);
        let result = match &self.backend {
            Backend::Sqlite(db) => db.query(sql.sqlite, params, sqlite::Readers::Queries).await,
            Backend::Postgres(db) => Box::pin(db.query(sql.postgres, params)).await,
        };
        result.map_err(|error| self.explain(error))
    }

    fn watch(&self, sql: &Sql, params: &[Value]) {
        if let Some(watch) = &self.watch {
            watch(sql, params);
        }
    }

    /// A query that may take long and must not stand in the way of others.
    pub(crate) async fn long_query(&self, sql: impl Into<Sql>, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        let sql = sql.into();
        match &self.backend {
            Backend::Sqlite(db) => db.query(sql.sqlite, params, sqlite::Readers::Operators).await,
            Backend::Postgres(db) => Box::pin(db.load(sql.postgres, params, Urgency::Build)).await,
        }
    }

    /// What `amcheck` finds in tables of Postgres; nothing on SQLite, which is asked in SQL.
    pub(crate) async fn examine(&self, tables: &[String]) -> Result<Examination, DbError> {
        match &self.backend {
            Backend::Sqlite(_) => Ok(Examination::default()),
            Backend::Postgres(db) => Box::pin(db.examine(tables)).await,
        }
    }

    /// The rows with these keys. `sql` has one parameter: on SQLite a key, on Postgres the list of them.
    pub(crate) async fn load(&self, sql: &Sql, keys: Vec<String>, urgency: Urgency) -> Result<Vec<Vec<Value>>, DbError> {
        match &self.backend {
            Backend::Sqlite(db) => db.load(sql.sqlite.clone(), keys, urgency).await,
            Backend::Postgres(db) => Box::pin(db.load(sql.postgres.clone(), vec![Value::List(keys)], urgency)).await,
        }
    }

    /// Does all of it or nothing.
    pub(crate) async fn write(&self, writes: Vec<Write>, urgency: Urgency) -> Result<(), DbError> {
        self.transact(writes, urgency, true).await
    }

    /// Whether the database would take these writes; it keeps nothing of them.
    pub(crate) async fn rehearse(&self, writes: Vec<Write>, urgency: Urgency) -> Result<(), DbError> {
        self.transact(writes, urgency, false).await
    }

    async fn transact(&self, mut writes: Vec<Write>, urgency: Urgency, keep: bool) -> Result<(), DbError> {
        if let Some(fence) = &self.fence {
            writes.insert(0, Write::clone(fence));
        }
        match &self.backend {
            Backend::Sqlite(db) => db.write(writes, urgency, keep).await,
            Backend::Postgres(db) => Box::pin(db.write(writes, urgency, keep)).await,
        }
    }

    /// Can it be reached?
    pub async fn reach(&self) -> Result<(), DbError> {
        let found = self.one::<i64>("SELECT count(*) FROM consumer_checkpoints", vec![]).await?;
        found.map(drop).ok_or(DbError::Closed)
    }

    /// Tells queries that a declared table is not there yet.
    pub(crate) fn set_building(&self, table: &'static str, building: Option<Building>) {
        let mut tables = self.building.write().unwrap_or_else(PoisonError::into_inner);
        match building {
            Some(building) => tables.insert(table, building),
            None => tables.remove(table),
        };
    }

    /// How far the build of a declared table is, if queries have to know.
    pub(crate) fn set_progress(&self, table: &str, progress: f64) {
        if let Some(building) = self.building.write().unwrap_or_else(PoisonError::into_inner).get_mut(table) {
            building.progress = progress;
        }
    }

    /// Whether what is told of a declared table that is not there yet is that its build gave up.
    pub(crate) fn set_failed(&self, table: &str, failed: bool) {
        if let Some(building) = self.building.write().unwrap_or_else(PoisonError::into_inner).get_mut(table) {
            building.failed = failed;
        }
    }

    /// Is each of these declared tables there, and can it be read?
    pub(crate) async fn answers(&self, tables: &[&str]) -> Result<(), DbError> {
        let one = |table: &&str| format!("SELECT * FROM (SELECT 1 FROM {table} LIMIT 1) AS {table}__first");
        let sql = tables.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        if sql.is_empty() { Ok(()) } else { self.rows(sql.into(), vec![]).await.map(drop) }
    }

    /// A missing table that is being built is no failure.
    fn explain(&self, error: DbError) -> DbError {
        let (DbError::Failed(source) | DbError::Refused(source)) = &error else { return error };
        let text = source.to_string();
        let tables = self.building.read().unwrap_or_else(PoisonError::into_inner);
        let missing = text.contains("no such table") || text.contains("does not exist");
        match tables.iter().find(|(table, _)| missing && text.contains(**table)) {
            Some((_, building)) => DbError::Building(*building),
            None => error,
        }
    }
}
