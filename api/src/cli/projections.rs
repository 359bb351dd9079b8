//! `circolo projections`: watch and steer the builds of read models, with or without a server.

use super::{Ended, consumers, damage, operations::Operations, progress::Bars};
use anyhow::{Context, bail};
use circolo::routes::operator::{
    parked::ParkedView,
    verification::{Sample, VerifyProjection},
};
use circolo::{
    clock,
    config::Storage,
    routes::operator::{DropBuilds, ProjectionBuild, ProjectionView, RebuildLimits, RebuildProjections, SwitchMode},
};
use circolo_domain::Reason;
use circolo_projections::{self as projections, EngineError, Node, Options, SampleSize};
use clap::{Args, Subcommand};
use std::num::{NonZeroU32, NonZeroU64};

/// What `circolo projections` takes.
#[derive(Debug, Args)]
pub(super) struct Projections {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all builds and where they stand
    List(Target),
    /// Prepare what this program needs and the database lacks, beside a server that may be running
    Build {
        #[command(flatten)]
        storage: Storage,
        #[command(flatten)]
        limits: Limits,
    },
    /// Build anew, beside what is live
    Rebuild {
        #[command(flatten)]
        which: Which,
        /// Wait for `switch` instead of going live at once
        #[arg(long)]
        manual: bool,
        #[command(flatten)]
        limits: Limits,
    },
    /// Leave the build that is under way where it is, also over a restart
    Pause(Which),
    /// Let the build go on that was paused
    Resume(Which),
    /// Drop the builds that were live or failed, with their tables; what is live is never dropped
    Drop {
        #[command(flatten)]
        which: Which,
        /// Only the build with this number
        #[arg(long, value_name = "N", conflicts_with_all = ["all", "old_versions"])]
        build: Option<i64>,
        /// All builds of the versions before this program's
        #[arg(long)]
        old_versions: bool,
    },
    /// Fold once more and compare with what is live. Ends with 1 if something differs, with 2 if it could not be compared
    Verify {
        #[command(flatten)]
        which: Which,
        /// Fold and compare only about so many rows of each projection, or so much of them: 500, 2.5%
        #[arg(long, value_name = "N|P%")]
        sample: Option<SampleSize>,
        /// Chooses which rows are in the sample; any if not given, and printed
        #[arg(long, value_name = "N", requires = "sample")]
        seed: Option<u32>,
    },
    /// Let the build that is ready replace the live one
    Switch(Which),
    /// Bring the build back that was live before
    Rollback(Which),
    /// Give up the build that is under way or waits for its switch
    Cancel(Which),
    /// List the streams that a projection leaves out, as an event of theirs cannot be read
    Parked(Which),
    /// Pass over the event that keeps a stream parked, in every rebuild from now on
    Skip {
        /// The projection
        name: String,
        /// The stream, as `parked` lists it
        stream: String,
        /// Why it is no loss; kept in the log
        #[arg(long, value_parser = reason)]
        reason: Reason,
        #[command(flatten)]
        target: Target,
    },
}

/// How fast builds may go and how much memory they may take, together.
#[derive(Debug, Clone, Copy, Args)]
struct Limits {
    /// At most so many events per second
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// At most so many bytes of rows in memory, roughly: 256MiB, 1GiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<NonZeroU64>,
}

/// Reads `1048576`, `512KiB`, `256MiB`, `1GiB`.
fn bytes(text: &str) -> Result<NonZeroU64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("a number of bytes is expected, or one with KiB, MiB or GiB".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|error: std::num::ParseIntError| error.to_string())?;
    number.checked_mul(unit).and_then(NonZeroU64::new).ok_or_else(|| "a size above 0 is expected".to_owned())
}

pub(super) fn reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).map_err(|error| error.to_string())
}

/// Which projections, and where.
#[derive(Debug, Args)]
struct Which {
    /// The projection
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All projections
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
}

/// Where.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Ask the running server at this address instead of opening the data
    #[arg(long, env = "CIRCOLO_URL", value_name = "URL", requires = "token")]
    url: Option<String>,
    /// A token with the scope `operator`, for the server
    #[arg(long, env = "CIRCOLO_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    storage: Storage,
}

impl Target {
    fn server(&self) -> Option<Operations> {
        Some(Operations::there(self.url.as_deref()?, self.token.clone()?))
    }

    /// Only to look, beside whoever uses the data.
    pub(super) async fn look(&self) -> anyhow::Result<Operations> {
        match self.server() {
            Some(server) => Ok(server),
            None => Operations::beside(&self.storage).await,
        }
    }

    pub(super) async fn open(&self) -> anyhow::Result<Operations> {
        match self.server() {
            Some(server) => Ok(server),
            None => Operations::here(&self.storage).await,
        }
    }
}

impl Which {
    fn names(&self) -> Vec<String> {
        match &self.name {
            Some(name) => vec![name.clone()],
            None => projections::all().iter().map(|projection| projection.name.to_owned()).collect(),
        }
    }
}

impl Projections {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List(target) => list(&target).await,
            Action::Build { storage, limits } => build(&storage, limits).await,
            Action::Rebuild { which, manual, limits: Limits { rate, memory } } => {
                let switch = if manual { SwitchMode::Manual } else { SwitchMode::Auto };
                let names = which.name.iter().cloned().collect();
                let what = RebuildProjections { names, switch, limits: RebuildLimits { rate, memory } };
                // Of one alone a new build in the same place is enough; what a server has open it mends itself.
                let storage = Some(&which.target.storage).filter(|_| which.all && which.target.url.is_none());
                match damage::of_views(storage).await? {
                    Some((place, fault)) => damage::in_new_file(&which.target.storage, &place, &fault, what).await,
                    None => in_place(&which.target, what).await,
                }
            }
            Action::Verify { which, sample, seed } => {
                let storage = Some(&which.target.storage).filter(|_| which.target.url.is_none());
                let different = verify(&which, VerifyProjection { sample: sample.map(Sample), seed }).await;
                match different
                    .map_err(|error| error.context(Ended { code: 2, what: "the read models could not be compared".to_owned() }))?
                {
                    0 => Ok(()),
                    faults => Err(Ended { code: 1, what: damage::advice(storage, faults).await }.into()),
                }
            }
            Action::Pause(which) => each(&which, "paused", async |operations, name| operations.pause(name).await.map(Some)).await,
            Action::Resume(which) => {
                each(&which, "resumed", async |operations, name| {
                    let build = operations.resume(name).await?;
                    if operations.is_here() {
                        // Nobody else would go on with it.
                        finish(operations, std::slice::from_ref(&build)).await?;
                    }
                    Ok(Some(build))
                })
                .await
            }
            Action::Drop { which, build, old_versions } => {
                each(&which, "dropped", async |operations, name| operations.drop_builds(name, DropBuilds { build, old_versions }).await)
                    .await
            }
            Action::Parked(which) => parked(&which).await,
            Action::Skip { name, stream, reason, target } => {
                let operations = target.open().await?;
                let outcome = operations.skip(&name, &stream, reason).await;
                operations.close().await;
                println!("event {} is passed over from now on; a server mends {name} by itself, else rebuild it", outcome?.event);
                Ok(())
            }
            Action::Switch(which) => each(&which, "switched to", async |operations, name| operations.switch(name).await.map(Some)).await,
            Action::Cancel(which) => each(&which, "cancelled", async |operations, name| operations.cancel(name).await.map(Some)).await,
            Action::Rollback(which) => {
                each(&which, "rolled back to", async |operations, name| {
                    let build = operations.roll_back(name).await?;
                    finish(operations, std::slice::from_ref(&build)).await?;
                    Ok(Some(build))
                })
                .await
            }
        }
    }
}

async fn list(target: &Target) -> anyhow::Result<()> {
    let operations = target.look().await?;
    let (builds, beside) = (operations.list().await, operations.consumers().await);
    operations.close().await;
    println!(
        "{:16} {:>7} {:>5} {:10} {:>12} {:>12} {:>10} {:>10}  reason",
        "name", "version", "build", "state", "position", "head", "lag", "events/s"
    );
    for ProjectionView { name, version, build, state, position, head, lag_events, rate, reason, parked_streams, .. } in builds? {
        let parked = (parked_streams > 0).then(|| format!("incomplete: {parked_streams} streams are parked"));
        let reason = reason.or(parked).unwrap_or_default();
        println!("{name:16} {version:>7} {build:>5} {state:10} {position:>12} {head:>12} {lag_events:>10} {rate:>10.0}  {reason}");
    }
    println!();
    consumers::print(&beside?);
    Ok(())
}

async fn build(storage: &Storage, limits: Limits) -> anyhow::Result<()> {
    let opened = storage.open_beside().await.context("the log cannot be read")?;
    let missing = projections::missing(&opened.db, projections::all()).await?;
    let _locks = storage.lock_read_models(&missing)?;
    let look = Operations::beside(storage).await?;
    let mut options = Options { rate: limits.rate.map(|rate| rate.get().into()), ..Options::new(clock::system()) };
    options.memory = limits.memory.map_or(options.memory, |bytes| usize::try_from(bytes.get()).unwrap_or(usize::MAX));
    options.node = storage.has_leases()?.then(|| Node { id: clock::fresh_ids()().to_string(), url: String::new() });
    let work = projections::prepare(opened.db, opened.store, missing, options, None);
    let outcome = Bars::new().during(&look, work).await;
    look.close().await;
    let built = outcome.map_err(|error| match error {
        EngineError::Elsewhere => anyhow::anyhow!("another circolo program is at it: a server builds what it lacks by itself"),
        error => error.into(),
    })?;
    if built.is_empty() {
        println!("nothing is missing");
    }
    for id in built {
        println!("{id} is live");
    }
    Ok(())
}

async fn in_place(target: &Target, what: RebuildProjections) -> anyhow::Result<()> {
    let operations = target.open().await?;
    let outcome = rebuild(&operations, what).await;
    operations.close().await;
    outcome
}

pub(super) async fn rebuild(operations: &Operations, what: RebuildProjections) -> anyhow::Result<()> {
    let begun = operations.rebuild(what).await?;
    finish(operations, &begun).await
}

/// Waits for builds and says what became of them.
async fn finish(operations: &Operations, begun: &[ProjectionBuild]) -> anyhow::Result<()> {
    let ended = Bars::new().until_done(operations, begun).await?;
    let mut failed = begun.len() - ended.len();
    for build in &ended {
        println!("{} build {}: {}", build.name, build.build, build.state);
        if build.state == "failed" {
            eprintln!("  {}", build.reason.as_deref().unwrap_or("no reason given"));
            failed += 1;
        } else if let Some(reason) = &build.reason {
            eprintln!("  {reason}");
        }
    }
    anyhow::ensure!(failed == 0, "{failed} builds did not end well");
    Ok(())
}

async fn parked(which: &Which) -> anyhow::Result<()> {
    let operations = which.target.open().await?;
    let mut all = Vec::new();
    for name in which.names() {
        all.push((operations.parked(&name).await, name));
    }
    operations.close().await;
    for (streams, name) in all {
        for ParkedView { stream, build, position, event_type, error, skipped, .. } in streams? {
            let skipped = if skipped { ", skipped: a rebuild mends it" } else { "" };
            println!("{name} build {build}: {stream} from {event_type} at {position} on: {error}{skipped}");
        }
    }
    Ok(())
}

/// How many rows differ, and how many faults the database finds.
async fn verify(which: &Which, what: VerifyProjection) -> anyhow::Result<i64> {
    let operations = which.target.open().await?;
    let outcome = verify_each(&operations, &which.names(), what).await;
    operations.close().await;
    outcome
}

async fn verify_each(operations: &Operations, names: &[String], what: VerifyProjection) -> anyhow::Result<i64> {
    let mut different = 0;
    for name in names {
        let found = Bars::new().during(operations, operations.verify(name, what)).await?;
        if let Some(reason) = found.reason {
            bail!("{name}: {reason}");
        }
        let sample = found.sample.zip(found.seed);
        let sample = sample.map(|(Sample(size), seed)| format!(", sample {size} with seed {seed}")).unwrap_or_default();
        println!("{name} build {}: {} rows, {} compared, {} different{sample}", found.build, found.rows, found.compared, found.different);
        for difference in &found.differences {
            let column = difference.column.as_deref().unwrap_or("the whole row");
            println!("  {} {} {column}: live {}, folded {}", difference.table, difference.key, difference.live, difference.folded);
        }
        found.damage.iter().for_each(|line| println!("  the database says: {line}"));
        if let Some(left_out) = &found.left_out {
            println!("  not looked at: {left_out}");
        }
        different += found.different + i64::try_from(found.damage.len()).unwrap_or(i64::MAX);
    }
    Ok(different)
}

async fn each<B: IntoIterator<Item = ProjectionBuild>>(
    which: &Which,
    done: &str,
    act: impl AsyncFn(&Operations, &str) -> anyhow::Result<B>,
) -> anyhow::Result<()> {
    let operations = which.target.open().await?;
    let mut outcome = Ok(());
    for name in which.names() {
        match act(&operations, &name).await {
            Ok(builds) => builds.into_iter().for_each(|build| println!("{name}: {done} build {}", build.build)),
            // With --all, those that have nothing to do are passed over.
            Err(error) if which.all => eprintln!("{name}: {error}"),
            Err(error) => outcome = Err(error),
        }
    }
    operations.close().await;
    outcome
}
