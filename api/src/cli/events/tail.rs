//! `circolo events tail`: the log as it grows, masked, read beside a running server.

use circolo::config::Storage;
use circolo_events::{Position, Stored, transfer::Line};
use clap::Args;
use std::io::{self, Write};
use std::time::Duration;

/// Events read at once.
const PAGE: usize = 1_000;
/// How long one wait for news lasts at most.
const WAIT: Duration = Duration::from_secs(5);

/// What `circolo events tail` takes.
#[derive(Debug, Args)]
pub(super) struct Tail {
    /// Begin after this position [default: the newest events alone]
    #[arg(long, value_name = "POSITION")]
    after: Option<i64>,
    /// Only events whose type begins so: `question.posted`, `question.`
    #[arg(long = "type", value_name = "PREFIX", default_value = "")]
    event_type: String,
    /// Only events of streams whose name begins so: `question-`
    #[arg(long, value_name = "PREFIX", default_value = "")]
    stream: String,
    /// Stop at the end of the log instead of waiting for more
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    storage: Storage,
}

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let store = self.storage.open_log_beside().await?;
        let mut after = match self.after {
            Some(position) => Position(position),
            None => store.head().await?,
        };
        loop {
            let page = store.read_all(after, PAGE).await?;
            if !self.print(page.events)? {
                return Ok(());
            }
            if page.scanned > after {
                after = page.scanned;
            } else if self.no_follow {
                return Ok(());
            } else {
                store.changed(after, WAIT).await?;
            }
        }
    }

    /// Prints what is wanted; `false` if nobody reads any longer.
    fn print(&self, events: Vec<Stored>) -> anyhow::Result<bool> {
        let mut out = io::stdout().lock();
        let wanted =
            |stored: &Stored| stored.event.event_type.starts_with(&self.event_type) && stored.stream.as_str().starts_with(&self.stream);
        for stored in events.into_iter().filter(wanted) {
            let line = serde_json::to_string(&Line::masked(stored))?;
            match writeln!(out, "{line}").and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                outcome => outcome?,
            }
        }
        Ok(true)
    }
}
