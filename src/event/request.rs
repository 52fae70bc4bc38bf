use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::{DEFAULT_PROXY, Leg, RpcId, SpanId, TraceId, text_len};
use crate::clock;

/// How a request ended, as stored in `requests.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    /// A JSON-RPC result came, which may say that the tool failed (`isError`).
    Ok,
    /// A JSON-RPC error, an HTTP error, or no answer at all.
    Error,
    /// The client, the server or something between them gave up waiting.
    Timeout,
}

impl RequestStatus {
    /// All statuses.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Error, Self::Timeout];

    /// Returns the text in the file: `ok`, `error` or `timeout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

/// Why a request has no ordinary answer, as stored in `requests.end_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The server asks for more input before it can answer (2026-07-28, multi round-trip requests).
    InputRequired,
    /// The answer names a task, and the task has the result later.
    Task,
    /// A successful HTTP response ended without the JSON-RPC response.
    NoResponse,
    /// The server answered with a redirect (HTTP 3xx).
    Redirected,
    /// The layer could not read the response to its end, because it is compressed, or could
    /// not read the request.
    Opaque,
    /// The inner service panicked.
    Panic,
    /// The inner service returned `Err`.
    ServiceError,
    /// The response body failed midway.
    BodyError,
    /// The caller closed the connection before the response came.
    ClientGone,
    /// The caller cancelled the request.
    Cancelled,
    /// The response came on a later stream of the session.
    Resumed,
    /// The stream ended without the response, and no later stream brought it within the grace
    /// time.
    Detached,
    /// The request was open when the store shut down.
    Shutdown,
    /// A `subscriptions/listen` stream ended. Statistics leave its latency out.
    StreamEnd,
}

impl EndReason {
    /// All reasons that this release knows.
    pub const ALL: &[Self] = &[
        Self::InputRequired,
        Self::Task,
        Self::NoResponse,
        Self::Redirected,
        Self::Opaque,
        Self::Panic,
        Self::ServiceError,
        Self::BodyError,
        Self::ClientGone,
        Self::Cancelled,
        Self::Resumed,
        Self::Detached,
        Self::Shutdown,
        Self::StreamEnd,
    ];

    /// Returns the text in the file, in snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InputRequired => "input_required",
            Self::Task => "task",
            Self::NoResponse => "no_response",
            Self::Redirected => "redirected",
            Self::Opaque => "opaque",
            Self::Panic => "panic",
            Self::ServiceError => "service_error",
            Self::BodyError => "body_error",
            Self::ClientGone => "client_gone",
            Self::Cancelled => "cancelled",
            Self::Resumed => "resumed",
            Self::Detached => "detached",
            Self::Shutdown => "shutdown",
            Self::StreamEnd => "stream_end",
        }
    }
}

/// One JSON-RPC request and its outcome: one row of `requests`.
///
/// Make it with [`new`](Self::new) and set the fields that are known. A field that is `None`
/// is NULL in the file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RequestEvent {
    /// The unique id: a UUIDv7, made when the request is received. The writer refuses a second
    /// event with the same id and counts it as failed.
    pub request_id: Uuid,
    /// When the request was received, in unix milliseconds.
    pub ts: i64,
    /// The name of the server; one file may hold several servers.
    pub proxy: Arc<str>,
    /// The MCP session, as the client named it.
    pub session_id: Option<Arc<str>>,
    /// The JSON-RPC method as sent.
    pub method: Cow<'static, str>,
    /// `params.name` of a `tools/call`.
    pub tool: Option<Box<str>>,
    /// What a request of another method names: a resource's URI, a prompt's name or a task's id.
    pub target: Option<Box<str>>,
    /// The time from the call of the service to the last byte of the response message, in
    /// microseconds.
    pub latency_us: u64,
    /// How it ended.
    pub status: RequestStatus,
    /// The JSON-RPC error code as text.
    pub error_code: Option<Box<str>>,
    /// The error's text, at most 512 characters.
    pub error_msg: Option<Box<str>>,
    /// Bytes of the request message.
    pub bytes_in: Option<u64>,
    /// Bytes of the response message.
    pub bytes_out: Option<u64>,
    /// The status of the HTTP response that carried the answer.
    pub http_status: Option<u16>,
    /// Whether `result.isError` is true: the call succeeded, but the tool failed.
    pub tool_error: bool,
    /// Why there is no ordinary answer; `None` if there is one.
    pub end_reason: Option<EndReason>,
    /// The time from the call of the service to the response head, in microseconds.
    pub ttfb_us: Option<u64>,
    /// The MCP revision of the request.
    pub protocol_version: Option<Cow<'static, str>>,
    /// The caller, as the server's authentication names it.
    pub principal: Option<Arc<str>>,
    /// The W3C trace that the request belongs to.
    pub trace_id: Option<TraceId>,
    /// The caller's span in that trace.
    pub parent_span_id: Option<SpanId>,
    /// The JSON-RPC id that the client gave to the request.
    pub rpc_id: Option<RpcId>,
    /// The data that links the request to other requests; `None` if there is none.
    pub leg: Option<Box<Leg>>,
}

impl RequestEvent {
    /// Returns a request with a new id that the server `default` receives now. Its latency is 0,
    /// and all optional fields are `None`.
    pub fn new(method: impl Into<Cow<'static, str>>, status: RequestStatus) -> Self {
        Self {
            request_id: Uuid::now_v7(),
            ts: clock::unix_ms(),
            proxy: DEFAULT_PROXY.into(),
            session_id: None,
            method: method.into(),
            tool: None,
            target: None,
            latency_us: 0,
            status,
            error_code: None,
            error_msg: None,
            bytes_in: None,
            bytes_out: None,
            http_status: None,
            tool_error: false,
            end_reason: None,
            ttfb_us: None,
            protocol_version: None,
            principal: None,
            trace_id: None,
            parent_span_id: None,
            rpc_id: None,
            leg: None,
        }
    }

    /// Returns about how many bytes of memory its texts take.
    pub(crate) fn heap(&self) -> usize {
        // There is no `..`, so that a new field does not compile before it is added here.
        let Self {
            request_id: _,
            ts: _,
            proxy,
            session_id,
            method,
            tool,
            target,
            latency_us: _,
            status: _,
            error_code,
            error_msg,
            bytes_in: _,
            bytes_out: _,
            http_status: _,
            tool_error: _,
            end_reason: _,
            ttfb_us: _,
            protocol_version,
            principal,
            trace_id: _,
            parent_span_id: _,
            rpc_id,
            leg,
        } = self;
        let method = match method {
            Cow::Borrowed(_) => 0,
            Cow::Owned(method) => method.capacity(),
        };
        method
            + proxy.len()
            + text_len(session_id)
            + text_len(tool)
            + text_len(target)
            + text_len(error_code)
            + text_len(error_msg)
            + text_len(protocol_version)
            + text_len(principal)
            + leg.as_ref().map_or(0, |leg| leg.size())
            + rpc_id.as_ref().map_or(0, RpcId::heap)
    }
}
