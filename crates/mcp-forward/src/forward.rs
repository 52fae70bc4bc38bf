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
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper_util::client::legacy::{self, Client};
use rustls::ClientConfig;
use tower_service::Service;

use super::body::{RequestBody, RequestFailure};
use super::client::{self, LIMITS, Limits};
use super::connect::{self, Connector};
use super::headers::{self, has_foreign_coding, prepare_request, prepare_response};
use super::idle::IdleLimit;
use super::legacy::EndpointWatch;
use super::mount::{self, Mount, NoTarget};
use super::prefix::Prefix;
use super::refusal::refusal;
use super::upstream::{Unreachable, Upstream};
use super::{BoxError, ForwardBody, UpstreamError, causes};

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
    connector: Connector,
    upstream: Upstream,
    /// The scheme by which clients connect, if set.
    scheme: Option<Scheme>,
    /// Whether the upstream is known to speak HTTP/2.
    speaks_http2: Arc<AtomicBool>,
    mount: Option<Arc<Mount>>,
    /// Fields that every request to the upstream gets.
    added: Arc<HeaderMap>,
    answer_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
}

impl Forward {
    /// How long connecting may take: name look-up, TCP and TLS together.
    pub const CONNECT_TIMEOUT: Duration = client::CONNECT_TIMEOUT;

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
        let client = client::client(connector.clone(), limits);
        Self {
            client,
            connector,
            upstream,
            scheme: None,
            speaks_http2,
            mount: None,
            added: Arc::default(),
            answer_timeout: None,
            idle_timeout: None,
        }
    }

    /// Sets the prefix under which clients reach the upstream, whose own paths lack it.
    ///
    /// The [crate's documentation](crate#under-a-prefix) describes which paths change.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.mount = Some(Arc::new(Mount::new(prefix)));
        self
    }

    /// Sets fields that every request to the upstream gets, such as a key. They replace those of
    /// the client that have the same names.
    pub fn add_headers(mut self, headers: HeaderMap) -> Self {
        self.added = Arc::new(headers);
        self
    }

    /// Sets how long connecting may take; [10 seconds](Self::CONNECT_TIMEOUT) by default.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connector.set_limit(limit);
        self.client = client::client(self.connector.clone(), LIMITS);
        self
    }

    /// Sets how long the upstream may take to begin its answer; any time by default.
    ///
    /// The time begins with the request, so it includes connecting and sending the body. An
    /// upstream that answers a call of a tool with JSON begins its answer when the tool has ended.
    /// The client gets a 504.
    pub fn answer_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.answer_timeout = limit.into();
        self
    }

    /// Sets how long the upstream may be silent within its answer; any time by default.
    ///
    /// The answer then breaks off. An event stream is silent for as long as there are no events,
    /// unless the upstream sends comments to keep it alive.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = limit.into();
        self
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

    /// Connects to the upstream, and closes the connection.
    ///
    /// # Errors
    ///
    /// Fails if no connection can be made, TLS handshake included, within the time limit for
    /// connecting.
    pub async fn check(&self) -> Result<(), Unreachable> {
        let connected = self.connector.clone().call(self.endpoint().clone()).await;
        connected.map(drop).map_err(|source| Unreachable {
            origin: self.upstream.origin(),
            source,
        })
    }

    /// Returns the upstream's URL without its query, which may hold a key.
    pub fn endpoint(&self) -> &Uri {
        self.upstream.endpoint()
    }

    /// Converts a request into the one for the upstream, and returns another target to try if the
    /// first is absent.
    fn prepare<B>(&self, request: Request<B>) -> Result<Prepared, NoTarget>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        let targets = match &self.mount {
            Some(mount) => mount.targets(&self.upstream, &parts.uri)?,
            None => self
                .upstream
                .target(&parts.uri)
                .map_err(NoTarget::Invalid)?
                .into(),
        };
        let has_body = !body.is_end_stream();
        let length_is_unknown = body.size_hint().exact().is_none() && has_body;
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
        if let Some(mount) = &self.mount {
            mount.prefix.prepare_request(&mut parts.headers);
        }
        if !self.added.is_empty() {
            // Replaces values of the same name.
            parts.headers.extend((*self.added).clone());
        }
        // Each connection has its own version. The extensions belong to the server that calls
        // this service.
        let mut forwarded = Request::new(RequestBody::new(body));
        *forwarded.uri_mut() = targets.first;
        *forwarded.method_mut() = parts.method;
        *forwarded.headers_mut() = parts.headers;
        Ok(Prepared {
            request: forwarded,
            second: targets.second.filter(|_| !has_body),
        })
    }

    /// Converts the upstream's answer into the one for the client.
    fn answer<B>(&self, mut response: Response<B>, asked: &Asked) -> Response<ForwardBody>
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
        let is_watched = self.mount.as_ref().is_some_and(|mount| {
            let own = self
                .endpoint()
                .authority()
                .map(|host| host.as_str().as_bytes());
            let client = asked.host.as_ref().map(HeaderValue::as_bytes);
            mount
                .prefix
                .prepare_response(response.headers_mut(), [own, client]);
            asked.is_get && is_event_stream(&response) && !mount.is_legacy()
        });
        let response = response.map(|body| match self.idle_timeout {
            Some(limit) => ForwardBody::stream(IdleLimit::new(body, limit)),
            None => ForwardBody::stream(body),
        });
        match &self.mount {
            Some(mount) if is_watched => {
                let (mount, origin) = (Arc::clone(mount), origin());
                let found = move || mount.warn_of_legacy(&origin);
                response.map(|body| ForwardBody::stream(EndpointWatch::new(body, found)))
            }
            _ => response,
        }
    }

    async fn send(&self, request: Request<RequestBody>, asked: &Asked) -> Response<ForwardBody> {
        let body = request.body().clone();
        let answered = self.client.request(request);
        let answered = match self.answer_timeout {
            Some(limit) => match tokio::time::timeout(limit, answered).await {
                Ok(answered) => answered,
                Err(_) => {
                    body.drain().await;
                    let origin = self.upstream.origin();
                    let text = format!("no answer from {origin} within {limit:?}");
                    return refusal(StatusCode::GATEWAY_TIMEOUT, text);
                }
            },
            None => answered.await,
        };
        match answered {
            Ok(response) => self.answer(response, asked),
            Err(error) => match body.failure() {
                Some(failure) => not_received(failure),
                None => {
                    body.drain().await;
                    self.failure(&error)
                }
            },
        }
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
            let Prepared { request, second } = match forward.prepare(request) {
                Ok(prepared) => prepared,
                Err(reason) => return Ok(not_forwarded(reason)),
            };
            let asked = Asked::of(&request);
            let Some(second) = second else {
                return Ok(forward.send(request, &asked).await);
            };
            let mut again = Request::new(request.body().clone());
            *again.uri_mut() = second;
            *again.method_mut() = request.method().clone();
            *again.headers_mut() = request.headers().clone();
            let response = forward.send(request, &asked).await;
            if !mount::is_absent(response.status()) {
                return Ok(response);
            }
            Ok(forward.send(again, &asked).await)
        })
    }
}

/// A request for the upstream.
struct Prepared {
    request: Request<RequestBody>,
    /// Where to send it, too, if the upstream has nothing at the first target.
    second: Option<Uri>,
}

/// What the answer depends on.
struct Asked {
    is_get: bool,
    /// The host by which clients reach the proxy, if the answer may have to name it.
    host: Option<HeaderValue>,
}

impl Asked {
    fn of(request: &Request<RequestBody>) -> Self {
        Self {
            is_get: request.method() == Method::GET,
            host: request.headers().get(headers::FORWARDED_HOST).cloned(),
        }
    }
}

/// Returns the answer to a request that has no target.
fn not_forwarded(reason: NoTarget) -> Response<ForwardBody> {
    match reason {
        NoTarget::Invalid(error) => refusal(StatusCode::BAD_REQUEST, error.to_string()),
        NoTarget::OtherPath => refusal(StatusCode::NOT_FOUND, "no server has this path".to_owned()),
    }
}

fn is_event_stream<B>(response: &Response<B>) -> bool {
    let media = response.headers().get(CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes().starts_with(b"text/event-stream"))
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
