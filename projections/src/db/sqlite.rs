//! SQLite through rusqlite on threads of its own: a connection that writes, in turn for what is live and for builds; readers: two for
//! queries, one each for rows that are to be folded live and by builds, one for operators' long queries. Lookups are made on whatever
//! thread they are asked for.

use super::{
    DbError, Urgency, Write,
    queue::{Job, Queue},
};
use crate::value::Value;
use circolo_events::{
    sqlite::{ConnectError, LEFTOVER, WriteBack, connect as open},
    threads::give_way,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter, types::ToSqlOutput, types::ValueRef};
use std::{
    borrow::Cow,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// Which readers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    Queries,
    Operators,
}

/// What a thread's connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Writer,
    Queries,
    Lookups,
    Folds,
    Builds,
    Operators,
}

impl Role {
    /// KiB of pages that it keeps. The system keeps the file in memory as well, so that a page that is not kept costs a copy: these
    /// are small, and together leave a server of a million events far below 300 MiB.
    const fn cache(self) -> i32 {
        match self {
            Self::Writer => 16_384,
            Self::Folds | Self::Queries => 8_192,
            Self::Lookups | Self::Builds | Self::Operators => 2_048,
        }
    }
}

/// A transaction that takes longer is told to whoever asks for details.
const SLOW: Duration = Duration::from_millis(50);

/// A handle; the threads end when the last one is dropped.
#[derive(Clone)]
pub(super) struct Sqlite(Arc<Threads>);

struct Threads {
    live_writes: Arc<Queue>,
    build_writes: Arc<Queue>,
    queries: Arc<Queue>,
    folds: Arc<Queue>,
    builds: Arc<Queue>,
    operators: Arc<Queue>,
    /// As many as the runtime has threads, unless it was told otherwise.
    lookups: Vec<Mutex<Connection>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        for queue in [&self.live_writes, &self.build_writes, &self.queries, &self.folds, &self.builds, &self.operators] {
            queue.close();
        }
    }
}

impl Sqlite {
    pub(super) async fn open(path: PathBuf) -> Result<Self, DbError> {
        let [live_writes, build_writes, queries, folds, builds, operators] = std::array::from_fn(|_| Arc::new(Queue::default()));
        let mut threads = Threads { live_writes, build_writes, queries, folds, builds, operators, lookups: vec![] };
        // First, for it makes the file and turns on the write-ahead log.
        let writer = Arc::new(Writer::open(&path)?);
        for (queue, name, urgency) in
            [(&threads.live_writes, "views-writer", Urgency::Live), (&threads.build_writes, "build-writer", Urgency::Build)]
        {
            let (writer, queue) = (Arc::clone(&writer), Arc::clone(queue));
            thread::Builder::new().name(name.to_owned()).spawn(move || writer.work(&queue, urgency)).map_err(failed)?;
        }
        let Threads { queries, folds, builds, operators, .. } = &threads;
        for (queue, role) in
            [(queries, Role::Queries), (queries, Role::Queries), (folds, Role::Folds), (builds, Role::Builds), (operators, Role::Operators)]
        {
            let (opened, ready) = oneshot::channel();
            let (path, queue) = (path.clone(), Arc::clone(queue));
            thread::Builder::new().name("views-reader".to_owned()).spawn(move || work(&path, role, &queue, opened)).map_err(failed)?;
            ready.await.map_err(|_| DbError::Closed)??;
        }
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            threads.lookups.push(Mutex::new(connect(&path, Role::Lookups).map_err(failed)?));
        }
        Ok(Self(Arc::new(threads)))
    }

    async fn on<T: Send + 'static>(
        &self,
        queue: &Queue,
        job: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (send, receive) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody may be waiting any more; then the answer is not needed.
            let _ = send.send(job(connection));
        });
        queue.push(job);
        receive.await.map_err(|_| DbError::Closed)?
    }

    pub(super) async fn query(&self, sql: Cow<'static, str>, params: Vec<Value>, readers: Readers) -> Result<Vec<Vec<Value>>, DbError> {
        let queue = if readers == Readers::Queries { &self.0.queries } else { &self.0.operators };
        self.on(queue, move |connection| {
            let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
            rows(&mut statement, &params).map_err(failed)
        })
        .await
    }

    /// The rows of a query, read on this thread; `None` if all connections are in use or it would have to wait for another process.
    pub(super) fn lookup(&self, sql: &str, params: &[Value]) -> Option<Result<Vec<Vec<Value>>, DbError>> {
        let free = |connection| match Mutex::try_lock(connection) {
            Ok(connection) => Some(connection),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let connection = self.0.lookups.iter().find_map(free)?;
        match connection.prepare_cached(sql).and_then(|mut statement| rows(&mut statement, params)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => None,
            read => Some(read.map_err(failed)),
        }
    }

    /// The rows under these keys, one lookup after the other: on SQLite nothing is faster.
    pub(super) async fn load(&self, sql: Cow<'static, str>, keys: Vec<String>, urgency: Urgency) -> Result<Vec<Vec<Value>>, DbError> {
        let queue = if urgency == Urgency::Live { &self.0.folds } else { &self.0.builds };
        self.on(queue, move |connection| {
            // One moment for all keys.
            let snapshot = connection.transaction().map_err(failed)?;
            let mut statement = snapshot.prepare_cached(&sql).map_err(failed)?;
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.append(&mut rows(&mut statement, &[Value::Text(key)]).map_err(failed)?);
            }
            Ok(found)
        })
        .await
    }

    /// Does all of it or nothing; unless it is to be kept, nothing in any case.
    pub(super) async fn write(&self, writes: Vec<Write>, urgency: Urgency, keep: bool) -> Result<(), DbError> {
        let queue = if urgency == Urgency::Live { &self.0.live_writes } else { &self.0.build_writes };
        self.on(queue, move |connection| {
            let begun = Instant::now();
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
            for write in &writes {
                apply(&transaction, write)?;
            }
            if keep { transaction.commit() } else { transaction.rollback() }.map_err(failed)?;
            if begun.elapsed() > SLOW {
                tracing::debug!(took = ?begun.elapsed(), last = writes.last().map(|write| &*write.sql().sqlite), "a long transaction kept the others waiting");
            }
            Ok(())
        })
        .await
    }
}

fn apply(connection: &Connection, write: &Write) -> Result<(), DbError> {
    match write {
        Write::Run { sql, params } => {
            connection.prepare_cached(&sql.sqlite).and_then(|mut s| s.execute(params_from_iter(params))).map_err(failed)?;
        }
        Write::Expect { sql, params, rows } => {
            let changed = connection.prepare_cached(&sql.sqlite).and_then(|mut s| s.execute(params_from_iter(params))).map_err(failed)?;
            if changed as u64 != *rows {
                return Err(DbError::Moved);
            }
        }
        // One process has the file to itself, so nobody deposes it.
        Write::Fence { .. } => {}
        Write::Each { sql, rows, .. } => {
            let mut statement = connection.prepare_cached(&sql.sqlite).map_err(failed)?;
            for row in rows {
                statement.execute(params_from_iter(row)).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// The one connection that writes, and whose turn it is: the thread of what is live goes before that of builds, which gives way to all
/// others.
struct Writer {
    to: Mutex<Writing>,
    /// How often what is live waits for its turn.
    live: Mutex<usize>,
    passed: Condvar,
}

struct Writing {
    /// Ended before the connection is closed, which is the last one and tidies up.
    write_back: WriteBack,
    connection: Connection,
}

impl Writer {
    fn open(path: &Path) -> Result<Self, DbError> {
        let connection = connect(path, Role::Writer).map_err(failed)?;
        let write_back = WriteBack::start(&connection, path).map_err(failed)?;
        Ok(Self { to: Mutex::new(Writing { write_back, connection }), live: Mutex::new(0), passed: Condvar::new() })
    }

    /// One thread: works until the queue is closed.
    fn work(&self, queue: &Queue, urgency: Urgency) {
        if urgency == Urgency::Build {
            give_way();
        }
        while let Some(job) = queue.pop() {
            let mut writing = self.turn(urgency);
            job(&mut writing.connection);
            let Writing { write_back, connection } = &mut *writing;
            write_back.committed(connection);
        }
    }

    fn turn(&self, urgency: Urgency) -> MutexGuard<'_, Writing> {
        if urgency == Urgency::Build {
            drop(self.passed.wait_while(locked(&self.live), |waiting| *waiting > 0));
            return locked(&self.to);
        }
        *locked(&self.live) += 1;
        let writing = locked(&self.to);
        *locked(&self.live) -= 1;
        self.passed.notify_one();
        writing
    }
}

/// What is behind it is whole even where somebody panicked: a transaction is rolled back then.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first thing that SQLite finds wrong with the file at `path`.
pub(super) fn first_fault(path: &Path) -> Result<Option<String>, DbError> {
    let connection = connect(path, Role::Operators).map_err(failed)?;
    let line: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    Ok((line != "ok").then_some(line))
}

/// Puts everything into the file itself, once nobody else has it open; nothing stands beside it then.
pub(super) fn settle(path: &Path) -> Result<(), DbError> {
    let connection = connect(path, Role::Writer).map_err(failed)?;
    let begun = Instant::now();
    loop {
        // Threads of a database that was dropped may have it open for a moment.
        match connection.pragma_update(None, "journal_mode", "DELETE") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begun.elapsed() < SETTLING => {
                thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome.map_err(failed),
        }
    }
}

/// How long to wait for others to close a file.
const SETTLING: Duration = Duration::from_secs(30);

/// One thread that reads: opens a connection, says so, works until the queue is closed.
fn work(path: &Path, role: Role, queue: &Queue, opened: oneshot::Sender<Result<(), DbError>>) {
    let mut connection = match connect(path, role).map_err(failed) {
        Ok(connection) => connection,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let _ = opened.send(Ok(()));
    if role == Role::Builds {
        give_way();
    }
    while let Some(job) = queue.pop() {
        job(&mut connection);
    }
}

fn connect(path: &Path, role: Role) -> Result<Connection, ConnectError> {
    let connection = open(path, OpenFlags::default())?;
    // Another process may prepare its own tables in short transactions. A lookup waits on a thread that others need.
    connection.busy_timeout(if role == Role::Lookups { Duration::ZERO } else { Duration::from_secs(30) })?;
    connection.set_prepared_statement_cache_capacity(512);
    if role == Role::Writer {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", LEFTOVER)?;
    } else {
        connection.pragma_update(None, "query_only", true)?;
    }
    connection.pragma_update(None, "cache_size", -role.cache())?;
    Ok(connection)
}

fn rows(statement: &mut rusqlite::Statement<'_>, params: &[Value]) -> rusqlite::Result<Vec<Vec<Value>>> {
    let width = statement.column_count();
    let mut cursor = statement.query(params_from_iter(params))?;
    let mut found = Vec::new();
    while let Some(row) = cursor.next()? {
        found.push((0..width).map(|column| Ok(value(row.get_ref(column)?))).collect::<rusqlite::Result<_>>()?);
    }
    Ok(found)
}

pub(crate) fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Float(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Float(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::List(texts) => ToSqlOutput::Owned(serde_json::json!(texts).to_string().into()),
        })
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DbError {
    let source = error.into();
    match code(&*source) {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DbError::Damaged(source),
        Some(ErrorCode::TooBig) => DbError::Unfit(source),
        Some(
            ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::Unknown
            | ErrorCode::InternalMalfunction
            | ErrorCode::OperationAborted,
        ) => DbError::Refused(source),
        _ => DbError::Failed(source),
    }
}

/// What SQLite says of it, wherever in the error that stands.
fn code(error: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let said = |error: &(dyn std::error::Error + 'static)| match error.downcast_ref::<ConnectError>() {
        Some(error) => error.code(),
        None => error.downcast_ref::<rusqlite::Error>()?.sqlite_error_code(),
    };
    chain.into_iter().find_map(said)
}
