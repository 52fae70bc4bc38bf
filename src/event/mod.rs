//! The plain data that capture hands to the writer.
//!
//! The layer makes these events for HTTP and passes them to
//! [`Store::record`](crate::Store::record). A server with another transport can do
//! the same. Times are unix milliseconds in UTC, latencies are microseconds.

mod caller;
mod leg;
mod outcome;
mod page;
mod request;
mod rpc_id;
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
pub use request::{EndReason, RequestEvent, RequestStatus};
pub use rpc_id::RpcId;
pub use schema::SchemaVersionEvent;
pub use session::{SessionEvent, SessionSource};
pub(crate) use session_id::bounded_id;
pub use task::{TaskId, TaskOutcome, TaskStatus, TaskStatusEvent};
pub(crate) use traceparent::Traceparent;
pub use traceparent::{SpanId, TraceId};

use std::sync::Arc;

/// The name of a server without a name of its own.
pub(crate) const DEFAULT_PROXY: &str = "default";

/// Something that happened and that the store writes to the file.
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
    /// A JSON-RPC request ended, with or without an answer. The writer adds one row to
    /// `requests` and updates the counters of its session in the same transaction.
    Request(RequestEvent),
    /// A session began. A second event with the same id changes nothing.
    Session(SessionEvent),
    /// A session ended. Only the first such event of a session counts.
    SessionClosed {
        /// The session that ended. If it has no row, the event changes nothing.
        session_id: Arc<str>,
        /// When the layer noticed the end, in unix milliseconds.
        ended_at: i64,
    },
    /// A discovery listing whose content differs from the last one.
    SchemaVersion(SchemaVersionEvent),
    /// The server said that a listing changed, without saying how.
    SchemaStale {
        /// When the server said so, in unix milliseconds.
        ts: i64,
        /// The name of the server.
        proxy: Arc<str>,
        /// The URL of the server; empty if it is in the same process.
        upstream_url: Arc<str>,
        /// The listing that is out of date, such as `tools/list`.
        method: Box<str>,
    },
    /// A notification said what the status of a task is.
    TaskStatus(TaskStatusEvent),
}

impl StoreEvent {
    /// Returns whether other rows are incomplete without this event. The queue reserves
    /// places for such events that requests cannot take.
    pub(crate) fn is_structural(&self) -> bool {
        match self {
            Self::Request(_) | Self::SessionClosed { .. } | Self::TaskStatus(_) => false,
            Self::Session(_) | Self::SchemaVersion(_) | Self::SchemaStale { .. } => true,
        }
    }

    /// Returns about how many bytes of memory the event takes, including its texts.
    ///
    /// A text that several events share counts for each of them. So the bound of the
    /// queue may be reached too early, but never too late.
    pub(crate) fn size(&self) -> usize {
        let texts = match self {
            Self::Request(event) => event.heap(),
            Self::Session(event) => event.heap(),
            Self::SessionClosed {
                session_id,
                ended_at: _,
            } => session_id.len(),
            Self::SchemaVersion(event) => event.heap(),
            Self::SchemaStale {
                ts: _,
                proxy,
                upstream_url,
                method,
            } => proxy.len() + upstream_url.len() + method.len(),
            Self::TaskStatus(event) => event.heap(),
        };
        size_of::<Self>() + texts
    }
}

/// Returns the length of a text, if there is one.
fn text_len<T: AsRef<str>>(text: &Option<T>) -> usize {
    text.as_ref().map_or(0, |text| text.as_ref().len())
}
