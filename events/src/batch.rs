//! Group commit: appends that wait for a writer, gathered into transactions.

use crate::{
    rules::size,
    store::{Append, Appended, StoreError},
};
use tokio::sync::{
    mpsc::{Receiver, Sender, channel, error::TrySendError},
    oneshot,
};

/// A transaction takes no further request beyond so many events or bytes: others wait meanwhile.
const EVENTS: usize = 16_384;
const BYTES: usize = 16 << 20;

/// What became of one append.
pub type Outcome = Result<Appended, StoreError>;

/// A caller's appends and where the answer goes.
pub enum Request {
    /// One append.
    One(Append, oneshot::Sender<Outcome>),
    /// Several, in this order.
    Many(Vec<Append>, oneshot::Sender<Vec<Outcome>>),
}

impl Request {
    fn appends(&self) -> &[Append] {
        match self {
            Self::One(append, _) => std::slice::from_ref(append),
            Self::Many(appends, _) => appends,
        }
    }
}

/// The callers' end of a writer's queue.
#[derive(Debug)]
pub struct Queue {
    requests: Sender<Request>,
    bulk: usize,
}

impl Queue {
    /// A queue in which `places` requests may wait, and the writer's end of it. What is written in bulk is handed over as
    /// transactions of about `bulk` events: the more, the fewer times a page of an index is written for its new entries.
    pub fn new(places: usize, bulk: usize) -> (Self, Receiver<Request>) {
        let (requests, receiver) = channel(places);
        (Self { requests, bulk }, receiver)
    }

    /// Hands `append` to the writer and waits for the outcome; `Busy` if there is no place.
    pub async fn append(&self, append: Append) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        self.requests.try_send(Request::One(append, reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Closed(_) => stopped(),
        })?;
        outcome.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Hands `appends` to the writer, a transaction's worth at a time. Waits for a place: an import is slowed down, not refused.
    pub async fn append_many(&self, appends: Vec<Append>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(appends.len());
        let mut rest = appends.into_iter();
        loop {
            let part = portion(&mut rest, self.bulk);
            if part.is_empty() {
                return outcomes;
            }
            let entries = part.len();
            let (reply, answer) = oneshot::channel();
            let sent = self.requests.send(Request::Many(part, reply)).await.is_ok();
            match answer.await {
                Ok(part) => outcomes.extend(part),
                Err(_) => outcomes.extend((0..entries).map(|_| Err(if sent { lost() } else { stopped() }))),
            }
        }
    }
}

/// As many entries as one transaction of about `most` events should take.
fn portion(rest: &mut std::vec::IntoIter<Append>, most: usize) -> Vec<Append> {
    /// Bytes for each event that a transaction may take.
    const EACH: usize = BYTES / EVENTS;
    let (mut events, mut bytes) = (0, 0);
    let mut part = Vec::new();
    while events < most
        && bytes < most * EACH
        && let Some(append) = rest.next()
    {
        events += append.events.len();
        bytes += size(&append);
        part.push(append);
    }
    part
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the log's writer has stopped".into())
}

fn lost() -> StoreError {
    StoreError::Unknown("the log's writer stopped before it answered".into())
}

/// The requests of one transaction.
#[derive(Default)]
pub struct Batch(Vec<Request>);

impl Batch {
    /// Adds `first` and what else waits, up to a transaction's worth.
    pub fn fill(&mut self, first: Request, queue: &mut Receiver<Request>) {
        let (mut events, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(request) = next {
            for append in request.appends() {
                events += append.events.len();
                bytes += size(append);
            }
            self.0.push(request);
            next = if events < EVENTS && bytes < BYTES { queue.try_recv().ok() } else { None };
        }
    }

    /// The appends of all requests, in order.
    pub fn appends(&self) -> impl Iterator<Item = &Append> {
        self.0.iter().flat_map(Request::appends)
    }

    /// Gives every caller its outcomes and empties the batch. A caller that no longer waits was cancelled; its append stands.
    pub fn answer(&mut self, mut outcomes: impl Iterator<Item = Outcome>) {
        for request in self.0.drain(..) {
            match request {
                Request::One(_, reply) => {
                    if let Some(outcome) = outcomes.next() {
                        let _ = reply.send(outcome);
                    }
                }
                Request::Many(appends, reply) => {
                    let _ = reply.send(outcomes.by_ref().take(appends.len()).collect());
                }
            }
        }
    }
}
