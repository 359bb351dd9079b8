//! On what it runs: figures mean nothing without it.

use crate::Result;
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};
use tokio::time::Instant;

/// Names and values, in the order in which they are printed.
pub type Facts = Vec<(String, String)>;

/// The machine, and how long it takes to make 4 KiB durable in `dir`.
pub fn facts(dir: &Path) -> Result<Facts> {
    let cores = std::thread::available_parallelism()?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let facts = [
        ("processor", format!("{cores} cores, {model}")),
        ("memory", memory),
        ("kernel", kernel.trim().to_owned()),
        ("load before", load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")),
        ("folder", format!("{} ({})", dir.display(), filesystem(dir))),
        ("fsync", format!("{:.0} us (median of an appended 4 KiB there)", fsync(dir)? * 1e6)),
        ("circolo", format!("{}, {}", env!("CARGO_PKG_VERSION"), if cfg!(debug_assertions) { "NOT OPTIMISED" } else { "optimised" })),
    ];
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// The type of the file system that `dir` is on: the mount with the longest path that leads to it.
fn filesystem(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (mount, kind) = (fields.next()?, fields.next()?);
        dir.starts_with(mount).then(|| (mount.len(), kind.to_owned()))
    });
    // Of two mounts on one place the later one counts, and `max_by_key` gives the last.
    mounts.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

/// The median time in seconds to append 4 KiB to a file in `dir` and have it on the disk.
fn fsync(dir: &Path) -> Result<f64> {
    let dir = tempfile::tempdir_in(dir)?;
    let mut file = File::create(dir.path().join("fsync"))?;
    let mut times = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_all()?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(crate::report::median(times))
}
