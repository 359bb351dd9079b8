//! `circolo events copy`: a log moves to another place or engine.

use crate::cli::progress;
use anyhow::Context;
use circolo::{
    clock,
    config::{DataFolder, KeyStorage},
    open,
};
use circolo_events::{
    Position,
    transfer::copy::{self, Again},
};
use clap::Args;

/// What `circolo events copy` takes.
#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The log to copy: `sqlite:PATH`, `postgres://...` or `kurrentdb://...`; a server may be using it
    #[arg(long, env = "CIRCOLO_COPY_FROM", value_name = "URL", hide_env_values = true)]
    from: String,
    /// Where the copy goes: a place that holds no log yet, or what an earlier run has copied there
    #[arg(long, env = "CIRCOLO_COPY_TO", value_name = "URL", hide_env_values = true)]
    to: String,
    /// Seal what stands plain in it, under the keys of `--keys`; what is sealed is copied as it is, and opens with the same keys
    #[arg(long)]
    seal: bool,
    #[command(flatten)]
    folder: DataFolder,
    #[command(flatten)]
    keys: KeyStorage,
    /// Of what an earlier run has copied and compared, compare the last event only
    #[arg(long)]
    quick: bool,
}

impl Copy {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let source = open::source(&self.from).await.context("--from")?;
        let end = source.head().await?;
        if end == Position::START {
            // Before anything is made at the target.
            return Err(copy::CopyError::Nothing.into());
        }
        let (mut target, held) = open::target(&self.to, &clock::fresh_ids()).await.context("--to")?;
        if self.seal {
            target = self.keys.behind_keys(&self.folder.data, target, &*source).await.context("--seal")?;
        }
        let again = if self.quick { Again::Last } else { Again::All };
        let bar = progress::counted(end.0.unsigned_abs(), "{wide_bar} {percent:>3} % {msg}, {eta} left");
        let told = |progress: copy::Progress| {
            bar.set_position(progress.position.0.unsigned_abs());
            bar.set_message(match progress.written {
                0 => format!("{} events compared", progress.found),
                written => format!("{written} events copied"),
            });
        };
        let copied = copy::copy(&*source, &*target, end, again, told).await;
        held.release().await;
        let copied = copied?;
        bar.finish_and_clear();
        let copy::Copied { found, written, end, head } = copied;
        let before = if self.quick { "what was there was taken as it is".to_owned() } else { format!("{found} were there already") };
        println!("{written} events copied and compared, {before}: the target holds the source up to position {end}");
        println!("the copy is log {}, up to position {head} of its own", target.log_id());
        let now = source.head().await?;
        if now > end {
            println!("the source has gone on to position {now} meanwhile: run this again for the rest");
        }
        Ok(())
    }
}
