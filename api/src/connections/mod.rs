//! Connections: accepted one by one, each with its place, its time limits and its orderly end.
//!
//! Whoever says nothing holds a place only until somebody else needs it, and never for longer than the limits. HTTP/1.1 alone is spoken:
//! in HTTP/2 one connection is many requests, which would need bounds of their own (docs/adr/0012).

pub(crate) mod files;
mod pulse;
mod room;

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pulse::{Answering, Due, Heard};
use room::{Room, Seat};
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tower::Service;

/// A larger head is 431. The longest that somebody may need has a reason of 5,000 characters in its query, each of four bytes and so
/// twelve when escaped.
const LONGEST_HEAD: usize = 128 * 1024;
/// After a connection could not be taken, the next is tried so much later.
const PAUSE: Duration = Duration::from_millis(50);
/// While connections cannot be taken, the log is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// In the reserve nobody has longer for a request.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What connections are held to.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// At a time, in all.
    pub all: usize,
    /// At a time, from one address, or one /64 of IPv6; `None` where a proxy stands before all.
    pub per_address: Option<usize>,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// Without a request, and without taking anything of an answer.
    pub idle: Duration,
}

/// What is answered.
pub(crate) struct Served {
    /// In general.
    pub all: Router,
    /// On places of the reserve.
    pub in_reserve: Router,
}

/// What all connections of a listener share.
struct Shared {
    served: Served,
    limits: Limits,
}

/// Serves what `listener` takes until `stop` turns true, then ends when the last running request has been answered.
pub(crate) async fn serve(served: Served, listener: TcpListener, limits: Limits, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Room::new(limits.all, limits.per_address));
    let shared = Arc::new(Shared { served, limits });
    // Each connection holds a receiver: when the last is gone, all are.
    let (ended, open) = watch::channel(());
    let mut complaint = Complaint::default();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match room.enter(peer.ip()) {
                Some(seat) => {
                    let (shared, open) = (shared.clone(), open.clone());
                    tokio::spawn(async move {
                        converse(stream, peer, &seat, &shared).await;
                        drop((seat, open));
                    });
                }
                None => complaint.full(),
            },
            // It was gone before it was taken.
            Err(error) if is_callers(&error) => {}
            Err(error) => {
                // Files are what is short, most likely: whoever says nothing gives one back.
                room.make_room();
                complaint.failed(&error);
                sleep(PAUSE).await;
            }
        }
    }
    drop((listener, open));
    room.finish();
    ended.closed().await;
}

fn is_callers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Tells the log what keeps connections out, and not once for each.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= TOLD_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }

    fn failed(&mut self, error: &io::Error) {
        if self.is_due() {
            tracing::warn!(%error, "connections cannot be accepted; it is tried again and again");
        }
    }

    fn full(&mut self) {
        if self.is_due() {
            tracing::warn!("all places for connections are taken, those of the reserve too: more are turned away");
        }
    }
}

/// One connection, from its first byte to its last.
async fn converse(stream: TcpStream, peer: SocketAddr, seat: &Seat, shared: &Arc<Shared>) {
    // Small answers go out at once, also while something is still unacknowledged.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection that delays small answers");
    }
    let (pulse, reserve) = (seat.pulse().clone(), seat.is_reserve());
    let Limits { head, idle, .. } = shared.limits;
    let (head, idle) = if reserve { (head.min(RESERVE_TIMEOUT), idle.min(RESERVE_TIMEOUT)) } else { (head, idle) };
    let router = if reserve { &shared.served.in_reserve } else { &shared.served.all };
    let service = service_fn(|request: Request<Incoming>| {
        pulse.asked();
        let answering = Answering::new(pulse.clone());
        let asked = answer(router.clone(), request, peer);
        async move { Ok::<_, Infallible>(asked.await.map(|body| answering.with(body))) }
    });
    let mut builder = http1::Builder::new();
    builder.max_header_size(LONGEST_HEAD).keep_alive(!reserve);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Heard::new(stream, pulse.clone())), service));
    let mut alarm = pin!(sleep_until(Instant::now() + head.min(idle)));
    let mut told = pin!(pulse.told());
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "a connection broke off");
                }
                return;
            }
            () = alarm.as_mut() => match pulse.due(head, idle) {
                Due::At(later) => alarm.as_mut().reset(later),
                Due::Over(what) => return tracing::debug!(%peer, what, "a connection is closed"),
            },
            () = told.as_mut() => {
                // Its place is wanted: at once where it says nothing, else after the answer.
                if pulse.is_unwanted() && pulse.silent_since().is_some() {
                    return tracing::debug!(%peer, "a connection that says nothing makes room");
                }
                connection.as_mut().graceful_shutdown();
                told.set(pulse.told());
            }
        }
    }
}

async fn answer(mut router: Router, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
