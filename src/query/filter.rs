//! Which requests are asked for.

use super::window::Window;
use crate::event::{EndReason, RequestStatus};

/// Which requests are asked for: those that everything that is set applies to.
///
/// ```
/// use tower_mcp_store::RequestStatus;
/// use tower_mcp_store::query::Filter;
///
/// let mut filter = Filter::default();
/// filter.tool = Some("search".into());
/// filter.status = Some(RequestStatus::Timeout);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// When they came.
    pub window: Window,
    /// The recording point.
    pub proxy: Option<String>,
    /// The JSON-RPC method. Any but `tools/call` excludes requests that have a tool.
    pub method: Option<String>,
    /// The tool that was called.
    pub tool: Option<String>,
    /// What was aimed at.
    pub target: Option<String>,
    /// The whole id of the session; [`Reader::find_session`](super::Reader::find_session)
    /// makes one of its beginning.
    pub session: Option<String>,
    /// The name of the session's client.
    pub client: Option<String>,
    /// How they ended.
    pub status: Option<RequestStatus>,
    /// Only calls that succeeded and whose tool did not.
    pub tool_error: bool,
    /// The JSON-RPC error code.
    pub error_code: Option<String>,
    /// Why there was no ordinary answer.
    pub end_reason: Option<EndReason>,
}
