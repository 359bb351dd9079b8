//! `circolo events create`: a log made by a role that may, for a server that may not.

use circolo::{clock, config::Storage};
use clap::Args;

/// What `circolo events create` takes.
#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    storage: Storage,
}

impl Create {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (store, held) = self.storage.open_log(&clock::fresh_ids()).await?;
        println!("{}", store.log_id());
        held.release().await;
        Ok(())
    }
}
