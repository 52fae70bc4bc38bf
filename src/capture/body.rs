use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::HttpEnd;
use super::tap::{GetStreamTap, RequestTap, ResponseTap};

pin_project! {
    /// A body that is inspected as it passes.
    ///
    /// Every frame, error, size hint and end comes unchanged from the inner body.
    pub struct StoreBody<B> {
        #[pin]
        inner: B,
        watch: Watch,
    }
}

/// The tap that inspects the frames.
enum Watch {
    Unwatched,
    Request(RequestTap),
    Response(ResponseTap),
    Stream(Box<GetStreamTap>),
}

impl<B> StoreBody<B> {
    /// A body of an exchange that holds no JSON-RPC requests.
    pub(super) fn bare(inner: B) -> Self {
        Self {
            inner,
            watch: Watch::Unwatched,
        }
    }

    /// The body of a response.
    pub(super) fn response(inner: B, tap: Option<ResponseTap>) -> Self {
        Self {
            inner,
            watch: tap.map_or(Watch::Unwatched, Watch::Response),
        }
    }

    /// A body of an exchange without requests, on which answers may come.
    pub(super) fn stream(inner: B, tap: Option<GetStreamTap>) -> Self {
        Self {
            inner,
            watch: tap.map_or(Watch::Unwatched, |tap| Watch::Stream(Box::new(tap))),
        }
    }
}

impl<B: Body<Data = Bytes>> StoreBody<B> {
    pub(super) fn request(inner: B, mut tap: RequestTap) -> Self {
        if inner.is_end_stream() {
            tap.end();
        }
        Self {
            inner,
            watch: Watch::Request(tap),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for StoreBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = match this.watch {
            Watch::Unwatched => return this.inner.poll_frame(cx),
            Watch::Request(_) | Watch::Stream(_) => ready!(this.inner.as_mut().poll_frame(cx)),
            Watch::Response(tap) => {
                ready!(tap.step(|| this.inner.as_mut().poll_frame(cx)))
            }
        };
        // A consumer that knows the length, from the body or from the head, does not poll
        // again after the last frame. So the end is checked after each frame.
        let ended = match &frame {
            Some(Ok(_)) => this.inner.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok())
            .and_then(Frame::data_ref);
        match this.watch {
            Watch::Unwatched => {}
            Watch::Stream(tap) => {
                if let Some(data) = data {
                    tap.data(data);
                }
            }
            Watch::Request(tap) => {
                if let Some(data) = data {
                    tap.data(data);
                }
                match &frame {
                    Some(Err(_)) => tap.fail(),
                    _ if ended => tap.end(),
                    _ => {}
                }
            }
            Watch::Response(tap) => {
                if let Some(data) = data {
                    tap.data(data);
                }
                match &frame {
                    Some(Err(_)) => tap.end(HttpEnd::BodyFailed),
                    _ if ended || tap.is_whole() => tap.end(HttpEnd::Complete),
                    _ => {}
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for StoreBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
