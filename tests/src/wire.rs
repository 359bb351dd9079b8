//! Somebody who speaks to a server byte by byte, as an attacker or a bad network would.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "helpers for tests fail the test")]

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Longer than anything takes, on a slow machine too.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection.
pub struct Wire {
    stream: TcpStream,
    came: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Its headers, without those that tell any two requests apart.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Wire {
    /// To the server at `url`.
    pub async fn to(url: &str) -> Self {
        Self::from("127.0.0.1", url).await
    }

    /// To the server at `url`, from an address of this machine.
    pub async fn from(address: &str, url: &str) -> Self {
        let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        let stream = timeout(PATIENCE, socket.connect(server)).await.unwrap().unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, came: vec![] }
    }

    /// Sends these bytes in a packet of their own; false if the server has hung up.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Everything until the server hangs up.
    pub async fn to_its_end(&mut self) -> String {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the server never hangs up") {
            self.came.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.came)).into_owned()
    }

    /// Whether something came within `span`, or the server hung up.
    pub async fn says_something(&mut self, span: Duration) -> bool {
        let mut buffer = [0; 4096];
        match timeout(span, self.stream.read(&mut buffer)).await {
            Err(_) => false,
            Ok(read) => {
                self.came.extend_from_slice(&buffer[..read.unwrap_or(0)]);
                true
            }
        }
    }

    /// What has come and was not asked for.
    pub fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.came)).into_owned()
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.came.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return String::from_utf8(self.came.drain(..end + 4).collect()).unwrap();
            }
            let before = self.came.len();
            assert!(self.says_something(PATIENCE).await && self.came.len() > before, "the server hung up: {}", self.take());
        }
    }

    /// The next answer, which says how long it is.
    pub async fn answer(&mut self) -> Answered {
        let mut head = self.head().await;
        // What only says that the body may come is no answer.
        while head.starts_with("HTTP/1.1 100") {
            head = self.head().await;
        }
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut headers: BTreeMap<_, _> = headers.collect();
        for passing in ["date", "x-request-id", "ratelimit", "ratelimit-policy"] {
            headers.remove(passing);
        }
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.came.len() < length {
            let before = self.came.len();
            assert!(self.says_something(PATIENCE).await && self.came.len() > before, "the answer breaks off");
        }
        let body = String::from_utf8(self.came.drain(..length).collect()).unwrap();
        Answered { status, headers, body }
    }
}
