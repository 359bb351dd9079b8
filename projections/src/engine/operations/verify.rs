//! Verify: the same fold once more, beside the live rows, and a comparison row by row.
//!
//! The second fold moves with the live subscription once it has caught up. From then on live and folded rows stand at one position at
//! every moment, so that one query compares them, while the live subscription runs.

use super::{
    activity::Activity,
    damage,
    report::{Difference, Report, Verification},
};
use crate::{
    DbError, FromValues, Value,
    engine::{
        builds::{catch_up, lifecycle, subscriber::Subscriber},
        context::{error::EngineError, shared::Shared},
        live::live_subscription::LiveHandle,
        tables::{
            build::{Build, BuildId, Limits, State, Switch},
            registry,
            sample::{Sample, Sampling},
        },
    },
    params,
    projection::Projection,
    row::Table,
};
use std::sync::Arc;

/// How many differences are listed; all are counted.
const LISTED: usize = 100;

/// Keys that are looked at in one query, where a sample is compared.
const KEYS: usize = 10_000;

/// A comparison that is about to be made.
pub struct Comparison {
    projection: Projection,
    live: Build,
    check: Build,
    sample: Option<Sample>,
}

impl Comparison {
    /// Begins a second fold of `name` and the report on it.
    pub async fn begin(shared: &Shared, activity: &Activity, name: &str, sampling: Option<Sampling>) -> Result<Self, EngineError> {
        let _one_at_a_time = shared.steering.one_at_a_time().await;
        let projection = shared.projection(name)?.clone();
        let known = registry::builds(&shared.db).await?;
        let mine = || known.iter().filter(|build| build.id.name == name && build.version == projection.version);
        if let Some(underway) = mine().find(|build| build.state.is_underway()) {
            return Err(EngineError::Underway(underway.id.clone()));
        }
        let nothing = || EngineError::Nothing { name: name.to_owned(), what: "verified" };
        let live = mine().find(|build| build.state.is_live()).ok_or_else(nothing)?.clone();
        let sample = match sampling {
            Some(sampling) => Some(Sample::of(sampling, rows_of(shared, &projection, &live).await?)),
            None => None,
        };
        let check = lifecycle::create(shared, &[&projection], State::Checking, Switch::Manual, Limits::default()).await?.remove(0);
        let report = Report {
            name: name.to_owned(),
            build: live.id.build,
            check: check.id.clone(),
            sampling,
            started: (shared.options.clock)(),
            finished: None,
            outcome: None,
        };
        activity.reports().insert(name.to_owned(), report);
        Ok(Self { projection, live, check, sample })
    }

    /// Folds and compares, and keeps what it came to until the next time.
    pub async fn run(self, shared: &Arc<Shared>, activity: &Activity, handle: &LiveHandle) -> Result<Verification, EngineError> {
        let mut outcome = self.compare(shared, handle).await;
        if matches!(handle.leave(&self.check.id).await, Err(EngineError::Nothing { .. } | EngineError::Down)) {
            let removed = lifecycle::discard(shared, &Subscriber::new(&self.projection, &self.check)).await;
            outcome = outcome.and_then(|found| removed.map(|()| found));
        }
        shared.steering.put_down([&self.check.id]);
        if let Some(report) = activity.reports().get_mut(self.projection.name) {
            report.finished = Some((shared.options.clock)());
            report.outcome = Some(outcome.as_ref().map(Clone::clone).map_err(ToString::to_string));
        }
        shared.steering.changed();
        outcome
    }

    async fn compare(&self, shared: &Arc<Shared>, handle: &LiveHandle) -> Result<Verification, EngineError> {
        let Self { projection, live, check, sample } = self;
        // A stopped build stays where it is, and so must what it is compared with.
        let until = (live.state == State::Stopped).then_some(live.checkpoint.position);
        let mut subscribers = catch_up::subscribers(shared, std::slice::from_ref(check)).await?;
        for subscriber in &mut subscribers {
            subscriber.sample = *sample;
        }
        let subscription = catch_up::bring_up(shared, subscribers, check.checkpoint, until).await?;
        if until.is_none() {
            handle.join(subscription).await?;
        }
        still_whole(shared, &check.id).await?;
        let name = live.id.name.clone();
        let (damage, left_out) = damage::examine(shared, &Subscriber::new(projection, live)).await?;
        let (rows, compared, different, differences) = (0, 0, 0, Vec::new());
        let mut found = Verification { name, build: live.id.build, rows, compared, different, differences, damage, left_out };
        let tables = |build: &Build| Subscriber::new(projection, build).tables().cloned().collect::<Vec<_>>();
        for (live, check) in tables(live).iter().zip(&tables(check)) {
            let names = (live.name.as_str(), check.name.as_str());
            let compared = async {
                compare(shared, &live.table, names, sample.is_some(), &mut found).await?;
                match sample {
                    Some(sample) => find_ghosts(shared, &live.table, names, sample, &mut found).await,
                    None => Ok(()),
                }
            };
            match compared.await {
                // What cannot be read cannot be compared: it is one of its faults.
                Err(EngineError::Db(error)) if error.is_lasting() => found.damage.push(format!("{}: {error}", live.name)),
                outcome => outcome?,
            }
        }
        Ok(found)
    }
}

async fn rows_of(shared: &Shared, projection: &Projection, build: &Build) -> Result<i64, EngineError> {
    let mut rows = 0;
    for physical in Subscriber::new(projection, build).tables() {
        let counted = shared.db.long_query(format!("SELECT count(*) FROM {}", physical.name), vec![]).await?;
        if let Some([Value::Int(count)]) = counted.first().map(Vec::as_slice) {
            rows += count;
        }
    }
    Ok(rows)
}

/// An error if the second fold gave up or was given up.
async fn still_whole(shared: &Shared, id: &BuildId) -> Result<(), EngineError> {
    match registry::builds(&shared.db).await?.into_iter().find(|build| build.id == *id) {
        Some(build) if build.state == State::Checking => Ok(()),
        Some(build) => Err(EngineError::Failed { id: build.id, reason: build.reason.unwrap_or_default() }),
        None => Err(EngineError::Failed { id: id.clone(), reason: "it was cancelled".to_owned() }),
    }
}

async fn compare(
    shared: &Shared,
    table: &Table,
    (live, check): (&str, &str),
    sampled: bool,
    found: &mut Verification,
) -> Result<(), EngineError> {
    let rows = shared.db.long_query(comparison(table, live, check, sampled), vec![]).await?;
    for mut row in rows {
        let [Value::Int(total), Value::Int(folded), Value::Int(different)] = row[..3] else { continue };
        if row[3..].iter().all(|value| *value == Value::Null) {
            // The row that carries the counts alone.
            found.rows += total;
            found.compared += if sampled { folded } else { total };
            found.different += different;
            continue;
        }
        let folded = row.split_off(3 + table.columns.len());
        let live = row.split_off(3);
        list(table, &live, &folded, &mut found.differences);
    }
    Ok(())
}

/// Rows of the sample that are live and should not be. Each query sees one moment, so what it finds was too many then.
async fn find_ghosts(
    shared: &Shared,
    table: &Table,
    (live, check): (&str, &str),
    sample: &Sample,
    found: &mut Verification,
) -> Result<(), EngineError> {
    let key = table.key();
    let sql = format!(
        "SELECT l.{key} FROM {live} l LEFT JOIN {check} c ON c.{key} = l.{key} WHERE c.{key} IS NULL AND l.{key} > $1 \
         ORDER BY l.{key} LIMIT {KEYS}"
    );
    let (mut after, mut listed) = (String::new(), 0);
    loop {
        let rows = shared.db.long_query(sql.clone(), params![&after]).await?;
        let keys: Vec<String> = rows.into_iter().map(String::from_values).collect::<Result<_, _>>().map_err(DbError::from)?;
        let Some(last) = keys.last().cloned() else { return Ok(()) };
        for key in keys.into_iter().filter(|key| sample.takes(key)) {
            found.compared += 1;
            found.different += 1;
            listed += 1;
            if listed <= LISTED {
                let live = Value::Text(key.clone());
                found.differences.push(Difference { table: table.name, key, column: None, live, folded: Value::Null });
            }
        }
        after = last;
    }
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
/// Of a sample only those that were folded: the others were left out on purpose.
fn comparison(table: &Table, live: &str, check: &str, sampled: bool) -> String {
    let key = table.key();
    let columns = |row: &str, prefix: &str| {
        table.columns.iter().map(|c| format!("{row}.{} AS {prefix}{}", c.name, c.name)).collect::<Vec<_>>().join(", ")
    };
    let names = |prefix: &str| table.columns.iter().map(|c| format!("{prefix}{}", c.name)).collect::<Vec<_>>().join(", ");
    let nulls = vec!["NULL"; table.columns.len() * 2].join(", ");
    let differs = table.columns.iter().map(|c| format!("l.{0} IS DISTINCT FROM c.{0}", c.name)).collect::<Vec<_>>().join(" OR ");
    let both = format!("{}, {}", columns("l", "l_"), columns("c", "c_"));
    let all = format!("{}, {}", names("l_"), names("c_"));
    let found = if sampled {
        format!("SELECT {both} FROM {check} c LEFT JOIN {live} l ON l.{key} = c.{key} WHERE {differs}")
    } else {
        format!(
            "SELECT {both} FROM {live} l LEFT JOIN {check} c ON c.{key} = l.{key} WHERE {differs} \
             UNION ALL SELECT {both} FROM {check} c LEFT JOIN {live} l ON l.{key} = c.{key} WHERE l.{key} IS NULL"
        )
    };
    let counts = format!("(SELECT count(*) FROM {live}), (SELECT count(*) FROM {check}), (SELECT count(*) FROM d)");
    format!(
        "WITH d AS ({found}), first AS (SELECT {all} FROM d ORDER BY coalesce(l_{key}, c_{key}) LIMIT {LISTED}) \
         SELECT {counts}, {all} FROM first UNION ALL SELECT {counts}, {nulls}"
    )
}
