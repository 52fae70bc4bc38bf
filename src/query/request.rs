//! One row of `requests`.

use super::record::record;
use super::recorded::Recorded;
use super::state_hash::StateHash;
use crate::event::{EndReason, Outcome, RequestStatus, TaskStatus};

record! {
    /// One JSON-RPC request and its outcome: one row of `requests`.
    ///
    /// Unknown values are `None`, and so are columns that a file of version 4 does not have.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct Request {
        /// The row's number. Rows are numbered in the order of writing, and written when
        /// their outcome is known.
        pub id: i64,
        /// The id that the layer gave to the request.
        pub request_id: String,
        /// When it was received, in unix milliseconds.
        pub ts: i64,
        /// The server.
        pub proxy: String,
        /// The session that it belongs to.
        pub session_id: Option<String>,
        /// The name of the session's client.
        pub client_name: Option<String> =
            "(SELECT client_name FROM sessions AS s WHERE s.session_id = requests.session_id)",
        /// The JSON-RPC method.
        pub method: String,
        /// The tool that a `tools/call` called.
        pub tool: Option<String>,
        /// The URI, prompt or task that another request names.
        pub target: Option<String>,
        /// The time until the last byte of the response message, in microseconds.
        pub latency_us: i64,
        /// How it ended.
        pub status: RequestStatus,
        /// The JSON-RPC error code.
        pub error_code: Option<String>,
        /// The error's text.
        pub error_msg: Option<String>,
        /// Bytes of the request message.
        pub bytes_in: Option<i64>,
        /// Bytes of the response message.
        pub bytes_out: Option<i64>,
        /// The status of the HTTP response.
        pub http_status: Option<i64>,
        /// Whether the call succeeded, but its tool failed.
        pub tool_error: bool,
        /// Why there is no ordinary answer.
        pub end_reason: Option<Recorded<EndReason>>,
        /// The time until the response head, in microseconds.
        pub ttfb_us: Option<i64>,
        /// Its MCP revision.
        pub protocol_version: Option<String>,
        /// The authenticated caller.
        pub principal: Option<String>,
        /// The W3C trace that it belongs to.
        pub trace_id: Option<String>,
        /// The caller's span in that trace.
        pub parent_span_id: Option<String>,
        /// The JSON-RPC id that the client gave to the request, as JSON: `17` or `"a1"`. `None` if it
        /// is a text of more than 36 bytes or no 64-bit integer.
        pub rpc_id: Option<String>,
        /// The operation that the request is a part of: the `request_id` of the first
        /// request of the operation. `None` if the request is an operation by itself.
        pub operation_id: Option<String>,
        /// The place of the request in its operation; the first is 1.
        pub leg: Option<i64>,
        /// The state that the request sent back.
        pub state_in: Option<StateHash>,
        /// The state in the answer.
        pub state_out: Option<StateHash>,
        /// The task that the answer created, or that a `tasks/*` request names.
        pub task_id: Option<String>,
        /// The status of that task, as the answer says.
        pub task_status: Option<Recorded<TaskStatus>>,
        /// The latencies of all requests of the operation together, in microseconds, if
        /// this request ended an operation of several rounds.
        pub operation_us: Option<i64>,
    }
}

/// The name of the client of a request's session.
pub(super) const CLIENT_NAME: &str =
    "(SELECT client_name FROM sessions AS s WHERE s.session_id = requests.session_id)";

impl Request {
    /// Returns its outcome in one word.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(
            self.status,
            self.tool_error,
            self.end_reason.as_ref().and_then(Recorded::known),
            self.error_code.as_deref(),
            self.http_status,
        )
    }
}

impl AsRef<Self> for Request {
    fn as_ref(&self) -> &Self {
        self
    }
}
