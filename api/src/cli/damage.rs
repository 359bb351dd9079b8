//! What to do about damaged read models: a new file where the old one is not to be built upon, and advice that spreads no damage.

use super::{operations::Operations, projections::rebuild};
use anyhow::bail;
use circolo::{clock, config::Storage, open::Place, routes::operator::RebuildProjections};
use circolo_events::check;
use circolo_projections as projections;
use std::path::{Path, PathBuf};

/// The file of read models and what is wrong with it, where all of them are to be built anew and it is here.
pub(super) async fn of_views(storage: Option<&Storage>) -> anyhow::Result<Option<(PathBuf, String)>> {
    let Some(storage) = storage else { return Ok(None) };
    match storage.views_place()? {
        Place::Sqlite(path) => Ok(projections::damage_of(&path).await?.map(|fault| (path, fault))),
        _ => Ok(None),
    }
}

/// Builds everything in a new file, which then takes the place of the damaged one.
pub(super) async fn in_new_file(storage: &Storage, place: &Path, fault: &str, what: RebuildProjections) -> anyhow::Result<()> {
    println!("{} is damaged ({fault}): all read models are built in a new file", place.display());
    let operations = Operations::in_new_file(storage, place).await?;
    let Operations::Here { db, .. } = &operations.operations else { bail!("no data to build in") };
    operations.file.carry_over(db).await?;
    let outcome = rebuild(&operations.operations, what).await;
    operations.operations.close().await;
    outcome?;
    let aside = operations.file.take_over().await?;
    println!("the new file is in its place; the damaged one is kept as {}, for as long as you want it", aside.display());
    Ok(())
}

/// What to do about what a verification found: nothing is to be built from a log that is damaged itself.
pub(super) async fn advice(storage: Option<&Storage>, faults: i64) -> String {
    let all_differ = format!("{faults} rows differ or are damaged");
    let Some(storage) = storage else {
        return format!(
            "{all_differ}: look at the log first (`circolo events check`); if it is whole, `circolo projections rebuild` mends them"
        );
    };
    let looked = async {
        let store = storage.open_log_beside().await?;
        Ok::<_, anyhow::Error>(check::check(&*store, clock::system()(), |_| {}).await?)
    };
    match looked.await {
        Ok(found) if found.is_whole() => format!("{all_differ}, and the log is whole: `circolo projections rebuild` mends them"),
        Ok(found) => {
            let first =
                found.faults.first().map(ToString::to_string).or_else(|| found.examination.faults.first().cloned()).unwrap_or_default();
            format!(
                "{all_differ}, but the log is not what was written ({first}): a rebuild would spread that; docs/faults.md says how to go on"
            )
        }
        Err(error) => format!("{all_differ}, and the log cannot be read ({error}): docs/faults.md says how to go on"),
    }
}
