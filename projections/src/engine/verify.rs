//! Verify: the same fold once more, beside the live rows, and a comparison row by row.
//!
//! The second fold moves with the lane once it has caught up. From then on live and folded rows stand at one position at
//! every moment, so that one query compares them, while the lane runs.

use super::{
    EngineError, Shared, builds,
    lane::LaneHandle,
    member::Member,
    registry::{self, Build, BuildId, State, Switch},
    steering::Limits,
};
use crate::{Value, row::Table};
use std::sync::Arc;

/// How many differences are listed; all are counted.
const LISTED: usize = 100;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// The projection.
    pub name: String,
    /// The build that is live.
    pub build: i64,
    /// How many rows it has.
    pub rows: i64,
    /// How many rows differ, are missing or are too many.
    pub different: i64,
    /// The first differences of each table.
    pub differences: Vec<Difference>,
}

/// One value, or one whole row, that is not what the log says.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The declared table.
    pub table: &'static str,
    /// The row.
    pub key: String,
    /// The column; `None` where the whole row is missing or too many.
    pub column: Option<&'static str>,
    /// What is live: `Null` for a missing row.
    pub live: Value,
    /// What the log says: `Null` for a row that should not be.
    pub folded: Value,
}

/// Folds `name` once more and compares.
pub async fn verify(shared: Arc<Shared>, lane: LaneHandle, name: String) -> Result<Verification, EngineError> {
    let projection = shared.projection(&name)?.clone();
    let known = registry::builds(&shared.db).await?;
    let mine = || known.iter().filter(|build| build.id.name == name && build.version == projection.version);
    if let Some(underway) = mine().find(|build| build.state.is_underway()) {
        return Err(EngineError::Underway(underway.id.clone()));
    }
    let live = mine().find(|build| build.state.is_live()).ok_or(EngineError::Nothing { name, what: "verified" })?;
    let check = builds::create(&shared, &[&projection], State::Checking, Switch::Manual, Limits::default()).await?.remove(0);
    let outcome = compare_with(&shared, &lane, live, &check).await;
    if matches!(lane.leave(&check.id).await, Err(EngineError::Nothing { .. } | EngineError::Down)) {
        builds::discard(&shared, &Member::new(&projection, &check)).await?;
    }
    shared.put_down([&check.id]);
    outcome
}

async fn compare_with(shared: &Arc<Shared>, lane: &LaneHandle, live: &Build, check: &Build) -> Result<Verification, EngineError> {
    // A stopped build stays where it is, and so must what it is compared with.
    let until = (live.state == State::Stopped).then_some(live.checkpoint.position);
    let members = builds::members(shared, std::slice::from_ref(check))?;
    let convoy = builds::bring_up(shared, members, check.checkpoint, until).await?;
    if until.is_none() {
        lane.join(convoy).await?;
    }
    still_whole(shared, &check.id).await?;
    let projection = shared.projection(&live.id.name)?;
    let mut found = Verification { name: live.id.name.clone(), build: live.id.build, rows: 0, different: 0, differences: Vec::new() };
    let tables = |build: &Build| Member::new(projection, build).tables().cloned().collect::<Vec<_>>();
    for (live, check) in tables(live).iter().zip(&tables(check)) {
        compare(shared, &live.table, &live.name, &check.name, &mut found).await?;
    }
    Ok(found)
}

/// An error if the second fold gave up or was given up.
async fn still_whole(shared: &Shared, id: &BuildId) -> Result<(), EngineError> {
    match registry::builds(&shared.db).await?.into_iter().find(|build| build.id == *id) {
        Some(build) if build.state == State::Checking => Ok(()),
        Some(build) => Err(EngineError::Failed { id: build.id, reason: build.reason.unwrap_or_default() }),
        None => Err(EngineError::Failed { id: id.clone(), reason: "it was cancelled".to_owned() }),
    }
}

async fn compare(shared: &Shared, table: &Table, live: &str, check: &str, found: &mut Verification) -> Result<(), EngineError> {
    let rows = shared.db.long_query(comparison(table, live, check), vec![]).await?;
    for mut row in rows {
        let (Some(Value::Int(total)), Some(Value::Int(different))) = (row.first(), row.get(1)) else { continue };
        if row[2..].iter().all(|value| *value == Value::Null) {
            // The row that carries the counts alone.
            (found.rows, found.different) = (found.rows + total, found.different + different);
            continue;
        }
        let folded = row.split_off(2 + table.columns.len());
        let live = row.split_off(2);
        list(table, &live, &folded, &mut found.differences);
    }
    Ok(())
}

/// The differences between two rows, either of which may be all null.
fn list(table: &Table, live: &[Value], folded: &[Value], differences: &mut Vec<Difference>) {
    let key = match (&live[0], &folded[0]) {
        (Value::Text(key), _) | (_, Value::Text(key)) => key.clone(),
        _ => String::new(),
    };
    if live[0] == Value::Null || folded[0] == Value::Null {
        let difference = Difference { table: table.name, key, column: None, live: live[0].clone(), folded: folded[0].clone() };
        return differences.push(difference);
    }
    for (column, (live, folded)) in table.columns.iter().zip(live.iter().zip(folded)) {
        if live != folded {
            let (live, folded) = (live.clone(), folded.clone());
            differences.push(Difference { table: table.name, key: key.clone(), column: Some(column.name), live, folded });
        }
    }
}

/// One query, so one moment: the counts in a row of their own, then the rows that differ, live columns before folded ones.
fn comparison(table: &Table, live: &str, check: &str) -> String {
    let key = table.key();
    let columns = |row: &str, prefix: &str| {
        table.columns.iter().map(|c| format!("{row}.{} AS {prefix}{}", c.name, c.name)).collect::<Vec<_>>().join(", ")
    };
    let names = |prefix: &str| table.columns.iter().map(|c| format!("{prefix}{}", c.name)).collect::<Vec<_>>().join(", ");
    let nulls = vec!["NULL"; table.columns.len() * 2].join(", ");
    let differs = table.columns.iter().map(|c| format!("l.{0} IS DISTINCT FROM c.{0}", c.name)).collect::<Vec<_>>().join(" OR ");
    let both = format!("{}, {}", columns("l", "l_"), columns("c", "c_"));
    let all = format!("{}, {}", names("l_"), names("c_"));
    format!(
        "WITH d AS (SELECT {both} FROM {live} l LEFT JOIN {check} c ON c.{key} = l.{key} WHERE {differs} \
         UNION ALL SELECT {both} FROM {check} c LEFT JOIN {live} l ON l.{key} = c.{key} WHERE l.{key} IS NULL), \
         first AS (SELECT {all} FROM d ORDER BY coalesce(l_{key}, c_{key}) LIMIT {LISTED}) \
         SELECT (SELECT count(*) FROM {live}), (SELECT count(*) FROM d), {all} FROM first \
         UNION ALL SELECT (SELECT count(*) FROM {live}), (SELECT count(*) FROM d), {nulls}"
    )
}
