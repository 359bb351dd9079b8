//! Keys that a running server looks after, asked over its API.

use crate::cli::progress;
use anyhow::Context;
use circolo::{
    remote::answered,
    routes::operator::keys::{KeysRewrapped, KeysRotated, KeysView, RotateKeys},
};
use circolo_events::sealing::Owner;
use clap::Args;
use serde::{Serialize, de::DeserializeOwned};

/// Which server.
#[derive(Debug, Args)]
pub(super) struct There {
    /// Ask the running server at this address instead of opening the key store
    #[arg(long, env = "CIRCOLO_URL", value_name = "URL", requires = "token")]
    url: Option<String>,
    /// A token with the scope `operator`, for the server
    #[arg(long, env = "CIRCOLO_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// A server that is asked.
pub(super) struct Asked {
    client: reqwest::Client,
    address: String,
    token: String,
}

impl There {
    /// The server, if one is named.
    pub(super) fn asked(&self) -> Option<Asked> {
        let address = format!("{}/v1/operator/keys", self.url.as_deref()?.trim_end_matches('/'));
        Some(Asked { client: reqwest::Client::new(), address, token: self.token.clone()? })
    }
}

impl Asked {
    pub(super) async fn status(&self) -> anyhow::Result<KeysView> {
        self.answer(self.client.get(&self.address)).await
    }

    pub(super) async fn rotate(&self, owner: Option<Owner>) -> anyhow::Result<()> {
        if let Some(owner) = owner {
            let rotated: KeysRotated = self.post("rotate", &RotateKeys { owner: Some(owner.clone()), before: None }).await?;
            println!("{owner} is at version {}", rotated.version.context("the server's answer is not what was expected")?);
            return Ok(());
        }
        let bar = progress::counted(0, "{spinner} {pos} keys, {per_sec}");
        let (mut before, mut all) = (None, 0);
        loop {
            let rotated: KeysRotated = self.post("rotate", &RotateKeys { owner: None, before }).await?;
            all += rotated.rotated;
            bar.set_position(all);
            if !rotated.more {
                break;
            }
            before = Some(rotated.before);
        }
        bar.finish_and_clear();
        println!("{all} owners have a new version");
        Ok(())
    }

    pub(super) async fn rewrap(&self) -> anyhow::Result<()> {
        let bar = progress::counted(0, "{wide_bar} {percent:>3} % {per_sec} keys, {eta} left");
        let mut all = 0;
        let generation = loop {
            let rewrapped: KeysRewrapped = self.post("rewrap", &()).await?;
            all += rewrapped.keys;
            bar.set_length(all + rewrapped.left);
            bar.set_position(all);
            if rewrapped.left == 0 {
                break rewrapped.generation;
            }
        };
        bar.finish_and_clear();
        println!("{all} keys wrapped anew: all are under generation {generation} of the installation key");
        Ok(())
    }

    async fn post<T: DeserializeOwned>(&self, action: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let request = self.client.post(format!("{}/{action}", self.address));
        match serde_json::to_value(body)? {
            serde_json::Value::Null => self.answer(request).await,
            body => self.answer(request.json(&body)).await,
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        let answer = request.bearer_auth(&self.token).send().await.with_context(|| format!("{} does not answer", self.address))?;
        answered(answer).await
    }
}
