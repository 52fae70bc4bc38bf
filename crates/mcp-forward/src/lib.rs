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
//! Every request goes to the upstream's host, and **its path does not change**. A server may
//! name its own paths in OAuth metadata under `/.well-known/`, in redirects, in cookies, and in
//! the `endpoint` event of the 2024-11-05 transport (`/sse`, then `/messages?sessionId=...`).
//! All of these keep working. The path of the upstream's URL, the MCP endpoint, has two rules:
//!
//! * A request for `/` goes to the endpoint.
//! * The upstream's URL may have a query, such as a key. It precedes the query of a request for
//!   the endpoint. Other requests do not get it.
//!
//! | upstream | request | goes to |
//! |---|---|---|
//! | `http://127.0.0.1:9000/mcp` | `/mcp` | `http://127.0.0.1:9000/mcp` |
//! | | `/` | `http://127.0.0.1:9000/mcp` |
//! | | `/.well-known/oauth-protected-resource/mcp` | `http://127.0.0.1:9000/.well-known/oauth-protected-resource/mcp` |
//! | `http://127.0.0.1:9000` | `/messages?sessionId=1` | `http://127.0.0.1:9000/messages?sessionId=1` |
//! | `https://example.com/v1/mcp?key=k` | `/v1/mcp?a=1` | `https://example.com/v1/mcp?key=k&a=1` |
//!
//! # Under a prefix
//!
//! [`Forward::prefix`] lets several upstreams share one address. A path loses the prefix on its
//! way to the upstream, and a request for the prefix itself goes to the endpoint. These change,
//! too:
//!
//! * `X-Forwarded-Prefix` carries the prefix, unless an earlier proxy has set it.
//! * A redirect (`Location`) to a path of the upstream gets the prefix.
//! * OAuth metadata are at `/.well-known/NAME` followed by the path of what they describe (RFC
//!   9728, section 3.1, and RFC 8414, section 3.1). A request for
//!   `/.well-known/oauth-protected-resource/weather/mcp` goes to that path of the upstream of
//!   `/weather`, which is right if the server knows its public URL. If the answer is a 404 or
//!   405, the request goes to `/.well-known/oauth-protected-resource/mcp`.
//! * Any other path is a 404.
//!
//! The `Path` of a cookie gets the prefix, too, unless the name of the cookie begins with
//! `__Host-`, which demands the path `/` (RFC 6265bis, section 4.1.3.2). So upstreams at one
//! address do not get each other's cookies.
//!
//! The `resource_metadata` of a `WWW-Authenticate` field does not change, because a changed one
//! would be of no use: the metadata there name the resource, and a client must not use them if
//! that is not the URL to which it sends requests (RFC 9728, section 3.3). An upstream with OAuth
//! must know its public URL.
//!
//! The 2024-11-05 transport needs an address of its own:
//! its `endpoint` event names a path without the prefix. The first such event is logged as a
//! warning.
//!
//! # What is changed on the way
//!
//! * Hop-by-hop fields (RFC 9110, section 7.6.1) are removed in both directions: `Connection`
//!   and the fields it names, `Keep-Alive`, `TE`, `Transfer-Encoding`, `Upgrade` and the
//!   `Proxy-*` fields of authentication. `TE: trailers` of a client reaches the upstream, in
//!   HTTP/1.1 with `Connection: te`. The first request to an HTTP/2 upstream lacks it.
//! * A `Content-Length` beside a `Transfer-Encoding` is removed, because the coding overrides it
//!   (RFC 9112, section 6.3). Several equal lengths become one.
//! * Several `Cookie` fields, which HTTP/2 clients may send, become one (RFC 9113, section
//!   8.2.3).
//! * `Host` names the upstream. The upstream then cannot see that a web page has rebound its
//!   name to this machine, so a proxy on loopback needs [`AllowedHosts`].
//! * `X-Forwarded-Host` and `X-Forwarded-Proto` carry the client's host and scheme, unless an
//!   earlier proxy has set them. The scheme is known if the request's URI has one or
//!   [`Forward::client_scheme`] is set.
//! * `X-Forwarded-For` gets the client's address if the server puts the client's
//!   [`SocketAddr`](std::net::SocketAddr) into the request's extensions.
//!
//! Everything else passes unchanged: bodies frame by frame and trailers, methods,
//! statuses, `Authorization`, `Cookie`, `Mcp-*`, `Last-Event-ID`, `Accept-Encoding`.
//! The service follows no redirects and decodes no compressed bodies. A body of known length
//! keeps its `Content-Length`.
//!
//! # When the upstream fails
//!
//! The service itself never fails. If the upstream cannot be reached, or answers with something
//! other than HTTP, the client gets a 502 whose `text/plain` body names the cause. If connecting
//! takes longer than [10 seconds](Forward::CONNECT_TIMEOUT), the client gets a 504. Before it
//! answers either, the service reads the rest of the request, so that a layer sees all of it.
//!
//! If an answer breaks off, the response body returns an error, so that the client sees that it
//! is incomplete. Dropping the response future or the response body ends the exchange with the
//! upstream.
//!
//! The service pings an HTTP/2 upstream after 30 seconds of silence on open streams, and ends
//! them if no answer comes within 20 more. There is no other time limit, because an MCP stream
//! may be silent for hours, unless one is set: [`Forward::answer_timeout`] for the start of an
//! answer, which becomes a 504, and [`Forward::idle_timeout`] for silence within it.
//!
//! # When the client fails
//!
//! A request with an invalid body, such as broken chunks, is answered with a 400 that names the
//! cause. If a layer finds the body too large, the answer is a 413. If the client closes its
//! connection within its request, the response body returns an error at once.
//!
//! # What is not forwarded
//!
//! * Upgrades, such as to WebSocket: the `Upgrade` field is hop-by-hop, so the upstream sees an
//!   ordinary request.
//! * `CONNECT`, and requests in a transfer coding other than `chunked`: the answer is a 501.
//! * Answers in such a coding, or with more than 512 fields (in HTTP/2: more than 400 KiB of
//!   fields): the client gets a 502.
//!
//! The service speaks HTTP/2 to `https` upstreams that offer it, and HTTP/1.1 to `http`
//! upstreams. It does not read environment variables such as `HTTPS_PROXY`.
//!
//! # TLS
//!
//! Certificates are verified by the platform's roots. [`Forward::new`] reads them if its URL is
//! an `https` one. To trust another authority, point `SSL_CERT_FILE` or `SSL_CERT_DIR` to its
//! certificates.
//!
//! # Modules
//!
//! Imports run one way: `refusal` < `host` < `upstream` < `connect` < `client` < `forward`, which also
//! uses `body`, `headers`, `idle`, `legacy` and `prefix` < `mount`. `server` uses `tls`.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::error::Error;

mod body;
mod client;
mod connect;
mod forward;
mod headers;
mod host;
mod idle;
mod legacy;
mod mount;
mod prefix;
mod refusal;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod tls;
mod upstream;

pub use body::ForwardBody;
pub use forward::Forward;
pub use host::{AllowedHosts, HostCheck, HostCheckFuture};
pub use mcp_http_host::{HostName, InvalidHostName};
pub use prefix::{InvalidPrefix, Prefix};
#[cfg(feature = "server")]
#[cfg_attr(docsrs, doc(cfg(feature = "server")))]
pub use server::{Server, serve};
#[cfg(feature = "server")]
#[cfg_attr(docsrs, doc(cfg(feature = "server")))]
pub use tls::{KeyCheck, TlsFiles, TlsFilesError};
pub use upstream::{Unreachable, UpstreamError, UpstreamErrorKind};

/// How many fields the head of an HTTP/1.1 message may have. hyper's own limit is 100, which is
/// less than servers admit.
const MAX_FIELDS: usize = 512;

type BoxError = Box<dyn Error + Send + Sync>;

/// Returns an error and everything that caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Compiles the example of the README.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
