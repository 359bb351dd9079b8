//! Who moves which read models where several nodes share them: a row for each, held until a moment by the database's clock.
//!
//! Whoever takes leases gets a number for them that nobody had before, the *epoch*. Every transaction under a lease compares it
//! ([`Db::fenced`]) and holds a lock on its rows that a takeover waits for: what a node still writes that lost its lease fails.

use crate::{
    db::{Db, DbError, Urgency, Write},
    engine::{context::options::Node, tables::registry::alone},
    params,
};
use std::time::Duration;

/// For how long a lease holds that is not renewed. Shorter ends sooner after a crash; longer bears slower machines.
pub const TTL: Duration = Duration::from_secs(3);
/// How often a lease is renewed.
pub const RENEWAL: Duration = Duration::from_millis(750);
/// The lease on reactions; those on projections are called by name and version.
pub const REACTIONS: &str = "reactions";
/// The row that counts epochs; whoever takes leases holds it meanwhile.
const COUNTER: &str = "";

/// The database's clock, in microseconds.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS projection_leases (name TEXT PRIMARY KEY, epoch BIGINT NOT NULL, holder TEXT NOT NULL, \
                     url TEXT NOT NULL, until BIGINT NOT NULL, failure TEXT)";

/// What a node holds since it last took something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every lease of any node.
    pub epoch: i64,
    /// The leases.
    pub keys: Vec<String>,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What is held.
    pub key: String,
    /// By whom.
    pub node: Node,
    /// Nobody does any more.
    pub free: bool,
    /// Why it is held, and nothing moves all the same.
    pub failure: Option<String>,
}

crate::record! {
    struct Row { name: String, holder: String, url: String, free: i64, failure: Option<String> }
}

/// The leases that a node wants.
#[derive(Clone)]
pub struct Leases {
    db: Db,
    node: Node,
    keys: Vec<String>,
}

impl Leases {
    /// Those of `keys`, for `node`; `db` should have connections that nobody else keeps busy.
    pub async fn open(db: Db, node: Node, keys: Vec<String>) -> Result<Self, DbError> {
        let rows: Vec<String> = keys.iter().cloned().chain([COUNTER.to_owned()]).collect();
        let insert = "INSERT INTO projection_leases (name, epoch, holder, url, until) SELECT u, 0, '', '', 0 FROM unnest($1) AS u \
                      ON CONFLICT (name) DO NOTHING";
        let make = [Write::run(TABLE, vec![]), Write::run(insert, params![rows])];
        db.write(alone(&db).chain(make).collect(), Urgency::Live).await?;
        Ok(Self { db, node, keys })
    }

    /// Whose they are.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Who holds them.
    pub async fn holders(&self) -> Result<Vec<Holder>, DbError> {
        let sql = format!(
            "SELECT name, holder, url, CASE WHEN until < {NOW} THEN 1 ELSE 0 END AS free, failure FROM projection_leases \
             WHERE name = ANY($1) ORDER BY name"
        );
        let rows = self.db.query::<Row>(sql, params![self.keys.clone()]).await?;
        let holder = |row: Row| Holder {
            key: row.name,
            node: Node { id: row.holder, url: row.url },
            free: row.free != 0,
            failure: row.failure.filter(|_| row.free == 0),
        };
        Ok(rows.into_iter().map(holder).collect())
    }

    /// Takes what is free and keeps what this node holds: a new epoch, unless others were faster and nothing is left.
    pub async fn take(&self) -> Result<Option<Lease>, DbError> {
        let count = "UPDATE projection_leases SET epoch = epoch + 1 WHERE name = $1";
        // Waits for what a node that lost its lease is just writing.
        let lock = "SELECT name FROM projection_leases WHERE name = ANY($1) ORDER BY name FOR UPDATE";
        let take = format!(
            "UPDATE projection_leases SET holder = $2, url = $3, until = {NOW} + $4, failure = NULL, \
             epoch = (SELECT epoch FROM projection_leases WHERE name = $5) \
             WHERE name = ANY($1) AND (until < {NOW} OR holder = $2)"
        );
        let (Node { id, url }, keys) = (&self.node, &self.keys);
        let writes = vec![
            Write::run(count, params![COUNTER]),
            Write::run(lock, params![keys.clone()]),
            Write::run(take, params![keys.clone(), id, url, micros(TTL), COUNTER]),
        ];
        self.db.write(writes, Urgency::Live).await?;
        let held = "SELECT epoch, name FROM projection_leases WHERE name = ANY($1) AND holder = $2 ORDER BY name";
        let held = self.db.query::<(i64, String)>(held, params![keys.clone(), id]).await?;
        let Some((epoch, _)) = held.first().cloned() else { return Ok(None) };
        Ok(Some(Lease { epoch, keys: held.into_iter().map(|(_, name)| name).collect() }))
    }

    /// Holds on to what `lease` holds, and tells the others what is wrong with it, if something is.
    pub async fn renew(&self, lease: &Lease, failure: Option<String>) -> Result<(), DbError> {
        let sql = format!("UPDATE projection_leases SET until = {NOW} + $3, failure = $4 WHERE epoch = $1 AND name = ANY($2)");
        let params = params![lease.epoch, lease.keys.clone(), micros(TTL), failure];
        self.db.write(vec![Write::Fence { sql: sql.into(), params, rows: lease.keys.len() as u64 }], Urgency::Live).await
    }

    /// Lets go, so that another takes over at once.
    pub async fn release(&self, lease: &Lease) -> Result<(), DbError> {
        let sql = "UPDATE projection_leases SET until = 0, holder = '' WHERE epoch = $1 AND name = ANY($2)";
        self.db.write(vec![Write::run(sql, params![lease.epoch, lease.keys.clone()])], Urgency::Live).await
    }
}

impl Lease {
    /// Part of every transaction under the lease. The lock lets renewals pass and makes a takeover wait.
    pub(crate) fn fence(&self) -> Write {
        Write::Fence {
            sql: "SELECT name FROM projection_leases WHERE epoch = $1 AND name = ANY($2) FOR KEY SHARE".into(),
            params: params![self.epoch, self.keys.clone()],
            rows: self.keys.len() as u64,
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
