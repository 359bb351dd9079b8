//! Postgres through sqlx, natively: parameters bound by type, whole batches as arrays.

use super::{DbError, Write};
use crate::value::{Kind, Value};
use sqlx::{
    AssertSqlSafe, Column as _, PgPool, Postgres as Pg, Row as _, Transaction, TypeInfo as _,
    encode::{Encode, IsNull},
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgConnectOptions, PgPoolOptions, PgRow, PgTypeInfo, types::Oid},
    query::Query,
};
use std::{borrow::Cow, str::FromStr, time::Duration};

/// Connections of [`Postgres::apart`].
const APART: u32 = 2;

/// A pool of connections.
#[derive(Clone)]
pub(super) struct Postgres {
    pool: PgPool,
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
        let options = PgConnectOptions::from_str(url).map_err(failed)?.application_name("circolo-views").options([
            // A crash of the server may take the last commits; rows and checkpoint go together, so they are folded again.
            ("synchronous_commit", "off"),
            ("lock_timeout", "30s"),
            // A process that was stopped in the middle of a transaction must not keep another one from taking over.
            ("idle_in_transaction_session_timeout", "4s"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_keepalives_count", "3"),
        ]);
        let lasting = options.clone().options([("synchronous_commit", "on"), ("lock_timeout", "10s")]);
        let apart = pool(APART).connect_lazy_with(lasting);
        Ok(Self { pool: pool(12).connect_with(options).await.map_err(failed)?, apart })
    }

    /// Over connections of their own, whose commits survive a crash of the server.
    pub(super) fn apart(&self) -> Self {
        Self { pool: self.apart.clone(), apart: self.apart.clone() }
    }

    pub(super) async fn query(&self, sql: Cow<'static, str>, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        // The texts come from this program; what users say is only ever a parameter.
        let query = params.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(values).collect()
    }

    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), DbError> {
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        for write in writes {
            apply(&mut transaction, write).await?;
        }
        transaction.commit().await.map_err(failed)
    }
}

fn pool(connections: u32) -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(10));
    pool.after_connect(|connection, _| {
        Box::pin(async move {
            // So that the server notices the end of a process that waits for a long statement. Not every server can.
            let sql = "SELECT set_config('client_connection_check_interval', '1000', false)";
            let _ = sqlx::query(sql).execute(&mut *connection).await;
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
                Err(DbError::Deposed)
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
    DbError::Failed(error.into())
}
