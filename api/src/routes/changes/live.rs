//! The feed as server-sent events: one event per change, its id the place to resume from.

use super::reader::{Batch, Reader, follow};
use crate::{App, Problem, caller::MaybeCaller, listeners, place::Place, rate::Asker, routes::changes::ChangeView};
use axum::response::{
    IntoResponse, Response,
    sse::{Event, Sse},
};
use futures::{StreamExt, stream};
use std::{collections::VecDeque, time::Duration};

/// Without a change, so long after the last sign of life follows the next one.
const PAUSE: Duration = Duration::from_secs(15);
/// Changes sent in one go.
const BATCH: usize = 100;
/// After so long a client that lost its connection comes back.
const RETRY: Duration = Duration::from_secs(2);

struct Live {
    reader: Reader,
    after: Place,
    waiting: VecDeque<ChangeView>,
    _place: listeners::Place,
}

/// The changes after `after`, as they come, until the client goes, its token expires or the server stops.
pub(super) fn stream(app: App, caller: MaybeCaller, asker: Asker, after: Place) -> Result<Response, Problem> {
    let live = Live { _place: app.listener(asker)?, reader: Reader::new(app, caller), after, waiting: VecDeque::new() };
    let hello = stream::once(std::future::ready(Ok(sign_of_life(after).retry(RETRY))));
    let changes = stream::unfold(live, async |mut live| Some((live.next().await?, live)));
    Ok(Sse::new(hello.chain(changes)).into_response())
}

/// An event that clients do not see. Its id moves on what they resume from also where nothing is for them.
fn sign_of_life(place: Place) -> Event {
    Event::default().id(place.to_string()).comment("")
}

impl Live {
    async fn next(&mut self) -> Option<Result<Event, axum::Error>> {
        if self.waiting.is_empty() {
            if *self.reader.app().stopping().borrow() || self.expired() {
                return None;
            }
            match follow(&mut self.reader, self.after, BATCH, PAUSE).await {
                Ok(Batch { items, next }) => {
                    self.after = next;
                    self.waiting = items.into();
                }
                // The client comes back and is told.
                Err(problem) => {
                    tracing::debug!(code = problem.code(), "a stream of changes ends");
                    return None;
                }
            }
        }
        let Some(change) = self.waiting.pop_front() else { return Some(Ok(sign_of_life(self.after))) };
        Some(Event::default().event("change").id(change.place.to_string()).json_data(change))
    }

    fn expired(&self) -> bool {
        self.reader.caller().call().is_some_and(|call| call.principal().expires() <= self.reader.app().now().micros() / 1_000_000)
    }
}
