use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

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
        let polled = match this.pending {
            Some(Pending::Exchange(pending)) => pending.step(|| this.inner.poll(cx)),
            _ => this.inner.poll(cx),
        };
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(match this.pending.take() {
                Some(Pending::Exchange(pending)) => {
                    let tap = pending.answered(&response);
                    response.map(|body| StoreBody::response(body, tap))
                }
                Some(Pending::Stream(watch)) => {
                    let tap = watch.answered(response.status(), response.headers());
                    response.map(|body| StoreBody::stream(body, tap))
                }
                None => response.map(StoreBody::bare),
            })),
            Poll::Ready(Err(error)) => {
                if let Some(Pending::Exchange(pending)) = this.pending.take() {
                    pending.failed(&error);
                }
                Poll::Ready(Err(error))
            }
        }
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

    fn answered<R: Body>(mut self, response: &Response<R>) -> Option<ResponseTap> {
        let handle = self.handle.take()?;
        Some(ResponseTap::of(handle, response))
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
