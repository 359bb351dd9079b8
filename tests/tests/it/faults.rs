//! What a running server must live through without a restart: a database that goes away and comes back, connections that break
//! or fall silent, a disk that is full. The load goes on meanwhile; in the end everything is compared.

use crate::load::{Load, readiness, ready_again, ready_no_more};
use circolo_tests::{
    postgres::{cluster_with, fresh_schema},
    proxy::Proxy,
    server::{Server, Storage, binary},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_stop_and_come_back() {
    let Some(cluster) = cluster_with(&std::env::temp_dir(), &["-c", "fsync=off"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(cluster.url.clone()) };
    let mut load = Load::new(&storage).await;
    let server = Server::start(&storage).await;
    for _ in 0..3 {
        let (mut progress, url) = (load.progress(), server.url());
        load.during(url, async {
            progress.more(20).await;
            ready_again(url).await;
            cluster.stop().await;
            let reason = readiness(url).await.unwrap_err();
            assert!(reason.starts_with("not_ready: "), "{reason}");
            assert_eq!(reqwest::get(format!("{url}/health/live")).await.unwrap().status(), 200);
            cluster.start().await;
            progress.more(20).await;
            ready_again(url).await;
        })
        .await;
    }
    load.settle(&storage, server).await;
}

/// A server whose connections to Postgres lead through a proxy, and its load.
struct Proxied {
    proxy: Proxy,
    storage: Storage,
    load: Load,
    server: Server,
    _folder: TempDir,
}

impl Proxied {
    /// `None` without Postgres.
    async fn start() -> Option<Self> {
        let proxy = Proxy::before(&fresh_schema().await?).await;
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage { folder: folder.path().join("data"), database: Some(proxy.url.clone()) };
        let load = Load::new(&storage).await;
        let server = Server::start(&storage).await;
        Some(Self { proxy, storage, load, server, _folder: folder })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_may_break_at_any_moment() {
    let Some(Proxied { proxy, storage, mut load, server, _folder }) = Proxied::start().await else { return };
    let (mut progress, url) = (load.progress(), server.url());
    load.during(url, async {
        for cut in 0..25 {
            progress.more(cut * 7 % 23).await;
            proxy.cut();
        }
        progress.more(20).await;
        ready_again(url).await;
    })
    .await;
    load.settle(&storage, server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_may_fall_silent() {
    let Some(Proxied { proxy, storage, mut load, server, _folder }) = Proxied::start().await else { return };
    let (mut progress, url) = (load.progress(), server.url());
    load.during(url, async {
        progress.more(20).await;
        proxy.silence(true);
        let reason = readiness(url).await.unwrap_err();
        assert!(reason.contains("does not answer"), "{reason}");
        // Those who kept quiet are gone for good: nothing may wait for them.
        proxy.cut();
        proxy.silence(false);
        progress.more(20).await;
        ready_again(url).await;
    })
    .await;
    load.settle(&storage, server).await;
}

/// A folder of its own file system, which is gone when this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, with a printed line, if this may not be done here.
    fn new(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        eprintln!("skipped: nothing may be mounted here; the test with a limit for files stands in");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_may_have_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::new(&folder.path().join("disk"), "40m") else { return };
    let storage = Storage { folder: mounted.0.join("data"), database: None };
    let load = Load::new(&storage).await;
    let server = Server::start(&storage).await;
    let ballast = mounted.0.join("ballast");
    let fill = || {
        // It takes what there is, and then less and less.
        let mut file = fs::File::create(&ballast).unwrap();
        while std::io::Write::write(&mut file, &[0; 512]).is_ok() {}
    };
    full(load, &storage, server, fill, || fs::remove_file(&ballast).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_may_not_grow_and_then_may() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let load = Load::new(&storage).await;
    // Who ignores the signal is told by an error.
    let script = folder.path().join("circolo");
    fs::write(&script, format!("#!/bin/sh\ntrap '' XFSZ\nexec {} \"$@\"\n", binary().display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start_with(&script, &storage).await;
    let process = server.id().to_string();
    let limit = |size: &str| {
        let set = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={size}:unlimited")]).status();
        assert!(set.unwrap().success());
    };
    full(load, &storage, server, || limit("40000"), || limit("unlimited")).await;
}

async fn full(mut load: Load, storage: &Storage, server: Server, fill: impl Fn(), free: impl Fn()) {
    for _ in 0..2 {
        let (mut progress, url) = (load.progress(), server.url());
        load.during(url, async {
            progress.more(20).await;
            ready_again(url).await;
            fill();
            let reason = ready_no_more(url).await;
            assert!(reason.starts_with("not_ready: "), "{reason}");
            free();
            progress.more(20).await;
            ready_again(url).await;
        })
        .await;
    }
    load.settle(storage, server).await;
}
