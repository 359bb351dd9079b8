//! `circolo serve`: the server, from its first start to its orderly end.

use anyhow::Context;
use circolo::{
    auth::Auth,
    clock,
    config::{Http, Serve},
    held::Held,
    jwks::Foreign,
    keys::Keys,
    open::Place,
    running::Start,
    sealed, server, telemetry,
};
use circolo_events::{People, media::Files, sealing::Random};
use circolo_projections::{Checkpoints, Node};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, signal, sync::watch};

pub(super) async fn run(config: Serve) -> anyhow::Result<()> {
    let _telemetry = telemetry::start(&config.telemetry)?;
    let metrics = telemetry::metrics()?;
    let (clock, ids) = (clock::system(), clock::fresh_ids());
    let first_start = !config.storage.folder.data.exists();
    let opened = config.storage.open(&ids).await?;
    let keys = Keys::open(&config.storage.folder.data)?;
    config.storage.warn_of_wide_rights();
    let foreign = config.foreign.issuer().map(Foreign::new).transpose()?;
    // Before anything is folded, so that a wrong address is told at once.
    let (listener, metrics_listener) = listeners(&config.http).await?;
    let files = files(&config)?;
    let checkpoints = Arc::new(Checkpoints::open(opened.db.clone(), opened.store.log_id()).await?);
    let people = People::begin(&*opened.store, &Random::system(), ids(), clock()).await?;
    let auth = Auth::new(keys, foreign, people, clock.clone());
    let http = config.http.clone();
    let url = http.advertise.clone().map_or_else(|| listener.local_addr().map(|address| format!("http://{address}")), Ok)?;
    let url = url.trim_end_matches('/').to_owned();
    // Alone it is a node all the same: should the database lose its last transactions in a crash, it begins to lead anew from what it holds.
    let node = config.storage.has_leases()?.then(|| Node { id: ids().to_string(), url });
    // In KurrentDB nothing but good will keeps a second writer out.
    let shared_log = config.storage.is_shared()? || matches!(config.storage.log_place()?, Place::Kurrent(_));
    let running = Start {
        store: opened.store,
        db: opened.db,
        checkpoints,
        files: Arc::clone(&files),
        node,
        shared_log,
        auth,
        http,
        clock,
        ids,
        wakes: true,
    }
    .run()
    .await?;
    let told = told()?;
    let counting = running.app().store().sealing().map(|log| {
        let (kept, keys) = (Arc::clone(log.kept()), Arc::clone(log.keys().store()));
        tokio::spawn(async move { sealed::tell_tally(&*kept, &*keys).await })
    });
    welcome(&config, &files, &listener, metrics_listener.as_ref(), first_start)?;

    let upkeep = tokio::spawn(upkeep(|| metrics.run_upkeep()));
    let stop = watch::Sender::new(false);
    let stopped = stop.subscribe();
    let held = opened.held;
    let waiting = async {
        until_told(told, &held).await;
        stop.send_replace(true);
    };
    tokio::join!(server::serve(running.app(), listener, metrics_listener, stopped), waiting);
    upkeep.abort();
    if let Some(counting) = counting {
        counting.abort();
    }
    running.shutdown().await;
    tracing::info!("stopped");
    held.release().await;
    Ok(())
}

/// Samples of histograms are kept until somebody asks for them or this runs.
async fn upkeep(run: impl Fn()) {
    let mut pause = tokio::time::interval(Duration::from_secs(5));
    loop {
        pause.tick().await;
        run();
    }
}

/// Where requests come in, and where those for what is measured do.
async fn listeners(http: &Http) -> anyhow::Result<(TcpListener, Option<TcpListener>)> {
    let listener = TcpListener::bind(http.listen).await.with_context(|| format!("cannot listen on {}", http.listen))?;
    let Some(address) = http.metrics_listen else { return Ok((listener, None)) };
    let metrics = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    Ok((listener, Some(metrics)))
}

/// Where uploaded files are.
fn files(config: &Serve) -> anyhow::Result<Arc<Files>> {
    if config.storage.is_shared()? && config.media.media.is_none() {
        tracing::warn!("uploaded files are in the data folder: unless all nodes share it, name a place that they share with --media");
    }
    Ok(Arc::new(config.media.open(&config.storage.folder)?))
}

/// Returns when the server is to stop.
async fn until_told(told: impl Future<Output = &'static str>, held: &Held) {
    tokio::select! {
        reason = told => tracing::info!("{reason}: stopping"),
        () = held.lost() => tracing::error!("the claim on the database is lost, another server may have taken over: stopping"),
    }
}

/// Why the server is to stop, once it is. What is told from now on is heard.
#[cfg(unix)]
fn told() -> std::io::Result<impl Future<Output = &'static str>> {
    use signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "told to terminate",
            _ = interrupt.recv() => "interrupted",
        }
    })
}

#[cfg(not(unix))]
fn told() -> std::io::Result<impl Future<Output = &'static str>> {
    Ok(async {
        match signal::ctrl_c().await {
            Ok(()) => "interrupted",
            // Nothing can be waited for; stopping at once would be worse.
            Err(_) => std::future::pending().await,
        }
    })
}

/// What one needs to know to go on.
fn welcome(config: &Serve, files: &Files, listener: &TcpListener, metrics: Option<&TcpListener>, first_start: bool) -> anyhow::Result<()> {
    let url = format!("http://{}", listener.local_addr()?);
    let data = &config.storage.folder.data;
    eprintln!("Circolo {} serves {url}", env!("CARGO_PKG_VERSION"));
    eprintln!("  log          {}", config.storage.log_place()?);
    eprintln!("  read models  {}", config.storage.views_place()?);
    eprintln!("  media        {}", files.place());
    eprintln!("  description  {url}/openapi.json, to browse: {url}/docs");
    eprintln!("  console      {url}/console, for operators");
    if let Some(metrics) = metrics {
        eprintln!("  metrics      http://{}/metrics", metrics.local_addr()?);
    }
    let folder = if data.as_os_str() == "data" { String::new() } else { format!(" --data {}", data.display()) };
    eprintln!("  get a token  circolo token --sub ann{folder}");
    if first_start {
        eprintln!("First start: {} was made, with the keys that sign tokens.", data.canonicalize()?.display());
    }
    Ok(())
}
