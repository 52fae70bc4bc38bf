use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError};

use super::{BoxError, causes};

/// How many bytes of an unforwarded request the service reads, and for how long.
const DRAIN_BYTES: usize = 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The body of a request, shared with the HTTP client that sends it.
///
/// If the HTTP client cannot connect, it drops the request without reading its body. A layer
/// around the service would not see the request then. So the service reads a body of ordinary
/// size before it answers with the failure.
///
/// The HTTP client reports an error of this body like an error of the upstream. To tell the two
/// apart, the body remembers its own error.
#[derive(Clone)]
pub(super) struct RequestBody(Arc<Mutex<Shared>>);

struct Shared {
    body: UnsyncBoxBody<Bytes, BoxError>,
    failure: Option<RequestFailure>,
}

/// Why a request's body is incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestFailure {
    /// The client closed its connection, or reset its HTTP/2 stream.
    ClientGone,
    /// The body is larger than a layer around the service admits.
    TooLarge,
    /// The body is not valid. Holds the causes.
    Invalid(String),
}

impl RequestBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Arc::new(Mutex::new(Shared {
            body: body.map_err(Into::into).boxed_unsync(),
            failure: None,
        })))
    }

    /// Reads the unread rest, within bounds of size and time.
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
        // A slower client is answered nevertheless.
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
    }

    /// Returns why the body failed, if it did.
    pub(super) fn failure(&self) -> Option<RequestFailure> {
        self.shared().failure.clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestFailure {
    fn of(error: &BoxError) -> Self {
        if causes(error.as_ref()).any(is_end_of_client) {
            return Self::ClientGone;
        }
        if causes(error.as_ref()).any(|cause| cause.is::<LengthLimitError>()) {
            return Self::TooLarge;
        }
        let mut causes: Vec<String> = causes(error.as_ref()).map(ToString::to_string).collect();
        // A wrapper without a text of its own repeats the text of its source.
        causes.dedup();
        Self::Invalid(causes.join(": "))
    }
}

fn is_end_of_client(cause: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    let gone = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        NotConnected,
        UnexpectedEof,
    ];
    // An HTTP/2 client without its stream cannot get an answer, for any cause.
    cause.is::<h2::Error>()
        || cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| gone.contains(&io.kind()))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = self.shared();
        let frame = Pin::new(&mut shared.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &frame {
            shared.failure = Some(RequestFailure::of(error));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.shared().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shared().body.size_hint()
    }
}

/// The body of a forwarded answer.
///
/// It yields the upstream's frames as they arrive, trailers included, or the text of a failure.
/// It returns an error if the upstream's answer breaks off. Dropping it ends the exchange with
/// the upstream.
pub struct ForwardBody(UnsyncBoxBody<Bytes, BoxError>);

impl ForwardBody {
    pub(super) fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }

    /// Returns a body that fails at once, which makes a server close the connection.
    pub(super) fn broken() -> Self {
        Self::stream(Broken)
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

/// The body of an answer to a client that has closed its connection.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Err("the client is gone".into())))
    }
}
