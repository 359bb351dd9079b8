//! A double of KurrentDB: its gRPC protocol, as far as our adapter speaks it, on a real socket, with faults on demand.
//!
//! It keeps the server's rules for appends (exact revisions, durable idempotency by event ids, limits of size), for reads and
//! subscriptions (positions with gaps, only positions of records, the server's own records in between, filters), for batches and for
//! deletions. Beside each rule (`log`) stands the file of the server's public source that says so, read in six versions; it was
//! never compared with a running server. It leaves out `$maxCount` and `$maxAge`, links, persistent subscriptions, appends to several
//! streams at once, users and TLS, for our adapter uses none of them or leaves them to the client. The official client for Python
//! drives it too (`.ci/double`). The tests of `kurrent` in `tests/it` name each rule, and with `TEST_KURRENTDB_URL` the
//! conformance cases run against a server: a difference is an error of this double.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "helpers for tests fail the test")]

mod log;
pub mod messages;
mod service;

use log::Log;
use service::{Connection, Node};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Something that goes wrong once.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Refused as by a server that is not ready: nothing is done.
    Unavailable,
    /// The server gives up waiting for itself, before or after the append is in the log.
    Aborted(Moment),
    /// The connection breaks.
    Disconnect(Moment),
    /// No answer ever comes.
    Silence(Moment),
    /// The deadline that the caller gave has passed.
    DeadlineExceeded(Moment),
    /// Another node leads.
    NotLeader(SocketAddr),
    /// All goes well, later.
    Delay(Duration),
}

/// When an append goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything is written.
    Before,
    /// When all is written.
    After,
}

/// How the double behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it says it is. Before 25.1 an append takes 1 MiB.
    pub version: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: "26.0.3" }
    }
}

/// What the connections share.
struct Shared {
    version: &'static str,
    log: Mutex<Log>,
    appends: Mutex<VecDeque<Fault>>,
    reads: Mutex<VecDeque<Fault>>,
    /// While set, appends wait.
    frozen: watch::Sender<bool>,
    /// The cluster's leader, if this node is not alone.
    leader: Mutex<Option<SocketAddr>>,
    counts: Mutex<Counts>,
}

/// What was asked for so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub connections: usize,
    /// Appends.
    pub appends: usize,
    /// Reads.
    pub reads: usize,
    /// Reads that ended with Unknown: each makes the client look for its node anew.
    pub unknown: usize,
    /// Questions for the members of the cluster.
    pub gossip: usize,
}

/// A server that lives as long as this value.
pub struct Double {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<JoinHandle<()>>,
}

impl Double {
    /// A server that was just installed.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Likewise, with options.
    pub async fn start_with(options: Options) -> Self {
        let mut numbers = options.version.split('.').map(|part| part.parse().unwrap());
        let version = (numbers.next().unwrap(), numbers.next().unwrap());
        let shared = Arc::new(Shared {
            version: options.version,
            log: Mutex::new(Log::new(version)),
            appends: Mutex::default(),
            reads: Mutex::default(),
            frozen: watch::Sender::new(false),
            leader: Mutex::default(),
            counts: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Some(tokio::spawn(serve(listener, Node { shared: Arc::clone(&shared), address })));
        Self { address, shared, running }
    }

    /// Another node of the same cluster, which shares its log.
    pub async fn node(&self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Some(tokio::spawn(serve(listener, Node { shared: Arc::clone(&self.shared), address })));
        Self { address, shared: Arc::clone(&self.shared), running }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connection string.
    pub fn url(&self) -> String {
        format!("kurrentdb://{}?tls=false", self.address)
    }

    /// The next append goes wrong, or the next after those that do already.
    pub fn next_append(&self, fault: Fault) {
        self.shared.appends.lock().unwrap().push_back(fault);
    }

    /// The next read goes wrong, or the next after those that do already.
    pub fn next_read(&self, fault: Fault) {
        self.shared.reads.lock().unwrap().push_back(fault);
    }

    /// Appends wait until [`Self::thaw`].
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Appends that wait go on.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// From now on the node at `leader` leads: the others refuse what asks for the leader.
    pub fn lead(&self, leader: SocketAddr) {
        *self.shared.leader.lock().unwrap() = Some(leader);
    }

    /// From now on so many bytes in one append, as its configuration may say.
    pub fn take_at_most(&self, bytes: usize) {
        self.shared.log().take_at_most(bytes);
    }

    /// Writes a record of the server's own.
    pub fn own_record(&self) {
        self.shared.log().own("$stats-127.0.0.1:2113", "$statsCollected", &serde_json::json!({}));
    }

    /// Removes the server's own statistics, as it does after a day.
    pub fn scavenge(&self) {
        self.shared.log().scavenge();
    }

    /// Drops the last records, with so many events among them: as a backup would have it that is restored.
    pub fn lose(&self, events: usize) {
        self.shared.log().lose(events);
    }

    /// Deletes a stream for ever.
    pub fn tombstone(&self, stream: &str) {
        self.shared.log().tombstone(stream);
    }

    /// What was asked for so far.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap()
    }

    /// Ends: connections break, new ones are refused. The log stays.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    /// Listens again, at the same address.
    pub async fn start_again(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.running = Some(tokio::spawn(serve(listener, Node { shared: Arc::clone(&self.shared), address: self.address })));
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    fn count(&self, count: impl Fn(&mut Counts)) {
        count(&mut self.counts.lock().unwrap());
    }
}

/// Accepts connections; they end with this task.
async fn serve(listener: TcpListener, node: Node) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        node.shared.count(|counts| counts.connections += 1);
        connections.spawn(Connection::new(node.clone()).serve(Prompt(stream)));
        while connections.try_join_next().is_some() {}
    }
}

/// A socket that acknowledges what it reads at once. The client collects small writes until the last was acknowledged: each call
/// would take 44 ms otherwise.
struct Prompt(TcpStream);

impl AsyncRead for Prompt {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.0).poll_read(context, buffer);
        self.0.set_quickack(true)?;
        polled
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
