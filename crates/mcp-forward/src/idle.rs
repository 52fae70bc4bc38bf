//! A time limit for silence within an answer.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::BoxError;

pin_project! {
    /// A body that fails after it was silent for the limit.
    pub(super) struct IdleLimit<B> {
        #[pin]
        body: B,
        #[pin]
        over: Sleep,
        limit: Duration,
        // The limit applies while the body waits for the upstream, and not while the client
        // reads.
        waits: bool,
    }
}

impl<B> IdleLimit<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            over: tokio::time::sleep(limit),
            limit,
            waits: false,
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for IdleLimit<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            *this.waits = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !std::mem::replace(this.waits, true) {
            this.over.as_mut().reset(Instant::now() + *this.limit);
        }
        this.over.poll(cx).map(|()| {
            let text = format!("the upstream sent nothing for {:?}", this.limit);
            Some(Err(io::Error::new(io::ErrorKind::TimedOut, text).into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
