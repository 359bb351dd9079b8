//! `circolo keys`: the keys that texts are sealed under, looked after in this process, beside which a server may go on, or by a
//! running server.

mod there;

use super::progress;
use anyhow::Context;
use circolo::{
    clock,
    config::{DataFolder, KeyStorage, Storage},
    routes::operator::keys::{KeyCountView, SealedEvents},
    sealed,
};
use circolo_events::sealing::{KeyStore, Owner, Random, Secret, copy, installation::block, store::Make, tally, tend};
use clap::{Args, Subcommand};
use there::There;

/// What `circolo keys` takes.
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new generation of an installation key, to be put behind the others where a command reads them
    Block,
    /// Copy all keys into another store, wrapped as they are; what was interrupted goes on where it was, and nothing is overwritten
    Copy(Copy),
    /// Wrap all keys under a new generation of the installation key; what was interrupted goes on where it was
    Rewrap(Which),
    /// Make a new version of an owner's key, or of everybody's, for what is written from now on
    Rotate {
        /// Whose, such as `page-` and its id [default: everybody's]
        owner: Option<Owner>,
        #[command(flatten)]
        which: Which,
    },
    /// Count the keys by purpose, version and generation, try whether the installation key opens them, and tell how many events of the
    /// log are sealed and how many stand plain
    Status(Box<Status>),
}

/// Which keys.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    there: There,
    #[command(flatten)]
    folder: DataFolder,
    #[command(flatten)]
    keys: KeyStorage,
}

/// What `circolo keys status` takes.
#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    there: There,
    #[command(flatten)]
    storage: Storage,
}

/// What `circolo keys copy` takes.
#[derive(Debug, Args)]
struct Copy {
    /// The store to copy: `sqlite:PATH` or `postgres://...`
    #[arg(long, env = "CIRCOLO_KEYS_FROM", value_name = "URL", hide_env_values = true)]
    from: String,
    /// Where the copy goes: a place that holds nothing yet, or what an earlier run has copied there
    #[arg(long, env = "CIRCOLO_KEYS_TO", value_name = "URL", hide_env_values = true)]
    to: String,
    #[command(flatten)]
    which: Which,
}

impl Keys {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Block => {
                print!("{}", *block(&Secret::drawn(&Random::system())?));
                Ok(())
            }
            Action::Copy(copy) => copy.run().await,
            Action::Rewrap(which) => which.rewrap().await,
            Action::Rotate { owner, which } => which.rotate(owner).await,
            Action::Status(status) => status.run().await,
        }
    }
}

impl Which {
    async fn rewrap(self) -> anyhow::Result<()> {
        if let Some(server) = self.there.asked() {
            return server.rewrap().await;
        }
        let (store, source) = (self.keys.open(&self.folder.data, Make::Never).await?, self.keys.source(&self.folder.data));
        let bar = progress::counted(0, "{wide_bar} {percent:>3} % {per_sec} keys, {eta} left");
        let mut told = |done, all: Option<u64>| {
            bar.set_length(all.unwrap_or(done));
            bar.set_position(done);
        };
        let tend::Rewrapped { generation, made, keys } = tend::rewrap(&*store, &source, &Random::system(), &mut told).await?;
        bar.finish_and_clear();
        let which = if made { "a new one" } else { "the newest there was; run this again for a new one" };
        println!("{keys} keys wrapped anew: all are under generation {generation} of the installation key, {which}");
        Ok(())
    }

    async fn rotate(self, owner: Option<Owner>) -> anyhow::Result<()> {
        if let Some(server) = self.there.asked() {
            return server.rotate(owner).await;
        }
        let (store, source) = (self.keys.open(&self.folder.data, Make::Never).await?, self.keys.source(&self.folder.data));
        let (now, random) = (clock::system()(), Random::system());
        if let Some(owner) = owner {
            let version = tend::rotate(&*store, &source, owner.clone(), now, &random).await?;
            println!("{owner} is at version {version}");
        } else {
            let bar = progress::counted(0, "{spinner} {pos} keys, {per_sec}");
            let rotated = tend::rotate_all(&*store, &source, now, &random, &mut |done, _| bar.set_position(done)).await?;
            bar.finish_and_clear();
            println!("{rotated} owners have a new version");
        }
        println!("a server that is running seals under it within a minute");
        Ok(())
    }
}

impl Status {
    async fn run(self) -> anyhow::Result<()> {
        if let Some(server) = self.there.asked() {
            let view = server.status().await?;
            println!("the installation key is at generation {}", view.generation);
            tell_counts(&view.items, view.generation);
            if let Some(events) = view.events {
                tell_events(events);
            }
            return Ok(());
        }
        let (data, keys) = (&self.storage.folder.data, &self.storage.keys);
        let (store, source) = (keys.open(data, Make::Never).await?, keys.source(data));
        let counts = KeyCountView::all(&store.counts().await?);
        let newest = tend::prove(&*store, &source, &Random::system()).await?;
        println!("keys in {}; the installation key is at generation {newest}", keys.place(data)?);
        tell_counts(&counts, newest);
        self.events(&*store).await
    }

    /// How much of the log is sealed.
    async fn events(&self, store: &dyn KeyStore) -> anyhow::Result<()> {
        let log = match self.storage.open_log_beside().await {
            Ok(log) => log,
            Err(error) => {
                println!("the log was not looked at: {error}");
                return Ok(());
            }
        };
        let bar = progress::counted(log.head().await?.0.unsigned_abs(), "{wide_bar} {percent:>3} % of the log, {eta} left");
        let tally = tally::count(&*log, store, |tally| bar.set_position(tally.position.0.unsigned_abs())).await?;
        bar.finish_and_clear();
        tell_events(SealedEvents { sealed: tally.sealed, plain: tally.plain, position: tally.position.0 });
        Ok(())
    }
}

/// A line per purpose, version and generation, and what they come to.
fn tell_counts(counts: &[KeyCountView], newest: u32) {
    println!("{:14} {:>8} {:>11} {:>10} {:>10}", "purpose", "version", "generation", "alive", "destroyed");
    for KeyCountView { purpose, version, generation, alive, destroyed } in counts {
        println!("{purpose:14} {version:>8} {generation:>11} {alive:>10} {destroyed:>10}");
    }
    let sum = |of: fn(&KeyCountView) -> u64| counts.iter().map(of).sum::<u64>();
    println!("{} alive, {} destroyed", sum(|count| count.alive), sum(|count| count.destroyed));
    let old: u64 = counts.iter().filter(|count| count.generation < newest).map(|count| count.alive).sum();
    if old > 0 {
        println!("{old} are under an older generation than the newest: `circolo keys rewrap` goes on with them");
    }
}

fn tell_events(SealedEvents { sealed, plain, position }: SealedEvents) {
    println!("{sealed} events of the log are sealed, up to position {position}; in {plain} texts stand plain");
    if plain > 0 {
        println!("`circolo events copy --seal` brings the log to another place and seals them on the way (docs/sealing.md)");
    }
}

impl Copy {
    async fn run(self) -> anyhow::Result<()> {
        let source = sealed::keys(&self.from, Make::Never).await.context("--from")?;
        let target = sealed::keys(&self.to, Make::IfMissing).await.context("--to")?;
        let installation = self.which.keys.source(&self.which.folder.data);
        let bar = progress::counted(0, "{spinner} {pos} keys, {per_sec}");
        let mut told = |done| bar.set_position(done);
        let copied = copy::copy(&*source, &*target, &installation, &Random::system(), &mut told).await?;
        bar.finish_and_clear();
        let copy::Copied { copied, found, destroyed, dead } = copied;
        println!("{copied} keys copied and compared, {found} were there already");
        if destroyed > 0 {
            println!("{destroyed} were destroyed at the target, as they are at the source");
        }
        if dead > 0 {
            println!("{dead} are destroyed at the target and stay so, though they are alive at the source");
        }
        println!("the installation key is not copied: bring it to where the copy is used");
        Ok(())
    }
}
