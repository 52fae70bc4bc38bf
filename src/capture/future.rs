use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::StoreBody;
use super::exchange::{Ending, Watched};
use super::failure::Failure;
use super::stream::StreamWatch;
use super::tap::ResponseTap;

pin_project! {
    /// The response future of [`StoreService`](super::StoreService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        awaited: Option<Awaited>,
    }
}

/// What is waiting for the response head.
pub(super) enum Awaited {
    Exchange(AwaitedResponse),
    Stream(StreamWatch),
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, awaited: Option<Awaited>) -> Self {
        Self { inner, awaited }
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
        let result = match this.awaited {
            Some(Awaited::Exchange(awaited)) => ready!(awaited.step(|| this.inner.poll(cx))),
            _ => ready!(this.inner.poll(cx)),
        };
        Poll::Ready(match (result, this.awaited.take()) {
            (Ok(response), Some(Awaited::Exchange(awaited))) => Ok(awaited.answered(response)),
            (Err(error), Some(Awaited::Exchange(awaited))) => {
                awaited.failed(&error);
                Err(error)
            }
            (Ok(response), watch) => {
                let (head, body) = response.into_parts();
                let tap = match watch {
                    Some(Awaited::Stream(watch)) => watch.answered(&head),
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

/// An exchange whose response head has not come; dropping it ends the exchange.
pub(super) struct AwaitedResponse {
    watched: Option<Watched>,
    in_step: bool,
}

impl AwaitedResponse {
    pub(super) fn new(watched: Watched) -> Self {
        Self {
            watched: Some(watched),
            in_step: false,
        }
    }

    /// Runs a piece of the inner service. A panic leaves the flag set, which is
    /// how `drop` knows of it even where a layer outside catches the panic
    /// before anything is dropped.
    pub(super) fn step<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.in_step = true;
        let value = run();
        self.in_step = false;
        value
    }

    fn answered<R: Body<Data = Bytes>>(mut self, response: Response<R>) -> Response<StoreBody<R>> {
        match self.watched.take() {
            Some(watched) => {
                let (head, body) = response.into_parts();
                let tap = ResponseTap::new(watched, &head);
                Response::from_parts(head, StoreBody::response(body, tap))
            }
            None => response.map(StoreBody::bare),
        }
    }

    fn failed<E: fmt::Display + 'static>(mut self, error: &E) {
        self.end(Ending::ServiceFailed(Failure::of(error)));
    }

    fn end(&mut self, ending: Ending) {
        if let Some(Watched { recorder, exchange }) = self.watched.take() {
            exchange.end(&recorder, ending);
        }
    }
}

impl Drop for AwaitedResponse {
    fn drop(&mut self) {
        self.end(match self.in_step {
            true => Ending::Panicked,
            false => Ending::Dropped,
        });
    }
}
