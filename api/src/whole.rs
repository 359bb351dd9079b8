//! A request is read to its end before it is answered, whatever the answer: else what a connection does next would tell whether
//! somebody had to look long, and so whether there is what was asked for.

use crate::{App, Problem, layers::is_upload};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// What was not read of a body, and how many bytes were.
type Left = Arc<Mutex<Option<(Body, u64)>>>;

/// Answers when all of the request has come, as far as it may come.
pub(crate) async fn read_to_end(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (spare, upload) = (app.config().body_limit as u64, is_upload(&request));
    let limit = if upload { app.config().media.largest() } else { spare };
    if request.body().size_hint().lower() > limit {
        return too_large();
    }
    let left = Left::default();
    let lend = left.clone();
    let response = next.run(request.map(|body| Body::new(Lent { body, read: 0, left: lend }))).await;
    let rest = left.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((body, read)) = rest else { return response };
    // Nothing is secret of where files are sent to: of one that is refused no more is read than of another body.
    let limit = if upload { limit.min(read + spare) } else { limit };
    match tokio::time::timeout(app.config().request_timeout(), drain(body, read, limit)).await {
        _ if upload => response,
        // Who may not ask at all, or not so often, is told that first.
        Ok(false) if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) => too_large(),
        _ => response,
    }
}

/// The answer where a body is larger than it may be.
pub(crate) fn too_large() -> Response {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large").into_response()
}

/// Reads on to the end; false if there is too much. What breaks off has ended.
async fn drain(mut body: Body, mut read: u64, limit: u64) -> bool {
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > limit {
            return false;
        }
    }
    true
}

/// A body that comes back when nobody wants it any longer.
struct Lent {
    body: Body,
    read: u64,
    left: Left,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            let body = std::mem::take(&mut self.body);
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some((body, self.read));
        }
    }
}
