use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use super::BoxError;

/// How much of a request is read for the record alone, and how long.
const DRAIN_BYTES: usize = 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The body of a request, shared with the HTTP client that sends it.
///
/// A client that makes no connection drops the request with its body unread.
/// A layer around the service then has not seen what was asked, so a body of
/// ordinary size is read here before the failure is answered.
#[derive(Clone)]
pub(super) struct RequestBody(Arc<Mutex<UnsyncBoxBody<Bytes, BoxError>>>);

impl RequestBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Arc::new(Mutex::new(
            body.map_err(Into::into).boxed_unsync(),
        )))
    }

    /// Reads what nobody has read yet, as far as that is worth waiting for.
    pub(super) async fn drain(mut self) {
        let mut room = DRAIN_BYTES;
        let read = async {
            while let Some(Ok(frame)) = self.frame().await {
                room = room.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if room == 0 {
                    break;
                }
            }
        };
        // Whoever sends slower than this is answered all the same.
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
    }

    fn body(&self) -> MutexGuard<'_, UnsyncBoxBody<Bytes, BoxError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut *self.body()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// The body of a forwarded answer: the upstream's frames as they arrive,
/// trailers included, or the text of a failure.
///
/// It ends with an error where the upstream's answer breaks off. Dropping it ends the
/// exchange with the upstream.
pub struct ForwardBody(UnsyncBoxBody<Bytes, BoxError>);

impl ForwardBody {
    pub(super) fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl From<String> for ForwardBody {
    fn from(text: String) -> Self {
        Self::stream(Full::from(text))
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardBody").finish_non_exhaustive()
    }
}
