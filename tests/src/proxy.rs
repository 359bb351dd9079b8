//! A wire to Postgres that a test may cut, or leave without a sound.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "helpers for tests fail the test")]

use sqlx::postgres::PgConnectOptions;
use std::{io, path::PathBuf};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// Passes bytes on between its callers and a server, while it lives.
pub struct Proxy {
    /// The server, by way of this.
    pub url: String,
    wire: watch::Sender<Wire>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Wire {
    /// Connections made before this cut are gone.
    cuts: u64,
    /// Nothing arrives, and nobody is told.
    silent: bool,
}

impl Proxy {
    /// Before the server at `url`.
    pub async fn before(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let socket = options.get_socket().map(|folder| folder.join(format!(".s.PGSQL.{}", options.get_port())));
        let target = (socket, format!("{}:{}", options.get_host(), options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = watch::Sender::new(Wire::default());
        tokio::spawn(accept(listener, target, wire.subscribe()));
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, rest) = rest.split_once('@').unwrap();
        let (_, rest) = rest.split_once('/').unwrap();
        Self { url: format!("{scheme}://{user}@{address}/{rest}"), wire }
    }

    /// Breaks all connections that there are.
    pub fn cut(&self) {
        self.wire.send_modify(|wire| wire.cuts += 1);
    }

    /// Keeps back everything, or lets it through again.
    pub fn silence(&self, silent: bool) {
        self.wire.send_modify(|wire| wire.silent = silent);
    }
}

async fn accept(listener: TcpListener, target: (Option<PathBuf>, String), wire: watch::Receiver<Wire>) {
    loop {
        let caller = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = gone(wire.clone()) => return,
        };
        let (target, wire) = (target.clone(), wire.clone());
        tokio::spawn(async move {
            // A server that is not there hangs up.
            match target {
                (Some(socket), _) => match UnixStream::connect(socket).await {
                    Ok(server) => relay(caller, server.into_split(), wire).await,
                    Err(_) => drop(caller),
                },
                (None, address) => match TcpStream::connect(address).await {
                    Ok(server) => relay(caller, server.into_split(), wire).await,
                    Err(_) => drop(caller),
                },
            }
        });
    }
}

async fn gone(mut wire: watch::Receiver<Wire>) {
    while wire.changed().await.is_ok() {}
}

/// Passes bytes on until one side ends or the wire is cut.
async fn relay(caller: TcpStream, server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin), wire: watch::Receiver<Wire>) {
    let begun = wire.borrow().cuts;
    let (from_caller, to_caller) = caller.into_split();
    let mut cut = wire.clone();
    tokio::select! {
        _ = pass(from_caller, server.1, wire.clone()) => {}
        _ = pass(server.0, to_caller, wire) => {}
        _ = cut.wait_for(|wire| wire.cuts > begun) => {}
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut wire: watch::Receiver<Wire>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || wire.wait_for(|wire| !wire.silent).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}
