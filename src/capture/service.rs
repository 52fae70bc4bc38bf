use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::exchange_handle::ExchangeHandle;
use super::future::{Pending, PendingResponse, ResponseFuture};
use super::http::{Content, Headers};
use super::recorder::Recorder;
use super::tap::{GetStreamWatch, RequestTap};
use super::{RequestId, StoreBody};

/// The service that [`StoreLayer`](super::StoreLayer) makes.
#[derive(Clone)]
pub struct StoreService<S> {
    inner: S,
    recorder: Arc<Recorder>,
}

impl<S> StoreService<S> {
    pub(super) fn new(inner: S, recorder: Arc<Recorder>) -> Self {
        Self { inner, recorder }
    }

    /// Returns the wrapped service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the wrapped service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the wrapped service and drops the layer around it.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for StoreService<S>
where
    S: Service<Request<StoreBody<B>>, Response = Response<R>>,
    S::Error: fmt::Display + 'static,
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
{
    type Response = Response<StoreBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        // MCP requests are POSTs in every revision. Of any other method, only its effect on
        // sessions and their streams matters.
        if head.method != http::Method::POST {
            let watch = GetStreamWatch::of(&self.recorder, &head);
            let request = Request::from_parts(head, StoreBody::bare(body));
            return ResponseFuture::new(self.inner.call(request), watch.map(Pending::Stream));
        }
        let headers = Headers::of(&head.headers);
        let content = Content::of_request(&headers);
        let handle = ExchangeHandle::begin(self.recorder.clone(), &head, &headers);
        if self.recorder.cx.config.request_id_extension {
            let id = handle.exchange().request_id();
            head.extensions.insert(RequestId::new(id));
        }
        let body = StoreBody::request(body, RequestTap::new(handle.clone(), content));
        // It is made before the call and sees each step, because it has to distinguish a
        // panic from a caller that left.
        let mut pending = PendingResponse::new(handle);
        let future = pending.step(|| self.inner.call(Request::from_parts(head, body)));
        ResponseFuture::new(future, Some(Pending::Exchange(pending)))
    }
}

impl<S: fmt::Debug> fmt::Debug for StoreService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
