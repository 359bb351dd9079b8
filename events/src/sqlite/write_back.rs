//! Copies a write-ahead log back into its file beside the writer, so that no commit has to wait for it.
//!
//! SQLite does this within the commit that makes the write-ahead log long enough: some ten thousand pages and two fsyncs, for which
//! whoever commits next waits. Here a thread with a connection of its own does it, in SQLite's mode PASSIVE, which waits for
//! nobody and stops nobody. It can come to the end only in a pause between two commits; where there is none, the writer does the rest
//! when the write-ahead log is [`LONGEST`] pages long, which is what was written since the thread was last there.

use super::connect;
use crate::threads::give_way;
use rusqlite::{Connection, OpenFlags, hooks::Wal};
use std::{
    cell::Cell,
    ffi::c_int,
    io,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// So many pages of 4 KiB behind its file, a write-ahead log is copied.
const WORTHWHILE: i32 = 2_048;
/// So often it is tried to catch up with the writer.
const AGAIN: usize = 8;
/// So long a write-ahead log is copied by the writer.
const LONGEST: i32 = 32_768;

/// For `PRAGMA journal_size_limit`: bytes above which the file of a write-ahead log is cut when it begins from the front. That is twice
/// what it comes to while all is well, for whoever cuts it waits until the disk has discarded what was cut: for 64 MiB, 20 to 40 ms
/// were measured.
pub const LEFTOVER: i64 = 2 * LONGEST as i64 * 4_096;

thread_local! {
    /// Pages in the write-ahead log after the last commit of this thread.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// Copies beside one writer; the thread ends when this is dropped.
#[derive(Debug)]
pub struct WriteBack {
    /// `None` only while it is dropped.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Pages in the write-ahead log when the thread was last woken.
    woken_at: i32,
}

impl WriteBack {
    /// Begins for the database at `path`, whose one writer is `writer`: its commits do not copy from now on.
    pub fn start(writer: &Connection, path: &Path) -> io::Result<Self> {
        let copier = connect(path, OpenFlags::default()).map_err(io::Error::other)?;
        copier.busy_timeout(Duration::ZERO).map_err(io::Error::other)?;
        // Only who has read from the database knows that it has a write-ahead log.
        copier.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(io::Error::other)?;
        // One more to do is enough to remember: a run copies all there is.
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new().name("write-back".to_owned()).spawn(move || run(&copier, &woken))?;
        writer.wal_hook(Some(note));
        Ok(Self { wake: Some(wake), thread: Some(thread), woken_at: 0 })
    }

    /// To be called after each commit of `writer`, on the thread that made it.
    pub fn committed(&mut self, writer: &Connection) {
        let pages = PAGES.get();
        if pages < self.woken_at {
            // The writer has begun from the front.
            self.woken_at = 0;
        }
        if pages - self.woken_at >= WORTHWHILE {
            self.woken_at = pages;
            if let Some(wake) = &self.wake {
                // Full: it is about to run anyway.
                let _ = wake.try_send(());
            }
        }
        if pages >= LONGEST {
            copy(writer);
        }
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the hook's signature")]
fn note(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(pages);
    Ok(())
}

fn run(copier: &Connection, woken: &Receiver<()>) {
    // Nobody waits for it; should it come to nothing for long, the writer copies.
    give_way();
    while woken.recv().is_ok() {
        let mut before = 0;
        // What was written meanwhile is little, and copied in no time: only when nothing is left can the writer begin from the front.
        for _ in 0..AGAIN {
            let pages = copy(copier);
            if pages.is_none_or(|pages| pages == before) {
                break;
            }
            before = pages.unwrap_or_default();
        }
    }
}

/// Copies what can be copied now: so many pages of the write-ahead log.
fn copy(connection: &Connection) -> Option<i64> {
    let copied = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)").and_then(|mut copy| copy.query_row([], |row| row.get(2)));
    copied.inspect_err(|error| tracing::warn!(%error, "the write-ahead log cannot be copied into its file now")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_ahead_log_stays_short_while_somebody_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.sqlite");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (x BLOB)").unwrap();
        let mut write_back = WriteBack::start(&writer, &path).unwrap();
        let mut longest = 0;
        for _ in 0..4_000 {
            writer.execute("INSERT INTO t VALUES (zeroblob(65536))", []).unwrap();
            write_back.committed(&writer);
            longest = longest.max(PAGES.get());
        }
        assert!((WORTHWHILE..3 * LONGEST).contains(&longest), "{longest} pages");
        drop(write_back);
        let rows: i64 = writer.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 4_000);
    }

    #[test]
    fn a_pause_is_enough_to_begin_from_the_front() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.sqlite");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (x BLOB)").unwrap();
        let mut write_back = WriteBack::start(&writer, &path).unwrap();
        while PAGES.get() < WORTHWHILE {
            writer.execute("INSERT INTO t VALUES (zeroblob(65536))", []).unwrap();
            write_back.committed(&writer);
        }
        for tries in 0.. {
            if PAGES.get() < WORTHWHILE {
                return;
            }
            assert!(tries < 1_000, "never copied");
            thread::sleep(Duration::from_millis(20));
            writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
            write_back.committed(&writer);
        }
    }
}
