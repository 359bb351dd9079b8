//! What an operator does with projections: here in this process, or over the API of a running server.

use anyhow::{Context, bail};
use circolo::{
    clock,
    config::Storage,
    held::Held,
    open::Opened,
    remote::answered,
    routes::operator::{
        DropBuilds, ProjectionBuild, ProjectionBuilds, ProjectionList, ProjectionView, RebuildProjections,
        consumers::{ConsumerList, ConsumerView},
        parked::{ParkedList, ParkedView, SkipEvent, SkippedView, skipping, skipping_event},
        verification::{VerificationView, VerifyProjection},
    },
};
use circolo_domain::{Reason, StreamName, skip};
use circolo_events::{EventStore, Executor, Position, Request, consumers::CheckpointStore, reactions};
use circolo_projections::{self as projections, BuildId, Checkpoints, Db, Mismatch, NewFile, Node, Options, Projection, Projector, State};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::Path, sync::Arc, time::Duration};

/// How often a server is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a server that was killed may still count as one that moves the read models, and a bit.
const TAKEOVER: Duration = Duration::from_secs(6);

/// Where the work is done.
pub(super) enum Operations {
    /// In this process; nobody else uses the data.
    Here { projector: Projector, store: Arc<dyn EventStore>, db: Db, held: Held },
    /// In a running server.
    There { client: reqwest::Client, url: String, token: String },
}

/// Read models on their way into a new file.
pub(super) struct Renewing {
    pub operations: Operations,
    pub file: NewFile,
}

impl Operations {
    /// Opens the data; refuses if a server holds them.
    pub(super) async fn here(storage: &Storage) -> anyhow::Result<Self> {
        let ids = clock::fresh_ids();
        let opened = storage.open(&ids).await.map_err(|error| {
            let hint = if error.is_held() { "; or use --url and --token to ask the running server" } else { "" };
            anyhow::anyhow!("{error}{hint}")
        })?;
        // Who comes to mend must not be turned away by what is broken.
        let node = storage.has_leases()?.then(|| Node { id: ids().to_string(), url: String::new() });
        let options = Options { serving: false, mismatch: Mismatch::Rebuild, node, ..Options::new(clock::system()) };
        let here = Self::start(opened, projections::all(), options).await?;
        if let Self::Here { projector, .. } = &here
            && projector.lead(TAKEOVER).await.is_err()
        {
            here.close().await;
            bail!("a circolo server moves these read models: use --url and --token to ask it, or stop it first");
        }
        Ok(here)
    }

    /// Opens the log, and a new file of read models beside the one at `place`.
    pub(super) async fn in_new_file(storage: &Storage, place: &Path) -> anyhow::Result<Renewing> {
        // Nobody else may be at it.
        let (_, held) = storage.open_log(&clock::fresh_ids()).await?;
        held.release().await;
        let file = NewFile::beside(place)?;
        let path = file.path().to_str().context("the name of the folder is no text")?;
        let storage = Storage { views: Some(format!("sqlite:{path}")), ..storage.clone() };
        Ok(Renewing { operations: Self::here(&storage).await?, file })
    }

    /// Only looks, beside whoever uses the data.
    pub(super) async fn beside(storage: &Storage) -> anyhow::Result<Self> {
        let opened = storage.open_beside().await?;
        Self::start(opened, vec![], Options::new(clock::system())).await
    }

    async fn start(Opened { store, db, held }: Opened, projections: Vec<Projection>, options: Options) -> anyhow::Result<Self> {
        let projector = Projector::start(db.clone(), store.clone(), projections, options).await?;
        Ok(Self::Here { projector, store, db, held })
    }

    /// Asks the server at `url`.
    pub(super) fn there(url: &str, token: String) -> Self {
        Self::There { client: reqwest::Client::new(), url: url.trim_end_matches('/').to_owned(), token }
    }

    /// Whether the work is done in this process, and ends with it.
    pub(super) const fn is_here(&self) -> bool {
        matches!(self, Self::Here { .. })
    }

    pub(super) async fn list(&self) -> anyhow::Result<Vec<ProjectionView>> {
        match self {
            Self::Here { projector, .. } => Ok(projector.status().await?.into_iter().map(ProjectionView::from).collect()),
            Self::There { client, url, .. } => {
                Ok(self.ask::<ProjectionList>(client.get(format!("{url}/v1/operator/projections"))).await?.items)
            }
        }
    }

    /// How consumers of the log stand.
    pub(super) async fn consumers(&self) -> anyhow::Result<Vec<ConsumerView>> {
        match self {
            Self::Here { store, db, .. } => {
                let checkpoints = Checkpoints::of(db.clone(), store.log_id());
                let found = ConsumerView::all(&**store, &checkpoints, &reactions::all(), clock::system()()).await;
                found.map_err(|error| anyhow::anyhow!(error))
            }
            Self::There { client, url, .. } => {
                Ok(self.ask::<ConsumerList>(client.get(format!("{url}/v1/operator/consumers"))).await?.items)
            }
        }
    }

    /// Lets a consumer rest, or go on.
    pub(super) async fn pause_consumer(&self, name: &str, pause: bool) -> anyhow::Result<ConsumerView> {
        match self {
            Self::Here { store, db, .. } => {
                let checkpoints = Checkpoints::of(db.clone(), store.log_id());
                let known = || async { self.consumers().await.map(|all| all.into_iter().find(|one| one.name == name)) };
                let nobody = || anyhow::anyhow!("no consumer is called {name}");
                known().await?.ok_or_else(nobody)?;
                let outcome = if pause { checkpoints.pause(name, clock::system()()).await } else { checkpoints.resume(name).await };
                outcome.map_err(|error| anyhow::anyhow!(error))?;
                known().await?.ok_or_else(nobody)
            }
            Self::There { client, url, .. } => {
                let action = if pause { "pause" } else { "resume" };
                self.ask(client.post(format!("{url}/v1/operator/consumers/{}/{action}", plain(name)?))).await
            }
        }
    }

    /// Begins to build `names` anew.
    pub(super) async fn rebuild(&self, what: RebuildProjections) -> anyhow::Result<Vec<ProjectionBuild>> {
        match self {
            Self::Here { projector, .. } => Ok(ProjectionBuilds::from(rebuild_here(projector, what).await?).items),
            Self::There { client, url, .. } => {
                let request = client.post(format!("{url}/v1/operator/projections/rebuild")).json(&what);
                Ok(self.ask::<ProjectionBuilds>(request).await?.items)
            }
        }
    }

    pub(super) async fn pause(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here { projector, .. } => Ok(projector.pause(name).await?.into()),
            Self::There { .. } => self.act(name, "pause", ()).await,
        }
    }

    pub(super) async fn resume(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here { projector, .. } => Ok(projector.resume(name).await?.into()),
            Self::There { .. } => self.act(name, "resume", ()).await,
        }
    }

    /// Drops builds with their tables.
    pub(super) async fn drop_builds(&self, name: &str, which: DropBuilds) -> anyhow::Result<Vec<ProjectionBuild>> {
        match self {
            Self::Here { projector, .. } => Ok(ProjectionBuilds::from(projector.drop_builds(name, which.into()).await?).items),
            Self::There { .. } => Ok(self.act::<ProjectionBuilds>(name, "drop", which).await?.items),
        }
    }

    /// Folds once more and compares, to the end.
    pub(super) async fn verify(&self, name: &str, what: VerifyProjection) -> anyhow::Result<VerificationView> {
        match self {
            Self::Here { projector, .. } => {
                // An error is part of the report.
                let _ = projector.begin_verification(name, what.sampling(clock::system()())).await?.await;
                let report = projector.verification(name)?.context("the verification left no report")?;
                Ok(VerificationView::new(report, &[]))
            }
            Self::There { client, url, .. } => {
                let mut view: VerificationView = self.act(name, "verify", what).await?;
                while view.state == "running" {
                    tokio::time::sleep(PAUSE).await;
                    view = self.ask(client.get(format!("{url}/v1/operator/projections/{name}/verification"))).await?;
                }
                Ok(view)
            }
        }
    }

    pub(super) async fn switch(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here { projector, .. } => Ok(projector.switch(name).await?.into()),
            Self::There { .. } => self.act(name, "switch", ()).await,
        }
    }

    pub(super) async fn roll_back(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here { projector, .. } => Ok(projector.rollback(name).await?.into()),
            Self::There { .. } => self.act(name, "rollback", ()).await,
        }
    }

    pub(super) async fn cancel(&self, name: &str) -> anyhow::Result<ProjectionBuild> {
        match self {
            Self::Here { projector, .. } => Ok(projector.cancel(name).await?.into()),
            Self::There { .. } => self.act(name, "cancel", ()).await,
        }
    }

    /// The streams that a projection leaves out.
    pub(super) async fn parked(&self, name: &str) -> anyhow::Result<Vec<ParkedView>> {
        match self {
            Self::Here { projector, .. } => Ok(projector.parked(name).await?.into_iter().map(ParkedView::from).collect()),
            Self::There { client, url, .. } => {
                let request = client.get(format!("{url}/v1/operator/projections/{}/parked", plain(name)?));
                Ok(self.ask::<ParkedList>(request).await?.items)
            }
        }
    }

    /// Passes over the event that keeps `stream` parked.
    pub(super) async fn skip(&self, name: &str, stream: &str, reason: Reason) -> anyhow::Result<SkippedView> {
        match self {
            Self::Here { projector, store, .. } => {
                let nothing = || anyhow::anyhow!("{name} has no parked stream {stream}");
                pass_over(store, skipping(projector.parked(name).await?, stream, reason).ok_or_else(nothing)?).await
            }
            Self::There { .. } => self.act(name, &format!("parked/{}/skip", plain(stream)?), SkipEvent { reason }).await,
        }
    }

    /// Passes over the event at `position`, which cannot be read, whatever stream it is in.
    pub(super) async fn skip_at(&self, position: i64, reason: Reason) -> anyhow::Result<SkippedView> {
        match self {
            Self::Here { store, .. } => {
                let stored = store.at(Position(position)).await?.with_context(|| format!("no event stands at {position}"))?;
                anyhow::ensure!(stored.decode().is_err(), "the event at {position} can be read");
                pass_over(store, skipping_event(stored, reason)).await
            }
            Self::There { client, url, .. } => {
                self.ask(client.post(format!("{url}/v1/operator/events/{position}/skip")).json(&SkipEvent { reason })).await
            }
        }
    }

    /// Ends what was opened.
    pub(super) async fn close(self) {
        if let Self::Here { projector, held, .. } = self {
            projector.shutdown().await;
            held.release().await;
        }
    }

    /// Asks for something to be done with a projection; `()` is no body.
    async fn act<T: DeserializeOwned>(&self, name: &str, action: &str, body: impl Serialize) -> anyhow::Result<T> {
        let Self::There { client, url, .. } = self else { bail!("no server to ask") };
        let request = client.post(format!("{url}/v1/operator/projections/{}/{action}", plain(name)?));
        match serde_json::to_value(body)? {
            serde_json::Value::Null => self.ask(request).await,
            body => self.ask(request.json(&body)).await,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        let Self::There { token, url, .. } = self else { bail!("no server to ask") };
        let answer = request.bearer_auth(token).send().await.with_context(|| format!("{url} does not answer"))?;
        answered(answer).await
    }
}

/// Executes the decision to pass over an event.
async fn pass_over(store: &Arc<dyn EventStore>, (decision, command): (StreamName, skip::Command)) -> anyhow::Result<SkippedView> {
    let skip::Command::SkipEvent { event, stream, .. } = &command;
    let (event, stream) = (*event, stream.to_string());
    let executor = Executor::new(store.clone(), clock::system(), circolo_events::Options::default());
    let done = executor.execute::<skip::Skip>(&decision, command, &Request::new(None, clock::fresh_ids()())).await?;
    Ok(SkippedView { event, stream, position: done.position.0 })
}

/// Names of projections, consumers and streams need no escaping in a path; anything else is not one.
fn plain(name: &str) -> anyhow::Result<&str> {
    let is_plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
    anyhow::ensure!(is_plain, "nothing is called {name:?}");
    Ok(name)
}

/// Begins to build anew what is not being built already: the start itself begins where the log does not hold what was folded.
async fn rebuild_here(projector: &Projector, what: RebuildProjections) -> anyhow::Result<Vec<BuildId>> {
    let all = || projections::all().into_iter().map(|projection| projection.name.to_owned()).collect();
    let mut names: Vec<String> = if what.names.is_empty() { all() } else { what.names };
    let builds = projector.status().await?.into_iter();
    let building = builds.filter(|build| build.state == State::Building && names.contains(&build.name));
    let mut begun: Vec<BuildId> = building.map(|build| BuildId { name: build.name, build: build.build }).collect();
    names.retain(|name| begun.iter().all(|build| build.name != *name));
    if !names.is_empty() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        begun.extend(projector.rebuild_within(&names, what.switch.into(), what.limits.into()).await?);
    }
    Ok(begun)
}
