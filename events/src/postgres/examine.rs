//! Tables and indexes, looked at by Postgres' own extension `amcheck`, where the database has it and lets us use it.

use super::session;
use crate::store::Examination;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// How many faults of one table are told.
const TOLD: i64 = 100;

/// The indexes of a table that can be looked at.
const INDEXES: &str = "SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam \
                       WHERE i.indrelid = $1::regclass AND a.amname = 'btree' ORDER BY 1";

/// Looks at these tables of the schema that `url` names.
pub async fn examine(url: &str, tables: &[String]) -> sqlx::Result<Examination> {
    let mut connection = session::options(url, "circolo check", &[("statement_timeout", "0")])?.connect().await?;
    let found = examine_on(&mut connection, tables).await;
    // Who is gone need not be told good-bye.
    let _ = connection.close().await;
    found
}

async fn examine_on(connection: &mut PgConnection, tables: &[String]) -> sqlx::Result<Examination> {
    const WHERE: &str =
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'amcheck'";
    let mut found = Examination::default();
    let Some(schema): Option<String> = sqlx::query_scalar(WHERE).fetch_optional(&mut *connection).await? else {
        found.left_out = Some("pages and indexes, for which Postgres has an extension: CREATE EXTENSION amcheck".to_owned());
        return Ok(found);
    };
    for table in tables {
        let heap = format!(
            "SELECT format('%s, block %s, item %s: %s', $1, blkno, offnum, msg) FROM {schema}.verify_heapam($1::regclass) LIMIT {TOLD}"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(heap)).bind(table).fetch_all(&mut *connection).await;
        found.take(table, rows)?;
        let indexes: Vec<String> = sqlx::query_scalar(INDEXES).bind(table).fetch_all(&mut *connection).await?;
        for index in indexes {
            let checked = format!("SELECT {schema}.bt_index_check($1::regclass, true)");
            let checked = sqlx::query(AssertSqlSafe(checked)).bind(&index).execute(&mut *connection).await;
            found.take(&index, checked.map(|_| vec![]))?;
        }
    }
    Ok(found)
}

impl Examination {
    /// What a look at `what` came to: a damage ends that look, and is what it found.
    fn take(&mut self, what: &str, looked: sqlx::Result<Vec<String>>) -> sqlx::Result<()> {
        let error = match looked {
            Ok(lines) => {
                self.faults.extend(lines);
                return Ok(());
            }
            Err(error) => error,
        };
        let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        match code.as_deref() {
            Some(code) if code.starts_with("XX") || code == "58P01" => self.faults.push(format!("{what}: {error}")),
            Some("42501") => self.left_out = Some(format!("pages and indexes, which this role may not look at ({error})")),
            _ => return Err(error),
        }
        Ok(())
    }
}
