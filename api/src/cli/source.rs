//! Where an analyst's commands get events from: the data, or a running server. Whoever reads personal texts leaves a trace.

use anyhow::Context;
use circolo::{
    clock,
    config::Storage,
    held::{Held, account, host},
    remote::Remote,
};
use circolo_domain::{
    Timestamp,
    unmasking::{self, Reading, Unmasking, Use},
};
use circolo_events::{EventStore, Executor, Position, execute, transfer};
use clap::Args;
use std::sync::Arc;

/// Where.
#[derive(Debug, Args)]
pub(super) struct From {
    /// Ask the running server at this address instead of opening the data
    #[arg(long, env = "CIRCOLO_URL", value_name = "URL", requires = "token")]
    url: Option<String>,
    /// A token with the scope `analyst`, or `analyst:unmask`, for the server
    #[arg(long, env = "CIRCOLO_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Personal text as it is, instead of null; each use is recorded in the log
    #[arg(long)]
    pub unmask: bool,
    #[command(flatten)]
    storage: Storage,
}

/// Events, and up to where.
pub(super) struct Source {
    /// The log: all personal texts are in it, unless it is a server's that masks them.
    pub store: Arc<dyn EventStore>,
    /// The end of what is asked for.
    pub end: Position,
    /// What keeps others from writing to it, where this is to be released.
    pub held: Held,
}

impl From {
    /// The whole log, only to find out how far something goes: masked, whatever is asked for.
    pub(super) async fn look(&self) -> anyhow::Result<Arc<dyn EventStore>> {
        if let (Some(url), Some(token)) = (&self.url, &self.token) {
            return Ok(Arc::new(Remote::connect(url, token, &transfer::Filter::default(), false).await?));
        }
        self.storage.open_log_beside().await.context("the log cannot be read")
    }

    /// Opens the log for what `filter` wants. `asked` says in the log what was read unmasked.
    pub(super) async fn open(&self, filter: &transfer::Filter, reading: Reading, asked: &str) -> anyhow::Result<Source> {
        if let (Some(url), Some(token)) = (&self.url, &self.token) {
            let store: Arc<dyn EventStore> = Arc::new(Remote::connect(url, token, filter, self.unmask).await?);
            let end = transfer::end(&*store, filter).await?;
            return Ok(Source { store, end, held: Held::default() });
        }
        if !self.unmask {
            let store = self.storage.open_log_beside().await.context("the log cannot be read")?;
            let end = transfer::end(&*store, filter).await?;
            return Ok(Source { store, end, held: Held::default() });
        }
        let (store, held) = self.storage.open_log(&clock::fresh_ids()).await.map_err(|error| {
            let hint = if error.is_held() { "; reading unmasked is recorded there, so ask it with --url and --token" } else { "" };
            anyhow::anyhow!("{error}{hint}")
        })?;
        let end = transfer::end(&*store, filter).await?;
        record(&store, reading, asked).await?;
        Ok(Source { store, end, held })
    }
}

/// Records that whoever runs this reads personal texts.
async fn record(store: &Arc<dyn EventStore>, reading: Reading, asked: &str) -> anyhow::Result<()> {
    let using = Use { reading, asked: asked.to_owned(), who: account(), place: host() };
    let id = clock::fresh_ids()();
    let executor = Executor::new(store.clone(), clock::system(), execute::Options::default());
    let command = unmasking::Command::RecordUnmasking(using);
    executor.execute::<Unmasking>(&unmasking::stream(id), command, &execute::Request::new(None, id)).await?;
    Ok(())
}

/// A time on the command line.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time such as 2026-01-31T12:00:00Z is expected".to_owned())
}
