//! Records the traffic of any MCP server over HTTP into SQLite: who called
//! which tool, when, how long it took, and how it ended.
//!
//! [`StoreLayer`] is a [tower](https://docs.rs/tower) layer for any service
//! that speaks the [Model Context Protocol](https://modelcontextprotocol.io)
//! over HTTP, made with axum, tower-mcp, rmcp or bare hyper. It reads the
//! bodies while they stream, and does not delay or change them. It sends what it
//! read to one writer thread, which writes the SQLite file.
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
//! Then query the file with any SQLite program:
//!
//! ```text
//! sqlite3 mcp-store.db "SELECT method, tool, status, latency_us FROM requests"
//! ```
//!
//! A [`query::Reader`] and the command `mcp-store`, a separate crate, read it, too.
//!
//! To record a server in another language, put this layer on the streaming reverse proxy of the
//! crate `mcp-forward`.
//!
//! # How it works
//!
//! ```text
//!                 ┌──────────────── the server's process ────────────────┐
//!   client ──────>│ StoreLayer ──────────────> the MCP service           │
//!          <──────│     │  (forwards bytes,     (axum, tower-mcp, rmcp)  │
//!                 │     │   then reads them)                             │
//!                 │     v                                                │
//!                 │ StoreEvent ──> queue ──> writer thread ──> SQLite    │
//!                 └──────────────────────────────────────────────────────┘
//! ```
//!
//! [`StoreLayer::new`] opens the file in the background and cannot fail, so one
//! line is enough to try it. In production, open the [`Store`] before the server
//! starts, so that a wrong path is an error. Shut the store down after the server,
//! so that every row is in the file:
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
//! A row of `requests` is one JSON-RPC request that a client sent by POST. Each
//! request of a batch has its own row. Each of these ends a request and makes its
//! row: an answer as JSON or in an event stream, an HTTP error, an error or
//! panic of the service, a caller that leaves, or the shutdown of the store.
//! Notifications, the client's answers to the server's own requests, GET streams
//! and traffic that is not JSON-RPC make no row. If a client closes its connection
//! as soon as it has sent a request, the HTTP server may pass the request to no
//! layer; then there is no row either.
//!
//! `status` is `ok` if a JSON-RPC result came, `timeout` if the client, the server
//! or a layer stopped waiting, and `error` otherwise; see [`RequestStatus`]. A call
//! whose tool failed is `ok` with `tool_error` 1, because the call succeeded. A
//! successful answer that the layer cannot read is `ok`, too. A request without an
//! ordinary answer has an [`end_reason`](EndReason).
//!
//! Latency is the time from the call of the service to the last byte of the
//! response *message*. In an event stream this is not the end of the head, nor the
//! end of the stream.
//!
//! # What is never recorded
//!
//! The layer never records bodies, arguments, results other than the listings below,
//! and headers other than `Mcp-Session-Id`, `MCP-Protocol-Version`, `Mcp-Method`,
//! `Mcp-Name` and `traceparent`. It records the texts of errors, unless you set
//! [`record_error_text(false)`](StoreLayer::record_error_text). It records the first text in
//! the result of a tool that failed only with
//! [`record_tool_error_text(true)`](StoreLayer::record_tool_error_text).
//!
//! `Authorization` distinguishes callers without a [`Principal`]. The file holds only a keyed
//! hash of the caller, which includes a hash of `Authorization` with a random key of the process
//! or the [shared key](StoreBuilder::shared_key). The store can also
//! [hash session ids](StoreBuilder::hash_session_ids).
//!
//! # How long the file keeps rows
//!
//! The file keeps 30 days of rows in at most 1 GiB, unless you set
//! [`StoreBuilder::retention`]. The writer removes older rows, a few at a time, and
//! shrinks the file. Statistics of each hour and day stay longer than the rows.
//! [`maintenance`] removes rows when you call it.
//!
//! # What the server offers
//!
//! The file holds what a server answers to `initialize`, `server/discover` and the
//! `list` methods: the newest content of each listing, and each item that was added,
//! removed or modified. [`max_listing_bytes(0)`](StoreLayer::max_listing_bytes) turns
//! this off. [`Reader::compare`](query::Reader::compare) returns what differs between two
//! moments and what that means for clients.
//! [`Reader::change_impacts`](query::Reader::change_impacts) compares the calls of a
//! tool before and after it changed.
//!
//! # Where the layer goes
//!
//! Put the layer on the HTTP side of the server, among its other layers like this:
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
//! // The layer that is added last is outermost.
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
//! In a `tower::ServiceBuilder` the first layer is outermost, so write the same
//! lines in the opposite order.
//!
//! | other layer | `StoreLayer` inside of it | outside of it |
//! |---|---|---|
//! | authentication | **sees the [`Principal`]; a refused request makes no row** | sees no [`Principal`]; a refused request is a row or counted [^refused] |
//! | compression | **sees plain bytes** | rows are `opaque`, without the feature `decompression` |
//! | decompression of requests | **sees plain bytes** | finds no requests in the bodies, without that feature |
//! | catching panics | **a row says `panic`** | a row says HTTP error 500 |
//! | time-out | a row says that the caller left: `client_gone`, or `cancelled` under 2026-07-28 | **a row says `timeout`** [^timeout] |
//! | body limit | sees no request whose `Content-Length` is too large | **a refused request is a row or counted** [^refused] |
//! | CORS | makes no difference: a preflight makes no row | |
//! | tracing | makes no difference | |
//!
//! [^refused]: If a server refuses a request without reading its body, the request is a row
//!     if `Mcp-Method` names its method (2026-07-28). Otherwise
//!     [`Stats::unidentified`] counts it.
//!
//! [^timeout]: If the time-out layer answers 408 or 504, as tower-http's does, or fails with
//!     tower's `Elapsed`.
//!
//! tower-mcp's `HttpTransport::layer` takes layers of JSON-RPC requests, so it does not take
//! this one. Use `HttpTransport::into_router().layer(..)`.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `bundled` | compiles SQLite in; without it the system's library is linked | yes |
//! | `decompression` | reads gzip, deflate, brotli and zstd bodies [^limits]; without it their rows are `opaque` | no |
//! | `outbox` | adds the module `outbox`, for shippers that copy rows to another database | no |
//! | `rmcp` | implements the event and session store traits of rmcp 3.9 | no |
//! | `tower-mcp` | implements the event and session store traits of tower-mcp 0.25 | no |
//!
//! [^limits]: Bounds limit the cost of a hostile body. A body may decode to 200 times its size
//!     and 4 MiB more, and, unless it is an event stream, to 256 MiB. A zstd window may have
//!     8 MiB, and the windows of all bodies at one time 512 MiB. A body beyond these bounds
//!     passes unchanged, and its row is `opaque`.

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
#[cfg(feature = "outbox")]
pub mod outbox;
#[cfg(feature = "outbox")]
#[doc(hidden)]
pub mod pull;
pub mod query;
pub mod session_store;
mod store;
mod wire;

pub use capture::{Principal, RequestId, ResponseFuture, StoreBody, StoreLayer, StoreService};
pub use db::SCHEMA_VERSION;
pub use error::{OpenError, OpenErrorKind};
pub use event::{
    EndReason, Outcome, RequestEvent, RequestStatus, RpcId, SchemaVersionEvent, SessionEvent,
    SessionSource, StoreEvent, TraceId,
};
pub use maintenance::MaintenanceError;
pub use query::QueryError;
pub use store::{FlushError, Retention, ShutdownError, Stats, Store, StoreBuilder, StoreState};

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
