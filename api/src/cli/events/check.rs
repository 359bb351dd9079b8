//! `circolo events check`: the log looked at whole, beside whoever writes to it.

use crate::cli::{Ended, progress};
use circolo::{clock, config::Storage};
use circolo_events::check::{self, Found};
use clap::Args;

/// What `circolo events check` takes.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    storage: Storage,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let unread = |error: anyhow::Error| error.context(Ended { code: 2, what: "the log could not be checked".to_owned() });
        let found = self.check().await.map_err(unread)?;
        tell(&found);
        if found.is_whole() {
            println!("the log is whole");
            return Ok(());
        }
        let what = "the log is not what was written: docs/faults.md says how to go on; do not rebuild read models before that".to_owned();
        Err(Ended { code: 1, what }.into())
    }

    async fn check(&self) -> anyhow::Result<Found> {
        let store = self.storage.open_log_beside().await?;
        let bar = progress::counted(store.head().await?.0.unsigned_abs(), "{wide_bar} {percent:>3} % position {pos}, {eta} left");
        let found = check::check(&*store, clock::system()(), |position| bar.set_position(position.0.unsigned_abs())).await;
        bar.finish_and_clear();
        Ok(found?)
    }
}

fn tell(found: &Found) {
    println!("{} events in {} streams were read", found.events, found.streams);
    let counts = [
        (found.lost, "positions cannot be read: what stood there is lost here"),
        (found.undecoded, "events cannot be decoded"),
        (found.unknown, "of them are of a type that a newer program may know"),
        (found.skipped, "events cannot be decoded and are passed over, as somebody decided"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        println!("{count} {what}");
    }
    if let Some(left_out) = &found.examination.left_out {
        println!("not looked at: {left_out}");
    }
    for line in &found.examination.faults {
        println!("  the database says: {line}");
    }
    for fault in &found.faults {
        println!("  {fault}");
    }
    if found.count > found.faults.len() as u64 {
        println!("  and {} more", found.count - found.faults.len() as u64);
    }
}
