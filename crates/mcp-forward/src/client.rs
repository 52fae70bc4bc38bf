//! The HTTP client that talks to the upstream.

use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::MAX_FIELDS;
use super::body::RequestBody;
use super::connect::Connector;

/// The limit, in bytes, of the fields of an HTTP/2 answer. hyper's default is 16 KiB.
const MAX_FIELD_BYTES: u32 = 400 * 1024;

/// How long an idle connection is kept. Servers on Node close theirs after 5 seconds. A request
/// that is sent while the server closes fails, and a POST cannot be retried.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long connecting may take: name look-up, TCP and TLS together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For name look-up, TCP and TLS together.
    pub(super) connect: Duration,
    /// How long an HTTP/2 connection with open streams may be silent before a ping, and how long
    /// the upstream may take to answer it. HTTP/1.1 has no pings.
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
}

pub(super) const LIMITS: Limits = Limits {
    connect: CONNECT_TIMEOUT,
    ping_interval: Duration::from_secs(30),
    ping_timeout: Duration::from_secs(20),
};

/// Returns a client with a pool of connections.
pub(super) fn client(connector: Connector, limits: Limits) -> Client<Connector, RequestBody> {
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_max_headers(MAX_FIELDS)
        .http2_max_header_list_size(MAX_FIELD_BYTES)
        .http2_keep_alive_interval(limits.ping_interval)
        .http2_keep_alive_timeout(limits.ping_timeout)
        .build(connector)
}
