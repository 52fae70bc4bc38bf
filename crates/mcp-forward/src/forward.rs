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
use http::header::CONTENT_LENGTH;
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
use super::refusal::refusal;
use super::upstream::Upstream;
use super::{BoxError, ForwardBody, MAX_FIELDS, UpstreamError, causes};

/// The limit, in bytes, of the fields of an HTTP/2 answer. hyper's default is 16 KiB.
const MAX_FIELD_BYTES: u32 = 400 * 1024;

/// How long an idle connection is kept. Servers on Node close theirs after 5 seconds. A request
/// that is sent while the server closes fails, and a POST cannot be retried.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Time limits.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// For name look-up, TCP and TLS together.
    connect: Duration,
    /// How long an HTTP/2 connection with open streams may be silent before a ping, and how long
    /// the upstream may take to answer it. HTTP/1.1 has no pings.
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
/// Clones share connections. Calls need a tokio runtime.
/// The [crate's documentation](crate) describes where a request goes, what changes on the way,
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
    /// The scheme by which clients connect, if set.
    scheme: Option<Scheme>,
    /// Whether the upstream is known to speak HTTP/2.
    speaks_http2: Arc<AtomicBool>,
}

impl Forward {
    /// How long connecting may take: name look-up, TCP and TLS together.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Returns a service that forwards to the server at an `http` or `https` URL.
    ///
    /// The service connects at the first request.
    ///
    /// # Errors
    ///
    /// Fails if the text is not such a URL, or if it is an `https` one and the machine has no
    /// root certificates.
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
    /// `X-Forwarded-Proto` carries it if the request's URI has no scheme, as is usual in
    /// HTTP/1.1. Without this setting the field is then absent, because another server may
    /// terminate TLS in front of this one.
    pub fn client_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// Returns the upstream's URL without its query, which may hold a key.
    pub fn endpoint(&self) -> &Uri {
        self.upstream.endpoint()
    }

    /// Converts a request into the one for the upstream.
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
        // Each connection has its own version. The extensions belong to the server that calls
        // this service.
        let mut forwarded = Request::new(RequestBody::new(body));
        *forwarded.uri_mut() = self.upstream.target(&parts.uri)?;
        *forwarded.method_mut() = parts.method;
        *forwarded.headers_mut() = parts.headers;
        Ok(forwarded)
    }

    /// Converts the upstream's answer into the one for the client.
    fn answer<B>(&self, mut response: Response<B>) -> Response<ForwardBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let origin = || self.upstream.origin();
        // No client can have requested it: `Upgrade` is not forwarded.
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

    /// Returns the answer to a request that the upstream did not answer.
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
        // The outermost error says only that the client failed.
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

/// Returns the answer to a request whose body is incomplete.
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
        // The client does not read it. The failing body shows to a layer that this is no refusal.
        RequestFailure::ClientGone => {
            let mut response = Response::new(ForwardBody::broken());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    }
}

#[cfg(test)]
mod tests;
