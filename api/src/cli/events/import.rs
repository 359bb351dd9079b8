//! `circolo events import`: an unmasked export becomes the history of an empty log.

use crate::cli::progress;
use anyhow::Context;
use circolo::{clock, config::Storage};
use circolo_events::transfer::import;
use clap::Args;
use std::path::PathBuf;

/// What `circolo events import` takes.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// An export made with `--format ndjson --unmask`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    storage: Storage,
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let bytes = std::fs::metadata(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?.len();
        let (store, held) = self.storage.open_log_to_import(&clock::fresh_ids()).await?;
        // It is read once to check it and once to write it; what an earlier run has written is compared.
        let bar = progress::counted(2 * bytes, "{wide_bar} {percent:>3} % {binary_bytes_per_sec}, {eta} left");
        let imported = import::import(&*store, &self.file, |bytes| bar.inc(bytes)).await;
        held.release().await;
        let imported = imported?;
        bar.finish_and_clear();
        println!("{} events of {} streams, up to position {}", imported.events, imported.streams, imported.head);
        Ok(())
    }
}
