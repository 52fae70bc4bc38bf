use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tower_service::Service;

use super::body::{RequestBody, RequestFailure};
use super::connect::{self, Connector};
use super::headers::{self, has_foreign_coding, prepare_request, prepare_response};
use super::upstream::Upstream;
use super::{BoxError, ForwardBody, MAX_FIELDS, UpstreamError, causes};

/// How many bytes the fields of an answer in HTTP/2 may have. hyper's own limit is 16 KiB.
const MAX_FIELD_BYTES: u32 = 400 * 1024;

/// How long an idle connection is kept. Node's servers close theirs after 5
/// seconds; a request that meets the close on its way fails and, being a POST,
/// cannot be repeated.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long things may take that have an end.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Name look-up, TCP and TLS together.
    connect: Duration,
    /// Silence on an HTTP/2 connection with open streams, after which the upstream is pinged,
    /// and how long it may take to answer. HTTP/1.1 has no pings.
    ping_interval: Duration,
    ping_timeout: Duration,
}

const LIMITS: Limits = Limits {
    connect: Forward::CONNECT_TIMEOUT,
    ping_interval: Duration::from_secs(30),
    ping_timeout: Duration::from_secs(20),
};

/// Sends every request to an upstream server and streams the answer back.
///
/// A clone shares the connections. It has to be called within a tokio runtime.
/// The [crate's documentation](crate) tells where a request goes, what is changed on the way
/// and how failures look.
///
/// ```
/// use mcp_forward::Forward;
///
/// let forward = Forward::new("http://127.0.0.1:9000/mcp?key=secret")?;
/// assert_eq!(forward.endpoint(), "http://127.0.0.1:9000/mcp");
///
/// let error = Forward::new("127.0.0.1:9000").unwrap_err();
/// assert_eq!(error.to_string(), "the upstream's URL has to start with http:// or https://");
/// # Ok::<(), mcp_forward::UpstreamError>(())
/// ```
#[derive(Clone)]
pub struct Forward {
    client: Client<Connector, RequestBody>,
    upstream: Upstream,
    /// The scheme by which clients connect, if it was set.
    scheme: Option<Scheme>,
    /// Whether the upstream is known to speak HTTP/2.
    speaks_http2: Arc<AtomicBool>,
}

impl Forward {
    /// How long a connection may take to be made: name look-up, TCP and TLS together.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// A service that forwards to the server of this `http` or `https` URL.
    ///
    /// No connection is made yet.
    ///
    /// # Errors
    ///
    /// The text is no such URL, or an `https` one on a machine without root certificates.
    pub fn new(upstream: &str) -> Result<Self, UpstreamError> {
        let upstream = Upstream::parse(upstream)?;
        let tls = connect::tls_config(upstream.is_https())?;
        Ok(Self::build(upstream, tls, LIMITS))
    }

    fn build(upstream: Upstream, tls: ClientConfig, limits: Limits) -> Self {
        let connector = Connector::new(tls, limits.connect);
        let speaks_http2 = connector.speaks_http2();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_max_headers(MAX_FIELDS)
            .http2_max_header_list_size(MAX_FIELD_BYTES)
            .http2_keep_alive_interval(limits.ping_interval)
            .http2_keep_alive_timeout(limits.ping_timeout)
            .build(connector);
        Self {
            client,
            upstream,
            scheme: None,
            speaks_http2,
        }
    }

    /// Sets the scheme by which clients reach this server.
    ///
    /// `X-Forwarded-Proto` carries it where a request's URI has no scheme, as is usual in
    /// HTTP/1.1. Without this setting that field is absent then: the service cannot know
    /// whether another server terminates TLS in front of it.
    pub fn client_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// The upstream's URL without its query, which may hold a key.
    pub fn endpoint(&self) -> &Uri {
        self.upstream.endpoint()
    }

    /// The request as the upstream gets it.
    fn prepare<B>(&self, request: Request<B>) -> Result<Request<RequestBody>, http::Error>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        let length_is_unknown = body.size_hint().exact().is_none() && !body.is_end_stream();
        let has_length = parts.headers.contains_key(CONTENT_LENGTH);
        let hop = headers::Request {
            uri: Some(&parts.uri),
            client: parts.extensions.get::<SocketAddr>().copied(),
            scheme: self.scheme.as_ref(),
            to_http2: self.speaks_http2.load(Relaxed),
            // Without this field the HTTP client drops the body of a GET.
            chunked: length_is_unknown && !has_length,
        };
        prepare_request(&mut parts.headers, hop);
        // The version is a matter of each connection, and the extensions are
        // those of the server that we run in.
        let mut forwarded = Request::new(RequestBody::new(body));
        *forwarded.uri_mut() = self.upstream.target(&parts.uri)?;
        *forwarded.method_mut() = parts.method;
        *forwarded.headers_mut() = parts.headers;
        Ok(forwarded)
    }

    /// The upstream's answer as the client gets it.
    fn answer<B>(&self, mut response: Response<B>) -> Response<ForwardBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let origin = || self.upstream.origin();
        // No client can have asked for it: `Upgrade` is not forwarded.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let text = format!("{} switched protocols without being asked to", origin());
            return refusal(StatusCode::BAD_GATEWAY, text);
        }
        if has_foreign_coding(response.headers()) && !response.body().is_end_stream() {
            let text = format!(
                "{} answered in a transfer coding other than chunked",
                origin()
            );
            return refusal(StatusCode::BAD_GATEWAY, text);
        }
        prepare_response(response.headers_mut());
        *response.version_mut() = Version::default();
        response.map(ForwardBody::stream)
    }

    /// The answer to a request that got none.
    fn failure(&self, error: &legacy::Error) -> Response<ForwardBody> {
        let timed_out = causes(error).any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        });
        let (status, what) = match (error.is_connect(), timed_out) {
            (true, true) => (StatusCode::GATEWAY_TIMEOUT, "cannot connect to"),
            (true, false) => (StatusCode::BAD_GATEWAY, "cannot connect to"),
            (false, _) => (StatusCode::BAD_GATEWAY, "no valid answer from"),
        };
        let mut text = format!("{what} {}", self.upstream.origin());
        // The outermost error says no more than that the client failed.
        for cause in causes(error).skip(1) {
            let _ = write!(text, ": {cause}");
        }
        refusal(status, text)
    }
}

impl<B> Service<Request<B>> for Forward
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.method() == Method::CONNECT {
            let text = "CONNECT is not forwarded".to_owned();
            return Box::pin(async { Ok(refusal(StatusCode::NOT_IMPLEMENTED, text)) });
        }
        if has_foreign_coding(request.headers()) {
            let text = "the request has a transfer coding other than chunked".to_owned();
            return Box::pin(async { Ok(refusal(StatusCode::NOT_IMPLEMENTED, text)) });
        }
        let forward = self.clone();
        Box::pin(async move {
            let request = match forward.prepare(request) {
                Ok(request) => request,
                Err(error) => return Ok(refusal(StatusCode::BAD_REQUEST, error.to_string())),
            };
            let body = request.body().clone();
            Ok(match forward.client.request(request).await {
                Ok(response) => forward.answer(response),
                Err(error) => match body.failure() {
                    Some(failure) => not_received(failure),
                    None => {
                        body.drain().await;
                        forward.failure(&error)
                    }
                },
            })
        })
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("endpoint", self.endpoint())
            .finish_non_exhaustive()
    }
}

/// Makes the answer to a request that is not forwarded.
pub(super) fn refusal<B: From<String>>(status: StatusCode, text: String) -> Response<B> {
    let mut response = Response::new(B::from(text));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// The answer to a request whose body did not arrive whole.
fn not_received(failure: RequestFailure) -> Response<ForwardBody> {
    match failure {
        RequestFailure::TooLarge => {
            let text = "the request's body is too large".to_owned();
            refusal(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        RequestFailure::Invalid(causes) => {
            let text = format!("the request's body is not valid: {causes}");
            refusal(StatusCode::BAD_REQUEST, text)
        }
        // The client does not read it. A layer sees by the failing body that this is no refusal.
        RequestFailure::ClientGone => {
            let mut response = Response::new(ForwardBody::broken());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    }
}

#[cfg(test)]
mod tests;
