//! The plain data that capture hands to the writer.
//!
//! A server with a transport of its own builds these and gives them to
//! [`Store::record`](crate::Store::record); the layer does the same for HTTP.
//! Times are unix milliseconds in UTC, latencies are microseconds.

mod caller;
mod leg;
mod outcome;
mod page;
mod request;
mod schema;
mod session;
mod session_id;
mod task;
mod traceparent;

pub use caller::CallerDigest;
pub use leg::{Leg, StateDigest, StateKind};
pub use outcome::Outcome;
pub(crate) use outcome::URL_ELICITATION_REQUIRED;
pub(crate) use page::{ListingKey, ListingPage, MemoryReservation};
pub(crate) use request::DEFAULT_PROXY;
pub use request::{EndReason, RequestEvent, RequestStatus};
pub use schema::SchemaVersionEvent;
pub use session::{SessionEvent, SessionSource};
pub(crate) use session_id::bounded_id;
pub use task::{TaskId, TaskOutcome, TaskStatus, TaskStatusEvent};
pub(crate) use traceparent::Traceparent;
pub use traceparent::{SpanId, TraceId};

use std::sync::Arc;

/// One thing that happened, on its way into the store.
///
/// ```
/// use std::time::Duration;
/// use tower_mcp_store::{RequestEvent, RequestStatus, Store, StoreEvent};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("mcp.db");
///
/// let store = Store::open(path)?;
/// let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
/// event.tool = Some("search".into());
/// event.latency_us = 1_250;
/// store.record(StoreEvent::Request(event));
/// let stats = store.shutdown(Duration::from_secs(5))?;
/// assert_eq!(stats.written, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StoreEvent {
    /// A JSON-RPC request is complete, or will never be: one row in `requests`,
    /// and its session's counters move in the same transaction.
    Request(RequestEvent),
    /// A session began. A repeat of the same id changes nothing.
    Session(SessionEvent),
    /// A session ended. Only the first close of a session counts.
    SessionClosed {
        /// The session that ended; one without a row is left alone.
        session_id: Arc<str>,
        /// When the end was noticed, in unix milliseconds.
        ended_at: i64,
    },
    /// A discovery listing whose content differs from the last one.
    SchemaVersion(SchemaVersionEvent),
    /// The server said that a listing changed, without saying how.
    SchemaStale {
        /// When it was said, in unix milliseconds.
        ts: i64,
        /// The server that heard it.
        proxy: Arc<str>,
        /// The server's URL; empty for one in the same process.
        upstream_url: Arc<str>,
        /// The listing that is out of date, such as `tools/list`.
        method: Box<str>,
    },
    /// A notification said what the status of a task is.
    TaskStatus(TaskStatusEvent),
}

impl StoreEvent {
    /// Whether losing this event would blank other rows, so that the queue
    /// keeps room for it when requests no longer fit.
    pub(crate) fn is_structural(&self) -> bool {
        match self {
            Self::Request(_) | Self::SessionClosed { .. } | Self::TaskStatus(_) => false,
            Self::Session(_) | Self::SchemaVersion(_) | Self::SchemaStale { .. } => true,
        }
    }
}
