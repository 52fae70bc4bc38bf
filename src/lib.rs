//! Records the traffic of any MCP server over HTTP into SQLite: who called
//! which tool, when, how long it took, and how it ended.
//!
//! [`StoreLayer`] is a [tower](https://docs.rs/tower) layer for any service
//! that speaks the [Model Context Protocol](https://modelcontextprotocol.io)
//! over HTTP, made with axum, tower-mcp, rmcp or bare hyper. It reads the
//! bodies that stream through, changes and holds back nothing, and hands what
//! it saw to one writer thread, which owns the SQLite file.
//!
//! ```no_run
//! use axum::{Router, routing::post};
//! use tower_mcp_store::StoreLayer;
//!
//! # async fn mcp() {}
//! # async fn serve() -> std::io::Result<()> {
//! let app = Router::new()
//!     .route("/mcp", post(mcp))
//!     .layer(StoreLayer::new("mcp-store.db"));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! Then ask the file:
//!
//! ```text
//! sqlite3 mcp-store.db "SELECT method, tool, status, latency_us FROM requests"
//! ```
//!
//! or a [`query::Reader`], or the command `mcp-store`, which is a crate of its own.
//!
//! A server in another language is recorded through the streaming reverse proxy of the crate
//! `mcp-forward`, with this layer on it.
//!
//! # How it works
//!
//! ```text
//!                 ┌──────────────── the server's process ────────────────┐
//!   client ──────>│ StoreLayer ──────────────> the MCP service           │
//!          <──────│     │  (bytes pass first,   (axum, tower-mcp, rmcp)  │
//!                 │     │   then are looked at)                          │
//!                 │     v                                                │
//!                 │ StoreEvent ──> queue ──> writer thread ──> SQLite    │
//!                 └──────────────────────────────────────────────────────┘
//! ```
//!
//! [`StoreLayer::new`] opens the file in the background and cannot fail; it is
//! the one line for a start. In production, open the [`Store`] first, so that a
//! wrong path is an error at the start, and shut it down last, so that every
//! row is in the file:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use tower_mcp_store::Store;
//! # async fn signal() {}
//! # async fn serve(transport: axum::Router, listener: tokio::net::TcpListener)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open("mcp-store.db")?;
//! let app = transport.layer(store.layer().server_name("weather"));
//! axum::serve(listener, app).with_graceful_shutdown(signal()).await?;
//! let stats = store.shutdown(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a row is
//!
//! One row of `requests` for each JSON-RPC request that a client sends by POST,
//! batches included, whatever ends it: an answer as JSON or in an event stream,
//! an HTTP error, an error or panic of the service, a caller that leaves, the
//! shutdown of the store. Notifications, the client's answers to the server's
//! own requests, GET streams and traffic that is not JSON-RPC make no row. Nor
//! does a request that the HTTP server hands to no layer: one whose client closes
//! the connection the instant it has sent it, where the server sees the end first.
//!
//! `status` tells whether a JSON-RPC result came (`ok`), an error of whatever
//! kind (`error`), or whether somebody gave up waiting (`timeout`); see
//! [`RequestStatus`]. A tool that failed is `ok` with `tool_error` 1, because
//! the call succeeded. What is not an ordinary answer has an
//! [`end_reason`](EndReason).
//!
//! Latency runs from the service being called until the last byte of the
//! response *message* has passed: in an event stream that is neither the head
//! nor the end of the stream.
//!
//! # What is never recorded
//!
//! Bodies, arguments, results other than the listings below, and headers other
//! than `Mcp-Session-Id`, `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and
//! `traceparent`. The texts of errors are, unless
//! [`record_error_text(false)`](StoreLayer::record_error_text). The first text of a failing
//! tool's result is not, unless
//! [`record_tool_error_text(true)`](StoreLayer::record_tool_error_text).
//! `Authorization` tells callers apart in memory, through a hash with a random
//! key, and leaves no trace in the file. Session ids can be
//! [hashed](StoreBuilder::hash_session_ids).
//!
//! # How long it is kept
//!
//! 30 days and 1 GiB, unless [`StoreBuilder::retention`] says otherwise. The
//! writer removes what is beyond that, a little at a time, and gives the space
//! back; statistics per hour and day outlive the rows. [`maintenance`] does the
//! same when asked.
//!
//! # What the server offers
//!
//! What a server answers to `initialize`, `server/discover` and the `list`
//! methods is kept with its history: the newest content of each listing, and
//! each item that was added, removed or modified, unless
//! [`max_listing_bytes(0)`](StoreLayer::max_listing_bytes).
//! [`Reader::compare`](query::Reader::compare) tells what two moments differ in
//! and what that means for clients, [`Reader::change_impacts`](query::Reader::change_impacts)
//! how the calls of a tool went before and after it changed.
//!
//! # Where the layer goes
//!
//! On the HTTP side of the server, among its other layers like this:
//!
//! ```
//! # use std::time::Duration;
//! # use axum::extract::Request;
//! # use axum::middleware::{Next, from_fn};
//! # use axum::response::{IntoResponse, Response};
//! # use axum::{Router, routing::post};
//! # use http::{StatusCode, header::AUTHORIZATION};
//! # use tower_http::{
//! #     catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
//! #     limit::RequestBodyLimitLayer, timeout::TimeoutLayer, trace::TraceLayer,
//! # };
//! # use tower_mcp_store::{Principal, StoreLayer};
//! # async fn mcp() {}
//! # fn name_of(request: &Request) -> Option<String> { None }
//! async fn authenticate(mut request: Request, next: Next) -> Response {
//!     let Some(name) = name_of(&request) else {
//!         return StatusCode::UNAUTHORIZED.into_response();
//!     };
//!     request.extensions_mut().insert(Principal::new(name));
//!     next.run(request).await
//! }
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp.db");
//! # let limit = Duration::from_secs(60);
//! // The layer that is added last stands outermost.
//! let app: Router = Router::new()
//!     .route("/mcp", post(mcp))
//!     .layer(RequestBodyLimitLayer::new(4 * 1024 * 1024))
//!     .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit))
//!     .layer(StoreLayer::new(path))
//!     .layer(from_fn(authenticate))
//!     .layer(CompressionLayer::new())
//!     .layer(CatchPanicLayer::new())
//!     .layer(CorsLayer::permissive())
//!     .layer(TraceLayer::new_for_http());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a `tower::ServiceBuilder` the first layer stands outermost, so the same
//! lines go in the opposite order.
//!
//! | other layer | `StoreLayer` inside of it | outside of it |
//! |---|---|---|
//! | authentication | **sees the [`Principal`]; who is refused makes no row** | does not know who calls; refusals are rows or counted [^refused] |
//! | compression | **sees plain bytes** | rows are `opaque`, without the feature `decompression` |
//! | decompression of requests | **sees plain bytes** | sees no requests in them, without that feature |
//! | catching panics | **a panic is told as one: `panic`** | is an HTTP error, 500 |
//! | time-out | a time-out looks like a caller that left: `client_gone`, or `cancelled` under 2026-07-28 | **is told as a `timeout`** [^timeout] |
//! | body limit | sees nothing of a body that is too long to begin with | **a refusal is a row or counted** [^refused] |
//! | CORS | makes no difference: a preflight makes no row | |
//! | tracing | makes no difference | |
//!
//! [^refused]: A request that is refused with its body unread is a row if
//!     `Mcp-Method` names its method (2026-07-28), and else counted in
//!     [`Stats::unidentified`].
//!
//! [^timeout]: If it answers 408 or 504, as tower-http's does, or fails with
//!     tower's `Elapsed`.
//!
//! tower-mcp's `HttpTransport::layer` takes layers of JSON-RPC requests; this
//! one goes on `HttpTransport::into_router()`.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `bundled` | compiles SQLite in; without it the system's library is linked | yes |
//! | `decompression` | reads gzip, deflate, brotli and zstd bodies, whose rows are `opaque` without it [^limits] | no |
//! | `rmcp` | makes the event and session stores those of rmcp 3.9 | no |
//! | `tower-mcp` | makes the event and session stores those of tower-mcp 0.25 | no |
//!
//! [^limits]: Not beyond these bounds, which keep what a hostile body can cost small: 200
//!     times its size and 4 MiB, in all 256 MiB but for event streams, a window of 8 MiB
//!     (zstd), and 512 MiB for the windows of all bodies that are under way. A body that
//!     breaks them passes like any other, and its row is `opaque`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod capture;
mod clock;
mod db;
mod error;
pub mod event;
pub mod event_store;
mod histogram;
mod keyed_lock;
pub mod maintenance;
pub mod query;
pub mod session_store;
mod store;
mod wire;

pub use capture::{Principal, RequestId, ResponseFuture, StoreBody, StoreLayer, StoreService};
pub use db::SCHEMA_VERSION;
pub use error::{OpenError, OpenErrorKind};
pub use event::{
    EndReason, Outcome, RequestEvent, RequestStatus, SchemaVersionEvent, SessionEvent,
    SessionSource, StoreEvent, TraceId,
};
pub use maintenance::MaintenanceError;
pub use query::QueryError;
pub use store::{FlushError, Retention, ShutdownError, Stats, Store, StoreBuilder, StoreState};

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
