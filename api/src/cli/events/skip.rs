//! `circolo events skip`: an event that cannot be read is passed over from now on.

use crate::cli::projections::{Target, reason};
use circolo_domain::Reason;
use clap::Args;

/// What `circolo events skip` takes.
#[derive(Debug, Args)]
pub(super) struct Skip {
    /// Where the event stands
    position: i64,
    /// Why it is no loss; the log keeps it
    #[arg(long, value_parser = reason)]
    reason: Reason,
    #[command(flatten)]
    target: Target,
}

impl Skip {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let operations = self.target.open().await?;
        let outcome = operations.skip_at(self.position, self.reason).await;
        operations.close().await;
        let skipped = outcome?;
        println!("event {} of {} is passed over from now on; a server mends its read models by itself", skipped.event, skipped.stream);
        Ok(())
    }
}
