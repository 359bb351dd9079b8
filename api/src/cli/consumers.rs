//! `circolo consumers`: who does something about what happens in the log, beside the commands.

use super::{operations::Operations, projections::Target};
use circolo::routes::operator::consumers::ConsumerView;
use clap::{Args, Subcommand};

/// Watch, pause and resume consumers of the log
#[derive(Debug, Args)]
pub struct Consumers {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all, and how each stands
    List(Target),
    /// Let one rest until it is resumed
    Pause(Which),
    /// Let one go on from where it was paused
    Resume(Which),
}

/// Which, and where.
#[derive(Debug, Args)]
struct Which {
    /// The consumer, as `list` names it
    name: String,
    #[command(flatten)]
    target: Target,
}

impl Consumers {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (which, pause) = match self.action {
            Action::List(target) => {
                let operations = target.look().await?;
                let found = operations.consumers().await;
                operations.close().await;
                print(&found?);
                return Ok(());
            }
            Action::Pause(which) => (which, true),
            Action::Resume(which) => (which, false),
        };
        let operations: Operations = which.target.open().await?;
        let outcome = operations.pause_consumer(&which.name, pause).await;
        operations.close().await;
        let ConsumerView { name, state, .. } = outcome?;
        println!("{name}: {state}");
        Ok(())
    }
}

/// One line for each.
pub(super) fn print(consumers: &[ConsumerView]) {
    println!("{:30} {:10} {:>12} {:>12} {:>10}  reason", "consumer", "state", "position", "head", "lag");
    for ConsumerView { name, state, position, head, lag_events, failing, failure, .. } in consumers {
        let reason = failure.as_ref().filter(|_| *failing).map(|failure| &*failure.error).unwrap_or_default();
        println!("{name:30} {state:10} {position:>12} {head:>12} {lag_events:>10}  {reason}");
    }
}
