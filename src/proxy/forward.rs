use std::convert::Infallible;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::body::RequestBody;
use super::connect::{self, Connector};
use super::headers::{prepare_request, strip_hop_by_hop};
use super::upstream::Upstream;
use super::{BoxError, ForwardBody, UpstreamError};

/// How long an idle connection is kept. Node's servers close theirs after 5
/// seconds; a request that meets the close on its way fails and, being a POST,
/// cannot be repeated.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Sends every request to an upstream server and streams the answer back.
///
/// A clone shares the connections. It has to be called within a tokio runtime.
/// The [module's documentation](super) tells where a request goes, what is changed on the way
/// and how failures look.
///
/// ```
/// use tower_mcp_store::proxy::Forward;
///
/// let forward = Forward::new("http://127.0.0.1:9000/mcp?key=secret")?;
/// assert_eq!(forward.endpoint(), "http://127.0.0.1:9000/mcp");
///
/// let error = Forward::new("127.0.0.1:9000").unwrap_err();
/// assert_eq!(error.to_string(), "the upstream's URL has to start with http:// or https://");
/// # Ok::<(), tower_mcp_store::proxy::UpstreamError>(())
/// ```
#[derive(Clone)]
pub struct Forward {
    client: Client<Connector, RequestBody>,
    upstream: Upstream,
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
        Self::with_connect_timeout(upstream, Self::CONNECT_TIMEOUT)
    }

    fn with_connect_timeout(upstream: &str, limit: Duration) -> Result<Self, UpstreamError> {
        let upstream = Upstream::parse(upstream)?;
        let tls = connect::tls_config(upstream.is_https())?;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(Connector::new(tls, limit));
        Ok(Self { client, upstream })
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
        let client = parts.extensions.get::<SocketAddr>().copied();
        prepare_request(&mut parts.headers, &parts.uri, client);
        // The version is a matter of each connection, and the extensions are
        // those of the server that we run in.
        let mut forwarded = Request::new(RequestBody::new(body));
        *forwarded.uri_mut() = self.upstream.target(&parts.uri)?;
        *forwarded.method_mut() = parts.method;
        *forwarded.headers_mut() = parts.headers;
        Ok(forwarded)
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
        let forward = self.clone();
        Box::pin(async move {
            let request = match forward.prepare(request) {
                Ok(request) => request,
                Err(error) => return Ok(refusal(StatusCode::BAD_REQUEST, error.to_string())),
            };
            let body = request.body().clone();
            Ok(match forward.client.request(request).await {
                // Nobody asked for another protocol: `Upgrade` is not forwarded.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let origin = forward.upstream.origin();
                    let text = format!("{origin} switched protocols without being asked to");
                    refusal(StatusCode::BAD_GATEWAY, text)
                }
                Ok(mut response) => {
                    strip_hop_by_hop(response.headers_mut());
                    *response.version_mut() = Version::default();
                    response.map(ForwardBody::stream)
                }
                Err(error) => {
                    body.drain().await;
                    forward.failure(&error)
                }
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

/// An error and everything that caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, StatusCode};
    use http_body_util::{BodyExt, Empty};
    use tokio::net::TcpListener;
    use tower_service::Service;

    use super::Forward;

    #[test]
    fn the_service_and_its_future_can_be_sent_and_cloned() {
        fn service<S: Service<Request<Empty<Bytes>>, Future: Send> + Clone + Send + Sync>() {}
        service::<Forward>();
    }

    /// The system accepts the connection, and nobody shakes hands.
    #[tokio::test]
    async fn a_stuck_handshake_is_a_504_after_the_connect_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let mut forward = Forward::with_connect_timeout(&url, Duration::from_millis(50)).unwrap();

        let response = forward
            .call(Request::new(Empty::<Bytes>::new()))
            .await
            .unwrap();

        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let expected = format!("cannot connect to {url}: no connection within 50ms");
        assert_eq!(text, expected);
    }
}
