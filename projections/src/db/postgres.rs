//! Postgres through sqlx, natively: parameters bound by type, whole batches as arrays.

use super::{DbError, Urgency, Write};
use crate::value::{Kind, Value};
use circolo_events::{
    Examination,
    postgres::{
        examine,
        session::{self, Lent},
    },
};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, PgPool, Postgres as Pg, Row as _, Transaction, TypeInfo as _,
    encode::{Encode, IsNull},
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgPoolOptions, PgRow, PgTypeInfo, types::Oid},
    query::Query,
};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a connection may be waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a query may take for the server, and for us: a peer that is gone does not tell.
const QUERY: (&str, Duration) = ("20s", Duration::from_secs(25));
/// Likewise what the live subscription reads and writes.
const LIVE: Duration = Duration::from_mins(1);
/// An index of a large table takes long and must not be cut short: this bounds only the wait for a peer that is gone.
const BUILD: Duration = Duration::from_hours(6);

/// Connections of [`Postgres::apart`].
const APART: u32 = 2;

/// Two pools, so that neither many queries nor long builds keep the others waiting; and a few connections apart.
#[derive(Clone)]
pub(super) struct Postgres {
    url: Arc<str>,
    queries: PgPool,
    engine: PgPool,
    apart: PgPool,
}

/// A null whose type the server infers: sent as of type "unknown".
struct Untyped;

impl sqlx::Type<Pg> for Untyped {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(705))
    }
}

impl Encode<'_, Pg> for Untyped {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

impl Postgres {
    pub(super) async fn connect(url: &str) -> Result<Self, DbError> {
        let common = [
            // A crash of the server may take the last commits; rows and checkpoint go together, so they are folded again.
            ("synchronous_commit", "off"),
            ("lock_timeout", "30s"),
            // A process that was stopped in the middle of a transaction must not keep another one from taking over.
            ("idle_in_transaction_session_timeout", "4s"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_keepalives_count", "3"),
        ];
        let options = |name: &str, more: &[(&str, &str)]| session::options(url, name, &[common.as_slice(), more].concat()).map_err(failed);
        let queries = pool(8).connect_lazy_with(options("circolo views", &[("statement_timeout", QUERY.0)])?);
        let engine = pool(5).connect_lazy_with(options("circolo projector", &[("statement_timeout", "0")])?);
        let apart = pool(APART).connect_lazy_with(options("circolo leases", &[("synchronous_commit", "on"), ("lock_timeout", "10s")])?);
        session::check(&queries).await.map_err(|error| DbError::Failed(error.into()))?;
        Ok(Self { url: url.into(), queries, engine, apart })
    }

    /// Over connections of their own, whose commits survive a crash of the server.
    pub(super) fn apart(&self) -> Self {
        Self { url: Arc::clone(&self.url), queries: self.apart.clone(), engine: self.apart.clone(), apart: self.apart.clone() }
    }

    pub(super) async fn query(&self, sql: Cow<'static, str>, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        ask(&self.queries, QUERY.1, sql, params).await
    }

    /// What `amcheck` finds.
    pub(super) async fn examine(&self, tables: &[String]) -> Result<Examination, DbError> {
        examine::examine(&self.url, tables).await.map_err(failed)
    }

    /// A query of the engine.
    pub(super) async fn load(&self, sql: Cow<'static, str>, params: Vec<Value>, urgency: Urgency) -> Result<Vec<Vec<Value>>, DbError> {
        ask(&self.engine, patience(urgency), sql, params).await
    }

    /// Does all of it or nothing; unless it is to be kept, nothing in any case.
    pub(super) async fn write(&self, writes: Vec<Write>, urgency: Urgency, keep: bool) -> Result<(), DbError> {
        let mut connection = Lent::take(&self.engine).await.map_err(failed)?;
        let working = async {
            let mut transaction = connection.begin().await.map_err(failed)?;
            for write in writes {
                apply(&mut transaction, write).await?;
            }
            if keep { transaction.commit().await } else { transaction.rollback().await }.map_err(failed)
        };
        let (outcome, ended) = match timeout(patience(urgency), working).await {
            Ok(outcome) => (outcome, Ok(Ok(()))),
            Err(late) => (Ok(()), Err(late)),
        };
        connection.end(ended).map_err(failed).and(outcome)
    }
}

const fn patience(urgency: Urgency) -> Duration {
    match urgency {
        Urgency::Live => LIVE,
        Urgency::Build => BUILD,
    }
}

async fn ask(pool: &PgPool, patience: Duration, sql: Cow<'static, str>, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
    let mut connection = Lent::take(pool).await.map_err(failed)?;
    // The texts come from this program; what users say is only ever a parameter.
    let query = params.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
    let answer = timeout(patience, query.fetch_all(&mut *connection)).await;
    let rows = connection.end(answer).map_err(failed)?;
    rows.iter().map(values).collect()
}

fn pool(connections: u32) -> PgPoolOptions {
    let pool = session::pool(connections, PATIENCE);
    pool.after_connect(|connection, _| {
        Box::pin(async move {
            // So that the server notices the end of a process that waits for a long statement. Not every server can.
            let sql = "SELECT set_config('client_connection_check_interval', '1000', false)";
            let _ = sqlx::raw_sql(sql).execute(&mut *connection).await;
            Ok(())
        })
    })
}

async fn apply(transaction: &mut Transaction<'_, Pg>, write: Write) -> Result<(), DbError> {
    match write {
        Write::Run { sql, params } => execute(transaction, sql.postgres, params).await.map(drop),
        Write::Expect { sql, params, rows } => {
            if execute(transaction, sql.postgres, params).await? == rows {
                Ok(())
            } else {
                Err(DbError::Moved)
            }
        }
        Write::Fence { sql, params, rows } => {
            if execute(transaction, sql.postgres, params).await? == rows {
                Ok(())
            } else {
                Err(DbError::LeaseLost)
            }
        }
        Write::Each { sql, kinds, rows } => {
            if rows.is_empty() {
                return Ok(());
            }
            let query = arrays(&kinds, rows).into_iter().fold(sqlx::query(AssertSqlSafe(sql.postgres)), |query, array| match array {
                Array::Text(texts) => query.bind(texts),
                Array::Int(numbers) => query.bind(numbers),
                Array::Float(numbers) => query.bind(numbers),
            });
            query.execute(&mut **transaction).await.map_err(failed).map(drop)
        }
    }
}

async fn execute(transaction: &mut Transaction<'_, Pg>, sql: Cow<'static, str>, params: Vec<Value>) -> Result<u64, DbError> {
    let query = params.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
    Ok(query.execute(&mut **transaction).await.map_err(failed)?.rows_affected())
}

fn bind(query: Query<'_, Pg, PgArguments>, value: Value) -> Query<'_, Pg, PgArguments> {
    match value {
        Value::Null => query.bind(Untyped),
        Value::Int(number) => query.bind(number),
        Value::Float(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::List(texts) => query.bind(texts),
    }
}

/// One column of a batch.
enum Array {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
}

/// Rows as columns.
fn arrays(kinds: &[Kind], rows: Vec<Vec<Value>>) -> Vec<Array> {
    let mut arrays: Vec<Array> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::Text => Array::Text(Vec::with_capacity(rows.len())),
            Kind::Int => Array::Int(Vec::with_capacity(rows.len())),
            Kind::Float => Array::Float(Vec::with_capacity(rows.len())),
        })
        .collect();
    for row in rows {
        for (array, value) in arrays.iter_mut().zip(row) {
            match (array, value) {
                (Array::Text(texts), Value::Text(text)) => texts.push(Some(text)),
                (Array::Int(numbers), Value::Int(number)) => numbers.push(Some(number)),
                (Array::Float(numbers), Value::Float(number)) => numbers.push(Some(number)),
                (Array::Text(texts), _) => texts.push(None),
                (Array::Int(numbers), _) => numbers.push(None),
                (Array::Float(numbers), _) => numbers.push(None),
            }
        }
    }
    arrays
}

fn values(row: &PgRow) -> Result<Vec<Value>, DbError> {
    (0..row.len())
        .map(|column| {
            let kind = row.column(column).type_info();
            match kind.name() {
                "INT8" => row.try_get(column).map(|number: Option<i64>| number.map_or(Value::Null, Value::Int)),
                "INT4" => row.try_get(column).map(|number: Option<i32>| number.map_or(Value::Null, |n| Value::Int(n.into()))),
                "FLOAT8" => row.try_get(column).map(|number: Option<f64>| number.map_or(Value::Null, Value::Float)),
                "BOOL" => row.try_get(column).map(|truth: Option<bool>| truth.map_or(Value::Null, |b| Value::Int(b.into()))),
                "TEXT" | "VARCHAR" | "NAME" => row.try_get(column).map(|text: Option<String>| text.map_or(Value::Null, Value::Text)),
                // Sums of BIGINT are NUMERIC on Postgres: the query has to cast them, so that both databases agree.
                other => Err(sqlx::Error::ColumnDecode {
                    index: row.column(column).name().to_owned(),
                    source: format!("type {other} is not one of BIGINT, DOUBLE PRECISION, TEXT: cast it").into(),
                }),
            }
            .map_err(failed)
        })
        .collect()
}

fn failed(error: sqlx::Error) -> DbError {
    let code = error.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
    match code.as_deref() {
        // A page, an index, a file that is not what was written.
        Some("XX001" | "XX002" | "58P01") => DbError::Damaged(error.into()),
        // Data that it cannot hold, and limits of the program, such as that of an index's rows.
        Some(code) if ["22", "54"].iter().any(|values| code.starts_with(values)) => DbError::Unfit(error.into()),
        // Connections, rollbacks, resources, waits, the operator's hand, a server that takes no writes for now, the system.
        Some(code) if !["08", "25", "40", "53", "55", "57", "58", "F0"].iter().any(|passing| code.starts_with(passing)) => {
            DbError::Refused(error.into())
        }
        _ => DbError::Failed(error.into()),
    }
}
