//! A streaming reverse proxy for MCP servers over HTTP, as a [tower](https://docs.rs/tower)
//! service.
//!
//! [`Forward`] sends each request to an upstream MCP server and hands the answer back as it
//! arrives. Put any tower layer on it, such as one that records or one that authenticates, and
//! it works for servers in every language:
//!
//! ```no_run
//! use axum::Router;
//! use mcp_forward::{AllowedHosts, Forward};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let forward = Forward::new("https://mcp.example.com/mcp")?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! let hosts = AllowedHosts::new(listener.local_addr()?, []);
//! let app: Router = Router::new().fallback_service(forward).layer(hosts);
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where a request goes
//!
//! Always to the upstream's host. **Its path stays as it is**, so that
//! everything in which a server names its own paths keeps working: OAuth
//! metadata under `/.well-known/`, redirects, cookies, and the `endpoint` event
//! of the 2024-11-05 transport (`/sse`, then `/messages?sessionId=...`). One path
//! is special, that of the upstream's URL, the MCP endpoint:
//!
//! * a request for `/` goes to the endpoint;
//! * a query in the upstream's URL (some hosts take a key there) is put in front
//!   of the request's own, on requests for the endpoint and on no other.
//!
//! | upstream | request | goes to |
//! |---|---|---|
//! | `http://127.0.0.1:9000/mcp` | `/mcp` | `http://127.0.0.1:9000/mcp` |
//! | | `/` | `http://127.0.0.1:9000/mcp` |
//! | | `/.well-known/oauth-protected-resource/mcp` | `http://127.0.0.1:9000/.well-known/oauth-protected-resource/mcp` |
//! | `http://127.0.0.1:9000` | `/messages?sessionId=1` | `http://127.0.0.1:9000/messages?sessionId=1` |
//! | `https://example.com/v1/mcp?key=k` | `/v1/mcp?a=1` | `https://example.com/v1/mcp?key=k&a=1` |
//!
//! # What is changed on the way
//!
//! * The hop-by-hop fields of RFC 9110, section 7.6.1, are removed in both
//!   directions: `Connection` and what it names, `Keep-Alive`, `TE`, `Transfer-Encoding`,
//!   `Upgrade` and the `Proxy-*` fields of authentication. A client's `TE: trailers` is sent
//!   to the upstream, in HTTP/1.1 with `Connection: te`. The first request to an
//!   HTTP/2 upstream goes without it.
//! * A `Content-Length` beside a `Transfer-Encoding` is removed, as the coding overrides it
//!   (RFC 9112, section 6.3). Equal lengths become one.
//! * Several `Cookie` fields, as HTTP/2 clients may send them, become one (RFC 9113, section
//!   8.2.3).
//! * `Host` names the upstream, which then cannot see that a web page has rebound its name to
//!   this machine. So a proxy on loopback needs [`AllowedHosts`].
//!   `X-Forwarded-Host` and `X-Forwarded-Proto` tell what the client asked for, unless a
//!   proxy in front has told it already; the latter only if the request's URI has a scheme
//!   or [`Forward::client_scheme`] is set.
//!   `X-Forwarded-For` is extended where the server puts the client's
//!   [`SocketAddr`](std::net::SocketAddr) into the request's extensions.
//!
//! Everything else passes untouched: bodies frame by frame and trailers, methods,
//! statuses, `Authorization`, `Cookie`, `Mcp-*`, `Last-Event-ID`, `Accept-Encoding`.
//! Redirects are not followed and compressed bodies are not decoded. A body whose length is
//! known keeps its `Content-Length`.
//!
//! # When the upstream fails
//!
//! The service itself never fails. A server that cannot be reached, or that
//! answers with something that is not HTTP, becomes a 502 whose `text/plain` body
//! names the cause; one to which no connection is made within
//! [10 seconds](Forward::CONNECT_TIMEOUT) becomes a 504. Before either is answered, the rest of
//! the request is read, so that a layer knows what was asked. An answer that breaks
//! off is an error of the response body, so that the client sees that it is incomplete.
//! A request that is dropped, or whose response body is, ends the exchange with the upstream too.
//! An HTTP/2 upstream is pinged after 30 seconds of silence on open streams, which break off
//! if it does not answer within 20 more.
//! There is no other time limit: an MCP stream may be silent for hours.
//!
//! # When the client fails
//!
//! A request whose body is not valid, such as one with broken chunks, becomes a 400 that names
//! the cause, and one that a layer finds too large a 413. A client that ends its connection
//! within its request gets no answer: the body of the response fails.
//!
//! # What is not forwarded
//!
//! Upgrades (WebSocket): the `Upgrade` field is hop-by-hop, so the upstream sees an ordinary
//! request. `CONNECT` is answered with 501, and so is a request in a transfer coding other than
//! `chunked`. An answer in such a coding becomes a 502, and so does one with more than 512
//! fields (in HTTP/2 with more than 400 KiB of them). HTTP/2 is spoken to `https` upstreams
//! that offer it, not to `http` ones. Environment variables such as `HTTPS_PROXY` are not read.
//!
//! # TLS
//!
//! Certificates are checked against the platform's roots, which are read when
//! [`Forward::new`] is given an `https` URL. To trust another authority as well, point
//! `SSL_CERT_FILE` or `SSL_CERT_DIR` to its certificates.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::error::Error;

mod body;
mod connect;
mod forward;
mod headers;
mod host;
#[cfg(feature = "server")]
mod server;
mod upstream;

pub use body::ForwardBody;
pub use forward::Forward;
pub use host::{AllowedHosts, HostCheck, HostCheckFuture, HostName, InvalidHostName};
#[cfg(feature = "server")]
#[cfg_attr(docsrs, doc(cfg(feature = "server")))]
pub use server::serve;
pub use upstream::{UpstreamError, UpstreamErrorKind};

/// How many fields the head of an HTTP/1.1 message may have. hyper's own limit is 100, which is
/// less than servers admit.
const MAX_FIELDS: usize = 512;

type BoxError = Box<dyn Error + Send + Sync>;

/// Returns an error and everything that caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
