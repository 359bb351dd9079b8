//! What a connection is doing and since when: written where bytes pass, read by whoever holds it to its limits.

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Notify, futures::Notified},
    time::Instant,
};

/// Moments are counted from here, in milliseconds.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// It waits for a request.
const IDLE: u64 = 0;
/// Of a request it has a part of the head.
const HEAD: u64 = 1;
/// A request is being answered.
const BUSY: u64 = 2;
/// No answer is stuck.
const FLOWING: u64 = u64::MAX;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Since when, and in the lowest two bits what.
    state: AtomicU64,
    /// Since when the caller takes nothing of an answer.
    stuck: AtomicU64,
    unwanted: AtomicBool,
    told: Notify,
}

/// When a connection has to be looked at again.
pub(super) enum Due {
    At(Instant),
    /// Now, and it is too late for what.
    Over(&'static str),
}

impl Pulse {
    pub fn new() -> Self {
        let told = Notify::new();
        Self { state: AtomicU64::new(now() << 2 | IDLE), stuck: AtomicU64::new(FLOWING), unwanted: AtomicBool::new(false), told }
    }

    fn is(&self) -> (u64, u64) {
        let state = self.state.load(Relaxed);
        (state & 3, state >> 2)
    }

    fn heard(&self) {
        if self.is().0 == IDLE {
            self.state.store(now() << 2 | HEAD, Relaxed);
        }
    }

    /// The head of a request is whole.
    pub fn asked(&self) {
        self.state.store(BUSY, Relaxed);
    }

    fn answered(&self) {
        self.state.store(now() << 2 | IDLE, Relaxed);
    }

    /// Since when it asks nothing; `None` while something is answered.
    pub fn silent_since(&self) -> Option<u64> {
        let (what, since) = self.is();
        (what != BUSY).then_some(since)
    }

    /// Its place is given to somebody else.
    pub fn dismiss(&self) {
        self.unwanted.store(true, Relaxed);
        self.told.notify_one();
    }

    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Relaxed)
    }

    /// After what runs, nothing more.
    pub fn finish(&self) {
        self.told.notify_one();
    }

    /// Ready when somebody wants something of the connection.
    pub fn told(&self) -> Notified<'_> {
        self.told.notified()
    }

    /// Whether it has taken longer than it may.
    pub fn due(&self, head: Duration, idle: Duration) -> Due {
        let (what, since) = self.is();
        let stuck = self.stuck.load(Relaxed);
        let (since, limit, what) = match what {
            _ if stuck != FLOWING => (stuck, idle, "nobody takes the answer"),
            IDLE => (since, idle, "no request comes"),
            HEAD => (since, head, "the head of a request does not end"),
            // Requests have a limit of their own.
            _ => return Due::At(Instant::now() + head.min(idle)),
        };
        let end = *START + Duration::from_millis(since) + limit;
        let now = Instant::now();
        if end <= now {
            return Due::Over(what);
        }
        // Never later than a request that begins now might be late.
        Due::At(end.min(now + head.min(idle)))
    }
}

/// Held while a request is answered, to the end of the answer's body.
pub(super) struct Answering(Arc<Pulse>);

impl Answering {
    pub fn new(pulse: Arc<Pulse>) -> Self {
        Self(pulse)
    }

    pub fn with(self, body: Body) -> Watched {
        Watched { body, _answering: self }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// The body of an answer.
pub(super) struct Watched {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The connection's bytes, noted as they come and go.
pub(super) struct Heard {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl Heard {
    pub fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        let stuck = &self.pulse.stuck;
        match (&written, stuck.load(Relaxed)) {
            (Poll::Pending, FLOWING) => stuck.store(now(), Relaxed),
            (Poll::Pending, _) | (Poll::Ready(_), FLOWING) => {}
            (Poll::Ready(_), _) => stuck.store(FLOWING, Relaxed),
        }
        written
    }
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.heard();
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
