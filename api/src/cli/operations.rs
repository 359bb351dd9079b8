//! What an operator does with projections: here in this process, or over the API of a running server.

use anyhow::{Context, bail};
use circolo::{
    clock,
    config::Storage,
    open::Held,
    routes::operator::{ProjectionBuild, ProjectionList, ProjectionView, RebuildProjection, SwitchMode, VerificationView},
};
use circolo_projections::{self as projections, Mismatch, Options, Projector};
use serde::de::DeserializeOwned;

/// Where the work is done.
pub(super) enum Operations {
    /// In this process; nobody else uses the data.
    Here(Projector, Held),
    /// In a running server.
    There { client: reqwest::Client, url: String, token: String },
}

impl Operations {
    /// Opens the data; refuses if a server holds them.
    pub(super) async fn here(storage: &Storage) -> anyhow::Result<Self> {
        let ids = clock::fresh_ids();
        let opened = storage.open(ids()).await.map_err(|error| {
            let hint = if error.is_held() { "; or use --url and --token to ask the running server" } else { "" };
            anyhow::anyhow!("{error}{hint}")
        })?;
        // Who comes to mend must not be turned away by what is broken.
        let options = Options { mismatch: Mismatch::Rebuild, ..Options::new(clock::system()) };
        Ok(Self::Here(Projector::start(opened.db, opened.store, projections::all(), options).await?, opened.held))
    }

    /// Only looks, beside whoever uses the data.
    pub(super) async fn beside(storage: &Storage) -> anyhow::Result<Self> {
        let opened = storage.open_beside().await?;
        Ok(Self::Here(Projector::start(opened.db, opened.store, vec![], Options::new(clock::system())).await?, opened.held))
    }

    /// Asks the server at `url`.
    pub(super) fn there(url: &str, token: String) -> Self {
        Self::There { client: reqwest::Client::new(), url: url.trim_end_matches('/').to_owned(), token }
    }

    pub(super) async fn list(&self) -> anyhow::Result<Vec<ProjectionView>> {
        match self {
            Self::Here(projector, _) => Ok(projector.status().await?.into_iter().map(ProjectionView::from).collect()),
            Self::There { client, url, .. } => {
                Ok(self.ask::<ProjectionList>(client.get(format!("{url}/v1/operator/projections"))).await?.items)
            }
        }
    }

    /// Begins to build `names` anew.
    pub(super) async fn rebuild(&self, names: &[String], switch: SwitchMode) -> anyhow::Result<Vec<ProjectionBuild>> {
        if let Self::Here(projector, _) = self {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Ok(projector.rebuild(&names, switch.into()).await?.into_iter().map(ProjectionBuild::from).collect());
        }
        let mut begun = Vec::with_capacity(names.len());
        for name in names {
            begun.push(self.act(name, "rebuild", Some(&RebuildProjection { switch })).await?);
        }
        Ok(begun)
    }

    pub(super) async fn verify(&self, name: &str) -> anyhow::Result<VerificationView> {
        match self {
            Self::Here(projector, _) => Ok(projector.verify(name).await?.into()),
            Self::There { .. } => self.act(name, "verify", None).await,
        }
    }

    pub(super) async fn switch(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here(projector, _) => Ok(projector.switch(name).await?.into()),
            Self::There { .. } => self.act(name, "switch", None).await,
        }
    }

    pub(super) async fn roll_back(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here(projector, _) => Ok(projector.rollback(name).await?.into()),
            Self::There { .. } => self.act(name, "rollback", None).await,
        }
    }

    pub(super) async fn cancel(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here(projector, _) => Ok(projector.cancel(name).await?.into()),
            Self::There { .. } => self.act(name, "cancel", None).await,
        }
    }

    /// Ends what was opened.
    pub(super) async fn close(self) {
        if let Self::Here(projector, _held) = self {
            projector.shutdown().await;
        }
    }

    async fn act<T: DeserializeOwned>(&self, name: &str, action: &str, body: Option<&RebuildProjection>) -> anyhow::Result<T> {
        let Self::There { client, url, .. } = self else { bail!("no server to ask") };
        // Names of projections need no escaping; anything else is not one.
        anyhow::ensure!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "no projection is called {name}");
        let request = client.post(format!("{url}/v1/operator/projections/{name}/{action}"));
        self.ask(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        let Self::There { token, url, .. } = self else { bail!("no server to ask") };
        let answer = request.bearer_auth(token).send().await.with_context(|| format!("{url} does not answer"))?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            bail!("{status}: {}", problem["detail"].as_str().unwrap_or("no reason given"));
        }
        serde_json::from_slice(&body).context("the server's answer is not what was expected")
    }
}
