//! One row of `requests`.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::row::{number, optional_number, optional_text, text};
use crate::event::RequestStatus;

/// One JSON-RPC request and its outcome: one row of `requests`.
///
/// What the file does not tell, or does not have because it is of version 4, is `None`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Request {
    /// The row's number: rows are numbered as they are written, which is when
    /// their outcome is known.
    pub id: i64,
    /// The id that was given to the request when it came.
    pub request_id: String,
    /// When it came, in unix milliseconds.
    pub ts: i64,
    /// The recording point.
    pub proxy: String,
    /// The session that it named.
    pub session_id: Option<String>,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool that a `tools/call` called.
    pub tool: Option<String>,
    /// What another request aimed at.
    pub target: Option<String>,
    /// Until the last byte of the response message, in microseconds.
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
    /// The call succeeded, the tool did not.
    pub tool_error: bool,
    /// Why there is no ordinary answer, in the words of
    /// [`EndReason`](crate::EndReason) or of a later release.
    pub end_reason: Option<String>,
    /// Until the response head, in microseconds.
    pub ttfb_us: Option<i64>,
    /// The MCP revision that it was made under.
    pub protocol_version: Option<String>,
    /// Who called.
    pub principal: Option<String>,
    /// The W3C trace that it belongs to.
    pub trace_id: Option<String>,
}

const COLUMNS: &str = "id, request_id, ts, proxy, session_id, method, tool, latency_us, status, \
    error_code, error_msg, bytes_in, bytes_out, target, http_status, tool_error, end_reason, \
    ttfb_us, protocol_version, principal, trace_id";

const COLUMNS_OF_4: &str = "id, request_id, ts, proxy, session_id, method, tool, latency_us, \
    status, error_code, error_msg, bytes_in, bytes_out, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL";

impl Request {
    /// What to select for [`from_row`](Self::from_row).
    pub(super) const fn columns(has_outcomes: bool) -> &'static str {
        if has_outcomes { COLUMNS } else { COLUMNS_OF_4 }
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: number(row, 0)?,
            request_id: text(row, 1)?,
            ts: number(row, 2)?,
            proxy: text(row, 3)?,
            session_id: optional_text(row, 4)?,
            method: text(row, 5)?,
            tool: optional_text(row, 6)?,
            latency_us: number(row, 7)?,
            status: status(row.get_ref(8)?),
            error_code: optional_text(row, 9)?,
            error_msg: optional_text(row, 10)?,
            bytes_in: optional_number(row, 11)?,
            bytes_out: optional_number(row, 12)?,
            target: optional_text(row, 13)?,
            http_status: optional_number(row, 14)?,
            tool_error: number(row, 15)? != 0,
            end_reason: optional_text(row, 16)?,
            ttfb_us: optional_number(row, 17)?,
            protocol_version: optional_text(row, 18)?,
            principal: optional_text(row, 19)?,
            trace_id: optional_text(row, 20)?,
        })
    }
}

/// The table itself takes no other text than these three.
fn status(value: ValueRef<'_>) -> RequestStatus {
    RequestStatus::ALL
        .into_iter()
        .find(|status| value == ValueRef::Text(status.as_str().as_bytes()))
        .unwrap_or(RequestStatus::Error)
}
