//! A client that costs little, so that what is measured is the server: one connection, one request after the other.

use crate::Result;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An open connection of one person.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    token: String,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Answer {
    /// The body, if the status is `wanted`.
    pub fn expect(self, wanted: StatusCode) -> Result<Bytes> {
        if self.status == wanted {
            return Ok(self.body);
        }
        Err(format!("{} instead of {wanted}: {}", self.status, String::from_utf8_lossy(&self.body)).into())
    }

    /// The body as JSON, if the status is `wanted`.
    pub fn json(self, wanted: StatusCode) -> Result<Value> {
        Ok(serde_json::from_slice(&self.expect(wanted)?)?)
    }
}

impl Client {
    /// Connects to the server at `url`, such as `http://127.0.0.1:8080`.
    pub async fn connect(url: &str, token: &str) -> Result<Self> {
        let host = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host, token: token.to_owned() })
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, Bytes::new(), None).await
    }

    /// Reads what is at least as new as `position`.
    pub async fn get_after(&mut self, path: &str, position: i64) -> Result<Answer> {
        self.send(Method::GET, path, Bytes::new(), Some((HeaderName::from_static("circolo-min-position"), position.to_string()))).await
    }

    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Answer> {
        self.send(Method::POST, path, body, None).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes, header: Option<(HeaderName, String)>) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host).header(CONTENT_TYPE, "application/json");
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        Ok(Answer { status, body: answer.into_body().collect().await?.to_bytes() })
    }
}
