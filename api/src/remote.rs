//! The log of a running server, read over its API: what export and as-of need of a log, and no more.

use crate::{headers, routes::events::NDJSON};
use anyhow::{Context, bail};
use async_trait::async_trait;
use circolo_domain::StreamName;
use circolo_events::{
    Append, Appended, EventStore, LogId, Page, Position, Revision, StoreError, Stored,
    transfer::{Filter, Line},
};
use reqwest::{Response, header};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

/// The events of a server that a filter wants. They are read in order; one answer is read to its end.
pub struct Remote {
    client: reqwest::Client,
    address: String,
    token: String,
    /// What is asked for, as parameters.
    query: Vec<(&'static str, String)>,
    log: LogId,
    /// Where the server's log ended when this began.
    head: Position,
    /// Where what is asked for begins.
    from: Option<Position>,
    reading: Mutex<Option<Reading>>,
}

/// An answer that is being read.
struct Reading {
    response: Response,
    /// All events up to here were given.
    after: Position,
    /// Where the last event stands that was given.
    last: Position,
    /// The answer may begin with what stands here, which was not asked for.
    begun: Position,
    /// Bytes that came, and how many of them were given as lines.
    bytes: Vec<u8>,
    given: usize,
    ended: bool,
}

impl Remote {
    /// Asks the server at `url` how far its log goes.
    pub async fn connect(url: &str, token: &str, filter: &Filter, unmask: bool) -> anyhow::Result<Self> {
        let (client, address) = (reqwest::Client::new(), format!("{}/v1/events", url.trim_end_matches('/')));
        let request = client.get(&address).query(&[("limit", "1")]).bearer_auth(token);
        let answer = accepted(request.send().await.with_context(|| format!("{url} does not answer"))?).await?;
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let log = header(headers::LOG).parse().context("the server does not say which log it has")?;
        let head = Position(header(headers::POSITION).parse().context("the server does not say where its log ends")?);
        let mut query = filter.parameters();
        query.retain(|(name, _)| !matches!(*name, "from" | "to"));
        if unmask {
            query.push(("unmask", "true".to_owned()));
        }
        query.push(("to", filter.to.map_or(head, |to| to.min(head)).to_string()));
        Ok(Self { client, address, token: token.to_owned(), query, log, head, from: filter.from, reading: Mutex::default() })
    }

    async fn begin(&self, after: Position) -> anyhow::Result<Reading> {
        // A position that was given, not one computed from it: the server's log may have to search for the latter.
        let from = self.from.filter(|from| from.0 == after.0.saturating_add(1)).unwrap_or(after);
        let request = self.client.get(&self.address).query(&self.query).query(&[("from", from.0)]);
        let request = request.header(header::ACCEPT, NDJSON).bearer_auth(&self.token);
        Ok(Reading {
            response: accepted(request.send().await?).await?,
            after,
            last: after,
            begun: after,
            bytes: vec![],
            given: 0,
            ended: false,
        })
    }

    async fn page(&self, after: Position, limit: usize) -> anyhow::Result<Page> {
        let mut reading = self.reading.lock().await;
        let mut open = match reading.take() {
            // Behind the last event there is nothing new to ask for.
            Some(open) if open.after == after || (open.ended && after >= open.last) => open,
            _ => self.begin(after).await?,
        };
        let mut events = Vec::new();
        while events.len() < limit
            && let Some(stored) = open.next().await?
        {
            if stored.position > open.begun {
                events.push(stored);
            }
        }
        open.last = events.last().map_or(open.last, |last| last.position);
        open.after = if events.len() < limit { self.head.max(after) } else { events.last().map_or(after, |last| last.position) };
        let scanned = open.after;
        *reading = Some(open);
        Ok(Page { events, scanned })
    }
}

impl Reading {
    async fn next(&mut self) -> anyhow::Result<Option<Stored>> {
        // Bytes that hold no line break need not be searched again.
        let mut searched = self.given;
        loop {
            if let Some(length) = self.bytes[searched..].iter().position(|byte| *byte == b'\n') {
                let end = searched + length;
                let line: Line =
                    serde_json::from_slice(&self.bytes[self.given..end]).context("the server's answer is not what was expected")?;
                self.given = end + 1;
                return Ok(Some(line.into()));
            }
            self.bytes.drain(..self.given);
            self.given = 0;
            searched = self.bytes.len();
            if self.ended {
                anyhow::ensure!(self.bytes.is_empty(), "the server's answer ends in the middle of a line");
                return Ok(None);
            }
            match self.response.chunk().await.context("the server's answer broke off")? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None => self.ended = true,
            }
        }
    }
}

/// The answer, unless it is a refusal.
async fn accepted(answer: Response) -> anyhow::Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem: serde_json::Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
    bail!("{status}: {}", told(&problem))
}

/// What a server answered, unless it refused.
pub async fn answered<T: DeserializeOwned>(answer: Response) -> anyhow::Result<T> {
    let body = accepted(answer).await?.bytes().await?;
    serde_json::from_slice(&body).context("the server's answer is not what was expected")
}

const READ_ONLY: StoreError = StoreError::Invalid("a server's log is only read here");

#[async_trait]
impl EventStore for Remote {
    fn log_id(&self) -> LogId {
        self.log
    }

    async fn append(&self, _: Append) -> Result<Appended, StoreError> {
        Err(READ_ONLY)
    }

    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, StoreError>> {
        appends.iter().map(|_| Err(READ_ONLY)).collect()
    }

    async fn read(&self, _: &StreamName, _: Revision, _: usize) -> Result<Vec<Stored>, StoreError> {
        Err(StoreError::Unavailable("a server's log is read from end to end only".into()))
    }

    async fn read_prefix(&self, prefix: &str, after: Position, until: Position, limit: usize) -> Result<Page, StoreError> {
        let mut page = self.read_all(after, limit).await?;
        page.events.retain(|stored| stored.stream.as_str().starts_with(prefix) && stored.position <= until);
        Ok(page)
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Page, StoreError> {
        self.page(after, limit).await.map_err(|error| StoreError::Unavailable(error.into()))
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.head)
    }

    async fn find(&self, _: &StreamName, _: Uuid) -> Result<Option<(Stored, Appended)>, StoreError> {
        Ok(None)
    }

    async fn changed(&self, _: Position, _: Duration) -> Result<Position, StoreError> {
        Ok(self.head)
    }
}

/// What a server says is wrong, with each field that it finds fault with.
fn told(problem: &serde_json::Value) -> String {
    let detail = problem["detail"].as_str().unwrap_or("no reason given");
    let fields = problem["fields"].as_array().into_iter().flatten();
    let fields: Vec<String> =
        fields.filter_map(|field| Some(format!("{}: {}", field["field"].as_str()?, field["message"].as_str()?))).collect();
    if fields.is_empty() { detail.to_owned() } else { format!("{detail} ({})", fields.join("; ")) }
}
