use super::{EndReason, RequestEvent, RequestStatus};

/// How a request ended, in one word.
///
/// The columns of its row determine it; see [`of`](Self::of). [`RequestStatus`] says
/// less: it is `Ok` for a tool that failed, and `Error` both for a mistake of the caller
/// and for any other error.
///
/// ```
/// use tower_mcp_store::{Outcome, RequestEvent, RequestStatus};
///
/// let mut event = RequestEvent::new("tools/call", RequestStatus::Error);
/// event.error_code = Some("-32602".into());
/// assert_eq!(event.outcome(), Outcome::CallerError);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The answer is a result.
    Ok,
    /// The answer is a result that says that the tool failed (`isError`).
    ToolError,
    /// The request itself is wrong: its JSON, its method, its parameters, or the HTTP
    /// request around it.
    CallerError,
    /// The answer is any other error, or there is no answer.
    Error,
    /// A client, a server or something between them stopped waiting.
    Timeout,
    /// The caller left or cancelled before the answer came.
    Gone,
    /// The server asks for more input before it can answer.
    InputRequired,
    /// The server answered with a task. The task has the result later.
    Working,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::ToolError,
        Self::CallerError,
        Self::Error,
        Self::Timeout,
        Self::Gone,
        Self::InputRequired,
        Self::Working,
    ];

    /// The outcomes of failed requests.
    pub const FAILURES: [Self; 5] = [
        Self::ToolError,
        Self::CallerError,
        Self::Error,
        Self::Timeout,
        Self::Gone,
    ];

    /// Returns the word, in snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::CallerError => "caller_error",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::InputRequired => "input_required",
            Self::Working => "working",
        }
    }

    /// Returns whether the call has ended: neither the caller nor the server has more to
    /// do for it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::InputRequired | Self::Working)
    }

    /// Returns the outcome of a row with these columns. An end reason that this release
    /// does not know counts as none.
    ///
    /// The same definition in SQL is `db::outcome::OUTCOME`.
    pub fn of(
        status: RequestStatus,
        tool_error: bool,
        end_reason: Option<EndReason>,
        error_code: Option<&str>,
        http_status: Option<i64>,
    ) -> Self {
        let is_error = status == RequestStatus::Error;
        match end_reason {
            Some(EndReason::InputRequired) => return Self::InputRequired,
            Some(EndReason::Task) => return Self::Working,
            _ if is_error && error_code == Some(URL_ELICITATION_REQUIRED) => {
                return Self::InputRequired;
            }
            _ => {}
        }
        if tool_error {
            return Self::ToolError;
        }
        match (status, end_reason) {
            (RequestStatus::Timeout, _) => Self::Timeout,
            (_, Some(EndReason::ClientGone | EndReason::Cancelled)) => Self::Gone,
            (RequestStatus::Error, _) if is_of_caller(error_code, http_status) => Self::CallerError,
            (RequestStatus::Error, _) => Self::Error,
            (RequestStatus::Ok, _) => Self::Ok,
        }
    }
}

/// The JSON-RPC error with which a server of revision 2025-11-25 asks the user to open a URL.
pub(crate) const URL_ELICITATION_REQUIRED: &str = "-32042";

/// The codes of JSON-RPC errors that a caller causes: errors of JSON-RPC itself, a missing
/// resource, and errors of revision 2026-07-28 about headers, capabilities and versions.
const CALLER_ERRORS: [&str; 8] = [
    "-32700", "-32600", "-32601", "-32602", "-32002", "-32020", "-32021", "-32022",
];

/// An internal error. The server causes it, also if the HTTP status is 4xx.
const INTERNAL_ERROR: &str = "-32603";

fn is_of_caller(error_code: Option<&str>, http_status: Option<i64>) -> bool {
    error_code.is_some_and(|code| CALLER_ERRORS.contains(&code))
        || (http_status.is_some_and(|status| (400..500).contains(&status) && status != 408)
            && error_code != Some(INTERNAL_ERROR))
}

impl RequestEvent {
    /// Returns the outcome that its row will have.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(
            self.status,
            self.tool_error,
            self.end_reason,
            self.error_code.as_deref(),
            self.http_status.map(i64::from),
        )
    }
}
