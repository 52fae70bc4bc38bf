//! Refuses requests for hosts that the proxy does not serve.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
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
            hosts.push(HostName(Name::Ip(ip)));
        }
        Self {
            hosts: checked.then(|| hosts.into()),
        }
    }

    /// Checks every host that a request names.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), RefusedHost> {
        let Some(hosts) = &self.hosts else {
            return Ok(());
        };
        let mut named = false;
        if let Some(authority) = uri.authority() {
            named = true;
            admit(hosts, authority)?;
        }
        for host in headers.get_all(HOST) {
            named = true;
            let authority = Authority::try_from(host.as_bytes());
            admit(hosts, &authority.map_err(|_| RefusedHost::Invalid)?)?;
        }
        named.then_some(()).ok_or(RefusedHost::Missing)
    }
}

fn admit(hosts: &[HostName], authority: &Authority) -> Result<(), RefusedHost> {
    let name = host_of(authority).ok_or(RefusedHost::Invalid)?;
    let is_admitted = match name.parse() {
        Ok(ip) => is_loopback(ip) || hosts.iter().any(|host| host.is_ip(ip)),
        Err(_) => name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|host| host.is(name)),
    };
    match is_admitted {
        true => Ok(()),
        false => Err(RefusedHost::Other(name.into())),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Returns the host, without the brackets of an IPv6 address and the dot of the DNS root.
///
/// Returns `None` if the authority has a user name or an invalid port, which a `Host` cannot
/// have.
fn host_of(authority: &Authority) -> Option<&str> {
    if authority.as_str().contains('@') || !has_valid_port(authority) {
        return None;
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    let bare = bare.unwrap_or_else(|| host.strip_suffix('.').unwrap_or(host));
    (!bare.is_empty()).then_some(bare)
}

/// Returns whether the port, if there is one, is from 0 to 65535. Parsing an [`Authority`] does
/// not check that. The authority must have no user name.
pub(super) fn has_valid_port(authority: &Authority) -> bool {
    let port = authority.as_str().get(authority.host().len()..);
    port.is_none_or(|port| port.len() <= 1) || authority.port_u16().is_some()
}

/// A host name or an IP address, without a port, for [`AllowedHosts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(Name);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Ip(IpAddr),
    /// In lower case.
    Dns(Box<str>),
}

impl HostName {
    fn is_ip(&self, ip: IpAddr) -> bool {
        self.0 == Name::Ip(ip.to_canonical())
    }

    fn is(&self, name: &str) -> bool {
        matches!(&self.0, Name::Dns(own) if own.eq_ignore_ascii_case(name))
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(Name::Ip(ip.to_canonical())));
        }
        let authority: Authority = text.parse().map_err(|_| InvalidHostName(()))?;
        let name = host_of(&authority).ok_or(InvalidHostName(()))?;
        if authority.as_str().len() != authority.host().len() {
            return Err(InvalidHostName(()));
        }
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(Self(Name::Ip(ip.to_canonical())));
        }
        // A pattern such as `*.example.com` would match no host.
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match name.chars().all(is_name) {
            true => Ok(Self(Name::Dns(name.to_ascii_lowercase().into()))),
            false => Err(InvalidHostName(())),
        }
    }
}

/// The error of parsing a [`HostName`].
#[derive(Debug)]
pub struct InvalidHostName(());

impl fmt::Display for InvalidHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host without a port, such as mcp.example.com or 192.0.2.1")
    }
}

impl Error for InvalidHostName {}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
enum RefusedHost {
    Missing,
    Invalid,
    Other(Box<str>),
}

impl fmt::Display for RefusedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the request names no host"),
            Self::Invalid => f.write_str("the request's host is not valid"),
            Self::Other(name) => write!(
                f,
                "the host {name} is not allowed; to allow it, start the proxy with \
                 --allow-host {name}"
            ),
        }
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
                    response: Some(refusal(StatusCode::FORBIDDEN, refused.to_string())),
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
