use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::StoreBody;
use super::exchange::HttpEnd;
use super::exchange_handle::ExchangeHandle;
use super::http::Failure;
use super::tap::{GetStreamWatch, PanicFlag, ResponseTap};

pin_project! {
    /// The response future of [`StoreService`](super::StoreService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        pending: Option<Pending>,
    }
}

/// The part of the layer that waits for the response head.
pub(super) enum Pending {
    Exchange(PendingResponse),
    Stream(GetStreamWatch),
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, pending: Option<Pending>) -> Self {
        Self { inner, pending }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
    E: fmt::Display + 'static,
{
    type Output = Result<Response<StoreBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.pending {
            Some(Pending::Exchange(pending)) => ready!(pending.step(|| this.inner.poll(cx))),
            _ => ready!(this.inner.poll(cx)),
        };
        Poll::Ready(match (result, this.pending.take()) {
            (Ok(response), Some(Pending::Exchange(pending))) => Ok(pending.answered(response)),
            (Err(error), Some(Pending::Exchange(pending))) => {
                pending.failed(&error);
                Err(error)
            }
            (Ok(response), watch) => {
                let (head, body) = response.into_parts();
                let tap = match watch {
                    Some(Pending::Stream(watch)) => watch.answered(&head),
                    _ => None,
                };
                Ok(Response::from_parts(head, StoreBody::stream(body, tap)))
            }
            (Err(error), _) => Err(error),
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// An exchange without its response head. Dropping it ends the exchange.
pub(super) struct PendingResponse {
    handle: Option<ExchangeHandle>,
    panic_flag: PanicFlag,
}

impl PendingResponse {
    pub(super) fn new(handle: ExchangeHandle) -> Self {
        Self {
            handle: Some(handle),
            panic_flag: PanicFlag::default(),
        }
    }

    /// Runs code of the inner service.
    #[inline(always)]
    pub(super) fn step<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.panic_flag.run(code)
    }

    fn answered<R: Body<Data = Bytes>>(mut self, response: Response<R>) -> Response<StoreBody<R>> {
        match self.handle.take() {
            Some(handle) => {
                let (head, body) = response.into_parts();
                let tap = ResponseTap::new(handle, &head);
                Response::from_parts(head, StoreBody::response(body, tap))
            }
            None => response.map(StoreBody::bare),
        }
    }

    fn failed<E: fmt::Display + 'static>(mut self, error: &E) {
        self.end(HttpEnd::ServiceFailed(Failure::of(error)));
    }

    fn end(&mut self, end: HttpEnd) {
        if let Some(handle) = self.handle.take() {
            handle.end(end);
        }
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        self.end(self.panic_flag.end_of_drop());
    }
}
