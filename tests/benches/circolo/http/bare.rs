//! The least that a server in the same framework can do, as a process of its own: it parses the same JSON and answers at once, or
//! runs the same statements through the fastest driver and answers with the rows.
#![expect(clippy::disallowed_types, reason = "it has no problems to answer with")]

use crate::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use circolo_projections::Value;
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use serde::Deserialize;
use serde_json::{Map, Value as JsonValue, json};
use sqlx::{AssertSqlSafe, Column, PgPool, Row, TypeInfo, postgres::PgPoolOptions};
use std::{cell::OnceCell, collections::BTreeMap, path::Path as File, sync::Arc};
use tokio::{net::TcpListener, runtime::Runtime};

/// A statement that a query of ours ran, with what it was given.
#[derive(Debug, Clone)]
pub struct Statement {
    pub sql: String,
    pub params: Vec<Value>,
}

/// What the bare server is told.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file with the read models, or the server's URL.
    pub views: String,
    /// For each path the statements behind it.
    pub queries: BTreeMap<String, Vec<Statement>>,
}

impl Plan {
    pub fn to_json(&self) -> JsonValue {
        let statement = |statement: &Statement| {
            let params: Vec<JsonValue> = statement.params.iter().map(to_json).collect();
            json!({ "sql": statement.sql, "params": params })
        };
        let queries: Map<String, JsonValue> =
            self.queries.iter().map(|(path, all)| (path.clone(), all.iter().map(statement).collect())).collect();
        json!({ "views": self.views, "queries": queries })
    }

    fn from_json(json: &JsonValue) -> Result<Self> {
        let mut queries = BTreeMap::new();
        for (path, statements) in json["queries"].as_object().ok_or("no queries")? {
            let statements = statements.as_array().ok_or("no statements")?.iter().map(|statement| {
                let params = statement["params"].as_array().map(|params| params.iter().map(from_json).collect()).unwrap_or_default();
                Statement { sql: statement["sql"].as_str().unwrap_or_default().to_owned(), params }
            });
            queries.insert(path.clone(), statements.collect());
        }
        Ok(Self { views: json["views"].as_str().ok_or("no views")?.to_owned(), queries })
    }
}

fn to_json(value: &Value) -> JsonValue {
    match value {
        Value::Null => JsonValue::Null,
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => json!(items),
    }
}

fn from_json(value: &JsonValue) -> Value {
    match value {
        JsonValue::Number(number) => number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int),
        JsonValue::String(text) => Value::Text(text.clone()),
        JsonValue::Array(items) => Value::List(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()),
        _ => Value::Null,
    }
}

/// What a question is made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    title: String,
    body: String,
}

#[derive(Clone)]
struct Bare {
    plan: Arc<Plan>,
    pool: Option<PgPool>,
}

thread_local! {
    /// Each of the runtime's threads has a connection of its own and is blocked by it: nothing is handed over.
    static CONNECTION: OnceCell<Connection> = const { OnceCell::new() };
}

/// Serves until it is killed; says on stdout where.
pub fn serve(plan: &JsonValue) -> Result<()> {
    let plan = Arc::new(Plan::from_json(plan)?);
    Runtime::new()?.block_on(async {
        let on_postgres = plan.views.starts_with("postgres");
        let pool = if on_postgres { Some(PgPoolOptions::new().max_connections(16).connect(&plan.views).await?) } else { None };
        let router = Router::new().route("/command", post(command)).route("/{*path}", get(query)).with_state(Bare { plan, pool });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        axum::serve(listener, router).await?;
        Ok(())
    })
}

async fn command(Json(ask): Json<Ask>) -> Json<JsonValue> {
    Json(json!({ "id": uuid::Uuid::nil(), "revision": ask.title.len(), "position": ask.body.len() }))
}

async fn query(State(bare): State<Bare>, Path(path): Path<String>) -> std::result::Result<Json<Vec<JsonValue>>, String> {
    let statements = bare.plan.queries.get(&path).ok_or("no such path")?;
    let mut rows = Vec::new();
    for statement in statements {
        let found = match &bare.pool {
            None => on_sqlite(&bare.plan.views, statement),
            Some(pool) => on_postgres(pool, statement).await,
        };
        rows.extend(found.map_err(|error| error.to_string())?);
    }
    Ok(Json(rows))
}

fn on_sqlite(file: &str, statement: &Statement) -> Result<Vec<JsonValue>> {
    CONNECTION.with(|cell| {
        if cell.get().is_none() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let opened = circolo_events::sqlite::connect(File::new(file), flags).map_err(|error| error.to_string())?;
            opened.set_prepared_statement_cache_capacity(64);
            drop(cell.set(opened));
        }
        let connection = cell.get().ok_or("no connection")?;
        let mut prepared = connection.prepare_cached(&statement.sql)?;
        let names: Vec<String> = prepared.column_names().into_iter().map(str::to_owned).collect();
        let params = statement.params.iter().map(|value| match value {
            Value::Null => rusqlite::types::Value::Null,
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => json!(items).to_string().into(),
        });
        let rows = prepared.query_map(rusqlite::params_from_iter(params), |row| {
            let mut object = Map::new();
            for (at, name) in names.iter().enumerate() {
                let value = match row.get_ref(at)? {
                    ValueRef::Integer(number) => json!(number),
                    ValueRef::Real(number) => json!(number),
                    ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                    ValueRef::Null | ValueRef::Blob(_) => JsonValue::Null,
                };
                object.insert(name.clone(), value);
            }
            Ok(JsonValue::Object(object))
        })?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    })
}

async fn on_postgres(pool: &PgPool, statement: &Statement) -> Result<Vec<JsonValue>> {
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
    for value in &statement.params {
        query = match value {
            Value::Null => query.bind(None::<i64>),
            Value::Int(number) => query.bind(*number),
            Value::Float(number) => query.bind(*number),
            Value::Text(text) => query.bind(text.clone()),
            Value::List(items) => query.bind(items.clone()),
        };
    }
    let rows = query.fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut object = Map::new();
            for (at, column) in row.columns().iter().enumerate() {
                let value = match column.type_info().name() {
                    "INT8" => json!(row.try_get::<Option<i64>, _>(at)?),
                    "INT4" => json!(row.try_get::<Option<i32>, _>(at)?),
                    "FLOAT8" => json!(row.try_get::<Option<f64>, _>(at)?),
                    "BOOL" => json!(row.try_get::<Option<bool>, _>(at)?),
                    _ => json!(row.try_get::<Option<String>, _>(at)?),
                };
                object.insert(column.name().to_owned(), value);
            }
            Ok(JsonValue::Object(object))
        })
        .collect()
}
