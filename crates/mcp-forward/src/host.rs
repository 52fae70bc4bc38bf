//! Refuses requests for hosts that the proxy does not serve.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, StatusCode, Uri};
use mcp_http_host::{HostName, RefusedHost};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::refusal::refusal;

/// A layer that refuses requests for foreign hosts, against DNS rebinding.
///
/// A web page can make its own name resolve to 127.0.0.1 and then reach servers on the
/// user's machine. Its requests still carry that name in `Host`. [`Forward`](super::Forward)
/// replaces `Host`, so the upstream cannot refuse such requests. This layer does.
///
/// On a loopback address the layer admits loopback names, the address itself and the hosts
/// that [`AllowedHosts::new`] is given, each with any port. On any other address it admits
/// all hosts, unless it is given some. Every host that a request names must be admitted:
/// the host of its URI (`:authority` in HTTP/2) and that of its `Host` field. A request that
/// names no host is refused.
///
/// A refusal is a 403 whose `text/plain` body names the host and the option `--allow-host` of
/// `mcp-store proxy`. The layer does not read the request's body.
///
/// ```
/// use axum::Router;
/// use mcp_forward::{AllowedHosts, Forward};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let hosts = AllowedHosts::new(listener.local_addr()?, ["mcp.example.com".parse()?]);
/// let forward = Forward::new("http://127.0.0.1:9000/mcp")?;
/// let app: Router = Router::new().fallback_service(forward).layer(hosts);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    /// `None` admits every host.
    hosts: Option<Arc<[HostName]>>,
}

impl AllowedHosts {
    /// Returns the layer for a server that listens at `listening` and also answers for `others`.
    pub fn new(listening: SocketAddr, others: impl IntoIterator<Item = HostName>) -> Self {
        let mut hosts: Vec<HostName> = others.into_iter().collect();
        let ip = listening.ip().to_canonical();
        let checked = ip.is_loopback() || !hosts.is_empty();
        if !ip.is_unspecified() {
            hosts.push(ip.into());
        }
        Self {
            hosts: checked.then(|| hosts.into()),
        }
    }

    /// Checks every host that a request names.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), RefusedHost> {
        match &self.hosts {
            Some(hosts) => mcp_http_host::check(hosts, uri, headers),
            None => Ok(()),
        }
    }
}

/// Returns the text of a refusal, with what to do.
fn text(refused: &RefusedHost) -> String {
    match refused {
        RefusedHost::Other(host) => {
            format!("{refused}; to allow it, start the proxy with --allow-host {host}")
        }
        _ => refused.to_string(),
    }
}

impl<S> Layer<S> for AllowedHosts {
    type Service = HostCheck<S>;

    fn layer(&self, inner: S) -> HostCheck<S> {
        HostCheck {
            hosts: self.clone(),
            inner,
        }
    }
}

/// The service of [`AllowedHosts`].
#[derive(Debug, Clone)]
pub struct HostCheck<S> {
    hosts: AllowedHosts,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for HostCheck<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HostCheckFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let checked = self.hosts.check(request.uri(), request.headers());
        HostCheckFuture {
            answer: match checked {
                Ok(()) => Answer::Admitted {
                    inner: self.inner.call(request),
                },
                Err(refused) => Answer::Refused {
                    response: Some(refusal(StatusCode::FORBIDDEN, text(&refused))),
                },
            },
        }
    }
}

pin_project! {
    /// The response future of [`HostCheck`].
    #[must_use = "futures do nothing unless polled"]
    pub struct HostCheckFuture<F, R> {
        #[pin]
        answer: Answer<F, R>,
    }
}

pin_project! {
    #[project = AnswerProjected]
    enum Answer<F, R> {
        Admitted { #[pin] inner: F },
        Refused { response: Option<Response<R>> },
    }
}

impl<F, R, E> Future for HostCheckFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProjected::Admitted { inner } => inner.poll(cx),
            AnswerProjected::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}

impl<F, R> fmt::Debug for HostCheckFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCheckFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
